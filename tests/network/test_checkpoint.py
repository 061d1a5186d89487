"""Model folders: what is written is what is read, and nothing else is."""

import json
import shutil

import pytest
import torch

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import write_sums
from osirix_agent.network.checkpoint import load_adapter, load_model
from osirix_agent.network.lora import merged
from osirix_agent.network.text import Phrase
from tests.tiny import write_adapter, write_model


@pytest.fixture
def base(tiny_models, tmp_path):
    return shutil.copytree(tiny_models / "base", tmp_path / "base")


def words(network, text="left parotid"):
    image = torch.randn(1, 2, 16, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        encoded = network.encode(image, "CT", 4.0)
        queries = network.queries([Phrase.read(text)])
        interactions = torch.rand(1, 8, 16, 32, 32, generator=torch.Generator().manual_seed(6))
        return network.words(encoded, queries)[0], network.decode(encoded, interactions, queries, torch.tensor([True]))


def test_the_same_folder_gives_the_same_answers(base):
    first, again = (words(load_model(base).network) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_other_words_give_other_answers(base):
    network = load_model(base).network
    left, right = words(network), words(network, "right parotid")
    assert not any(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def cut_short(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def alter(folder):
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def newer(folder):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


def describe_another(folder):
    path = folder / "model.json"
    held = json.loads(path.read_text())
    held["network"]["query_width"] = 64
    path.write_text(json.dumps(held))
    write_sums(folder)


def no_tensors(folder):
    (folder / "weights.safetensors").write_bytes(b"not safetensors at all")
    write_sums(folder)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (cut_short, "not the one that was shipped"),
        (alter, "not the one that was shipped"),
        (newer, "format 99"),
        (describe_another, "do not fit"),
        (no_tensors, "cannot be read as safetensors"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "lacks the file"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "has no SHA256SUMS"),
        (lambda folder: (folder / "model.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.json").write_text('{"format": 1}'), "incomplete at"),
        (lambda folder: (folder / "model.json").unlink(), "There is no model"),
    ],
)
def test_a_spoilt_folder_is_refused_with_a_cure(base, spoil, what):
    spoil(base)
    with pytest.raises(ModelError, match=what) as caught:
        load_model(base)
    assert caught.value.cure


def test_an_adapter_that_adds_nothing_changes_nothing(base, tmp_path):
    model = load_model(base)
    described, tensors = load_adapter(write_adapter(tmp_path / "a", base), model.digest)
    same = merged(model.network, tensors, described.rank, described.alpha)
    assert all(torch.equal(a, b) for a, b in zip(words(model.network), words(same), strict=True))


def test_an_adapter_changes_its_copy_and_leaves_the_base(base, tmp_path):
    model = load_model(base)
    before = words(model.network)
    described, tensors = load_adapter(write_adapter(tmp_path / "a", base, strength=0.1), model.digest)
    other = merged(model.network, tensors, described.rank, described.alpha)
    assert not torch.equal(words(other)[1], before[1])
    assert all(torch.equal(a, b) for a, b in zip(words(model.network), before, strict=True))
    assert not any("lora" in name for name, _ in other.named_parameters())


def test_an_adapter_for_another_base_is_refused(base, tiny_encoder, tmp_path):
    adapter = write_adapter(tmp_path / "a", base)
    other = load_model(write_model(tmp_path / "other", tiny_encoder, seed=2))
    with pytest.raises(ModelError, match="another base") as caught:
        load_adapter(adapter, other.digest)
    assert caught.value.cure

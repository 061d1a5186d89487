"""Whisper's file, and what was learnt about dictation folded into it."""

import json
import struct

import numpy as np
import pytest

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import WEIGHTS, shipped_models, write_sums
from osirix_agent.prompting.voice.tuning import DESCRIPTION, FOLDER, find_tuning, load_tuning, tuned
from osirix_agent.prompting.voice.weights import digest_of, folded, places, read, variable_of
from osirix_agent.settings import Settings

LAYER = "model.encoder.layers.0.self_attn"
FUSED = "encoder/layer_0/self_attention/linear_0/weight"
TYPES = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.float16): 4}


def text(value):
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def file_of(variables, name="WhisperSpec", version=6):
    """As CTranslate2 writes it."""
    out = struct.pack("<I", version) + text(name) + struct.pack("<II", 3, len(variables))
    for called, array in variables.items():
        out += text(called) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        out += struct.pack("<BI", TYPES[array.dtype], array.nbytes) + array.tobytes()
    return out + struct.pack("<I", 0)


def variables(dtype=np.float16):
    random = np.random.default_rng(3)
    return {
        "encoder/conv1/weight": random.normal(size=(4, 2, 3)).astype(np.float16).astype(dtype),
        FUSED: random.normal(size=(12, 4)).astype(np.float16).astype(dtype),
        "encoder/num_heads": np.array(2, np.int16),
    }


def factors(layer=f"{LAYER}.k_proj", outputs=4):
    random = np.random.default_rng(4)
    return {f"{layer}.lora_A": random.normal(size=(2, 4)).astype(np.float16),
            f"{layer}.lora_B": random.normal(size=(outputs, 2)).astype(np.float16)}  # fmt: skip


def write_tuning(folder, base, changes=None, **described):
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    save_file(factors() if changes is None else changes, folder / WEIGHTS)
    description = {"format": 1, "name": "dictation", "version": "1", "licence": "Apache-2.0", "base": base, "rank": 2,
                   "alpha": 4, "shortest_s": 5.0, "pause_s": 1.0} | described  # fmt: skip
    (folder / DESCRIPTION).write_text(json.dumps(description))
    write_sums(folder)
    return folder


def write_model(folder, content):
    folder.mkdir()
    (folder / "model.bin").write_bytes(content)
    (folder / "config.json").write_text("{}")
    return folder


def test_variables_are_read_where_they_lie():
    held = variables()
    content = file_of(held)
    known = places(content)
    assert known.keys() == held.keys()
    for name, array in held.items():
        assert np.array_equal(read(content, known[name]), array)


def test_variables_that_equal_another_are_found_by_both_names():
    content = file_of(variables())[:-4] + struct.pack("<I", 1) + text("other") + text("encoder/conv1/weight")
    known = places(content)
    assert known["other"] == known["encoder/conv1/weight"]


def test_quantised_weights_are_left_out():
    assert places(file_of({"a": np.zeros((2, 2), np.int8), "b": np.zeros(2, np.float32)})).keys() == {"b"}


@pytest.mark.parametrize(
    "content",
    [b"", b"no model", file_of(variables())[:80], file_of(variables(), "Transformer"), file_of(variables(), version=7)],
    ids=["empty", "text", "cut short", "another kind", "another version"],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(content):
    with pytest.raises(ModelError, match=r"model\.bin"):
        places(content)


def test_a_model_is_the_same_however_it_was_converted():
    a, b = (file_of(variables(dtype)) for dtype in (np.float16, np.float32))
    assert digest_of(a, places(a)) == digest_of(b, places(b))
    other = variables()
    other[FUSED][0, 0] += 1
    c = file_of(other)
    assert digest_of(c, places(c)) != digest_of(a, places(a))


def test_changes_go_to_their_part_of_the_fused_weight_and_nowhere_else():
    held = variables(np.float32)
    before = file_of(held)
    after = folded(before, factors(), 2.0)
    known = places(after)
    down, up = (factors()[f"{LAYER}.k_proj.{one}"].astype(np.float32) for one in ("lora_A", "lora_B"))
    wanted = held[FUSED].copy()
    wanted[4:8] += 2 * up @ down
    assert np.allclose(read(after, known[FUSED]), wanted)
    assert not np.allclose(read(after, known[FUSED]), held[FUSED])
    start = known[FUSED].start
    assert after[:start] == before[:start]
    assert after[start + held[FUSED].nbytes :] == before[start + held[FUSED].nbytes :]


@pytest.mark.parametrize(
    "changes",
    [factors("model.encoder.layers.7.fc1"), factors("model.encoder.layers.0.nothing"), factors(outputs=5),
     factors(outputs=1), {name: value * np.float16(np.nan) for name, value in factors().items()},
     {f"{LAYER}.q_proj.lora_A": np.zeros((2, 4), np.float16)}],
    ids=["no such layer", "no such part", "another size", "one row", "no numbers", "a half of it"],
)  # fmt: skip
def test_changes_that_do_not_fit_are_refused(changes):
    with pytest.raises(ModelError, match="do not fit"):
        folded(file_of(variables()), changes, 1.0)


def test_every_linear_layer_of_a_decoder_has_a_place():
    assert variable_of("model.decoder.layers.5.encoder_attn.v_proj") == ("decoder/layer_5/attention/linear_1", 1, 2)
    assert variable_of("model.decoder.layers.0.fc2") == ("decoder/layer_0/ffn/linear_1", 0, 1)


def test_it_is_used_for_its_own_model_only(tmp_path):
    content = file_of(variables())
    tuning = load_tuning(write_tuning(tmp_path / "t", digest_of(content, places(content))))
    files = tuned(write_model(tmp_path / "own", content), tuning)
    assert files is not None
    assert files["model.bin"] == folded(content, factors(), 2.0)
    assert files["config.json"] == b"{}"
    other = variables()
    other[FUSED][0, 0] += 1
    assert tuned(write_model(tmp_path / "other", file_of(other)), tuning) is None
    assert tuned(write_model(tmp_path / "text", b"no model"), tuning) is None


def test_half_of_the_changes_may_be_used(tmp_path):
    content = file_of(variables(np.float32))
    folder = write_tuning(tmp_path / "t", digest_of(content, places(content)), strength=0.5)
    files = tuned(write_model(tmp_path / "own", content), load_tuning(folder))
    assert files is not None
    assert files["model.bin"] == folded(content, factors(), 1.0)


def test_what_was_altered_or_is_newer_is_refused(tmp_path):
    folder = write_tuning(tmp_path / "a", "0" * 64)
    raw = bytearray((folder / WEIGHTS).read_bytes())
    raw[-1] ^= 1
    (folder / WEIGHTS).write_bytes(raw)
    with pytest.raises(ModelError, match="not the one that was shipped"):
        load_tuning(folder)
    with pytest.raises(ModelError, match="format 9"):
        load_tuning(write_tuning(tmp_path / "b", "0" * 64, format=9))


def test_a_site_may_have_its_own_or_none(tmp_path):
    write_tuning(tmp_path / "models" / FOLDER, "0" * 64, version="of the site")
    own = find_tuning(Settings(model_dir=tmp_path / "models"))
    assert own is not None
    assert own.description.version == "of the site"
    assert find_tuning(Settings(model_dir=tmp_path / "models", speech_tuned=False)) is None


def test_the_shipped_one_is_whole_and_all_models_stay_small():
    tuning = find_tuning(Settings())
    assert tuning is not None
    rank = tuning.description.rank
    assert len(tuning.factors) == 2 * (
        6 * 6 + 6 * 10
    )  # of Whisper base: six layers each, decoder's with a second attention
    for name, value in tuning.factors.items():
        assert np.isfinite(value).all()
        assert value.shape[0 if name.endswith("lora_A") else 1] == rank
        variable_of(name.rpartition(".")[0])
    models = shipped_models()
    assert models is not None
    assert sum(path.stat().st_size for path in models.rglob("*") if path.is_file()) <= 40_000_000

"""The plain network that words are measured beside."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from osirix_agent.cli import main
from osirix_agent.errors import ModelError, PromptError
from osirix_agent.prompting.prompt import PointPrompt, TextPrompt
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.settings import Settings
from osirix_agent.training import peer
from osirix_agent.training.benchmark import chosen_segmenter
from osirix_agent.training.contouring import contoured, volume_of
from osirix_agent.training.evaluate import ROWS, evaluate
from osirix_agent.training.examples import draw
from osirix_agent.training.peer import PeerRecipe, PlainUnet, plain_losses, train_peer
from osirix_agent.training.phrases import ORGANS
from tests.tiny import DRAW
from tests.training.test_training import CASE, PLAIN

TINY = PeerRecipe(
    widths=(8, 8, 16, 16), steps=4, warm_up=1, cool_down=1, half=False,
    draw=DRAW.model_copy(update={"lesion_share": 0.0, "disguise_share": 0.0}),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("peer")
    train_peer(TINY, place / "work", place / "unet", "0", [CASE])
    return place / "unet"


def test_a_peer_is_as_large_as_what_answers_words_from_the_image():
    from osirix_agent.network.image import ImageEncoder

    with torch.device("meta"):
        theirs, ours = PlainUnet(PeerRecipe().widths, len(ORGANS)), ImageEncoder((32, 64, 128, 160), 8, 32)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (theirs, ours)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_only_what_is_known_of_the_patient_is_taught():
    example = draw(CASE, tuple(ORGANS), PLAIN, np.random.default_rng(0))
    network = PlainUnet(TINY.widths, len(ORGANS))
    loss = plain_losses(network, example, TINY, None, np.random.default_rng(0))["words"]
    loss.backward()
    by_organ = network.unet.output_block.conv.conv.bias.grad.reshape(len(ORGANS), 8).abs().sum(1)
    taught = {name for name, grad in zip(ORGANS, by_organ, strict=True) if grad > 0}
    assert taught == {"LeftParotid", "RightParotid"}


def test_a_stopped_run_goes_on_as_if_it_had_not(folder, tmp_path):
    train_peer(TINY.model_copy(update={"steps": 2, "cool_down": 0}), tmp_path / "work", tmp_path / "cut", "0", [CASE])
    train_peer(TINY, tmp_path / "work", tmp_path / "again", "0", [CASE])
    whole, again = (load_file(place / "weights.safetensors") for place in (folder, tmp_path / "again"))
    assert whole.keys() == again.keys()
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, atol=2e-3, rtol=2e-3)


def test_it_answers_names_and_nothing_else(folder):
    segmenter, volume = chosen_segmenter(f"unet:{folder}", Settings()), volume_of(CASE)
    asked = TextPrompt(phrase="Parotid_L")
    belief = segmenter.propose(SegmentationRequest(volume, "Parotid_L", (asked,)))
    again = segmenter.propose(SegmentationRequest(volume, "GTV", (asked,)))
    assert belief.shape_kji == CASE.image.shape
    assert np.array_equal(belief.mean_logit, again.mean_logit)
    with pytest.raises(PromptError):
        segmenter.propose(SegmentationRequest(volume, "GTV", ()))
    with pytest.raises(PromptError):
        segmenter.propose(SegmentationRequest(volume, "Parotid_L", (PointPrompt(position_lps=(90.0, 90.0, 60.0)),)))


def test_it_is_evaluated_on_words_sides_and_absence_alone(folder):
    segmenter = chosen_segmenter(f"unet:{folder}", Settings())
    done = evaluate(segmenter, [contoured(CASE, ORGANS)], ROWS)
    assert set(done.rows) == {"words", "side", "absent"}
    assert {row.structure for row in done.rows["words"]} == {"LeftParotid", "RightParotid"}


def test_a_folder_that_is_no_peer_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match=r"unet\.json"):
        chosen_segmenter(f"unet:{tmp_path}", Settings())


def test_the_command_hands_its_recipe_on(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(peer, "train_peer", lambda *arguments: seen.append(arguments))
    assert main(["train", "peer", "--work", str(tmp_path), "--out", str(tmp_path / "o"), "--steps", "7"]) == 0
    assert seen[0][0].steps == 7


@pytest.mark.slow
def test_a_tiny_peer_learns_one_phantom():
    torch.manual_seed(0)
    network = PlainUnet(TINY.widths, len(ORGANS))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    found = []
    for step in range(25):
        random = np.random.default_rng(step % 2)
        loss = plain_losses(network, draw(CASE, tuple(ORGANS), PLAIN, random), TINY, None, random)["words"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    assert np.median(found[-6:]) < 0.7 * found[0]

"""Training: what is drawn, what is simulated, and that it learns, resumes and can be repeated."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from osirix_agent.errors import ModelError
from osirix_agent.network.checkpoint import load_adapter, load_model
from osirix_agent.network.text import Phrase, Side
from osirix_agent.training.adapter import AdapterRecipe, train_adapter
from osirix_agent.training.base import add_text_lora, new_network, train_base
from osirix_agent.training.cases import Case
from osirix_agent.training.examples import LESION, DrawRecipe, draw
from osirix_agent.training.loop import on_cases, rate, run
from osirix_agent.training.losses import segmentation_loss
from osirix_agent.training.phrases import ORGANS, every_word, misheard, spoken
from osirix_agent.training.simulate import Session, rough
from osirix_agent.training.step import losses_of
from tests.tiny import RECIPE


def make_case(modality="CT"):
    shape = (40, 60, 64)
    k, j, i = np.ogrid[tuple(slice(0, n) for n in shape)]
    body = ((j - 30) / 26) ** 2 + ((i - 32) / 28) ** 2 < 1
    image = np.where(body & (k >= 0), 20, -1000).astype(np.int16)
    left = ((k - 20) / 6) ** 2 + ((j - 30) / 7) ** 2 + ((i - 46) / 6) ** 2 < 1
    right = ((k - 20) / 6) ** 2 + ((j - 30) / 7) ** 2 + ((i - 18) / 6) ** 2 < 1
    image[left | right] = 180
    bits = left.astype(np.uint16) << 1 | right.astype(np.uint16)
    return Case(
        "phantom", image, bits, ("RightParotid", "LeftParotid", None), (3.0, 3.0, 3.0), modality, "head and neck"
    )


CASE = make_case()
PLAIN = DrawRecipe(
    coarse_shape=(32, 48, 48), fine_shape=(32, 48, 48), coarse_spacing_mm=(4.0, 4.5), rotation_deg=0, stretch=0,
    flip_share=0, disguise_share=0, lesion_share=0, crop_share=0, coarse_share=1,
)  # fmt: skip


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_left_stays_on_the_left_whatever_is_drawn(flip):
    for seed in range(4):
        example = draw(CASE, tuple(ORGANS), PLAIN.model_copy(update={"flip_share": flip}), np.random.default_rng(seed))
        left, right = (np.argwhere(example.truths[s].numpy())[:, 2].mean() for s in ("LeftParotid", "RightParotid"))
        assert left > right  # i grows to the patient's left
        assert example.image.shape == (1, 2, 32, 48, 48)
        assert torch.isfinite(example.image).all()


def test_what_was_not_contoured_is_unknown_and_what_is_outside_is_absent():
    recipe = PLAIN.model_copy(
        update={"coarse_share": 0.0, "tall_share": 0.0, "fine_shape": (16, 16, 16), "fine_spacing_mm": (2.0, 2.2)}
    )
    seen = [draw(CASE, tuple(ORGANS), recipe, np.random.default_rng(n)).truths for n in range(12)]
    assert all("Mandible" not in truths for truths in seen)
    assert any(not truth.any() for truths in seen for truth in truths.values())


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_synthetic_lesions_are_seen_in_the_image(modality):
    recipe = PLAIN.model_copy(update={"lesion_share": 1.0, "disguise_share": 0.0})
    contrasts = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        truths = draw(make_case(modality), tuple(ORGANS), recipe, random).truths
        if LESION in truths:
            contrasts.append(int(truths[LESION].sum()))
    assert len(contrasts) >= 4
    assert min(contrasts) > 10


def test_an_image_cut_to_a_block_holds_the_lesion_and_no_organ_beyond_it():
    recipe = PLAIN.model_copy(update={"lesion_share": 1.0, "crop_share": 1.0, "lesion_radius_mm": (8.0, 12.0)})
    blank, lost = [], 0
    for seed in range(12):
        example = draw(CASE, tuple(ORGANS), recipe, np.random.default_rng(seed))
        beyond = (example.image[0, 1] <= -1.2).numpy()  # air, with noise
        blank.append(beyond.mean())
        for truth in example.truths.values():
            assert not (truth.numpy() & beyond).any()
        lost += sum(not truth.any() for name, truth in example.truths.items() if name != LESION)
    assert max(blank) > 0.5
    assert lost > 0


def test_a_simulated_click_is_marked_on_its_side():
    truth = np.zeros((16, 32, 32), bool)
    truth[5:10, 10:20, 12:22] = True
    random = np.random.default_rng(0)
    session = Session(truth)
    assert session.click(random, np.zeros_like(truth), jitter=0.5, wrong=0.0)
    session.box(random)
    session.lasso(random)
    session.scribble(random, np.zeros_like(truth))
    session.scribble(random, np.ones_like(truth))
    channels = session.channels(rough(truth, random), None)
    names = ("previous", "region+", "region-", "point+", "point-", "scribble+", "scribble-", "words")
    found = dict(zip(names, channels, strict=True))
    assert truth[np.unravel_index(int(found["point+"].argmax()), truth.shape)]
    assert not found["region-"].any()
    assert (found["scribble+"].numpy() > 0)[~truth].sum() == 0
    assert (found["scribble-"].numpy() > 0)[truth].sum() == 0
    assert float(channels.max()) <= 1.0 + 1e-6
    assert not session.click(random, truth, 0.0, 0.0)  # nothing is wrong


def test_the_loss_is_least_for_the_truth_and_large_for_a_false_alarm():
    truth = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    truth[0, 2:5, 2:5, 2:5] = True
    right = torch.where(truth, 8.0, -8.0)
    assert float(segmentation_loss(right, truth)) < 0.05
    assert float(segmentation_loss(-right, truth)) > 5
    alarm = right.clone()
    alarm[1, :4] = 8.0
    assert float(segmentation_loss(alarm, truth)) > 1


def test_a_tumour_that_fills_much_of_the_grid_is_not_left_out_for_safety():
    truth = torch.zeros(1, 16, 16, 16, dtype=torch.bool)
    truth[0, 2:14, 2:14, 2:14] = True  # two fifths of the grid
    guess = torch.zeros(1, 16, 16, 16, requires_grad=True)
    segmentation_loss(guess, truth).backward()
    assert float(guess.grad[truth].mean()) < 0 < float(guess.grad[~truth].mean())
    assert float(guess.grad[~truth].mean()) < 1.5 * float(-guess.grad[truth].mean())


def test_phrases_keep_their_side_however_misheard():
    random = np.random.default_rng(0)
    for _ in range(200):
        assert Phrase.read(spoken("LeftParotid", random)).side is Side.LEFT
        assert Phrase.read(spoken("RightParotid", random)).side is Side.RIGHT
    assert any(misheard("left parotid", np.random.default_rng(n)) != "left parotid" for n in range(60))
    assert any("parotid" in text for text in every_word())


def test_the_rate_warms_up_and_cools_down():
    recipe = RECIPE.model_copy(update={"steps": 100, "warm_up": 10, "cool_down": 20})
    assert rate(0, recipe) == pytest.approx(0.1)
    assert rate(50, recipe) == 1
    assert rate(90, recipe) == pytest.approx(0.5)


def losses(folder, steps, encoder, **changes):
    """TensorBoard is not read: the averaged state tells two runs apart to the last bit."""
    recipe = RECIPE.model_copy(update={"steps": steps, **changes})
    network = new_network(recipe, encoder)
    add_text_lora(network, recipe.text_lora_rank)
    trained = [p for p in network.parameters() if p.requires_grad]
    return run(recipe, network, trained, on_cases(recipe, network, [CASE], recipe.structures), folder)


def test_a_recipe_repeats_itself_to_the_bit(tiny_encoder, tmp_path):
    a, b = (losses(tmp_path / name, 3, tiny_encoder) for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)
    c = losses(tmp_path / "c", 3, tiny_encoder, seed=5)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_a_run_that_stopped_goes_on_as_if_it_had_not(tiny_encoder, tmp_path):
    whole = losses(tmp_path / "whole", 4, tiny_encoder, cool_down=1)
    losses(tmp_path / "cut", 2, tiny_encoder, cool_down=0)  # a cut: full rate to its end
    again = losses(tmp_path / "cut", 4, tiny_encoder, cool_down=1)
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, atol=1e-6, rtol=1e-5)


def test_a_base_and_an_adapter_come_out_whole(tiny_encoder, tmp_path):
    train_base(RECIPE, tiny_encoder, tmp_path / "work", tmp_path / "base", "0.1", [CASE])
    model = load_model(tmp_path / "base")
    assert "Parotid_L" in model.description.structures
    further = RECIPE.model_copy(update={"learning_rate": 1e-9})  # hardly moves: it must begin where the base ended
    train_base(further, tmp_path / "base", tmp_path / "more", tmp_path / "further", "0.2", [CASE])
    more = load_model(tmp_path / "further").network.state_dict()
    for name, value in model.network.state_dict().items():
        torch.testing.assert_close(more[name], value, atol=2e-3, rtol=2e-3)
    recipe = AdapterRecipe(
        name="parotid", data="openkbp", structures=("LeftParotid",), serves=("Parotid",), rank=2, alpha=4, steps=2,
        draw=RECIPE.draw, half=False,
    )  # fmt: skip
    train_adapter(recipe, tmp_path / "base", tmp_path / "lora", tmp_path / "adapter", "0.1", [CASE])
    described, tensors = load_adapter(tmp_path / "adapter", model.digest)
    assert described.serves == ("Parotid",)
    assert any(value.abs().sum() > 0 for name, value in tensors.items() if "lora_B" in name)
    at_rest = recipe.model_copy(update={"learning_rate": 1e-9, "seed": 5})  # which draws other factors
    begun = {"cases": [CASE], "further": tmp_path / "adapter"}
    train_adapter(at_rest, tmp_path / "base", tmp_path / "lora-more", tmp_path / "again", "0.2", **begun)
    for name, value in load_adapter(tmp_path / "again", model.digest)[1].items():
        torch.testing.assert_close(value, tensors[name], atol=1e-4, rtol=2e-3)
    assert json.loads((tmp_path / "again" / "recipe.json").read_text())["begun"]
    with pytest.raises(ModelError, match="began from other weights"):
        train_adapter(at_rest, tmp_path / "base", tmp_path / "lora", tmp_path / "again", "0.2", **begun)
    wider = recipe.model_copy(update={"rank": 4})
    with pytest.raises(ModelError, match=r"rank 2 \(alpha 4\), the recipe 4 \(4\)"):
        train_adapter(wider, tmp_path / "base", tmp_path / "lora-wider", tmp_path / "wider", "0.2", **begun)


@pytest.mark.slow
def test_a_tiny_network_learns_one_phantom(tiny_encoder):
    plain = PLAIN.model_copy(update={"coarse_shape": (32, 48, 48), "coarse_spacing_mm": (4.0, 4.01)})
    recipe = RECIPE.model_copy(update={"draw": plain, "seed": 3, "prompted_share": 0.0})
    network = new_network(recipe, tiny_encoder)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    found = []
    for step in range(25):
        random = np.random.default_rng(step % 2)
        loss = losses_of(network, draw(CASE, recipe.structures, plain, random), recipe, None, random)["words"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        found.append(float(loss.detach()))
    assert np.median(found[-6:]) < 0.7 * found[0]


@pytest.mark.slow
def test_two_processes_train_one_network(tiny_encoder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m",
         "tests.training.two_processes", str(tiny_encoder), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    a, b = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    alone = load_file(tmp_path / "work" / "average.safetensors")
    assert a.keys() == alone.keys()

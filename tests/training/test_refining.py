"""The refiner's training: what it learns from, and that it learns, can be repeated and is then used."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import SettingsError
from osirix_agent.network.refiner import FOLDER, Refiner
from osirix_agent.prompting.prompt import TextPrompt
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.refining import knows
from osirix_agent.training import refining
from osirix_agent.training.contouring import Contoured, contoured
from osirix_agent.training.examples import LESION
from osirix_agent.training.refining import Lesson, RefinerRecipe, drawn, familiar, lessons, refining_loss, train_refiner
from osirix_agent.training.staging import Stage, Staging
from tests.tiny import write_model
from tests.training.test_training import CASE

RECIPE = RefinerRecipe(
    steps=3, warm_up=1, cool_down=1, widths=(8, 8, 8), crops=2, crop=(16, 16, 16), structures=("LeftParotid",),
    half=False,
)  # fmt: skip


def image():
    return contoured(CASE, ("LeftParotid",))


def right(named=True):
    """A lesson whose answer was right already."""
    one = image()
    truth = one.truths["LeftParotid"]
    low, high = np.argwhere(truth).min(0) - 1, np.argwhere(truth).max(0) + 2
    crop = truth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    belief = Belief(np.where(crop, 2.0, -2.0).astype(np.float32), tuple(map(int, low)), truth.shape, "test")
    prompts = (TextPrompt(phrase="Parotid_L"),) if named else ()
    stage = Stage("1", "LeftParotid", 0, SegmentationRequest(one.volume, "Parotid_L", prompts), belief, truth)
    return Lesson(stage, refining._truth(truth, refining._seen(stage)))


@pytest.mark.parametrize("seed", range(8))
def test_the_answer_the_truth_and_the_image_stay_together(seed):
    channels, truth, _, spacing = drawn(right(), RECIPE, np.random.default_rng(seed))
    assert channels.shape[1:] == truth.shape
    assert ((channels[0] > 0) == (truth > 0)).float().mean() > 0.97  # but for the border that a zoom moves
    inside, beside = (channels[3][truth == v].median() for v in (1, 0))
    assert inside > beside  # the phantom's parotid is brighter
    assert spacing.shape == (3,)
    assert torch.isfinite(channels).all()


def test_a_name_is_told_where_it_was_asked_for_and_sometimes_kept_back():
    random = np.random.default_rng(0)
    told = [drawn(right(), RECIPE.model_copy(update={"nameless": 0.5}), random)[2] for _ in range(40)]
    assert set(told) == {"Parotid_L", None}
    assert drawn(right(named=False), RECIPE, random)[2] is None


class Sure:
    """Finds the parotid in the middle of every image; counts how often it is asked."""

    capabilities = Capabilities(text=True, structures=("Parotid_L",))
    name = "sure"
    asked = 0

    def propose(self, request):
        self.asked += 1
        shape = request.volume.geometry.shape_kji
        return Belief(np.full((5, 5, 5), 2.0, np.float32), tuple(n // 2 for n in shape), shape, self.name)


def test_lessons_are_from_names_from_boxes_and_of_what_is_not_there_and_worked_out_once(tmp_path, monkeypatch):
    monkeypatch.setattr("osirix_agent.training.probes.GAP_MM", 3.0)
    monkeypatch.setattr("osirix_agent.training.probes.LEAST_MM", 6.0)
    sure = Sure()
    found = lessons(Staging(sure, tmp_path), [image()], 1)
    shapes = [lesson for lesson in found if lesson.stage.structure == LESION]
    assert {lesson.stage.clicks for lesson in shapes} == {0, 1, 2, 5}
    assert not any(lesson.named for lesson in shapes)
    found = [lesson for lesson in found if lesson.stage.structure != LESION]
    present = {(lesson.named, lesson.stage.clicks) for lesson in found if lesson.truth.any()}
    assert present == {(named, clicks) for named in (True, False) for clicks in (0, 1, 2, 5)}
    assert [(lesson.named, lesson.stage.clicks) for lesson in found if not lesson.truth.any()] == [(True, 0)]
    before = sure.asked
    assert len(lessons(Staging(sure, tmp_path), [image()], 1)) == len(found) + len(shapes)
    assert sure.asked == before


def test_it_learns_by_how_much_an_answer_is_too_small():
    lesson = right()
    short = lesson.stage.belief.mean_logit.copy()
    short[: short.shape[0] // 2] = -2.0  # the lower half is missing
    stage = lesson.stage
    stage = Stage("1", stage.structure, 0, stage.request, Belief(short, stage.belief.corner_kji,
                  stage.belief.shape_kji, "test"), stage.truth)  # fmt: skip
    missing = Lesson(stage, refining._truth(stage.truth, refining._seen(stage)))
    torch.manual_seed(0)
    refiner, random = Refiner(("Parotid",), (8, 16, 16)), np.random.default_rng(0)
    recipe = RECIPE.model_copy(update={"crop": (40, 40, 40)})
    optimiser, losses = torch.optim.Adam(refiner.parameters(), 0.01), []
    for _ in range(60):
        channels, truth, name, spacing = drawn(missing, recipe, random)
        loss = refining_loss(
            refiner(channels[None], torch.tensor([refiner.index_of(name or "")]), spacing[None])[0], truth
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.5 * losses[0]


def test_what_was_trained_is_used_and_can_be_repeated(tiny_encoder, tmp_path):
    base = write_model(tmp_path / "base", tiny_encoder)
    for name in ("first", "second"):
        train_refiner(RECIPE, tmp_path, base, tmp_path / "work" / name, tmp_path / name, "1", images=[image()])
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("first", "second"))
    assert first == second
    train_refiner(RECIPE, tmp_path, base, tmp_path / "work" / "first", base / FOLDER, "1", images=[image()])
    segmenter = VisionLanguageSegmenter(base)
    assert "refined by organs 1 (" in segmenter.name
    request = SegmentationRequest(image().volume, "Parotid_L", (TextPrompt(phrase="Parotid_L"),))
    assert segmenter.propose(request).source == segmenter.name


def test_nothing_to_learn_from_is_said(tiny_encoder, tmp_path):
    base = write_model(tmp_path / "base", tiny_encoder)
    empty = Contoured("1 CT", image().volume, {})
    with pytest.raises(SettingsError, match="nothing to learn") as caught:
        train_refiner(RECIPE, tmp_path, base, tmp_path / "work", tmp_path / "out", "1", images=[empty])
    assert caught.value.cure
    assert not (tmp_path / "out").exists()


def test_images_unlike_those_it_learnt_from_are_told_apart():
    random, lesson = np.random.default_rng(0), right()
    held = [
        Lesson(replace(lesson.stage, patient=str(n), description=random.normal(3.0, 1.0, 6)), lesson.truth)
        for n in range(30)
    ]
    gallery, reach = familiar(held)
    refiner = Refiner((), (8, 8, 8), gallery.model_dump(), reach)
    assert knows(refiner, np.full(6, 3.0))
    assert not knows(refiner, np.full(6, 9.0))
    assert not knows(refiner, np.full(6, np.nan))
    assert familiar(held[:5]) == (None, 0.0)
    assert knows(Refiner((), (8, 8, 8)), np.full(6, 9.0))

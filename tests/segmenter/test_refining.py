"""A refiner at the volume's own voxels: what it sees, where it is asked, and what holds whatever it says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import ModelError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.model_folder import write_sums
from osirix_agent.network.refiner import CHANNELS, DESCRIPTION, FOLDER, STRIDE, Refiner
from osirix_agent.prompting.prompt import Polarity, TextPrompt
from osirix_agent.segmenter import local
from osirix_agent.segmenter.local import VisionLanguageSegmenter, on_volume
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.refining import marks_of, refined, see, without_core
from osirix_agent.segmenter.seeds import read_marks
from osirix_agent.training.clicks import next_click
from tests.segmenter.test_contract import CENTRE, OBLIQUE, TRUTH, VOLUME, box, make_volume, point
from tests.tiny import write_model, write_refiner

UPRIGHT = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def ask(segmenter, *prompts, structure="Structure", volume=VOLUME, **options):
    return segmenter.propose(SegmentationRequest(volume, structure, prompts, **options))


def about(truth, volume):
    """A belief that is right, in a box with a voxel of border."""
    held = np.argwhere(truth)
    low, high = held.min(0) - 1, held.max(0) + 2
    crop = truth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return Belief(np.where(crop, 3.0, -3.0).astype(np.float32), tuple(map(int, low)), truth.shape, "test")


def same(a, b):
    return a.corner_kji == b.corner_kji and np.array_equal(a.mean_logit, b.mean_logit)


def test_what_has_learnt_nothing_changes_nothing(tiny_encoder, tmp_path):
    base = write_model(tmp_path / "base", tiny_encoder)
    write_refiner(base)
    with_it, without = VisionLanguageSegmenter(base), VisionLanguageSegmenter(base, refine=False)
    assert same(ask(with_it, box(), point(CENTRE)), ask(without, box(), point(CENTRE)))


@pytest.mark.parametrize("seed", range(3))
def test_a_clicked_voxel_ends_on_its_right_side_whatever_the_refiner_says(refined_segmenter, seed):
    prompts, clicks = [box()], []
    for _ in range(4):
        mask = ask(refined_segmenter, *prompts).mask()
        for click in clicks:
            assert mask[click.kji] == click.include
        click = next_click(TRUTH, mask, seed)
        clicks = [*(c for c in clicks if c.kji != click.kji), click]
        prompts.append(point(click.kji, "include" if click.include else "exclude"))


def test_it_is_asked_for_organs_on_axial_ct_alone(refined_segmenter, tiny_models):
    plain = VisionLanguageSegmenter(tiny_models / "base")  # of the same seed
    given = box(), point(CENTRE)
    assert not same(ask(refined_segmenter, *given), ask(plain, *given))
    assert not same(ask(refined_segmenter, *given, structure="Parotid_L"), ask(plain, *given, structure="Parotid_L"))
    assert same(ask(refined_segmenter, *given, structure="GTVp"), ask(plain, *given, structure="GTVp"))
    mr = replace(VOLUME, modality="MR")
    assert same(ask(refined_segmenter, *given, volume=mr), ask(plain, *given, volume=mr))
    tilted, _ = make_volume(cosines=OBLIQUE)
    there = box(tilted), point(CENTRE, volume=tilted)
    assert same(ask(refined_segmenter, *there, volume=tilted), ask(plain, *there, volume=tilted))


def test_what_words_take_away_is_not_refined(refined_segmenter, tiny_models):
    plain = VisionLanguageSegmenter(tiny_models / "base")
    given = box(), point(CENTRE), TextPrompt(phrase="Parotid_L", polarity=Polarity.EXCLUDE)
    assert same(ask(refined_segmenter, *given), ask(plain, *given))


def test_an_answer_of_nothing_stays_nothing(refined_segmenter):
    belief = Belief(np.full((3, 3, 3), -4.0, np.float32), (2, 2, 2), VOLUME.array.shape, "test")
    assert see(belief, VOLUME, ()) is None


def test_an_answer_too_large_is_left_as_it_is(refined_segmenter, tiny_models, monkeypatch):
    monkeypatch.setattr("osirix_agent.segmenter.refining.LARGEST_VOXELS", 1000)
    given = box(), point(CENTRE)
    assert same(ask(refined_segmenter, *given), ask(VisionLanguageSegmenter(tiny_models / "base"), *given))


def test_what_is_unlikely_and_far_off_keeps_nothing_from_being_refined(monkeypatch):
    near = about(TRUTH, VOLUME)
    logit = np.full(VOLUME.array.shape, -5.0, np.float32)
    logit[near.region] = near.mean_logit
    for corner in ((0, 0, 0), tuple(n - 1 for n in logit.shape)):
        logit[corner] = -2.0
    wide = Belief(logit, (0, 0, 0), logit.shape, "test")
    refiner = Refiner(("Parotid",), (8, 8, 8)).eval().requires_grad_(False)
    torch.nn.init.constant_(refiner.change.bias, 0.5)
    alone = see(near, VOLUME, ())
    assert alone is not None
    monkeypatch.setattr("osirix_agent.segmenter.refining.LARGEST_VOXELS", alone.channels[0].numel())
    seen = see(wide, VOLUME, ())
    assert seen is not None
    found, box = refined(wide, seen, refiner, "")
    assert box == tuple((0, n) for n in logit.shape)  # nothing is lost
    part = tuple(slice(max(a, 0), b) for a, b in seen.box)
    assert found[part] == pytest.approx(logit[part] + 0.5)
    assert found[0, 0, 0] == found[-1, -1, -1] == -2.0


def test_an_organ_has_a_sure_core():
    logit = np.full((10, 20, 20), -8.0, np.float32)
    logit[4:6, 5:15, 5:15] = 3.0  # 200 voxels of 27 mm3: 5.4 cm3
    assert not without_core(logit, 27.0)
    assert without_core(logit, 3.0)  # 0.6 cm3
    assert without_core(np.minimum(logit, 1.0), 27.0)
    assert without_core(np.full((2, 2, 2), 1.0, np.float32), 1.0)  # smaller than a core


def test_words_that_find_next_to_nothing_find_nothing_until_she_clicks(refined_segmenter, monkeypatch):
    words = TextPrompt(phrase="Parotid_L")
    monkeypatch.setattr(local, "on_volume", lambda *given: on_volume(*given) + 9.0)  # untaught, it finds nothing
    monkeypatch.setattr("osirix_agent.segmenter.refining.CORE_LOGIT", -np.inf)
    before = ask(refined_segmenter, words, structure="Parotid_L")
    clicked = ask(refined_segmenter, words, point(CENTRE), structure="Parotid_L")
    assert before.crop_mask.any()
    monkeypatch.setattr("osirix_agent.segmenter.refining.CORE_LOGIT", np.inf)
    assert not ask(refined_segmenter, words, structure="Parotid_L").crop_mask.any()
    assert same(ask(refined_segmenter, words, point(CENTRE), structure="Parotid_L"), clicked)


def test_it_sees_the_answer_the_image_and_the_marks_where_they_are():
    belief, click = about(TRUTH, VOLUME), (CENTRE[0], CENTRE[1] + 2, CENTRE[2] - 3)
    request = SegmentationRequest(VOLUME, "Structure", (box(), TextPrompt(phrase="Parotid_L"), point(click, "exclude")))
    seen = see(belief, VOLUME, marks_of(request))
    assert seen.blocks == (1, 1, 1)
    assert all(n % STRIDE == 0 for n in seen.channels.shape[1:])
    start = [a for a, _ in seen.box]
    logit = seen.channels[CHANNELS.index("logit")].numpy()
    held = np.argwhere(logit > 0) + start
    assert {tuple(v) for v in held} == {tuple(v) for v in np.argwhere(TRUTH)}
    wide = 1000 * seen.channels[CHANNELS.index("wide")].numpy()
    at = tuple(np.array(CENTRE) - start)
    assert wide[at] == pytest.approx(VOLUME.array[CENTRE], abs=1e-3)
    excluded = seen.channels[CHANNELS.index("point-")]
    assert tuple(np.unravel_index(int(excluded.argmax()), excluded.shape) + np.array(start)) == click
    assert excluded.max() == 1.0  # the newest
    region = seen.channels[CHANNELS.index("region+")]
    assert 0.9 < float(region.max()) < 1.0  # older
    assert set(np.argwhere(region.numpy() > 0)[:, 0] + start[0]) == {CENTRE[0]}


def test_finer_voxels_are_seen_in_blocks_and_changed_smoothly():
    spacing = (1.0, 0.98, 0.98)
    shape = (60, 90, 96)
    truth = np.zeros(shape, np.bool_)
    truth[20:41, 30:61, 33:64] = True
    image = np.where(truth, 60.0, 0.0).astype(np.float32)
    volume = Volume(image, Geometry(shape, (0.0, 0.0, 0.0), spacing, UPRIGHT), "CT")
    belief = about(truth, volume)
    seen = see(belief, volume, ())
    assert seen.blocks == (3, 3, 3)
    assert seen.spacing_mm.tolist() == pytest.approx([3.0, 2.94, 2.94])

    class Ramp(Refiner):
        def forward(self, channels, _names, _spacing):
            return 4 * channels[:, 0] + torch.arange(channels.shape[-1], dtype=torch.float32)

    logit, where = refined(belief, seen, Ramp((), (8, 8, 8)), "")
    crop = tuple(slice(s.start - a, s.stop - a) for s, (a, _) in zip(belief.region, where, strict=True))
    voxels = np.arange(belief.region[2].start, belief.region[2].stop)
    assert np.allclose(logit[crop], belief.mean_logit + (voxels - seen.box[2][0] + 0.5) / 3 - 0.5, atol=1e-4)
    assert all(0 <= a < b <= n for (a, b), n in zip(where, shape, strict=True))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_order_of_voxels_does_not_matter(axis):
    torch.manual_seed(0)
    refiner = Refiner(("Parotid",), (8, 8, 8)).eval()
    torch.nn.init.normal_(refiner.change.weight, std=0.5)
    spacing, shape = (3.0, 4.0, 4.0), VOLUME.array.shape
    volume = Volume(VOLUME.array, Geometry(shape, (0.0, 0.0, 0.0), spacing, UPRIGHT), "CT")
    last = [0, 0, 0]
    last[axis] = shape[axis] - 1
    axes = tuple(tuple(-v for v in a) if n == axis else a for n, a in enumerate(UPRIGHT))
    origin = tuple(float(v) for v in volume.geometry.to_lps(last))
    turned = Volume(np.ascontiguousarray(np.flip(VOLUME.array, axis)), Geometry(shape, origin, spacing, axes), "CT")
    found = []
    at_turned = tuple(last[axis] - c if n == axis else c for n, c in enumerate(CENTRE))
    for one, truth, at in ((volume, TRUTH, CENTRE), (turned, np.ascontiguousarray(np.flip(TRUTH, axis)), at_turned)):
        belief = about(truth, one)
        click = point(at, volume=one)
        with torch.inference_mode():
            logit, where = refined(belief, see(belief, one, [read_marks(one, (click,))]), refiner, "Parotid_L")
        full = np.zeros(shape, np.float32)
        full[tuple(slice(a, b) for a, b in where)] = logit
        found.append(full)
    assert np.abs(found[0]).max() > 3.1  # it changed something
    assert np.allclose(found[0], np.flip(found[1], axis), atol=1e-4)


def test_a_structure_goes_by_its_name_without_a_side():
    refiner = Refiner(("Brainstem", "Parotid"), (8, 8, 8))
    assert refiner.index_of("Parotid_L") == refiner.index_of("Parotid_R") == 1
    assert refiner.index_of("Liver") == refiner.index_of("") == 2


def test_its_name_is_part_of_what_the_answer_comes_from(refined_segmenter):
    assert "refined by tiny-refiner 0 (" in refined_segmenter.name
    assert ask(refined_segmenter, point(CENTRE)).source == refined_segmenter.source_for("Structure")


@pytest.mark.parametrize("how", ["another base", "altered", "newer", "misfit"])
def test_a_refiner_that_does_not_belong_is_refused(tiny_encoder, tmp_path, how):
    base = write_model(tmp_path / "base", tiny_encoder)
    folder = write_refiner(base)
    described = json.loads((folder / DESCRIPTION).read_text())
    if how == "altered":
        (folder / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes()[:-1] + b"\x01")
    else:
        change = {"another base": {"base": "0" * 64}, "newer": {"format": 99}, "misfit": {"widths": [16, 8, 8]}}[how]
        (folder / DESCRIPTION).write_text(json.dumps(described | change))
        write_sums(folder)
    what = {"another base": "another base", "altered": "not the one", "newer": "format 99", "misfit": "do not fit"}[how]
    with pytest.raises(ModelError, match=what) as caught:
        VisionLanguageSegmenter(base)
    assert caught.value.cure
    VisionLanguageSegmenter(base, refine=False)
    assert (base / FOLDER).is_dir()

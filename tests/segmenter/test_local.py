"""The model's segmenter: what holds whatever its weights are. (The model here has random ones.)"""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from osirix_agent.errors import ModelError, PromptError, SettingsError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.model_folder import shipped_models
from osirix_agent.prompting.prompt import MaskPrompt, PointPrompt, Polarity, TextPrompt
from osirix_agent.segmenter.choice import make_segmenter, model_folders, plain_segmenter
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.protocol import FixedSlice, LooksAhead, SegmentationRequest
from osirix_agent.settings import Settings
from osirix_agent.training.clicks import next_click
from tests.segmenter.test_contract import CENTRE, TRUTH, VOLUME, box, lasso, make_volume, point, propose
from tests.tiny import write_adapter


@pytest.mark.parametrize("seed", range(3))
def test_a_clicked_voxel_ends_on_its_right_side(tiny_segmenter, seed):
    prompts, clicks = [box()], []
    for _ in range(4):
        mask = propose(tiny_segmenter, *prompts).mask()
        for click in clicks:
            assert mask[click.kji] == click.include
        click = next_click(TRUTH, mask, seed)
        clicks = [*(c for c in clicks if c.kji != click.kji), click]
        prompts.append(point(click.kji, "include" if click.include else "exclude"))


def test_the_answer_does_not_depend_on_what_was_asked_before(tiny_models):
    prompts = [point(CENTRE), point((CENTRE[0], 10, 10), "exclude"), point((CENTRE[0] + 1, *CENTRE[1:]))]
    fresh, used = (VisionLanguageSegmenter(tiny_models / "base") for _ in range(2))
    for count in (1, 2, 1):
        propose(used, *prompts[:count])
    propose(used, point((3, 40, 40)))
    a, b = propose(fresh, *prompts), propose(used, *prompts)
    assert np.array_equal(a.mean_logit, b.mean_logit)
    assert a.corner_kji == b.corner_kji


@pytest.mark.parametrize("count", [8, 9, 11])
def test_many_clicks_live_and_asked_for_at_once_give_the_same(tiny_models, count):
    held = np.argwhere(TRUTH)
    prompts = [box(), *(point(tuple(held[n])) for n in np.random.default_rng(1).integers(0, len(held), count - 1))]
    live, fresh = (VisionLanguageSegmenter(tiny_models / "base") for _ in range(2))
    for n in range(1, count):
        propose(live, *prompts[:n])
    assert np.array_equal(propose(live, *prompts).mean_logit, propose(fresh, *prompts).mean_logit)


def test_an_outline_to_start_from_counts_for_a_known_name_too(tiny_segmenter):
    start = MaskPrompt(slices=(lasso(), lasso(CENTRE[0] + 1)))
    words, refined = (
        tiny_segmenter.propose(SegmentationRequest(VOLUME, "Parotid_L", prompts)) for prompts in ((), (start,))
    )
    assert words.mean_logit.shape != refined.mean_logit.shape or not np.array_equal(
        words.mean_logit, refined.mean_logit
    )


def test_words_it_was_not_taught_are_refused(tiny_segmenter):
    with pytest.raises(PromptError, match="has not learnt") as caught:
        propose(tiny_segmenter, point(CENTRE), TextPrompt(phrase="Liver"))
    assert caught.value.cure


def test_the_order_of_slices_does_not_matter(tiny_segmenter):
    turned = Volume(
        np.ascontiguousarray(VOLUME.array[::-1]),
        Geometry(
            VOLUME.geometry.shape_kji,
            tuple(VOLUME.geometry.to_lps((len(VOLUME.array) - 1, 0, 0))),
            VOLUME.geometry.spacing_kji_mm,
            (tuple(-v for v in VOLUME.geometry.axes_lps[0]), *VOLUME.geometry.axes_lps[1:]),
        ),
        "CT",
    )
    here = PointPrompt(position_lps=tuple(VOLUME.geometry.to_lps(CENTRE)))
    a = propose(tiny_segmenter, here).mask()
    b = propose(tiny_segmenter, here, volume=turned).mask()[::-1]
    assert (a != b).mean() < 0.002


def test_a_known_name_places_the_structure_and_an_unknown_one_does_not(tiny_segmenter):
    request = SegmentationRequest(VOLUME, "Parotid_L", ())
    assert tiny_segmenter.propose(request).shape_kji == VOLUME.array.shape
    with pytest.raises(PromptError, match="Nothing says yet"):
        tiny_segmenter.propose(SegmentationRequest(VOLUME, "Liver", ()))


def test_excluded_words_take_away(tiny_segmenter):
    before = propose(tiny_segmenter, point(CENTRE), box())
    said = TextPrompt(phrase="Parotid_L", polarity=Polarity.EXCLUDE)
    after = propose(tiny_segmenter, point(CENTRE), box(), said)
    assert not (after.mask() & ~before.mask()).any()
    assert after.mask()[CENTRE]  # a click overrules words


def test_an_adapter_answers_for_the_structures_it_serves(tiny_models, tiny_segmenter):
    bare = VisionLanguageSegmenter(tiny_models / "base")
    same = [propose(s, point(CENTRE)).mean_logit for s in (bare, tiny_segmenter)]  # "GTV": the adapter's
    assert same[0].shape != same[1].shape or not np.array_equal(*same)
    requests = SegmentationRequest(VOLUME, "Parotid_L", ())
    assert np.array_equal(bare.propose(requests).mean_logit, tiny_segmenter.propose(requests).mean_logit)
    assert "tiny-gtv" in tiny_segmenter.name


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_images_without_sense_are_survived(tiny_segmenter, value, modality):
    array = np.full(VOLUME.array.shape, value, np.float32)
    volume = Volume(array, VOLUME.geometry, modality)
    belief = propose(tiny_segmenter, box(), point((CENTRE[0], 3, 3), "exclude"), volume=volume)
    assert np.isfinite(belief.mean_logit).all()


@pytest.mark.parametrize("spacing", [(0.3, 0.3, 0.3), (10.0, 10.0, 10.0), (10.0, 0.3, 0.3)])
def test_extreme_spacing_gives_an_answer(tiny_segmenter, spacing):
    shape = VOLUME.array.shape
    geometry = Geometry(shape, (0.0, 0.0, 0.0), spacing, VOLUME.geometry.axes_lps)
    volume = Volume(VOLUME.array, geometry, "CT")
    belief = propose(tiny_segmenter, point(CENTRE, volume=volume), volume=volume)
    assert belief.mask()[CENTRE]


def test_two_thousand_prompts_are_answered(tiny_segmenter):
    random = np.random.default_rng(0)
    held = np.argwhere(TRUTH)
    prompts = [point(tuple(held[n])) for n in random.integers(0, len(held), 2000)]
    assert propose(tiny_segmenter, *prompts).mask()[TRUTH].mean() > 0.5


def test_a_volume_beyond_bounds_is_refused(tiny_models, monkeypatch):
    monkeypatch.setattr("osirix_agent.segmenter.local.LARGEST_VOXELS", 1000)
    with pytest.raises(Exception, match="million voxels"):
        propose(VisionLanguageSegmenter(tiny_models / "base"), point(CENTRE))


def test_settings_choose_the_segmenter(tiny_models, monkeypatch, tmp_path):
    assert make_segmenter(Settings(segmenter="model", model_dir=tiny_models, device="cpu")).name.startswith("tiny 0")
    assert isinstance(make_segmenter(Settings(segmenter="auto", model_dir=tiny_models, device="cpu")), LooksAhead)
    monkeypatch.setattr("osirix_agent.segmenter.choice.can_run_model", lambda: False)
    assert make_segmenter(Settings(segmenter="auto", model_dir=tiny_models)).name.startswith("classical")
    for settings, error, what in (
        (Settings(segmenter="model", model_dir=tiny_models), SettingsError, "not installed"),
        (Settings(segmenter="other"), SettingsError, "no segmenter 'other'"),
    ):
        with pytest.raises(error, match=what) as caught:
            make_segmenter(settings)
        assert caught.value.cure
    with pytest.raises(ModelError, match="holds no model"):
        model_folders(tmp_path)


def test_auto_takes_the_model_for_what_it_was_made_for(tiny_models):
    chosen = make_segmenter(Settings(segmenter="auto", model_dir=tiny_models, device="cpu"))
    click = point(CENTRE)
    for structure, source in (("Parotid_L", "tiny"), ("GTVp", "tiny"), ("Liver", "classical")):
        assert chosen.propose(SegmentationRequest(VOLUME, structure, (click,))).source.startswith(source)
    words = TextPrompt(phrase="Parotid_L")
    assert chosen.propose(SegmentationRequest(VOLUME, "Parotid_R", (words,))).source.startswith("tiny")
    assert chosen.name.startswith("auto: tiny")


def test_auto_leaves_to_the_classical_segmenter_what_an_adapter_does_worse(tiny_models, tmp_path):
    shutil.copytree(tiny_models / "base", tmp_path / "base")
    write_adapter(tmp_path / "second", tmp_path / "base", leads=False)
    for name, source in (("auto", "classical"), ("model", "tiny-gtv")):
        chosen = plain_segmenter(Settings(segmenter=name, model_dir=tmp_path, device="cpu"))
        belief = chosen.propose(SegmentationRequest(VOLUME, "GTVp", (point(CENTRE),)))
        assert belief.source.startswith(source)
        if name == "auto":
            assert chosen.source_for("GTVp") == belief.source


def test_a_joined_adapter_answers_with_the_mean_of_its_log_odds_and_the_classical_segmenters(
    tiny_models, joined_segmenter, tmp_path
):
    adapter = write_adapter(tmp_path, tiny_models / "base", strength=0.02)  # the same factors
    alone = VisionLanguageSegmenter(tiny_models / "base", (adapter,))
    prompts = (box(), point(CENTRE))
    request = SegmentationRequest(VOLUME, "GTVp", prompts, (FixedSlice(k=CENTRE[0] + 2, rings_lps=()),))
    found, *parts = (s.propose(request) for s in (joined_segmenter, alone, ClassicalSegmenter()))
    mean = np.mean([logits(part).clip(-6, 6) for part in parts], axis=0)
    held = np.zeros(mean.shape, np.bool_)
    held[found.region] = True
    np.testing.assert_allclose(logits(found)[held], mean[held], atol=1e-5)
    assert mean[~held].max() < -5  # what is left out is outside
    assert found.mask_digest not in {part.mask_digest for part in parts}
    assert found.mask()[CENTRE]
    assert not found.mask()[CENTRE[0] + 2].any()
    assert found.source == f"{alone.source_for('GTVp')} joined with classical 1"
    assert found.source == joined_segmenter.source_for("GTVp") == joined_segmenter.sources[1]
    taken = TextPrompt(phrase="Parotid_L", polarity=Polarity.EXCLUDE)  # the classical segmenter hears of no words
    unjoined = joined_segmenter.propose(replace(request, prompts=(*prompts, taken))).source
    assert unjoined == alone.source_for("GTVp")
    assert unjoined in joined_segmenter.sources
    assert "joined with classical 1" in joined_segmenter.name


def logits(belief):
    whole = np.full(belief.shape_kji, -6, np.float32)
    whole[belief.region] = belief.mean_logit
    return whole


@pytest.mark.parametrize("device", ["cuda", "mps", "quantum"])
def test_a_device_that_is_not_there_is_refused(tiny_models, device):
    import torch

    if device != "quantum" and getattr(torch, device).is_available():
        pytest.skip(f"this machine has {device}")
    with pytest.raises(SettingsError, match=device):
        make_segmenter(Settings(segmenter="model", model_dir=tiny_models, device=device))


def test_looking_ahead_changes_nothing(tiny_models):
    ahead, plain = (VisionLanguageSegmenter(tiny_models / "base") for _ in range(2))
    ahead.look(VOLUME)
    assert np.array_equal(propose(ahead, box()).mean_logit, propose(plain, box()).mean_logit)


def test_the_shipped_model_is_found_and_whole():
    folder = shipped_models()
    if folder is None:
        pytest.skip("no model is shipped yet")
    base, adapters = model_folders(folder)
    segmenter = VisionLanguageSegmenter(base, adapters)
    volume, truth = make_volume()
    mask = propose(segmenter, box(), point(CENTRE), volume=volume).mask()
    assert mask[CENTRE]
    assert (mask & truth).sum() / mask.sum() > 0.3

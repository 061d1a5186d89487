"""Curves of CT numbers: seen alike at any voxel size, fitted where they tell inside from outside, and only there."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated, fit_calibration, line_of
from osirix_agent.belief.card import Calibration, Fit, read_card, write_card
from osirix_agent.belief.tissue import KNOTS_HU, brightness, hats, weigh
from tests.belief.test_calibration import flat_case

BONE = tuple(np.interp(KNOTS_HU, (0, 200), (-4, 4)).tolist())
FLAT = tuple(0.0 for _ in KNOTS_HU)
FIT = Fit(
    kind="organ", structure="Bone_Mandible", modality="CT", prompts=0, slope=0.5, per_mm=0.5, shift=0.0, patients=30,
    curves=(BONE, FLAT),
)  # fmt: skip
CARD = Calibration(segmenter="tiny 0", data="phantoms", length_mm=10.0, fits=(FIT,))


def blob(step, at_mm=40.0, radius_mm=20.0):
    """(k, j, i) HU of a soft ball of bone in water, 80 mm wide."""
    axis = (np.arange(int(80 / step)) + 0.5) * step - at_mm
    r = np.sqrt(sum(a**2 for a in np.meshgrid(axis, axis, axis, indexing="ij")))
    return (300 / (1 + np.exp((r - radius_mm) / 3))).astype(np.float32)


def test_brightness_is_the_same_whatever_the_voxels_size():
    whole = (slice(None),) * 3
    coarse = brightness(blob(4.0), tuple(slice(0, 20) for _ in whole), (4, 4, 4))
    fine = brightness(blob(2.0), tuple(slice(0, 40) for _ in whole), (2, 2, 2))
    pooled = fine.reshape(20, 2, 20, 2, 20, 2, 2).mean((1, 3, 5))
    assert np.abs(pooled - coarse).max() < 12  # of 300 HU
    assert np.abs(blob(4.0) - coarse[..., 1]).max() > 20  # its surroundings are another thing


def test_a_region_sees_what_lies_beyond_it():
    image = blob(2.0)
    region = (slice(10, 30), slice(5, 22), slice(0, 40))
    whole = brightness(image, tuple(slice(0, n) for n in image.shape), (2, 2, 2))
    assert np.allclose(brightness(image, region, (2, 2, 2)), whole[region], atol=1e-2)


@given(st.lists(st.floats(-2000, 4000), min_size=2, max_size=20), st.integers(0, 9))
def test_hats_are_the_curves_they_are_fitted_for(values, seed):
    seen = np.stack([values, values[::-1]], -1)
    curves = np.random.default_rng(seed).normal(size=(2, len(KNOTS_HU)))
    as_curves = (tuple(curves[0]), tuple(curves[1]))
    assert np.allclose(curves.ravel() @ hats(seen), weigh(as_curves, seen))


def bright(case, random, tells):
    """The case with CT numbers that tell inside from outside, or do not."""
    side = case.inside if tells else random.random(len(case.inside)) < 0.5
    seen = np.stack([np.where(side, 250.0, 0.0) + random.normal(0, 40, len(side)), np.zeros(len(side))], -1)
    return dataclasses.replace(case, seen_hu=seen)


@pytest.mark.parametrize("tells", [True, False])
def test_a_curve_is_fitted_where_ct_numbers_tell_and_stays_flat_where_they_do_not(tells):
    random = np.random.default_rng(4)
    line = fit_calibration([bright(flat_case(random, 3.0), random, tells) for _ in range(8)], curved=True)
    rise = np.interp(250, KNOTS_HU, line.curves[0]) - np.interp(0, KNOTS_HU, line.curves[0])
    assert rise > 4 if tells else abs(rise) < 0.5
    assert fit_calibration([flat_case(random, 3.0) for _ in range(4)]).curves is None


def belief_and_image():
    """The segmenter's ball lies 6 mm beside the bone; another bone lies 16 mm apart from both."""
    at = (np.indices((12, 24, 24)) + 0.5) * 4.0
    ball = [np.sqrt(sum((a - c) ** 2 for a, c in zip(at, centre, strict=True)))
            for centre in ((24, 48, 40), (24, 48, 46), (24, 48, 86))]  # fmt: skip
    logit = np.clip((16 - ball[0]) / 2, -2, 6).astype(np.float32)
    image = np.where((ball[1] < 16) | (ball[2] < 8), 300.0, 0.0).astype(np.float32)
    return Belief(logit, (0, 0, 0), logit.shape, "tiny 0"), image, ball[1] < 16, ball[2] < 8


def test_the_contour_goes_to_where_the_bone_is_and_begins_no_new_piece():
    belief, image, bone, other = belief_and_image()
    plain = FIT.model_copy(update={"curves": None})
    with_curve = calibrated(belief, (4, 4, 4), CARD, FIT, image=image).mask()
    without = calibrated(belief, (4, 4, 4), CARD, plain, image=image).mask()
    assert np.count_nonzero(with_curve ^ bone) < 0.6 * np.count_nonzero(without ^ bone)
    assert not (with_curve & other).any()
    seen = brightness(image, belief.region, (4, 4, 4))
    assert (line_of(FIT).at(belief.mean_logit, np.float64(-5.0), seen) > 0)[other].all()  # if near, it would have


def test_without_the_image_a_fit_with_curves_is_refused():
    belief, *_ = belief_and_image()
    with pytest.raises(ValueError, match="needs the image"):
        calibrated(belief, (4, 4, 4), CARD, FIT)


def test_curves_are_kept_in_the_card(tmp_path):
    write_card(tmp_path / "calibration.json", [CARD])
    assert read_card(tmp_path / "calibration.json") == (CARD,)
    assert CARD.id != CARD.model_copy(update={"fits": (FIT.model_copy(update={"curves": None}),)}).id

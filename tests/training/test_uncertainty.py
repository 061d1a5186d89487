"""Calibrating and measuring on phantoms whose observers' spread is known."""

import numpy as np
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.errors import SettingsError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.training.calibrating import fit_card
from osirix_agent.training.cases import Case
from osirix_agent.training.uncertainty import Stage, band_row, ece, gain_curve, orders, stages, tempered

SHAPE, SPACING = (18, 32, 32), (4.0, 3.0, 3.0)
GEOMETRY = Geometry(SHAPE, (0.0, 0.0, 0.0), SPACING, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
CENTRE = np.array([34.0, 46.5, 46.5])


def ball(radius_mm, waves=(0.0, 0.0, 0.0), centre=CENTRE):
    """(k, j, i) mm inside a ball whose surface waves with direction."""
    at = np.indices(SHAPE) * np.array(SPACING)[:, None, None, None] - centre[:, None, None, None]
    r = np.sqrt((at**2).sum(0)) + 1e-9
    return radius_mm + sum(w * a / r for w, a in zip(waves, at, strict=True)) - r


def stage(patient, random, sigma_mm, structure="GTV"):
    """The segmenter is sure of a ball; the observer's is shifted by some mm in a random direction and size."""
    logit = (4 * ball(22.0)).astype(np.float32)
    truth = ball(22.0 + random.normal(0, sigma_mm), random.normal(0, sigma_mm, 3)) > 0
    volume = Volume(np.zeros(SHAPE, np.float32), GEOMETRY, "CT")
    at = tuple(float(v) for v in GEOMETRY.to_lps((8, 15, 15)))
    request = SegmentationRequest(volume, "GTV", (PointPrompt(position_lps=at),))
    return Stage(patient, structure, 0, request, Belief(logit, (0, 0, 0), SHAPE, "ball 1"), truth)


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(5)
    card = fit_card([stage(f"p{n}", random, 2.5) for n in range(16)], "phantoms")
    return card, [stage(f"q{n}", random, 2.5) for n in range(16)]


def test_the_band_covers_unseen_observers_as_it_promises(fitted):
    card, unseen = fitted
    (fit,) = card.fits
    rows = [band_row(s, calibrated(s.belief, SPACING, card, fit), "ours") for s in unseen]
    plain = [band_row(s, s.belief, "sigmoid") for s in unseen]
    assert np.mean([r.cover90 for r in rows]) == pytest.approx(0.90, abs=0.06)  # 16 worlds of 3 + 1 numbers
    assert np.mean([r.cover50 for r in rows]) == pytest.approx(0.50, abs=0.12)
    assert np.mean([r.cover90 for r in plain]) < 0.6
    assert ece(rows) < 0.6 * ece(plain)
    assert np.mean([r.width90_mm for r in rows]) > np.mean([r.width90_mm for r in plain])


def test_the_conformal_level_is_printed_with_what_it_stands_on(fitted):
    (fit,) = fitted[0].fits
    assert fit.patients == 16
    assert fit.conformal_level is not None
    assert fit.slack == pytest.approx(1 / 17)


def test_nine_patients_are_refused():
    random = np.random.default_rng(6)
    with pytest.raises(SettingsError, match="9 calibration patients are too few"):
        fit_card([stage(f"p{n}", random, 2.0) for n in range(9)], "phantoms")


def test_figures_of_a_perfect_and_of_a_blurred_belief():
    s = stage("p", np.random.default_rng(1), 0.0)
    sharp = band_row(s, s.belief, "sigmoid")
    assert sharp.found is None  # nothing is 5 mm off
    assert sharp.brier < 0.05
    wide = band_row(s, tempered(s.belief, 30.0), "wide")
    assert wide.cover90 > 0.99
    assert wide.width90_mm > 5 * sharp.width90_mm


def test_flagged_surface_holds_the_errors_where_the_belief_is_least_sure():
    truth = ball(22.0) > 0
    bump = ball(9.0, centre=CENTRE + np.array([0, 0, 24.0]))
    shallow = np.where(bump > 0, 0.02, 1.0)
    logit = (np.maximum(ball(22.0), bump) * 4 * shallow).astype(np.float32)
    request = stage("p", np.random.default_rng(1), 0.0).request
    s = Stage("p", "GTV", 0, request, Belief(logit, (0, 0, 0), SHAPE, "ball 1"), truth)
    assert band_row(s, s.belief, "sigmoid").found > 0.6


def test_reviewing_by_the_list_gains_and_never_falls(fitted):
    card, unseen = fitted
    curves = {name: [] for name in ("list", "random")}
    for s in unseen[:3]:
        told = calibrated(s.belief, SPACING, card, card.fits[0])
        for name in curves:
            curves[name].append(gain_curve(s, told, orders(s)[name]))
    found = np.mean(curves["list"], axis=0)
    assert found[-1] > found[0] + 0.02
    assert len(found) == 6


def test_stages_stop_at_the_clicks_that_are_asked_for():
    truth = ball(20.0) > 0
    image = np.where(truth, 90, 20).astype(np.int16)
    case = Case("p", image, truth.astype(np.uint16), ("GTV",), SPACING, "CT", "head and neck")
    found = list(stages(ClassicalSegmenter(), case, "GTV", "clicks", (0, 1)))
    assert [s.clicks for s in found][:1] == [0]
    assert all(s.kind == "lesion" and s.belief.spread is None for s in found)

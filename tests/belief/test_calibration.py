"""On observers whose spread is known, bands hold what they promise; where too little is known, nothing is promised."""

import numpy as np
import pytest

from osirix_agent.belief import calibration
from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import (
    DEVIATION,
    HOLDS,
    Line,
    Sample,
    calibrated,
    conformal_level,
    fit_calibration,
    shares,
    signed_distance,
    surface_score,
)
from osirix_agent.belief.card import Calibration, Fit, read_card, write_card
from osirix_agent.belief.gate import Verdict, fit_gate
from osirix_agent.errors import ModelError


def flat_case(random, sigma_mm, slope=2.0, bias_mm=0.0):
    """A flat boundary; the observer's lies sigma_mm away at each of many places, the segmenter's logit is steep."""
    d = random.uniform(-15, 15, 4000)
    offset = random.normal(0, sigma_mm, 4000)
    variance = np.full(4000, DEVIATION**2)
    at = random.normal(0, sigma_mm, 600)
    grid = np.floor(at)[:, None] + [0, 1]  # the boundary lies across one axis, a voxel a mm
    nothing = np.zeros_like(grid)
    two = np.stack([slope * grid, grid, nothing, np.full_like(grid, DEVIATION**2), nothing, nothing], -1)
    around, weight = np.zeros((600, 8, 6)), np.zeros((600, 8))
    around[:, :2], weight[:, :2] = two, 1 - np.abs(at[:, None] - grid)
    inside, seen = d > offset + bias_mm, np.zeros((4000, 2))
    return Sample("p", slope * d, d, np.zeros(4000), variance, inside, seen, around, weight)


def covered(line, samples):
    return np.mean([shares(s.drawn(line)) for s in samples], axis=0)


@pytest.mark.parametrize("sigma_mm", [1.0, 3.0])
def test_bands_cover_what_they_promise(sigma_mm):
    random = np.random.default_rng(1)
    fit = fit_calibration([flat_case(random, sigma_mm) for _ in range(12)])
    unseen = [flat_case(random, sigma_mm) for _ in range(12)]
    assert covered(fit, unseen)[0] == pytest.approx(0.90, abs=0.03)
    assert covered(fit, unseen)[1] == pytest.approx(0.50, abs=0.05)


def test_a_line_that_is_likeliest_is_scaled_only_where_its_band_would_not_hold():
    random = np.random.default_rng(5)
    cases = [flat_case(random, 2.0) for _ in range(12)]
    for slope in (0.3, 1.0, 2.0):
        line = Line(slope, 0.0, 0.0)
        low, high = HOLDS
        before = covered(line, cases)[0]
        scale = calibration._scale(cases, line)
        assert (scale == 1.0) == (low <= before <= high)
        assert low - 0.01 <= covered(line.scaled(scale), cases)[0] <= high + 0.01


def test_a_bias_is_taken_out():
    random = np.random.default_rng(2)
    slope, per_mm, shift, *_ = fit_calibration([flat_case(random, 2.0, bias_mm=3.0) for _ in range(12)])
    assert slope * 6 + per_mm * 3 + shift == pytest.approx(0, abs=0.3)


def test_the_conformal_level_holds_in_new_cases():
    random = np.random.default_rng(3)
    held = []
    for _ in range(60):
        scores = [surface_score(random.uniform(0, 1, 200) ** (1 + random.random())) for _ in range(21)]
        level = conformal_level(scores[:20])
        held.append(scores[20] >= level)
    assert np.mean(held) > 0.8


def test_too_few_cases_promise_nothing():
    assert conformal_level([0.1] * 9) is None
    assert conformal_level([0.1] * 8, cases=0.9) is None
    assert conformal_level(np.linspace(0.01, 0.2, 10)) == pytest.approx(0.01)


def fit(**changes):
    values = {
        "kind": "organ",
        "modality": "CT",
        "prompts": 0,
        "slope": 0.5,
        "per_mm": 0.7,
        "shift": 0.1,
        "patients": 30,
    }
    return Fit(**{**values, **changes})


def card(*fits, **changes):
    return Calibration(**{"segmenter": "tiny 0", "data": "phantoms", "length_mm": 10.0, "fits": fits, **changes})


def test_the_fit_with_the_most_prompts_that_were_given_is_taken():
    held = card(fit(prompts=0), fit(prompts=1, slope=0.6), fit(prompts=5, slope=0.9), fit(kind="lesion", patients=9))
    assert held.fit_for("Brainstem", "CT", 0).slope == 0.5
    assert held.fit_for("Brainstem", "CT", 3).slope == 0.6
    assert held.fit_for("Brainstem", "CT", 40).slope == 0.9
    assert held.fit_for("Brainstem", "MR", 0) is None
    assert held.fit_for("GTV", "CT", 0) is None  # nine patients


def test_a_structures_own_fit_goes_before_that_of_its_kind():
    own = fit(structure="SpinalCord", slope=0.7, prompts=1)
    held = card(fit(), own)
    assert held.fit_for("SpinalCord", "CT", 3) == own
    assert held.fit_for("SpinalCord", "CT", 0) == held.fits[0]  # its own is for more prompts
    assert card(own).fit_for("SpinalCord", "CT", 0) == own
    assert held.fit_for("Brainstem", "CT", 3) == held.fits[0]
    assert card(fit(), fit(structure="SpinalCord", patients=9)).fit_for("SpinalCord", "CT", 0) == held.fits[0]


def ball():
    k, j, i = np.indices((9, 21, 21))
    distance = 7 - np.sqrt((3 * (k - 4)) ** 2 + (j - 10) ** 2 + (i - 10) ** 2)
    return Belief(distance.astype(np.float32), (0, 0, 0), (9, 21, 21), "tiny 0")


def test_a_calibrated_belief_says_by_which_card_and_an_uncalibrated_one_says_nothing():
    held = card(fit())
    found = calibrated(ball(), (3, 1, 1), held, held.fit_for("Brainstem", "CT", 0))
    assert found.calibration_id == held.id
    assert found.spread is not None
    assert found.slices(5).start <= found.slices(50).start
    loose = calibrated(ball(), (3, 1, 1), held, None)
    assert loose.calibration_id is None
    assert np.array_equal(loose.mask(), ball().mask())


def test_signed_distance_is_zero_at_the_boundary_and_in_mm():
    found = signed_distance(ball().mean_logit, (3, 1, 1))
    assert found[4, 10, 10] == pytest.approx(7, abs=0.8)
    assert found[4, 10, 20] == pytest.approx(-3, abs=0.8)
    assert (np.sign(found) == np.where(ball().mean_logit >= 0, 1, -1)).mean() > 0.98
    assert (signed_distance(np.full((2, 2, 2), -3, np.float32), (1, 1, 1)) == -50).all()


def test_a_card_is_read_back_and_a_wrong_one_is_refused(tmp_path):
    held = card(fit()), card(fit(kind="lesion")).model_copy(update={"segmenter": "gtv 0 on tiny 0"})
    write_card(tmp_path / "calibration.json", held)
    assert read_card(tmp_path / "calibration.json") == held
    for name, text, says in (
        ("missing", None, "no calibration card"),
        ("cut", '{"format": 3', "damaged"),
        ("empty", '{"format": 3}', "damaged"),
        ("older", '{"format": 2, "calibrations": []}', "no longer read"),
        ("newer", '{"format": 4, "calibrations": []}', "newer"),
    ):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with pytest.raises(ModelError, match=says):
            read_card(path)


def test_what_is_fitted_again_takes_the_place_of_its_like_and_of_nothing_else():
    random = np.random.default_rng(4)
    gates = [fit_gate(["size", "height"], random.normal(size=(12, 2))) for _ in range(4)]
    old = card(
        fit(), fit(prompts=5), fit(kind="lesion"), data="organs, sarcoma-CT",
        gates={"organ CT": gates[0], "Parotid_L CT": gates[0], "lesion CT": gates[1], "GTVp CT": gates[1]},
    )  # fmt: skip
    new = card(fit(slope=0.9), data="organs", gates={"organ CT": gates[2]})
    found = old.refitted(new)
    assert [(f.kind, f.prompts, f.slope) for f in found.fits] == [("lesion", 0, 0.5), ("organ", 0, 0.9)]
    assert found.gates == {"lesion CT": gates[1], "GTVp CT": gates[1], "organ CT": gates[2]}
    assert found.data == "organs, sarcoma-CT"
    added = found.refitted(card(fit(kind="lesion", modality="PT"), data="sarcoma-PET", gates={"lesion PT": gates[3]}))
    assert {(f.kind, f.modality) for f in added.fits} == {("lesion", "CT"), ("lesion", "PT"), ("organ", "CT")}
    assert added.data == "organs, sarcoma-CT, sarcoma-PET"


def test_the_gate_lets_its_own_pass_and_withholds_what_is_foreign():
    random = np.random.default_rng(4)
    mixing = random.normal(size=(6, 6))
    inside = random.normal(size=(40, 6)) @ mixing
    gate = fit_gate([f"feature {n}" for n in range(6)], inside)
    fresh = random.normal(size=(200, 6)) @ mixing
    verdicts = [gate.judge(x).verdict for x in fresh]
    assert np.mean([v is Verdict.OK for v in verdicts]) > 0.75
    foreign = gate.judge(inside.mean(0) + 12 * inside.std(0))
    assert foreign.verdict is Verdict.WITHHELD
    assert "feature" in foreign.reason
    assert gate.judge([np.nan] * 6).verdict is Verdict.WITHHELD

"""The closed-form update against brute force, and what every update must keep."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from osirix_agent.agent.look import ranked
from osirix_agent.belief.belief import Belief
from osirix_agent.belief.looks import ISOLINES, doubt, looks
from osirix_agent.belief.spread import Spread, probability, smooth_spread
from osirix_agent.belief.update import Evidence, condition, scatter_given
from osirix_agent.prompting.gaze.place import Place

SPACING = (3.0, 1.0, 1.0)


def ball(deviation=1.2, length_mm=8.0, shape=(8, 24, 24), rank=8):
    k, j, i = np.indices(shape) * np.array(SPACING)[:, None, None, None]
    middle = (np.array(shape) - 1) * SPACING / 2
    distance = np.sqrt((k - middle[0]) ** 2 + (j - middle[1]) ** 2 + (i - middle[2]) ** 2)
    logit = ((7 - distance) * 0.8).astype(np.float32)
    spread = smooth_spread(logit, SPACING, deviation, length_mm, rank)
    return Belief(logit, (1, 2, 3), (20, 40, 40), "test", spread=spread)


def click(k, j, i, inside, noise=0.5):
    return Evidence(np.array([[k, j, i]]), np.array([inside]), noise)


def dense(belief):
    """Mean and full covariance on the band."""
    s = belief.spread
    return belief.mean_logit.ravel()[s.band].astype(float), s.factor @ s.factor.T.astype(float) + np.diag(s.diagonal)


@pytest.mark.parametrize("mean", [-6.0, -3, -0.5, 0, 2, 5])
@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0])
def test_probability_is_the_integral(mean, variance):
    x = np.linspace(-12, 12, 200_001)
    exact = np.trapezoid(norm.pdf(x) / (1 + np.exp(-(mean + np.sqrt(variance) * x))), x)
    assert probability(mean, variance) == pytest.approx(exact, abs=3e-4)


def test_one_click_is_the_posterior_of_the_whole_gaussian():
    """Mean and covariance against the same two moments worked out with the dense covariance by quadrature."""
    belief = ball(shape=(6, 16, 16))
    mean, cov = dense(belief)
    at = (1 + 2, 2 + 8, 3 + 14)
    (row,) = belief.spread.at(np.ravel_multi_index((2, 8, 14), belief.mean_logit.shape))
    after = condition(belief, [click(*at, True, 0.7)])
    x = np.linspace(-10, 10, 400_001)
    sd = np.sqrt(cov[row, row])
    likely = norm.pdf(x) * norm.cdf((mean[row] + sd * x) / 0.7)
    likely /= np.trapezoid(likely, x)
    first = np.trapezoid(x * likely, x)
    second = np.trapezoid((x - first) ** 2 * likely, x)
    gain = cov[:, row] / sd
    new_mean, new_cov = dense(after)
    np.testing.assert_allclose(new_mean, mean + gain * first, atol=1e-5)
    wanted = cov - np.outer(gain, gain) * (1 - second)
    # the diagonal of each voxel is its own: a click narrows it at the clicked voxel alone, and what the click
    # learnt through it is not shared
    others = np.arange(len(mean)) != row
    p = belief.spread.factor.astype(float)
    shared = p @ p.T - np.outer(p @ p[row], p @ p[row]) / cov[row, row] * (1 - second)
    np.testing.assert_allclose(new_cov[np.ix_(others, others)] - np.diag(np.diag(new_cov)[others]),
                               (shared - np.diag(np.diag(shared)))[np.ix_(others, others)], atol=1e-4)  # fmt: skip
    np.testing.assert_allclose(np.diag(new_cov)[others], np.diag(wanted)[others], atol=1e-4)


def test_gaussian_evidence_in_closed_form_equals_brute_force():
    belief = ball()
    factor = belief.spread.factor[::37].astype(float)
    noise = 0.6
    brute = np.eye(8) - factor.T @ np.linalg.inv(factor @ factor.T + noise**2 * np.eye(len(factor))) @ factor
    np.testing.assert_allclose(scatter_given(factor, noise), brute, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 23), st.integers(0, 23), st.booleans(), st.floats(0.2, 4)),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_whatever_is_said_variance_never_grows_and_nothing_breaks(said):
    belief = ball()
    after = condition(belief, [click(1 + k, 2 + j, 3 + i, inside, noise) for k, j, i, inside, noise in said])
    assert np.isfinite(after.mean_logit).all()
    assert (after.spread.variance <= belief.spread.variance + 1e-4).all()
    assert (after.spread.variance >= -1e-6).all()
    assert after.spread.band is belief.spread.band


def test_a_click_moves_what_is_near_and_little_that_is_far():
    belief = ball()
    j, i = 12, 20  # just outside
    after = condition(belief, [click(1 + 3, 2 + j, 3 + i, True)])
    moved = after.mean_logit - belief.mean_logit
    assert moved[3, j, i] > 0.8
    assert moved[3, j, i - 1] > 0.5
    assert abs(moved[3, j, 4]) < 0.3 * moved[3, j, i]
    again = condition(belief, [click(1 + 3, 2 + 12, 3 + 12, True)])  # sure already
    assert np.abs(again.mean_logit - belief.mean_logit).max() < 0.05


def test_tight_evidence_moves_more_than_broad():
    belief = ball()
    moved = [
        condition(belief, [click(4, 14, 23, True, noise)]).mean_logit[3, 12, 20] - belief.mean_logit[3, 12, 20]
        for noise in (0.3, 1.5, 6.0)
    ]
    assert moved[0] > moved[1] > moved[2] > 0


def test_contradicting_clicks_leave_the_middle():
    belief = ball()
    after = condition(belief, [click(4, 14, 21, True), click(4, 14, 21, False)])
    assert abs(after.mean_logit[3, 12, 18]) < 1.5
    assert np.isfinite(after.mean_logit).all()


def test_worlds_are_the_same_worlds_before_and_after_a_click():
    belief = ball()
    after = condition(belief, [click(4, 14, 23, True)])
    change = [np.corrcoef((belief.world(m) - belief.mean_logit).ravel(),
                          (after.world(m) - after.mean_logit).ravel())[0, 1] for m in range(10)]  # fmt: skip
    assert min(change) > 0.5
    assert np.array_equal(belief.world(3), belief.world(3))
    assert not np.array_equal(belief.world(3), belief.world(4))


def test_worlds_spread_as_the_belief_says():
    belief = ball()
    s = belief.spread
    found = np.stack([belief.world(m).ravel()[s.band] for m in range(600)])
    wanted = np.einsum("nr,nr->n", s.factor, s.factor)
    assert np.abs(found.var(0) - wanted).max() < 0.25 * wanted.max()
    low, high = belief.volume_interval_mm3(GEOMETRY)
    assert low < belief.volume_mm3(GEOMETRY) < high


class GEOMETRY:
    voxel_volume_mm3 = 3.0


def test_the_spread_is_smooth_and_its_variance_exact():
    belief = ball(deviation=1.5, rank=16)
    s = belief.spread
    np.testing.assert_allclose(s.variance, 1.5**2, atol=1e-3)
    near = np.abs(belief.mean_logit.ravel()[s.band]) < 0.5
    assert s.diagonal[near].mean() < 0.35 * 1.5**2  # most of it is shared


@pytest.mark.parametrize("deviation", [0.0, 1.0])
@pytest.mark.parametrize("level", [-9.0, 9.0, 0.0])
def test_flat_empty_and_singular_beliefs_are_sensible(deviation, level):
    logit = np.full((2, 3, 4), level, np.float32)
    belief = Belief(logit, (0, 0, 0), (4, 5, 6), "test", spread=smooth_spread(logit, (1, 1, 1), deviation, 5.0))
    after = condition(belief, [click(1, 1, 1, False), click(3, 4, 5, True)])
    assert np.isfinite(after.crop_logit).all()
    assert np.isfinite(after.mean_logit).all()
    assert looks(after, (1, 1, 1)) == () or deviation > 0


def hardly_seen_on(slice_k):
    """A cylinder whose edge is hard to see on one slice."""
    k, j, i = np.indices((9, 30, 30))
    distance = 9 - np.hypot(j - 15, i - 15)
    logit = (distance * np.where(k + 10 == slice_k, 0.25, 1.5)).astype(np.float32)
    return Belief(logit, (10, 0, 0), (30, 30, 30), "test", spread=smooth_spread(logit, (3, 1, 1), 1.0, 3.0))


def test_a_wider_slice_is_looked_at_first_and_none_twice():
    belief = hardly_seen_on(16)
    found = looks(belief, (3, 1, 1), budget=4)
    assert found[0].k == 16
    assert len({look.k for look in found}) == len(found)
    assert all(a.gain >= b.gain - 1e-6 for a, b in pairwise(found))
    assert 16 not in {look.k for look in looks(belief, (3, 1, 1), reviewed=[16])}
    assert found[0].band_mm > found[1].band_mm


def test_doubt_where_her_eyes_rested_counts_for_less_and_no_probability_changes():
    belief = hardly_seen_on(16)
    before = belief.crop_logit.copy()

    def found(*places):
        return {look.k: look.gain for look in looks(belief, (3, 1, 1), places=places)}

    def rested(j, i, axis=0):
        return Place((0.0, 0.0, 0.0), (16.0, float(j), float(i)), axis, 1.0, 4.0, 2.0)

    plain, everywhere = found(), [rested(j, i) for j in range(0, 30, 5) for i in range(0, 30, 5)]
    for place in (rested(0, 0), rested(15, 15, axis=1)):  # a corner of it; one row of it
        assert next(iter(found(place))) == 16
        assert 0.85 * plain[16] < found(place)[16] < plain[16]
    assert found(*everywhere).get(16, 0.0) < 0.1 * plain[16]
    assert (belief.crop_logit == before).all()
    unsure = replace(belief, spread=None)
    assert ranked(unsure, (), (3, 1, 1))[0] == 16
    assert ranked(unsure, (), (3, 1, 1), everywhere)[-1] == 16


def test_the_band_finds_its_voxels():
    s = Spread(np.array([2, 5, 9]), np.zeros((3, 1), np.float32), np.zeros(3, np.float32))
    assert s.at([5, 3, 9, 11, 0]).tolist() == [1, -1, 2, -1, -1]


def test_doubt_is_the_share_of_isolines_that_pass_far_off():
    at = np.arange(41.0)[None, None] - 19.5  # mm from the boundary, along columns
    for per_mm in (0.2, 0.45, 2.0):
        logits = np.tile((per_mm * at).astype(np.float32), (31, 31, 1))
        found = doubt(Belief(logits, (0, 0, 0), logits.shape, "test"), (1, 1, 1), np.array([[15, 15, 19.5]]), 5.0)
        off = np.abs(np.log([(1 - p) / p for p in ISOLINES])) / per_mm  # where each passes
        assert found[0] == pytest.approx(np.mean(off > 5.0), abs=0.11)  # voxels of 1 mm: one line on either side
    nowhere = Belief(np.full((3, 3, 9), -10, np.float32), (0, 0, 0), (3, 3, 9), "test")
    assert doubt(nowhere, (1, 1, 1), np.array([[1, 1, 4.0]]), 5.0)[0] == 1.0


def test_a_look_leans_to_where_the_outline_is_in_doubt():
    _, j, i = np.indices((5, 30, 30))
    distance = 9 - np.hypot(j - 15, i - 15)
    logit = (distance * np.where(i > 18, 0.25, 2.0)).astype(np.float32)  # hard to see at growing columns
    spread = smooth_spread(logit, (3, 1, 1), 1.0, 3.0)
    found = looks(Belief(logit, (0, 0, 0), logit.shape, "test", spread=spread), (3, 1, 1))
    assert all(look.lean[1] > 0.35 and abs(look.lean[0]) < 0.1 for look in found)
    even = looks(hardly_seen_on(16), (3, 1, 1), budget=1)[0]
    assert np.hypot(*even.lean) < 0.1

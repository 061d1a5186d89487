"""Worlds against closed forms: what a margin covers, and which step decides."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi

from osirix_agent.agent.worlds import (
    Step,
    coverage,
    covering_probability,
    delineation_mm,
    run,
    segmentation,
    setup,
    van_herk_mm,
    variance_split,
)
from osirix_agent.belief.belief import Belief
from osirix_agent.belief.spread import generator, smooth_spread
from osirix_agent.belief.update import Evidence

SPACING = (2.0, 2.0, 2.0)


def ball(deviation=0.0, radius=12.0, length_mm=8.0):
    k, j, i = np.indices((21, 21, 21)) * 2.0
    logit = (radius - np.sqrt((k - 20) ** 2 + (j - 20) ** 2 + (i - 20) ** 2)).astype(np.float32)
    return Belief(logit, (5, 5, 5), (40, 40, 40), "t", spread=smooth_spread(logit, SPACING, deviation, length_mm))


def test_a_margin_covers_shifts_as_often_as_the_chi_distribution_says():
    belief = ball()
    sigma = 3.0
    margin = van_herk_mm([sigma], [])  # 7.5 mm, the 90 % quantile of a shift's length
    steps = [segmentation("a", belief), setup("a", (sigma,) * 3), coverage(belief.crop_mask, (margin,) * 3, SPACING)]
    worlds = run(steps, 400)
    wanted = chi(3).cdf(margin / sigma)
    assert wanted == pytest.approx(0.90, abs=0.001)
    assert covering_probability(worlds, 0.99) == pytest.approx(wanted, abs=0.045)


def test_margins_differ_by_axis():
    belief = ball()
    step = coverage(belief.crop_mask, (8.0, 1.0, 1.0), SPACING)
    world = run([segmentation("a", belief)], 1)[0]
    assert step.act(replace(world, shift_mm=(6.0, 0, 0)), 0).covered > 0.99
    assert step.act(replace(world, shift_mm=(0, 6.0, 0)), 0).covered < 0.9


def test_an_uncertain_outline_needs_more_margin_and_a_click_gives_some_back():
    belief = ball(deviation=2.5)
    at = np.argwhere(np.abs(belief.mean_logit) < 0.6)
    clicks = [Evidence(at + 5, belief.mean_logit[tuple(at.T)] >= 0, 0.5)]

    def covered(steps):
        return covering_probability(run([*steps, coverage(belief.crop_mask, (2.0,) * 3, SPACING)], 120), 0.98)

    plain, told = covered([segmentation("a", belief)]), covered([segmentation("a", belief, clicks)])
    assert plain < told


def test_worlds_are_the_same_each_time_and_differ_between_cases():
    belief = ball(deviation=1.0)
    a, b = (run([segmentation("a", belief), setup("a", (2.0,) * 3)], 5) for _ in range(2))
    assert all(np.array_equal(x.logit, y.logit) and x.shift_mm == y.shift_mm for x, y in zip(a, b, strict=True))
    c = run([segmentation("c", belief)], 5)
    assert not np.array_equal(a[2].logit, c[2].logit)


def linear(name, weight):
    def act(world, number):
        return replace(world, covered=(world.covered or 0.0) + weight * generator("x", name, number).normal())

    return Step(name, act)


def test_shares_of_a_sum_are_the_squares_of_its_weights():
    shares, spread = variance_split([linear("a", 2.0), linear("b", 1.0), linear("c", 0.0)], lambda w: w.covered, 3000)
    found = {s.step: s for s in shares}
    assert spread == pytest.approx(5.0, rel=0.08)
    assert found["a"].first == pytest.approx(0.8, abs=0.05)
    assert found["b"].first == pytest.approx(0.2, abs=0.05)
    assert found["a"].total == pytest.approx(0.8, abs=0.05)
    assert found["c"].total == 0
    assert sum(s.first for s in shares) == pytest.approx(1, abs=0.08)


def test_a_product_has_shares_only_together():
    def first(world, number):
        return replace(world, covered=generator("x", "first", number).normal())

    def second(world, number):
        return replace(world, covered=world.covered * generator("x", "second", number).normal())

    shares, _ = variance_split([Step("first", first), Step("second", second)], lambda w: w.covered, 3000)
    assert all(abs(s.first) < 0.08 for s in shares)
    assert all(s.total == pytest.approx(1, abs=0.12) for s in shares)


def test_nothing_uncertain_has_no_shares():
    shares, spread = variance_split([Step("still", lambda world, _n: replace(world, covered=1.0))], lambda w: w.covered)
    assert spread == 0
    assert shares[0].total == 0


def test_recipes():
    assert van_herk_mm([3.0, 4.0], [2.0]) == pytest.approx(2.5 * 5 + 1.4)
    assert delineation_mm(1.349) == pytest.approx(1.0)


def test_coverage_needs_a_structure():
    with pytest.raises(ValueError, match="segmentation"):
        run([coverage(np.ones((2, 2, 2), bool), (1, 1, 1), SPACING)], 1)

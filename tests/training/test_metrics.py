"""Metrics against shapes whose answers are known by hand."""

import numpy as np
import pytest

from osirix_agent.training.metrics import bootstrap, surface_distances, trapezoid_auc


def block(shape, low, high):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_the_same_mask_lies_on_itself():
    mask = block((20, 20, 20), (5, 5, 5), (12, 14, 15))
    distances = surface_distances(mask, mask, (2.5, 1.0, 1.0))
    assert distances.surface_dice(0.1) == 1
    assert distances.hausdorff_mm() < 1e-6


def test_a_slab_moved_by_known_millimetres():
    spacing = (3.0, 1.0, 1.0)
    a, b = block((20, 60, 60), (5, 5, 5), (9, 55, 55)), block((20, 60, 60), (6, 5, 5), (10, 55, 55))
    distances = surface_distances(a, b, spacing)
    assert distances.hausdorff_mm() == pytest.approx(3.0, abs=0.05)  # two large faces, 3 mm apart
    assert distances.surface_dice(3.1) == 1
    faces, sides = 2 * 50 * 50 * 1.0, 4 * 50 * 12.0
    shared = sides * 3 / 4  # the sides lie on each other over three of four slices
    assert distances.surface_dice(0.5) == pytest.approx(shared / (faces + sides), abs=0.08)


def test_tolerance_is_in_millimetres_not_voxels():
    a, b = block((12, 40, 40), (4, 5, 5), (8, 35, 35)), block((12, 40, 40), (4, 5, 7), (8, 35, 37))
    assert surface_distances(a, b, (2.0, 1.0, 1.0)).surface_dice(2.1) == 1
    assert surface_distances(a, b, (2.0, 1.0, 4.0)).surface_dice(2.1) < 0.97


def test_an_empty_mask_has_no_distance():
    mask = block((8, 8, 8), (2, 2, 2), (5, 5, 5))
    assert surface_distances(mask, np.zeros_like(mask), (1, 1, 1)) is None


def test_the_benchmarks_area_is_a_trapezoid_of_at_most_four():
    assert trapezoid_auc([1.0] * 5) == 4.0
    assert trapezoid_auc([0.85] * 5) == pytest.approx(3.4)
    assert trapezoid_auc([0.0, 1.0, 1.0, 1.0, 1.0]) == 3.5


def test_the_interval_is_over_patients_and_reproducible():
    values = np.array([[0.5], [0.6], [0.7], [0.8], [0.9]])
    low, high = bootstrap(values)
    assert 0.5 < low < 0.7 < high < 0.9
    assert bootstrap(values) == (low, high)
    assert bootstrap(np.full((4, 1), 0.7)) == pytest.approx((0.7, 0.7))


def test_the_interval_weighs_structures_alike_however_rare():
    common, rare = 0.9, 0.1
    scores = np.array([[common, np.nan]] * 9 + [[common, rare]])
    low, high = bootstrap(scores)
    assert low == pytest.approx((common + rare) / 2)
    assert high == pytest.approx(common)  # a draw without the one patient that has the rare structure

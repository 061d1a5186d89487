import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import polygon2mask

from osirix_agent.imaging.contour import crosses_itself, fill, has_hole, isocontour, signed_area, simplify

masks = arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))


@given(masks)
def test_mask_to_rings_to_mask_is_lossless_holes_and_islands_included(mask):
    assert np.array_equal(fill(isocontour(mask.astype(float), 0.5), mask.shape), mask)


@given(masks, st.integers(-3, 3), st.integers(-3, 3))
def test_offset_moves_the_rings(mask, dj, di):
    rings = isocontour(mask.astype(float), 0.5, offset_ji=(dj + 5, di + 5))
    full = fill(rings, (30, 30))
    assert np.array_equal(full[dj + 5 : dj + 5 + mask.shape[0], di + 5 : di + 5 + mask.shape[1]], mask)


def test_a_disc_is_outlined_to_a_tenth_of_a_pixel():
    j, i = np.mgrid[:64, :80]
    field = 20.0 - np.hypot(j - 30.3, i - 41.7)
    (ring,) = isocontour(field, 0.0)
    assert np.abs(np.hypot(ring[:, 0] - 30.3, ring[:, 1] - 41.7) - 20).max() < 0.1
    assert abs(abs(signed_area(ring)) - np.pi * 400) < 3


def test_fill_follows_the_centre_rule_by_hand():
    square = [(1.5, 1.5), (1.5, 4.5), (3.5, 4.5), (3.5, 1.5)]
    expected = np.zeros((6, 6), bool)
    expected[2:4, 2:5] = True
    assert np.array_equal(fill([square], (6, 6)), expected)


def test_fill_agrees_with_scikit_image_away_from_edges():
    rng = np.random.default_rng(3)
    for _ in range(20):
        ring = rng.uniform(-5, 45, (7, 2))
        theirs = polygon2mask((40, 40), ring)
        assert np.mean(fill([ring], (40, 40)) != theirs) < 0.01 or crosses_itself(ring)


def test_rings_outside_the_slice_are_cut_off():
    ring = [(-10.0, -10.0), (-10.0, 3.5), (2.5, 3.5), (2.5, -10.0)]
    filled = fill([ring], (5, 5))
    assert filled[:3, :4].all()
    assert filled.sum() == 12


def test_a_ring_in_a_ring_is_a_hole_and_two_islands_are_not():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    assert has_hole(isocontour(mask.astype(float), 0.5))
    islands = np.zeros((9, 9), bool)
    islands[1:3, 1:3] = islands[6:8, 6:8] = True
    rings = isocontour(islands.astype(float), 0.5)
    assert len(rings) == 2
    assert not has_hole(rings)


def test_simplify_keeps_within_tolerance_and_limit():
    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    ring = np.stack([100 + 80 * np.sin(angle), 100 + 80 * np.cos(angle)], 1)
    kept = simplify(ring)
    assert 20 < len(kept) <= 300
    assert np.abs(np.hypot(*(kept - 100).T) - 80).max() < 1e-9


@pytest.mark.parametrize(
    ("ring", "crossing"),
    [
        ([(0, 0), (0, 4), (4, 4), (4, 0)], False),
        ([(0, 0), (4, 4), (0, 4), (4, 0)], True),
        ([(0, 0), (0, 4), (4, 4)], False),
    ],
)
def test_crossing(ring, crossing):
    assert crosses_itself(ring) is crossing


def test_nothing_above_the_level_gives_no_ring():
    assert isocontour(np.zeros((4, 4)), 0.5) == ()
    assert isocontour(np.zeros((0, 4)), 0.5) == ()

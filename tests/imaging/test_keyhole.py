import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from osirix_agent.imaging.contour import fill, isocontour, signed_area
from osirix_agent.imaging.keyhole import keyholed

SQUARE = np.array([[0.5, 0.5], [0.5, 8.5], [8.5, 8.5], [8.5, 0.5]])


def ring_at(j, i, half):
    return np.array([[j - half, i - half], [j - half, i + half], [j + half, i + half], [j + half, i - half]])


def winding(polygons, shape):
    """Pixels with a winding number other than 0, by the angle that the polygon turns round each centre."""
    centres = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 1, 2)
    turned = np.zeros(len(centres))
    for polygon in polygons:
        a = polygon[None] - centres
        b = np.roll(a, -1, axis=1)
        cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
        turned += np.arctan2(cross, (a * b).sum(-1)).sum(1)
    return (np.abs(turned) > 1).reshape(shape)


def test_without_holes_nothing_changes():
    (same,) = keyholed([SQUARE])
    assert np.array_equal(same, SQUARE)
    assert len(keyholed([SQUARE, SQUARE + 20])) == 2


def test_a_hole_an_island_in_it_and_a_second_hole():
    rings = [SQUARE * 2 + 0.3, ring_at(8, 6.3, 3.2), ring_at(8, 6.3, 1.2), ring_at(8, 13.3, 2.2)]
    polygons = keyholed(rings)
    assert len(polygons) == 2
    assert np.array_equal(fill(polygons, (20, 20)), fill(rings, (20, 20)))
    assert np.array_equal(winding(polygons, (20, 20)), fill(rings, (20, 20)))
    for vertex in np.concatenate(rings):
        assert (np.concatenate(polygons) == vertex).all(1).any()


def test_a_hole_smaller_than_a_pixel_is_joined_too():
    rings = [SQUARE, ring_at(4.1, 4.1, 0.2)]
    (polygon,) = keyholed(rings)
    assert abs(signed_area(polygon)) == pytest.approx(64 - 0.16)


def test_rings_that_cross_stay_as_they_are():
    polygons = keyholed([SQUARE, SQUARE + 3.3])
    assert [p.tolist() for p in polygons] == [SQUARE.tolist(), (SQUARE + 3.3).tolist()]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 2.5), st.floats(-0.4, 0.4))
def test_any_mask_comes_back_from_its_polygons(seed, sigma, level):
    # rougher ones have rings that touch, and cross once they are simplified
    noise = np.random.default_rng(seed).standard_normal((24, 30))
    field = ndimage.gaussian_filter(noise, sigma)
    field /= field.std()
    rings = isocontour(field, level)
    polygons = keyholed(rings)
    assert np.array_equal(fill(polygons, field.shape), field >= level)
    assert np.array_equal(winding(polygons, field.shape), field >= level)

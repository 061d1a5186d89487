"""Edits in patient millimetres mean the same whichever way the slices lie."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from osirix_agent.imaging.contour import isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.shaping import (
    DIRECTIONS_LPS,
    field_of,
    filled_between,
    grown,
    grown_but,
    joined,
    kept_in,
    kept_out,
    shifted,
    shrunk,
    shrunk_but,
    smoothed,
    superior_step,
)

N, RADIUS = (34, 40, 44), 9.0
angles = st.floats(-3.1, 3.1).map(lambda a: round(a, 6))
ways = st.sampled_from(sorted(DIRECTIONS_LPS))


def lying(a: float, b: float, c: float, sign: int) -> Geometry:
    """Slices 1.5 mm apart of 1 mm pixels, turned, and run through in either order."""
    turn = np.array(sitk.Euler3DTransform((0, 0, 0), a, b, c).GetMatrix()).reshape(3, 3)
    origins = np.array([10.0, -20.0, 30.0]) + np.arange(N[0])[:, None] * sign * 1.5 * np.cross(turn[:, 0], turn[:, 1])
    return Geometry.from_slices(origins, turn[:, 0], turn[:, 1], 1.0, 1.0, N[1], N[2])


def places(geometry: Geometry) -> np.ndarray:
    """(k, j, i, 3) LPS mm of every voxel from the middle of the volume."""
    middle = geometry.to_lps((np.array(N) - 1) / 2)
    return geometry.to_lps(np.stack(np.indices(N), axis=-1)) - middle


def contours(mask: np.ndarray) -> dict:
    return {k: isocontour(plane.astype(float), 0.5) for k, plane in enumerate(mask) if plane.any()}


def whole(field) -> np.ndarray:
    full = np.zeros(N, bool)
    region = tuple(slice(c, c + n) for c, n in zip(field.corner_kji, field.values.shape, strict=True))
    full[region] = field.values > 0
    return full


def close_to(mask: np.ndarray, distance: np.ndarray, slack_mm: float = 1.4) -> None:
    """Every voxel further from the true surface than the slack is on its right side (distance: positive inside)."""
    assert mask[distance > slack_mm].all()
    assert not mask[distance < -slack_mm].any()


def segment(at: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance of points to the segment from 0 to `end`."""
    t = np.clip(at @ end / max(end @ end, 1e-9), 0, 1)
    return np.linalg.norm(at - t[..., None] * end, axis=-1)


@settings(deadline=None, max_examples=25)
@given(angles, angles, angles, st.sampled_from([1, -1]), ways, st.floats(1, 5))
def test_directions_are_the_patients_on_oblique_and_flipped_slices(a, b, c, sign, way, mm):
    geometry = lying(a, b, c, sign)
    at, u = places(geometry), np.array(DIRECTIONS_LPS[way])
    ball = np.linalg.norm(at, axis=-1)
    (field,) = field_of([contours(ball < RADIUS)], geometry, mm)
    close_to(whole(grown(field, mm, [u])), RADIUS - segment(at, mm * u))
    close_to(whole(shifted(field, mm, u)), RADIUS - np.linalg.norm(at - mm * u, axis=-1))
    close_to(whole(shrunk(field, mm, [u])), RADIUS - np.maximum(ball, np.linalg.norm(at + mm * u, axis=-1)))
    close_to(whole(grown(field, mm)), RADIUS + mm - ball)
    close_to(whole(shrunk(field, mm)), RADIUS - mm - ball)


@settings(deadline=None, max_examples=10)
@given(angles, angles, angles, st.sampled_from([1, -1]))
def test_volumes_are_right_on_the_average(a, b, c, sign):
    geometry = lying(a, b, c, sign)
    ball = np.linalg.norm(places(geometry), axis=-1) < RADIUS
    (field,) = field_of([contours(ball)], geometry, 3)
    for made, radius in ((grown(field, 2), RADIUS + 2), (shrunk(field, 2), RADIUS - 2), (smoothed(field, 2), RADIUS)):
        volume = whole(made).sum() * 1.5
        assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.08)
    longer = whole(grown(field, 4, [(0, 0, 1)])).sum() * 1.5 - ball.sum() * 1.5
    assert longer == pytest.approx(np.pi * RADIUS**2 * 4, rel=0.12)


@settings(deadline=None, max_examples=15)
@given(angles, angles, angles, st.sampled_from([1, -1]), ways, st.floats(1, 3), st.floats(0, 3))
def test_all_round_but_less_or_more_one_way(a, b, c, sign, way, mm, other):
    geometry = lying(a, b, c, sign)
    at, u = places(geometry), np.array(DIRECTIONS_LPS[way], float)
    ball, along = np.linalg.norm(at, axis=-1), at @ u
    (field,) = field_of([contours(ball < RADIUS)], geometry, 8)
    made = whole(grown_but(field, mm, [(u, other)]))
    least, most = min(mm, other), max(mm, other)
    assert made[ball < RADIUS + least - 1].all()
    assert not made[ball > RADIUS + most + 1].any()
    assert not made[along > RADIUS + other + 1].any()
    near = np.linalg.norm(at - along[..., None] * u, axis=-1) < 1
    assert made[near & (along > 0) & (along < RADIUS + other - 1)].all()
    behind = near & (along < 0)
    close_to(made[behind], RADIUS + mm - ball[behind])  # and the other way all of it
    less = whole(shrunk_but(field, mm, [(u, other)]))
    assert less[near & (along > 0) & (along < RADIUS - other - 1)].all()
    assert not less[near & (along > RADIUS - other + 1)].any()
    close_to(less[behind], RADIUS - mm - ball[behind])


def test_nothing_asked_is_nothing_changed():
    geometry = lying(0, 0, 0, 1)
    ball = np.linalg.norm(places(geometry), axis=-1) < RADIUS
    (field,) = field_of([contours(ball)], geometry, 0)
    assert np.array_equal(whole(field), ball)
    assert sorted(field.contours()) == sorted(contours(ball))


def test_shapes_are_combined_voxel_by_voxel():
    geometry = lying(0.4, 0.2, 0.1, -1)
    at = places(geometry)
    one, two = np.linalg.norm(at, axis=-1) < RADIUS, np.linalg.norm(at - (6, 0, 0), axis=-1) < 6
    a, b = field_of([contours(one), contours(two)], geometry, 1)
    assert np.array_equal(whole(joined(a, b)), one | two)
    assert np.array_equal(whole(kept_in(a, b)), one & two)
    assert np.array_equal(whole(kept_out(a, b)), one & ~two)


def test_slices_left_out_are_filled_between():
    geometry = lying(0, 0, 0, 1)
    cone = np.zeros(N, bool)
    j, i = np.indices(N[1:]) - 20
    for k, r in ((5, 5), (15, 12)):
        cone[k] = j**2 + i**2 < r**2
    (field,) = field_of([contours(cone)], geometry, 0)
    filled = whole(filled_between(field))
    areas = filled.sum((1, 2))
    assert (np.diff(areas[5:16]) >= 0).all()
    assert areas[10] == pytest.approx(np.pi * 8.5**2, rel=0.15)
    assert not areas[:5].any()
    assert not areas[16:].any()


def test_which_way_the_head_is():
    assert superior_step(lying(0, 0, 0, 1)) == 1
    assert superior_step(lying(0, 0, 0, -1)) == -1
    assert superior_step(lying(np.pi / 2, 0, 0, 1)) is None

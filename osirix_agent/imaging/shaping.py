"""Edits of a contour in patient millimetres: grow, shrink, shift, smooth, combine, fill between slices.

A shape is held as a field on a crop of the grid: the signed distance to its surface in mm, positive inside. Directions
are vectors in LPS, so an edit means the same on oblique and flipped slices. Through the plane a contour stands for its
whole slice; in the plane it is followed to a fraction of a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.imaging.contour import FloatArray, fill, isocontour
from osirix_agent.imaging.geometry import Geometry

DIRECTIONS_LPS: dict[str, tuple[float, float, float]] = {
    "left": (1, 0, 0), "right": (-1, 0, 0), "posterior": (0, 1, 0), "anterior": (0, -1, 0), "superior": (0, 0, 1),
    "inferior": (0, 0, -1),
}  # fmt: skip
FINER = 3  # how many times finer than the pixels distances are worked out; odd, so that centres stay centres
MOST_VOXELS = 8_000_000
RingsByK = Mapping[int, Sequence[npt.ArrayLike]]


@dataclass(frozen=True, eq=False)
class Field:
    """Signed distance (mm, positive inside) on a crop.

    Attributes
    ----------
    values : (k, j, i) float
    corner_kji : volume index of values[0, 0, 0]
    geometry : of the whole volume
    """

    values: FloatArray
    corner_kji: tuple[int, int, int]
    geometry: Geometry

    def contours(self) -> dict[int, tuple[FloatArray, ...]]:
        """Rings (row, column) by slice."""
        k0, *offset = self.corner_kji
        found = {
            k0 + n: isocontour(plane, 0.0, offset_ji=(offset[0], offset[1])) for n, plane in enumerate(self.values)
        }
        return {k: rings for k, rings in found.items() if rings}

    def moved(self, by_mm: FloatArray) -> FloatArray:
        """The values with the shape moved by a vector (LPS mm)."""
        step_kji = self.geometry.inverse_matrix @ np.asarray(by_mm, float)
        return np.asarray(ndimage.shift(self.values, step_kji, order=1, mode="nearest"))

    def swept(self, direction: npt.ArrayLike, mm: float) -> list[FloatArray]:
        """The values with the shape moved by 0 to `mm` along a unit vector (LPS), in steps of half a voxel or less."""
        steps = max(1, int(np.ceil(2 * mm / min(self.geometry.spacing_kji_mm))))
        return [self.moved(np.asarray(direction, float) * t) for t in np.linspace(0, mm, steps + 1)]


def field_of(shapes: Sequence[RingsByK], geometry: Geometry, margin_mm: float) -> list[Field]:
    """Fields of several shapes on one common crop with room for `margin_mm` about all of them.

    Parameters
    ----------
    shapes : each a mapping of slice to its rings (row, column), even-odd
    """
    points = np.concatenate(
        [np.column_stack([np.full(len(r), k), r]) for one in shapes for k, rings in one.items()
         for r in (np.asarray(ring, float) for ring in rings)]
    )  # fmt: skip
    room = margin_mm / np.array(geometry.spacing_kji_mm) + 2
    low = np.maximum(np.floor(points.min(0) - room), 0).astype(int)
    high = np.minimum(np.ceil(points.max(0) + room) + 1, geometry.shape_kji).astype(int)
    shape = high - low
    finer = FINER if np.prod(shape) * FINER**2 <= MOST_VOXELS else 1
    return [_field(one, geometry, low, shape, finer) for one in shapes]


def _field(
    rings: RingsByK, geometry: Geometry, low: npt.NDArray[np.int_], shape: npt.NDArray[np.int_], finer: int
) -> Field:
    n, rows, columns = (int(v) for v in shape)
    mask = np.zeros((n + 2, rows * finer + 2, columns * finer + 2), np.bool_)  # a border of nothing on every side
    for k, found in rings.items():
        if 0 <= k - low[0] < n:
            placed = [(np.asarray(ring, float) - low[1:]) * finer + (finer - 1) / 2 for ring in found]
            mask[k - low[0] + 1, 1:-1, 1:-1] = fill(placed, (rows * finer, columns * finer))
    spacing = np.array(geometry.spacing_kji_mm) / (1, finer, finer)
    half = finer // 2
    inner = (slice(1, -1), slice(1 + half, -1, finer), slice(1 + half, -1, finer))
    signed = np.where(mask[inner], _to_surface(mask, spacing, inner), -_to_surface(~mask, spacing, inner))
    return Field(signed, (int(low[0]), int(low[1]), int(low[2])), geometry)


def _to_surface(mask: npt.NDArray[np.bool_], spacing: FloatArray, inner: tuple[slice, ...]) -> FloatArray:
    """Distance in mm from voxel centres in the mask to its surface, which lies half a voxel before the next centre."""
    if mask.all() or not mask.any():
        return np.full(mask[inner].shape, float(np.linalg.norm(spacing * mask.shape)) if mask.any() else 0.0)
    far, nearest = ndimage.distance_transform_edt(mask, sampling=spacing.tolist(), return_indices=True)
    here = np.indices(mask.shape, sparse=True)
    steps = [(nearest[a][inner] - np.broadcast_to(here[a], mask.shape)[inner]) for a in range(3)]
    voxels = np.sqrt(sum(s.astype(float) ** 2 for s in steps))
    distance = far[inner]
    return np.asarray(np.where(voxels > 0, distance - 0.5 * distance / np.maximum(voxels, 1e-9), 0.0))


# -- the edits ---------------------------------------------------------------------------------------------------
def grown(field: Field, mm: float, directions: Sequence[npt.ArrayLike] = ()) -> Field:
    """Larger by `mm`: all round, or swept along each direction (LPS unit vectors)."""
    if not directions:
        return _with(field, field.values + mm)
    for direction in directions:
        field = _with(field, np.maximum.reduce(field.swept(direction, mm)))
    return field


def shrunk(field: Field, mm: float, directions: Sequence[npt.ArrayLike] = ()) -> Field:
    """Smaller by `mm`: all round, or on the sides that face the directions (LPS unit vectors)."""
    if not directions:
        return _with(field, field.values - mm)
    for direction in directions:
        field = _with(field, np.minimum.reduce(field.swept(-np.asarray(direction, float), mm)))
    return field


def grown_but(field: Field, mm: float, others: Sequence[tuple[npt.ArrayLike, float]]) -> Field:
    """Larger by `mm` all round, but by other amounts (mm) along directions (LPS unit vectors of the patient's axes).

    Nowhere by more than `mm` but along a direction with more; nowhere further along a direction than it says. Towards
    a direction with less, it is what grows all round by the lesser amount and is then swept along the other axes,
    within what grows by `mm`.
    """
    made = field.values + mm
    axes = [np.array(axis, float) for axis in DIRECTIONS_LPS.values()]
    ways = [(np.asarray(way, float), amount) for way, amount in others]
    for way, amount in ways:
        if amount < mm:
            rest = [axis for axis in axes if not np.allclose(axis, way)]
            made = np.minimum(made, grown(_with(field, field.values + amount), mm - amount, rest).values)
    for way, amount in ways:
        if amount > mm:
            made = np.maximum.reduce(_with(field, made).swept(way, amount - mm))
    return _with(field, made)


def shrunk_but(field: Field, mm: float, others: Sequence[tuple[npt.ArrayLike, float]]) -> Field:
    """Smaller by `mm` all round, but by other amounts (mm) on the sides that face directions: what is outside grows."""
    turned = [(-np.asarray(way, float), amount) for way, amount in others]
    return _with(field, -grown_but(_with(field, -field.values), mm, turned).values)


def shifted(field: Field, mm: float, direction: npt.ArrayLike) -> Field:
    """Moved by `mm` along a direction (LPS unit vector)."""
    return _with(field, field.moved(np.asarray(direction, float) * mm))


def smoothed(field: Field, mm: float) -> Field:
    """Without detail smaller than `mm` (a Gaussian of that width, in mm), of the same volume."""
    spacing = np.array(field.geometry.spacing_kji_mm)
    soft = np.clip(field.values, -2 * mm, 2 * mm)
    blurred = ndimage.gaussian_filter(soft, mm / spacing, mode="nearest")
    count = int(np.count_nonzero(field.values > 0))
    level = np.partition(blurred.ravel(), -count)[-count] if count else 0.0
    return _with(field, blurred - level + 1e-6)


def joined(field: Field, other: Field) -> Field:
    return _with(field, np.maximum(field.values, other.values))


def kept_in(field: Field, other: Field) -> Field:
    return _with(field, np.minimum(field.values, other.values))


def kept_out(field: Field, other: Field) -> Field:
    return _with(field, np.minimum(field.values, -other.values))


def filled_between(field: Field) -> Field:
    """Slices left out between two contoured ones, by interpolating in-plane distances (Raya & Udupa 1990)."""
    values = field.values.copy()
    flat = [_flat(plane > 0, field.geometry) for plane in values]
    held = [n for n, plane in enumerate(values) if (plane > 0).any()]
    for a, b in pairwise(held):
        for n in range(a + 1, b):
            share = (n - a) / (b - a)
            values[n] = (1 - share) * flat[a] + share * flat[b]
    return _with(field, values)


def _flat(mask: npt.NDArray[np.bool_], geometry: Geometry) -> FloatArray:
    spacing = geometry.spacing_kji_mm[1:]
    inside, outside = (np.asarray(ndimage.distance_transform_edt(m, sampling=spacing)) for m in (mask, ~mask))
    return np.asarray(inside - outside)


def _with(field: Field, values: FloatArray) -> Field:
    return Field(values, field.corner_kji, field.geometry)


def superior_step(geometry: Geometry) -> int | None:
    """Which way k grows towards the head: 1 or -1; None where the slices do not run from feet to head."""
    z = geometry.axes_lps[0][2]
    return None if abs(z) < 0.7 else 1 if z > 0 else -1

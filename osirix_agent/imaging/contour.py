"""Closed planar contours: from a field or mask to rings, and from rings back to a mask.

A ring is an (n, 2) float array of (row j, column i) in index coordinates, integers at pixel centres, without a
repeated end point. Several rings on a slice are read even-odd: a ring in a ring is a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.measure import approximate_polygon, find_contours

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SIMPLIFY_PX = 0.05
CENTRE_MARGIN_PX = 0.08  # a diagonal between two such vertices passes the centre at 0.057 px, more than SIMPLIFY_PX
MAX_VERTICES = 300  # OsiriX stays fluent up to here


@dataclass(frozen=True, eq=False)
class Contour:
    """What outlines one structure on one slice.

    Attributes
    ----------
    k : int
        Slice index.
    rings_ji : tuple of (n, 2) float arrays
    """

    k: int
    rings_ji: tuple[FloatArray, ...]


def isocontour(field: npt.ArrayLike, level: float, *, offset_ji: tuple[int, int] = (0, 0)) -> tuple[FloatArray, ...]:
    """Rings of {field = level}, linear between pixel centres (marching squares, Lorensen & Cline 1987).

    Parameters
    ----------
    field : (j, i) array
        Outside the array the field counts as lower than `level`, so that every ring is closed.
    offset_ji : tuple of int
        Index of field[0, 0] in the full slice.
    """
    values = np.asarray(field, float)
    if values.size == 0 or not (values >= level).any():
        return ()
    span = max(1.0, float(values.max()) - level)
    padded = np.pad(values, 1, constant_values=level - span)
    # no centre may sit on the level: at or above it is inside, as in a mask
    padded = np.where(
        np.abs(padded - level) < 1e-6 * span, level + np.where(padded >= level, 1e-6, -1e-6) * span, padded
    )
    rings = []
    for line in find_contours(padded, level, fully_connected="low"):
        ring = _off_centres(line[:-1]) - 1.0 + np.array(offset_ji, float)
        if len(ring) >= 3:
            rings.append(simplify(ring))
    return tuple(rings)


def _off_centres(line_ji: FloatArray) -> FloatArray:
    """Vertices lie on lines between neighbouring centres; keep them so far from both that neither simplification nor
    float32 can carry the outline over a centre: the outline then holds exactly the mask's pixels."""
    low = np.floor(line_ji)
    share = line_ji - low
    between = share > 0
    return np.where(between, low + np.clip(share, CENTRE_MARGIN_PX, 1 - CENTRE_MARGIN_PX), line_ji)


def simplify(ring_ji: FloatArray, tolerance_px: float = SIMPLIFY_PX, limit: int = MAX_VERTICES) -> FloatArray:
    """Fewer vertices within `tolerance_px` (Douglas & Peucker 1973); the tolerance doubles until `limit` holds."""
    closed = np.vstack([ring_ji, ring_ji[:1]])
    while True:
        kept = approximate_polygon(closed, tolerance_px)[:-1]
        if len(kept) < 3:
            return ring_ji
        if len(kept) <= limit:
            return np.asarray(kept)
        tolerance_px *= 2


def fill(rings_ji: Sequence[npt.ArrayLike], shape_ji: tuple[int, int]) -> BoolArray:
    """(j, i) bool: pixels whose centre lies inside the rings, even-odd.

    Each edge toggles, on every row it crosses (upper end in, lower end out), the pixels to its right; a
    running XOR along the row leaves the inside. Rings may lie partly or wholly outside the slice.
    """
    rows, columns = shape_ji
    toggles = np.zeros((rows, columns + 1), np.bool_)
    for points in rings_ji:
        ring = np.asarray(points, float)
        if len(ring) < 3:
            continue
        j0, i0 = ring.T
        j1, i1 = np.roll(ring, -1, axis=0).T
        top, bottom = np.minimum(j0, j1), np.maximum(j0, j1)
        first = np.clip(np.ceil(top), 0, rows).astype(int)
        count = np.maximum(np.clip(np.ceil(bottom), 0, rows).astype(int) - first, 0)
        edge = np.repeat(np.arange(len(ring)), count)
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        slope = (i1 - i0)[edge] / (j1 - j0)[edge]
        crossing = i0[edge] + (row - j0[edge]) * slope
        column = np.clip(np.ceil(crossing), 0, columns).astype(int)
        np.logical_xor.at(toggles, (row, column), True)
    return np.asarray(np.logical_xor.accumulate(toggles, axis=1)[:, :columns])


def signed_area(ring_ji: FloatArray) -> float:
    """Shoelace area in square pixels; the sign tells the sense of rotation."""
    j, i = ring_ji.T
    return float(np.dot(i, np.roll(j, -1)) - np.dot(j, np.roll(i, -1))) / 2.0


def has_hole(rings_ji: Sequence[FloatArray]) -> bool:
    """Does a ring lie inside another one?"""
    for inner in rings_ji:
        for outer in rings_ji:
            if inner is not outer and _inside(inner[0], outer):
                return True
    return False


def crosses_itself(ring_ji: npt.ArrayLike) -> bool:
    """Do two edges of the ring that are not neighbours meet?"""
    ring = np.asarray(ring_ji, float)
    n = len(ring)
    if n < 4:
        return False
    a, b = ring, np.roll(ring, -1, axis=0)

    def side(p: FloatArray, q: FloatArray, r: FloatArray) -> FloatArray:
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    p, q, r, s = a[:, None], b[:, None], a[None], b[None]
    cross = (side(p, q, r) * side(p, q, s) < 0) & (side(r, s, p) * side(r, s, q) < 0)
    return bool(cross.any())


def _inside(point_ji: FloatArray, ring_ji: FloatArray) -> bool:
    j, i = point_ji
    j0, i0 = ring_ji.T
    j1, i1 = np.roll(ring_ji, -1, axis=0).T
    crosses = (np.minimum(j0, j1) <= j) & (j < np.maximum(j0, j1))
    with np.errstate(divide="ignore", invalid="ignore"):
        at = i0 + (j - j0) * (i1 - i0) / (j1 - j0)
    return bool(np.count_nonzero(crosses & (at > i)) % 2)

"""Rings with holes as polygons without: each hole is joined to what surrounds it by a channel of no width (a keyhole).

RTSTRUCT knows only closed polygons, so this is how a hole leaves (DICOM PS3.3 C.8.8.6.3). A channel runs along a row
half-way between two rows of pixel centres, so that no centre lies on it, however a reader rasterises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from osirix_agent.imaging.contour import FloatArray, signed_area


def keyholed(rings_ji: Sequence[FloatArray]) -> list[FloatArray]:
    """Polygons that hold the same pixels, read even-odd or by winding number.

    Parameters
    ----------
    rings_ji : rings (row, column), even-odd; those that cross each other stay as they are

    Returns
    -------
    list of (n, 2) arrays
        One for each ring that is no hole; its own vertices unchanged, in their order.
    """
    rings = [np.asarray(ring, float) for ring in rings_ji if len(ring) >= 3]
    around = [[n for n, outer in enumerate(rings) if n != m and _within(ring, outer)] for m, ring in enumerate(rings)]
    made = []
    for m, ring in enumerate(rings):
        if len(around[m]) % 2 == 0:
            held = [rings[n] for n in range(len(rings)) if len(around[n]) == len(around[m]) + 1 and m in around[n]]
            made.append(_joined(ring, held))
    return made


def _within(ring: FloatArray, outer: FloatArray) -> bool:
    """Do all vertices of one ring lie in another?"""
    j0, i0 = outer.T
    j1, i1 = np.roll(outer, -1, axis=0).T
    j, i = ring[:, :1], ring[:, 1:]
    crosses = (np.minimum(j0, j1) <= j) & (j < np.maximum(j0, j1))
    with np.errstate(divide="ignore", invalid="ignore"):
        at = i0 + (j - j0) * (i1 - i0) / (j1 - j0)
    return bool((np.count_nonzero(crosses & (at > i), axis=1) % 2).all())


def _joined(outer: FloatArray, holes: list[FloatArray]) -> FloatArray:
    left = list(holes)
    while left:
        doors = [(*door, n) for n, hole in enumerate(left) for door in _doors(hole, outer, left)]
        if not doors:  # cannot be for rings that do not cross
            raise ValueError("a hole cannot be joined to the ring around it")
        _, into, out_of, row, far, near, n = min(doors, key=lambda door: door[0])
        hole = left.pop(n)
        if signed_area(hole) * signed_area(outer) > 0:  # the other way round, for readers that count windings
            out_of, hole = len(hole) - 2 - out_of, hole[::-1]
        turned = np.roll(hole, -(out_of + 1), axis=0)
        q, s = np.array([[row, far]]), np.array([[row, near]])
        outer = np.concatenate([outer[: into + 1], q, s, turned, s, q, outer[into + 1 :]])
    return outer


def _doors(
    hole: FloatArray, outer: FloatArray, holes: list[FloatArray]
) -> Iterator[tuple[float, int, int, float, float, float]]:
    """Straight ways along a row from a hole to the polygon that cross nothing else.

    Each as length, edge of the polygon, edge of the hole, row, column at the polygon, column at the hole.
    """
    for row in _rows(hole):
        own, around = _crossings(hole, row), _crossings(outer, row)
        others = [column for other in holes if other is not hole for column, _ in _crossings(other, row)]
        for sign in (1, -1):
            near, out_of = min(own, key=lambda one: sign * one[0])
            beyond = [one for one in around if sign * one[0] < sign * near]
            if beyond:
                far, into = max(beyond, key=lambda one: sign * one[0])
                if not any(sign * far < sign * column < sign * near for column in others):
                    yield abs(near - far), into, out_of, row, far, near


def _rows(ring: FloatArray) -> list[float]:
    """Rows that cut the ring, half-way between pixel centres where there are such."""
    low, high = float(ring[:, 0].min()), float(ring[:, 0].max())
    halves = np.arange(np.floor(low) - 0.5, high, 1.0)
    inside = [float(row) for row in halves if low < row < high]
    return inside or [(low + high) / 2]


def _crossings(ring: FloatArray, row: float) -> list[tuple[float, int]]:
    """(column, edge) wherever the ring crosses the row."""
    j0, i0 = ring.T
    j1, i1 = np.roll(ring, -1, axis=0).T
    edges = np.flatnonzero((np.minimum(j0, j1) <= row) & (row < np.maximum(j0, j1)))
    return [(float(i0[e] + (row - j0[e]) * (i1[e] - i0[e]) / (j1[e] - j0[e])), int(e)) for e in edges]

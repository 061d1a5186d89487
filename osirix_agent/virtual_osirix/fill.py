"""How OsiriX fills a polygon: vertices cut down to whole pixels, edges stepped in whole numbers, both ends filled.

Written from the behaviour of Horos' scan-line filler (no code of it). The map that the service answers has, besides, a
free border: the first row and column go. Together that is the shift of about a pixel to the right and down.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.measure import grid_points_in_poly

BoolArray = npt.NDArray[np.bool_]


def filled(points: npt.ArrayLike, rows: int, columns: int, pixel_centre: float = 0.5) -> BoolArray:
    """(rows, columns) bool: what OsiriX computes statistics over.

    Parameters
    ----------
    points : (n, 2) x, y in ROI coordinates
    pixel_centre : float
        ROI coordinate of the centre of pixel (0, 0): 0.5 cuts coordinates down to whole pixels.
    """
    full = np.zeros((rows, columns), np.bool_)
    vertices = whole_pixels(points, pixel_centre)
    if len(vertices) < 2:
        return full
    crossings: dict[int, list[int]] = {}
    for top, bottom, first, last in _edges(vertices):
        height = bottom[1] - top[1]
        width = bottom[0] - top[0]
        for row in range(first, last + 1):
            stepped = (height // 2 + abs(width) * (row - top[1])) // height
            crossings.setdefault(row, []).append(top[0] + int(np.sign(width)) * stepped)
    for row, xs in crossings.items():
        if not 0 <= row < rows:
            continue
        ordered = sorted(xs)
        if len(ordered) % 2:
            ordered.append(ordered[-1])
        for left, right in zip(ordered[::2], ordered[1::2], strict=True):
            full[row, max(left, 0) : max(right + 1, 0)] = True
    return full


def polygon_map(points: npt.ArrayLike, rows: int, columns: int, pixel_centre: float = 0.5) -> BoolArray:
    """What DCMPixGetMapFromROI answers for a polygon: `filled` without its first row and column."""
    full = filled(points, rows, columns, pixel_centre)
    vertices = whole_pixels(points, pixel_centre)
    if len(vertices):
        x, y = (min(v[axis] for v in vertices) for axis in (0, 1))
        full[: max(y + 1, 0)] = False
        full[:, : max(x + 1, 0)] = False
    return full


def exact_map(points: npt.ArrayLike, rows: int, columns: int, pixel_centre: float = 0.5) -> BoolArray:
    """The pixels whose centre lies inside: what an OsiriX without the shift would answer."""
    ring = np.asarray(points, float).reshape(-1, 2)
    if len(ring) < 3:
        return np.zeros((rows, columns), np.bool_)
    return np.asarray(grid_points_in_poly((rows, columns), ring[:, ::-1] - pixel_centre), np.bool_)


def whole_pixels(points: npt.ArrayLike, pixel_centre: float = 0.5) -> list[tuple[int, int]]:
    """The pixel that each point lies in, as OsiriX looks it up (column, row)."""
    moved = np.trunc(np.asarray(points, float).reshape(-1, 2) + 0.5 - pixel_centre).astype(int)
    return [(int(x), int(y)) for x, y in moved]


def _edges(vertices: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int], int, int]]:
    """(upper end, lower end, first row, last row) of each edge that is not level.

    Where the outline runs on in the same direction past a vertex, that vertex' row belongs to the next edge alone;
    where it turns back, to both.
    """
    count = len(vertices)
    found = []
    for n, start in enumerate(vertices):
        end = vertices[(n + 1) % count]
        if start[1] == end[1]:
            continue
        after = next(v for m in range(2, count + 2) if (v := vertices[(n + m) % count])[1] != end[1])
        if end[1] > start[1]:
            found.append((start, end, start[1], end[1] - (after[1] > end[1])))
        else:
            found.append((end, start, end[1] + (after[1] < end[1]), start[1]))
    return found

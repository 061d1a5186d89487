"""What CT numbers say of a structure: how likely bone, air or fat is part of it, at two scales.

Networks smooth what voxels show sharply; a curve of CT numbers fitted for one structure gives that back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

KNOTS_HU = (-300.0, -100.0, -40.0, 0.0, 30.0, 60.0, 100.0, 200.0, 500.0)
SCALES_MM = (1.2, 4.5)  # deviations of a voxel's own width of 4 mm, and of its surroundings

FloatArray = npt.NDArray[np.float64]
Curves = tuple[tuple[float, ...], tuple[float, ...]]  # one a scale, at the knots


def brightness(
    array: npt.NDArray[Any], region: tuple[slice, slice, slice], spacing_kji: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """(k, j, i, 2) CT numbers (HU) of a region of a volume, seen at both scales whatever the voxel's size."""
    spacing = np.asarray(spacing_kji, float)
    room = np.ceil(3 * max(SCALES_MM) / spacing).astype(int)
    wide = tuple(
        slice(max(0, s.start - r), min(n, s.stop + r)) for s, r, n in zip(region, room, array.shape, strict=True)
    )
    inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(region, wide, strict=True))
    image = np.clip(np.nan_to_num(array[wide].astype(np.float32)), -1000, 2000)
    found = []
    for scale in SCALES_MM:
        left = np.sqrt(np.maximum(scale**2 - spacing**2 / 12, 0.0))  # a voxel is a box of deviation spacing / sqrt(12)
        found.append(ndimage.gaussian_filter(image, left / spacing, mode="nearest", truncate=3.0)[inner])
    return np.stack(found, -1)


def weigh(curves: Curves, seen_hu: npt.NDArray[Any]) -> FloatArray:
    """(...) logits that the curves add for brightness (..., 2)."""
    return np.asarray(sum(np.interp(seen_hu[..., n], KNOTS_HU, curve) for n, curve in enumerate(curves)), float)


def changed(curves: Curves | None, change: Callable[[float], float]) -> Curves | None:
    """The curves with each of their values changed."""
    if curves is None:
        return None
    fine, coarse = curves
    return tuple(map(change, fine)), tuple(map(change, coarse))


def hats(seen_hu: FloatArray) -> FloatArray:
    """(2 x knots, n) weights of the curves' values for brightness (n, 2)."""
    unit = np.eye(len(KNOTS_HU))
    return np.stack([np.interp(seen_hu[:, n], KNOTS_HU, row) for n in range(len(SCALES_MM)) for row in unit])

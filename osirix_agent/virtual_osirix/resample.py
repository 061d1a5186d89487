"""Lay one viewer's slices onto another's grid, as ResampleViewerController does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from osirix_agent.virtual_osirix.pix import Pix


def slices_are_regular(slices: Sequence[Pix]) -> bool:
    """OsiriX's condition for anything in three dimensions: equal, grey, evenly spaced slices."""
    first = slices[0]
    if len(slices) < 3 or any(pix.is_rgb for pix in slices):
        return False
    same = {(p.rows, p.columns, p.spacing_rows, p.spacing_columns) for p in slices}
    steps = np.diff([pix.origin.astype(float) for pix in slices], axis=0)
    even = np.abs(steps - steps[0]).max() < 0.1 and np.linalg.norm(steps[0]) > 0
    return len(same) == 1 and first.spacing_rows > 0 and first.spacing_columns > 0 and bool(even)


def resampled(moving: Sequence[Pix], fixed: Sequence[Pix]) -> list[Pix]:
    """Trilinear values of `moving` at every pixel of `fixed`; its lowest value where it has none."""
    stack = np.stack([pix.image for pix in moving])
    to_moving = np.linalg.inv(_directions(moving))
    start = moving[0].origin.astype(float)
    floor = float(stack.min())
    made = []
    for pix in fixed:
        rows, columns = np.mgrid[: pix.rows, : pix.columns]
        lps = (
            pix.origin.astype(float)[:, None, None]
            + columns * (pix.spacing_columns * pix.row_cosines.astype(float))[:, None, None]
            + rows * (pix.spacing_rows * pix.column_cosines.astype(float))[:, None, None]
        )
        kji = np.tensordot(to_moving, lps - start[:, None, None], axes=1)
        values = ndimage.map_coordinates(stack, kji, order=1, mode="constant", cval=floor)
        made.append(replace(pix, source=moving[0].source, image=values.astype(np.float32), payload=None))
    return made


def _directions(slices: Sequence[Pix]) -> np.ndarray:
    """Columns: the step in mm of one slice, one row, one column."""
    first = slices[0]
    step = (slices[-1].origin.astype(float) - first.origin) / (len(slices) - 1)
    return np.stack([step, first.spacing_rows * first.column_cosines, first.spacing_columns * first.row_cosines], 1)

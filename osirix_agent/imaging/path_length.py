"""Added path length: how much outline had to be drawn anew (Vaassen et al. 2020), a measure of editing effort."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


def added_path_mm(after: BoolArray, before: BoolArray, spacing_ji_mm: tuple[float, float]) -> float:
    """Outline pixels of one slice that were none before, times the pixel's mean side.

    Parameters
    ----------
    after, before : (j, i) bool
    """
    added = np.count_nonzero(outline(after) & ~outline(before))
    return float(added * (spacing_ji_mm[0] + spacing_ji_mm[1]) / 2)


def outline(mask: BoolArray) -> BoolArray:
    """(j, i) bool: pixels of the mask with a neighbour (of four) outside it."""
    padded = np.pad(mask, 1)
    return mask & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])

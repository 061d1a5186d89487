"""A simulated clinician: where the interactive benchmark would click next, and the box it starts from.

The rule is that of the CVPR 2025 interactive segmentation challenge (docs/concepts/benchmark.md): the largest
26-connected error component by voxel count, and in it a voxel of greatest distance to its border, in voxel units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

BoolArray = npt.NDArray[np.bool_]
CONNECTIVITY_26 = np.ones((3, 3, 3), np.bool_)


@dataclass(frozen=True)
class Click:
    """A voxel and whether the structure is there."""

    kji: tuple[int, int, int]
    include: bool


def next_click(truth: BoolArray, proposal: BoolArray, seed: int = 42) -> Click | None:
    """The benchmark's next click, or None when nothing is wrong.

    Parameters
    ----------
    truth, proposal : (k, j, i) bool
    seed : int
        Breaks ties between voxels of equal depth; the benchmark uses 42 at every click.
    """
    error = truth != proposal
    if not error.any():
        return None
    labels, count = ndimage.label(error, structure=CONNECTIVITY_26)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel(), minlength=count + 1)[1:]))
    where = ndimage.find_objects(labels)[largest - 1]
    lows = [max(0, s.start - max(1, (s.stop - s.start) // 4)) for s in where]
    highs = [min(n, s.stop + max(1, (s.stop - s.start) // 4)) for s, n in zip(where, error.shape, strict=True)]
    component = labels[tuple(slice(a, b) for a, b in zip(lows, highs, strict=True))] == largest
    depth = ndimage.distance_transform_edt(component)
    candidates = np.argwhere((depth == depth.max()) & component)
    chosen = candidates[np.random.RandomState(seed).randint(len(candidates))] + lows
    k, j, i = (int(v) for v in chosen)
    return Click((k, j, i), bool(truth[k, j, i]))


def middle_box(truth: BoolArray) -> tuple[int, int, int, int, int]:
    """(k, j_min, j_max, i_min, i_max), closed, round the truth on the middle of its occupied slices."""
    occupied = np.flatnonzero(truth.any(axis=(1, 2)))
    k = int(occupied[len(occupied) // 2])
    rows, columns = np.flatnonzero(truth[k].any(1)), np.flatnonzero(truth[k].any(0))
    return k, int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])

"""Prompts from marks on the voxel grid, as tools without patient coordinates make them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import skeletonize

from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.prompting.prompt import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointLps,
    PointPrompt,
    Polarity,
    Prompt,
    ScribblePrompt,
)
from osirix_agent.segmenter.seeds import on_slice

BoolArray = npt.NDArray[np.bool_]

NEXT = 2.0  # voxels: a stroke goes on to a point that is no further
EMPTY = PromptError("The mark holds no voxel of the image.", "Draw it inside the image.")


def point(geometry: Geometry, kji: npt.ArrayLike, polarity: Polarity) -> PointPrompt:
    return PointPrompt(position_lps=_lps(geometry, np.asarray(kji)[None])[0], polarity=polarity)


def box(geometry: Geometry, bounds: list[tuple[int, int]], polarity: Polarity) -> Prompt:
    """A box of half-open bounds that is one voxel thin along an axis.

    Raises
    ------
    PromptError
        Thin along no axis, empty, or not within the image.
    """
    fits = all(0 <= low < high <= n for (low, high), n in zip(bounds, geometry.shape_kji, strict=True))
    if not fits or all(high - low > 1 for low, high in bounds):
        raise PromptError("The box is empty, leaves the image, or is no flat one.", "Draw it on one slice, inside.")
    (k, k_end), (top, bottom), (left, right) = bounds
    if k_end - k > 1:  # flat in another plane: a thin outline on each slice
        mask = np.zeros(geometry.shape_kji, bool)
        mask[tuple(slice(low, high) for low, high in bounds)] = True
        return outline(geometry, mask, polarity)
    corners = [(k, top, left), (k, bottom, left), (k, bottom, right), (k, top, right)]
    a, b, c, d = _lps(geometry, np.array(corners) - (0, 0.5, 0.5))
    return BoxPrompt(corners_lps=(a, b, c, d), polarity=polarity)


def outline(geometry: Geometry, mask: BoolArray, polarity: Polarity) -> LassoPrompt | MaskPrompt:
    """What a mask holds, holes closed, slice by slice.

    Raises
    ------
    PromptError
        It is empty.
    """
    slices = []
    for k in np.flatnonzero(mask.any((1, 2))):
        rings = isocontour(ndimage.binary_fill_holes(mask[k]), 0.5)
        told = tuple(_lps(geometry, on_slice(int(k), ring)) for ring in rings)
        slices.append(LassoPrompt(rings_lps=told, polarity=polarity))
    if not slices:
        raise EMPTY
    return slices[0] if len(slices) == 1 else MaskPrompt(slices=tuple(slices), polarity=polarity)


def strokes(geometry: Geometry, mask: BoolArray, polarity: Polarity) -> list[Prompt]:
    """A painted stroke as lines along its middle.

    Raises
    ------
    PromptError
        It is empty.
    """
    found: list[Prompt] = []
    for run in _runs(np.argwhere(skeletonize(mask) if mask.any() else mask)):
        if len(run) == 1:
            found.append(point(geometry, run[0], polarity))
        else:
            found.append(ScribblePrompt(points_lps=_lps(geometry, run), polarity=polarity))
    if not found:
        raise EMPTY
    return found


def _runs(points_kji: npt.NDArray[np.int_]) -> list[npt.NDArray[np.int_]]:
    """Points in the order in which a pen would pass them: from an end on, each to its nearest; a gap ends a run."""
    runs: list[npt.NDArray[np.int_]] = []
    left, run = points_kji.astype(float), np.empty((0, 3), int)
    while len(left):
        if len(run):
            far = np.linalg.norm(left - run[-1], axis=1)
            at = int(np.argmin(far))
            if far[at] > NEXT:
                runs, run = [*runs, run], run[:0]
        if not len(run):
            at = int(np.argmax(np.linalg.norm(left - left[0], axis=1)))
        run = np.vstack([run, left[at].astype(int)])
        left = np.delete(left, at, 0)
    return [*runs, run] if len(run) else runs


def _lps(geometry: Geometry, points_kji: npt.ArrayLike) -> tuple[PointLps, ...]:
    return tuple((float(x), float(y), float(z)) for x, y, z in geometry.to_lps(points_kji))

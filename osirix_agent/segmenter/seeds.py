"""Prompts on a voxel grid: which voxels are certainly in, certainly out, and what shapes say about the rest.

Prompts come in LPS millimetres, from any viewer; here they meet the volume's own voxels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import FloatArray, fill
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    TextPrompt,
    prompt_points_lps,
)

AIR_HU = -900.0
STROKE_STEP_MM = 1.0
MAX_TILT_SLICES = 0.75


@dataclass(frozen=True, eq=False)
class Stroke:
    """Positions a point or scribble marks.

    Attributes
    ----------
    sign : +1 include, -1 exclude
    points_kji : (n, 3) float, voxel index
    """

    sign: int
    points_kji: FloatArray


@dataclass(frozen=True, eq=False)
class Region:
    """A closed shape on one slice.

    Attributes
    ----------
    sign : +1 include, -1 exclude
    k : int
    rings_ji : rings on that slice
    loose : bool
        A box: the structure lies in it and reaches its sides, but does not fill it.
    """

    sign: int
    k: int
    rings_ji: tuple[FloatArray, ...]
    loose: bool

    @property
    def points_kji(self) -> FloatArray:
        """(n, 3): the rings' points."""
        return on_slice(self.k, np.concatenate(self.rings_ji))


@dataclass(frozen=True, eq=False)
class Marks:
    """All prompts of a request on the volume's grid, oldest first."""

    strokes: tuple[Stroke, ...]
    regions: tuple[Region, ...]

    @property
    def positive_points_kji(self) -> FloatArray:
        """(n, 3): everything that says where the structure is; may be empty."""
        held = [s.points_kji for s in self.strokes if s.sign > 0]
        held += [region.points_kji for region in self.regions if region.sign > 0]
        return np.concatenate(held) if held else np.zeros((0, 3))


def on_slice(k: int, points_ji: npt.ArrayLike) -> FloatArray:
    """(n, 2) row and column on slice k to (n, 3) voxel index."""
    points = np.asarray(points_ji, float)
    return np.column_stack([np.full(len(points), float(k)), points])


def read_marks(volume: Volume, prompts: Iterable[Prompt]) -> Marks:
    """Prompts as voxel positions and slice regions.

    Raises
    ------
    PromptError
        Outside the image, outside the body, a shape without area, words.
    """
    strokes: list[Stroke] = []
    regions: list[Region] = []
    for prompt in prompts:
        check_prompt(volume, prompt)
        match prompt:
            case PointPrompt():
                strokes.append(Stroke(prompt.polarity.sign, volume.geometry.to_kji([prompt.position_lps])))
            case ScribblePrompt():
                dense = _dense(np.array(prompt.points_lps))
                strokes.append(Stroke(prompt.polarity.sign, volume.geometry.to_kji(dense)))
            case BoxPrompt():
                k, ring = _on_slice(volume.geometry, prompt.corners_lps)
                regions.append(Region(prompt.polarity.sign, k, (ring,), loose=True))
            case LassoPrompt():
                regions.append(_lasso(volume.geometry, prompt))
            case MaskPrompt():
                regions += [_lasso(volume.geometry, lasso) for lasso in prompt.slices]
            case TextPrompt():
                pass
    return Marks(tuple(strokes), tuple(regions))


def check_prompt(volume: Volume, prompt: Prompt) -> None:
    """Raise PromptError when the prompt cannot mean anything on this image."""
    if isinstance(prompt, TextPrompt):
        raise PromptError(
            "This segmenter cannot read words.",
            "Click or draw instead, or choose a segmenter that reads text.",
        )
    points = np.array(prompt_points_lps(prompt))
    inside = volume.geometry.contains(points)
    if isinstance(prompt, PointPrompt):
        if not inside.all():
            raise PromptError("The point lies outside the image.", "Place it on the image.")
        if prompt.polarity.sign > 0 and _outside_body(volume, points[0]):
            raise PromptError("The point lies outside the body.", "Place it inside the structure.")
    elif not inside.any():
        raise PromptError("The drawn shape lies outside the image.", "Draw it on the image.")
    if isinstance(prompt, MaskPrompt):
        for lasso in prompt.slices:
            check_prompt(volume, lasso)
    if isinstance(prompt, (BoxPrompt, LassoPrompt)) and np.ptp(volume.geometry.to_kji(points)[:, 0]) > MAX_TILT_SLICES:
        raise PromptError(
            "The shape was drawn across the slices of the series.",
            "Draw it in a viewer parallel to them, or use points.",
        )
    if isinstance(prompt, BoxPrompt) and len({tuple(p) for p in prompt.corners_lps}) < 4:
        raise PromptError("The box has no area.", "Draw it from corner to corner.")


def _lasso(geometry: Geometry, lasso: LassoPrompt) -> Region:
    placed = [_on_slice(geometry, ring) for ring in lasso.rings_lps]
    region = Region(lasso.polarity.sign, placed[0][0], tuple(ring for _, ring in placed), loose=False)
    if not fill(region.rings_ji, geometry.shape_kji[1:]).any():
        raise PromptError("The drawn outline holds no pixel of the image.", "Draw it larger, on the image.")
    return region


def _on_slice(geometry: Geometry, points_lps: npt.ArrayLike) -> tuple[int, FloatArray]:
    """Nearest slice and (row, column) of a planar shape drawn parallel to the slices."""
    kji = geometry.to_kji(np.asarray(points_lps, float))
    k = int(np.clip(round(float(kji[:, 0].mean())), 0, geometry.shape_kji[0] - 1))
    return k, kji[:, 1:]


def _dense(points_lps: FloatArray) -> FloatArray:
    """The stroke with a point at least every `STROKE_STEP_MM`."""
    pieces = [points_lps[:1]]
    for a, b in pairwise(points_lps):
        n = max(1, int(np.ceil(np.linalg.norm(b - a) / STROKE_STEP_MM)))
        pieces.append(a + (b - a) * np.linspace(0, 1, n + 1)[1:, None])
    return np.concatenate(pieces)


def _outside_body(volume: Volume, point_lps: FloatArray) -> bool:
    """Padding (a flat patch at the volume's minimum), or on CT air that reaches the edge of the slice."""
    k, j, i = np.round(volume.geometry.to_kji(point_lps)).astype(int)
    _, dj, di = volume.geometry.spacing_kji_mm
    rj, ri = max(1, round(3.0 / dj)), max(1, round(3.0 / di))
    image = volume.array[k]
    patch = image[max(0, j - rj) : j + rj + 1, max(0, i - ri) : i + ri + 1]
    if float(patch.max()) == float(patch.min()) == float(volume.array.min()) and float(image.max()) > float(
        patch.max()
    ):
        return True
    if volume.modality != "CT" or float(patch.mean()) > AIR_HU:
        return False
    from scipy import ndimage

    labels, _ = ndimage.label(image < AIR_HU)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return bool(labels[j, i] and labels[j, i] in rim)

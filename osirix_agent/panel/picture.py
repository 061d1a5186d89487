"""What lies on a slice of any plane: contours, isolines, her own outlines, the marks of prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.agent.outline import CERTAIN_LOGIT
from osirix_agent.agent.scene import HUES
from osirix_agent.agent.sight import Sight
from osirix_agent.agent.state import StructureState
from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief, drawable, logit
from osirix_agent.imaging.contour import FloatArray, fill, isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.panel.plane import Plane
from osirix_agent.prompting.prompt import BoxPrompt, LassoPrompt, MaskPrompt, PointPrompt, Prompt, ScribblePrompt
from osirix_agent.viewer.pixel import PixelMap

NEAR_SLICES = 0.6  # a mark is shown on the slices it lies this near to


def outlines(sight: Sight, plane: Plane, index: int) -> list[dict[str, Any]]:
    """Rings on the slice: {structure, colour, level, rings}; level 50 is the contour, 0 an outline of her own."""
    found = [
        _outline(name, HUES[held.hue % len(HUES)], level, rings)
        for name, held in sight.state.structures.items()
        for level, rings in _structure(sight, held, plane, index)
        if rings
    ]
    if plane.axis == 0:
        drawn = {name for name, held in sight.state.structures.items() if held.is_asked}
        for roi in sight.hers:
            rings = sight.pixels.rings_of(roi) if roi.k == index and roi.name not in drawn else ()
            if rings:
                found.append(_outline(roi.name, (176, 176, 184), 0, rings))
    return found


def marks(sight: Sight, plane: Plane, index: int) -> list[dict[str, Any]]:
    """Prompts on the slice: {number, kind, include, structure, points}."""
    found = []
    for name, held in sight.state.structures.items():
        if held.accepted:
            continue
        for record in held.prompts:
            for points in _drawn(record.prompt):
                at = plane.geometry.to_kji(np.array(points))
                if np.abs(at[:, plane.axis] - index).min() <= NEAR_SLICES:
                    found.append(
                        {
                            "number": record.number,
                            "kind": record.prompt.kind,
                            "include": record.prompt.polarity.sign > 0,
                            "structure": name,
                            "points": _listed(plane.to_picture(at)),
                        }
                    )
    return found


def _structure(
    sight: Sight, held: StructureState, plane: Plane, index: int
) -> Iterator[tuple[int, tuple[FloatArray, ...]]]:
    """(level, rings) of one structure as she sees it: the proposal, and her own slices where she edited."""
    belief = sight.shown.get(held.name) if held.is_asked else held.outline
    levels = [50]
    closed = held.accepted or held.name in sight.look.plain
    if belief is not None and belief is sight.shown.get(held.name) and not closed:
        near = sight.look.slices is None or plane.axis != 0 or index in sight.look.slices
        levels += [level for level in sight.look.levels if level != 50 and near]
    if plane.axis != 0:
        field = _across(held, belief, plane, index, sight.pixels)
        for level in levels:
            rings = isocontour(drawable(field, level), logit(level))
            yield level, tuple(plane.turn(ring) for ring in rings)
    elif index in held.edits:
        yield 50, tuple(ring for _, roi in held.edits[index] for ring in sight.pixels.rings_of(roi))
    elif belief is not None:
        for level in levels:
            yield level, belief.isoline(index, level)


def _across(
    held: StructureState, belief: Belief | None, plane: Plane, index: int, pixels: PixelMap
) -> npt.NDArray[np.float32]:
    """Logits on a slice across the series' own, with her edited slices as certain rows."""
    shape = plane.geometry.shape_kji
    field = np.full(np.delete(shape, plane.axis), OUTSIDE_LOGIT, np.float32)
    if belief is not None:
        row = index - belief.corner_kji[plane.axis]
        if 0 <= row < belief.mean_logit.shape[plane.axis]:
            first, second = (belief.region[axis] for axis in range(3) if axis != plane.axis)
            field[first, second] = np.take(belief.crop_logit, row, plane.axis)
    for k, rois in held.edits.items():
        mask = fill([ring for _, roi in rois for ring in pixels.rings_of(roi)], (shape[1], shape[2]))
        field[k] = np.where(np.take(mask, index, plane.axis - 1), CERTAIN_LOGIT, -CERTAIN_LOGIT)
    return field


def _drawn(prompt: Prompt) -> list[npt.ArrayLike]:
    """The lines that show a prompt, LPS mm."""
    match prompt:
        case PointPrompt():
            return [[prompt.position_lps]]
        case BoxPrompt():
            return [prompt.corners_lps]
        case ScribblePrompt():
            return [prompt.points_lps]
        case LassoPrompt():
            return list(prompt.rings_lps)
        case MaskPrompt():
            return [ring for lasso in prompt.slices for ring in lasso.rings_lps]
        case _:
            return []


def slice_of(prompt: Prompt, geometry: Geometry) -> int | None:
    """The slice of the series that a prompt lies on, or the middle one of those it lies on; None for words."""
    lines = _drawn(prompt)
    if not lines:
        return None
    k = float(np.mean([geometry.to_kji(np.array(line))[:, 0].mean() for line in lines]))
    return int(np.clip(round(k), 0, geometry.shape_kji[0] - 1))


def _outline(name: str, colour: tuple[int, int, int], level: int, rings: tuple[FloatArray, ...]) -> dict[str, Any]:
    return {"structure": name, "colour": list(colour), "level": level, "rings": [_listed(ring) for ring in rings]}


def _listed(points: FloatArray) -> list[list[float]]:
    rounded: list[list[float]] = np.round(points, 2).tolist()
    return rounded

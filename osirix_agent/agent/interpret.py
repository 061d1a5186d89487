"""What an ROI means: from a drawn shape to a prompt in patient millimetres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osirix_agent.agent.state import SessionState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import FloatArray, crosses_itself, signed_area
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.prompting.prompt import (
    BoxPrompt,
    LassoPrompt,
    PointLps,
    PointPrompt,
    Polarity,
    Prompt,
    ScribblePrompt,
)
from osirix_agent.segmenter.protocol import FixedSlice
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.roi import RoiSpec, RoiType

PROMPT_TYPES = frozenset(int(t) for t in RoiType)
MIN_AREA_PX = 1.0


def interpret(
    roi: RoiSpec, pixels: PixelMap, polarity: Polarity | None, shown: Belief | None, geometry: Geometry
) -> Prompt:
    """The prompt an ROI stands for.

    Parameters
    ----------
    roi : RoiSpec
    pixels : PixelMap
        Of the viewer it was drawn in.
    polarity : Polarity or None
        From its name; None: a point or stroke in the proposal excludes, elsewhere it includes.
    shown : Belief or None
        The proposal the clinician sees.
    geometry : Geometry
        Of the bound series, on which `shown` lives.

    Raises
    ------
    PromptError
        A shape that means nothing: no area, crossing itself, empty.
    """
    if roi.itype == RoiType.POINT:
        (position,) = _tuples(pixels.to_lps(roi.k, roi.points_xy[:1]))
        return PointPrompt(position_lps=position, polarity=polarity or _by_position([position], shown, geometry))
    if roi.itype in (RoiType.PENCIL, RoiType.OPEN_POLYGON):
        points = _tuples(pixels.to_lps(roi.k, roi.points_xy))
        if len(points) < 2:
            raise PromptError("The stroke is empty.", "Draw it again.")
        return ScribblePrompt(points_lps=tuple(points), polarity=polarity or _by_position(points, shown, geometry))
    if roi.itype == RoiType.BOX:
        if abs(signed_area(pixels.to_ji(roi.points_xy))) < MIN_AREA_PX:
            raise PromptError("The box has no area.", "Draw it from corner to corner.")
        a, b, c, d = _tuples(pixels.to_lps(roi.k, roi.points_xy))
        return BoxPrompt(corners_lps=(a, b, c, d), polarity=polarity or Polarity.INCLUDE)
    rings = pixels.rings_of(roi)
    if not rings:
        raise PromptError("The painted region is empty.", "Paint it again.")
    if roi.itype == RoiType.CLOSED_POLYGON:
        _check_polygon(rings[0])
    placed = tuple(tuple(_tuples(pixels.ring_lps(roi.k, ring))) for ring in rings)
    return LassoPrompt(rings_lps=placed, polarity=polarity or Polarity.INCLUDE)


def rings_lps(rois: tuple[RoiSpec, ...], pixels: PixelMap) -> tuple[tuple[PointLps, ...], ...]:
    """Outlines of the ROIs of one slice, LPS mm."""
    return tuple(tuple(_tuples(pixels.ring_lps(roi.k, ring))) for roi in rois for ring in pixels.rings_of(roi))


def fixed_slices(state: SessionState, pixels: PixelMap) -> dict[str, tuple[FixedSlice, ...]]:
    """Her edited slices of every structure."""
    return {
        name: tuple(
            FixedSlice(k=k, rings_lps=rings_lps(tuple(roi for _, roi in rois), pixels))
            for k, rois in sorted(structure.edits.items())
        )
        for name, structure in state.structures.items()
    }


def _check_polygon(ring_ji: FloatArray) -> None:
    if len(ring_ji) < 3 or abs(signed_area(ring_ji)) < MIN_AREA_PX:
        raise PromptError("The polygon has no area.", "Draw it again, round the structure.")
    if crosses_itself(ring_ji):
        raise PromptError("The polygon crosses itself.", "Move a vertex, or draw it again, so that no edges cross.")


def _by_position(points: list[PointLps], shown: Belief | None, geometry: Geometry) -> Polarity:
    if shown is None:
        return Polarity.INCLUDE
    voxels = np.round(geometry.to_kji(np.array(points))).astype(int)
    inside = [shown.probability_at(*(int(v) for v in voxel)) >= 0.5 for voxel in voxels]
    return Polarity.EXCLUDE if np.mean(inside) > 0.5 else Polarity.INCLUDE


def _tuples(points: npt.ArrayLike) -> list[PointLps]:
    return [(float(x), float(y), float(z)) for x, y, z in np.asarray(points)]

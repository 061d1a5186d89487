"""What should be in a viewer, given the state: contours, isolines around the displayed slice, her live prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from osirix_agent.agent.state import SessionState, StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.imaging.contour import FloatArray, fill, has_hole, signed_area
from osirix_agent.viewer.paint import RoiKey
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.roi import (
    CONTOUR,
    Brush,
    RoiSpec,
    RoiType,
    Style,
    agent_name,
    isoline_role,
    parse_agent_name,
)

# one hue a structure, all told apart by the colour blind (Okabe & Ito 2008)
HUES = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0))
CONTOUR_ROLE = "contour"
PROMPT_ROLE = "prompt"
STALE_ROLE = "stale"  # ours, and out of date: nothing ever wants it
MIN_ISOLINE_PX = 0.5  # smaller isolines are specks of interpolation; a contour keeps every pixel of its mask


@dataclass(frozen=True)
class Look:
    """What of the uncertainty is shown, and where.

    Attributes
    ----------
    levels : tuple of percent
    slices : range or None
        Slices with isolines; None: all.
    plain : frozenset of structure
        Those that are shown without.
    """

    levels: tuple[int, ...]
    slices: range | None
    plain: frozenset[str] = frozenset()


def contour_style(hue: int) -> Style:
    return Style(HUES[hue % len(HUES)], thickness=3.0, opacity=1.0)


def isoline_style(hue: int, level_percent: int) -> Style:
    return Style(HUES[hue % len(HUES)], thickness=1.0, opacity=0.8 if level_percent in (25, 75) else 0.55)


def prompt_key(number: int, k: int) -> RoiKey:
    return RoiKey(str(number), PROMPT_ROLE, k)


def wanted_prompts(state: SessionState, viewer: int) -> dict[RoiKey, RoiSpec]:
    """Her prompt ROIs that are part of the state (permanent ones are not ours to manage)."""
    return {
        prompt_key(record.number, record.roi.k): record.roi
        for structure in state.structures.values()
        for record in structure.prompts
        if record.roi is not None and record.viewer == viewer and not record.permanent and not record.consumed
    }


def wanted_rois(
    state: SessionState, beliefs: Mapping[str, Belief], pixels: PixelMap, run: str, look: Look
) -> dict[RoiKey, RoiSpec]:
    """Every ROI that the bound viewer should hold because of the session.

    Parameters
    ----------
    beliefs : mapping of structure to its belief as shown
    """
    wanted = wanted_prompts(state, 0)
    for name, structure in state.structures.items():
        belief = beliefs.get(name)
        wanted |= _contours(structure, belief, pixels, run)
        if belief is not None and structure.is_asked and not structure.accepted and name not in look.plain:
            wanted |= _isolines(structure, belief, pixels, run, look)
    return wanted


def wanted_at_exit(state: SessionState, pixels: PixelMap, run: str) -> dict[RoiKey, RoiSpec]:
    """What stays when the session ends: accepted contours, slices she edited, her prompts; no draft, no isoline."""
    wanted = wanted_prompts(state, 0)
    for structure in state.structures.values():
        staying = structure.kept or structure
        edits = {**staying.edits, **structure.edits}  # an edit is hers even where the rest goes back
        wanted |= _contours(replace(staying, edits=edits), staying.final, pixels, run, final=True)
    return wanted


def _contours(
    structure: StructureState, belief: Belief | None, pixels: PixelMap, run: str, *, final: bool = False
) -> dict[RoiKey, RoiSpec]:
    wanted: dict[RoiKey, RoiSpec] = {}
    for k, rois in structure.edits.items():
        for n, roi in rois:  # hers now, and named so: it must not be taken for a draft
            name = structure.name if parse_agent_name(roi.name) else roi.name
            spec = RoiSpec(k, roi.itype, name, roi.style, roi.points_xy, roi.brush)
            wanted[RoiKey(structure.name, CONTOUR_ROLE, k, n)] = spec
    if belief is None or not structure.is_asked:
        return wanted
    draft = agent_name(structure.name, CONTOUR, run)
    before = structure.kept.final if structure.kept is not None else None
    for k in belief.slices():
        if k in structure.edits:
            continue
        rings = belief.isoline(k)
        # a slice on which an opened structure still is what was accepted keeps its name: it is no draft
        plain = structure.accepted or final or (before is not None and _same_rings(before.isoline(k), rings))
        name = structure.name if plain else draft
        for n, spec in enumerate(contour_rois(rings, k, name, contour_style(structure.hue), pixels)):
            wanted[RoiKey(structure.name, CONTOUR_ROLE, k, n)] = spec
    return wanted


def _isolines(
    structure: StructureState, belief: Belief, pixels: PixelMap, run: str, look: Look
) -> dict[RoiKey, RoiSpec]:
    wanted: dict[RoiKey, RoiSpec] = {}
    for level in look.levels:
        if level == 50:
            continue  # the contour itself, drawn thick
        role = isoline_role(level)
        for k in belief.slices(level):
            if k in structure.edits or (look.slices is not None and k not in look.slices):
                continue
            rings = [ring for ring in belief.isoline(k, level) if abs(signed_area(ring)) >= MIN_ISOLINE_PX]
            for n, ring in enumerate(_large_first(tuple(rings))):
                spec = RoiSpec(
                    k, RoiType.CLOSED_POLYGON, agent_name(structure.name, role, run),
                    isoline_style(structure.hue, level), pixels.to_xy(ring),
                )  # fmt: skip
                wanted[RoiKey(structure.name, role, k, n)] = spec
    return wanted


def contour_rois(
    rings: tuple[FloatArray, ...], k: int, name: str, style: Style, pixels: PixelMap, *, painted: bool = False
) -> list[RoiSpec]:
    """One polygon an island; a cropped brush where there is a hole, which polygons cannot hold, or if `painted`."""
    rings = tuple(_large_first(rings))
    if painted or has_hole(rings):
        brush = Brush.from_full(fill(rings, pixels.geometry.shape_kji[1:]))
        if brush is None:
            return []
        shaded = Style(style.color, style.thickness, 0.5)
        return [RoiSpec(k, RoiType.BRUSH, name, shaded, np.zeros((0, 2), np.float32), brush)]
    return [RoiSpec(k, RoiType.CLOSED_POLYGON, name, style, pixels.to_xy(ring)) for ring in rings]


def _same_rings(a: tuple[FloatArray, ...], b: tuple[FloatArray, ...]) -> bool:
    return len(a) == len(b) and all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def _large_first(rings: tuple[FloatArray, ...]) -> list[FloatArray]:
    return sorted(rings, key=lambda ring: -abs(signed_area(ring)))

"""The outline of a structure as a certain belief: what others must keep off, and what a replay rebuilds exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from osirix_agent.agent.state import StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.imaging.contour import FloatArray, fill, isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.path_length import added_path_mm
from osirix_agent.prompting.prompt import PointLps
from osirix_agent.viewer.pixel import PixelMap

CERTAIN_LOGIT = 10.0
RingsLps = tuple[tuple[PointLps, ...], ...]


def outline_belief(slices: Mapping[int, RingsLps], geometry: Geometry) -> Belief | None:
    """Inside the rings certainly in, elsewhere certainly out; None when they hold no voxel.

    Parameters
    ----------
    slices : mapping of slice to closed rings, LPS mm, even-odd
    """
    shape = geometry.shape_kji
    masks = {k: fill([geometry.to_kji(ring)[:, 1:] for ring in rings], shape[1:]) for k, rings in slices.items()}
    held = sorted(k for k, mask in masks.items() if mask.any())
    if not held:
        return None
    logit = np.full((held[-1] + 1 - held[0], *shape[1:]), -CERTAIN_LOGIT, np.float32)
    for k in held:
        logit[k - held[0]][masks[k]] = CERTAIN_LOGIT
    return Belief(logit, (held[0], 0, 0), shape, "clinician")


def structure_outline(structure: StructureState, shown: Belief | None, pixels: PixelMap) -> dict[int, RingsLps]:
    """What the clinician sees of a structure, slice by slice: the proposal, and her own slices where she edited."""
    slices: dict[int, RingsLps] = {}
    if shown is not None:
        for k in shown.slices():
            slices[k] = lps_rings(shown.isoline(k), k, pixels)
    shape = pixels.geometry.shape_kji[1:]
    for k, rois in structure.edits.items():
        mask = fill([ring for _, roi in rois for ring in pixels.rings_of(roi)], shape)
        slices[k] = lps_rings(isocontour(mask.astype(float), 0.5), k, pixels)
    return {k: rings for k, rings in slices.items() if rings}


def added_path(before: Belief | None, rings: RingsLps, k: int, geometry: Geometry) -> float:
    """Outline on slice k, mm, that the clinician drew beyond what was shown to her there."""
    after = fill([geometry.to_kji(ring)[:, 1:] for ring in rings], geometry.shape_kji[1:])
    shown = np.zeros_like(after)
    if before is not None and 0 <= k - before.corner_kji[0] < before.crop_mask.shape[0]:
        shown[before.region[1:]] = before.crop_mask[k - before.corner_kji[0]]
    return added_path_mm(after, shown, geometry.spacing_kji_mm[1:])


def lps_rings(rings_ji: Sequence[FloatArray], k: int, pixels: PixelMap) -> RingsLps:
    """Rings (row, column) of slice k as LPS mm."""
    return tuple(tuple((float(x), float(y), float(z)) for x, y, z in pixels.ring_lps(k, r)) for r in rings_ji)

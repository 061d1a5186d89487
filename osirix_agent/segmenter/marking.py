"""A request's prompts on the network's grids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.interactions import Mark
from osirix_agent.network.preprocess import Grid
from osirix_agent.segmenter.seeds import Marks, Region, on_slice

FloatArray = npt.NDArray[np.float64]


def marks_on(grid: Grid, volume: Volume, marks: Marks) -> list[Mark]:
    """One prompt's marks, by channel."""
    found = [("region+" if r.sign > 0 else "region-", _inside(r, grid, volume)) for r in marks.regions]
    for stroke in marks.strokes:
        kind = "point" if len(stroke.points_kji) == 1 else "scribble"
        at = grid.to_kji(volume.geometry.to_lps(stroke.points_kji))
        found.append((kind + ("+" if stroke.sign > 0 else "-"), at))
    return found


def _inside(region: Region, grid: Grid, volume: Volume) -> FloatArray:
    """(n, 3) grid index of points that fill a region, no further apart than the grid's voxels."""
    geometry = volume.geometry
    held = np.argwhere(fill(region.rings_ji, geometry.shape_kji[1:])).astype(float)
    parts = [max(1, int(np.ceil(s / grid.spacing_mm))) for s in geometry.spacing_kji_mm[1:]]
    offsets = [(np.arange(n) + 0.5) / n - 0.5 for n in parts]
    held = np.concatenate([held + np.array([a, b]) for a in offsets[0] for b in offsets[1]])
    return grid.to_kji(geometry.to_lps(on_slice(region.k, held)))

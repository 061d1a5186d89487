"""A request's prompts as interaction channels on a grid, just as the simulated clinician of the training makes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.preprocess import RECENCY, Grid, stamp_points
from osirix_agent.network.prompt import CHANNELS
from osirix_agent.segmenter.seeds import Marks, Region

FloatArray = npt.NDArray[np.float64]


def channels(grid: Grid, volume: Volume, marked: list[Marks], previous: Tensor | None, words: Tensor | None) -> Tensor:
    """(1, 8, k, j, i) interaction channels, as in training."""
    made = torch.zeros(len(CHANNELS), *grid.shape_kji)
    if previous is not None:
        made[0] = previous.cpu()
    if words is not None:
        made[-1] = words[0].cpu()
    for age, marks in enumerate(reversed(marked)):
        strength = RECENCY**age
        for region in marks.regions:
            channel = made[CHANNELS.index("region+" if region.sign > 0 else "region-")]
            _paint(channel, _inside(region, grid, volume), strength)
        for stroke in marks.strokes:
            at = grid.to_kji(volume.geometry.to_lps(stroke.points_kji))
            sign = "+" if stroke.sign > 0 else "-"
            if len(at) == 1:
                stamp_points(made[CHANNELS.index("point" + sign)], at, strength)
            else:
                _paint(made[CHANNELS.index("scribble" + sign)], at, strength)
    return made[None]


def _inside(region: Region, grid: Grid, volume: Volume) -> FloatArray:
    """(n, 3) grid index of points that fill a region, no further apart than the grid's voxels."""
    geometry = volume.geometry
    held = np.argwhere(fill(region.rings_ji, geometry.shape_kji[1:])).astype(float)
    parts = [max(1, int(np.ceil(s / grid.spacing_mm))) for s in geometry.spacing_kji_mm[1:]]
    offsets = [(np.arange(n) + 0.5) / n - 0.5 for n in parts]
    held = np.concatenate([held + np.array([a, b]) for a in offsets[0] for b in offsets[1]])
    return grid.to_kji(geometry.to_lps(np.column_stack([np.full(len(held), float(region.k)), held])))


def _paint(channel: Tensor, at: FloatArray, strength: float) -> None:
    index = np.round(at).astype(int)
    index = index[((index >= 0) & (index < np.array(channel.shape))).all(1)]
    k, j, i = torch.from_numpy(index.T.copy())
    channel[k, j, i] = channel[k, j, i].clamp(min=strength)

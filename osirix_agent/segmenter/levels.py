"""Which grids a request is answered on: the whole field of view, the part of it that matters, and a closer look."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from osirix_agent.belief.belief import OUTSIDE_LOGIT
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.image import STRIDE, ImageFeatures
from osirix_agent.network.model import Encoded
from osirix_agent.network.preprocess import Grid, resample
from osirix_agent.segmenter.certain import Box, box_around
from osirix_agent.segmenter.seeds import Marks, on_slice

COARSE_MM = 5.0
COARSE_VOXELS = 700_000
COARSE_WINDOW = (48, 64, 80)
FINE_SHAPES = ((48, 64, 64), (96, 48, 48))  # the second for cords and oesophagi
FINE_MM = (2.0, 2.4, 2.9, 3.5)
FINE_ROOM = 1.35  # a fine grid is this much larger than what is known of the structure
FLOOR_LOGIT = -6.0  # a probability of a quarter of a percent
CENTRE_STEP_MM = 8.0  # fine grids move in steps, so that most clicks find theirs encoded

Part = tuple[slice, slice, slice]


def coarse_grid(volume: Volume) -> Grid:
    """Over the field of view (for CT, over the body), at 5 mm or as fine as stays within bounds."""
    geometry = volume.geometry
    low, high = np.zeros(3), np.array(geometry.shape_kji) - 1.0
    if volume.modality == "CT":
        step = np.maximum(np.array(geometry.shape_kji) // 64, 1)
        body = volume.array[:: step[0], :: step[1], :: step[2]] > -600
        held = np.argwhere(body)
        if len(held) > 100:
            low = np.maximum(np.percentile(held, 0.05, axis=0) * step - step, 0)
            high = np.minimum(np.percentile(held, 99.95, axis=0) * step + step, high)
    corners = geometry.to_lps(
        [[a, b, c] for a in (low[0], high[0]) for b in (low[1], high[1]) for c in (low[2], high[2])]
    )
    spacing = COARSE_MM
    while True:
        grid = Grid.around(corners.min(0), corners.max(0), spacing)
        if np.prod(grid.shape_kji) <= COARSE_VOXELS:
            return grid
        spacing *= 1.12


def fine_grid(logits: Tensor, coarse: Grid, marked: list[Marks], volume: Volume) -> Grid | None:
    """Where to look closer; None: nowhere, or it would not be closer."""
    found = np.argwhere(logits.numpy() > 0)
    points = [found[:, ::-1] * coarse.spacing_mm + np.array(coarse.origin_lps)] if len(found) else []
    positive = [volume.geometry.to_lps(m.positive_points_kji) for m in marked if len(m.positive_points_kji)]
    points += positive
    if not points:
        return None
    everything = np.concatenate(points)
    low, high = everything.min(0), everything.max(0)
    extent = (high - low + 2 * coarse.spacing_mm) * FINE_ROOM
    fitting = [
        (spacing, shape) for spacing in FINE_MM for shape in FINE_SHAPES
        if (spacing * np.array(shape[::-1]) >= extent).all()
    ]  # fmt: skip
    if not fitting or fitting[0][0] > 0.8 * coarse.spacing_mm:
        return None
    spacing, shape = fitting[0]
    centre = np.round((low + high) / 2 / CENTRE_STEP_MM) * CENTRE_STEP_MM
    half = np.array(shape[::-1]) * spacing / 2
    return Grid.around(centre - half, centre + half, spacing)


def window(grid: Grid, volume: Volume, marked: list[Marks], before: Tensor | None, words: Tensor | None) -> Part:
    """The part of the coarse grid that matters: as large as in training where that holds it, else everything."""
    shape = np.array(grid.shape_kji)
    held = [t for t in (before, words[0] if words is not None else None) if t is not None]
    points = [np.argwhere(t.float().cpu().numpy() > 0.5).astype(float) for t in held]
    points += [grid.to_kji(volume.geometry.to_lps(m.positive_points_kji)) for m in marked]
    everything = np.concatenate([p for p in points if len(p)] or [np.zeros((1, 3)), shape[None] - 1.0])
    low, high = everything.min(0), everything.max(0)
    size = np.minimum(shape, COARSE_WINDOW)
    if (high - low > 0.8 * size).any():
        size = shape
    start = np.clip(np.round(((low + high) / 2 - size / 2) / STRIDE) * STRIDE, 0, shape - size).astype(int)
    k, j, i = (slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
    return k, j, i


def cut(encoded: Encoded, part: Part) -> Encoded:
    def at(features: Tensor, scale: int) -> Tensor:
        return features[(slice(None), slice(None), *(slice(s.start // scale, s.stop // scale) for s in part))]

    scales = (1, 2, 4, 8, 16)
    return encoded._replace(features=ImageFeatures(*(at(f, s) for f, s in zip(encoded.features, scales, strict=True))))


def cut_grid(grid: Grid, part: Part) -> Grid:
    k, j, i = (s.start for s in part)
    x, y, z = grid.origin_lps
    step = grid.spacing_mm
    shape = tuple(s.stop - s.start for s in part)
    return Grid((x + i * step, y + j * step, z + k * step), step, (shape[0], shape[1], shape[2]))


def box_of(logits: Tensor, grid: Grid, volume: Volume, marks: Marks, fixed: dict[int, npt.NDArray[np.bool_]]) -> Box:
    """The volume's voxels where an answer is above `FLOOR_LOGIT`, or that the marks or her slices touch."""
    geometry = volume.geometry
    held = torch.nonzero(logits > FLOOR_LOGIT)
    low_kji, high_kji = (held.amin(0), held.amax(0)) if len(held) else (torch.zeros(3), torch.zeros(3))
    ends = [np.array([float(a) - 1, float(b) + 1]) for a, b in zip(low_kji, high_kji, strict=True)]
    corners = np.array([[a, b, c, 1] for a in ends[0] for b in ends[1] for c in ends[2]]) @ grid.matrix.T
    points = [geometry.to_kji(corners[:, :3]), *(s.points_kji for s in marks.strokes)]
    points += [region.points_kji for region in marks.regions]
    points += [on_slice(k, np.argwhere(mask)) for k, mask in fixed.items()]
    everything = np.concatenate(points)
    return box_around(everything.min(0), everything.max(0), geometry.shape_kji)


def index_to_lps(volume: Volume) -> npt.NDArray[np.float64]:
    """(4, 4): volume index (k, j, i, 1) to LPS mm."""
    m = np.eye(4)
    m[:3, :3], m[:3, 3] = volume.geometry.matrix, volume.geometry.origin_lps
    return m


def on_volume(logits: Tensor, grid: Grid, to_lps: npt.NDArray[np.float64], box: Box) -> npt.NDArray[np.float32]:
    """(k, j, i) float32 logits at the volume's voxels in a box; `to_lps` as `index_to_lps` gives it."""
    corner = np.eye(4)
    corner[:3, 3] = [b[0] for b in box]
    step = np.linalg.inv(grid.matrix) @ to_lps @ corner
    shape = tuple(b - a for a, b in box)
    values = resample(logits[None].clamp(-10, 10), step, (shape[0], shape[1], shape[2]), OUTSIDE_LOGIT)
    return np.ascontiguousarray(values[0].numpy(), np.float32)

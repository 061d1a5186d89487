"""Volumes on the network's grids, and logits back on the volume's own voxels.

A grid is axis-aligned in patient space with cubic voxels, whatever the volume's orientation and spacing: the network
always sees superior up, posterior back and the patient's left on one side, in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from osirix_agent.network.image import STRIDE

FloatArray = npt.NDArray[np.float64]

AIR = -1024.0


@dataclass(frozen=True)
class Grid:
    """Cubic voxels in patient space.

    Attributes
    ----------
    origin_lps : centre of voxel (0, 0, 0), mm
    spacing_mm : edge of a voxel
    shape_kji : multiples of 16; k grows to superior, j to posterior, i to the patient's left
    """

    origin_lps: tuple[float, float, float]
    spacing_mm: float
    shape_kji: tuple[int, int, int]

    @classmethod
    def around(cls, low_lps: npt.ArrayLike, high_lps: npt.ArrayLike, spacing_mm: float) -> Grid:
        """The smallest grid over a box in patient space (mm), centred on it."""
        low, high = np.asarray(low_lps, float), np.asarray(high_lps, float)
        shape_xyz = np.maximum(np.ceil((high - low) / spacing_mm / STRIDE - 1e-9), 1).astype(int) * STRIDE
        origin = (low + high) / 2 - (shape_xyz - 1) / 2 * spacing_mm
        x, y, z = (float(v) for v in origin)
        i, j, k = (int(v) for v in shape_xyz)
        return cls((x, y, z), spacing_mm, (k, j, i))

    def to_kji(self, points_lps: npt.ArrayLike) -> FloatArray:
        """(..., 3) LPS mm to (..., 3) fractional grid index."""
        return (np.asarray(points_lps, float)[..., ::-1] - np.array(self.origin_lps)[::-1]) / self.spacing_mm

    @property
    def matrix(self) -> FloatArray:
        """(4, 4): grid index (k, j, i, 1) to LPS mm."""
        m = np.zeros((4, 4))
        m[0, 2] = m[1, 1] = m[2, 0] = self.spacing_mm
        m[:3, 3], m[3, 3] = self.origin_lps, 1
        return m


def resample(values: Tensor, to_source: FloatArray, shape_kji: tuple[int, int, int], fill: float) -> Tensor:
    """Trilinear samples of `values` (C, k, j, i) on a new grid.

    Parameters
    ----------
    to_source : (4, 4) new index (k, j, i, 1) to index in `values`
    fill : value outside
    """
    size = np.array(values.shape[1:], float)
    scale = np.where(size > 1, 2.0 / np.maximum(size - 1, 1), 0.0)
    a = (to_source[:3, :3] * scale[:, None])[::-1]  # rows x = i, y = j, z = k as grid_sample wants them
    b = (to_source[:3, 3] * scale - (size > 1))[::-1]
    k, j, i = (torch.arange(n, dtype=torch.float32, device=values.device) for n in shape_kji)
    t = torch.as_tensor(np.ascontiguousarray(a), dtype=torch.float32, device=values.device)
    s = torch.as_tensor(np.ascontiguousarray(b), dtype=torch.float32, device=values.device)
    at = (
        k[:, None, None, None] * t[:, 0] + j[None, :, None, None] * t[:, 1]
        + i[None, None, :, None] * t[:, 2] + s
    )  # fmt: skip
    sampled = F.grid_sample(values[None] - fill, at[None], mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled[0] + fill


def resample_smooth(values: Tensor, to_source: FloatArray, shape_kji: tuple[int, int, int], fill: float) -> Tensor:
    """As `resample`, averaging blocks first along axes where the new grid is three times coarser or more."""
    ratio = np.abs(to_source[:3, :3]).max(1)  # source voxels to a step of the new grid
    factor = np.clip(np.floor(ratio / 1.5), 1, np.array(values.shape[1:])).astype(int)
    if (factor > 1).any():
        values = F.avg_pool3d(values, tuple(int(f) for f in factor), ceil_mode=True, count_include_pad=False)
        blocks = np.diag([*(1.0 / factor), 1.0])
        blocks[:3, 3] = -(factor - 1) / 2 / factor
        to_source = blocks @ to_source
    return resample(values, to_source, shape_kji, fill)


def sample_image(array: Tensor, to_lps: FloatArray, grid: Grid, fill: float) -> Tensor:
    """A volume (k, j, i) on a grid; `to_lps` (4, 4) takes volume index (k, j, i, 1) to LPS mm."""
    return resample_smooth(array[None], np.linalg.inv(to_lps) @ grid.matrix, grid.shape_kji, fill)[0]


def normalise(values: Tensor, modality: str, spread: tuple[float, float]) -> Tensor:
    """(k, j, i) image values to the encoder's two channels (2, k, j, i): one narrow window, one wide.

    `spread`: centre and half-width of the values, from `value_spread`; not used for CT.
    """
    if modality == "CT":
        return torch.stack([((values - 20) / 150).clamp(-2, 2), (values / 700).clamp(-1.5, 2)])
    z = (values - spread[0]) / spread[1]
    return torch.stack([z.clamp(-2, 2), (z / 3).clamp(-1.5, 2)])


def value_spread(array: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Median and half the distance between the 2nd and 98th percentile of what is not background."""
    step = max(1, round((array.size / 200_000) ** (1 / 3)))
    some = array[::step, ::step, ::step].ravel()
    some = some[np.isfinite(some)]
    held = some[some > some.min()] if some.size else some
    if held.size < 10:
        return float(np.median(some)) if some.size else 0.0, 1.0
    low, middle, high = np.percentile(held, [2, 50, 98])
    return float(middle), float(max((high - low) / 2, 1e-3))

"""Overlap and surface metrics, one frozen definition each (docs/concepts/benchmark.md).

Surfaces are marching cubes of the binary mask at one half, in millimetres; every triangle counts by its area, and its
distance is from its centroid to the nearest vertex or centroid of the other surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm between two surfaces, with the area in mm2 that each stands for.

    Attributes
    ----------
    forward_mm, forward_mm2 : from the first mask's surface to the second's
    back_mm, back_mm2 : the other way
    """

    forward_mm: FloatArray
    forward_mm2: FloatArray
    back_mm: FloatArray
    back_mm2: FloatArray

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of both surfaces that lies within a tolerance of the other (Nikolov et al. 2018), by area."""
        near = self.forward_mm2[self.forward_mm <= tolerance_mm].sum()
        near += self.back_mm2[self.back_mm <= tolerance_mm].sum()
        return float(near / (self.forward_mm2.sum() + self.back_mm2.sum()))

    def hausdorff_mm(self, share: float = 0.95) -> float:
        """The larger of the two distances within which `share` of each surface's area lies."""
        return max(
            _weighted_quantile(self.forward_mm, self.forward_mm2, share),
            _weighted_quantile(self.back_mm, self.back_mm2, share),
        )


def surface_distances(
    first: BoolArray, second: BoolArray, spacing_kji_mm: tuple[float, float, float]
) -> SurfaceDistances | None:
    """Between two masks (k, j, i); None when either is empty."""
    if not (first.any() and second.any()):
        return None
    held = np.argwhere(first | second)
    low, high = held.min(0), held.max(0) + 1
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    (a_points, a_centres, a_areas), (b_points, b_centres, b_areas) = (
        surface(mask[part], spacing_kji_mm) for mask in (first, second)
    )
    return SurfaceDistances(
        _nearest(a_centres, b_points, b_centres), a_areas,
        _nearest(b_centres, a_points, a_centres), b_areas,
    )  # fmt: skip


def trapezoid_auc(values: list[float]) -> float:
    """The benchmark's area over five clicks: trapezoids at unit steps, at most 4 (it is not normalised)."""
    return float(np.trapezoid(values)) if len(values) > 1 else 0.0


def bootstrap(scores: FloatArray, seed: int = 0, rounds: int = 2000) -> tuple[float, float]:
    """95 % interval, over patients, of the mean over structures of the structures' means.

    Parameters
    ----------
    scores : (patients, structures) float, nan where a patient has no such structure
    """
    random = np.random.default_rng(seed)
    drawn = scores[random.integers(len(scores), size=(rounds, len(scores)))]
    known = ~np.isnan(drawn)
    each = np.where(known, drawn, 0).sum(1) / np.maximum(known.sum(1), 1)
    there = known.sum(1) > 0
    some = there.sum(1) > 0  # a draw may hold no patient of whom anything is known
    means = np.where(there, each, 0)[some].sum(1) / there[some].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def surface(mask: BoolArray, spacing: tuple[float, float, float]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Vertices and triangle centroids (n, 3) mm, and triangle areas mm2."""
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=spacing)
    corners = vertices[faces].astype(float)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    return vertices.astype(float), corners.mean(1), areas


def _nearest(centres: FloatArray, points: FloatArray, others: FloatArray) -> FloatArray:
    return np.asarray(KDTree(np.concatenate([points, others])).query(centres)[0])


def _weighted_quantile(values: FloatArray, weights: FloatArray, share: float) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(total, share * total[-1])), len(values) - 1)])

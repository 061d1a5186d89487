"""The random walk with an intensity prior on a grid, and what its free numbers are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import dia_array
from scipy.sparse.linalg import LinearOperator, cg

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassicalRecipe:
    """The free numbers, chosen on the training patients only (docs/concepts/classical-segmenter.md)."""

    margin_mm: float = 50.0
    grow: float = 1.6
    max_rounds: int = 3
    max_voxels: int = 90_000
    seed_radius_mm: float = 5.0
    click_radius_mm: float = 2.0
    model_radius_mm: float = 4.0
    smooth_mm: float = 1.5
    beta: float = 3.0
    gamma: float = 0.03
    reach_mm: float = 35.0
    overrule_mm: float = 20.0
    reach_softness_mm: float = 8.0
    spread_floor: float = 1.5
    contrast_share: float = 0.4
    evidence_limit: float = 3.0
    relearn_rounds: int = 2
    relearn_weight: float = 0.6
    max_logit: float = 6.0

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]


def evidence(
    values: Float32Array, seeds: npt.NDArray[np.int8], hint: Float32Array, step_mm: npt.NDArray[np.float64],
    modality: str, recipe: ClassicalRecipe,
) -> tuple[Float32Array, Float32Array]:  # fmt: skip
    """(evidence, place), log-odds: from intensity, a Gaussian round the marked voxels against the rest of the crop;
    and from position, near enough to a mark or as a box hints."""
    inside = seeds > 0
    if not inside.any():
        inside = hint > 1.5
    if not inside.any():
        inside = hint >= hint.max()
    distance = ndimage.distance_transform_edt(~inside, sampling=step_mm).astype(np.float32)
    near = (distance <= recipe.model_radius_mm) & (seeds >= 0)
    noise = _noise(values)
    centre = float(np.median(values[near]))
    outside = values[seeds < 0] if (seeds < 0).sum() > 8 else values[~near]
    background = float(np.median(outside)) if outside.size else centre
    spread = max(
        1.4826 * float(np.median(np.abs(values[near] - centre))),
        recipe.spread_floor * noise,
        recipe.contrast_share * abs(centre - background),
        1e-6,
    )
    looked_at = values
    if modality == "PT":  # uptake has no upper bound: hotter than the mark is no less the tumour
        looked_at = np.minimum(values, centre) if centre >= background else np.maximum(values, centre)
    like = -0.5 * ((looked_at - centre) / spread) ** 2 - np.log(spread)
    other = _log_density(values, values[~near] if (~near).sum() > 50 else values.ravel(), noise)
    limit = recipe.evidence_limit
    reach = np.clip((recipe.reach_mm - distance) / recipe.reach_softness_mm, -6, 1)
    place = np.where(hint == 0, reach, hint)
    return np.asarray(np.clip(like - other, -limit, limit), np.float32), np.asarray(place, np.float32)


def learnt_evidence(
    values: Float32Array, probability: npt.NDArray[np.float64], recipe: ClassicalRecipe
) -> Float32Array:
    """Log-odds of intensity from histograms of the current inside and outside (Rother et al., GrabCut, 2004)."""
    low, high = np.percentile(values, [0.5, 99.5])
    bins = 64
    at = np.clip((values - low) / max(float(high - low), 1e-6) * bins, 0, bins - 1).astype(int).ravel()
    weight = probability.ravel()
    inside = ndimage.gaussian_filter1d(np.bincount(at, weight, bins), 1.5, mode="nearest")
    outside = ndimage.gaussian_filter1d(np.bincount(at, 1 - weight, bins), 1.5, mode="nearest")
    inside, outside = inside / max(inside.sum(), 1e-9), outside / max(outside.sum(), 1e-9)
    odds = np.log((inside + 1e-4) / (outside + 1e-4))
    return np.asarray(
        np.clip(odds, -recipe.evidence_limit, recipe.evidence_limit)[at].reshape(values.shape), np.float32
    )


def sigmoid(x: Float32Array) -> Float32Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def _noise(values: Float32Array) -> float:
    """Typical step between neighbours (median absolute difference)."""
    steps = np.abs(np.diff(values, axis=2))
    moving = steps[steps > 0]
    return 1.4826 * float(np.median(moving)) if moving.size else 1.0


def _log_density(values: Float32Array, sample: Float32Array, noise: float) -> npt.NDArray[np.float64]:
    """Smoothed histogram of `sample`, evaluated at `values` (without the factor 1/sqrt(2 pi))."""
    low, high = np.percentile(sample, [0.5, 99.5])
    width = max((high - low) / 128, noise / 2, 1e-6)
    edges = np.arange(low - 4 * width, high + 5 * width, width)
    counts, _ = np.histogram(sample, edges)
    density = ndimage.gaussian_filter1d(counts.astype(float) + 0.05, 1.5) / max(counts.sum(), 1) / width
    at = np.clip(((values - edges[0]) / width).astype(int), 0, len(density) - 1)
    return np.asarray(np.log(density[at] * np.sqrt(2 * np.pi)))


def random_walk(
    values: Float32Array, seeds: npt.NDArray[np.int8], prior: Float32Array, step_mm: npt.NDArray[np.float64],
    recipe: ClassicalRecipe,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Solve (L + gamma + pins) x = gamma q + pins * seed; strong pins stand for x fixed at marked voxels."""
    shape, n = values.shape, values.size
    strides = (shape[1] * shape[2], shape[2], 1)
    finest = float(step_mm.min())
    scale = 2.0 * (_noise(values) * 3.0) ** 2 + 1e-12
    diagonal = np.full(n, recipe.gamma)
    bands, offsets = [], []
    for axis in range(3):
        if shape[axis] < 2:
            continue
        jump = np.diff(values, axis=axis)
        weight = np.exp(-recipe.beta * jump.astype(np.float64) ** 2 / scale) + 1e-4
        weight *= (finest / step_mm[axis]) ** 2
        whole = np.zeros(shape)
        whole[tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))] = weight
        flat, hop = whole.ravel(), strides[axis]
        diagonal += flat
        diagonal[hop:] += flat[:-hop]
        upper = np.zeros(n)
        upper[hop:] = flat[:-hop]
        bands += [-upper, -flat]
        offsets += [hop, -hop]
    pins = 50.0 * (seeds.ravel() != 0)
    diagonal += pins
    data = np.vstack([diagonal, *bands]).astype(np.float64)
    matrix = dia_array((data, np.array([0, *offsets])), shape=(n, n))
    target = recipe.gamma * prior.ravel().astype(np.float64) + pins * (seeds.ravel() > 0)
    inverse = 1.0 / diagonal
    start = np.where(seeds.ravel() != 0, seeds.ravel() > 0, prior.ravel()).astype(np.float64)
    solution, _ = cg(
        matrix,
        target,
        x0=start,
        rtol=1e-3,
        maxiter=200,
        M=LinearOperator((n, n), matvec=lambda v: inverse * v),
    )
    return np.asarray(np.clip(solution, 0, 1).reshape(shape))

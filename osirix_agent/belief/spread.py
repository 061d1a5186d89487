"""How logits vary together: low rank and a diagonal, on the voxels near the boundary."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import expit

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Spread:
    """Covariance of logits on some voxels of a crop: `factor @ factor.T + diag(diagonal)`; none elsewhere.

    Attributes
    ----------
    band : (n,) int64, rising
        Flat indices of the voxels in the crop.
    factor : (n, r) float32
        What varies together.
    diagonal : (n,) float32
        Variance of each voxel that the factor does not explain.
    """

    band: npt.NDArray[np.int64]
    factor: Float32Array
    diagonal: Float32Array

    @property
    def nbytes(self) -> int:
        return self.band.nbytes + self.factor.nbytes + 2 * self.diagonal.nbytes

    @cached_property
    def variance(self) -> Float32Array:
        """(n,) float32."""
        found: Float32Array = (self.factor**2).sum(1) + self.diagonal
        return found

    def latent(self, m: int, case: str = "") -> Float32Array:
        """(r,) float32: where world m of a case lies; the same for every belief of this rank."""
        return generator(case, "segmentation", m).standard_normal(size=(self.factor.shape[1],), dtype=np.float32)

    def at(self, flat: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(m,) rows of flat crop indices; -1 where the band does not hold one."""
        wanted = np.atleast_1d(np.asarray(flat, np.int64))
        row = np.searchsorted(self.band, wanted)
        held = row < len(self.band)
        held[held] = self.band[row[held]] == wanted[held]
        return np.where(held, row, -1)


def generator(case: str, step: str, m: int) -> np.random.Generator:
    """Chance in one step of world m of a case: the same wherever and whenever it is asked for."""
    seed = hashlib.sha256(f"{case}\n{step}\n{m}".encode()).digest()
    return np.random.default_rng(np.frombuffer(seed, np.uint32))


def probability(mean: npt.ArrayLike, variance: npt.ArrayLike) -> FloatArray:
    """E[sigmoid(l)], l ~ N(mean, variance), by Gauss-Hermite quadrature (within 0.0002 up to a variance of 9).

    The probit approximation (MacKay 1992) is off by more than a hundredth at the tails that isolines show.
    """
    mu, sd = np.asarray(mean, float), np.sqrt(np.asarray(variance, float))
    found = np.zeros(np.broadcast(mu, sd).shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        found += weight * expit(mu + sd * node)
    return np.clip(found, TINY, 1 - TINY)


def probability_and_slope(mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """As `probability`, and its derivative by the mean."""
    sd = np.sqrt(variance)
    p, slope = np.zeros(mean.shape), np.zeros(mean.shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        one = expit(mean + sd * node)
        p += weight * one
        slope += weight * one * (1 - one)
    return np.clip(p, TINY, 1 - TINY), slope


def smooth_spread(
    mean_logit: Float32Array, spacing_kji: npt.ArrayLike, deviation: float, length_mm: float, rank: int = 16,
    reach: float = 4.0,
) -> Spread:  # fmt: skip
    """The boundary moved as one over about `length_mm`: a Gaussian process of low rank with an exact diagonal.

    The covariance of two voxels is `deviation`^2 exp(-d^2 / (2 length^2)), carried by `rank` voxels spread over the
    boundary; what they do not explain of a voxel's own variance is its diagonal (FITC; Snelson & Ghahramani 2006).

    Parameters
    ----------
    mean_logit : (k, j, i) float32
    spacing_kji : mm
    deviation : standard deviation of a logit
    reach : voxels with |mean logit| below it, plus two deviations, vary
    """
    spacing = np.asarray(spacing_kji, float)
    flat = mean_logit.ravel()
    band = np.flatnonzero(np.abs(flat) < reach + 2 * deviation)
    if len(band) == 0 or deviation <= 0:
        return Spread(band, np.zeros((len(band), rank), np.float32), np.zeros(len(band), np.float32))
    at_mm = np.stack(np.unravel_index(band, mean_logit.shape), 1) * spacing
    order = np.argsort(np.abs(flat[band]), kind="stable")
    nearest = at_mm[order[: max(rank, min(len(band), 4000))]]
    carriers = _spread_out(nearest, min(rank, len(nearest)))
    between = np.exp(-_squared(carriers, carriers) / (2 * length_mm**2)) + 1e-6 * np.eye(len(carriers))
    half = np.linalg.inv(np.linalg.cholesky(between)).T  # K^-1 = half half^T
    factor = np.zeros((len(band), rank), np.float32)
    for start in range(0, len(band), 65536):
        part = slice(start, start + 65536)
        factor[part, : len(carriers)] = np.exp(-_squared(at_mm[part], carriers) / (2 * length_mm**2)) @ half
    factor *= np.float32(deviation)
    left = np.maximum(deviation**2 - np.einsum("nr,nr->n", factor, factor), 0.0)
    return Spread(band, factor, left.astype(np.float32))


def _squared(a: FloatArray, b: FloatArray) -> FloatArray:
    """(len(a), len(b)) squared distances."""
    found: FloatArray = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)
    return found


def _spread_out(points: FloatArray, count: int) -> FloatArray:
    """(count, 3) of the points, each the farthest from those before it (Gonzalez 1985)."""
    chosen = [0]
    distance = ((points - points[0]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]

"""What a prompt says, taken up in closed form: the belief after a click is known before any network has run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.spread import FloatArray, Spread

MOST = 200  # points of one piece of evidence that are taken up; beyond, every n-th


@dataclass(frozen=True, eq=False)
class Evidence:
    """Voxels said to be inside or outside.

    Attributes
    ----------
    at_kji : (m, 3) int
        Index in the volume.
    inside : (m,) bool
    noise : float
        Standard deviation, in logits, with which it is meant: small for a click, large for a word or a glance.
    """

    at_kji: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_]
    noise: float


def condition(belief: Belief, evidence: Sequence[Evidence]) -> Belief:
    """The belief given evidence: its mean moved and its spread narrowed wherever they vary together.

    A voxel's likelihood is Phi(+-logit / noise), taken up one at a time by moment matching (Gaussian-process
    classification by assumed density; Rasmussen & Williams 2006, section 3.6), so evidence that the belief already
    holds moves nothing, and no click pulls a sure logit back. All of it happens among the factor's r latent
    variables; voxels are touched once, at the end. Voxels that do not vary stay as they are.
    """
    if belief.spread is None:
        return belief
    spread = belief.spread
    rank = spread.factor.shape[1]
    centre: FloatArray = np.zeros(rank)
    scatter: FloatArray = np.eye(rank)
    own = np.zeros(len(spread.band))  # what is learnt of the diagonal parts: mean ...
    kept = np.ones(len(spread.band))  # ... and the share of their variance that is left
    mean = belief.mean_logit.ravel()[spread.band].astype(float)
    corner, shape = np.array(belief.corner_kji), belief.mean_logit.shape
    for one in evidence:
        step = max(1, -(-len(one.at_kji) // MOST))
        local = one.at_kji[::step] - corner
        within = ((local >= 0) & (local < np.array(shape))).all(1)
        rows = spread.at(np.ravel_multi_index(tuple(local[within].T), shape))
        sides = np.where(one.inside[::step][within], 1.0, -1.0)
        noise = one.noise**2 * step  # what is left out would have said much the same; what stays speaks no louder
        for row, side in zip(rows[rows >= 0], sides[rows >= 0], strict=True):
            p = spread.factor[row].astype(float)
            carried: FloatArray = scatter @ p
            alone = float(spread.diagonal[row]) * kept[row]
            variance = float(p @ carried) + alone
            moved, narrowed = _moments(side, mean[row] + float(p @ centre) + own[row], variance, noise)
            centre += moved * carried
            scatter -= narrowed * np.outer(carried, carried)
            own[row] += moved * alone
            kept[row] *= max(1 - narrowed * alone, 0.0)
    root = root_of(scatter)  # symmetric: world m stays as near as it can
    logit = belief.mean_logit.ravel().copy()
    logit[spread.band] = mean + spread.factor @ centre.astype(np.float32) + own
    after = Spread(spread.band, spread.factor @ root.astype(np.float32), (spread.diagonal * kept).astype(np.float32))
    return replace(belief, mean_logit=logit.reshape(shape).astype(np.float32), spread=after)


def _moments(side: float, mean: float, variance: float, noise: float) -> tuple[float, float]:
    """How far a logit's mean moves per unit of covariance, and how much of the variance goes, per unit squared."""
    total = np.sqrt(noise + variance)
    z = side * mean / total
    ratio = float(np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log_ndtr(z)))  # phi / Phi, also far out
    return side * ratio / total, ratio * (z + ratio) / total**2


def root_of(scatter: FloatArray) -> FloatArray:
    """(r, r) symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(scatter)
    found: FloatArray = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return found


def scatter_given(factor: FloatArray, noise: float) -> FloatArray:
    """(r, r) covariance of the latent variables once (m, r) voxels are known to within `noise` logits."""
    found: FloatArray = np.asarray(np.linalg.inv(np.eye(factor.shape[1]) + factor.T @ factor / noise**2), float)
    return found

"""Where to look next: the slices whose review is expected to narrow the band most."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.update import root_of, scatter_given

SEEN_NOISE = 1.0  # logits: how well a boundary voxel is known once its slice was reviewed
POINTS = 48  # boundary voxels of a slice that a review settles


@dataclass(frozen=True)
class Look:
    """One slice worth a look.

    Attributes
    ----------
    k : slice of the volume
    gain : share of the boundary's whole variance that a review is expected to remove
    band_mm : distance between the 5 % and 95 % isolines there, on average, in the plane
    """

    k: int
    gain: float
    band_mm: float


def looks(
    belief: Belief, spacing_kji: npt.ArrayLike, budget: int = 5, reviewed: Collection[int] = ()
) -> tuple[Look, ...]:
    """Up to `budget` slices, best first; each after those before it have been reviewed.

    The boundary's variance is that of its logits over the square of their slope: mm^2. A review makes a slice's
    boundary known; what it says of other slices is what varies together with it.

    Parameters
    ----------
    spacing_kji : mm
    reviewed : slices that are settled, such as those she edited
    """
    spread = belief.spread
    if spread is None or not len(spread.band):
        return ()
    shape = belief.mean_logit.shape
    spacing = np.asarray(spacing_kji, float)
    k = np.unravel_index(spread.band, shape)[0]
    mean = belief.mean_logit.ravel()[spread.band]
    slope = slope_per_mm(belief.mean_logit, spacing).ravel()[spread.band]
    sd = np.sqrt(spread.variance)
    crossing = np.exp(-0.5 * (mean / np.maximum(sd, 1e-3)) ** 2) / np.maximum(sd, 1e-3)  # density of logit 0
    weight = crossing / np.maximum(slope, 0.05)  # area of possible boundary, in mm^2 of variance per logit^2
    factor = spread.factor.astype(float)
    everything = np.einsum("n,nr,ns->rs", weight, factor, factor, optimize=True)
    alone = np.bincount(k, weight * spread.diagonal, shape[0])
    whole = float(np.trace(everything)) + float(alone.sum())
    if whole <= 0:
        return ()
    parts = []
    for row in range(shape[0]):
        held = np.flatnonzero(k == row)
        strongest = held[np.argsort(-crossing[held], kind="stable")[:POINTS]]
        parts.append(factor[strongest])
    done = np.array([row + belief.corner_kji[0] in set(reviewed) for row in range(shape[0])])
    known = np.eye(factor.shape[1])
    for row in map(int, np.flatnonzero(done)):
        known = _reviewed(known, parts[row])
    low, high = np.log(0.05 / 0.95), np.log(0.95 / 0.05)
    found: list[Look] = []
    for _ in range(budget):
        gains = np.full(shape[0], -np.inf)
        before = float(np.sum(everything * known))
        for row in map(int, np.flatnonzero(~done)):
            if len(parts[row]):
                gains[row] = before - float(np.sum(everything * _reviewed(known, parts[row]))) + alone[row]
        best = int(np.argmax(gains))
        if not np.isfinite(gains[best]) or gains[best] / whole < 1e-3:
            break
        inside = (belief.crop_logit[best] > low) & (belief.crop_logit[best] < high)
        edge = belief.mean_logit[best] >= 0
        length = (
            np.count_nonzero(edge[1:] != edge[:-1]) * spacing[2]
            + np.count_nonzero(edge[:, 1:] != edge[:, :-1]) * spacing[1]
        )  # of a staircase: 4 / pi of the outline's own, on average
        width = np.count_nonzero(inside) * spacing[1] * spacing[2] / max(length * np.pi / 4, spacing[1])
        found.append(Look(belief.corner_kji[0] + best, float(gains[best]) / whole, float(width)))
        known, done[best] = _reviewed(known, parts[best]), True
    return tuple(found)


def _reviewed(known: npt.NDArray[np.float64], part: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Latent covariance after a slice's boundary is seen, given the covariance before."""
    root = root_of(known)
    found: npt.NDArray[np.float64] = root @ scatter_given(part @ root, SEEN_NOISE) @ root
    return found


def slope_per_mm(logit: npt.NDArray[np.float32], spacing: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(k, j, i) length of the gradient, logits per mm."""
    squared = np.zeros(logit.shape)
    for axis, step in enumerate(spacing):
        if logit.shape[axis] > 1:
            squared += np.gradient(logit, step, axis=axis) ** 2
    return np.sqrt(squared)

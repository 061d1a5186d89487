"""Where to look next: the slices whose review is expected to narrow the band most."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

from osirix_agent.belief.belief import Belief, logit
from osirix_agent.belief.calibration import signed_distance
from osirix_agent.belief.update import root_of, scatter_given
from osirix_agent.prompting.gaze.place import Place, looked_at

SEEN_NOISE = 1.0  # logits: how well a boundary voxel is known once its slice was reviewed
POINTS = 48  # boundary voxels of a slice that a review settles
ISOLINES = tuple((n + 0.5) / 20 for n in range(20))  # probabilities, evenly spread


@dataclass(frozen=True)
class Look:
    """One slice worth a look.

    Attributes
    ----------
    k : slice of the volume
    gain : share of the expected error that a review is expected to remove
    band_mm : distance between the 5 % and 95 % isolines there, on average, in the plane
    lean : mean direction (rows, columns; a unit is a mm either way) from the outline's middle to where the error is
        expected there, each part of it weighing as it is likely: about 0 all round, 1 if all lies on one side
    """

    k: int
    gain: float
    band_mm: float
    lean: tuple[float, float] = (0.0, 0.0)


def looks(
    belief: Belief, spacing_kji: npt.ArrayLike, budget: int = 5, reviewed: Collection[int] = (),
    places: Sequence[Place] = (),
) -> tuple[Look, ...]:  # fmt: skip
    """Up to `budget` slices, best first; each after those before it have been reviewed.

    A voxel is wrong with probability min(p, 1 - p). A review settles a slice, and what varies together with its
    boundary: elsewhere the expected error is taken to shrink as the boundary's standard deviation does.

    Parameters
    ----------
    spacing_kji : mm
    reviewed : slices that are settled, such as those she edited
    places : that her eyes have rested on: the error there is expected to have been seen, as far as they were
    """
    spread = belief.spread
    if spread is None or not len(spread.band):
        return ()
    shape = belief.mean_logit.shape
    rows = shape[0]
    spacing = np.asarray(spacing_kji, float)
    k = np.unravel_index(spread.band, shape)[0]
    mean = belief.mean_logit.ravel()[spread.band]
    sd = np.sqrt(spread.variance)
    crossing = np.exp(-0.5 * (mean / np.maximum(sd, 1e-3)) ** 2) / np.maximum(sd, 1e-3)  # density of logit 0
    p = expit(belief.crop_logit)
    likely = np.minimum(p, 1 - p) * unseen(belief, places, spacing)
    wrong = likely.sum((1, 2), dtype=float)
    done = np.array([row + belief.corner_kji[0] in set(reviewed) for row in range(rows)])
    wrong[done] = 0.0
    whole = float(wrong.sum())
    if whole <= 0:
        return ()
    rank = spread.factor.shape[1]
    together, alone = np.zeros((rows, rank, rank)), np.bincount(k, crossing * spread.diagonal, rows)
    parts = []
    ends = np.searchsorted(k, np.arange(rows + 1))  # the band rises, so slices lie one after the other
    for row in range(rows):
        held = slice(int(ends[row]), int(ends[row + 1]))
        factor = spread.factor[held].astype(float)
        together[row] = (factor * crossing[held, None]).T @ factor
        parts.append(factor[np.argsort(-crossing[held], kind="stable")[:POINTS]])
    at_first = np.einsum("raa->r", together) + alone + 1e-12
    known = np.eye(rank)
    for row in map(int, np.flatnonzero(done)):
        known = _reviewed(known, parts[row])

    def left(known: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(rows,) expected error that stays, of all that is not reviewed."""
        kept = np.maximum(np.einsum("rab,ab->r", together, known) + alone, 0.0) / at_first
        found: npt.NDArray[np.float64] = wrong * np.sqrt(kept)
        return found

    found: list[Look] = []
    for _ in range(budget):
        now = left(known)
        gains = np.full(rows, -np.inf)
        for row in map(int, np.flatnonzero(~done)):
            if len(parts[row]) and wrong[row] > 0:
                after = left(_reviewed(known, parts[row]))
                gains[row] = float(now.sum() - after.sum() + after[row])
        best = int(np.argmax(gains))
        if not np.isfinite(gains[best]) or gains[best] / whole < 1e-3:
            break
        width, lean = _width_mm(belief, best, spacing), _lean(likely[best], p[best], spacing)
        found.append(Look(belief.corner_kji[0] + best, gains[best] / whole, width, lean))
        known, done[best], wrong[best] = _reviewed(known, parts[best]), True, 0.0
    return tuple(found)


def unseen(belief: Belief, places: Sequence[Place], spacing_kji: npt.ArrayLike) -> npt.NDArray[np.float64] | float:
    """How far the voxels of a belief's box are still to be looked at, 1 to 0; the belief itself stays as it is."""
    shape = belief.mean_logit.shape
    return 1.0 - looked_at(places, belief.corner_kji, shape, spacing_kji) if places else 1.0


def _width_mm(belief: Belief, row: int, spacing: npt.NDArray[np.float64]) -> float:
    """Between the 5 and 95 % isolines of a slice, on average along its outline."""
    low, high = np.log(0.05 / 0.95), np.log(0.95 / 0.05)
    inside = (belief.crop_logit[row] > low) & (belief.crop_logit[row] < high)
    edge = belief.mean_logit[row] >= 0
    length = (
        np.count_nonzero(edge[1:] != edge[:-1]) * spacing[2]
        + np.count_nonzero(edge[:, 1:] != edge[:, :-1]) * spacing[1]
    )  # of a staircase: 4 / pi of the outline's own, on average
    return float(np.count_nonzero(inside) * spacing[1] * spacing[2] / max(length * np.pi / 4, spacing[1]))


def _lean(
    likely: npt.NDArray[np.floating[Any]], p: npt.NDArray[np.floating[Any]], spacing: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """`Look.lean` from a slice's expected error and its probabilities, (j, i) each."""
    j, i = np.indices(p.shape)
    middle = [float((axis * p).sum() / p.sum()) for axis in (j, i)]
    away = np.stack([(j - middle[0]) * spacing[1], (i - middle[1]) * spacing[2]])
    unit = away / np.maximum(np.hypot(*away), 1e-6)
    down, right = (float(v) for v in (unit * likely).sum((1, 2)) / max(float(likely.sum()), 1e-12))
    return down, right


def doubt(
    belief: Belief, spacing_kji: npt.ArrayLike, points: npt.NDArray[np.float64], reach_mm: float
) -> npt.NDArray[np.float64]:
    """(m,) how likely the boundary lies farther than `reach_mm` from each point: the share of the isolines, one as
    likely as the other, that pass so far away.

    Parameters
    ----------
    points : (m, 3) crop index (k, j, i), such as of the surface of the mask
    """
    far = np.zeros(len(points))
    for level in ISOLINES:
        distance = signed_distance(belief.crop_logit - np.float32(logit(100 * level)), spacing_kji)
        far += np.abs(ndimage.map_coordinates(distance, points.T, order=1, mode="nearest")) > reach_mm
    return far / len(ISOLINES)


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

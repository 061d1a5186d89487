"""Probabilities that hold what they promise: fitted near the boundary, on patients that nothing else was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize
from scipy.special import expit

from osirix_agent.belief.belief import DRAWN_LOGIT, Belief, drawable
from osirix_agent.belief.card import FEWEST, Calibration, Fit
from osirix_agent.belief.spread import probability, probability_and_slope, smooth_spread
from osirix_agent.belief.tissue import KNOTS_HU, Curves, brightness, changed, hats, weigh
from osirix_agent.belief.update import Evidence, condition

DEVIATION = 3.0  # logits: with it the worlds' own contours spread nearly as the probabilities say
REACH_MM = 15.0  # voxels so near to the proposed boundary are fitted
RANK = 16
SCALES = (0.3, 3.0)  # of the line, between which the 90 % band is set
HOLDS = (0.90, 0.93)  # share of surfaces in the 90 % band, as it is drawn: what is likeliest, but no less and no more
CENTRE = 2.0  # logits about the boundary within which the line may be steeper than farther off
CENTRES = (-0.8, 1.0)  # how much steeper: beyond, patients left out become less likely
TINY_LOGIT = 0.1  # outside, if only just
STIFF = 3e-4  # how much a squared logit of a curve of CT numbers costs: patients left out are about likeliest

FloatArray = npt.NDArray[np.float64]


class Line(NamedTuple):
    """From a segmenter's logit, the signed distance (mm) to its boundary and, where there are curves, the brightness
    (..., 2; HU) to the calibrated mean logit."""

    slope: float
    per_mm: float
    shift: float
    centre: float = 0.0
    curves: Curves | None = None

    def at(
        self, logit: npt.NDArray[Any], distance_mm: npt.NDArray[Any], seen_hu: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        line = self.slope * logit + self.per_mm * distance_mm + self.shift
        if self.curves is not None and seen_hu is not None:
            line = line + weigh(self.curves, seen_hu)
        return line * (1 + self.centre * np.exp(-0.5 * (line / CENTRE) ** 2)) if self.centre else line

    def scaled(self, scale: float) -> Line:
        curves = changed(self.curves, lambda value: scale * value)
        return Line(scale * self.slope, scale * self.per_mm, scale * self.shift, self.centre, curves)


def line_of(fit: Fit) -> Line:
    return Line(fit.slope, fit.per_mm, fit.shift, fit.centre, fit.curves)


def calibrated(
    belief: Belief, spacing_kji: npt.ArrayLike, calibration: Calibration, fit: Fit | None,
    evidence: Sequence[Evidence] = (), image: npt.NDArray[Any] | None = None,
) -> Belief:  # fmt: skip
    """A segmenter's belief with calibrated mean and spread, told what the prompts say.

    Parameters
    ----------
    belief : as the segmenter gave it, without a spread
    fit : None: it gets a spread for looking, but stays uncalibrated
    image : (k, j, i) of the volume, HU; asked for by a fit with curves of CT numbers
    """
    mean = belief.mean_logit
    if fit is not None:
        seen = None
        if fit.curves is not None:
            if image is None:
                raise ValueError("a fit with curves of CT numbers needs the image")
            seen = brightness(image, belief.region, spacing_kji)
        mean = _without_strays(line_of(fit), mean, signed_distance(mean, spacing_kji), seen).astype(np.float32)
    spread = smooth_spread(mean, spacing_kji, DEVIATION, calibration.length_mm, RANK)
    found = replace(belief, mean_logit=mean, spread=spread, calibration_id=calibration.id if fit is not None else None)
    return condition(found, evidence)


def _without_strays(
    line: Line, logit: npt.NDArray[np.float32], distance_mm: npt.NDArray[np.float32],
    seen_hu: npt.NDArray[np.float32] | None,
) -> npt.NDArray[Any]:  # fmt: skip
    """The calibrated mean; brightness alone begins no new piece, such as a vertebra beside the mandible."""
    mean = line.at(logit, distance_mm, seen_hu)
    if seen_hu is None:
        return mean
    pieces, _ = ndimage.label(mean >= 0, np.ones((3, 3, 3)))
    stray = (pieces > 0) & ~np.isin(pieces, np.unique(pieces[logit >= 0]))
    return np.where(stray, np.minimum(line.at(logit, distance_mm), -TINY_LOGIT), mean)


def signed_distance(mean_logit: npt.NDArray[np.float32], spacing_kji: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(k, j, i) mm to the boundary of {logit >= 0}, positive inside; -50 where nothing is inside."""
    spacing = tuple(float(s) for s in np.asarray(spacing_kji, float))
    inside = mean_logit >= 0
    if not inside.any():
        return np.full(mean_logit.shape, -50.0, np.float32)
    padded = np.pad(inside, 1)  # beyond the crop is outside
    within = ndimage.distance_transform_edt(padded, spacing)[1:-1, 1:-1, 1:-1]
    beyond = ndimage.distance_transform_edt(~inside, spacing)
    half = 0.5 * float(np.exp(np.mean(np.log(spacing))))  # the boundary lies between centres
    return np.where(inside, within - half, half - beyond).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Sample:
    """What one calibration case says; n voxels near the proposed boundary, m points on the observer's surface.

    Attributes
    ----------
    logit, distance_mm, moved, variance, inside : (n,) of voxels
        By how much the prompts moved the mean, and the variance of the spread once they are taken up.
    seen_hu : (n, 2) brightness of those voxels
    around : (m, 8, 6) logit, distance, moved, variance and brightness of the voxels around points of the observer's
        surface, equal areas each
    weight : (m, 8) of those voxels in a trilinear interpolation; 0 beyond the crop
    """

    patient: str
    logit: FloatArray
    distance_mm: FloatArray
    moved: FloatArray
    variance: FloatArray
    inside: npt.NDArray[np.bool_]
    seen_hu: FloatArray
    around: FloatArray
    weight: FloatArray

    def drawn(self, line: Line) -> FloatArray:
        """(m,) probability at the points as isolines are drawn, which tells none beyond 98 % from one another."""
        p = self._around(line)
        odds = drawable(np.log(p) - np.log1p(-p))
        return np.asarray(expit((self.weight * odds).sum(1) - (1 - self.weight.sum(1)) * DRAWN_LOGIT))

    def at_surface(self, line: Line) -> FloatArray:
        """(m,) probability at the points, linear between voxels."""
        return np.asarray((self.weight * self._around(line)).sum(1))

    def _around(self, line: Line) -> FloatArray:
        """(m, 8) of the voxels around the points."""
        logit, distance, moved, variance = np.moveaxis(self.around[..., :4], -1, 0)
        return probability(line.at(logit, distance, self.around[..., 4:]) + moved, variance)

    def surprise(self, line: Line) -> float:
        """How unlikely the observer's labels are, nats a voxel."""
        mean = line.at(self.logit, self.distance_mm, self.seen_hu) + self.moved
        return -float(np.mean(np.log(probability(np.where(self.inside, mean, -mean), self.variance))))


def fit_calibration(samples: Sequence[Sample], curved: bool = False) -> Line:
    """The line that makes the observers' labels near the boundary most likely.

    Fitted on voxels within `REACH_MM` of the *proposed* boundary: where probabilities are right there, the observer's
    surface falls between two isolines as often as they say (probability integral transform). The line is then scaled
    where the 90 % band would not hold its share, as of errors with longer tails than the law allows, and made as much
    steeper about the boundary as is then likeliest. Cases weigh the same.

    Parameters
    ----------
    curved : with curves of CT numbers: of one structure on CT
    """
    logit, distance, moved, variance = (
        np.concatenate([getattr(s, name) for s in samples]) for name in ("logit", "distance_mm", "moved", "variance")
    )
    sign = np.where(np.concatenate([s.inside for s in samples]), 1.0, -1.0)
    weight = np.concatenate([np.full(len(s.logit), 1 / len(s.logit)) for s in samples]) / len(samples)
    terms = np.stack([logit, distance, np.ones(len(logit))])
    if curved:
        terms = np.concatenate([terms, hats(np.concatenate([s.seen_hu for s in samples]))])

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        p, steep = probability_and_slope(sign * (x @ terms + moved), variance)
        bent = np.concatenate([np.zeros(3), x[3:]])
        return (
            -float(weight @ np.log(p)) + STIFF * float(bent @ bent),
            2 * STIFF * bent - terms @ (weight * sign * steep / p),
        )

    free = len(terms) - 3
    found = optimize.minimize(
        loss, np.array([0.5, 0.5, 0.0] + free * [0.0]), jac=True, method="L-BFGS-B",
        bounds=[(0.0, 20.0), (0.0, 20.0), (-20.0, 20.0)] + free * [(-20.0, 20.0)],
    )  # fmt: skip
    fitted = [float(v) for v in found.x]
    curves = (tuple(fitted[3 : 3 + len(KNOTS_HU)]), tuple(fitted[3 + len(KNOTS_HU) :])) if curved else None
    line = Line(fitted[0], fitted[1], fitted[2], curves=curves)
    for _ in range(2):
        line = line.scaled(_scale(samples, line))

        def unlikely(centre: float, line: Line = line) -> float:
            return float(np.mean([s.surprise(line._replace(centre=centre)) for s in samples]))

        line = line._replace(centre=float(optimize.minimize_scalar(unlikely, bounds=CENTRES, method="bounded").x))
    return line.scaled(_scale(samples, line))


def _scale(samples: Sequence[Sample], line: Line) -> float:
    """Of a line whose 90 % band then holds its share; 1 where it does."""

    def held(scale: float) -> float:
        return float(np.mean([shares(s.drawn(line.scaled(scale)))[0] for s in samples]))

    likeliest = held(1.0)
    goal = float(np.clip(likeliest, *HOLDS))
    if goal == likeliest:
        return 1.0
    low, high = SCALES
    for _ in range(12):  # what is steeper holds less
        scale = (low + high) / 2
        low, high = (scale, high) if held(scale) > goal else (low, scale)
    return (low + high) / 2


def shares(p: FloatArray) -> tuple[float, float]:
    """Of points with these probabilities, the share in the 90 and in the 50 % band."""
    wide, narrow = (float(np.mean((p >= low) & (p < 1 - low))) for low in (0.05, 0.25))
    return wide, narrow


def fit_temperature(samples: Sequence[Sample]) -> float:
    """The one number by which the segmenter's logits are divided, fitted on the same voxels: the plain baseline."""

    def loss(log_temperature: float) -> float:
        total = 0.0
        for s in samples:
            z = np.where(s.inside, s.logit, -s.logit) * np.exp(-log_temperature)
            total += float(np.mean(np.logaddexp(0.0, -z)))
        return total / len(samples)

    return float(np.exp(optimize.minimize_scalar(loss, bounds=(-2.0, 4.0), method="bounded").x))


def conformal_level(scores: npt.ArrayLike, cases: float = 0.9) -> float | None:
    """The level whose promise holds in a new, exchangeable case with probability `cases` or more.

    Parameters
    ----------
    scores : (n,) one a patient, from `surface_score`

    Returns
    -------
    level : float or None
        None: fewer than `FEWEST` patients, or too few for any finite promise.
    """
    ordered = np.sort(np.asarray(scores, float))[::-1]  # a smaller level is a wider band
    rank = int(np.ceil((len(ordered) + 1) * cases))
    if len(ordered) < FEWEST or rank > len(ordered):
        return None
    return float(ordered[rank - 1])


def surface_score(probabilities: npt.ArrayLike, surface: float = 0.9) -> float:
    """The largest level b such that a share `surface` of the points has b <= p <= 1 - b."""
    p = np.asarray(probabilities, float)
    return float(np.quantile(np.minimum(p, 1 - p), 1 - surface, method="lower"))

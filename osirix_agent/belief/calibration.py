"""Probabilities that hold what they promise: fitted near the boundary, on patients that nothing else was fitted on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import ndimage, optimize

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.gate import Gallery, Gate, Judgement, Verdict
from osirix_agent.belief.spread import probability, probability_and_slope, smooth_spread
from osirix_agent.belief.update import Evidence, condition
from osirix_agent.errors import ModelError
from osirix_agent.whole import write_whole

FORMAT = 1
DEVIATION = 3.0  # logits: with it the worlds' own contours spread nearly as the probabilities say
CENTRE = 2.0  # logits about the boundary within which the bands' inner half is set
REACH_MM = 15.0  # voxels so near to the proposed boundary are fitted
FEWEST = 10  # patients, below which nothing is called calibrated
RANK = 16
NEAR = 0.01  # added to an image's distance before its logarithm is taken

FloatArray = npt.NDArray[np.float64]


class Line(NamedTuple):
    """From a segmenter's logit and the signed distance (mm) to its boundary to the calibrated mean logit."""

    slope: float
    per_mm: float
    shift: float
    centre: float = 0.0

    def at(self, logit: npt.NDArray[Any], distance_mm: npt.NDArray[Any]) -> npt.NDArray[Any]:
        line = self.slope * logit + self.per_mm * distance_mm + self.shift
        return line * (1 + self.centre * np.exp(-0.5 * (line / CENTRE) ** 2)) if self.centre else line


class Fit(BaseModel):
    """Calibrated mean logit = line (1 + centre exp(-line^2 / (2 `CENTRE`^2))), for one kind of structure;
    line = slope * logit + per_mm * distance + shift.

    Attributes
    ----------
    centre : how much steeper it is about the boundary than farther off
    kind : "organ", "target" or "lesion"
    prompts : number of prompts the fit is for; the last one also for more
    temperature : of the baseline that only divides the logits; for comparison
    held_out : share of the observers' surfaces in the 90 and the 50 % band, each half of the patients under the other
        half's fit
    conformal_level : probability beyond which, on either side, at least `surface` of the surface lies in at least
        `cases` of new cases; None: too few cases for that promise
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["organ", "target", "lesion"]
    modality: str
    prompts: int = Field(ge=0)
    slope: float
    per_mm: float = Field(ge=0)
    shift: float
    centre: float = Field(default=0.0, ge=-1, le=2)
    patients: int = Field(gt=0)
    temperature: float = 1.0
    held_out: tuple[float, float] | None = None
    conformal_level: float | None = None
    surface: float = 0.9
    cases: float = 0.9

    @property
    def slack(self) -> float:
        """What the conformal promise may be off by: 1 / (n + 1)."""
        return 1 / (self.patients + 1)


class Calibration(BaseModel):
    """A calibration card: fits for one segmenter, with where they come from.

    Attributes
    ----------
    segmenter : name and version of the segmenter that it calibrates
    observers : of each calibration case; with one, inter-observer spread is not in the numbers
    galleries : by modality; none where the segmenter does not describe images
    gates : by kind or name of structure, and modality: "organ CT", "Parotid_L CT"
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    segmenter: str
    data: str
    observers: int = 1
    length_mm: float = Field(gt=0)
    fits: tuple[Fit, ...]
    galleries: dict[str, Gallery] = {}
    gates: dict[str, Gate] = {}

    @property
    def id(self) -> str:
        """Digest of all that it says; beliefs carry it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def fit_for(self, kind: str, modality: str, prompts: int) -> Fit | None:
        """The fit for a kind of structure after so many prompts; None: it was not calibrated."""
        found = [f for f in self.fits if f.kind == kind and f.modality == modality and f.patients >= FEWEST]
        below = [f for f in found if f.prompts <= prompts]
        return max(below, key=lambda f: f.prompts) if below else min(found, key=lambda f: f.prompts, default=None)

    def gate_for(self, structure: str, kind: str, modality: str) -> Gate | None:
        """The gate of that very structure, else of its kind."""
        return self.gates.get(f"{structure} {modality}") or self.gates.get(f"{kind} {modality}")

    def judge(self, structure: str, fit: Fit | None, features: FloatArray, described: FloatArray | None) -> Judgement:
        """What may be said of a case.

        Parameters
        ----------
        fit : the one that was used; None: there is none for this kind of structure and modality
        features : of the case, as the card's gates were fitted on, without the image as a whole
        described : what the segmenter's network makes of the image
        """
        if fit is None:
            return Judgement(Verdict.WITHHELD, "no such structure on such images was calibrated")
        gate = self.gate_for(structure, fit.kind, fit.modality)
        held = self.placed(fit.modality, features, described)
        if gate is None or len(gate.names) != len(held):
            return Judgement(Verdict.REVIEW, "it is not known whether it is like the cases it was calibrated on")
        return gate.judge(held)

    def placed(self, modality: str, features: FloatArray, described: FloatArray | None) -> FloatArray:
        """Features as the gates take them: with how far the image as a whole is from the calibration's."""
        gallery = self.galleries.get(modality)
        if gallery is None or described is None:
            return features
        return np.append(features, np.log(gallery.distance(described) + NEAR))

    def write(self, path: Path) -> None:
        write_whole(path, json.dumps(self.model_dump(mode="json")) + "\n")


def read_calibration(path: Path, segmenter: str | None = None) -> Calibration:
    """A calibration card.

    Raises
    ------
    ModelError
        Missing, damaged, newer, or for another segmenter than the one given.
    """
    again = "Fit it again with 'osirix-agent calibrate', or copy it again from where the model came from."
    try:
        found = Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(f"There is no calibration card at {path}.", again) from None
    except (ValidationError, UnicodeDecodeError):
        raise ModelError(f"The calibration card {path} is damaged.", again) from None
    if found.format > FORMAT:
        raise ModelError(f"The calibration card {path} is newer than this program.", "Update osirix-agent.")
    if segmenter is not None and found.segmenter != segmenter:
        raise ModelError(f"The calibration card {path} is for {found.segmenter}, not for {segmenter}.", again)
    return found


def calibrated(
    belief: Belief, spacing_kji: npt.ArrayLike, calibration: Calibration, fit: Fit | None,
    evidence: Sequence[Evidence] = (),
) -> Belief:  # fmt: skip
    """A segmenter's belief with calibrated mean and spread, told what the prompts say.

    Parameters
    ----------
    belief : as the segmenter gave it, without a spread
    fit : None: it gets a spread for looking, but stays uncalibrated
    """
    mean = belief.mean_logit
    if fit is not None:
        line = Line(fit.slope, fit.per_mm, fit.shift, fit.centre)
        mean = line.at(mean, signed_distance(mean, spacing_kji)).astype(np.float32)
    spread = smooth_spread(mean, spacing_kji, DEVIATION, calibration.length_mm, RANK)
    found = replace(belief, mean_logit=mean, spread=spread, calibration_id=calibration.id if fit is not None else None)
    return condition(found, evidence)


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
    logit, distance_mm, variance, inside : (n,) of voxels
        Variance of the spread once the prompts are taken up.
    surface : (m, 3) logit, distance and variance at points on the observer's surface, equal areas each
    """

    patient: str
    logit: FloatArray
    distance_mm: FloatArray
    variance: FloatArray
    inside: npt.NDArray[np.bool_]
    surface: FloatArray


def fit_calibration(samples: Sequence[Sample]) -> Line:
    """The line that makes the observer's labels near the boundary most likely, set so that the bands hold their share.

    Fitted on voxels within `REACH_MM` of the *proposed* boundary: where probabilities are right there, the observer's
    surface falls between two isolines as often as they say (probability integral transform). On voxels as large as the
    band is wide it does so only nearly: then the line's scale is set by the 90 % band and its centre by the 50 % one.
    Cases weigh the same.
    """

    logit, distance, variance = (
        np.concatenate([getattr(s, name) for s in samples]) for name in ("logit", "distance_mm", "variance")
    )
    sign = np.where(np.concatenate([s.inside for s in samples]), 1.0, -1.0)
    weight = np.concatenate([np.full(len(s.logit), 1 / len(s.logit)) for s in samples]) / len(samples)
    terms = np.stack([logit, distance, np.ones(len(logit))])

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        p, steep = probability_and_slope(sign * (x @ terms), variance)
        return -float(weight @ np.log(p)), -(terms @ (weight * sign * steep / p))

    found = optimize.minimize(
        loss, np.array([0.5, 0.5, 0.0]), jac=True, method="L-BFGS-B",
        bounds=[(0.0, 20.0), (0.0, 20.0), (-20.0, 20.0)],
    )  # fmt: skip
    line = Line(*(float(v) for v in found.x))
    for _ in range(2):
        line = _scaled(line, _root(partial(_too_many, samples, line, 0), 0.3, 3.0))
        line = line._replace(centre=_root(partial(_too_many, samples, line, 1), -0.8, 1.5))
    return line


def _too_many(samples: Sequence[Sample], line: Line, which: int, x: float) -> float:
    """By how much a band covers more than its share, the line scaled (0) or its centre changed (1)."""
    held = covered(samples, line._replace(centre=x) if which else _scaled(line, x))
    return held[which] - (0.9, 0.5)[which]


def covered(samples: Sequence[Sample], line: Line) -> tuple[float, float]:
    """Share of the observers' surfaces in the 90 and in the 50 % band, on average over cases."""
    found = []
    for s in samples:
        p = probability(line.at(s.surface[:, 0], s.surface[:, 1]), s.surface[:, 2])
        found.append([np.mean((p >= low) & (p < 1 - low)) for low in (0.05, 0.25)])
    wide, narrow = (float(v) for v in np.mean(found, 0))
    return wide, narrow


def _scaled(line: Line, scale: float) -> Line:
    return line._replace(slope=line.slope * scale, per_mm=line.per_mm * scale, shift=line.shift * scale)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls is nought, by bisection; an end where it never is."""
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


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

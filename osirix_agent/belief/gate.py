"""Is a case like those that the calibration was fitted on? If not, the word calibrated is withheld."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

FloatArray = npt.NDArray[np.float64]
SHRINKAGE = 0.2  # of the covariance towards its diagonal: there are fewer cases than features
NEAREST = 3  # patients
WITHHOLD_AT, REVIEW_AT = 0.99, 0.9  # quantiles of the fitted cases' own distances, each left out in turn


class Verdict(StrEnum):
    """What may be said of a case's numbers."""

    OK = "ok"
    REVIEW = "review"
    WITHHELD = "withheld"


class Judgement(NamedTuple):
    """A verdict and its reason, in words for her."""

    verdict: Verdict
    reason: str


class Gate(BaseModel):
    """A Gaussian over features of in-distribution cases, and how far is too far.

    Attributes
    ----------
    names : of the features
    centre, scale : robust location and scale of each feature
    precision : (d, d) of the scaled features
    review, withhold : Mahalanobis distances from which on a case is reviewed or withheld
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    review: float
    withhold: float

    def distance(self, features: npt.ArrayLike) -> float:
        """Mahalanobis distance, per root of the number of features."""
        z = (np.asarray(features, float) - np.array(self.centre)) / np.array(self.scale)
        if not np.isfinite(z).all():
            return float("inf")
        return float(np.sqrt(max(z @ np.array(self.precision) @ z, 0.0) / len(z)))

    def judge(self, features: npt.ArrayLike) -> Judgement:
        """The verdict on one case."""
        far = self.distance(features)
        if far <= self.review:
            return Judgement(Verdict.OK, "")
        z = np.abs((np.asarray(features, float) - np.array(self.centre)) / np.array(self.scale))
        odd = self.names[int(np.argmax(np.nan_to_num(z, nan=np.inf)))]
        if far <= self.withhold:
            return Judgement(Verdict.REVIEW, f"unlike most cases it was calibrated on, most of all in {odd}")
        return Judgement(Verdict.WITHHELD, f"not like the cases it was calibrated on, most of all in {odd}")


class Gallery(BaseModel):
    """What a network's encoder made of the images of in-distribution patients; how near is the nearest?

    Attributes
    ----------
    centre, scale : of each feature
    rows : a patient each, scaled
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]

    def distance(self, features: npt.ArrayLike, left_out: int | None = None) -> float:
        """Root mean square distance per feature, on average over the `NEAREST` patients (Sun et al. 2022).

        Parameters
        ----------
        left_out : this one of the rows does not count: it is the one that is asked about
        """
        z = (np.asarray(features, float) - np.array(self.centre)) / np.array(self.scale)
        rows = np.array(self.rows)
        apart = np.sqrt(((rows - z) ** 2).mean(1))
        if left_out is not None:
            apart = np.delete(apart, left_out)
        found = float(np.sort(apart)[:NEAREST].mean())
        return found if np.isfinite(found) else float("inf")


def fit_gallery(features: npt.ArrayLike) -> Gallery:
    """From the features (n, d) of patients, one row each."""
    x = np.asarray(features, float)
    centre = x.mean(0)
    scale = x.std(0) + 1e-3 * (np.abs(centre) + 1e-3)
    return Gallery(
        centre=tuple(round(float(v), 5) for v in centre), scale=tuple(round(float(v), 6) for v in scale),
        rows=tuple(tuple(round(float(v), 3) for v in row) for row in (x - centre) / scale),
    )  # fmt: skip


def fit_gate(names: Sequence[str], features: npt.ArrayLike, patients: Sequence[str] | None = None) -> Gate:
    """A gate from the features (n, d) of in-distribution cases, of 10 patients or more.

    The two distances are quantiles of each case's own distance under the gate fitted without its patient, so a small
    n does not look safer than it is.

    Parameters
    ----------
    patients : (n,) whose case each row is; None: each its own
    """
    x = np.asarray(features, float)
    whose = np.array(patients if patients is not None else [str(n) for n in range(len(x))])
    apart: list[float] = []
    for name in np.unique(whose):
        without = _fitted(names, x[whose != name], 0.0, 0.0)
        apart += [without.distance(row) for row in x[whose == name]]
    review, withhold = (float(np.quantile(apart, q)) for q in (REVIEW_AT, WITHHOLD_AT))
    return _fitted(names, x, review, withhold)


def _fitted(names: Sequence[str], x: FloatArray, review: float, withhold: float) -> Gate:
    centre = np.median(x, 0)
    scale = np.maximum(1.4826 * np.median(np.abs(x - centre), 0), 0.1 * x.std(0) + 1e-6)
    z = (x - centre) / scale
    covariance = z.T @ z / len(z)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance) + 0.05)
    return Gate(
        names=tuple(names), centre=tuple(map(float, centre)), scale=tuple(map(float, scale)),
        precision=tuple(tuple(map(float, row)) for row in np.linalg.inv(covariance)), review=review, withhold=withhold,
    )  # fmt: skip

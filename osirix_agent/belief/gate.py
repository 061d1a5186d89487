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
        if far < self.review:
            return Judgement(Verdict.OK, "")
        z = np.abs((np.asarray(features, float) - np.array(self.centre)) / np.array(self.scale))
        odd = self.names[int(np.argmax(np.nan_to_num(z, nan=np.inf)))]
        if far < self.withhold:
            return Judgement(Verdict.REVIEW, f"unlike most cases it was calibrated on, most of all in {odd}")
        return Judgement(Verdict.WITHHELD, f"not like the cases it was calibrated on, most of all in {odd}")


def fit_gate(names: Sequence[str], features: npt.ArrayLike) -> Gate:
    """A gate from the features (n, d) of in-distribution cases, n at least 10.

    The two distances are quantiles of each case's own distance under the gate fitted without it, so a small n does
    not look safer than it is.
    """
    x = np.asarray(features, float)
    apart = []
    for left_out in range(len(x)):
        apart.append(_fitted(names, np.delete(x, left_out, 0), 0.0, 0.0).distance(x[left_out]))
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

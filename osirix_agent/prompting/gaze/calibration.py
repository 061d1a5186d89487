"""From shares of the screen to pixels of a page, by dots that she looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import PromptError

FEWEST_DOTS = 6  # three would do for an affine; the rest tell how good it is
WRONG_DOTS = 2  # at most so many were not looked at
OUTLIER = 7.0  # standard deviations of the best dots, which are too small by having been chosen
LARGEST_PX = 100.0  # broader than this, a place on a picture means nothing
SHARP = 0.015  # of the screen: half a degree, within which she sees sharply (see DISPERSION)
FloatArray = npt.NDArray[np.float64]
Pair = tuple[float, float]
_COEFFICIENTS = 6


@dataclass(frozen=True)
class Dot:
    """A dot that the eyes rested on.

    Attributes
    ----------
    at_px : of the page
    x, y : where the tracker had the eyes, shares of the screen
    scatter : standard deviation of its samples around that, either way, shares of the screen
    """

    at_px: Pair
    x: float
    y: float
    scatter: float


@dataclass(frozen=True)
class Calibration:
    """An affine.

    Attributes
    ----------
    rows : (2, 3), page pixels (x, y) of a screen share (x, y, 1)
    sd_px : standard deviation of a place, either way: of a single sample, so broad for a long fixation
    sharp_px : of what is seen sharply around it
    dots : how many it rests on
    """

    rows: tuple[tuple[float, float, float], tuple[float, float, float]]
    sd_px: float
    sharp_px: float
    dots: int

    def to_page(self, x: float, y: float) -> Pair:
        """CSS pixels of the page's viewport."""
        right, down = np.array(self.rows) @ (x, y, 1.0)
        return float(right), float(down)


def calibrate(seen: Sequence[Dot]) -> Calibration:
    """Least squares over the dots that agree (least trimmed squares, then those near it; Rousseeuw & Leroy 1987).

    Raises
    ------
    PromptError
        Too few dots, or they do not agree.
    """
    if len(seen) < FEWEST_DOTS:
        raise PromptError(
            f"The eyes rested on only {len(seen)} of the dots; {FEWEST_DOTS} are needed.",
            "Look at each dot until it moves, and calibrate again.",
        )
    shares = np.array([(dot.x, dot.y, 1.0) for dot in seen])
    page = np.array([dot.at_px for dot in seen])
    size = max(FEWEST_DOTS, len(seen) - WRONG_DOTS)
    fits = (_fit(shares, page, np.array(chosen)) for chosen in combinations(range(len(seen)), size))
    rows, sd = min(fits, key=lambda one: one[1])
    kept = np.flatnonzero(np.linalg.norm(page - shares @ rows, axis=1) <= max(OUTLIER * sd, 1.0))  # those, and more
    rows, sd = _fit(shares, page, kept)
    px = float(np.linalg.norm(rows[:2])) / 2**0.5  # of the page for the whole screen
    scatter = px * float(np.sqrt(np.mean(np.array([dot.scatter for dot in seen])[kept] ** 2)))
    sd = float(np.hypot(sd * (1 + 3 / len(kept)) ** 0.5, scatter))  # with what the fit itself is off, on average
    if sd > LARGEST_PX:
        raise PromptError(
            f"The calibration is too poor: it is {min(sd, 9999):.0f} px off, and {LARGEST_PX:.0f} is the most.",
            "Look at each dot until it moves, keep your head still, and calibrate again.",
        )
    (a, b, c), (d, e, f) = rows.T.tolist()
    return Calibration(((a, b, c), (d, e, f)), sd, SHARP * px, len(kept))


def _fit(shares: FloatArray, page: FloatArray, chosen: npt.NDArray[np.intp]) -> tuple[FloatArray, float]:
    """(3, 2) coefficients and the standard deviation of what they leave, either way."""
    rows: FloatArray = np.linalg.lstsq(shares[chosen], page[chosen], rcond=None)[0].astype(float)
    left = page[chosen] - shares[chosen] @ rows
    return rows, float(np.sqrt((left**2).sum() / (left.size - _COEFFICIENTS)))

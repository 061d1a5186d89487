"""Where to look next: a review of five looks, best first, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import Belief, logit
from osirix_agent.belief.looks import Look, looks, unseen
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.shaping import DIRECTIONS_LPS
from osirix_agent.prompting.gaze.place import Place

BAND_PERCENT = (5, 95)
BUDGET = 5
LEANS = 0.35  # length of a look's lean from which on the doubt is said to lie on a side


class NextLook(NamedTuple):
    """A slice of the volume and why it is shown."""

    k: int
    reason: str


class Looks:
    """Goes through a belief's uncertain slices.

    With a spread: `BUDGET` slices whose review is expected to settle most, ranked anew whenever the belief changes,
    given those already looked at; then a new review begins. Without: by the width of the band, each once, then over
    again; a new belief begins anew.
    """

    def __init__(self) -> None:
        self._belief: Belief | None = None
        self._seen: set[int] = set()
        self._case: object = None

    def next(
        self, belief: Belief, hers: Collection[int], geometry: Geometry, case: object = None,
        places: Sequence[Place] = (),
    ) -> NextLook | None:  # fmt: skip
        """The next slice; None: no slice has a band.

        Parameters
        ----------
        hers : collection of slice
            Edited slices: they are settled.
        case : what is reviewed; another one begins a review of its own
        places : that her eyes have rested on
        """
        if case != self._case:
            self._case, self._seen = case, set()
        if belief.spread is not None:
            return self._expected(belief, hers, geometry, places)
        if belief is not self._belief:
            self._belief, self._seen = belief, set()
        return self._widest(belief, hers, geometry.spacing_kji_mm, places)

    def _expected(
        self, belief: Belief, hers: Collection[int], geometry: Geometry, places: Sequence[Place]
    ) -> NextLook | None:
        spacing_kji = geometry.spacing_kji_mm
        if len(self._seen) >= BUDGET:
            self._seen.clear()
        found = looks(belief, spacing_kji, 1, {*hers, *self._seen}, places)
        if not found and self._seen:  # all were looked at: over again
            self._seen.clear()
            found = looks(belief, spacing_kji, 1, hers, places)
        if not found:
            return None
        self._seen.add(found[0].k)
        left, side = BUDGET - len(self._seen), side_of(found[0], geometry)
        return NextLook(
            found[0].k,
            f"Look {len(self._seen)} of {BUDGET}: to review this slice should settle {found[0].gain:.0%} of what is "
            f"unsure about the outline; here it may lie anywhere in a band {found[0].band_mm:.1f} mm wide"
            + (f", most of all at its {side}" if side else "")
            + (f". {left} looks remain." if left > 1 else ". One look remains." if left else ". It is the last look."),
        )

    def _widest(
        self, belief: Belief, hers: Collection[int], spacing_kji: npt.ArrayLike, places: Sequence[Place]
    ) -> NextLook | None:
        """The slice with the widest band between the outer isolines that was not looked at yet."""
        best = ranked(belief, hers, spacing_kji, places)
        if self._seen.issuperset(best):
            self._seen.clear()
        k = next((k for k in best if k not in self._seen), None)
        if k is None:
            return None
        self._seen.add(k)
        return NextLook(k, "This slice is where the outline is least sure of those not yet shown.")


def side_of(look: Look, geometry: Geometry) -> str:
    """Where on its slice the doubt lies, seen from the outline's middle: "posterior left"; "" where it is all round."""
    rows, columns = (np.array(axis) for axis in geometry.axes_lps[1:])
    lean = look.lean[0] * rows + look.lean[1] * columns
    size = float(np.linalg.norm(lean))
    if size < LEANS:
        return ""
    sides = {name: float(np.array(way) @ lean) / size for name, way in DIRECTIONS_LPS.items()}
    order = ("superior", "inferior", "anterior", "posterior", "left", "right")
    return " ".join(name for name in order if sides[name] > np.sin(np.pi / 8))  # eight sides of a slice


def ranked(
    belief: Belief, hers: Collection[int], spacing_kji: npt.ArrayLike, places: Sequence[Place] = ()
) -> list[int]:
    """Slices with a band between the outer isolines, widest first as far as her eyes have not rested on it, without
    those that are hers."""
    low, high = (logit(percent) for percent in BAND_PERCENT)
    band = (belief.mean_logit >= low) & (belief.mean_logit < high)
    area = (band * unseen(belief, places, spacing_kji)).sum((1, 2))
    first = belief.corner_kji[0]
    return [k for row in np.argsort(-area, kind="stable") if area[row] and (k := first + int(row)) not in hers]

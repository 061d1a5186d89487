"""Where to look next: the slices on which the outline is least sure, widest first."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from osirix_agent.belief.belief import Belief, logit

BAND_PERCENT = (5, 95)


class Looks:
    """Goes through a belief's uncertain slices, each once, then over again; a new belief begins anew."""

    def __init__(self) -> None:
        self._belief: Belief | None = None
        self._seen: set[int] = set()

    def next(self, belief: Belief, hers: Collection[int]) -> int | None:
        """The slice with the widest band between the outer isolines that was not looked at yet.

        Parameters
        ----------
        hers : collection of slice
            Edited slices: they are settled.

        Returns
        -------
        k : int or None
            None: no slice has a band.
        """
        if belief is not self._belief:
            self._belief, self._seen = belief, set()
        best = ranked(belief, hers)
        if self._seen.issuperset(best):
            self._seen.clear()
        k = next((k for k in best if k not in self._seen), None)
        if k is not None:
            self._seen.add(k)
        return k


def ranked(belief: Belief, hers: Collection[int]) -> list[int]:
    """Slices with a band between the outer isolines, widest first, without those that are hers."""
    low, high = (logit(percent) for percent in BAND_PERCENT)
    area = np.count_nonzero((belief.mean_logit >= low) & (belief.mean_logit < high), axis=(1, 2))
    first = belief.corner_kji[0]
    return [k for row in np.argsort(-area, kind="stable") if area[row] and (k := first + int(row)) not in hers]

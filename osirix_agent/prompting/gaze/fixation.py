"""Fixations by dispersion and duration (I-DT; Salvucci & Goldberg 2000)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from osirix_agent.prompting.gaze.sample import Sample

DISPERSION = 0.03  # of the screen, width and height together: about one degree at a reading distance
SHORTEST_S = 0.1
LONGEST_GAP_S = 0.1  # a blink within a fixation ends it


@dataclass(frozen=True)
class Fixation:
    """A rest of the eyes.

    Attributes
    ----------
    begin_s, end_s : on the tracker's clock
    x, y : centre, shares of the screen
    """

    begin_s: float
    end_s: float
    x: float
    y: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


class Fixations:
    """Finds fixations in a stream of samples, as it comes."""

    def __init__(self, dispersion: float = DISPERSION, shortest_s: float = SHORTEST_S) -> None:
        self._dispersion, self._shortest_s = dispersion, shortest_s
        self._window: deque[Sample] = deque()

    def take(self, samples: Iterable[Sample]) -> list[Fixation]:
        """Fixations that ended with these samples."""
        found = []
        for sample in samples:
            if self._window and sample.t_s - self._window[-1].t_s > LONGEST_GAP_S:
                found += self.end()
            self._window.append(sample)
            if self._spread() <= self._dispersion:
                continue
            self._window.pop()
            found += self.end() if self._lasts() else self._slide(sample)
            self._window.append(sample)
        return found

    def end(self) -> list[Fixation]:
        """The fixation that is going on, if it is one; the next begins anew."""
        held, lasts = list(self._window), self._lasts()
        self._window.clear()
        if not lasts:
            return []
        x, y = (float(np.mean([getattr(one, axis) for one in held])) for axis in "xy")
        return [Fixation(held[0].t_s, held[-1].t_s, x, y)]

    def _slide(self, sample: Sample) -> list[Fixation]:
        """No fixation yet: drop the oldest until the newest fits."""
        while self._window and self._spread((*self._window, sample)) > self._dispersion:
            self._window.popleft()
        return []

    def _lasts(self) -> bool:
        return len(self._window) > 1 and self._window[-1].t_s - self._window[0].t_s >= self._shortest_s

    def _spread(self, held: Iterable[Sample] | None = None) -> float:
        at = np.array([(one.x, one.y) for one in (self._window if held is None else held)])
        return float(np.ptp(at, axis=0).sum())

"""A simulated eye tracker: fixations with tremor, saccades, blinks; and the faults that real ones have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from osirix_agent.prompting.gaze.sample import Sample

RATE_HZ = 120.0
TREMOR = 0.003  # standard deviation, shares of the screen
SACCADE_S = 0.04
BLINK_S, BLINK_EVERY_S = 0.12, 3.0

Fault = Literal["none", "jumps", "drops", "frozen", "outside", "backwards"]


def gaze(
    places: Sequence[tuple[float, float, float]], rng: np.random.Generator, *, fault: Fault = "none", bias: float = 0.0
) -> list[Sample]:
    """Samples of eyes that rest at (x, y) for so many seconds, one place after the other.

    Parameters
    ----------
    fault : what is wrong with the tracker, from a third of the time to two thirds
    bias : constant error, shares of the screen
    """
    path = np.array(list(_path(places)))
    path += rng.normal(0, TREMOR, path.shape) + bias
    t = np.arange(len(path)) / RATE_HZ
    path[(t % BLINK_EVERY_S) > BLINK_EVERY_S - BLINK_S] = np.nan
    wrong = slice(len(path) // 3, 2 * len(path) // 3)
    keep = np.ones(len(path), bool)
    match fault:
        case "jumps":
            hit = np.flatnonzero(rng.random(len(path[wrong])) < 0.3) + wrong.start
            path[hit] = rng.random((len(hit), 2))
        case "drops":
            keep[wrong] = False
        case "frozen":
            path[wrong] = path[wrong.start]
        case "outside":
            path[wrong] += 5.0
        case "backwards":
            t[wrong] = t[wrong][::-1]
    return [Sample(float(s), float(x), float(y)) for s, (x, y) in zip(t[keep], path[keep], strict=True)]


class SimulatedTracker:
    """A `Tracker` whose eyes rest where they are told to, from then on; closed at first.

    Parameters
    ----------
    clock : monotonic seconds
    """

    def __init__(self, rng: np.random.Generator, clock: Callable[[], float]) -> None:
        self._rng, self._clock = rng, clock
        self._rests = [(clock(), np.nan, np.nan)]
        self._next = round(clock() * RATE_HZ)

    def rest(self, x: float, y: float) -> None:
        """The eyes go to this share of the screen; safe from any thread."""
        self._rests.append((self._clock(), x, y))

    def read(self) -> list[Sample]:
        first, self._next = self._next, max(self._next, int(self._clock() * RATE_HZ))
        while len(self._rests) > 1 and self._rests[1][0] <= first / RATE_HZ:
            del self._rests[0]
        t, rests = np.arange(first, self._next) / RATE_HZ, np.array(self._rests)
        at = rests[np.maximum(np.searchsorted(rests[:, 0], t, "right") - 1, 0), 1:]
        at = at + self._rng.normal(0, TREMOR, at.shape)
        return [Sample(float(s), float(x), float(y)) for s, (x, y) in zip(t, at, strict=True)]

    def close(self) -> None: ...


def _path(places: Sequence[tuple[float, float, float]]) -> Iterator[tuple[float, float]]:
    before: tuple[float, float] | None = None
    for x, y, seconds in places:
        if before is not None:
            for share in np.linspace(0, 1, max(2, round(SACCADE_S * RATE_HZ)))[1:-1]:
                yield before[0] + share * (x - before[0]), before[1] + share * (y - before[1])
        yield from [(x, y)] * round(seconds * RATE_HZ)
        before = x, y

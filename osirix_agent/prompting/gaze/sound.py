"""Which samples can be a gaze: trackers lose the eyes, jump, repeat themselves and lie about time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from osirix_agent.prompting.gaze.sample import Sample

LONGEST_GAP_S = 0.5  # without a sample, or without one that counts: the eyes are not there
FROZEN_S = 1.0  # eyes are never this still: a tracker that repeats itself has hung
FASTEST_PER_S = 25.0  # screens a second; saccades reach a fraction of it


class State(StrEnum):
    """How far the tracker can be believed."""

    SOUND = "sound"
    AWAY = "away"  # no eyes, no samples
    FROZEN = "frozen"


@dataclass
class Soundness:
    """Lets through what can be a gaze; counts the rest.

    Attributes
    ----------
    state : of the newest samples
    refused : how many samples were left out, by reason
    """

    state: State = State.AWAY
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("time", "place", "frozen", "jump"), 0))
    _last: Sample | None = None  # that counted
    _newest_s: float = -math.inf
    _still_since_s: float = math.nan
    _jump: Sample | None = None

    def take(self, samples: Iterable[Sample]) -> list[Sample]:
        """Those that count."""
        return [one for one in samples if self._counts(one)]

    def _counts(self, sample: Sample) -> bool:
        if not math.isfinite(sample.t_s) or sample.t_s <= self._newest_s:
            return self._refuse("time")
        self._newest_s = sample.t_s
        last = self._last
        if last is not None and sample.t_s - last.t_s > LONGEST_GAP_S:
            self.state, self._last, self._jump = State.AWAY, None, None
            last = None
        if not (0 <= sample.x <= 1 and 0 <= sample.y <= 1):  # NaN too
            return self._refuse("place")
        if last is not None and (sample.x, sample.y) == (last.x, last.y):
            if sample.t_s - self._still_since_s >= FROZEN_S:
                self.state = State.FROZEN
                self._last = sample
                return self._refuse("frozen")
        else:
            self._still_since_s = sample.t_s
        if last is not None and _speed(last, sample) > FASTEST_PER_S:
            before, self._jump = self._jump, sample
            if before is None or _speed(before, sample) > FASTEST_PER_S:  # one that stays was a gap, not a jump
                return self._refuse("jump")
        self._jump, self._last, self.state = None, sample, State.SOUND
        return True

    def _refuse(self, why: str) -> bool:
        self.refused[why] += 1
        return False


def _speed(a: Sample, b: Sample) -> float:
    return math.hypot(b.x - a.x, b.y - a.y) / max(b.t_s - a.t_s, 1e-6)

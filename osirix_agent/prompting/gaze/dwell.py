"""How long she looked at each slice: all that gaze can say over OsiriX, which tells no zoom and no window position."""

from __future__ import annotations

from collections.abc import Iterable

from osirix_agent.prompting.gaze.fixation import Fixation, Fixations
from osirix_agent.prompting.gaze.sample import Sample
from osirix_agent.prompting.gaze.sound import Soundness, State

REVIEWED_S = 2.0  # of fixations on a slice: it counts as looked at


class SliceDwell:
    """Seconds of fixation by displayed slice.

    Attributes
    ----------
    seconds : by slice
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._here_s = 0.0
        self._sound, self._fixations = Soundness(), Fixations()
        self._k: int | None = None

    @property
    def state(self) -> State:
        return self._sound.state

    def take(self, samples: Iterable[Sample], displayed_k: int) -> tuple[int, float] | None:
        """Samples that came while this slice was displayed; a fixation does not go on into another slice.

        Returns
        -------
        left : (slice, seconds) or None
            The slice that was displayed until now, if it is another one, and for how long she looked at it this time.
        """
        left = None
        if displayed_k != self._k:
            self._note(self._fixations.end())
            left = (self._k, self._here_s) if self._k is not None and self._here_s > 0 else None
            self._k, self._here_s = displayed_k, 0.0
        self._note(self._fixations.take(self._sound.take(samples)))
        return left

    def reviewed(self) -> frozenset[int]:
        """Slices that she has looked at for long enough."""
        return frozenset(k for k, seconds in self.seconds.items() if seconds >= REVIEWED_S)

    def _note(self, fixations: Iterable[Fixation]) -> None:
        if self._k is not None:
            for one in fixations:
                self.seconds[self._k] = self.seconds.get(self._k, 0.0) + one.seconds
                self._here_s += one.seconds

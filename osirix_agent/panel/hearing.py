"""Push-to-talk: sound from the page's microphone, handed to whatever recognises speech. The server keeps none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
LONGEST_S = 30  # of one press; the page stops by itself
LONGEST_BYTES = 2 * RATE_HZ * (LONGEST_S + 1)


class Heard(Protocol):
    """What was understood of a press.

    Attributes
    ----------
    text : the sentence; "" where there is none to act on
    confidence : 0 to 1
    why : what to tell her where there is no text
    """

    @property
    def text(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def why(self) -> str: ...


class Recogniser(Protocol):
    """Speech to words, on this machine."""

    def hear(self, pcm: npt.NDArray[np.int16], rate_hz: int, known: Collection[str]) -> Heard:
        """Words of one press.

        Parameters
        ----------
        pcm : (n,) int16, one channel
        known : names of the session's structures

        Raises
        ------
        OsirixAgentError
            The recogniser cannot work.
        """

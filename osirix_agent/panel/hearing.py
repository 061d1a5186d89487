"""Push-to-talk: sound from the page's microphone, handed to whatever recognises speech. It is never kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

RATE_HZ = 16_000
LONGEST_S = 30  # of one press; the page stops by itself
LONGEST_BYTES = 2 * RATE_HZ * (LONGEST_S + 1)


@dataclass(frozen=True)
class Heard:
    """What was understood of a press, and how sure that is (0 to 1)."""

    text: str
    confidence: float


class Recogniser(Protocol):
    """Speech to words, on this machine."""

    def hear(self, pcm: bytes, rate: int) -> Heard:
        """Words of one press.

        Parameters
        ----------
        pcm : 16-bit signed little-endian mono samples
        rate : samples a second

        Raises
        ------
        PromptError
            Nothing was said, or nothing that could be understood.
        """

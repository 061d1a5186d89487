"""One reading of an eye tracker, and what gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Sample:
    """Where both eyes meet on the screen.

    Attributes
    ----------
    t_s : seconds on the tracker's clock
    x, y : share of the screen's width and height, (0, 0) upper left; NaN while the eyes are closed or away
    """

    t_s: float
    x: float
    y: float


class Tracker(Protocol):
    """A source of samples."""

    def read(self) -> list[Sample]:
        """Those since the last call, oldest first; never waits."""

    def close(self) -> None: ...

"""What is on its way to the session: a command or a sentence, from the terminal, which waits for nothing, or from a
button or `osirix-agent say`, which do; or what was done on the companion page."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from osirix_agent.prompting.gaze.place import PageView
from osirix_agent.prompting.intent import Command, Intent
from osirix_agent.prompting.prompt import Prompt

Said = tuple[bool, str, bool]  # done?, what happened, was it another viewer's business?


@dataclass(eq=False)
class Sentence:
    """Words to be understood, and how far they have been carried out: OsiriX may let it be done only in parts.

    Attributes
    ----------
    heard : confidence of the speech recogniser; 1 for typed text
    left : what is still to be done; None: not yet understood
    """

    text: str
    heard: float = 1.0
    left: deque[Intent] | None = None
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Draw:
    """A prompt that was drawn elsewhere than in the viewer; for the active structure if none is named."""

    prompt: Prompt
    structure: str | None = None


@dataclass(frozen=True)
class TakeOut:
    """An earlier prompt, by its number, is to be taken out."""

    number: int


@dataclass(frozen=True)
class Turn:
    """The viewer is to show slice k."""

    k: int


@dataclass(frozen=True)
class Calibrate:
    """A step of calibrating the eyes on the companion page: a dot is shown at `at_px` (`aim`) until it was `seen`."""

    step: Literal["begin", "aim", "seen", "fit", "forget"]
    at_px: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Show:
    """What the companion page shows from now on, to eyes; None: nothing that could be looked at."""

    view: PageView | None


Wish = Command | Sentence | Draw | TakeOut | Turn | Calibrate | Show


class Request:
    """Handed from a waiting thread to the session's; either withdrawn or carried out, never both.

    Parameters
    ----------
    from_button : bool
        Pressed in OsiriX: meant for the viewer in front.
    """

    def __init__(self, command: Wish, *, from_button: bool = False) -> None:
        self.command, self.from_button = command, from_button
        self._changed = threading.Condition()
        self._begun = self._withdrawn = self._given_up = False
        self._said: Said | None = None

    @property
    def modality(self) -> Literal["typed", "voice", "button", "mouse"]:
        """How it was asked for."""
        if isinstance(self.command, Draw | TakeOut | Turn | Calibrate | Show):
            return "mouse"
        if isinstance(self.command, Sentence):
            return "voice" if self.command.heard < 1 else "typed"
        return "button" if self.from_button else "typed"

    def begin(self) -> bool:
        """Session: may it be carried out? Not once the one who asked was told that it was not."""
        with self._changed:
            self._begun = not self._withdrawn
            return self._begun

    def put_off(self) -> None:
        """Session: OsiriX did not let it be done; it is tried again, unless the one who asked has given up."""
        with self._changed:
            self._begun, self._withdrawn = False, self._withdrawn or self._given_up

    def answer(self, done: bool, what: str, *, elsewhere: bool = False) -> None:
        with self._changed:
            self._said = done, what, elsewhere
            self._changed.notify_all()

    def wait(self, seconds: float) -> Said:
        """What became of it; withdrawn if nothing has by then."""
        with self._changed:
            if self._changed.wait_for(lambda: self._said is not None, seconds) and self._said is not None:
                return self._said
            if self._begun:
                self._given_up = True
                return False, "The agent is still at it. Look at the viewer, then press again if needed.", False
            self._withdrawn = True
            return False, "OsiriX is busy, so nothing was done. Close any open dialog in it, then press again.", False

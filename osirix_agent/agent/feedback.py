"""What the clinician is told: lines in the terminal, a desktop notification. Never patient data."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Protocol

_APPLESCRIPT = ("on run a", 'display notification (item 1 of a) with title "Contouring"', "end run")


class Feedback(Protocol):
    def notice(self, text: str, structure: str | None = None) -> None:
        """Something she should see (a refusal, a result), and the structure it is about."""


class TerminalFeedback:
    """Prints; and, where the system offers it, posts a desktop notification.

    The notification leaves the structure's name out: it is the clinician's own text, and the desktop may be seen.

    Parameters
    ----------
    notify : bool
        Desktop notifications.
    """

    def __init__(self, *, notify: bool) -> None:
        self._command: list[str] | None = None
        program = shutil.which("osascript" if sys.platform == "darwin" else "notify-send") if notify else None
        if program and sys.platform == "darwin":
            self._command = [program, *(part for line in _APPLESCRIPT for part in ("-e", line))]
        elif program:
            self._command = [program, "Contouring"]

    def notice(self, text: str, structure: str | None = None) -> None:
        print(f"{structure}: {text}" if structure else text, flush=True)
        if self._command is None:
            return
        try:
            # a whole path and open descriptors (closed on exec): spawned, never forked, where gRPC has threads
            subprocess.Popen(
                [*self._command, text], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False
            )
        except OSError:
            self._command = None  # no notification service: the terminal is enough


class Several:
    """Tells each of several."""

    def __init__(self, *told: Feedback) -> None:
        self._told = told

    def notice(self, text: str, structure: str | None = None) -> None:
        for one in self._told:
            one.notice(text, structure)


class RecordedFeedback:
    """Keeps what was said, for tests and demos."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str, structure: str | None = None) -> None:
        self.texts.append(f"{structure}: {text}" if structure else text)

"""Wait for OsiriX: for a server and a viewer before the session, for the session's series once it was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from osirix_agent.agent.engine import FIRST_LOOK_S, LONGEST_WAIT_S
from osirix_agent.agent.feedback import Feedback
from osirix_agent.errors import (
    NoServerError,
    NoViewerError,
    OsirixAgentError,
    UnsupportedSeriesError,
    ViewerClosedError,
    ViewerTimeoutError,
)
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer, displayed_viewers, series_uid_of
from osirix_agent.viewer.connection import OsirixConnection

PASSING = (NoServerError, NoViewerError, ViewerClosedError, ViewerTimeoutError)
T = TypeVar("T")


class SeriesFinder:
    """Finds the session's series again, in whichever viewer it is open now.

    Parameters
    ----------
    viewer : OsirixViewer
        Where the session was bound first.
    connect : callable
        A new connection, when the one in use is dead (the port may be another one by now).
    """

    def __init__(
        self, viewer: OsirixViewer, connection: OsirixConnection, settings: Settings,
        connect: Callable[[], OsirixConnection],
    ) -> None:  # fmt: skip
        self.viewer, self.connection = viewer, connection
        self._settings, self._connect = settings, connect

    def __call__(self) -> OsirixViewer:
        """The bound viewer, or another one of the very same images.

        Raises
        ------
        ViewerError
            OsiriX does not answer, or the series is not open.
        """
        try:
            self.connection.ping()
        except NoServerError:
            self.connection.become(self._connect())
        identity = self.viewer.identity
        for uid in displayed_viewers(self.connection):
            try:
                if series_uid_of(self.connection, uid) != identity.series_uid:
                    continue
                if uid == self.viewer.uid and self.viewer.is_intact():
                    return self.viewer
                other = OsirixViewer(self.connection, uid, self._settings)
            except (UnsupportedSeriesError, ViewerClosedError):
                continue
            if (other.identity.study_uid, other.identity.sop_uids) == (identity.study_uid, identity.sop_uids):
                self.viewer = other
                return other
        raise NoViewerError(
            "The series of the session is not open in OsiriX.",
            "Open it in a 2D viewer; the session goes on by itself.",
        )


def wait_until_open(
    open_: Callable[[], T], feedback: Feedback, longest_s: float | None, *,
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
) -> T:  # fmt: skip
    """What `open_` gives, as soon as OsiriX answers and shows a series.

    Parameters
    ----------
    longest_s : float or None
        Then the last reason is raised; 0 refuses at once, None waits for ever.

    Raises
    ------
    OsirixAgentError
        What waiting cannot cure, or still did not.
    """
    end = None if longest_s is None else clock() + longest_s
    wait, said = FIRST_LOOK_S, ""
    while True:
        try:
            return open_()
        except PASSING as error:
            left = None if end is None else end - clock()
            if left is not None and left <= 0:
                raise
            said = _say_once(feedback, error, said)
            sleep(wait if left is None else min(wait, left))
            wait = min(2 * wait, LONGEST_WAIT_S)


def _say_once(feedback: Feedback, error: OsirixAgentError, said: str) -> str:
    if error.what != said:
        feedback.notice(f"{error} Waiting; Ctrl-C ends.")
    return error.what

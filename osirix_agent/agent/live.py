"""`osirix-agent run`: a session in the terminal, until `quit`, Ctrl-C or a signal."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from osirix_agent.agent.control import ControlSocket
from osirix_agent.agent.engine import Engine
from osirix_agent.agent.feedback import Feedback, Several, TerminalFeedback
from osirix_agent.agent.opening import Start, open_session
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.agent.waiting import wait_until_open
from osirix_agent.errors import (
    ControlError,
    NoServerError,
    OsirixAgentError,
    SettingsError,
    ViewerClosedError,
    ViewerTimeoutError,
)
from osirix_agent.prompting.gaze.sample import Tracker
from osirix_agent.prompting.gaze.stream import LslTracker
from osirix_agent.prompting.grammar import Command, parse_command
from osirix_agent.segmenter.choice import make_segmenter
from osirix_agent.settings import Settings

WELCOME = (
    "Watching. Point = include or exclude, rectangle = box, pencil = scribble, closed polygon or brush = outline;\n"
    "an ROI named 'GTVp' makes a structure; a name such as '!undo' or '!grow 2 mm superiorly' is carried out.\n"
    "Type here what you could say ('two millimetres superiorly, undo'), 'help' for the commands, 'quit' to leave."
)


class Page(Feedback, Protocol):
    """What shows the session elsewhere than in OsiriX, and asks through the same queue."""

    def attach(self, engine: Engine) -> None: ...


def run_live(
    settings: Settings, *, for_seconds: float | None = None, wait_s: float | None = None, fresh: bool = False,
    start: Start | None = None, page: Page | None = None, eyes: Tracker | None = None,
) -> None:  # fmt: skip
    """Contour with the frontmost viewer.

    Parameters
    ----------
    wait_s : float or None
        How long to wait for OsiriX and a viewer at the start; 0 refuses at once, None waits for ever.
    fresh : bool
        Begin anew even if a session on this series was cut short.
    start : Start or None
        Contours to begin a new session with.
    page : Page or None
        The companion page.
    eyes : Tracker or None
        None: a real one, if the settings say so.

    Raises
    ------
    OsirixAgentError
        The session could not begin or had to end; drafts are cleared wherever there is still a viewer.
    """
    from rich.progress import Progress

    feedback: Feedback = TerminalFeedback(notify=settings.notify)
    if page is not None:
        feedback = Several(feedback, page)
    segmenter = make_segmenter(settings)  # once, however long OsiriX is waited for
    with ThreadPoolExecutor(1) as executor, _buttons(feedback) as buttons:
        with Progress(transient=True) as bar:
            task = bar.add_task("reading the series")
            opened = wait_until_open(
                lambda: open_session(
                    settings, feedback, executor=executor, segmenter=segmenter, fresh=fresh, start=start,
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                ),
                feedback, wait_s,
            )  # fmt: skip
        engine = opened.engine
        _stop_on_signals(engine)
        print(f"{WELCOME}\nJournal: {opened.journal_path}", flush=True)
        if page is not None:
            page.attach(engine)
        if eyes is not None:
            engine.watch_eyes(eyes)
        elif settings.gaze:
            _watch_eyes(engine, settings, feedback)
        if buttons is not None:
            buttons.answer_with(engine.ask)
        threading.Thread(target=_read_commands, args=(engine,), daemon=True).start()
        if for_seconds is not None:
            threading.Timer(for_seconds, lambda: engine.command(Command("quit"))).start()
        try:
            engine.run_until_stopped()
        except BaseException as error:
            _leave(engine, f"ended: {type(error).__name__}")
            raise
        else:
            _leave(engine, "quit")
        finally:
            opened.close()


@contextmanager
def _buttons(feedback: Feedback) -> Iterator[ControlSocket | None]:
    """The socket the buttons in OsiriX speak through; without it she can still draw and type."""
    try:
        socket = ControlSocket()
    except ControlError as error:
        feedback.notice(f"The buttons in OsiriX do not work in this session. {error}")
        yield None
        return
    with socket:
        yield socket


def _watch_eyes(engine: Engine, settings: Settings, feedback: Feedback) -> None:
    """Without a tracker the session goes on as it would anyway."""
    try:
        engine.watch_eyes(LslTracker(settings.gaze_stream))
    except SettingsError as error:
        feedback.notice(str(error))


def _leave(engine: Engine, reason: str) -> None:
    """Clean up as far as OsiriX is still there; what cannot be cleared now is cleared by the next start."""
    try:
        engine.finish(reason)
    except (ViewerClosedError, ViewerTimeoutError, NoServerError):
        print(
            "OsiriX is away: the next 'osirix-agent run' on this series goes on where this one stops.", file=sys.stderr
        )
    except OsirixAgentError as error:
        print(f"While leaving: {error}", file=sys.stderr)


def _stop_on_signals(engine: Engine) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        engine.command(Command("quit"))

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), stop)


def _read_commands(engine: Engine) -> None:
    for line in sys.stdin:
        if not line.strip():
            continue
        command = parse_command(line)  # leaving is not kept waiting; the rest is read where the structures are known
        engine.ask(Request(command if command == Command("quit") else Sentence(line.strip())))
        time.sleep(0)

"""The companion page's server, on this machine only: one page at a time, fed with what the session looks like.

The session's thread only leaves its newest `Sight`; a thread of the page's own works out what lies on the slice it
shows and sends it. What the page asks for goes into the session's one queue.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from osirix_agent.agent.engine import Engine
from osirix_agent.agent.request import Calibrate, Request
from osirix_agent.agent.sight import Sight
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import OsirixAgentError, PromptError, SettingsError
from osirix_agent.imaging.volume import Volume
from osirix_agent.panel import picture, report
from osirix_agent.panel.door import Door
from osirix_agent.panel.hearing import LONGEST_BYTES as LONGEST_SOUND
from osirix_agent.panel.hearing import RATE_HZ, Recogniser
from osirix_agent.panel.message import LONGEST_BYTES, MESSAGE, LookAt, Pointer, wish
from osirix_agent.panel.plane import Plane, planes_of

ANSWER_DEADLINE_S = 20.0
HEAD_START_S = 0.1  # at most so long the session waits until the page has been sent what she waits for
WAITING = 8  # requests that may wait for the session at once
NOTICES = 50
TAKEN_OVER = 4001  # close code: another tab has the session now
NO_VOICE = "Voice is not installed."


class Panel:
    """Serves the page of one session; a context manager. It is told what the clinician is told.

    Parameters
    ----------
    port : int
        0 takes a free one.
    recogniser : Recogniser or None
        None: the page says that voice is not installed.
    tell : callable
        Given the link that opens the page, and a new one whenever that has been used.
    pointer : callable or None
        Given where the mouse pointer is, shares of the screen.

    Raises
    ------
    SettingsError
        The port is taken.
    """

    def __init__(
        self, port: int = 0, recogniser: Recogniser | None = None, tell: Callable[[str], object] = lambda _: None,
        pointer: Callable[[float, float], object] | None = None,
    ) -> None:  # fmt: skip
        self._recogniser, self._pointer = recogniser, pointer
        self._changed = threading.Condition()
        self._engine: Engine | None = None
        self._volume: Volume | None = None
        self._planes: tuple[Plane, ...] = ()
        self._sight: Sight | None = None
        self._notices: deque[tuple[int, str]] = deque(maxlen=NOTICES)
        self._told = 0
        self._page: _Page | None = None
        self._closing = False
        quiet = logging.getLogger("osirix_agent.panel")
        quiet.disabled = True  # a browser that only opens a connection is no news; nothing of a request is logged
        try:
            self._server: Server = serve(
                self._welcome, "127.0.0.1", port, process_request=lambda _, request: self.door.answer(request),
                compression=None, max_size=max(LONGEST_BYTES, LONGEST_SOUND), server_header=None, logger=quiet,
                close_timeout=1,
            )  # fmt: skip
        except OSError as error:
            raise SettingsError(
                f"The companion page cannot use port {port} ({error.strerror}).",
                "Set 'panel_port' to another, or to 0.",
            ) from None
        self.port: int = self._server.socket.getsockname()[1]
        self.door = Door(self.port, lambda: tell(self.door.link))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        tell(self.door.link)

    def __enter__(self) -> Panel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The page is told that the session has ended."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._server.shutdown()

    @property
    def engine(self) -> Engine:
        """Of the session that is shown."""
        assert self._engine is not None
        return self._engine

    # -- from the session ------------------------------------------------------------------------------------
    def attach(self, engine: Engine) -> None:
        """Show this session from now on."""
        self._engine, self._volume = engine, engine.session.volume
        self._planes = planes_of(self._volume.geometry)
        engine.show_to(self._show)

    def _show(self, sight: Sight) -> None:
        """Before the session paints in OsiriX, a page that keeps up is sent its lines: both at once slow each other."""
        with self._changed:
            before, self._sight = self._sight, sight
            self._changed.notify_all()
            page = self._page
            if page is not None and before is not None and page.sent is before:
                self._changed.wait_for(lambda: page.sent is sight or page.gone or self._closing, HEAD_START_S)

    def notice(self, text: str, structure: str | None = None) -> None:
        with self._changed:
            self._told += 1
            self._notices.append((self._told, f"{structure}: {text}" if structure else text))
            self._changed.notify_all()

    # -- to the page -----------------------------------------------------------------------------------------
    def _welcome(self, connection: ServerConnection) -> None:
        page = _Page(self, connection)
        with self._changed:
            before, self._page = self._page, page
            self._changed.notify_all()
        if before is not None:
            before.connection.close(TAKEN_OVER)
        pump = threading.Thread(target=page.feed, daemon=True)
        pump.start()
        with suppress(ConnectionClosed):
            for text in connection:
                page.hear(text)
        with self._changed:
            page.gone = True
            self._changed.notify_all()
        if self._engine is not None and self._sight is not None and self._sight.eyes is not None:
            self._engine.ask(Request(Calibrate("forget")))  # another page is elsewhere on the screen


class _Page:
    """One connected page."""

    def __init__(self, panel: Panel, connection: ServerConnection) -> None:
        self._panel, self.connection = panel, connection
        self.gone = False
        self.sent: Sight | None = None  # whose lines it has
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._look: tuple[int, int] | None = None
        self._drawn: tuple[object, ...] = ()
        self._best: tuple[Belief, tuple[object, ...], list[dict[str, Any]]] | None = None

    def feed(self) -> None:
        """Send what has changed, the newest only, until the page goes."""
        panel, sent, looked, told = self._panel, None, None, 0
        with suppress(ConnectionClosed):
            while True:
                with panel._changed:
                    panel._changed.wait_for(
                        lambda sent=sent, looked=looked, told=told: (  # type: ignore[misc]
                            self.gone or panel._closing or panel._told > told
                            or (panel._sight is not None and (panel._sight is not sent or self._look != looked))
                        )
                    )  # fmt: skip
                    if self.gone or panel._closing:
                        return
                    sight, look = panel._sight, self._look
                    notices = [text for n, text in panel._notices if n > told]
                    told = panel._told
                for text in notices:
                    self._send({"kind": "notice", "text": text})
                if sight is None:
                    continue
                if sent is None:
                    self._send(self._hello(sight))
                if look is not None and look != looked:
                    self._send_slice(look)
                if look is not None:
                    self._send_lines(sight, look)  # first what she waits for
                with panel._changed:
                    self.sent = sight
                    panel._changed.notify_all()
                if sight is not sent:
                    self._send(report.session(sight, panel._planes[0].geometry))
                if sight is not sent and not sight.busy:
                    self._send_looks(sight)
                sent, looked = sight, look

    def hear(self, said: str | bytes) -> None:
        """One message of the page."""
        if isinstance(said, bytes):
            self._later(0, lambda: self._recognise(said))
            return
        number = 0
        try:
            message = MESSAGE.validate_json(said)
            number = message.id
            if isinstance(message, LookAt):
                self._turn(message)
            if isinstance(message, Pointer) and self._panel._pointer is not None:
                self._panel._pointer(*message.at)
            if self._panel._engine is None:
                raise PromptError("The agent is starting.", "Wait until it shows the series.")
            asked = wish(message, self._panel._planes)
        except ValidationError:
            self._refuse(number, "Not done: the page said something that is not known. Load it again.")
            return
        except PromptError as error:
            self._refuse(number, f"Not done: {error}")
            return
        if asked is not None:
            request = Request(asked)
            self._panel._engine.ask(request)
            if number:  # otherwise nobody waits for an answer
                self._later(number, lambda: self._answer(number, request))

    def _turn(self, look: LookAt) -> None:
        planes = self._panel._planes
        if planes:
            with self._panel._changed:
                self._look = look.plane, min(look.index, planes[look.plane].count - 1)
                self._panel._changed.notify_all()

    def _answer(self, number: int, request: Request) -> None:
        done, said, _ = request.wait(ANSWER_DEADLINE_S)
        self._send({"kind": "answer", "id": number, "ok": done, "said": said})

    def _recognise(self, pcm: bytes) -> None:
        recogniser = self._panel._recogniser
        if recogniser is None:
            self._send({"kind": "heard", "text": "", "confidence": 0, "said": NO_VOICE})
            return
        sight = self._panel._sight
        known = set() if sight is None else {*sight.state.structures, sight.state.active}
        try:
            heard = recogniser.hear(np.frombuffer(pcm, "<i2", len(pcm) // 2).astype(np.int16), RATE_HZ, known)
        except OsirixAgentError as error:
            self._send({"kind": "heard", "text": "", "confidence": 0, "said": str(error)})
            return
        self._send({"kind": "heard", "text": heard.text, "confidence": heard.confidence, "said": heard.why})

    def _later(self, number: int, act: Callable[[], None]) -> None:
        """In a thread of its own, so that slices are not kept waiting by a busy OsiriX."""
        if not self._waiting.acquire(blocking=False):
            self._refuse(number, "Not done: too much at once. Wait for the answers.")
            return

        def run() -> None:
            try:
                with suppress(ConnectionClosed):
                    act()
            finally:
                self._waiting.release()

        threading.Thread(target=run, daemon=True).start()  # leaving does not wait for it

    def _refuse(self, number: int, why: str) -> None:
        self._send({"kind": "answer", "id": number, "ok": False, "said": why})

    # -- messages --------------------------------------------------------------------------------------------
    def _send(self, message: dict[str, Any]) -> None:
        self.connection.send(json.dumps(message, separators=(",", ":"), allow_nan=False))

    def _hello(self, sight: Sight) -> dict[str, Any]:
        volume = self._panel._volume
        assert volume is not None
        some = volume.array[:: max(1, len(volume.array) // 16), ::4, ::4]
        low, high = (float(v) for v in np.percentile(some, (1, 99.5)))
        return {
            "kind": "hello",
            "modality": volume.modality,
            "planes": [
                {
                    "name": plane.name, "count": plane.count, "shape": plane.shape, "spacing": plane.spacing_mm,
                    "letters": plane.letters,
                }
                for plane in self._panel._planes
            ],
            "range": [low, max(high, low + 1e-3)],
            "voice": self._panel._recogniser is not None,
            "pointer": self._panel._pointer is not None,
            "displayed": sight.displayed_k,
        }  # fmt: skip

    def _send_slice(self, look: tuple[int, int]) -> None:
        """Plane, index, rows, columns as uint32, then float32 values, all little-endian."""
        plane, index = look
        volume = self._panel._volume
        assert volume is not None
        values = self._panel._planes[plane].picture(volume.array, index)
        self.connection.send(np.array([plane, index, *values.shape], "<u4").tobytes() + values.astype("<f4").tobytes())

    def _send_lines(self, sight: Sight, look: tuple[int, int]) -> None:
        beliefs = tuple(sight.shown.items())
        drawn = sight.state, beliefs, sight.hers, sight.look, sight.busy, look
        if drawn == self._drawn:
            return
        self._drawn, plane = drawn, self._panel._planes[look[0]]
        self._send(
            {
                "kind": "lines", "plane": look[0], "index": look[1], "steps": sight.undo, "busy": sight.busy,
                "segment_ms": sight.timing.segment_ms,
                "outlines": picture.outlines(sight, plane, look[1]), "marks": picture.marks(sight, plane, look[1]),
            }
        )  # fmt: skip

    def _send_looks(self, sight: Sight) -> None:
        belief = sight.shown.get(sight.state.active)
        hers, eyes = frozenset(sight.state.structure(sight.state.active).edits), sight.eyes
        hers, places = (hers, ()) if eyes is None else (hers | eyes.reviewed, eyes.places)
        if self._best is None or self._best[0] is not belief or self._best[1] != (hers, places):
            if belief is None or sight.state.active in sight.look.plain:
                self._send({"kind": "looks", "slices": []})
                self._best = None
                return
            found = report.where_to_look(belief, self._panel._planes[0].geometry, hers, places)
            self._best = belief, (hers, places), found
            self._send({"kind": "looks", "slices": self._best[2]})

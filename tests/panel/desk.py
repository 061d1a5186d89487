"""A session with its companion page, and a client that speaks as the page does."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.sync.client import connect

from osirix_agent.panel.server import Panel
from osirix_agent.prompting.grammar import Command
from tests.conftest import WAIT_S, Practice


@dataclass
class Heard:
    text: str = ""
    confidence: float = 0.0
    why: str = ""


class Parrot:
    """Hears what it was told to hear."""

    def __init__(self) -> None:
        self.says = Heard("undo", 0.9)
        self.sounds: list[np.ndarray] = []
        self.known: set[str] = set()

    def hear(self, pcm: np.ndarray, rate_hz: int, known: set[str]) -> Heard:
        assert rate_hz == 16_000
        assert pcm.dtype == np.int16
        self.sounds.append(pcm)
        self.known = known
        return self.says


class Desk:
    """The engine runs in a thread of its own, as it does live."""

    def __init__(self, practice: Practice, recogniser: Any = None) -> None:
        self.practice, self.links = practice, []
        self.panel = Panel(0, recogniser, self.links.append)
        self.panel.attach(practice.engine)
        self._thread = threading.Thread(target=practice.engine.run_until_stopped)

    def __enter__(self) -> Desk:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.panel.close()
        self.stop_engine()

    def stop_engine(self) -> None:
        """Nothing is shown from then on but by the test."""
        self.practice.engine.command(Command("quit"))
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        talk = http.client.HTTPConnection("127.0.0.1", self.panel.port, timeout=WAIT_S)
        try:
            talk.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = talk.getresponse()
            answer.text = answer.read().decode()  # type: ignore[attr-defined]
            return answer
        finally:
            talk.close()

    def enter(self) -> str:
        """Follow the newest link; the cookie that it leaves."""
        parts = urlsplit(self.links[-1])
        answer = self.get(f"{parts.path}?{parts.query}")
        assert answer.status == 303
        assert answer.headers["Location"] == "/"
        return answer.headers["Set-Cookie"].split(";")[0]

    def page(self, cookie: str | None = None) -> Page:
        return Page(self.panel.port, cookie or self.enter())


class Page:
    """The page without a browser."""

    def __init__(self, port: int, cookie: str) -> None:
        self._held = ExitStack()
        self.socket = self._held.enter_context(connect(
            f"ws://127.0.0.1:{port}/live", origin=f"http://127.0.0.1:{port}", compression=None,
            additional_headers={"Cookie": cookie}, proxy=None, max_size=2**24,
        ))  # fmt: skip
        self.last: dict[str, dict[str, Any]] = {}
        self.slice: np.ndarray | None = None
        self._number = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def read(self, wanted: Callable[[], bool]) -> None:
        """Take messages until it holds."""
        end = time.monotonic() + WAIT_S
        while not wanted():
            said = self.socket.recv(timeout=max(0.01, end - time.monotonic()))
            if isinstance(said, bytes):
                plane, index, rows, columns = np.frombuffer(said, "<u4", 4)
                self.slice = np.frombuffer(said, "<f4", offset=16).reshape(rows, columns)
                self.last["slice"] = {"plane": int(plane), "index": int(index)}
            else:
                message = json.loads(said)
                self.last[message["kind"]] = message

    def has(self, kind: str) -> dict[str, Any]:
        self.read(lambda: kind in self.last)
        return self.last[kind]

    def look(self, plane: int, index: int, **more: Any) -> None:
        self.has("hello")
        for kind in ("slice", "lines"):
            self.last.pop(kind, None)
        self.send(do="look", plane=plane, index=index, **more)
        self.has("lines")

    def send(self, **message: Any) -> int:
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, **message}))
        return self._number

    def ask(self, **message: Any) -> dict[str, Any]:
        """Say it and take its answer."""
        number = self.send(**message)
        self.read(lambda: self.last.get("answer", {}).get("id") == number)
        return self.last["answer"]

    def rests(self, steps: int) -> dict[str, Any]:
        """The session once it has so many steps and nothing is being worked out."""

        def rests() -> bool:
            found, lines = self.last.get("session"), self.last.get("lines", {"steps": steps, "busy": False})
            return (
                found is not None
                and (found["undo"], found["busy"]) == (steps, False)
                and ((lines["steps"], lines["busy"]) == (steps, False))
            )

        self.read(rests)
        return self.last["session"]

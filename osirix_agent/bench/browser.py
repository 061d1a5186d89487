"""A headless Chromium of this machine, driven through its DevTools protocol (websockets is all it needs)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import ClientConnection, connect

from osirix_agent.errors import SettingsError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
START_S, ANSWER_S = 60.0, 60.0


def find_chromium() -> str | None:
    """The program, or None where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (str(MAC) if MAC.exists() else None)


class Browser:
    """One window; a context manager.

    Parameters
    ----------
    arguments : sequence of str
        More switches, such as those of a fake microphone.

    Raises
    ------
    SettingsError
        There is no Chromium.
    """

    def __init__(self, size: tuple[int, int] = (1440, 900), arguments: Sequence[str] = ()) -> None:
        program = find_chromium()
        if program is None:
            raise SettingsError("There is no Chromium on this machine.", "Install chromium or Google Chrome.")
        self._folder = tempfile.TemporaryDirectory(prefix="osirix-agent-browser-", ignore_cleanup_errors=True)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to run as root otherwise
        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self._folder.name}",
                f"--window-size={size[0]},{size[1]}", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", *sandbox,
                *arguments, "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._held = ExitStack()
        self._number = 0
        self.errors: list[str] = []  # what the page's console complained of
        try:
            self._talk = self._open()
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
            self.resize(*size)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._held.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._folder.cleanup()

    def _open(self) -> ClientConnection:
        ready = Path(self._folder.name) / "DevToolsActivePort"
        end = time.monotonic() + START_S
        while not (ready.is_file() and len(lines := ready.read_text().split()) == 2):
            if time.monotonic() > end or self._process.poll() is not None:
                raise SettingsError("Chromium does not start.", "Try it by hand.")
            time.sleep(0.05)
        with connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", proxy=None, compression=None) as whole:
            whole.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            targets = json.loads(whole.recv(ANSWER_S))["result"]["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        address = f"ws://127.0.0.1:{lines[0]}/devtools/page/{page}"
        return self._held.enter_context(connect(address, proxy=None, compression=None, max_size=2**27))

    # -- what a person does ----------------------------------------------------------------------------------
    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def click(self, x: float, y: float, *, shift: bool = False) -> None:
        self.drag([(x, y)], shift=shift)

    def drag(self, points: Sequence[tuple[float, float]], *, button: str = "left", shift: bool = False) -> None:
        held = {"button": button, "clickCount": 1, "modifiers": 8 if shift else 0}
        mask = {"left": 1, "right": 2}[button]
        (x, y), (u, v) = points[0], points[-1]
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, buttons=mask, **held)
        for a, b in points[1:]:
            self._mouse("mouseMoved", a, b, buttons=mask, **held)
        self._mouse("mouseReleased", u, v, **held)

    def press(self, key: str, *, down: bool = True, up: bool = True) -> None:
        text = " " if key == "Space" else key if len(key) == 1 else {"Enter": "\r"}.get(key, "")
        known = {"key": text if key == "Space" else key, "code": key if len(key) > 1 else ""}
        if down:
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **known)
        if up:
            self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def find(self, selector: str) -> tuple[float, float]:
        """The middle of an element, once it is there."""
        place = f"(() => {{ const b = document.querySelector({json.dumps(selector)})?.getBoundingClientRect(); "
        x, y = self.wait(f"{place} return b && b.width ? [b.x + b.width / 2, b.y + b.height / 2] : null; }})()")
        return x, y

    def click_on(self, selector: str) -> None:
        self.click(*self.find(selector))

    # -- what a person sees ----------------------------------------------------------------------------------
    def eval(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"].get("exception", {}).get("description")))
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = ANSWER_S) -> Any:
        """The expression's value once it is true.

        Raises
        ------
        TimeoutError
        """
        end = time.monotonic() + seconds
        while not (found := self.eval(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} does not become true; the console says {self.errors}")
            time.sleep(0.03)
        return found

    def text(self, selector: str) -> str:
        return str(self.eval(f"document.querySelector({json.dumps(selector)}).textContent"))

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    # -- the protocol ----------------------------------------------------------------------------------------
    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._talk.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._talk.recv(ANSWER_S))
            if said.get("id") == self._number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                result: dict[str, Any] = said["result"]
                return result
            self._note(said)

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def _note(self, said: dict[str, Any]) -> None:
        match said.get("method"):
            case "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.errors.append(str(details.get("exception", {}).get("description", details.get("text"))))
            case "Log.entryAdded" if said["params"]["entry"]["level"] == "error":
                self.errors.append(str(said["params"]["entry"]["text"]))

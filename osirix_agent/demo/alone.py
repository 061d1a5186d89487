"""`osirix-agent virtual-osirix`: the stand-in by itself, with an optional scripted clinician."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console

from osirix_agent.errors import OsirixAgentError, SettingsError
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.render import save_picture
from osirix_agent.virtual_osirix.server import VirtualServer

CLICK_EVERY_S = 2.0
WATCHED_AFTER_POLLS = 3  # she clicks once an agent watches: what was there before would be no prompt


def run_virtual_osirix(dicom: Path, port: int, clicks: list[str], pictures: Path | None) -> None:
    """Serve until interrupted."""
    planned = [_click(text) for text in clicks]
    app = VirtualOsirix()
    with Console(stderr=True).status("opening the folder"):
        viewers = app.open_folder(dicom)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for caught in (signal.SIGINT, signal.SIGTERM):
        signal.signal(caught, on_signal)
    try:
        server = VirtualServer(app, port)
    except OSError as error:
        raise OsirixAgentError(
            f"The server cannot start: {error}.", "Stop what uses the port, or give another."
        ) from None
    with server:
        print(f"virtual OsiriX at {server.address}, {len(viewers)} viewer(s); Ctrl-C ends it", flush=True)
        clinician = Clinician(app, viewers[-1])
        tick = second = 0
        while not stop.wait(1.0):
            second += 1
            tick += app.rpc_counts["ViewerControllerROIList"] > WATCHED_AFTER_POLLS
            if planned and tick > 0 and tick % CLICK_EVERY_S == 0:
                k, row, column, name = planned.pop(0)
                clinician.point((column + 0.5, row + 0.5), k=k, name=name)
                print(f"clinician: point on slice {k + 1}", flush=True)
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                with app.main_thread:
                    save_picture(clinician.viewer, pictures / f"{second:04d}.png")


def _click(text: str) -> tuple[int, int, int, str | None]:
    parts = text.split(",", 3)
    try:
        k, row, column = (int(part) for part in parts[:3])
    except ValueError:
        raise SettingsError(f"'{text}' is no click.", "Write slice,row,column or slice,row,column,name.") from None
    return k, row, column, parts[3] if len(parts) == 4 else None

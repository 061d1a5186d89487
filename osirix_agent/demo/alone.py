"""`osirix-agent virtual-osirix`: the stand-in by itself, with an optional scripted clinician."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from osirix_agent.errors import OsirixAgentError, SettingsError
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.faults import Fault, Faults, install
from osirix_agent.virtual_osirix.folder import SeriesFiles
from osirix_agent.virtual_osirix.render import save_picture
from osirix_agent.virtual_osirix.server import VirtualServer

CLICK_EVERY_S = 2.0
BACK_AFTER_S = 3
WATCHED_AFTER_POLLS = 3  # she clicks once an agent watches: what was there before would be no prompt


def run_virtual_osirix(
    dicom: Path, port: int, clicks: list[str], pictures: Path | None, faults: Sequence[str] = ()
) -> None:
    """Serve until interrupted; what a fault closes or ends is opened and started again after a while."""
    planned = [_click(text) for text in clicks]
    app, meeting = VirtualOsirix(), Faults()
    for text in faults:
        meeting.plan(Fault.parse(text))
    install(app, meeting)
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
    server.start()
    print(f"virtual OsiriX at {server.address}, {len(viewers)} viewer(s); Ctrl-C ends it", flush=True)
    try:
        shown = [viewer.series for viewer in viewers]
        clinician = Clinician(app, viewers[-1])
        tick = second = away = 0
        while not stop.wait(1.0):
            second += 1
            away = away + 1 if app.crashed or len(app.viewers) < len(shown) else 0
            if away >= BACK_AFTER_S:
                server = _start_again(app, server, shown)
                clinician = Clinician(app)
            tick += app.rpc_counts["ViewerControllerROIList"] > WATCHED_AFTER_POLLS and not away
            if planned and tick > 0 and tick % CLICK_EVERY_S == 0 and not away:
                k, row, column, name = planned.pop(0)
                clinician.point((column + 0.5, row + 0.5), k=k, name=name)
                print(f"clinician: point on slice {k + 1}", flush=True)
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                with app.main_thread:
                    save_picture(clinician.viewer, pictures / f"{second:04d}.png")
    finally:
        server.stop()


def _start_again(app: VirtualOsirix, server: VirtualServer, shown: list[SeriesFiles]) -> VirtualServer:
    """OsiriX after a crash or quit, or just a series that was closed."""
    if app.crashed:
        server.stop()
        app.relaunch()
        server = VirtualServer(app, server.port).start()
        print("OsiriX was started again", flush=True)
    with app.main_thread:
        for series in shown:
            if not any(viewer.series is series for viewer in app.viewers):
                app.open_series(series)
    return server


def _click(text: str) -> tuple[int, int, int, str | None]:
    parts = text.split(",", 3)
    try:
        k, row, column = (int(part) for part in parts[:3])
    except ValueError:
        raise SettingsError(f"'{text}' is no click.", "Write slice,row,column or slice,row,column,name.") from None
    return k, row, column, parts[3] if len(parts) == 4 else None

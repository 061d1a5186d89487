"""path.click: from the ROI's creation to the redraw that shows the new contour."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from osirix_agent.agent.engine import Engine
from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.bench.study import big_study
from osirix_agent.figures import Figure
from osirix_agent.prompting.grammar import Command
from osirix_agent.settings import load_settings
from osirix_agent.training.clicks import Click, next_click
from osirix_agent.virtual_osirix.app import Viewer, VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.server import VirtualServer

SLICES, ROUNDS, CLICKS, LIMIT_S = 100, 5, 6, 20.0
REACH = "p50 0.9 s, p95 1.6 s"


def measure(folder: Path, seed: int) -> list[Figure]:
    rng = np.random.default_rng(seed)
    study = big_study(folder / "study", SLICES)
    app = VirtualOsirix()
    (viewer,) = app.open_folder(study.folder)
    clinician = Clinician(app, viewer)
    times: list[float] = []
    with VirtualServer(app) as server, ThreadPoolExecutor(1) as executor:
        settings = load_settings(server=server.address, state_dir=folder / "state")
        opened = open_session(settings, RecordedFeedback(), executor=executor)
        thread = threading.Thread(target=opened.engine.run_until_stopped)
        thread.start()
        inside = np.argwhere(study.truth)
        for _ in range(ROUNDS):
            first = inside[rng.integers(len(inside))]
            click: Click | None = Click((int(first[0]), int(first[1]), int(first[2])), True)
            for _ in range(CLICKS):
                if click is None:
                    break
                times.append(_click(clinician, viewer, opened.engine, click))
                belief = opened.engine.belief("GTV")
                proposal = belief.mask() if belief is not None else np.zeros_like(study.truth)
                click = next_click(study.truth, proposal, seed)
            _await(viewer, opened.engine, lambda: opened.engine.command(Command("reject")))
        opened.engine.command(Command("quit"))
        thread.join()
        opened.engine.finish()
        opened.close()
    p50, p95 = (float(np.percentile(times, q)) for q in (50, 95))
    note = f"512 x 512 x {SLICES} CT, {len(times)} clicks; the virtual OsiriX runs in the same process"
    return [
        Figure(id="path.click", value=p50, unit="s", interval=(min(times), max(times)), n=len(times),
               reach="p50 0.9 s", holds=p50 <= 0.9, note=note),
        Figure(id="path.click.p95", value=p95, unit="s", n=len(times), reach="p95 1.6 s", holds=p95 <= 1.6),
    ]  # fmt: skip


def _click(clinician: Clinician, viewer: Viewer, engine: Engine, click: Click) -> float:
    k, j, i = click.kji
    name = "+" if click.include else "-"
    return _await(viewer, engine, lambda: clinician.point((i + 0.5, j + 0.5), k=k, name=name))


def _await(viewer: Viewer, engine: Engine, act: object) -> float:
    """Seconds from the act to the last redraw it led to."""
    before = viewer.redraws
    began = time.perf_counter()
    act()  # type: ignore[operator]
    seen, last = before, began
    while time.perf_counter() - began < LIMIT_S:
        if viewer.redraws != seen:
            seen, last = viewer.redraws, time.perf_counter()
        if seen > before and not engine.pending and time.perf_counter() - last > 0.25:
            return last - began
        time.sleep(0.002)
    raise TimeoutError(f"no redraw within {LIMIT_S:g} s")

"""viewer.idle: what watching costs when nothing happens, with 200 ROIs in 200 slices."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from osirix_agent.bench.study import served
from osirix_agent.figures import Figure
from osirix_agent.settings import load_settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.paint import NoLedger, RoiKey, make_plan
from osirix_agent.viewer.roi import RoiSpec, RoiType, Style
from osirix_agent.viewer.watch import Watcher
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom

ROIS, POLLS = 200, 30
REACH = "at most 20 RPCs a poll, 3 % of one core"


def measure(folder: Path, seed: int) -> list[Figure]:
    del seed
    write_phantom(folder, PhantomRecipe(shape_kji=(ROIS, 64, 64)))
    with served(folder) as address:
        settings = load_settings(server=address)
        connection = OsirixConnection.find(settings)
        viewer = OsirixViewer.frontmost(connection, settings)
        square = np.array([(10, 10), (30, 10), (30, 30), (10, 30)], np.float32)
        wanted = {
            RoiKey("hers", "x", k): RoiSpec(k, RoiType.CLOSED_POLYGON, f"ROI {k}", Style((0, 255, 0)), square)
            for k in range(ROIS)
        }
        viewer.apply(make_plan(wanted, {}), NoLedger())
        watcher = Watcher(time.monotonic)
        watcher.expect(dict(viewer.snapshot(full=True).rois))
        calls, began_cpu, began = [], time.process_time(), time.monotonic()
        for _ in range(POLLS):
            before = connection.rpc_count
            watcher.observe(viewer.snapshot())
            calls.append(connection.rpc_count - before)
            time.sleep(1.0 / settings.watch_idle_hz)
        share = 100 * (time.process_time() - began_cpu) / (time.monotonic() - began)
        connection.close()
    return [
        Figure(id="viewer.idle", value=float(max(calls)), unit="RPCs/poll", n=POLLS, reach="at most 20",
               holds=max(calls) <= 20, note=f"{ROIS} ROIs in {ROIS} slices, the largest of {POLLS} polls"),
        Figure(id="viewer.idle.cpu", value=share, unit="% of a core", n=POLLS, reach="3 %", holds=share <= 3,
               note=f"process time over wall time at {settings.watch_idle_hz:g} Hz"),
    ]  # fmt: skip

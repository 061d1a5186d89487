"""viewer.write: 100 slices with three isolines; and an edit that changes five slices."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from osirix_agent.bench.study import big_study, served
from osirix_agent.figures import Figure
from osirix_agent.settings import load_settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.paint import NoLedger, RoiKey, make_plan
from osirix_agent.viewer.roi import RoiSpec, RoiState, RoiType, Style

SLICES, VERTICES, RUNS = 100, 150, 5
REACH = "1.5 s"


def measure(folder: Path, seed: int) -> list[Figure]:
    del seed
    big_study(folder, SLICES)
    with served(folder) as address:
        settings = load_settings(server=address, rpc_deadline_s=30)
        connection = OsirixConnection.find(settings)
        viewer = OsirixViewer.frontmost(connection, settings)
        wanted = _isolines(0.0)
        times, changed = [], 0
        for _ in range(RUNS):
            began = time.perf_counter()
            plan = make_plan(wanted, {})
            receipt = viewer.apply(plan, NoLedger())
            times.append(time.perf_counter() - began)
            held: dict[RoiKey, RoiState] = {key: state for key, state in receipt.held.items() if state is not None}
            edited = {key: spec for key, spec in _isolines(2.0).items() if key.k in range(40, 45)}
            second = make_plan({**wanted, **edited}, held)
            changed = len(second.slices)
            after = viewer.apply(second, NoLedger())
            held.update({key: state for key, state in after.held.items() if state is not None})
            viewer.apply(make_plan({}, held), NoLedger())
        connection.close()
    return [
        Figure(
            id="viewer.write", value=float(np.median(times)), unit="s", interval=(min(times), max(times)), n=RUNS,
            reach=REACH, holds=float(np.median(times)) <= 1.5,
            note=f"{SLICES} slices x 3 isolines of {VERTICES} vertices; interval: min and max",
        ),
        Figure(
            id="viewer.write.changed", value=float(changed), unit="slices", n=RUNS, reach="only the 5 edited slices",
            holds=changed == 5,
        ),
    ]  # fmt: skip


def _isolines(shift: float) -> dict[RoiKey, RoiSpec]:
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    specs = {}
    for k in range(SLICES):
        for n, radius in enumerate((60, 50, 40)):
            points = np.stack([256 + shift + radius * np.cos(angle), 256 + radius * np.sin(angle)], 1)
            style = Style((230, 159, 0), 1.0, 0.6)
            specs[RoiKey("bench", f"u{n}", k)] = RoiSpec(
                k, RoiType.CLOSED_POLYGON, "bench", style, points.astype(np.float32)
            )
    return specs

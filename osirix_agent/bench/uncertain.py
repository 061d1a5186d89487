"""How long a belief takes: a click taken up in closed form, the list of looks, and the spread that both rest on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.belief.card import Calibration, Fit
from osirix_agent.belief.looks import looks
from osirix_agent.belief.update import Evidence, condition
from osirix_agent.figures import Figure

SIDE, ROUNDS, RADIUS_MM = 96, 40, 28.0
SPACING = (1.0, 1.0, 1.0)
UPDATE_MS, RANKING_MS = 250.0, 500.0


def measure(seed: int) -> list[Figure]:
    """On a region of 96 x 96 x 96 voxels of a millimetre: a lobed ball, clicked on near its surface."""
    random = np.random.default_rng(seed)
    at = np.indices((SIDE,) * 3) - (SIDE - 1) / 2.0
    r = np.sqrt((at**2).sum(0)) + 1e-9
    lobes = 4 * np.sin(4 * np.arctan2(at[1], at[2])) * np.hypot(at[1], at[2]) / r
    logit = (1.5 * (RADIUS_MM + lobes - r)).clip(-10, 10).astype(np.float32)
    plain = Belief(logit, (0, 0, 0), logit.shape, "phantom")
    fit = Fit(kind="organ", modality="CT", prompts=0, slope=1.0, per_mm=0.3, shift=0.0, patients=10)
    card = Calibration(segmenter="phantom", data="", length_mm=12.0, fits=(fit,))
    belief = calibrated(plain, SPACING, card, fit)
    near = np.argwhere(np.abs(logit) < 4)
    updates = []
    for _ in range(ROUNDS):
        click = Evidence(near[random.integers(len(near), size=1)], random.random(1) < 0.5, 0.5)
        updates.append(_timed(partial(condition, belief, [click])))
    ranked = [_timed(partial(looks, belief, SPACING)) for _ in range(ROUNDS // 4)]
    spread = [_timed(partial(calibrated, plain, SPACING, card, fit)) for _ in range(ROUNDS // 4)]
    assert belief.spread is not None
    note = f"{SIDE} voxels cubed, of which {len(belief.spread.band)} vary; rank {belief.spread.factor.shape[1]}"
    return [
        _figure("update.time", updates, UPDATE_MS, note),
        _figure("update.time.ranking", ranked, RANKING_MS, f"five looks; {note}"),
        _figure("update.time.spread", spread, None, f"made anew for each answer of the segmenter; {note}"),
    ]


def _figure(id_: str, times: list[tuple[float, float]], most: float | None, note: str) -> Figure:
    wall, processor = np.array(times).T
    p95, (low, high) = float(np.percentile(wall, 95)), np.percentile(wall, [5, 95])
    return Figure(
        id=id_, value=round(p95, 1), unit="ms", interval=(round(float(low), 1), round(float(high), 1)), n=len(times),
        reach=None if most is None else f"95th percentile at most {most:g} ms",
        holds=None if most is None else p95 <= most,
        note=f"{np.percentile(processor, 95):.1f} ms of processor time; {note}",
    )  # fmt: skip


def _timed(act: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds on the clock and of the processor."""
    began, busy = time.perf_counter(), time.process_time()
    act()
    return (time.perf_counter() - began) * 1e3, (time.process_time() - busy) * 1e3

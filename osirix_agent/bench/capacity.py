"""capacity: what an answer costs a device, and whether the waiting is what the capacity page's formula says.

Service times are of each segmenter in this process, on the phantom: an image's first answer (its encoding in it), and
the median of the answers after that. The waiting is of sessions that ask at random moments, `EVERY_S` apart on
average, in the server's own queue, for a device that takes a fixed time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from osirix_agent.bench.serve_faults import requests_on_phantom
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.choice import plain_segmenter
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.server.queue import FairQueue
from osirix_agent.settings import load_settings

BETWEEN_S = 15.0  # a clinician's clicks
BUSY = 0.5  # share of the time that a device should work
IMAGES, ANSWERS = 3, 10
SERVICE_S, SESSIONS = 0.1, 12
LOADS = (0.5, 0.8)


def measure(seed: int, wait_s: float = 60.0, segmenters: tuple[str, ...] = ("classical", "model")) -> list[Figure]:
    """Two rows a segmenter, and one a load; `wait_s`: how long each load lasts."""
    figures = []
    for name in segmenters:
        try:
            figures += _service(name, seed)
        except OsirixAgentError as error:
            figures.append(failed(f"capacity.{name}", "s", "", str(error)))
    return figures + [_waiting(load, seed, wait_s) for load in LOADS]


def sessions_each(service_s: float) -> float:
    """How many sessions keep a device busy for the share `BUSY`."""
    return BUSY * BETWEEN_S / service_s


def _service(name: str, seed: int) -> list[Figure]:
    segmenter = plain_segmenter(load_settings(segmenter=name))
    request = requests_on_phantom(seed)[-1]
    segmenter.propose(request)  # the first of all pays for imports
    first, answers, rng = [], [], np.random.default_rng(seed)
    for n in range(IMAGES):
        image = Volume(request.volume.array + np.float32(n + 1), request.volume.geometry, request.volume.modality)
        asked = SegmentationRequest(image, request.structure, request.prompts)
        first.append(_took(partial(segmenter.propose, asked)))
        for _ in range(ANSWERS):  # other clicks each time: what was asked before is remembered
            clicks = requests_on_phantom(int(rng.integers(1 << 30)))[-1].prompts
            again = SegmentationRequest(image, request.structure, clicks)
            answers.append(_took(partial(segmenter.propose, again)))
    shape = " x ".join(map(str, request.volume.geometry.shape_kji))
    service_s = float(np.median(answers))
    rows = []
    for what, took in (("answer", answers), ("first", first)):
        rows.append(Figure(
            id=f"capacity.{name}.{what}", value=float(np.median(took)), unit="s", interval=(min(took), max(took)),
            n=len(took), note=f"{segmenter.name}, three clicks on {shape} voxels; interval: min and max",
        ))  # fmt: skip
    rows.append(Figure(
        id=f"capacity.{name}.sessions", value=sessions_each(service_s), unit="sessions",
        note=f"a click each {BETWEEN_S:.0f} s, the device busy {BUSY:.0%} of the time",
    ))  # fmt: skip
    return rows


def _waiting(load: float, seed: int, wait_s: float) -> Figure:
    """Mean wait for the device beside the formula's u S / (2 (1 - u))."""
    queue, over, waits = FairQueue(SESSIONS), threading.Event(), []
    every_s = SESSIONS * SERVICE_S / load

    def session(n: int) -> None:
        rng = np.random.default_rng((seed, n))
        while not over.wait(float(rng.exponential(max(0.0, every_s - SERVICE_S)))):
            job = queue.put(str(n), partial(time.sleep, SERVICE_S))
            waits.append(_took(partial(job.wait, 60.0)) - SERVICE_S)

    threads = [threading.Thread(target=session, args=(n,)) for n in range(SESSIONS)]
    for thread in threads:
        thread.start()
    time.sleep(wait_s)
    over.set()
    for thread in threads:
        thread.join()
    queue.close(60.0)
    formula_s = load * SERVICE_S / (2 * (1 - load))
    mean_s = float(np.mean(waits))
    return Figure(
        id=f"capacity.wait.{load:g}", value=mean_s, unit="s", n=len(waits), peer=f"formula, {formula_s:.3g} s",
        ratio=mean_s / formula_s, reach="at most the formula's", holds=mean_s <= formula_s,
        note=f"{SESSIONS} sessions, each every {every_s:.2g} s on average at random, a device that takes {SERVICE_S} s",
    )  # fmt: skip


def _took(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began

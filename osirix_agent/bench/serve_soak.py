"""serve.soak: many sessions on one server for a while, each asking once every few seconds.

The server runs in a process of its own, over loopback with mutual TLS; each session has a pairing and an image of its
own. Counted: answers that failed or differ from what the same segmenter gives here, the server's memory (its median
over the last fifth of the time over that of the second fifth: in the first the images arrive), and each session's
95th percentile beside that of the median session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from osirix_agent.bench.serve_faults import ServerProcess, requests_on_phantom
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure, failed
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.remote import RemoteSegmenter
from osirix_agent.settings import load_settings

REACH = "0 errors"
REACH_MEMORY = "flat within 3 %"
REACH_FAIR = "no session's p95 over 2 x the median session's"
SAMPLE_S = 1.0


class _Session(threading.Thread):
    """One clinician."""

    def __init__(self, address: str, pairing: Path, seed: int, every_s: float) -> None:
        super().__init__(daemon=True)
        settings = load_settings(segmenter=address, pairing=pairing)
        self._remote, self._rng = RemoteSegmenter(settings), np.random.default_rng(seed)
        self._requests = requests_on_phantom(seed)
        here = ClassicalSegmenter()
        self._wanted = [here.propose(request).mean_logit.tobytes() for request in self._requests]
        self._every_s, self.until = every_s, 0.0
        self.took_s: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        due = time.monotonic() + float(self._rng.uniform(0, self._every_s))
        while due < self.until:
            time.sleep(max(0.0, due - time.monotonic()))
            which = int(self._rng.integers(len(self._requests)))
            began = time.monotonic()
            try:
                if self._remote.propose(self._requests[which]).mean_logit.tobytes() != self._wanted[which]:
                    self.errors.append("the answer is another than here")
            except OsirixAgentError as error:
                self.errors.append(str(error))
            self.took_s.append(time.monotonic() - began)
            due += self._every_s
        self._remote.close()


def measure(
    folder: Path, seed: int, sessions: int = 16, minutes: float = 15, every_s: float = 15,
    advance: Callable[[int], object] = int,
) -> list[Figure]:  # fmt: skip
    """Three rows: errors, memory, fairness."""
    import psutil

    from osirix_agent.segmenter.server.tls import init_tls, pair

    try:
        tls = folder / "serve"
        init_tls(tls, datetime.now(UTC))
        pairings = [pair(tls, f"agent-{n}", datetime.now(UTC)) for n in range(sessions)]
        server = ServerProcess(tls, "classical")
        process, memory_mb = psutil.Process(server.pid), []
        clinicians = [_Session(server.address, p, seed + n, every_s) for n, p in enumerate(pairings)]
        until = time.monotonic() + 60 * minutes
        for clinician in clinicians:
            clinician.until = until
            clinician.start()
        while any(clinician.is_alive() for clinician in clinicians):
            memory_mb.append(process.memory_info().rss / 1e6)
            time.sleep(SAMPLE_S)
            advance(1)
        server.kill()
    except Exception as error:
        return [failed("serve.soak", "errors", REACH, f"{type(error).__name__}: {error}")]
    errors = [what for clinician in clinicians for what in clinician.errors]
    took = [clinician.took_s[1:] for clinician in clinicians if len(clinician.took_s) > 1]  # the first sends the image
    each = np.array([np.percentile(seconds, 95) for seconds in took]) if took else np.array([np.nan])
    part = max(1, len(memory_mb) // 5)
    growth = float(np.median(memory_mb[-part:]) / np.median(memory_mb[part : 2 * part] or memory_mb) - 1)
    unfair = float(each.max() / np.median(each))
    n = sum(len(clinician.took_s) for clinician in clinicians)
    about = f"{sessions} sessions, a click each {every_s:.0f} s, {minutes:g} minutes, classical segmenter"
    return [
        Figure(id="serve.soak", value=float(len(errors)), unit="errors", n=n, reach=REACH, holds=not errors,
               note="; ".join([*errors[:3], about])),
        Figure(id="serve.soak.memory", value=100 * growth, unit="%", n=len(memory_mb), reach=REACH_MEMORY,
               holds=growth <= 0.03, note=f"server's resident memory, at most {max(memory_mb):.0f} MB"),
        Figure(id="serve.soak.fair", value=float(each.max()), unit="s", n=len(took), ratio=unfair, reach=REACH_FAIR,
               peer=f"median session's p95, {np.median(each):.3g} s", holds=unfair <= 2,
               note="slowest session's 95th percentile"),
    ]  # fmt: skip

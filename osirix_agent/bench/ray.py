"""ray.kill: replicas of a cluster killed one after the other while sessions ask; none may be lost.

A Ray of this machine alone, a server in front of it over loopback with mutual TLS, a tiny model in each replica. Every
session has an image of its own and asks without a pause. The replica that is killed (SIGKILL) is the one that holds the
image of some session. A session is lost when it gets no answer, or another than the same segmenter gives here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from osirix_agent.bench.serve_faults import TinyModel, quietly, requests_on_phantom
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.remote import RemoteSegmenter
from osirix_agent.settings import load_settings

REACH = "0 lost sessions"
REPLICAS, SESSIONS = 3, 6
MEMORY = 300_000_000  # bytes that Ray shares


class _Session(threading.Thread):
    """One clinician, who never rests."""

    def __init__(self, address: str, pairing: Path, n: int) -> None:
        super().__init__(daemon=True)
        self._remote = RemoteSegmenter(load_settings(segmenter=address, pairing=pairing, remote_deadline_s=300))
        self.requests = [_moved(request, n) for request in requests_on_phantom(n)]
        self._wanted = [BallSegmenter().propose(request).mean_logit.tobytes() for request in self.requests]
        self.over = threading.Event()
        self.took_s: list[float] = []
        self.lost = ""

    def run(self) -> None:
        while not self.over.is_set() and not self.lost:
            which, began = len(self.took_s) % len(self.requests), time.monotonic()
            try:
                if self._remote.propose(self.requests[which]).mean_logit.tobytes() != self._wanted[which]:
                    self.lost = "the mask is another"
            except OsirixAgentError as error:
                self.lost = str(error)
            self.took_s.append(time.monotonic() - began)
        self._remote.close()


def measure(
    folder: Path, seed: int, minutes: float = 3, every_s: float = 20, advance: Callable[[int], object] = int
) -> list[Figure]:
    """One row; the note tells how many were killed and how long the slowest answer took."""
    from osirix_agent.segmenter.server.cluster import ClusterSegmenter, on_ray
    from osirix_agent.segmenter.server.run import SegmenterServer
    from osirix_agent.segmenter.server.service import Limits
    from osirix_agent.segmenter.server.tls import init_tls

    tls, rng, kills = folder / "serve", np.random.default_rng(seed), 0
    init_tls(tls, datetime.now(UTC))
    try:
        with on_ray("local", REPLICAS + 1, MEMORY) as ray:
            cluster = ClusterSegmenter(ray, TinyModel, (REPLICAS, REPLICAS))
            limits = Limits(sessions_each=SESSIONS, at_once=2 * REPLICAS)
            with SegmenterServer(cluster, limits, tls, tell=quietly) as server:
                sessions = [_Session(server.address, tls / "agent.pairing", n) for n in range(SESSIONS)]
                for session in sessions:
                    session.start()
                until = time.monotonic() + 60 * minutes
                while time.monotonic() + every_s < until:
                    time.sleep(every_s)
                    about = sessions[int(rng.integers(SESSIONS))].requests[0].volume
                    os.kill(cluster.pid(about), signal.SIGKILL)
                    kills += 1
                    advance(1)
                time.sleep(max(0.0, until - time.monotonic()))
                for session in sessions:
                    session.over.set()
                for session in sessions:
                    session.join()
            cluster.close()
    except Exception as error:
        return [failed("ray.kill", "lost sessions", REACH, f"{type(error).__name__}: {error}")]
    lost = [session.lost for session in sessions if session.lost]
    took = np.concatenate([session.took_s for session in sessions])
    note = (
        f"{REPLICAS} replicas, {kills} killed, one every {every_s:.0f} s; {SESSIONS} sessions, {len(took)} answers, "
        f"median {np.median(took):.2f} s, slowest {took.max():.2f} s; tiny model"
    )
    return [Figure(id="ray.kill", value=float(len(lost)), unit="lost sessions", n=SESSIONS, reach=REACH,
                   holds=not lost, note="; ".join([*lost[:3], note]))]  # fmt: skip


def _moved(request: SegmentationRequest, n: int) -> SegmentationRequest:
    """The same request about an image of its own."""
    volume = request.volume
    other = Volume(volume.array + np.float32(n), volume.geometry, volume.modality)
    return SegmentationRequest(other, request.structure, request.prompts)

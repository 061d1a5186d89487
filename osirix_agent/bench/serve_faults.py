"""Faults between an agent and its segmenter's server, and what must hold: no prompt lost, no mask wrong.

A session of a seed asks four times, each time with one more prompt, through a line that can be spoilt, for a tiny
model; each time one fault strikes at a random moment and is over a little later. Every prompt must be answered, and
with the very bytes that the same segmenter gives here: by the request itself, or, where she was told why not, by the
same request asked again. From the end of the fault on that may take `GRACE_S` longer than the session's first answer
took, which nothing disturbed. Every error says what happened and what to do.

`kills`: the same with the shipped model in a process of its own, ended by SIGKILL and started again.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.belief.belief import Belief
from osirix_agent.bench.faults import watched_errors
from osirix_agent.bench.line import Line
from osirix_agent.bench.seeds import on_all_cores
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import BusyError, OsirixAgentError
from osirix_agent.figures import Figure
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.remote import RemoteSegmenter
from osirix_agent.settings import load_settings
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, make_phantom

KINDS = ("cut", "slow", "half-open", "corrupted", "expired lease", "full queue", "clock jump", "wrong certificate",
         "restart")  # fmt: skip
ASKS = 4  # a session
WORK_S = 0.15  # that the tiny model takes
LASTS_S = 1.0  # a fault, at most
GRACE_S = 2.0
REACH = "0 violations; recovery within the answer's own time + 2 s"
AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def quietly(event: str, **fields: Any) -> None:
    """Instead of a log."""
    del event, fields


class TinyModel(BallSegmenter):
    """Balls that take their time."""

    def propose(self, request: SegmentationRequest) -> Belief:
        time.sleep(WORK_S)
        return super().propose(request)


class Site:
    """A server with its line, and a server of another authority that answers in its place at times."""

    def __init__(self, folder: Path) -> None:
        from osirix_agent.segmenter.server.run import SegmenterServer
        from osirix_agent.segmenter.server.service import Limits
        from osirix_agent.segmenter.server.tls import init_tls

        self.tls = folder / "serve"
        for place in (self.tls, folder / "other"):
            init_tls(place, datetime.now(UTC))
        self.clock_s = 0.0
        self._make = partial(
            SegmenterServer, TinyModel(), Limits(waiting=2), self.tls, clock=lambda: time.monotonic() + self.clock_s,
            tell=quietly,
        )  # fmt: skip
        self.server = self._make()
        self.server.start()
        self._other = SegmenterServer(TinyModel(), Limits(), folder / "other", tell=quietly)
        self._other.start()
        self.line = Line(self.server.port)

    def strike(self, kind: str, rng: np.random.Generator) -> Callable[[], None]:
        """Begin a fault; what ends it."""
        line, service = self.line, self.server.service
        match kind:
            case "cut":
                line.refusing = True
                line.cut()
                return lambda: setattr(line, "refusing", False)
            case "slow":
                line.delay_s = float(rng.uniform(0.02, 0.2))
                return lambda: setattr(line, "delay_s", 0.0)
            case "half-open":
                line.swallowing = True
                return lambda: setattr(line, "swallowing", False)
            case "corrupted":
                line.spoil = int(rng.integers(1, 4))
                return lambda: setattr(line, "spoil", 0)
            case "expired lease":
                self.clock_s += 1e5
                service.tidy()
            case "clock jump":
                self.clock_s += float(rng.choice([-1e5, -100.0, 100.0, 1e5]))
            case "full queue":
                over = threading.Event()
                with suppress(BusyError):
                    for n in range(ASKS):
                        service.queue.put(f"colleague {n}", over.wait)
                return over.set
            case "wrong certificate":
                line.target = self._other.port
                line.cut()
                return self._right_again
            case "restart":
                self.server.kill()
                service.queue.close(0)
                return self._start_again
        return lambda: None

    def _right_again(self) -> None:
        self.line.target = self.server.port
        self.line.cut()

    def _start_again(self) -> None:
        self.server = self._make(port=self.server.port)
        self.server.start()

    def close(self) -> None:
        self.line.close()
        for server in (self.server, self._other):
            server.kill()
            server.service.queue.close(0)


class FaultySession:
    """One session.

    Attributes
    ----------
    violations : what did not hold
    own_s, worst_s : of the first answer; the longest recovery, less that
    """

    def __init__(self, site: Site, seed: int) -> None:
        self.rng, self.seed, self.site = np.random.default_rng(seed), seed, site
        self.violations: list[str] = []
        self.met: Counter[str] = Counter()
        self.own_s = self.worst_s = 0.0
        shape = (6, 24, 28)
        values = self.rng.integers(-1000, 1000, shape).astype(np.float32)
        self.image = Volume(values, Geometry(shape, (0.0, 0.0, 0.0), (3.0, 2.0, 2.0), AXES), "CT")
        self.remote = RemoteSegmenter(
            load_settings(segmenter=site.line.address, pairing=site.tls / "agent.pairing", remote_retry_s=20)
        )

    def run(self) -> None:
        prompts: list[PointPrompt] = []
        for n in range(1 + ASKS):
            voxel = [int(self.rng.integers(n)) for n in self.image.geometry.shape_kji]
            x, y, z = (float(v) for v in self.image.geometry.to_lps(np.array(voxel)))
            prompts.append(PointPrompt(position_lps=(x, y, z)))
            request = SegmentationRequest(self.image, "GTV", tuple(prompts))
            if n:
                self._ask(request)
            else:
                began = time.monotonic()
                self.remote.propose(request)
                self.own_s = time.monotonic() - began
        self.remote.close()

    def _ask(self, request: SegmentationRequest) -> None:
        kind = str(self.rng.choice(KINDS))
        self.met[kind] += 1
        after_s, lasts_s = float(self.rng.choice([0.0, self.rng.uniform(0, 0.3)])), float(self.rng.uniform(0, LASTS_S))
        over = threading.Event()
        began = time.monotonic()
        over_at = [began]

        def fault() -> None:
            time.sleep(after_s)
            end = self.site.strike(kind, self.rng)
            time.sleep(lasts_s)
            end()
            over_at[0] = time.monotonic()
            over.set()

        thread = threading.Thread(target=fault, daemon=True)
        thread.start()
        try:
            found: Belief | None = self.remote.propose(request)
        except OsirixAgentError:  # she was told; the prompt is still hers to ask with
            self.met["told"] += 1
            found = None
        answered = time.monotonic()
        thread.join()
        if not over.is_set():
            self._violate(kind, "the fault did not end")
        if found is None:
            try:
                found = self.remote.propose(request)
            except OsirixAgentError as error:
                self._violate(kind, f"the prompt is lost: {error}")
                return
            answered = time.monotonic()
        late_s = answered - over_at[0] - self.own_s
        self.worst_s = max(self.worst_s, late_s)
        if late_s > GRACE_S:
            self._violate(kind, f"answered {late_s:.1f} s late: beside the {self.own_s:.1f} s of a first answer")
        if _bits(found) != _bits(BallSegmenter().propose(request)):
            self._violate(kind, "the mask is not the one that the segmenter gives here")

    def _violate(self, kind: str, what: str) -> None:
        self.violations.append(f"serve-faults seed {self.seed}, {kind}: {what}")


def fault_sessions(folder: Path, seeds: range) -> tuple[list[str], Counter[str], float]:
    """A session for every seed: what did not hold, how often each fault struck, the longest recovery in s."""
    met: Counter[str] = Counter()
    violations: list[str] = []
    worst_s = 0.0
    site = Site(folder)
    with watched_errors(Counter(), violations):
        for seed in seeds:
            session = FaultySession(site, seed)
            try:
                session.run()
            except Exception as error:
                violations.append(f"serve-faults seed {seed}: {type(error).__name__}: {error}")
            violations += session.violations
            met += session.met
            worst_s = max(worst_s, session.worst_s)
    site.close()
    return violations, met, worst_s


# -- kills of the real one ---------------------------------------------------------------------------------------------
class ServerProcess:
    """`osirix-agent serve` in a process of its own."""

    def __init__(self, tls: Path, segmenter: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "osirix_agent.cli", "serve", "--tls", str(tls), "--port", str(port),
                   "--segmenter", segmenter]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        self.up_at, self.pid = time.monotonic(), self._process.pid
        self.address = next(word.rstrip(";") for word in line.split() if word.startswith("grpcs://"))
        self.port = int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()


def server_kills(
    folder: Path, seed: int, kills: int, segmenter: str = "model", advance: Callable[[int], object] = int
) -> tuple[list[str], float, float]:
    """Kill the server while it is asked; (what did not hold, its own time for a first answer, longest recovery) in s.

    The own time is the longest of three first answers by a fresh server: the image's way there and its encoding in it.
    """
    from osirix_agent.segmenter.server.tls import init_tls

    tls = folder / "serve"
    init_tls(tls, datetime.now(UTC))
    requests = requests_on_phantom(seed)
    violations: list[str] = []
    wanted, own_s, worst_s = [], 0.0, 0.0
    server = ServerProcess(tls, segmenter)
    settings = load_settings(
        segmenter=server.address, pairing=tls / "agent.pairing", remote_retry_s=300, remote_deadline_s=300
    )
    for request in requests:
        server.kill()
        server = ServerProcess(tls, segmenter, server.port)
        fresh = RemoteSegmenter(settings)
        began = time.monotonic()
        wanted.append(_bits(fresh.propose(request)))
        own_s = max(own_s, time.monotonic() - began)
        fresh.close()
    remote, rng = RemoteSegmenter(settings), np.random.default_rng(seed)
    errors: Counter[str] = Counter()
    with watched_errors(errors, violations):
        for n in range(kills):
            which = int(rng.integers(len(requests)))
            answers: list[Any] = []
            thread = threading.Thread(target=_answer_into, args=(answers, remote, requests[which]), daemon=True)
            thread.start()
            time.sleep(float(rng.uniform(0, 1.2 * own_s)))
            server.kill()
            server = ServerProcess(tls, segmenter, server.port)
            thread.join(own_s + 60)
            found, at = answers[0] if answers else (None, time.monotonic())
            late_s = at - server.up_at - own_s
            worst_s = max(worst_s, late_s)
            if not isinstance(found, Belief):
                violations.append(f"kill {n} of seed {seed}: the prompt is lost: {found}")
            elif _bits(found) != wanted[which]:
                violations.append(f"kill {n} of seed {seed}: the mask is another")
            if late_s > GRACE_S:
                violations.append(f"kill {n} of seed {seed}: {late_s:.1f} s over the answer's own {own_s:.1f} s")
            advance(1)
    remote.close()
    server.kill()
    return violations, own_s, worst_s


def measure(folder: Path, seed: int, runs: int, kills: int, advance: Callable[[int], object]) -> list[Figure]:
    """So many faults, a process a core; then so many kills of a server with the shipped model."""
    violations: list[str] = []
    met: Counter[str] = Counter()
    worst_s = 0.0
    sessions = -(-runs // ASKS)
    for found, seen, worst in on_all_cores(fault_sessions, folder, range(seed, seed + sessions), advance):
        violations += found
        met += seen
        worst_s = max(worst_s, worst)
    struck = ", ".join(f"{kind} {met[kind]}" for kind in KINDS)
    note = f"met: {struck}; she was told {met['told']} times; recovery at most {worst_s:+.2f} s late"
    figures = [_figure("serve.faults", violations, sessions * ASKS, note)]
    if kills:
        place = folder / "kills"
        place.mkdir()
        violations, own_s, worst_s = server_kills(place, seed, kills, advance=advance)
        note = f"longest recovery {worst_s:+.2f} s beside the {own_s:.2f} s that a fresh server's first answer takes"
        figures.append(_figure("serve.faults.kills", violations, kills, note))
    return figures


def _figure(id_: str, violations: list[str], n: int, note: str) -> Figure:
    return Figure(
        id=id_, value=float(len(violations)), unit="violations", n=n, reach=REACH, holds=not violations,
        note="; ".join([*violations[:5], note]),
    )  # fmt: skip


def requests_on_phantom(seed: int) -> list[SegmentationRequest]:
    recipe = PhantomRecipe(shape_kji=(32, 96, 96), spacing_kji_mm=(3.0, 2.0, 2.0))
    image, truth = make_phantom(recipe)
    geometry = Geometry(recipe.shape_kji, (0.0, 0.0, 0.0), recipe.spacing_kji_mm, AXES)
    volume = Volume(image.astype(np.float32), geometry, "CT")
    inside, rng = np.argwhere(truth), np.random.default_rng(seed)
    clicks = []
    for _ in range(3):
        x, y, z = (float(v) for v in geometry.to_lps(inside[rng.integers(len(inside))]))
        clicks.append(PointPrompt(position_lps=(x, y, z)))
    return [SegmentationRequest(volume, "GTV", tuple(clicks[: n + 1])) for n in range(3)]


def _answer_into(answers: list[Any], remote: RemoteSegmenter, request: SegmentationRequest) -> None:
    try:
        found: Any = remote.propose(request)
    except OsirixAgentError as error:
        found = error
    answers.append((found, time.monotonic()))


def _bits(belief: Belief) -> tuple[bytes, tuple[int, ...]]:
    return belief.mean_logit.tobytes(), belief.corner_kji

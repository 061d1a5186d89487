"""Real kills: OsiriX and the agent in processes of their own, ended by SIGKILL at random moments.

One day of a seed: she clicks; the agent, or OsiriX, or both are killed while something is going on; both are started
again, she goes on. At the end the same must hold as in `bench.faults`, as far as it can be seen from outside: in what
is in the viewer, and in the journal.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.bench.soak import _signature
from osirix_agent.record.events import PromptChanged, Proposed
from osirix_agent.record.journal import read_journal
from osirix_agent.viewer.roi import RoiSpec, Style, parse_agent_name
from osirix_agent.virtual_osirix.app import PersistedRoi, VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.server import VirtualServer

RECIPE = PhantomRecipe(shape_kji=(8, 40, 44), spacing_kji_mm=(3.0, 2.0, 2.0))
REST_S = 60.0  # from a start or an act to the session being at rest, on a busy machine
QUIET_S = 0.8
AGENT = [sys.executable, "-m", "osirix_agent.cli", "run"]


class Desk:
    """What the harness may do in the OsiriX process, by the back door."""

    def __init__(self, folder: str, port: int, saved: list[PersistedRoi]) -> None:
        self.app = VirtualOsirix()
        (study,) = self.app.import_folder(Path(folder))
        self.series = study.series[0]
        self.app.persisted[self.series.uid] = saved
        self.clinician = Clinician(self.app, self.app.open_series(self.series))
        self.server = VirtualServer(self.app, port).start()

    def port(self) -> int:
        return self.server.port

    def draw(self, tool: str, tag: str, *args: Any, **options: Any) -> None:
        getattr(self.clinician, tool)(*args, **options).comment = tag

    def edit(self, tag: str) -> tuple[int, Any] | None:
        """Move a vertex of the first draft; her slice from now on."""
        for _, k, roi in self.clinician.viewer.all_rois():
            if "~draft" in roi.name and len(roi.points):
                self.clinician.move_vertex(roi, 0, (roi.points[0][0] + 1.5, roi.points[0][1] - 1.0))
                roi.comment = tag
                return k, _signature(roi)[2:4]
        return None

    def rois(self) -> list[tuple[int, str, str, Any, int, Any]]:
        """(slice, name, tag, signature, kind, points) of every ROI."""
        with self.app.main_thread:
            found = self.clinician.viewer.all_rois()
            return [(k, r.name, r.comment, _signature(r), r.itype, r.service_points()) for _, k, r in found]

    def save(self) -> list[PersistedRoi]:
        """She closes the viewer, which saves, and opens the series again."""
        with self.app.main_thread:
            self.app.close_viewer(self.clinician.viewer)
            self.clinician = Clinician(self.app, self.app.open_series(self.series))
            return self.app.persisted[self.series.uid]

    def polls(self) -> int:
        return self.app.rpc_counts["ViewerControllerROIList"]


def _serve(pipe: Connection, folder: str, port: int, saved: list[PersistedRoi]) -> None:
    desk = Desk(folder, port, saved)
    while True:
        verb, args, options = pipe.recv()
        pipe.send(getattr(desk, verb)(*args, **options))


class OsirixProcess:
    """OsiriX in a process of its own; what it has saved outlives it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, 0
        self.saved: list[PersistedRoi] = []
        self.start()

    def start(self) -> None:
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, str(self._folder), self.port, self.saved), daemon=True
        )
        self._process.start()
        self.port = self("port")

    def __call__(self, verb: str, *args: Any, **options: Any) -> Any:
        self._pipe.send((verb, args, options))
        if not self._pipe.poll(REST_S):
            raise TimeoutError(f"the virtual OsiriX does not answer {verb}")
        return self._pipe.recv()

    def save(self) -> None:
        self.saved = self("save")

    def kill(self) -> None:
        self._process.kill()
        self._process.join(10)
        self._pipe.close()


class AgentProcess:
    """`osirix-agent run` in a process of its own."""

    def __init__(self, port: int, state_dir: Path) -> None:
        command = [*AGENT, "--server", f"127.0.0.1:{port}", "--state-dir", str(state_dir)]
        self._output = (state_dir.parent / "agent.txt").open("ab")
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self, how: signal.Signals) -> int:
        """Send a signal; the exit code."""
        self._process.send_signal(how)
        code = self._process.wait(REST_S)
        self._output.close()
        return code


class KillDay:
    """One day with kills; `violations` says what did not hold."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng, self.seed, self.folder = np.random.default_rng(seed), seed, folder
        self.violations: list[str] = []
        self.trace: list[str] = []
        self.truth: dict[str, Any] = {}
        self.saved: dict[str, Any] = {}
        self.edits: dict[str, tuple[int, Any]] = {}
        self.tags = 0
        self.state_dir = folder / "state"
        self.where = np.argwhere(write_phantom(folder / "study", RECIPE).truth)
        self.osirix = OsirixProcess(folder / "study")
        self.agent: AgentProcess | None = None

    def run(self, kills: int) -> list[str]:
        """Play, with so many kills; check."""
        for k in (1, 5):
            self._hers(k)
        self._save()
        self.agent = AgentProcess(self.osirix.port, self.state_dir)
        self._rest()
        for n in range(kills):
            self._click()
            if n % 3 == 1:
                self._rest()
                self._edit()
            whom = ("agent", "osirix", "both")[int(self.rng.integers(3))]
            time.sleep(float(self.rng.uniform(0, 1.5)))
            self._kill(whom)
            if self.rng.random() < 0.5:
                self._click()  # while nobody looks
            self._revive(whom)
            self._rest()
            self._check(f"kill {n + 1} ({whom})")
        self._end()
        return self.violations

    def close(self) -> None:
        if self.agent is not None and self.agent.alive:
            self.agent.end(signal.SIGKILL)
        self.osirix.kill()

    # -- her -------------------------------------------------------------------------------------------------
    def _hers(self, k: int) -> None:
        self.tags += 1
        tag = f"hers {self.tags}"
        x, y = (float(v) for v in self.rng.uniform(5, 35, 2))
        self.osirix("draw", "measure", tag, [(x, y), (x + 3, y + 2)], k=k)

    def _click(self) -> None:
        self.tags += 1
        at = self.rng.integers(len(self.where))
        k, j, i = (int(v) for v in self.where[at])
        self.where = np.delete(self.where, at, 0)  # clicked twice, a voxel would look like one that was painted twice
        self.trace.append("click")
        self.osirix("draw", "point", f"prompt {self.tags}", (i + 0.5, j + 0.5), k=k, name="+GTVp")

    def _edit(self) -> None:
        self.tags += 1
        done = self.osirix("edit", f"edited {self.tags}")
        if done is not None:
            self.trace.append("edit")
            self.edits = {f"edited {self.tags}": done}
            self._rest()

    def _save(self) -> None:
        self.osirix.save()
        self._learn()
        self.saved = dict(self.truth)

    def _learn(self) -> None:
        self.truth = {tag: sig for _, _, tag, sig, _, _ in self.osirix("rois") if tag.startswith("hers")}

    # -- what happens ----------------------------------------------------------------------------------------
    def _kill(self, whom: str) -> None:
        self.trace.append(f"KILL {whom}")
        if whom != "agent" and self.rng.random() < 0.5:
            self._save()  # she had closed and opened the viewer a moment ago
        if whom != "osirix" and self.agent is not None:
            self.agent.end(signal.SIGKILL)
        if whom != "agent":
            self.osirix.kill()
            self.truth = dict(self.saved)
            self.osirix.start()

    def _revive(self, whom: str) -> None:
        if whom != "osirix":
            self.agent = AgentProcess(self.osirix.port, self.state_dir)

    def _rest(self) -> None:
        """Until the agent polls and neither viewer nor journal has changed for a while."""
        began = since = time.monotonic()
        before: Any = None
        polls = self.osirix("polls")
        while time.monotonic() - began < REST_S:
            time.sleep(0.1)
            now = ([roi[:4] for roi in self.osirix("rois")], self._journal_size())
            if now != before:
                before, since, polls = now, time.monotonic(), self.osirix("polls")
            elif time.monotonic() - since > QUIET_S and self.osirix("polls") - polls > 8:
                return
            if self.agent is not None and not self.agent.alive:
                self._violate("the agent ended by itself")
                return
        self._violate(f"not at rest after {REST_S:.0f} s")

    # -- what must hold --------------------------------------------------------------------------------------
    def _check(self, after: str) -> None:
        rois = self.osirix("rois")
        there = {tag: signature for _, _, tag, signature, _, _ in rois}
        for tag, signature in self.truth.items():
            if there.get(tag) != signature:
                self._violate(f"after {after}: her ROI '{tag}' changed or vanished")
        for tag, (k, shape) in self.edits.items():
            if not any(roi[0] == k and roi[3][2:4] == shape for roi in rois):
                self._violate(f"after {after}: the slice {k} that she edited ({tag}) is not as she left it")
        drawn = [(k, name, sig[2:4]) for k, name, tag, sig, _, _ in rois if not tag.startswith("hers")]
        if len(drawn) != len(set(drawn)):
            self._violate(f"after {after}: an ROI is there twice")
        added = self._added()
        for k, _name, tag, _, itype, points in rois:
            spec = RoiSpec(k, itype, "", Style((0, 0, 0)), np.asarray(points, np.float32))
            if tag.startswith("prompt") and spec.shape_digest not in {e.roi.shape for e in added if e.roi}:
                self._violate(f"after {after}: the prompt ROI {tag} was not read")

    def _end(self) -> None:
        self._click()
        self._rest()
        proposed = [event for event in self._events() if isinstance(event, Proposed)]
        lost = [e.number for e in self._added() if not proposed or e.prompt not in proposed[-1].prompts]
        if lost:
            self._violate(f"prompts {lost} are lost")
        if self.agent is not None and self.agent.end(signal.SIGTERM) != 0:
            self._violate("the agent did not end well")
        self._check("the end")
        if left := [name for _, name, *_ in self.osirix("rois") if parse_agent_name(name)]:
            self._violate(f"{len(left)} drafts are left after exit")

    def _added(self) -> list[PromptChanged]:
        return [event for event in self._events() if isinstance(event, PromptChanged) and event.change == "added"]

    def _events(self) -> list[Any]:
        paths = sorted((self.state_dir / "journal").glob("*.jsonl"))
        return [event for path in paths if path.stat().st_size for event in read_journal(path)]

    def _journal_size(self) -> int:
        return sum(path.stat().st_size for path in (self.state_dir / "journal").glob("*.jsonl"))

    def _violate(self, what: str) -> None:
        said = (self.folder / "agent.txt").read_text(errors="replace").splitlines()[-3:]
        self.violations.append(f"kill seed {self.seed}: {what} [{' > '.join(self.trace)}] {said}")


def kill_days(folder: Path, seed: int, kills: int, advance: Callable[[int], object] = int, a_day: int = 5) -> list[str]:
    """Days of a few kills each, until there were so many; what did not hold."""
    violations: list[str] = []
    for day, first in enumerate(range(0, kills, a_day)):
        place = folder / f"day-{day}"
        place.mkdir(parents=True)
        count = min(a_day, kills - first)
        run = KillDay(place, seed + day)
        try:
            violations += run.run(count)
        except Exception as error:
            violations.append(f"kill seed {seed + day}: {type(error).__name__}: {error} [{' > '.join(run.trace)}]")
        finally:
            run.close()
        advance(count)
    return violations

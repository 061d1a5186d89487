"""Random days with faults: what OsiriX, the network and the system do to a session, and what must hold afterwards.

Each run plays acts of the soak's clinician while calls fail, come late, or are carried out after all; viewers close,
OsiriX quits or crashes and is started again, the agent is killed and started again; she goes on drawing meanwhile.
All of it in virtual time, decided by the seed. Once the session is at rest:

- her own ROIs are byte for byte as she left them (after a crash: as OsiriX had saved them);
- every prompt of the session is still in it, and every prompt ROI in the viewer has been read;
- the viewer holds the wanted scene and her ROIs: nothing is missing, nothing twice, nothing left over;
- a slice she edited is as she left it (or as a crash gave it back, if that is an edit that only OsiriX ever had);
- no turn took longer than stated, nor a recovery, counted from when OsiriX answers again;
- every error says what happened and what to do, and quotes nothing of hers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from osirix_agent.bench.faulty_day import HER_WORD, KINDS, FaultBench, FaultRun
from osirix_agent.bench.kills import kill_days
from osirix_agent.bench.seeds import on_all_cores, violations_figure
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure


@contextmanager
def watched_errors(seen: Counter[str], wrong: list[str]) -> Iterator[None]:
    """Look at every deliberate error while it is made: it must say what happened and what to do."""
    real = OsirixAgentError.__init__

    def made(self: OsirixAgentError, what: str, cure: str) -> None:
        real(self, what, cure)
        seen[type(self).__name__] += 1
        says = what.strip().endswith(".") and cure.strip().endswith(".") and cure.strip() != what.strip()
        if not says or HER_WORD in str(self):
            wrong.append(f"{type(self).__name__} says '{self}'")

    OsirixAgentError.__init__ = made  # type: ignore[method-assign]
    try:
        yield
    finally:
        OsirixAgentError.__init__ = real  # type: ignore[method-assign]


def fault_runs(folder: Path, seeds: range) -> tuple[list[str], Counter[str]]:
    """A run for every seed: what did not hold, by seed; and how often each fault and error was met."""
    bench = FaultBench(folder)
    violations: list[str] = []
    met: Counter[str] = Counter()
    with watched_errors(met, violations):
        for seed in seeds:
            run = FaultRun(bench, seed)
            try:
                violations += run.run()
            except Exception as error:
                violations.append(f"seed {seed}: {type(error).__name__}: {error} [{' > '.join(run.trace)}]")
            met.update(str(fault.kind) for fault in run.faults.met)
            met["kill"] += run.trace.count("KILLED")
            run.close()
    return violations, met


def measure(folder: Path, seed: int, runs: int, kills: int, advance: Callable[[int], object]) -> list[Figure]:
    """All runs, a process a core; then the days with real kills."""
    figures: list[Figure] = []
    violations: list[str] = []
    met: Counter[str] = Counter()
    began = time.monotonic()
    for found, seen in on_all_cores(fault_runs, folder, range(seed, seed + runs), advance):
        violations += found
        met += seen
    struck = ", ".join(f"{kind} {met[kind]}" for kind in KINDS if met[kind])
    figures.append(violations_figure("faults", violations, runs, f"{time.monotonic() - began:.0f} s; met: {struck}"))
    if kills:
        began = time.monotonic()
        violations = kill_days(folder / "kills", seed, kills, advance)
        figures.append(violations_figure("faults.kills", violations, kills, f"{time.monotonic() - began:.0f} s"))
    return figures

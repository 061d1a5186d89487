"""What each `osirix-agent log` command does and says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osirix_agent.record import forget as forgetting
from osirix_agent.record import merge as merging
from osirix_agent.record import parquet, telling
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.report import write_report
from osirix_agent.record.sessions import read_log
from osirix_agent.record.stats import stats_of
from osirix_agent.record.verify import verify_log

_PSEUDONYM = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Said:
    """An outcome, for a person and for a program; `good` decides the exit code."""

    lines: list[str]
    as_json: dict[str, Any]
    good: bool = True


def verify(log: Path | None, state_dir: Path) -> Said:
    """A log; seals are looked at in this machine's own journals, where the site key is at hand."""
    own = log is None or state_dir.resolve() in (log.resolve(), *log.resolve().parents)
    key = own and (state_dir / "site.key").is_file()
    verdicts = verify_log(log or state_dir, Pseudonyms.at(state_dir).seal if key else None)
    good = not any(verdict.faults for verdict in verdicts)
    files = [verdict.as_json() for verdict in verdicts]
    return Said(list(telling.told(verdicts)), {"whole": good, "files": files}, good)


def show(journal: Path) -> Said:
    return Said(list(telling.shown(journal)), {})


def stats(log: Path) -> Said:
    found = stats_of(read_log(log))
    return Said(list(telling.counted(found)), found.as_json())


def export(log: Path, out: Path) -> Said:
    counts = parquet.export(log, out)
    lines = [f"{out / name}.parquet: {count} rows" for name, count in counts.items()]
    return Said([*lines, f"{out / 'croissant.json'}: what is in them"], {"rows": counts})


def report(log: Path, out: Path) -> Said:
    found = write_report(log, out)
    return Said([f"{out}: {len(found.whole.sessions)} sessions"], {})


def merge(logs: Sequence[Path], out: Path) -> Said:
    found = merging.merge(logs, out)
    text = f"{found.sessions} sessions came to {out}; {found.known} were there; {found.forgotten} are forgotten."
    return Said([text], asdict(found))


def forget(patient: str, state_dir: Path, models: Sequence[Path]) -> Said:
    """By patient ID, or by pseudonym; exit code 1 where nothing was found or something has to be looked at by hand."""
    pseudonyms = Pseudonyms.at(state_dir)
    of = patient if _PSEUDONYM.fullmatch(patient) else pseudonyms.of(patient)
    found = forgetting.forget(of, state_dir, models, pseudonyms.seal)
    lines = [f"{found.sessions} sessions and {found.blobs} masks and beliefs are forgotten."]
    lines += [f"Marked: {adapter} learnt from them." for adapter in found.adapters]
    lines += [f"Not readable, look at it by hand: {name}" for name in found.unreadable]
    lines += ["Copies, exports and reports made before are not reached: delete them yourself."] * bool(found.sessions)
    return Said(lines, asdict(found), found.sessions > 0 and not found.unreadable)

"""Several logs as one folder: sessions that verify, each once, with what they name in their stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from osirix_agent.errors import JournalError
from osirix_agent.record.chain import head_path
from osirix_agent.record.journal import read_lines
from osirix_agent.record.sessions import FORGOTTEN, journals, log_folder, named_addresses, session_id
from osirix_agent.record.store import Store
from osirix_agent.record.tombstone import add_tombstones, read_tombstones
from osirix_agent.record.verify import verify
from osirix_agent.whole import write_whole


@dataclass(frozen=True)
class Merged:
    """How many sessions came, were there before, and were left out since they are forgotten."""

    sessions: int
    known: int
    forgotten: int


def merge(logs: Sequence[Path], out: Path) -> Merged:
    """Bring the sessions of logs into one folder.

    Raises
    ------
    JournalError
        A session is not whole, or stands in two logs in two ways. What was merged before it stays.
    """
    stones = [stone for log in [*logs, out] for stone in read_tombstones(log_folder(log))]
    gone = {stone.session for stone in stones}
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    there = {session_id(path): path for path in out.glob("*.jsonl") if path.name != FORGOTTEN}
    came = known = left = 0
    for path in (path for log in logs for path in journals(log)):
        session = str(session_id(path))
        if session in gone:
            left += 1
            continue
        verdict = verify(path)
        if verdict.faults:
            raise JournalError(f"{path.name} is not whole: {verdict.faults[0]}", "Leave it out, or restore it.")
        before = there.get(session)
        if before is not None and not _longer(path, before):
            known += 1
            continue
        target = before or _free(out / path.name, session)
        _copy(path, target)
        there[session] = target
        came += 1
    add_tombstones(out, stones, None)
    return Merged(came, known, left)


def _longer(path: Path, before: Path) -> bool:
    """Does a journal go on where the other one ends?"""
    (new, _), (old, _) = read_lines(path), read_lines(before)
    shorter = min(len(new), len(old))
    if new[:shorter] != old[:shorter]:
        raise JournalError(
            f"The session of {path.name} stands in two logs in two ways.", "Find out which is right; leave one out."
        )
    return len(new) > len(old)


def _free(path: Path, session: str) -> Path:
    return path.with_stem(f"{path.stem}-{session}") if path.exists() else path


def _copy(path: Path, target: Path) -> None:
    """First what it names, then its head, then itself: a journal that is there is whole."""
    store, into = Store.beside(path), Store.beside(target)
    for address in sorted(named_addresses(path)):
        into.put(store.get(address))
    for one, to in ((head_path(path), head_path(target)), (path, target)):
        if one.is_file():
            try:
                write_whole(to, one.read_bytes(), private=True)
            except OSError as error:
                raise JournalError(f"The log cannot be merged ({error.strerror}).", "Free some disk space.") from None

"""Forget a patient: the sessions go whole, a tombstone stays, adapters that learnt from them are marked.

In an order in which being killed loses nothing: running it again does the rest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from osirix_agent.errors import JournalError
from osirix_agent.record.chain import FIRST, head_path, link_after, parted
from osirix_agent.record.events import SessionStarted
from osirix_agent.record.journal import Seal, read_event, read_lines, schema_of
from osirix_agent.record.ledger import SeriesLock
from osirix_agent.record.sessions import FORGOTTEN, log_folder, named_addresses, named_patient, session_id
from osirix_agent.record.store import Store
from osirix_agent.record.tombstone import Tombstone, add_tombstones
from osirix_agent.whole import write_whole

LINEAGE, MARK = "lineage.json", "forgotten.json"
DAY_S = 86400.0


@dataclass(frozen=True)
class Forgotten:
    """What was taken away.

    Attributes
    ----------
    adapters : folders that were marked
    unreadable : journals that name no patient, to be looked at by hand
    """

    sessions: int
    blobs: int
    adapters: list[str]
    unreadable: list[str]


def forget(
    patient: str, log: Path, models: Iterable[Path], seal: Seal | None, now: Callable[[], float] = time.time
) -> Forgotten:
    """Take every session of a patient out of a log.

    Parameters
    ----------
    patient : pseudonym
    log : state folder, or folder of journals
    models : folders in which adapters are looked for, by the sessions in their `lineage.json`

    Raises
    ------
    JournalError
        A session on the patient is running, or something cannot be deleted.
    """
    folder = log_folder(log)
    paths = sorted(path for path in folder.glob("*.jsonl") if path.name != FORGOTTEN)
    theirs = [path for path in paths if named_patient(path) == patient]
    unreadable = [path.name for path in paths if path.stat().st_size and named_patient(path) is None]
    locks = _held(log / "ledger", _series(theirs))
    try:
        adapters = _learnt({str(session_id(path)) for path in theirs}, models)
        day = now() // DAY_S * DAY_S
        add_tombstones(folder, [_stone(path, day, adapters) for path in theirs], seal)
        for adapter in adapters:
            _mark(adapter, {str(session_id(path)) for path in theirs})
        store = Store.beside(folder / "any")
        kept = set().union(*(named_addresses(path) for path in paths if path not in theirs))
        gone = set().union(*(named_addresses(path) for path in theirs)) - kept
        for address in gone:
            store.remove(address)
        for path in theirs:
            head_path(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        for lock in locks:
            for left in log.glob(f"ledger/{lock.path.stem}.*"):
                left.unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(
            f"Not everything could be deleted ({error.strerror}).", "Check the permissions, then run it again."
        ) from None
    finally:
        for lock in locks:
            lock.release()
    return Forgotten(len(theirs), len(gone), [str(adapter) for adapter in adapters], unreadable)


def _series(paths: list[Path]) -> set[str]:
    """Pseudonyms of the series of these journals."""
    found = set()
    for path in paths:
        lines, _ = read_lines(path)
        try:
            first = read_event(parted(lines[0])[0], schema_of(lines))
        except ValueError:  # damaged: its ledger, if any, goes with the next session on the series
            continue
        if isinstance(first, SessionStarted):
            found.add(first.series)
    return found


def _held(ledger: Path, series: set[str]) -> list[SeriesLock]:
    locks: list[SeriesLock] = []
    try:
        for one in sorted(series):
            if (ledger / f"{one}.lock").is_file():
                locks.append(SeriesLock(ledger / f"{one}.lock"))
    except JournalError:
        for lock in locks:
            lock.release()
        raise JournalError("A session on this patient is running.", "End it, then forget the patient.") from None
    return locks


def _stone(path: Path, day: float, adapters: list[Path]) -> Tombstone:
    lines, _ = read_lines(path)
    link = FIRST
    for line in lines:
        link = link_after(link, parted(line)[0])
    names = tuple(adapter.name for adapter in adapters if str(session_id(path)) in _lineage(adapter))
    return Tombstone(at=day, session=str(session_id(path)), events=len(lines), link=link, adapters=names)


def _learnt(sessions: set[str], models: Iterable[Path]) -> list[Path]:
    """Model folders whose lineage names any of the sessions."""
    folders = {path.parent for root in models for path in root.glob(f"**/{LINEAGE}")}
    return sorted(folder for folder in folders if _lineage(folder) & sessions)


def _lineage(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / LINEAGE).read_text())["sessions"])
    except (OSError, ValueError, KeyError, TypeError):
        raise JournalError(
            f"The lineage of the adapter {folder.name} cannot be read.", f"Restore its {LINEAGE}, then forget again."
        ) from None


def _mark(folder: Path, sessions: set[str]) -> None:
    """Say in the adapter's folder that it learnt from sessions that are forgotten."""
    path = folder / MARK
    before = set(json.loads(path.read_text())["sessions"]) if path.is_file() else set()
    text = json.dumps({"sessions": sorted(before | (sessions & _lineage(folder)))}, indent=1)
    write_whole(path, text + "\n")

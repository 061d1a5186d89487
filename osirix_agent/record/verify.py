"""Is a log what was written? Finds every altered, missing, added or moved event, and what the store lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osirix_agent.errors import JournalError
from osirix_agent.record.chain import FIRST, head_path, link_after, parted, read_head
from osirix_agent.record.events import SCHEMA_VERSION, Believed, Decided, Event, Resumed, SessionEnded, SessionStarted
from osirix_agent.record.journal import Seal, read_event, read_lines, schema_of
from osirix_agent.record.sessions import FORGOTTEN, journals, log_folder, session_id
from osirix_agent.record.store import Store
from osirix_agent.record.tombstone import Tombstone, read_tombstones


@dataclass
class Verdict:
    """What was found of one journal.

    Attributes
    ----------
    faults : what is not as it was written; none: the journal is whole
    notes : what is as it was written, and worth knowing
    finished : does it end with the end of the session?
    links : of the chain; none where there is no chain
    sealed : does the head bear this site's seal? None: not looked at
    """

    path: Path
    events: int = 0
    schema: int = SCHEMA_VERSION
    finished: bool = False
    sealed: bool | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list, repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            "journal": self.path.name, "events": self.events, "schema": self.schema, "finished": self.finished,
            "sealed": self.sealed, "faults": self.faults, "notes": self.notes,
        }  # fmt: skip


def verify_log(log: Path, seal: Seal | None = None) -> list[Verdict]:
    """Every journal of a log, and the list of what was forgotten.

    Parameters
    ----------
    seal : this site's; None: seals are not looked at

    Raises
    ------
    JournalError
        There is no journal.
    """
    verdicts = [verify(path, seal) for path in journals(log)]
    if log.is_file():
        return verdicts
    folder = log_folder(log)
    for head in sorted(folder.glob("*.head")):
        if not head.with_suffix(".jsonl").is_file():
            verdicts.append(Verdict(head.with_suffix(".jsonl"), faults=["The journal is gone; its head is there."]))
    if (folder / FORGOTTEN).is_file() or head_path(folder / FORGOTTEN).is_file():
        verdicts.append(_verify_forgotten(folder, verdicts, seal))
    return verdicts


def verify(path: Path, seal: Seal | None = None, *, stored: bool = True) -> Verdict:
    """One journal; `stored`: and what it names in the store."""
    verdict = Verdict(path)
    try:
        lines, torn = read_lines(path)
        verdict.schema = schema_of(lines)
    except JournalError as error:
        verdict.faults.append(error.what)
        return verdict
    events: list[Event] = []
    _chain(verdict, lines, torn, lambda body: events.append(read_event(body, verdict.schema)))
    verdict.finished = bool(events) and isinstance(events[-1], SessionEnded)
    _head(verdict, seal)
    if not events or not isinstance(events[0], SessionStarted):
        verdict.faults.append("It does not begin with the start of a session.")
    if any(isinstance(event, SessionEnded) for event in events[:-1]) or (verdict.finished and torn):
        verdict.faults.append("There are events after the end of the session.")
    lost = sum(event.missing for event in events if isinstance(event, Resumed))
    if lost:
        verdict.notes.append(f"{lost} events were lost before the session was resumed (a power failure).")
    store = Store.beside(path)
    named = [event.mask for event in events if isinstance(event, Decided | Believed) and event.mask]
    named += [event.belief for event in events if isinstance(event, Believed) and event.belief]
    for address in dict.fromkeys(named) if stored else ():
        try:
            store.get(address)
        except JournalError as error:
            verdict.faults.append(error.what)
    return verdict


def _chain(verdict: Verdict, lines: list[bytes], torn: bytes, read: Callable[[bytes], object]) -> None:
    links, chained = [FIRST], verdict.schema >= 3
    for number, line in enumerate(lines, 1):
        body, said = parted(line)
        chained = chained or said is not None  # a session of an older schema may have been continued
        link = link_after(links[-1], body)
        if chained and said is None:
            verdict.faults.append(f"Line {number} was altered: its link is gone.")
        elif chained and said != link:
            verdict.faults.append(f"Line {number} was altered, or what stood before it is missing or moved.")
        links.append(said or link)  # one fault is told once
        try:
            read(body)
        except ValueError:
            verdict.faults.append(f"Line {number} is no event.")
    verdict.events = len(lines)
    if torn:
        verdict.notes.append("The last line is torn: the agent was killed while writing it.")
    verdict.links = links
    if not chained:
        verdict.links = []
        verdict.notes.append(f"Written with schema {verdict.schema}: its events are not chained.")


def _head(verdict: Verdict, seal: Seal | None) -> None:
    links = verdict.links
    if not links:
        return
    try:
        head = read_head(verdict.path)
    except JournalError as error:
        verdict.faults.append(error.what)
        return
    if head is None:
        verdict.faults.append("The journal's head is missing.")
        return
    count = len(links) - 1
    if head.events > count:
        verdict.faults.append(f"{head.events - count} events are missing at the end.")
    elif head.events < count - 1:
        verdict.faults.append(f"{count - head.events} events were added at the end.")
    elif head.link != links[head.events]:
        verdict.faults.append("The head names another last event.")
    if head.events == count - 1:
        late = verdict.faults if verdict.finished else verdict.notes
        late.append("The last event is not in the head: the agent was killed just then, or the event was added.")
    if seal is not None and head.seal is not None:
        verdict.sealed = head.seal == seal(head.link)
        if not verdict.sealed:
            verdict.faults.append("The seal is not this site's: the chain was made anew, or elsewhere.")
    elif seal is not None:
        verdict.faults.append("The head bears no seal.")


def _verify_forgotten(folder: Path, verdicts: list[Verdict], seal: Seal | None) -> Verdict:
    verdict = Verdict(folder / FORGOTTEN, finished=True)
    try:
        lines, torn = read_lines(verdict.path)
        _chain(verdict, lines, torn, Tombstone.model_validate_json)
        _head(verdict, seal)
        gone = {stone.session for stone in read_tombstones(folder)}
    except JournalError as error:
        verdict.faults.append(error.what)
        return verdict
    for one in verdicts:
        if one.path.is_file() and session_id(one.path) in gone:
            verdict.faults.append(f"{one.path.name} should be gone: run 'osirix-agent log forget' again.")
    return verdict

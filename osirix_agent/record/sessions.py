"""The sessions of a log: a journal, or a folder of journals with one store of masks and beliefs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from osirix_agent.errors import JournalError
from osirix_agent.record.chain import FIRST, link_after, parted
from osirix_agent.record.events import Believed, Event, SessionStarted
from osirix_agent.record.journal import read_journal, read_lines
from osirix_agent.record.store import Store

FORGOTTEN = "forgotten.jsonl"
_ADDRESS = re.compile(rb'"(?:mask|belief)":"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Session:
    """One journal, read whole.

    Attributes
    ----------
    id : 16 hexadecimal digits, unique: of the link of its first event
    """

    path: Path
    id: str
    events: list[Event]

    @cached_property
    def started(self) -> SessionStarted:
        first = self.events[0]
        assert isinstance(first, SessionStarted)
        return first

    @cached_property
    def believed(self) -> dict[str, Believed]:
        """By the digest of the request."""
        return {event.request_digest: event for event in self.events if isinstance(event, Believed)}

    @property
    def store(self) -> Store:
        return Store.beside(self.path)


def log_folder(log: Path) -> Path:
    """The folder of a log's journals: itself, or `journal` in a state folder."""
    return log / "journal" if (log / "journal").is_dir() else log


def journals(log: Path) -> list[Path]:
    """Paths of a log's journals, by name.

    Raises
    ------
    JournalError
        There is none.
    """
    if log.is_file():
        return [log]
    found = sorted(path for path in log_folder(log).glob("*.jsonl") if path.name != FORGOTTEN and path.stat().st_size)
    if not found:
        raise JournalError("There is no journal there.", "Give a journal, a folder of journals or a state folder.")
    return found


def session_id(path: Path) -> str | None:
    """Of a journal, without reading the rest; None: it has no whole first line."""
    lines, _ = read_lines(path)
    return link_after(FIRST, parted(lines[0])[0])[:16] if lines else None


def read_session(path: Path) -> Session:
    """Raises JournalError as `read_journal`."""
    events = read_journal(path)
    return Session(path, str(session_id(path)), events)


def read_log(log: Path) -> Iterator[Session]:
    """All sessions of a log, one after the other.

    Raises
    ------
    JournalError
        There is none, or one cannot be read; the message names it.
    """
    for path in journals(log):
        try:
            yield read_session(path)
        except JournalError as error:
            raise JournalError(f"{path.name}: {error.what}", error.cure) from None


def named_patient(path: Path) -> str | None:
    """The pseudonym of a journal's patient; None: its first line says none."""
    lines, _ = read_lines(path)
    try:
        found = json.loads(lines[0])["patient"]
    except (IndexError, ValueError, KeyError, TypeError):
        return None
    return str(found)


def named_addresses(path: Path) -> set[str]:
    """Of all that a journal names in the store, also where it is damaged."""
    lines, _ = read_lines(path)
    return {found.decode() for line in lines for found in _ADDRESS.findall(line)}

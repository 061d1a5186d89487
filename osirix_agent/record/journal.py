"""An append-only JSONL file of events, crash-safe: whole lines or none, on disk at every prompt boundary, chained."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from osirix_agent.errors import JournalError
from osirix_agent.record.chain import (
    FIRST,
    Head,
    head_path,
    link_after,
    linked,
    open_head,
    parted,
    read_head,
    write_head,
)
from osirix_agent.record.events import EVENT, PROMPT_BOUNDARIES, SCHEMA_VERSION, Event, SessionStarted
from osirix_agent.record.migration import migrated

Seal = Callable[[str], str]


class Journal:
    """Append events to a file that only its owner can read.

    Parameters
    ----------
    path : Path
    resume : bool
        Go on in a journal that is there; a torn last line is cut off.
    seal : callable or None
        Of the last link, under the site key; it stands in the head beside the journal.

    Attributes
    ----------
    link : str
        Of the last event.
    missing : int
        Events that were in the journal once, by its head, and are there no longer (a power failure).

    Raises
    ------
    JournalError
        The file exists already, cannot be made, or the disk is full; an event that could not be written whole
        leaves no trace in the file.
    """

    def __init__(self, path: Path, *, resume: bool = False, seal: Seal | None = None) -> None:
        self.path, self.missing = Path(path), 0
        self._seal = seal
        self._length = self._count = 0
        self.link = FIRST
        self._handle = self._head = -1
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = 0 if resume else os.O_CREAT | os.O_EXCL
            self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | new, 0o600)
            if resume:
                self._go_on()
            self._head = open_head(self.path)
            write_head(self._head, self._head_now())  # takes its place on the disk now
        except OSError as error:
            self.close()
            raise JournalError(
                f"The journal cannot be made ({error.strerror}).", "Choose another folder with --state-dir."
            ) from None

    def _go_on(self) -> None:
        data = self.path.read_bytes()
        self._length = data.rfind(b"\n") + 1
        os.ftruncate(self._handle, self._length)
        lines = data[: self._length].splitlines()
        head = read_head(self.path)
        self._count, self.missing = len(lines), max(0, head.events - len(lines)) if head else 0
        for line in lines:
            body, _ = parted(line)
            self.link = link_after(self.link, body)

    def append(self, event: Any, *, sync: bool = False) -> None:
        """Write one event; at a prompt boundary, or with `sync`, it is on disk before this returns."""
        if os.fstat(self._handle).st_size != self._length:
            raise JournalError(
                "Another program has written into the journal.",
                "See to it that one agent only works on the series, then start again.",
            )
        body = event.model_dump_json().encode()
        link = link_after(self.link, body)
        line = linked(body, link)
        before, self.link, self._count = self.link, link, self._count + 1
        try:
            _write_all(self._handle, line)
            if sync or isinstance(event, PROMPT_BOUNDARIES):
                os.fsync(self._handle)
            write_head(self._head, self._head_now())
        except OSError as error:
            self.link, self._count = before, self._count - 1
            os.ftruncate(self._handle, self._length)
            raise JournalError(
                f"The journal cannot be written ({error.strerror}).",
                "Free some disk space and start again; your prompts are still ROIs in OsiriX.",
            ) from None
        self._length += len(line)

    def close(self) -> None:
        for handle in (self._handle, self._head):
            if handle >= 0:
                os.close(handle)
        self._handle = self._head = -1

    def discard(self) -> None:
        """Close it and take it away: there is nothing in it."""
        self.close()
        for path in (self.path, head_path(self.path)):
            path.unlink(missing_ok=True)

    def _head_now(self) -> Head:
        return Head(self._count, self.link, None if self._seal is None else self._seal(self.link))


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def read_lines(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of a journal, and what is left of a torn one.

    Raises
    ------
    JournalError
        It cannot be read.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(
            f"The journal cannot be read ({error.strerror}).", "Give the path of a journal.jsonl."
        ) from None
    torn = lines.pop()
    return lines, torn


def read_journal(path: Path) -> list[Event]:
    """Every whole event of a journal; a torn last line (the machine died while writing) is left out.

    Raises
    ------
    JournalError
        Not a journal, written by a newer version, damaged before its end, or its chain is broken.
    """
    lines, torn = read_lines(path)
    version = schema_of(lines)
    events: list[Event] = []
    link = FIRST
    for number, line in enumerate(lines, 1):
        body, said = parted(line)
        link = link_after(link, body)
        try:
            events.append(read_event(body, version))
        except (ValidationError, ValueError):
            if number == len(lines) and not torn:
                break
            raise JournalError(
                f"Line {number} of the journal is damaged.",
                "Restore the file from a copy; nothing was replayed.",
            ) from None
        if said not in (None, link):
            raise JournalError(
                f"Line {number} of the journal was altered, or lines before it are missing.",
                "Restore the file from a copy; 'osirix-agent log verify' says more.",
            )
    if not events or not isinstance(events[0], SessionStarted):
        raise JournalError("The file is not a journal of this product.", "Give the path of a journal.jsonl.")
    return events


def read_event(body: bytes, version: int) -> Event:
    """One event of a journal of that schema version.

    Raises
    ------
    ValueError
        It is none.
    """
    if version == SCHEMA_VERSION:
        return EVENT.validate_json(body)
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an event")
    return EVENT.validate_python(migrated(found, version), strict=False)


def schema_of(lines: list[bytes]) -> int:
    """The schema version that the journal's first line names.

    Raises
    ------
    JournalError
        A newer one than this program reads.
    """
    try:
        version = json.loads(lines[0]).get("schema_version")
    except (IndexError, ValueError, AttributeError):
        return SCHEMA_VERSION
    if not isinstance(version, int) or version < 1:
        return SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"The journal was written by a newer version (schema {version}; this one reads up to {SCHEMA_VERSION}).",
            "Update osirix-agent, then read it again.",
        )
    return version

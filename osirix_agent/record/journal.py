"""An append-only JSONL file of events, crash-safe: whole lines or none, on disk at every prompt boundary."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from osirix_agent.errors import JournalError
from osirix_agent.record.events import EVENT, PROMPT_BOUNDARIES, SCHEMA_VERSION, Event, SessionStarted


class Journal:
    """Append events to a file that only its owner can read.

    Parameters
    ----------
    path : Path
    resume : bool
        Go on in a journal that is there; a torn last line is cut off.

    Raises
    ------
    JournalError
        The file exists already, cannot be made, or the disk is full; an event that could not be written whole
        leaves no trace in the file.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self._length = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = 0 if resume else os.O_CREAT | os.O_EXCL
            self._handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | new, 0o600)
            if resume:
                self._length = self.path.read_bytes().rfind(b"\n") + 1
                os.ftruncate(self._handle, self._length)
        except OSError as error:
            raise JournalError(
                f"The journal cannot be made ({error.strerror}).", "Choose another folder with --state-dir."
            ) from None

    def append(self, event: Any) -> None:
        """Write one event; at a prompt boundary it is on disk before this returns."""
        line = event.model_dump_json().encode() + b"\n"
        try:
            _write_all(self._handle, line)
            if isinstance(event, PROMPT_BOUNDARIES):
                os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._length)
            raise JournalError(
                f"The journal cannot be written ({error.strerror}).",
                "Free some disk space and start again; your prompts are still ROIs in OsiriX.",
            ) from None
        self._length += len(line)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def read_journal(path: Path) -> list[Event]:
    """Every whole event of a journal; a torn last line (the machine died while writing) is left out.

    Raises
    ------
    JournalError
        Not a journal, written by a newer version, or damaged before its end.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(
            f"The journal cannot be read ({error.strerror}).", "Give the path of a journal.jsonl."
        ) from None
    torn = lines.pop()
    events: list[Event] = []
    for number, line in enumerate(lines, 1):
        _check_version(line, number)
        try:
            events.append(EVENT.validate_json(line))
        except ValidationError:
            if number == len(lines) and not torn:
                break
            raise JournalError(
                f"Line {number} of the journal is damaged.",
                "Restore the file from a copy; nothing was replayed.",
            ) from None
    if not events or not isinstance(events[0], SessionStarted):
        raise JournalError("The file is not a journal of this product.", "Give the path of a journal.jsonl.")
    return events


def _check_version(line: bytes, number: int) -> None:
    if number != 1:
        return
    try:
        version = json.loads(line).get("schema_version")
    except (ValueError, AttributeError):
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise JournalError(
            f"The journal was written by a newer version (schema {version}; this one reads up to {SCHEMA_VERSION}).",
            "Update osirix-agent, then read it again.",
        )

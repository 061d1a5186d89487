"""What the agent is about to write into a series, kept on disk until it has been taken away again.

After `kill -9` the next start finds here which ROIs are its own leftovers: an ROI is one only if its name, its slice
and its exact shape were written down before it was drawn. Names and slices alone do not suffice, so an ROI that the
clinician edited or named alike is never taken for one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from osirix_agent.errors import JournalError

Entry = tuple[str, str, str]  # ROI name, slice pseudonym, shape digest


class SeriesLock:
    """One agent a series on this machine: held while the process lives, freed by the system when it dies.

    Attributes
    ----------
    journal : Path or None
        Of the session that held it before.

    Raises
    ------
    JournalError
        Another agent holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(f"The series cannot be locked ({error.strerror}).", "Check the state folder.") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            raise JournalError(
                "Another agent already works on this series.", "Use that one, or end it first ('quit' in its terminal)."
            ) from None
        named = os.read(self._handle, 4096).decode(errors="replace").strip()
        self.journal = Path(named) if named else None

    def note(self, journal: Path) -> None:
        """The session's journal, for whoever continues it."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{journal.absolute()}\n".encode(), 0)

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Ledger:
    """Entries of one series, appended with one fsync a batch.

    Parameters
    ----------
    path : Path
        One file per series pseudonym.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._entries: dict[Entry, str | None] = {}
        self._load()

    def _load(self) -> None:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"The ledger cannot be read ({error.strerror}).", "Check the state folder.") from None
        for line in text.splitlines():
            try:
                name, slice_, digest, final = json.loads(line)
            except ValueError:
                continue  # a torn line: its ROI was never drawn
            self._entries[(name, slice_, digest)] = final

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> set[str]:
        """Of the ROIs written down."""
        return {name for name, _, _ in self._entries}

    def final_name(self, entry: Entry) -> str | None:
        """The name that an accepted draft was about to get; None for a mere draft."""
        return self._entries.get(entry)

    def intend(self, entries: Mapping[Entry, str | None]) -> None:
        """Write entries down, on disk, before the ROIs are drawn or renamed.

        Parameters
        ----------
        entries : mapping of entry to its final name, None for a draft
        """
        new = {e: name for e, name in entries.items() if e not in self._entries or self._entries[e] != name}
        if not new:
            return
        data = "".join(json.dumps([*entry, name]) + "\n" for entry, name in new.items()).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                length = os.fstat(handle).st_size
                try:
                    if os.write(handle, data) != len(data):
                        raise OSError(28, "No space left on device")
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, length)
                    raise
            finally:
                os.close(handle)
        except OSError as error:
            raise JournalError(
                f"The ledger cannot be written ({error.strerror}), so nothing is drawn.",
                "Free some disk space and start again; your prompts are still ROIs in OsiriX.",
            ) from None
        self._entries.update(new)

    def clear(self) -> None:
        """Nothing of the agent is left in the viewer."""
        self._entries.clear()
        self.path.unlink(missing_ok=True)

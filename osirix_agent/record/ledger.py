"""What the agent is about to write into a series, kept on disk until it has been taken away again.

After `kill -9` the next start finds here which ROIs are its own leftovers: an ROI is one only if its name, its slice
and its exact shape were written down before it was drawn. Names and slices alone do not suffice, so an ROI that the
clinician edited or named alike is never taken for one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from osirix_agent.errors import JournalError

Entry = tuple[str, str, str]  # ROI name, slice pseudonym, shape digest


class Ledger:
    """Entries of one series, appended with one fsync a batch.

    Parameters
    ----------
    path : Path
        One file per series pseudonym.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._entries: set[Entry] = set()
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
                name, slice_, digest = json.loads(line)
            except ValueError:
                continue  # a torn line: its ROI was never drawn
            self._entries.add((name, slice_, digest))

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def intend(self, entries: Iterable[Entry]) -> None:
        """Write entries down, on disk, before the ROIs are drawn."""
        new = [entry for entry in entries if entry not in self._entries]
        if not new:
            return
        data = "".join(json.dumps(entry) + "\n" for entry in new).encode()
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

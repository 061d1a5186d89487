"""What is left of a session that was forgotten: that it was there, and that nothing else of it is."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osirix_agent.errors import JournalError
from osirix_agent.record.chain import parted
from osirix_agent.record.journal import Journal, Seal, read_lines
from osirix_agent.record.sessions import FORGOTTEN


class Tombstone(BaseModel):
    """Nothing of it leads to the patient."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str = "session_forgotten"
    at: float = Field(description="day of forgetting, seconds since 1970")
    session: str = Field(description="id of the session")
    events: int = Field(description="how many it had")
    link: str = Field(description="its last")
    adapters: tuple[str, ...] = Field((), description="names of the adapters that learnt from it")


def read_tombstones(folder: Path) -> list[Tombstone]:
    """Of a folder of journals; [] where nothing was forgotten.

    Raises
    ------
    JournalError
        The file is damaged.
    """
    path = folder / FORGOTTEN
    if not path.is_file():
        return []
    lines, _ = read_lines(path)
    try:
        return [Tombstone.model_validate(json.loads(parted(line)[0])) for line in lines]
    except (ValueError, ValidationError):
        raise JournalError("The list of forgotten sessions is damaged.", "Restore it from a copy.") from None


def add_tombstones(folder: Path, stones: list[Tombstone], seal: Seal | None) -> None:
    """Append those that are not there yet; on disk before this returns."""
    path, known = folder / FORGOTTEN, {stone.session for stone in read_tombstones(folder)}
    new = [stone for stone in stones if stone.session not in known]
    if not new:
        return
    journal = Journal(path, resume=path.is_file(), seal=seal)
    try:
        for stone in new:
            journal.append(stone, sync=True)
    finally:
        journal.close()

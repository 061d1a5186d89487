"""What makes a journal's events one chain: every line ends with a link, the SHA-256 of the link before and the line.

Beside the journal lies its head: how many events there are, the last link, and a seal over it under the site key. It
finds what a chain alone cannot: events missing at the end, and a chain made anew from some event on.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from osirix_agent.errors import JournalError

FIRST = "0" * 64
_NO_SEAL = "-" * 64
_LINK = re.compile(rb',"link":"([0-9a-f]{64})"\}$')
_HEAD = re.compile(rb"(\d{10}) ([0-9a-f]{64}) ([0-9a-f]{64}|-{64})\n")


def link_after(before: str, body: bytes) -> str:
    """The link of an event.

    Parameters
    ----------
    before : link of the event before; `FIRST` for the first
    body : the event's JSON, without a link
    """
    return hashlib.sha256(before.encode() + body).hexdigest()


def linked(body: bytes, link: str) -> bytes:
    """A line of the journal, newline included."""
    return body[:-1] + b',"link":"' + link.encode() + b'"}\n'


def parted(line: bytes) -> tuple[bytes, str | None]:
    """A line, newline excluded, as the event's JSON and its link; None before schema 3."""
    found = _LINK.search(line)
    return (line, None) if found is None else (line[: found.start()] + b"}", found[1].decode())


@dataclass(frozen=True)
class Head:
    """How far a journal has got.

    Attributes
    ----------
    seal : str or None
        HMAC of the link under the site key; None: written without a key.
    """

    events: int
    link: str
    seal: str | None = None

    def line(self) -> bytes:
        """Always of one length: written over in place, in one piece, needing no space on a full disk."""
        return f"{self.events:010d} {self.link} {self.seal or _NO_SEAL}\n".encode()


def head_path(journal: Path) -> Path:
    return journal.with_suffix(".head")


def read_head(journal: Path) -> Head | None:
    """The head of a journal; None: it has none (before schema 3).

    Raises
    ------
    JournalError
        There is one, and it is no head.
    """
    try:
        found = _HEAD.fullmatch(head_path(journal).read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"The journal's head cannot be read ({error.strerror}).", "Check its permissions.") from None
    if found is None:
        raise JournalError("The journal's head is damaged.", "Restore the .head file beside the journal from a copy.")
    seal = found[3].decode()
    return Head(int(found[1]), found[2].decode(), None if seal == _NO_SEAL else seal)


def open_head(journal: Path) -> int:
    """A handle for `write_head`."""
    return os.open(head_path(journal), os.O_WRONLY | os.O_CREAT, 0o600)


def write_head(handle: int, head: Head) -> None:
    """Raises OSError."""
    if os.pwrite(handle, head.line(), 0) != len(head.line()):
        raise OSError(28, "No space left on device")

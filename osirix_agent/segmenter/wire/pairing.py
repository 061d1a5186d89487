"""The file that pairs an agent with a server: who to trust and who to be. PEM, so that Python's ssl reads it too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from osirix_agent.errors import CertificateError

FIRST_LINE = "osirix-agent pairing 1"
WARN_DAYS = 30  # of a certificate that ends
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n", re.DOTALL)


@dataclass(frozen=True)
class Pairing:
    """What a client holds.

    Attributes
    ----------
    certificate, key, authority : PEM
    expires_at : when the certificate ends
    """

    path: Path
    certificate: bytes
    key: bytes
    authority: bytes
    expires_at: datetime

    def days_left(self, now: datetime) -> float:
        return (self.expires_at - now).total_seconds() / 86400


def write_pairing(certificate: bytes, key: bytes, authority: bytes, expires_at: datetime) -> bytes:
    """The file's content: certificate first, as Python's ssl wants it."""
    head = f"{FIRST_LINE}\nexpires {expires_at.astimezone(UTC):%Y-%m-%d}\n"
    return head.encode() + certificate + key + authority


def read_pairing(path: Path) -> Pairing:
    """A pairing file.

    Raises
    ------
    CertificateError
        Missing, readable by others, damaged, newer.
    """
    again = "Ask whoever runs the server for a pairing file ('osirix-agent serve --pair NAME' makes one)."
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except OSError:
        raise CertificateError(
            f"There is no readable pairing file at {path}.", f"{again} Name it with --pairing."
        ) from None
    if mode & 0o077:
        raise CertificateError(f"Others on this machine can read the pairing file {path}.", f"chmod 600 '{path}'")
    first, _, rest = content.partition(b"\n")
    if first.startswith(b"osirix-agent pairing ") and first != FIRST_LINE.encode():
        raise CertificateError(f"The pairing file {path} is newer than this program.", "Update osirix-agent.")
    blocks = [m.group(0) for m in _BLOCK.finditer(rest)]
    expires = re.match(rb"expires (\d{4}-\d{2}-\d{2})\n", rest)
    if first != FIRST_LINE.encode() or len(blocks) != 3 or expires is None or b"PRIVATE KEY" not in blocks[1]:
        raise CertificateError(f"The pairing file {path} is damaged.", again)
    expires_at = datetime.strptime(expires[1].decode(), "%Y-%m-%d").replace(tzinfo=UTC)
    return Pairing(path, blocks[0], blocks[1], blocks[2], expires_at)

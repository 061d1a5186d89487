"""Keyed pseudonyms: the same UID always gets the same one at a site, and nobody without the key can get back."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from osirix_agent.errors import JournalError

WEEK_S, WEEKS = 7 * 86400.0, 520


class Pseudonyms:
    """HMAC-SHA256 under a site key.

    Parameters
    ----------
    key : bytes
        At least 16 bytes; kept outside the journal.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise JournalError("The site key is too short.", "Remove the file site.key; a new one is made.")
        self._key = key

    def of(self, text: str) -> str:
        """16 hexadecimal digits."""
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:16]

    def seal(self, text: str) -> str:
        """64 hexadecimal digits that only this site can make."""
        return hmac.new(self._key, b"seal " + text.encode(), hashlib.sha256).hexdigest()

    def shift_s(self, patient: str) -> float:
        """Seconds by which the dates of a patient (a pseudonym) are set back: 1 to 520 whole weeks, so that the day of
        the week, the time of day and all distances stay.
        """
        drawn = hmac.new(self._key, b"dates " + patient.encode(), hashlib.sha256).digest()
        return (1 + int.from_bytes(drawn[:8]) % WEEKS) * WEEK_S

    @classmethod
    def at(cls, state_dir: Path) -> Pseudonyms:
        """The key of `state_dir`, made on first use, readable by its owner only."""
        path = state_dir / "site.key"
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return cls(path.read_bytes())
            key = secrets.token_bytes(32)
            with os.fdopen(handle, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            return cls(key)
        except OSError as error:
            raise JournalError(
                f"The site key cannot be read or made ({error.strerror}).",
                "Check the permissions and free space of the state folder (--state-dir).",
            ) from None

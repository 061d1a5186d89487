"""Masks and beliefs beside the journals, each once, under the SHA-256 of its content; whole or not there at all."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from osirix_agent.errors import JournalError
from osirix_agent.whole import torn, write_whole

LEVEL = 1  # of zlib: a mask shrinks to a few kB at any


class Store:
    """Content by its address.

    Parameters
    ----------
    folder : Path
        Made on the first `put`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def beside(cls, journal: Path) -> Store:
        """The store of a journal and of all others in its folder."""
        return cls(Path(journal).parent / "store")

    def path(self, address: str) -> Path:
        return self.folder / address[:2] / address

    def put(self, content: bytes) -> str:
        """Keep content; returns its address. It is on disk before this returns.

        Raises
        ------
        JournalError
            It cannot be written: nothing of it is left behind.
        """
        address = hashlib.sha256(content).hexdigest()
        path = self.path(address)
        if path.exists():
            return address
        try:
            write_whole(path, zlib.compress(content, LEVEL), private=True)
        except OSError as error:
            raise JournalError(
                f"The store of masks cannot be written ({error.strerror}).",
                "Free some disk space and start again; your prompts are still ROIs in OsiriX.",
            ) from None
        return address

    def get(self, address: str) -> bytes:
        """Content by its address.

        Raises
        ------
        JournalError
            It is missing or damaged.
        """
        try:
            content = zlib.decompress(self.path(address).read_bytes())
        except FileNotFoundError:
            raise JournalError(
                f"The store lacks {address[:12]}, which the journal names.",
                "Bring the folder 'store' that lay beside the journal ('osirix-agent log merge' takes both).",
            ) from None
        except (OSError, zlib.error):
            content = b""
        if hashlib.sha256(content).hexdigest() != address:
            raise JournalError(f"{address[:12]} in the store is damaged.", "Restore the folder 'store' from a copy.")
        return content

    def __contains__(self, address: str) -> bool:
        return self.path(address).is_file()

    def addresses(self) -> Iterator[str]:
        """Of all that is kept."""
        for path in sorted(self.folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*")):
            yield path.name

    def remove(self, address: str) -> None:
        self.path(address).unlink(missing_ok=True)

    def clear_torn(self) -> int:
        """Take away what processes that are gone were writing when they were killed; returns how many files."""
        found = torn(self.folder, "??/.*")
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

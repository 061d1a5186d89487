"""Files that are whole or not there: written beside their place, put there once they are on disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path, *, private: bool = False) -> Iterator[Path]:
    """A file of another name to write; it takes the place of `path` when the block ends well, else it is removed.

    Parameters
    ----------
    path : Path
        Its folder is made; what is there is replaced.
    private : bool
        Readable by its owner only, from the first byte on.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written; what was at `path` is still there, unchanged.
    """
    path = Path(path)
    beside = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}{''.join(path.suffixes)}")  # some go by the ending
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
    try:
        if private:
            os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with suppress(OSError):  # in its place by now, or never made
            beside.unlink()


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file, whole or not at all; text as UTF-8. Raises OSError as `whole` does."""
    with whole(path, private=private) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def torn(folder: Path, pattern: str = ".*") -> list[Path]:
    """What processes that are gone were writing in a folder when they were killed."""
    found = []
    for path in folder.glob(pattern):
        process, dash, _ = path.name[1:].partition("-")
        if dash and process.isdigit() and not _lives(int(process)):
            found.append(path)
    return found


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()

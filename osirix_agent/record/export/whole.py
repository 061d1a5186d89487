"""Files that are whole or not there: written beside their place, put there once they are on disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from osirix_agent.errors import ExportError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file of another name to write; it takes the place of `path` when the block ends well, else it is removed.

    Raises
    ------
    ExportError
        The disk is full, or the folder cannot be written; what was at `path` is still there, unchanged.
    """
    path = Path(path)
    ending = "".join(path.suffixes)
    beside = path.with_name(f".{secrets.token_hex(4)}{ending}")  # writers choose the format by the ending
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:  # SimpleITK reports a full disk as RuntimeError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise ExportError(
            f"A file could not be written ({reason}); nothing was left half-written.",
            "Free some disk space or choose another folder, then export again.",
        ) from None
    finally:
        with suppress(OSError):  # in its place by now, or never made
            beside.unlink()

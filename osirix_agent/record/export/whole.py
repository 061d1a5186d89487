"""Files of an export: whole or not there, a failure said as what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osirix_agent import whole as files
from osirix_agent.errors import ExportError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file of another name to write; it takes the place of `path` when the block ends well, else it is removed.

    Raises
    ------
    ExportError
        The disk is full, or the folder cannot be written; what was at `path` is still there, unchanged.
    """
    try:
        with files.whole(path) as beside:
            yield beside
    except (OSError, RuntimeError) as error:  # SimpleITK reports a full disk as RuntimeError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise ExportError(
            f"A file could not be written ({reason}); nothing was left half-written.",
            "Free some disk space or choose another folder, then export again.",
        ) from None

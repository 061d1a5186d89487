"""A log as Parquet files, one a table, with a Croissant description; needs the extra 'study' (pyarrow)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from osirix_agent.errors import JournalError, SettingsError
from osirix_agent.record.croissant import description
from osirix_agent.record.sessions import journals, read_log
from osirix_agent.record.tables import TABLES, Row, rows_of

ROWS_AT_ONCE = 5000


def export(log: Path, out: Path) -> dict[str, int]:
    """Write `TABLE.parquet` for every table, and `croissant.json`; files of an earlier export are replaced.

    Returns
    -------
    rows of each table

    Raises
    ------
    SettingsError
        The extra is not installed.
    JournalError
        A journal cannot be read or the disk is full: nothing is left behind, an earlier export stays.
    """
    _pyarrow()
    journals(log)
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _aside(out) as part:
            counts = _write_tables(log, part)
            digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in part.glob("*.parquet")}
            text = json.dumps(description(digests), indent=1)
            (part / "croissant.json").write_text(text + "\n", encoding="utf-8")
            for path in sorted(part.iterdir()):
                os.replace(path, out / path.name)
    except OSError as error:
        raise JournalError(
            f"The export cannot be written ({error.strerror or 'no space?'}).",
            "Free some disk space or choose another folder with --out.",
        ) from None
    return counts


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A folder in `out` that is gone afterwards, whatever happens."""
    part = out / f".export-{os.getpid()}"
    part.mkdir(mode=0o700)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_tables(log: Path, folder: Path) -> dict[str, int]:
    import pyarrow.parquet

    schemas = {table: schema_of(table) for table in TABLES}
    writers = {
        table: pyarrow.parquet.ParquetWriter(folder / f"{table.table}.parquet", schema, compression="zstd")
        for table, schema in schemas.items()
    }
    held: dict[type[Row], list[dict[str, Any]]] = {table: [] for table in TABLES}
    counts = {table.table: 0 for table in TABLES}

    def flush(table: type[Row]) -> None:
        writers[table].write_table(pyarrow.Table.from_pylist(held[table], schema=schemas[table]))
        counts[table.table] += len(held[table])
        held[table].clear()

    try:
        for session in read_log(log):
            for row in rows_of(session):
                held[type(row)].append(dict(row))
                if len(held[type(row)]) >= ROWS_AT_ONCE:
                    flush(type(row))
        for table in TABLES:
            flush(table)
    finally:
        for writer in writers.values():
            writer.close()
    return counts


def schema_of(table: type[Row]) -> Any:
    """The table's Arrow schema; descriptions are in the fields' metadata."""
    pyarrow = _pyarrow()
    hints = get_type_hints(table)
    fields = []
    for name, field in table.model_fields.items():
        kinds = [kind for kind in get_args(hints[name]) if kind is not type(None)]
        optional = get_origin(hints[name]) is UnionType
        kind = _arrow(kinds[0] if optional else hints[name])
        about = {"description": field.description} if field.description else None
        fields.append(pyarrow.field(name, kind, nullable=optional, metadata=about))
    return pyarrow.schema(fields, metadata={"description": (table.__doc__ or "").strip()})


def _arrow(kind: Any) -> Any:
    pyarrow = _pyarrow()
    if get_origin(kind) is list:
        return pyarrow.list_(_arrow(get_args(kind)[0]))
    plain = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    return plain.get(kind) or {datetime: pyarrow.timestamp("us", tz="UTC")}[kind]


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise SettingsError(
            "Exporting to Parquet needs pyarrow, which is not installed.", "Run: pip install 'osirix-agent[study]'"
        ) from None
    return pyarrow

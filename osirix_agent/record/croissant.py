"""The Croissant description of an export (MLCommons Croissant 1.0): its files, tables and columns, for machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from osirix_agent import __version__
from osirix_agent.record.tables import TABLES, Row

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_TYPES = {str: "sc:Text", int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean", datetime: "sc:DateTime"}
_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip


def description(digests: Mapping[str, str]) -> dict[str, Any]:
    """Of the Parquet files, given the SHA-256 of each."""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "osirix-agent-log",
        "description": "Prompts, proposals, edits and decisions of interactive contouring sessions, de-identified: "
        "patients, studies, series and clinicians are keyed pseudonyms, dates are shifted by whole weeks.",
        "conformsTo": CONFORMS_TO,
        "version": __version__,
        "distribution": [_file(name, digest) for name, digest in sorted(digests.items())],
        "recordSet": [_table(table) for table in TABLES],
    }


def _file(name: str, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name,
        "encodingFormat": "application/x-parquet", "sha256": digest,
    }  # fmt: skip


def _table(table: type[Row]) -> dict[str, Any]:
    hints = get_type_hints(table)
    name = table.table
    fields = [
        _field(name, column, hints[column], field.description or column.replace("_", " "))
        for column, field in table.model_fields.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": table.__doc__, "field": fields}


def _field(table: str, column: str, kind: Any, about: str) -> dict[str, Any]:
    repeated = False
    while get_origin(kind) in (UnionType, list):
        repeated = repeated or get_origin(kind) is list
        kind = get_args(kind)[0]
    field: dict[str, Any] = {
        "@type": "cr:Field", "@id": f"{table}/{column}", "name": f"{table}/{column}", "description": about,
        "dataType": _TYPES[kind],
        "source": {"fileObject": {"@id": f"{table}.parquet"}, "extract": {"column": column}},
    }  # fmt: skip
    if repeated:
        field["repeated"] = True
    if column == "session" and table != "sessions":
        field["references"] = {"field": {"@id": "sessions/session"}}
    return field

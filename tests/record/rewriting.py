"""Journals as another history would have left them: the events given, in a chain of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from osirix_agent.record.chain import FIRST, Head, head_path, link_after, linked


def rewrite(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    link, lines = FIRST, []
    for event in events:
        body = json.dumps(
            {name: value for name, value in event.items() if name != "link"}, separators=(",", ":")
        ).encode()
        link = link_after(link, body)
        lines.append(linked(body, link))
    path.write_bytes(b"".join(lines))
    head_path(path).write_bytes(Head(len(lines), link).line())
    return path


def raw(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]

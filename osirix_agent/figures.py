"""The one shape in which every measuring command reports.

{"figures": [{id, value, unit, interval, n, peer, ratio, reach, holds, note}], "seed", "versions", "machine"}
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict


class Figure(BaseModel):
    """One measured row.

    Attributes
    ----------
    interval : lower and upper bound (5th and 95th percentile unless the note says otherwise), or None
    n : how many runs or patients
    peer : what it was measured beside, in the same run
    ratio : value over the peer's value
    reach : what was to be reached, in words
    holds : was it; None where nothing was promised
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    value: float | None
    unit: str
    interval: tuple[float, float] | None = None
    n: int = 1
    peer: str | None = None
    ratio: float | None = None
    reach: str | None = None
    holds: bool | None = None
    note: str | None = None


def failed(id_: str, unit: str, reach: str, why: str) -> Figure:
    """A row that could not be measured."""
    return Figure(id=id_, value=None, unit=unit, n=0, reach=reach, holds=False, note=why)


def report(figures: Sequence[Figure], *, seed: int, versions: dict[str, str], as_json: bool, title: str) -> None:
    """Print the figures, as one JSON object or as a table."""
    if as_json:
        print(
            json.dumps(
                {
                    "figures": [f.model_dump(mode="json") for f in figures],
                    "seed": seed,
                    "versions": versions,
                    "machine": machine(),
                }
            )
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in ("id", "value", "interval", "n", "peer", "ratio", "reach", "holds"):
        table.add_column(column)
    for f in figures:
        table.add_row(
            f.id, "-" if f.value is None else f"{f.value:.4g} {f.unit}",
            "" if f.interval is None else f"{f.interval[0]:.4g} - {f.interval[1]:.4g}", str(f.n), f.peer or "",
            "" if f.ratio is None else f"{f.ratio:.3g}", f.reach or "",
            {True: "yes", False: "NO", None: ""}[f.holds],
        )  # fmt: skip
    console = Console()
    console.print(table)
    for f in figures:
        if f.note:
            console.print(f"{f.id}: {f.note}")


def machine() -> dict[str, Any]:
    return {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()}

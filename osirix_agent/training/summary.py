"""Means of rows: per structure, then over structures with equal weight, with intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from osirix_agent.training.metrics import bootstrap


class _OfPatient(Protocol):
    @property
    def patient(self) -> str: ...
    @property
    def structure(self) -> str: ...


R = TypeVar("R", bound=_OfPatient)
Measure = Callable[[R], float | None]  # None: not known of this row, which then does not count


def summarise(rows: Sequence[R], measures: dict[str, Measure[R]]) -> list[dict[str, Any]]:
    """A table for each structure, and one for "all" where there are several; every mean with its 95 % interval.

    A measure that is known of no row is None.
    """
    patients = sorted({row.patient for row in rows})
    names = sorted({row.structure for row in rows})
    tables: list[dict[str, Any]] = [
        {"structure": name, "patients": len({r.patient for r in rows if r.structure == name})} for name in names
    ]
    if len(names) > 1:
        tables.append({"structure": "all", "patients": len(patients)})
    for name, measure in measures.items():
        scores: dict[tuple[int, int], list[float]] = {}
        for row in rows:
            if (value := measure(row)) is not None:
                scores.setdefault((patients.index(row.patient), names.index(row.structure)), []).append(float(value))
        held = np.full((len(patients), len(names)), np.nan)
        for place, values in scores.items():
            held[place] = np.mean(values)
        for n, table in enumerate(tables):
            part = held[:, [n]] if n < len(names) else held
            means = [float(column[~np.isnan(column)].mean()) for column in part.T if not np.isnan(column).all()]
            table[name] = round(float(np.mean(means)), 4) if means else None
            table[f"{name}_interval"] = [round(v, 4) for v in bootstrap(part)] if means else None
    return tables

"""What measured stages say together: the table of one set, ours first and the baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from osirix_agent.figures import Figure
from osirix_agent.training.metrics import bootstrap
from osirix_agent.training.uncertainty import LEVELS, BandRow, ece

OURS = "ours"
BASELINES = ("sigmoid", "temperature", "low-rank", "dropout", "ensemble")
TRUSTED = 0.8  # of the cases are accepted

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageRow:
    """What was measured of one stage.

    Attributes
    ----------
    distance : of the case from those the card was fitted on, over that from which on it is withheld; None: no gate
    gains : Dice after each reviewed slice, by order; empty but at the start
    """

    bands: tuple[BandRow, ...]
    distance: float | None
    gains: dict[str, list[float]]


@dataclass(frozen=True)
class Shifted:
    """A case that the card was not made for, and how far the gate puts it."""

    patient: str
    shift: str
    distance: float


def figures_of(name: str, rows: Sequence[StageRow], shifted: Sequence[Shifted]) -> list[Figure]:
    """The table of one set: ours first, the baselines beside it; intervals are 95 %, over patients."""
    bands = [band for row in rows for band in row.bands]
    found: list[Figure] = []
    first = {m: [b for b in bands if b.method == m and b.clicks == 0] for m in (OURS, *BASELINES)}
    first = {method: held for method, held in first.items() if held}
    for id_, measure, reach in (
        ("band.90", lambda b: b.cover90, (0.87, 0.93)), ("band.50", lambda b: b.cover50, (0.45, 0.55)),
        ("drawn.90", lambda b: b.drawn90, (0.87, 0.93)), ("drawn.50", lambda b: b.drawn50, (0.45, 0.55)),
    ):  # fmt: skip
        for method, held in first.items():
            found.append(_figure(f"{name}.{id_}", method, held, _mean(measure), reach))
    goal = _mean(lambda b: b.cover90)(first[OURS])
    for method, held in first.items():
        level = level_for(held, goal)
        found.append(
            _figure(f"{name}.band.width", method, held, _mean(partial(_width, level=level)), None, unit="mm",
                    note=f"brought to a coverage of {goal:.2f}")
        )  # fmt: skip
    for method, held in first.items():
        found.append(_figure(f"{name}.band.ece", method, held, ece, (0.0, 0.02)))
    for method, held in first.items():
        wrong = [b for b in held if b.found is not None]
        found.append(_figure(f"{name}.find.errors", method, wrong, _mean(lambda b: b.found), (0.6, 1.0)))
    for clicks in sorted({b.clicks for b in bands} - {0}):
        held = [b for b in bands if b.method == OURS and b.clicks == clicks]
        for id_, wide, narrow in (
            ("band", lambda b: b.cover90, lambda b: b.cover50), ("drawn", lambda b: b.drawn90, lambda b: b.drawn50),
        ):  # fmt: skip
            found.append(_figure(f"{name}.{id_}.clicks.{clicks}", OURS, held, _mean(wide), (0.86, 0.94)))
            found.append(_figure(f"{name}.{id_}.clicks.{clicks}.50", OURS, held, _mean(narrow), (0.46, 0.54)))
    found += _looks(name, rows)
    return found + _gate(name, rows, shifted)


def level_for(bands: Sequence[BandRow], goal: float) -> float:
    """The log-odds between which a share `goal` of the observers' surface lies, on average."""
    covers = np.array([_mean(partial(_cover, n=n))(bands) for n in range(len(LEVELS))])
    return float(np.interp(goal, covers, LEVELS))


def _width(band: BandRow, level: float) -> float:
    return band.width_at(level)


def _cover(band: BandRow, n: int) -> float:
    return band.curve[n][0]


Score = Callable[[Sequence[BandRow]], float]


def _mean(measure: Callable[[BandRow], float | None]) -> Score:
    """Mean over patients of the mean over their structures."""

    def score(rows: Sequence[BandRow]) -> float:
        held: dict[str, list[float]] = {}
        for row in rows:
            value = measure(row)
            if value is not None:
                held.setdefault(row.patient, []).append(value)
        return float(np.mean([np.mean(v) for v in held.values()])) if held else float("nan")

    return score


def _figure(
    id_: str, method: str, rows: Sequence[BandRow], score: Score, reach: tuple[float, float] | None, unit: str = "",
    note: str | None = None, rounds: int = 300,
) -> Figure:  # fmt: skip
    """One score of one method, drawn anew over patients for its interval; only ours has a reach."""
    by: dict[str, list[BandRow]] = {}
    for row in rows:
        by.setdefault(row.patient, []).append(row)
    id_ = id_ if method == OURS else f"{id_} {method}"
    if not by:
        return Figure(id=id_, value=None, unit=unit, n=0, note="nothing to measure")
    value, names, random = score(rows), sorted(by), np.random.default_rng(0)
    drawn = []
    for _ in range(rounds):
        chosen = enumerate(random.choice(names, len(names)))
        drawn.append(score([replace(row, patient=str(n)) for n, name in chosen for row in by[name]]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    asked = reach if method == OURS else None
    return Figure(
        id=id_, value=round(value, 4), unit=unit, interval=(round(float(low), 4), round(float(high), 4)), n=len(names),
        reach=f"{asked[0]} to {asked[1]}" if asked else None,
        holds=bool(asked[0] <= value <= asked[1]) if asked else None, note=note,
    )  # fmt: skip


def _looks(name: str, rows: Sequence[StageRow]) -> list[Figure]:
    """Dice gained per look by each order, and what the list gains beyond each other."""
    held = [(row.bands[0].patient, row.gains) for row in rows if row.gains]
    if not held:
        return []
    patients = sorted({patient for patient, _ in held})
    found, each = [], {}
    for order in held[0][1]:
        gained = {
            p: np.mean([np.mean(np.array(g[order][1:]) - g[order][0]) for q, g in held if q == p]) for p in patients
        }
        each[order] = np.array([gained[p] for p in patients])
        low, high = _interval(each[order])
        id_ = f"{name}.looks" if order == "list" else f"{name}.looks {order}"
        found.append(Figure(id=id_, value=round(float(each[order].mean()), 4), unit="Dice", interval=(low, high),
                            n=len(patients), note="Dice gained, mean over five looks"))  # fmt: skip
    for order in [o for o in each if o != "list"]:
        more = each["list"] - each[order]
        low, high = _interval(more)
        found.append(Figure(id=f"{name}.looks over {order}", value=round(float(more.mean()), 4), unit="Dice",
                            interval=(low, high), n=len(patients), reach="above 0", holds=low > 0))  # fmt: skip
    return found


def _interval(values: FloatArray) -> tuple[float, float]:
    low, high = bootstrap(values[:, None])
    return round(low, 4), round(high, 4)


def _gate(name: str, rows: Sequence[StageRow], shifted: Sequence[Shifted]) -> list[Figure]:
    first = [row for row in rows if row.distance is not None and row.bands[0].clicks == 0]
    if not first:
        return []
    own = np.array([row.distance for row in first if row.distance is not None])
    found = []
    kinds = sorted({s.shift for s in shifted})
    for kind in [*kinds, "all"] if kinds else []:
        far = np.array([s.distance for s in shifted if kind in ("all", s.shift)])
        auroc = float(((far[:, None] > own) + 0.5 * (far[:, None] == own)).mean())
        id_ = f"{name}.gate" if kind == "all" else f"{name}.gate {kind}"
        found.append(Figure(id=id_, value=round(auroc, 4), unit="AUROC", n=len(far), reach="0.90 or more",
                            holds=auroc >= 0.9, note=f"withheld {np.mean(far > 1):.0%} of them"))  # fmt: skip
    accepted = [row for row, d in zip(first, own, strict=True) if d <= np.quantile(own, TRUSTED)]
    ours = [band for row in accepted for band in row.bands if band.method == OURS]
    found.append(_figure(f"{name}.gate.accepted", OURS, ours, _mean(lambda b: b.cover90), (0.87, 1.0),
                         note=f"withheld {np.mean(own > 1):.0%} of the set's own cases"))  # fmt: skip
    return found

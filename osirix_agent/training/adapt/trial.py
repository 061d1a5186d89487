"""The adapter on trial: it and its parent contour patients that it never saw, by the interactive benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from osirix_agent.figures import Figure
from osirix_agent.segmenter.protocol import Segmenter, SeveralWeights
from osirix_agent.training.contouring import ClickRow, Contoured, contour, spelt
from osirix_agent.training.metrics import bootstrap

AFTER = (1, 3, 5)  # clicks
MARGIN = 0.01  # Dice that other structures may lose


@dataclass(frozen=True)
class Pair:
    """One structure of one image by two segmenters."""

    before: ClickRow
    after: ClickRow


def pairs(
    before: Segmenter, after: Segmenter, images: Iterable[Contoured], tell: Callable[[str], object] = lambda _: None
) -> list[Pair]:
    """Every structure contoured by both, from its name where both know it, else from a box; once where the same
    weights answer."""
    found = []
    for image in images:
        for structure, truth in image.truths.items():
            tell(f"{image.name} {structure}")
            known = all(spelt(structure) in s.capabilities.structures for s in (before, after))
            start = "both" if known else "clicks"
            one = contour(before, image.volume, image.name, structure, truth, start)
            same = source(before, structure) == source(after, structure)
            other = one if same else contour(after, image.volume, image.name, structure, truth, start)
            found.append(Pair(one, other))
    return found


def source(segmenter: Segmenter, structure: str) -> str:
    """What answers for a structure, by the digest of its weights."""
    name = spelt(structure)
    return segmenter.source_for(name) if isinstance(segmenter, SeveralWeights) else segmenter.name


def clicks_after(row: ClickRow, clicks: Sequence[int] = AFTER) -> float:
    """Mean Dice after those clicks."""
    return float(np.mean([row.dice[n] for n in clicks]))


def difference(held: Sequence[Pair], clicks: Sequence[int] = AFTER) -> tuple[float, tuple[float, float]]:
    """Mean over structures of what the second is better by, and its 95 % interval, bootstrapped over patients."""
    patients = sorted({p.before.patient for p in held})
    names = sorted({p.before.structure for p in held})
    scores: dict[tuple[int, int], list[float]] = {}
    for p in held:
        key = patients.index(p.before.patient), names.index(p.before.structure)
        scores.setdefault(key, []).append(clicks_after(p.after, clicks) - clicks_after(p.before, clicks))
    table = np.full((len(patients), len(names)), np.nan)
    for key, values in scores.items():
        table[key] = np.mean(values)
    return float(np.nanmean(table, 0).mean()), bootstrap(table)


def gain_figures(id_: str, held: Sequence[Pair], peer: str) -> list[Figure]:
    """What is gained after 1, 3 and 5 clicks and over all of them, beside the parent in the same run."""
    found = []
    for clicks in [AFTER, *((n,) for n in AFTER)]:
        value, interval = difference(held, clicks)
        before, after = (
            float(np.mean([clicks_after(row, clicks) for row in rows]))
            for rows in ([p.before for p in held], [p.after for p in held])
        )
        found.append(
            Figure(
                id=id_ if clicks == AFTER else f"{id_}.{clicks[0]}", value=round(value, 4), unit="Dice",
                interval=_rounded(interval), n=len({p.before.patient for p in held}), peer=peer,
                reach="interval above 0", holds=interval[0] > 0,
                note=f"after {' and '.join(map(str, clicks))} clicks: {before:.3f} to {after:.3f}, mean of {len(held)} "
                "contours; 95 % interval of the paired difference over patients",
            )
        )  # fmt: skip
    return found


def harm_figure(id_: str, held: Sequence[Pair], note: str) -> Figure:
    """What other structures lose."""
    value, (low, high) = difference(held)
    return Figure(
        id=id_, value=round(-value, 4), unit="Dice lost", interval=_rounded((-high, -low)),
        n=len({p.before.patient for p in held}), reach=f"interval below {MARGIN}", holds=-low < MARGIN, note=note,
    )  # fmt: skip


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 4), round(interval[1], 4)

"""The interactive benchmark on real patients: words, a box, five clicks, and what came of each.

The protocol is that of the CVPR 2025 interactive segmentation challenge (docs/concepts/benchmark.md): a box on the
middle slice, then five clicks at the deepest point of the largest error. A second run starts from the structure's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Polarity, Prompt, TextPrompt
from osirix_agent.segmenter.protocol import SegmentationRequest, Segmenter
from osirix_agent.training.cases import Case
from osirix_agent.training.clicks import Click, dice, middle_box, next_click
from osirix_agent.training.metrics import bootstrap, surface_distances, trapezoid_auc
from osirix_agent.training.phrases import TG263

BoolArray = npt.NDArray[np.bool_]

CLICKS = 5
UNNAMED = "Structure"  # a name that says nothing


@dataclass(frozen=True)
class Row:
    """One structure of one patient, contoured once.

    Attributes
    ----------
    start : "clicks" (a box without a name, then clicks) or "both" (the name, then clicks)
    dice : after the box or the name, then after each click
    broken : clicks whose voxel did not end on its own side
    refused : clicks or words that the segmenter refused; the score stays
    seconds : from request to belief, in the same order
    """

    case: str
    structure: str
    segmenter: str
    start: str
    dice: tuple[float, ...]
    surface_dice_2mm: float
    surface_dice_4mm: float
    hd95_mm: float | None
    volume_cm3: float
    truth_cm3: float
    broken: int
    refused: int
    seconds: tuple[float, ...]

    @property
    def patient(self) -> str:
        """The case without its modality."""
        return self.case.split()[0]

    @property
    def auc(self) -> float:
        """Of the clicks; at most 4."""
        return trapezoid_auc(list(self.dice[1:]))

    def as_json(self) -> dict[str, Any]:
        held = {**self.__dict__, "auc": round(self.auc, 4)}
        held["dice"] = [round(v, 4) for v in self.dice]
        held["seconds"] = [round(v, 3) for v in self.seconds]
        return held


def volume_of(case: Case) -> Volume:
    """A case as a volume in patient space."""
    shape = case.image.shape
    geometry = Geometry(
        (shape[0], shape[1], shape[2]), (0.0, 0.0, 0.0), case.spacing_kji_mm,
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )  # fmt: skip
    return Volume(np.ascontiguousarray(case.image.astype(np.float32)), geometry, case.modality)


def box_prompt(truth: BoolArray, geometry: Geometry, random: np.random.RandomState) -> BoxPrompt:
    """The benchmark's box: on the middle slice, each side loosened by 0 to 5 pixels of a 256-pixel image."""
    k, j0, j1, i0, i1 = middle_box(truth)
    rows, columns = truth.shape[1:]
    loose = random.randint(0, 6, 4) * np.array([rows, rows, columns, columns]) / 256
    j0, j1 = max(0, j0 - round(loose[0])), min(rows - 1, j1 + round(loose[1]))
    i0, i1 = max(0, i0 - round(loose[2])), min(columns - 1, i1 + round(loose[3]))
    corners = geometry.to_lps([(k, j0, i0), (k, j0, i1), (k, j1, i1), (k, j1, i0)])
    a, b, c, d = (_point(p) for p in corners)
    return BoxPrompt(corners_lps=(a, b, c, d))


def contour(
    segmenter: Segmenter, volume: Volume, case: str, structure: str, truth: BoolArray, start: str, clicks: int = CLICKS
) -> Row:
    """Contour one structure by the protocol."""
    named = TG263.get(structure, structure)
    prompts: list[Prompt] = (
        [TextPrompt(phrase=named)]
        if start == "both"
        else [box_prompt(truth, volume.geometry, np.random.RandomState(42))]
    )
    asked = named if start == "both" else UNNAMED
    scores: list[float] = []
    seconds: list[float] = []
    marked: list[Click] = []
    mask, refused = np.zeros(truth.shape, np.bool_), 0
    for step in range(clicks + 1):
        if step:
            click = next_click(truth, mask)
            if click is None:
                scores.append(scores[-1])
                continue
            marked.append(click)
            polarity = Polarity.INCLUDE if click.include else Polarity.EXCLUDE
            prompts.append(PointPrompt(position_lps=_point(volume.geometry.to_lps(click.kji)), polarity=polarity))
        began = time.perf_counter()
        try:
            mask = segmenter.propose(SegmentationRequest(volume, asked, tuple(prompts))).mask()
        except PromptError:  # words it cannot act on, or a click it refuses (a truth drawn beyond the skin)
            if not step and start != "both":
                raise
            prompts.pop()
            refused += 1
            if step:
                marked.pop()
        seconds.append(time.perf_counter() - began)
        scores.append(dice(mask, truth))
    distances = surface_distances(mask, truth, volume.geometry.spacing_kji_mm)
    scale = volume.geometry.voxel_volume_mm3 / 1000
    return Row(
        case, structure, segmenter.name, start, tuple(scores),
        distances.surface_dice(2) if distances else 0.0, distances.surface_dice(4) if distances else 0.0,
        distances.hausdorff_mm() if distances else None,
        float(mask.sum()) * scale, float(truth.sum()) * scale,
        sum(bool(mask[c.kji]) != c.include for c in marked), refused, tuple(seconds),
    )  # fmt: skip


def _point(values: npt.ArrayLike) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in np.asarray(values))
    return x, y, z


@dataclass(eq=False)
class Evaluation:
    """Rows of several patients, with what they say together."""

    rows: list[Row] = field(default_factory=list)

    def summary(self) -> list[dict[str, Any]]:
        """Per start and structure, and "all": the mean of the structures' means, with intervals over patients."""
        found = []
        for start in sorted({row.start for row in self.rows}):
            rows = [row for row in self.rows if row.start == start]
            names = sorted({row.structure for row in rows})
            tables = [_means(start, n, [r for r in rows if r.structure == n]) for n in names]
            found += tables
            if len(names) > 1:
                found.append(_macro(start, tables, rows))
        return found


_MEASURES: dict[str, Callable[[Row], float]] = {
    "first": lambda r: r.dice[0],
    "final": lambda r: r.dice[-1],
    "auc": lambda r: r.auc,
    "surface_dice_2mm": lambda r: r.surface_dice_2mm,
    "surface_dice_4mm": lambda r: r.surface_dice_4mm,
}


def _means(start: str, structure: str, rows: list[Row]) -> dict[str, Any]:
    table: dict[str, Any] = {"start": start, "structure": structure, "patients": len({r.patient for r in rows})}
    for name, measure in _MEASURES.items():
        table[name] = round(float(np.mean([measure(r) for r in rows])), 4)
    table["dice"] = [round(float(v), 4) for v in np.mean([r.dice for r in rows], axis=0)]
    known = [r.hd95_mm for r in rows if r.hd95_mm is not None]
    table["hd95_mm"] = round(float(np.mean(known)), 2) if known else None
    table["broken_clicks"], table["refused_clicks"] = sum(r.broken for r in rows), sum(r.refused for r in rows)
    return table


def _macro(start: str, tables: list[dict[str, Any]], rows: list[Row]) -> dict[str, Any]:
    patients = sorted({r.patient for r in rows})
    names = [table["structure"] for table in tables]
    macro: dict[str, Any] = {"start": start, "structure": "all", "patients": len(patients)}
    for name, measure in _MEASURES.items():
        macro[name] = round(float(np.mean([t[name] for t in tables])), 4)
        held = np.full((len(patients), len(tables)), np.nan)
        for row in rows:
            place = patients.index(row.patient), names.index(row.structure)
            held[place] = measure(row)
        macro[f"{name}_interval"] = [round(v, 4) for v in bootstrap(held)]
    macro["dice"] = [round(float(v), 4) for v in np.mean([t["dice"] for t in tables], axis=0)]
    seconds = [s for r in rows for s in r.seconds[1:]]
    macro["seconds_p50"], macro["seconds_p95"] = (round(float(v), 3) for v in np.percentile(seconds, [50, 95]))
    macro["broken_clicks"], macro["refused_clicks"] = sum(r.broken for r in rows), sum(r.refused for r in rows)
    macro["worst_fall"] = round(max(float(-min(np.diff(macro["dice"][1:]), default=0.0)), 0.0), 4)
    return macro


def evaluate(
    segmenter: Segmenter, cases: Iterable[Case], structures: tuple[str, ...], starts: tuple[str, ...],
    tell: Callable[[str], object] = lambda _: None,
) -> Evaluation:  # fmt: skip
    """Contour every contoured structure of every case."""
    done = Evaluation()
    for case in cases:
        volume = volume_of(case)
        for structure in structures:
            if structure not in case.known or not (truth := case.mask(structure)).any():
                continue
            for start in starts:
                tell(f"{case.name} {structure} {start}")
                done.rows.append(contour(segmenter, volume, case.name, structure, truth, start))
    return done

"""One structure contoured by the interactive benchmark: words or a box, five clicks, and what came of each.

The protocol is that of the CVPR 2025 interactive segmentation challenge (docs/concepts/benchmark.md): a box on the
middle slice, then five clicks at the deepest point of the largest error. A second run starts from the structure's name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Polarity, Prompt, TextPrompt
from osirix_agent.segmenter.protocol import SegmentationRequest, Segmenter
from osirix_agent.training.cases import Case
from osirix_agent.training.clicks import Click, middle_box, next_click
from osirix_agent.training.metrics import surface_distances, trapezoid_auc
from osirix_agent.training.phrases import TG263
from osirix_agent.training.summary import Measure, summarise

BoolArray = npt.NDArray[np.bool_]

CLICKS = 5
WANTED = 0.85  # the Dice to which clicks are counted
FAR_MM = 30.0  # beyond it a voxel is far from a click
UNNAMED = "Structure"  # a name that says nothing


@dataclass(frozen=True, eq=False)
class Contoured:
    """An image with its reference contours.

    Attributes
    ----------
    name : the patient's pseudonym, then the modality where a patient has several images
    truths : structure to (k, j, i) bool; what is not named is unknown
    """

    name: str
    volume: Volume
    truths: dict[str, BoolArray]


@dataclass(frozen=True)
class Row:
    """One structure of one patient, asked for in one way."""

    case: str
    structure: str
    segmenter: str

    @property
    def patient(self) -> str:
        """The case without its modality."""
        return self.case.split()[0]


@dataclass(frozen=True)
class ClickRow(Row):
    """Contoured once by the protocol.

    Attributes
    ----------
    start : "clicks" (a box without a name, then clicks), "both" (the name, then clicks) or "words" (the name alone)
    dice : after the box or the name, then after each click
    far : share of the voxels changed by clicks that lie farther than `FAR_MM` from the click; None: none changed
    broken : clicks whose voxel did not end on its own side
    refused : clicks or words that the segmenter refused; the score stays
    seconds : from request to belief, in the same order
    prompts : all that were given, oldest first
    """

    start: str
    dice: tuple[float, ...]
    surface_dice_2mm: float
    surface_dice_4mm: float
    hd95_mm: float | None
    volume_cm3: float
    truth_cm3: float
    far: float | None
    broken: int
    refused: int
    seconds: tuple[float, ...]
    prompts: tuple[Prompt, ...] = field(repr=False)

    @property
    def auc(self) -> float:
        """Of the clicks; at most 4."""
        return trapezoid_auc(list(self.dice[1:]))

    @property
    def clicks_needed(self) -> int | None:
        """Clicks until Dice first reached `WANTED`; None: it never did."""
        return next((n for n, score in enumerate(self.dice) if score >= WANTED), None)

    def as_json(self) -> dict[str, Any]:
        held = {"row": self.start, **self.__dict__, "auc": round(self.auc, 4), "clicks_needed": self.clicks_needed}
        del held["prompts"]
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


def contoured(case: Case, structures: Iterable[str]) -> Contoured:
    """A case with those of the structures that are known of it and lie in the image."""
    known = {s: case.mask(s) for s in structures if s in case.known}
    return Contoured(case.name, volume_of(case), {s: mask for s, mask in known.items() if mask.any()})


def click_prompt(click: Click, geometry: Geometry) -> PointPrompt:
    """A simulated click as the prompt that it is."""
    polarity = Polarity.INCLUDE if click.include else Polarity.EXCLUDE
    return PointPrompt(position_lps=point(geometry.to_lps(click.kji)), polarity=polarity)


def box_prompt(truth: BoolArray, geometry: Geometry, random: np.random.RandomState) -> BoxPrompt:
    """The benchmark's box: on the middle slice, each side loosened by 0 to 5 pixels of a 256-pixel image."""
    k, j0, j1, i0, i1 = middle_box(truth)
    rows, columns = truth.shape[1:]
    loose = random.randint(0, 6, 4) * np.array([rows, rows, columns, columns]) / 256
    j0, j1 = max(0, j0 - round(loose[0])), min(rows - 1, j1 + round(loose[1]))
    i0, i1 = max(0, i0 - round(loose[2])), min(columns - 1, i1 + round(loose[3]))
    corners = geometry.to_lps([(k, j0, i0), (k, j0, i1), (k, j1, i1), (k, j1, i0)])
    a, b, c, d = (point(p) for p in corners)
    return BoxPrompt(corners_lps=(a, b, c, d))


def spelt(structure: str) -> str:
    """The name by which a structure is asked for: TG-263 where the data set has another."""
    return TG263.get(structure, structure)


def unsaid(segmenter: Segmenter, structure: str) -> str:
    """A name to ask by that does not say where to look: one that says nothing; or the structure's own, which chooses
    an adapter made for it, where the segmenter tells what it finds from words and this is not among it."""
    name, found = spelt(structure), segmenter.capabilities.structures
    return name if found and name not in found else UNNAMED


def contour(segmenter: Segmenter, volume: Volume, case: str, structure: str, truth: BoolArray, start: str) -> ClickRow:
    """Contour one structure by the protocol."""
    named = start != "clicks"
    asked = spelt(structure) if named else unsaid(segmenter, structure)
    prompts: list[Prompt] = (
        [TextPrompt(phrase=asked)] if named else [box_prompt(truth, volume.geometry, np.random.RandomState(42))]
    )
    scores: list[float] = []
    seconds: list[float] = []
    marked: list[Click] = []
    mask, refused, changed, far = np.zeros(truth.shape, np.bool_), 0, 0, 0
    for step in range(1 if start == "words" else CLICKS + 1):
        if step:
            click = next_click(truth, mask)
            if click is None:
                scores.append(scores[-1])
                continue
            marked.append(click)
            prompts.append(click_prompt(click, volume.geometry))
        began = time.perf_counter()
        try:
            answer = segmenter.propose(SegmentationRequest(volume, asked, tuple(prompts))).mask()
            if step:
                counts = changed_voxels(mask, answer, volume.geometry, marked[-1].kji)
                changed, far = changed + counts[0], far + counts[1]
            mask = answer
        except PromptError:  # words it cannot act on, or a click it refuses (a truth drawn beyond the skin)
            if not step and not named:
                raise
            prompts.pop()
            refused += 1
            if step:
                marked.pop()
        seconds.append(time.perf_counter() - began)
        scores.append(dice(mask, truth))
    distances = surface_distances(mask, truth, volume.geometry.spacing_kji_mm)
    scale = volume.geometry.voxel_volume_mm3 / 1000
    return ClickRow(
        case, structure, segmenter.name, start, tuple(scores),
        distances.surface_dice(2) if distances else 0.0, distances.surface_dice(4) if distances else 0.0,
        distances.hausdorff_mm() if distances else None,
        float(mask.sum()) * scale, float(truth.sum()) * scale, far / changed if changed else None,
        sum(bool(mask[c.kji]) != c.include for c in marked), refused, tuple(seconds), tuple(prompts),
    )  # fmt: skip


def changed_voxels(
    before: BoolArray, after: BoolArray, geometry: Geometry, click_kji: tuple[int, int, int]
) -> tuple[int, int]:
    """How many voxels a click changed, and how many of them lie farther than `FAR_MM` from it."""
    changed = np.argwhere(before != after)
    away_mm = np.linalg.norm((changed - np.array(click_kji)) @ geometry.matrix.T, axis=1)
    return len(changed), int((away_mm > FAR_MM).sum())


def point(values: npt.ArrayLike) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in np.asarray(values))
    return x, y, z


_WORDS: dict[str, Measure[ClickRow]] = {
    "first": lambda r: r.dice[0],
    "surface_dice_2mm": lambda r: r.surface_dice_2mm,
    "surface_dice_4mm": lambda r: r.surface_dice_4mm,
    "hd95_mm": lambda r: r.hd95_mm,
}
_CLICKS: dict[str, Measure[ClickRow]] = _WORDS | {
    "final": lambda r: r.dice[-1],
    "auc": lambda r: r.auc,
    "clicks_to_085": lambda r: CLICKS if r.clicks_needed is None else r.clicks_needed,
    "reached_085": lambda r: r.clicks_needed is not None,
    "changed_far": lambda r: r.far,
}


def summarise_clicks(start: str, rows: Sequence[ClickRow]) -> list[dict[str, Any]]:
    """Per structure and over all: the scores, and whether clicks only ever help (a fall is a positive number)."""
    tables = summarise(rows, _WORDS if start == "words" else _CLICKS)
    each = {
        t["structure"]: np.mean([r.dice for r in rows if r.structure == t["structure"]], axis=0)
        for t in tables
        if t["structure"] != "all"
    }
    for table in tables:
        name = table["structure"]
        held = [r for r in rows if name in ("all", r.structure)]
        course = np.mean(list(each.values()), axis=0) if name == "all" else each[name]
        table |= {
            "row": start, "start": start, "dice": [round(float(v), 4) for v in course],
            "refused_clicks": sum(r.refused for r in held),
        }  # fmt: skip
        if start != "words":
            falls = [float(-np.diff(r.dice).min()) for r in held]
            table |= {
                "change": [round(float(v), 4) for v in np.diff(course)],
                "worst_fall": round(max(0.0, float(-np.diff(course).min())), 4),
                "worst_fall_of_one": round(max(0.0, *falls), 4),
                "broken_clicks": sum(r.broken for r in held),
                "clicks_hold": not any(r.broken for r in held),
            }  # fmt: skip
        seconds = [s for r in held for s in (r.seconds[1:] or r.seconds)]
        if seconds:
            table["seconds_p50"], table["seconds_p95"] = (round(float(v), 3) for v in np.percentile(seconds, [50, 95]))
    return tables

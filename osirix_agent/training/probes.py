"""What the protocol does not ask: do clicks a little off matter, does the side, and is what is not there left out?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt, Polarity, Prompt, TextPrompt
from osirix_agent.segmenter.protocol import SegmentationRequest, Segmenter
from osirix_agent.training.contouring import ClickRow, Contoured, Row, point, spelt
from osirix_agent.training.summary import Measure, summarise

BoolArray = npt.NDArray[np.bool_]

JITTER_MM = (2.0, 3.0)
JITTER_SEEDS = (1, 2, 3, 4)
TRIES = 20  # directions looked at before a click stays where it was
RIGHT_DICE = 0.5  # with the named side, at least
GAP_MM = 20.0  # from an absent organ to the end of the image
LEAST_MM = 50.0  # of image that must remain
EMPTY_CM3 = 1.0
OTHER_SIDE = {"_L": "_R", "_R": "_L"}


@dataclass(frozen=True)
class JitterRow(Row):
    """The protocol's clicks, each moved by 2 to 3 mm on its own side of the contour; Dice at the end, one a seed."""

    dice: tuple[float, ...]

    @property
    def spread(self) -> float | None:
        """Standard deviation of Dice (n - 1)."""
        return float(np.std(self.dice, ddof=1)) if len(self.dice) > 1 else None

    def as_json(self) -> dict[str, Any]:
        return {"row": "jitter", **self.__dict__, "spread": self.spread}


@dataclass(frozen=True)
class SideRow(Row):
    """A sided structure asked for in words.

    Attributes
    ----------
    named, other : Dice with the contour of the side that was named, and of the other
    swapped : Dice with this structure's contour when the other side is named
    """

    named: float
    other: float
    swapped: float

    @property
    def right(self) -> bool:
        return self.named > RIGHT_DICE and self.named > self.other

    @property
    def follows(self) -> bool:
        """Did swapping the side in the name take the answer away?"""
        return self.swapped < self.named

    def as_json(self) -> dict[str, Any]:
        return {"row": "side", **self.__dict__, "right": self.right, "follows": self.follows}


@dataclass(frozen=True)
class AbsentRow(Row):
    """A structure asked for in words where it is, and where it is not.

    Attributes
    ----------
    cm3_absent : answer on the image cut so that the structure lies `GAP_MM` or more beyond its end; None: no room
    cm3_present : answer on the whole image, where the structure lies inside; None: it touches the image's border
    """

    truth_cm3: float
    cm3_absent: float | None
    cm3_present: float | None

    @property
    def left_out(self) -> bool | None:
        return None if self.cm3_absent is None else self.cm3_absent < EMPTY_CM3

    @property
    def false_empty(self) -> bool | None:
        """Nothing found where it is; of a structure smaller than the limit, half of it counts as found."""
        return None if self.cm3_present is None else self.cm3_present < min(EMPTY_CM3, self.truth_cm3 / 2)

    def as_json(self) -> dict[str, Any]:
        return {"row": "absent", **self.__dict__, "left_out": self.left_out, "false_empty": self.false_empty}


def jitter(segmenter: Segmenter, image: Contoured, row: ClickRow, structure_asked: str) -> JitterRow:
    """The prompts of a contouring again, its clicks moved; a seed whose clicks are refused is left out."""
    truth, found = image.truths[row.structure], []
    for seed in JITTER_SEEDS:
        random = np.random.default_rng(seed)
        prompts = tuple(_moved(p, truth, image.volume.geometry, random) for p in row.prompts)
        try:
            mask = segmenter.propose(SegmentationRequest(image.volume, structure_asked, prompts)).mask()
        except PromptError:
            continue
        found.append(round(dice(mask, truth), 4))
    return JitterRow(row.case, row.structure, row.segmenter, tuple(found))


def sides(segmenter: Segmenter, image: Contoured) -> Iterator[SideRow]:
    """Both of every pair that is contoured on both sides and that the segmenter can be asked for."""
    by_name = {spelt(structure): structure for structure in image.truths}
    for name, structure in by_name.items():
        other = by_name.get(name[:-2] + OTHER_SIDE[name[-2:]]) if name[-2:] in OTHER_SIDE else None
        if other is None:
            continue
        answer, swapped = (ask(segmenter, image.volume, s) for s in (structure, other))
        if answer is not None and swapped is not None:
            truth = image.truths[structure]
            yield SideRow(
                image.name, structure, segmenter.name,
                dice(answer, truth), dice(answer, image.truths[other]), dice(swapped, truth),
            )  # fmt: skip


def absent(segmenter: Segmenter, image: Contoured, structure: str) -> AbsentRow | None:
    """One structure; None where the segmenter cannot be asked for it, or nothing can be learnt."""
    truth, scale = image.truths[structure], image.volume.geometry.voxel_volume_mm3 / 1000
    inside = not any(truth[face].any() for axis in range(3) for face in _faces(axis))
    cut = without(image.volume, truth)
    answers = [ask(segmenter, v, structure) if v is not None else None for v in (cut, image.volume if inside else None)]
    volumes = [None if mask is None else round(float(mask.sum()) * scale, 3) for mask in answers]
    if volumes == [None, None]:
        return None
    return AbsentRow(image.name, structure, segmenter.name, round(float(truth.sum()) * scale, 3), *volumes)


def ask(segmenter: Segmenter, volume: Volume, structure: str) -> BoolArray | None:
    """(k, j, i): the answer to a structure's name alone; None: refused."""
    name = spelt(structure)
    try:
        return segmenter.propose(SegmentationRequest(volume, name, (TextPrompt(phrase=name),))).mask()
    except PromptError:
        return None


def without(volume: Volume, truth: BoolArray) -> Volume | None:
    """The larger end of the stack that stays `GAP_MM` away from a structure; None: less than `LEAST_MM` of image."""
    step = volume.geometry.spacing_kji_mm[0]
    held = np.flatnonzero(truth.any(axis=(1, 2)))
    gap = int(np.ceil(GAP_MM / step - 1e-9)) + 1  # whole slices between the structure's last and the first that is kept
    ends = [range(max(0, int(held[0]) - gap + 1)), range(int(held[-1]) + gap, len(truth))]
    shown = np.ptp(volume.array, axis=(1, 2)) > 0  # slices that are more than padding
    kept = max(ends, key=lambda end: int(shown[end.start : end.stop].sum()))
    if not kept or int(shown[kept.start : kept.stop].sum()) * step < LEAST_MM:
        return None
    geometry = volume.geometry
    origin = point(geometry.to_lps((kept.start, 0, 0)))
    cut = replace(geometry, shape_kji=(len(kept), *geometry.shape_kji[1:]), origin_lps=origin)
    return Volume(np.ascontiguousarray(volume.array[kept.start : kept.stop]), cut, volume.modality)


def _moved(prompt: Prompt, truth: BoolArray, geometry: Geometry, random: np.random.Generator) -> Prompt:
    """A click moved to where the truth says the same; other prompts as they are."""
    if not isinstance(prompt, PointPrompt):
        return prompt
    include = prompt.polarity is Polarity.INCLUDE
    for _ in range(TRIES):
        direction = random.standard_normal(3)
        step = direction / np.linalg.norm(direction) * random.uniform(*JITTER_MM)
        there = np.array(prompt.position_lps) + step
        kji = tuple(np.round(geometry.to_kji(there)).astype(int))
        if geometry.contains(there) and bool(truth[kji]) == include:
            return prompt.model_copy(update={"position_lps": point(there)})
    return prompt


def _faces(axis: int) -> Iterator[tuple[slice | int, ...]]:
    for end in (0, -1):
        yield tuple(end if a == axis else slice(None) for a in range(3))


_MEASURES: dict[str, dict[str, Measure[Any]]] = {
    "jitter": {"dice": lambda r: float(np.mean(r.dice)) if r.dice else None, "spread": lambda r: r.spread},
    "side": {
        "right": lambda r: r.right, "follows": lambda r: r.follows,
        "named": lambda r: r.named, "other": lambda r: r.other, "swapped": lambda r: r.swapped,
    },
    "absent": {"left_out": lambda r: r.left_out, "false_empty": lambda r: r.false_empty},
}  # fmt: skip


def summarise_probe(kind: str, rows: Sequence[JitterRow | SideRow | AbsentRow]) -> list[dict[str, Any]]:
    """Per structure and over all; shares are 0 to 1."""
    return [{"row": kind, **table} for table in summarise(rows, _MEASURES[kind])]

"""The benchmark's clicks stopped at some of them: what a segmenter believed then, kept on disk once it was worked out.

Contouring costs seconds a structure and depends on the segmenter, the image and the protocol alone, so calibration and
measurement read what is there and add what is missing: either may be stopped, or shared between processes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import signed_distance
from osirix_agent.errors import PromptError
from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting.prompt import Prompt, TextPrompt
from osirix_agent.segmenter.protocol import Describes, SegmentationRequest, Segmenter, SeveralWeights
from osirix_agent.training.contouring import UNNAMED, Contoured, box_prompt, contour, spelt, unsaid
from osirix_agent.training.probes import without
from osirix_agent.whole import whole

COUNTS = (0, 1, 2, 5)  # clicks after the name or the box
AROUND_MM = 6.0  # more than what is measured
FORMAT = 1  # of what is kept: another one is worked out again
_Answers = list[tuple[int, tuple[Prompt, ...], Belief]]  # clicks, prompts, what was believed
_PROMPTS: TypeAdapter[tuple[Prompt, ...]] = TypeAdapter(tuple[Prompt, ...])


@dataclass(frozen=True, eq=False)
class Stage:
    """One structure of one patient after so many clicks, as the segmenter sees it.

    Attributes
    ----------
    patient : the case without its modality
    belief : without a spread
    truth : (k, j, i) bool, the observer's
    description : of the image by the segmenter's network; None: it has none
    key : what it follows from
    """

    patient: str
    structure: str
    clicks: int
    request: SegmentationRequest
    belief: Belief
    truth: npt.NDArray[np.bool_]
    description: npt.NDArray[np.float64] | None = None
    key: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """As she would call the structure."""
        return spelt(self.structure)

    @property
    def kind(self) -> str:
        return kind_of(self.name)

    @property
    def drawn(self) -> int:
        """Prompts that are no words, by which a fit is chosen: the last of `COUNTS` that they reach."""
        return max(count for count in COUNTS if count <= len(self.request.drawn))

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        return np.array(self.request.volume.geometry.spacing_kji_mm)

    @cached_property
    def around(self) -> tuple[tuple[slice, ...], npt.NDArray[np.float32]]:
        """The truth with `AROUND_MM` about it, and there the signed distance (mm) to its surface."""
        held = np.argwhere(self.truth)
        room = np.ceil(AROUND_MM / self.spacing).astype(int)
        box = tuple(slice(max(0, a - r), b + 1 + r) for a, b, r in zip(held.min(0), held.max(0), room, strict=True))
        return box, signed_distance(np.where(self.truth[box], 1, -1).astype(np.float32), self.spacing)


class Staging:
    """Stages of a segmenter's answers.

    Parameters
    ----------
    folder : where they are kept; None: nowhere. It holds no image and no name, but what was made of patients' images.
    """

    def __init__(
        self, segmenter: Segmenter, folder: Path | None, tell: Callable[[str], object] = lambda _: None
    ) -> None:
        self.segmenter, self._folder, self._tell = segmenter, folder, tell
        self._described: tuple[str, npt.NDArray[np.float64]] | None = None

    def of(self, images: Iterable[Contoured]) -> Iterator[Stage]:
        """Every structure of every image: half of those that the segmenter can find by name so, the rest from a box."""
        able = self.segmenter.capabilities
        for image in images:
            for structure in image.truths:
                named = able.text and spelt(structure) in able.structures
                yield from self.stages(image, structure, "both" if named and _even(image, structure) else "clicks")

    def stages(self, image: Contoured, structure: str, start: str, counts: Sequence[int] = COUNTS) -> list[Stage]:
        """One structure's stages; those that the segmenter refuses are left out."""
        truth = image.truths[structure]
        asked = spelt(structure) if start == "both" else unsaid(self.segmenter, structure)
        source = _source(self.segmenter, asked)
        key = (FORMAT, source, image.volume.digest, _digest(truth), structure, start, list(counts))

        def ask() -> _Answers:
            self._tell(f"{image.name} {structure}")
            return self._contoured(image, structure, start, counts)

        found = self._kept(key, ask)
        patient, seen = image.name.split()[0], self._description(image, source)
        return [
            Stage(
                patient,
                structure,
                count,
                SegmentationRequest(image.volume, asked, prompts),
                belief,
                truth,
                seen,
                (*key, count),
            )
            for count, prompts, belief in found
        ]

    def first(self, image: Contoured, structure: str) -> Stage | None:
        """The answer to a structure's box alone; None: it is refused."""
        truth = image.truths[structure]
        prompts = (box_prompt(truth, image.volume.geometry, np.random.RandomState(42)),)
        request = SegmentationRequest(image.volume, UNNAMED, prompts)
        source = _source(self.segmenter, UNNAMED)
        key = (FORMAT, source, image.volume.digest, _digest(truth), structure, "box")

        def ask() -> _Answers:
            with suppress(PromptError):
                return [(0, prompts, self.segmenter.propose(request))]
            return []

        found = self._kept(key, ask)
        if not found:
            return None
        seen = self._description(image, source)
        return Stage(image.name.split()[0], structure, 0, request, found[0][2], truth, seen, key)

    def absent(self, image: Contoured, structure: str) -> Stage | None:
        """The answer to a structure's name on a part of the image that it is not in; None: no room, or refused."""
        cut, asked = without(image.volume, image.truths[structure]), spelt(structure)
        if cut is None or asked not in self.segmenter.capabilities.structures:
            return None
        request = SegmentationRequest(cut, asked, (TextPrompt(phrase=asked),))
        key = (FORMAT, _source(self.segmenter, asked), cut.digest, structure, "absent")

        def ask() -> _Answers:
            with suppress(PromptError):
                return [(0, request.prompts, self.segmenter.propose(request))]
            return []

        found = self._kept(key, ask)
        nothing = np.zeros(cut.geometry.shape_kji, np.bool_)
        return Stage(image.name.split()[0], structure, 0, request, found[0][2], nothing, None, key) if found else None

    def another(self, stage: Stage, name: str, ask: Callable[[], Belief]) -> Belief:
        """Another method's answer to a stage, worked out once."""
        found = self._kept((*stage.key, name), lambda: [(stage.clicks, stage.request.prompts, ask())])
        return found[0][2]

    def _kept(self, key: Sequence[object], ask: Callable[[], _Answers]) -> _Answers:
        path = self.path(key)
        if path is not None and path.is_file():
            return _read(path)
        found = ask()
        if path is None:
            return found
        _write(path, found)
        return _read(path)  # as the next time: it is kept in half precision

    def _description(self, image: Contoured, source: str) -> npt.NDArray[np.float64] | None:
        if not isinstance(self.segmenter, Describes):
            return None
        if self._described is None or self._described[0] != image.volume.digest:
            path = self.path([FORMAT, source, image.volume.digest, "description"])
            if path is not None and path.is_file():
                with np.load(path) as held:
                    found = held["description"]
            else:
                found = self.segmenter.describe(image.volume)
                if path is not None:
                    _save(path, description=found)
            self._described = image.volume.digest, found
        return self._described[1]

    def _contoured(self, image: Contoured, structure: str, start: str, counts: Sequence[int]) -> _Answers:
        kept = _Noted(self.segmenter)
        try:
            row = contour(kept, image.volume, image.name, structure, image.truths[structure], start)
        except PromptError:  # the box itself is refused
            return []
        return [
            (count, row.prompts[: count + 1], kept.answers[row.prompts[: count + 1]])
            for count in counts
            if count < len(row.prompts) and row.prompts[: count + 1] in kept.answers
        ]

    def path(self, key: Sequence[object]) -> Path | None:
        """The file for what follows from a key; None: nothing is kept."""
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.npz"


class _Noted:
    """A segmenter whose answers are kept by their prompts."""

    def __init__(self, inner: Segmenter) -> None:
        self._inner, self.capabilities, self.name = inner, inner.capabilities, inner.name
        self.answers: dict[tuple[Prompt, ...], Belief] = {}

    def propose(self, request: SegmentationRequest) -> Belief:
        found = self._inner.propose(request)
        self.answers[request.prompts] = found
        return found


def _source(segmenter: Segmenter, asked: str) -> str:
    """What the answer comes from: adapters that answer for others change nothing of it."""
    return segmenter.source_for(asked) if isinstance(segmenter, SeveralWeights) else segmenter.name


def _even(image: Contoured, structure: str) -> bool:
    """Chance by name: whatever else is contoured, this one begins as it always did."""
    return hashlib.sha256(f"{image.name} {structure}".encode()).digest()[0] % 2 == 0


def _digest(mask: npt.NDArray[np.bool_]) -> str:
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()


def _write(path: Path, found: _Answers) -> None:
    about = [
        {
            "clicks": count, "prompts": _PROMPTS.dump_python(prompts, mode="json"), "corner": belief.corner_kji,
            "shape": belief.shape_kji, "source": belief.source,
        }
        for count, prompts, belief in found
    ]  # fmt: skip
    logits = {f"logit{n}": belief.mean_logit.astype(np.float16) for n, (_, _, belief) in enumerate(found)}
    _save(path, about=np.array(json.dumps(about)), **logits)


def _save(path: Path, **arrays: npt.NDArray[Any]) -> None:
    with whole(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _read(path: Path) -> _Answers:
    with np.load(path) as held:
        return [
            (
                int(one["clicks"]), _PROMPTS.validate_python(one["prompts"]),
                Belief(held[f"logit{n}"].astype(np.float32), tuple(one["corner"]), tuple(one["shape"]), one["source"]),
            )
            for n, one in enumerate(json.loads(str(held["about"])))
        ]  # fmt: skip

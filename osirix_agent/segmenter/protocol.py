"""The seam that does not change: `Segmenter.propose(SegmentationRequest) -> Belief`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from osirix_agent.belief.belief import Belief
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointLps, Prompt, TextPrompt


class FixedSlice(BaseModel):
    """A slice that the clinician has edited: its outline is hers, and evidence for the slices beside it.

    Attributes
    ----------
    k : int
    rings_lps : closed rings, LPS mm, even-odd; empty: nothing of the structure is there
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int
    rings_lps: tuple[tuple[PointLps, ...], ...]


@dataclass(frozen=True, eq=False)
class SegmentationRequest:
    """All that a proposal depends on: equal requests have equal digests and, on one build, equal beliefs.

    Attributes
    ----------
    volume : Volume
    structure : str
        Name of what is segmented.
    prompts : tuple of Prompt
        Oldest first.
    fixed : tuple of FixedSlice
    excluded : tuple of Belief
        Locked structures: their masks are never overlapped.
    """

    volume: Volume
    structure: str
    prompts: tuple[Prompt, ...]
    fixed: tuple[FixedSlice, ...] = ()
    excluded: tuple[Belief, ...] = ()

    @property
    def drawn(self) -> tuple[Prompt, ...]:
        """The prompts that are no words."""
        return tuple(prompt for prompt in self.prompts if not isinstance(prompt, TextPrompt))

    @cached_property
    def digest(self) -> str:
        parts = {
            "volume": self.volume.digest,
            "structure": self.structure,
            "prompts": [p.model_dump(mode="json") for p in self.prompts],
            "fixed": [f.model_dump(mode="json") for f in self.fixed],
            "excluded": [b.mask_digest for b in self.excluded],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Capabilities:
    """What a segmenter can take.

    Attributes
    ----------
    text, clicks : can it take words? marks on the image?
    structures : those that it finds from their names alone
    """

    text: bool = False
    clicks: bool = True
    structures: tuple[str, ...] = ()


class Segmenter(Protocol):
    """Answers requests; holds no session state, so any request may follow any other."""

    @property
    def name(self) -> str:
        """Name and version, written to the journal."""

    @property
    def capabilities(self) -> Capabilities: ...

    def propose(self, request: SegmentationRequest) -> Belief:
        """The belief about the request's structure.

        Raises
        ------
        PromptError
            The prompts cannot be acted on: nothing says where the structure is, a position lies outside the image
            or the body, or words come to a segmenter that cannot read.
        """


@runtime_checkable
class SeveralWeights(Protocol):
    """A segmenter of several sets of weights, each of which answers for some structures and is calibrated alone."""

    @property
    def sources(self) -> tuple[str, ...]:
        """What beliefs may say they come from."""

    def source_for(self, structure: str) -> str:
        """What an answer asked for by that name comes from."""


def sources_of(segmenter: Segmenter) -> tuple[str, ...]:
    """What a segmenter's beliefs may say they come from."""
    return segmenter.sources if isinstance(segmenter, SeveralWeights) else (segmenter.name,)


@runtime_checkable
class LooksAhead(Protocol):
    """A segmenter that does better when it sees the volume before the first prompt."""

    def look(self, volume: Volume) -> None:
        """Prepare what all prompts on this volume share."""


@runtime_checkable
class Describes(Protocol):
    """A segmenter whose network can say what it makes of an image, to tell whether it has seen its like."""

    def describe(self, volume: Volume) -> npt.NDArray[np.float64]:
        """(d,) features of the whole image; the same d for every image."""

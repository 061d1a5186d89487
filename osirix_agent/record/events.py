"""The events of a session, as they stand in the journal: one JSON object a line, pseudonymous by construction.

Nothing here can carry a patient's name: UIDs come as keyed pseudonyms, ROI names as TG-263 names or pseudonyms, typed
words only as canonical phrases.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from osirix_agent.prompting.prompt import PointLps, Prompt

SCHEMA_VERSION = 2  # 2: what a session is continued from (RoiMark, Baseline, Resumed)


class RoiMark(BaseModel):
    """By what an ROI is known again: slice, kind and digest of its shape; nothing of its name but a pseudonym."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int
    itype: int
    shape: str
    name: str


class FixedRings(BaseModel):
    """An edited slice: rings in LPS mm, even-odd."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int
    rings_lps: tuple[tuple[PointLps, ...], ...]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: float = Field(description="wall clock, seconds since 1970")
    elapsed_s: float = Field(description="monotonic seconds since the session began")


class SessionStarted(_Event):
    event: Literal["session_started"] = "session_started"
    schema_version: int = SCHEMA_VERSION
    run: str
    patient: str
    study: str
    series: str
    slices: tuple[str, ...]
    modality: str
    volume_digest: str
    shape_kji: tuple[int, int, int]
    spacing_kji_mm: tuple[float, float, float]
    segmenter: str
    versions: dict[str, str]
    device: str
    settings: dict[str, Any]


class Baseline(_Event):
    """What was in the viewer before the session."""

    event: Literal["baseline"] = "baseline"
    rois: tuple[RoiMark, ...]


class Resumed(_Event):
    """The session goes on after OsiriX, its viewer or the agent was gone."""

    event: Literal["resumed"] = "resumed"
    after: Literal["viewer", "agent"]


class PromptChanged(_Event):
    """A prompt was added, moved or removed, or its ROI let go."""

    event: Literal["prompt_changed"] = "prompt_changed"
    change: Literal["added", "changed", "removed", "let_go"]
    number: int
    structure: str
    prompt: Prompt
    viewer: int
    displayed_k: int
    roi: RoiMark | None = None
    permanent: bool = False


class PromptRefused(_Event):
    event: Literal["prompt_refused"] = "prompt_refused"
    kind: str
    reason: str


class SliceEdited(_Event):
    event: Literal["slice_edited"] = "slice_edited"
    structure: str
    fixed: FixedRings
    rois: tuple[tuple[int, RoiMark], ...] = Field((), description="(ordinal, ROI) of the slice")
    joined: bool = Field(False, description="the same step as the event before")


class CommandGiven(_Event):
    """undo, redo, accept, ... with the structure it names."""

    event: Literal["command_given"] = "command_given"
    verb: str
    structure: str | None


class StructureLocked(_Event):
    """The outline of a structure that was there before and is now protected."""

    event: Literal["structure_locked"] = "structure_locked"
    structure: str
    mask_digest: str
    slices: tuple[FixedRings, ...]


class Proposed(_Event):
    """A request, whole, and the digest of the mask it gave."""

    event: Literal["proposed"] = "proposed"
    structure: str
    request_digest: str
    prompts: tuple[Prompt, ...]
    fixed: tuple[FixedRings, ...]
    excluded: tuple[str, ...]
    mask_digest: str | None
    volume_mm3: float | None
    refused: str | None
    segment_ms: float


class Painted(_Event):
    event: Literal["painted"] = "painted"
    writes: int
    slices: int
    plan_ms: float
    paint_ms: float
    click_to_redraw_ms: float | None


class SliceDwelt(_Event):
    """She left a slice that her eyes had rested on; only where an eye tracker is watched."""

    event: Literal["slice_dwelt"] = "slice_dwelt"
    k: int
    seconds: float = Field(description="of fixations, this time")


class SessionEnded(_Event):
    event: Literal["session_ended"] = "session_ended"
    reason: str
    accepted: tuple[str, ...]


Event = Annotated[
    SessionStarted | Baseline | Resumed | PromptChanged | PromptRefused | SliceEdited | CommandGiven
    | StructureLocked | Proposed | Painted | SliceDwelt | SessionEnded,
    Field(discriminator="event"),
]  # fmt: skip
EVENT: TypeAdapter[Event] = TypeAdapter(Event)

PROMPT_BOUNDARIES = (SessionStarted, Baseline, PromptChanged, SliceEdited, CommandGiven, Proposed, SessionEnded)

"""The events of a session, as they stand in the journal: one JSON object a line, pseudonymous by construction.

Nothing here can carry a patient's name: UIDs come as keyed pseudonyms, ROI names as TG-263 names or pseudonyms, words
only as canonical phrases (a study's setting adds those of them that the grammar knows), dates shifted by whole weeks.
`docs/reference/log.md` is written from this module.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from osirix_agent.prompting.prompt import PointLps, Prompt

# 2: what a session is continued from (RoiMark, Baseline, Resumed)
# 3: a chain of links; modality, voxels, dwell; what was believed, said and decided; clinician; shifted dates
# 4: the grey window of a prompt; what a study mode drew by lot and when it was revealed; where her eyes rested
SCHEMA_VERSION = 4

PointKji = tuple[float, float, float]
Arm = Literal["uncertainty", "plain"]
Modality = Literal["mouse", "typed", "voice", "gaze", "button", "unknown"]


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


class Frame(BaseModel):
    """Where the voxels are: LPS mm = origin + sum of index x spacing x axis, over k, j and i."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin_lps: PointLps
    axes_lps: tuple[PointLps, PointLps, PointLps]


class BeliefSummary(BaseModel):
    """What was believed about a structure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume_mm3: float
    inner_mm3: float = Field(description="volume of a probability of 95 % or more")
    outer_mm3: float = Field(description="volume of a probability of 5 % or more: the band lies between the two")
    slices: int = Field(description="slices that the contour is on")
    looks: tuple[int, ...] = Field((), description="slices worth a look, best first")
    source: str = Field(description="segmenter, model and adapters, each with its version or digest")
    calibration: str | None = Field(None, description="id of the calibration; none: not calibrated")


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: float = Field(description="wall clock, seconds since 1970, shifted by whole weeks that the patient decides")
    elapsed_s: float = Field(description="monotonic seconds since the session began")


class SessionStarted(_Event):
    """Who and what, all as pseudonyms; the image by the digest of its values and its grid."""

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
    frame: Frame | None = None
    clinician: str | None = Field(None, description="pseudonym of who contours")
    nth: int | None = Field(None, description="of the site's sessions: their order, which shifted dates do not tell")


class Baseline(_Event):
    """What was in the viewer before the session."""

    event: Literal["baseline"] = "baseline"
    rois: tuple[RoiMark, ...]


class Resumed(_Event):
    """The session goes on after OsiriX, its viewer or the agent was gone."""

    event: Literal["resumed"] = "resumed"
    after: Literal["viewer", "agent"]
    missing: int = Field(0, description="events that the head counts and the journal has lost (a power failure)")


class PromptChanged(_Event):
    """A prompt was added, moved or removed, or its ROI let go."""

    event: Literal["prompt_changed"] = "prompt_changed"
    change: Literal["added", "changed", "removed", "let_go"]
    number: int
    structure: str
    prompt: Prompt
    viewer: int
    displayed_k: int
    modality: Modality
    roi: RoiMark | None = None
    permanent: bool = False
    points_kji: tuple[PointKji, ...] = Field((), description="voxels of its points; () for words and whole contours")
    dwell_s: float | None = Field(None, description="how long the displayed slice had been in view")
    level_width: tuple[float, float] | None = Field(
        None, description="grey window of the session's viewer: level and width in the image's units"
    )


class PromptRefused(_Event):
    """What she drew could not be used."""

    event: Literal["prompt_refused"] = "prompt_refused"
    kind: str
    reason: str


class SliceEdited(_Event):
    """She changed the contour on a slice; it is hers from then on."""

    event: Literal["slice_edited"] = "slice_edited"
    structure: str
    fixed: FixedRings
    rois: tuple[tuple[int, RoiMark], ...] = Field((), description="(ordinal, ROI) of the slice")
    joined: bool = Field(False, description="the same step as the event before")
    added_path_mm: float | None = Field(
        None, description="length of the new outline that was no outline before (Vaassen et al. 2020)"
    )


class CommandGiven(_Event):
    """undo, redo, accept, ... with the structure it names."""

    event: Literal["command_given"] = "command_given"
    verb: str
    structure: str | None
    modality: Modality


class Said(_Event):
    """A sentence that was understood: what it asked for, not how it was put."""

    event: Literal["said"] = "said"
    phrase: str = Field(description="canonical words of what it asked for")
    heard: float = Field(description="confidence of the speech recogniser; 1 for typed words")
    modality: Modality
    text: str | None = Field(None, description="a study's: the words as said, those unknown to the grammar left out")


class Decided(_Event):
    """A structure was accepted or rejected."""

    event: Literal["decided"] = "decided"
    structure: str
    decision: Literal["accepted", "rejected"]
    mask: str | None = Field(description="address in the store of what she saw, her edits included")
    prompts: int
    edited_slices: int
    added_path_mm: float = Field(description="of all edits since the last decision")
    since_first_prompt_s: float | None


class Revealed(_Event):
    """A study: from now on she sees what is proposed for a structure; what she drew before, she drew without."""

    event: Literal["revealed"] = "revealed"
    structure: str
    arm: Arm | None = Field(description="drawn by lot: with its uncertainty or without; none: no lot, so with it")
    blind: bool = Field(description="she had to draw her own contour first")


class Believed(_Event):
    """What the answer to a request says, once mask and belief are in the store."""

    event: Literal["believed"] = "believed"
    structure: str
    request_digest: str
    before: BeliefSummary | None
    after: BeliefSummary
    mask: str = Field(description="address in the store")
    belief: str | None = Field(description="address in the store")


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
    """The viewer was brought up to date."""

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


class PlaceLookedAt(_Event):
    """Her eyes rested on a place of the companion page's slice; only where an eye tracker is calibrated on the page."""

    event: Literal["place_looked_at"] = "place_looked_at"
    position_lps: PointLps = Field(description="mm")
    position_kji: PointKji = Field(description="the same as voxel index")
    axis: Literal[0, 1, 2] = Field(description="of (k, j, i), which the slice lies across: along it the place is exact")
    sd_mm: float = Field(description="standard deviation within the slice, either way, from the calibration")
    sharp_mm: float = Field(description="what is seen sharply around it, as a standard deviation: half a degree")
    seconds: float = Field(description="of the fixation")


class SessionEnded(_Event):
    """The session was left, and its drafts taken away."""

    event: Literal["session_ended"] = "session_ended"
    reason: str
    accepted: tuple[str, ...]


Event = Annotated[
    SessionStarted | Baseline | Resumed | PromptChanged | PromptRefused | SliceEdited | CommandGiven
    | Said | Decided | Revealed | StructureLocked | Proposed | Believed | Painted | SliceDwelt | PlaceLookedAt
    | SessionEnded,
    Field(discriminator="event"),
]  # fmt: skip
EVENT: TypeAdapter[Event] = TypeAdapter(Event)

# on disk before anything follows from them; a proposal can be asked for again, so a power failure may take the last one
PROMPT_BOUNDARIES = (
    SessionStarted,
    Baseline,
    PromptChanged,
    SliceEdited,
    CommandGiven,
    Decided,
    Revealed,
    SessionEnded,
)

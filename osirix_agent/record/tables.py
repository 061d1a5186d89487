"""A log as tables, one row a thing: what researchers read. `docs/reference/log.md` is written from these classes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from osirix_agent.prompting.prompt import prompt_points_lps
from osirix_agent.record.events import (
    BeliefSummary,
    Believed,
    CommandGiven,
    Decided,
    Event,
    Painted,
    PromptChanged,
    Proposed,
    Resumed,
    Revealed,
    Said,
    SessionEnded,
    SliceEdited,
)
from osirix_agent.record.sessions import Session

Points = list[list[float]]


class Row(BaseModel):
    """What every row has."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    table: ClassVar[str]

    session: str = Field(description="id of the session: joins the tables")


class SessionRow(Row):
    """One session on one series."""

    table: ClassVar[str] = "sessions"

    schema_version: int = Field(description="of the journal when it was begun")
    patient: str = Field(description="pseudonym")
    study: str = Field(description="pseudonym")
    series: str = Field(description="pseudonym")
    clinician: str | None = Field(description="pseudonym")
    nth: int | None = Field(description="of the site's sessions: their order, which shifted dates do not tell")
    modality: str = Field(description="of the image: CT, MR, PT")
    segmenter: str = Field(description="with versions and digests of model and adapters")
    version: str | None = Field(description="of osirix-agent")
    device: str = Field(description="operating system and processor")
    volume_digest: str = Field(description="SHA-256 of the image's values and grid")
    shape_kji: list[int] = Field(description="slices, rows, columns")
    spacing_kji_mm: list[float] = Field(description="mm")
    began: datetime | None = Field(description="shifted by whole weeks; none before schema 3, where it is not shifted")
    duration_s: float = Field(description="to the last event")
    finished: bool = Field(description="it was ended; else it was cut short")
    resumed: int = Field(description="how often it went on after a loss")
    prompts: int = Field(description="added")
    proposals: int
    edits: int = Field(description="slices edited")
    accepted: int = Field(description="structures")
    rejected: int = Field(description="structures")


class PromptRow(Row):
    """A prompt that was added, changed, removed or let go."""

    table: ClassVar[str] = "prompts"

    event: int = Field(description="line of the journal, from 1")
    structure: str = Field(description="TG-263 name or pseudonym")
    number: int = Field(description="of the prompt in its session")
    change: str = Field(description="added, changed, removed or let_go")
    kind: str = Field(description="point, box, scribble, lasso, mask, shape or text")
    polarity: str = Field(description="include or exclude")
    modality: str = Field(description="mouse, typed, voice, gaze, button or unknown")
    elapsed_s: float = Field(description="monotonic, since the session began")
    dwell_s: float | None = Field(description="how long the displayed slice had been in view")
    displayed_k: int = Field(description="slice in view; -1: none in particular")
    level: float | None = Field(description="of the grey window, in the image's units")
    width: float | None = Field(description="of the grey window, in the image's units")
    viewer: int = Field(description="0: the session's own; others: companions")
    phrase: str | None = Field(description="canonical phrase that the model received")
    how: str | None = Field(description="edit in words, canonical")
    points_lps_mm: Points = Field(description="its points; [] for words")
    points_kji: Points = Field(description="the same in voxels; [] for words and whole contours")


class ProposalRow(Row):
    """A request and its answer, with what was believed before and after."""

    table: ClassVar[str] = "proposals"

    event: int = Field(description="line of the journal, from 1")
    structure: str = Field(description="TG-263 name or pseudonym")
    elapsed_s: float = Field(description="monotonic, since the session began")
    request: str = Field(description="digest of the request")
    prompts: int = Field(description="that it holds")
    fixed_slices: int = Field(description="edited slices that it holds")
    refused: str | None = Field(description="why there was no answer")
    segment_ms: float = Field(description="time of the segmenter")
    click_to_redraw_ms: float | None = Field(description="from the prompt's being seen to the redraw")
    mask_digest: str | None = Field(description="equal masks have equal digests")
    mask: str | None = Field(description="address in the store, if it is kept")
    belief: str | None = Field(description="address in the store, if it is kept")
    source: str | None = Field(description="segmenter, model and adapters")
    calibration: str | None = Field(description="id; none: probabilities are not calibrated")
    volume_mm3: float | None
    inner_mm3: float | None = Field(description="volume of a probability of 95 % or more")
    outer_mm3: float | None = Field(description="volume of a probability of 5 % or more")
    before_volume_mm3: float | None = Field(description="of the answer before it")
    before_inner_mm3: float | None
    before_outer_mm3: float | None
    looks: list[int] = Field(description="slices worth a look, best first")


class EditRow(Row):
    """A slice that the clinician changed by hand."""

    table: ClassVar[str] = "edits"

    event: int = Field(description="line of the journal, from 1")
    structure: str = Field(description="TG-263 name or pseudonym")
    k: int = Field(description="slice")
    elapsed_s: float = Field(description="monotonic, since the session began")
    added_path_mm: float | None = Field(description="outline drawn beyond what was shown (Vaassen et al. 2020)")
    joined: bool = Field(description="one step with the edit before")
    rings_lps_mm: list[Points] = Field(description="the slice's outline from then on, even-odd")


class DecisionRow(Row):
    """A structure that was accepted or rejected."""

    table: ClassVar[str] = "decisions"

    event: int = Field(description="line of the journal, from 1")
    structure: str = Field(description="TG-263 name or pseudonym")
    decision: str = Field(description="accepted or rejected")
    elapsed_s: float = Field(description="monotonic, since the session began")
    since_first_prompt_s: float | None
    prompts: int = Field(description="that it took")
    edited_slices: int
    added_path_mm: float = Field(description="of all its edits")
    mask: str | None = Field(description="address in the store of what she saw")
    arm: str | None = Field(description="a study's: uncertainty or plain, drawn by lot")
    blind: bool = Field(description="a study's: she had to draw her own contour before the proposal was shown")
    first_belief: str | None = Field(description="address in the store of what was believed after the first prompt")


class CommandRow(Row):
    """A command, or a sentence that was understood."""

    table: ClassVar[str] = "commands"

    event: int = Field(description="line of the journal, from 1")
    elapsed_s: float = Field(description="monotonic, since the session began")
    modality: str = Field(description="mouse, typed, voice, gaze, button or unknown")
    verb: str | None = Field(description="of a command")
    structure: str | None = Field(description="that the command names")
    phrase: str | None = Field(description="canonical words of a sentence")
    heard: float | None = Field(description="confidence of the speech recogniser")
    text: str | None = Field(description="a study's: the words that the grammar knows")


TABLES: tuple[type[Row], ...] = (SessionRow, PromptRow, ProposalRow, EditRow, DecisionRow, CommandRow)


def rows_of(session: Session) -> Iterator[Row]:
    """All rows of a session; its own comes last."""
    rows = [row for number, event in enumerate(session.events, 1) for row in _rows(session, number, event)]
    yield from rows
    yield _session_row(session, rows)


def _rows(session: Session, number: int, event: Event) -> Iterator[Row]:
    id_, at = session.id, event.elapsed_s
    match event:
        case PromptChanged(prompt=prompt):
            yield PromptRow(
                session=id_, event=number, structure=event.structure, number=event.number, change=event.change,
                kind=prompt.kind, polarity=prompt.polarity.value, modality=event.modality, elapsed_s=at,
                dwell_s=event.dwell_s, displayed_k=event.displayed_k, viewer=event.viewer,
                level=event.level_width[0] if event.level_width else None,
                width=event.level_width[1] if event.level_width else None,
                phrase=getattr(prompt, "phrase", None), how=getattr(prompt, "how", None),
                points_lps_mm=[list(p) for p in prompt_points_lps(prompt)],
                points_kji=[list(p) for p in event.points_kji],
            )  # fmt: skip
        case Proposed():
            yield _proposal(session, number, event)
        case SliceEdited():
            yield EditRow(
                session=id_, event=number, structure=event.structure, k=event.fixed.k, elapsed_s=at,
                added_path_mm=event.added_path_mm, joined=event.joined,
                rings_lps_mm=[[list(p) for p in ring] for ring in event.fixed.rings_lps],
            )  # fmt: skip
        case Decided():
            shown = _revealed(session, number, event.structure)
            yield DecisionRow(
                session=id_, event=number, elapsed_s=at, arm=shown.arm if shown else None,
                blind=shown is not None and shown.blind, first_belief=_first_belief(session, number, event.structure),
                **event.model_dump(exclude={"event", "at", "elapsed_s"}),
            )  # fmt: skip
        case CommandGiven():
            yield CommandRow(
                session=id_, event=number, elapsed_s=at, modality=event.modality, verb=event.verb,
                structure=event.structure, phrase=None, heard=None, text=None,
            )  # fmt: skip
        case Said():
            yield CommandRow(
                session=id_, event=number, elapsed_s=at, modality=event.modality, verb=None, structure=None,
                phrase=event.phrase, heard=event.heard, text=event.text,
            )  # fmt: skip


def _proposal(session: Session, number: int, event: Proposed) -> ProposalRow:
    later = session.events[number:]
    until = next((n for n, one in enumerate(later) if isinstance(one, Proposed)), len(later))
    redraws = (one.click_to_redraw_ms for one in later[:until] if isinstance(one, Painted))
    kept = session.believed.get(event.request_digest)
    after, before = (kept.after, kept.before) if kept else (None, None)
    return ProposalRow(
        session=session.id, event=number, structure=event.structure, elapsed_s=event.elapsed_s,
        request=event.request_digest, prompts=len(event.prompts), fixed_slices=len(event.fixed), refused=event.refused,
        segment_ms=event.segment_ms, click_to_redraw_ms=next(redraws, None), mask_digest=event.mask_digest,
        mask=kept.mask if kept else None, belief=kept.belief if kept else None,
        source=after.source if after else None, calibration=after.calibration if after else None,
        volume_mm3=event.volume_mm3, inner_mm3=after.inner_mm3 if after else None,
        outer_mm3=after.outer_mm3 if after else None, **_before(before), looks=list(after.looks) if after else [],
    )  # fmt: skip


def _before(summary: BeliefSummary | None) -> dict[str, float | None]:
    return {f"before_{name}": getattr(summary, name, None) for name in ("volume_mm3", "inner_mm3", "outer_mm3")}


def _revealed(session: Session, number: int, structure: str) -> Revealed | None:
    """When a study showed a structure's proposal."""
    earlier = (one for one in session.events[: number - 1] if isinstance(one, Revealed))
    return next((one for one in earlier if one.structure == structure), None)


def _first_belief(session: Session, number: int, structure: str) -> str | None:
    """Since the structure's last decision."""
    first = None
    for event in session.events[: number - 1]:
        if isinstance(event, Decided) and event.structure == structure:
            first = None
        elif isinstance(event, Believed) and event.structure == structure:
            first = first or event.belief
    return first


def _session_row(session: Session, rows: list[Row]) -> SessionRow:
    started, events = session.started, session.events
    decisions = [row.decision for row in rows if isinstance(row, DecisionRow)]
    return SessionRow(
        session=session.id, schema_version=started.schema_version, patient=started.patient, study=started.study,
        series=started.series, clinician=started.clinician, nth=started.nth, modality=started.modality,
        segmenter=started.segmenter, version=started.versions.get("osirix-agent"), device=started.device,
        volume_digest=started.volume_digest, shape_kji=list(started.shape_kji),
        spacing_kji_mm=list(started.spacing_kji_mm),
        began=datetime.fromtimestamp(started.at, UTC) if started.schema_version >= 3 else None,
        duration_s=events[-1].elapsed_s, finished=isinstance(events[-1], SessionEnded),
        resumed=sum(isinstance(event, Resumed) for event in events),
        prompts=sum(isinstance(row, PromptRow) and row.change == "added" for row in rows),
        proposals=sum(isinstance(row, ProposalRow) for row in rows),
        edits=sum(isinstance(row, EditRow) for row in rows),
        accepted=decisions.count("accepted"), rejected=decisions.count("rejected"),
    )  # fmt: skip

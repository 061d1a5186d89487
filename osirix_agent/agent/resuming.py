"""A session that was cut short, rebuilt from its journal: the same steps again, so undo and redo still work.

The journal holds no ROI and no name in clear. ROIs are found in the viewer by their marks; a prompt whose ROI is gone
keeps its meaning, an edited slice is redrawn from its outline. Names come from the ledger and the ROIs; where they are
gone too, the pseudonym stands in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from osirix_agent.agent.marks import Marks
from osirix_agent.agent.outline import outline_belief
from osirix_agent.agent.recognition import Hers
from osirix_agent.agent.scene import contour_rois, contour_style
from osirix_agent.agent.session import ContouringSession
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import JournalError, OsirixAgentError, PromptError
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.grammar import parse_roi_name
from osirix_agent.record.events import (
    Baseline,
    CommandGiven,
    Event,
    PromptChanged,
    Proposed,
    RoiMark,
    SessionEnded,
    SessionStarted,
    SliceEdited,
    StructureLocked,
)
from osirix_agent.record.journal import read_journal
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.roi import RoiSpec, RoiState, RoiType, parse_agent_name

_DISPLAY = {"isolines", "all", "help", "quit"}


def unfinished(path: Path | None, series: str, volume: Volume, segmenter: str) -> list[Event]:
    """The events of a session on this very image that did not end; none if there is no such session.

    Raises
    ------
    JournalError
        There is one, and it was made with another segmenter.
    """
    if path is None or not path.is_file():
        return []
    events = read_journal(path)
    started = events[0]
    assert isinstance(started, SessionStarted)
    same = (started.series, started.volume_digest) == (series, volume.digest)
    begun = any(isinstance(event, Baseline) for event in events)  # else it is not known what was there before
    if not (same and begun) or isinstance(events[-1], SessionEnded):
        return []
    if started.segmenter != segmenter:
        raise JournalError(
            f"The session that was cut short was made with another segmenter ({started.segmenter}).",
            "It begins anew; to go on with it, quit and start with that segmenter.",
        )
    return events


class Resumption:
    """Carries out the journal's steps on a fresh session.

    Parameters
    ----------
    rois : sequence of RoiState
        What is in the viewer now.
    names : iterable of str
        Structures' names that may be meant.
    drew : callable
        Did this agent write exactly this ROI at some time?
    beliefs : callable
        Brings the proposals up to date and gives them.
    request : callable
        The request that a structure stands for now.
    display : callable
        Carries out a command that only changes what is shown.
    """

    def __init__(
        self, session: ContouringSession, rois: Sequence[RoiState], pixels: PixelMap, log: Marks,
        names: Iterable[str], drew: Callable[[RoiSpec], bool], beliefs: Callable[[], Mapping[str, Belief]],
        request: Callable[[str], SegmentationRequest | None], display: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._session, self._pixels, self._log = session, pixels, log
        self._rois = [(log.mark(state.spec), state) for state in rois]
        self._drew = drew
        self._named = {log.name(name): name for name in names}
        self._beliefs, self._request, self._display = beliefs, request, display
        self._outlines: dict[str, Belief | None] = {}
        self._masks: dict[str, str | None] = {}
        self._last: dict[str, str | None] = {}  # mask of each structure's last proposal
        self._unanswered: set[str] = set()  # structures that changed after their last proposal
        self._consume = True
        self._promoted: dict[int, RoiState] = {}
        self._baseline: tuple[RoiMark, ...] = ()

    def replay(self, events: Iterable[Event]) -> Hers:
        """All steps; returns what of the viewer's ROIs is hers.

        Raises
        ------
        JournalError
            It does not come out as it was: nothing must be continued from it.
        """
        for event in events:
            try:
                self._step(event)
            except PromptError as error:
                raise _unfit(error.what) from None
        for structure in self._session.state.structures.values():
            if not structure.is_closed:
                self._check(structure.name, at_end=True)
        # a prompt of a second viewer that is found in the bound one: it has taken that one's place
        self._session.bring_home(lambda record: record.viewer != 0 and record.roi is not None)
        return Hers(self._hers_before(), promoted=self._promoted)

    def _step(self, event: Event) -> None:
        session = self._session
        match event:
            case SessionStarted():
                self._consume = bool(event.settings.get("remove_prompts_on_accept", True))
            case Baseline():
                self._baseline = event.rois
            case PromptChanged():
                self._unanswered.add(event.structure)
                self._prompt(event)
            case SliceEdited():
                self._unanswered.add(event.structure)
                self._edited(event)
            case StructureLocked():
                slices = {one.k: one.rings_lps for one in event.slices}
                self._outlines[event.structure] = outline_belief(slices, session.volume.geometry)
            case Proposed():
                self._masks[event.request_digest] = self._last[event.structure] = event.mask_digest
                self._unanswered.discard(event.structure)
            case CommandGiven():
                self._command(event.verb, self._name(event.structure) if event.structure else session.state.active)

    def _prompt(self, event: PromptChanged) -> None:
        session, name, state = self._session, self._name(event.structure), self._find(event.roi)
        roi = None if state is None else state.spec
        match event.change:
            case "added":
                record = session.add_prompt(name, event.prompt, viewer=event.viewer, roi=roi, permanent=event.permanent)
                if record.number != event.number:
                    raise _unfit("A step is missing.")
                if event.permanent and state is not None:
                    self._promoted[event.number] = state
            case "changed":
                session.change_prompt(event.number, event.prompt, roi, name)
            case "removed":
                session.remove_prompt(event.number)
            case "let_go":
                session.let_go(event.number)

    def _edited(self, event: SliceEdited) -> None:
        session, name, k = self._session, self._name(event.structure), event.fixed.k
        found = [(n, self._find(mark)) for n, mark in event.rois]
        if any(state is None for _, state in found):
            rois = self._redrawn(event, name)
        else:
            rois = tuple((n, state.spec) for n, state in found if state is not None)
        if event.joined:  # several slices at once are one step
            held = session.state.structure(name)
            session.history.amend(session.state.with_structure(replace(held, edits={**held.edits, k: rois})))
        else:
            outline = self._outlines.get(event.structure) if session.state.structure(name).locked else None
            session.edit_slices(name, {k: rois}, outline)

    def _redrawn(self, event: SliceEdited, name: str) -> tuple[tuple[int, RoiSpec], ...]:
        """Her ROIs from their outlines, of the kinds and in the order they had: else another request would follow."""
        session, k, kinds = self._session, event.fixed.k, {mark.itype for _, mark in event.rois}
        rings = tuple(session.volume.geometry.to_kji(ring)[:, 1:] for ring in event.fixed.rings_lps)
        style = contour_style(session.state.structure(name).hue)
        if kinds == {RoiType.CLOSED_POLYGON} and len(rings) == len(event.rois):
            return tuple(
                (n, RoiSpec(k, RoiType.CLOSED_POLYGON, name, style, self._pixels.to_xy(ring)))
                for (n, _), ring in zip(event.rois, rings, strict=True)
            )
        return tuple(enumerate(contour_rois(rings, k, name, style, self._pixels, painted=kinds == {RoiType.BRUSH})))

    def _command(self, verb: str, name: str) -> None:
        session = self._session
        match verb:
            case "undo":
                session.history.undo()
            case "redo":
                session.history.redo()
            case "accept":
                shown = self._check(name)
                session.accept(name, shown.get(name), consume_prompts=self._consume)
            case "lock":
                shown = self._check(name)
                session.set_locked(name, shown.get(name), self._outlines.get(self._log.name(name)))
            case "reopen" | "reject" | "unlock" | "release" | "use":
                getattr(session, verb)(name)
            case "rename":
                session.rename(session.state.active, name)
            case verb if verb in _DISPLAY:
                self._display(verb)

    def _check(self, name: str, at_end: bool = False) -> Mapping[str, Belief]:
        """The proposals; the structure's must be the very mask that she saw, if she saw any."""
        shown = self._beliefs()
        request = self._request(name)
        belief = shown.get(name)
        if request is not None and not self._session.state.structure(name).is_closed:
            if at_end and request.digest not in self._masks and self._log.name(name) in self._unanswered:
                return shown  # killed while it was being worked out: she never saw an answer to compare with
            mask = self._masks.get(request.digest, "another request")
            if mask == "another request" and name not in self._named.values():  # its name is in the digest, and is lost
                mask = self._last.get(name, mask)
            if mask != (None if belief is None else belief.mask_digest):
                raise _unfit("A proposal does not come out as it was.")
        return shown

    def _find(self, mark: RoiMark | None) -> RoiState | None:
        """The ROI; an edited draft has got the structure's plain name since."""
        if mark is None:
            return None
        exact = next((state for other, state in self._rois if other == mark), None)
        alike = (state for other, state in self._rois if other.model_copy(update={"name": mark.name}) == mark)
        return exact or next(alike, None)

    def _hers_before(self) -> list[RoiState]:
        """ROIs from before the session, as they are now: one moved meanwhile is known by name, kind and slice."""
        promoted = {state.uid for state in self._promoted.values()}
        left = [(mark, state) for mark, state in self._rois if state.uid not in promoted]
        missing, found = Counter(self._baseline), []
        for mark, state in left:
            if missing[mark]:
                missing[mark] -= 1
                found.append(state)
        moved = Counter((mark.k, mark.itype, mark.name) for mark in missing.elements())
        for mark, state in left:
            kind = (mark.k, mark.itype, mark.name)
            if moved[kind] and not self._drew(state.spec) and not any(state is one for one in found):
                moved[kind] -= 1
                found.append(state)
        return found

    def _name(self, public: str) -> str:
        return self._named.get(public, public)


def names_in(specs: Iterable[RoiSpec], known: Iterable[str]) -> set[str]:
    """Structures' names that ROIs carry, whoever drew them."""
    found = set(known)
    for spec in specs:
        parsed = parse_agent_name(spec.name)
        name = parsed[0] if parsed else parse_roi_name(spec.name, found).structure
        found |= {name or spec.name}
    return found


def _unfit(why: str) -> OsirixAgentError:
    return JournalError(
        f"The session that was cut short cannot be continued: {why}",
        "A new one begins; what was accepted or edited stays as it is.",
    )

"""The contouring session: how each thing the clinician does changes the state. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from osirix_agent.agent.state import History, PromptRecord, SessionState, StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.grammar import parse_roi_name
from osirix_agent.prompting.prompt import Prompt, ShapePrompt
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest
from osirix_agent.viewer.roi import RoiSpec


class ContouringSession:
    """State, history, and the requests that follow from them.

    Parameters
    ----------
    volume : Volume
    default_structure : str
        Addressed until another one is named.
    """

    def __init__(self, volume: Volume, default_structure: str) -> None:
        self.volume = volume
        self.history = History(SessionState({}, default_structure))
        self._next_number = 1
        self._hues: dict[str, int] = {}

    @property
    def state(self) -> SessionState:
        return self.history.state

    # -- prompts ---------------------------------------------------------------------------------------------
    def add_prompt(
        self, structure: str, prompt: Prompt, *, viewer: int = 0, roi: RoiSpec | None = None, permanent: bool = False
    ) -> PromptRecord:
        """A new prompt for a structure, which becomes the active one. A shape holds what the prompts before it said:
        their ROIs are taken away, as at an accept.

        Raises
        ------
        PromptError
            The structure is locked or accepted.
        """
        held = self._open(structure)
        record = PromptRecord(self._next_number, prompt, viewer, roi, permanent)
        self._next_number += 1
        before = held.prompts
        if isinstance(prompt, ShapePrompt):
            before = tuple(replace(r, consumed=True) for r in before)
        changed = replace(held, prompts=(*before, record), asked_as=None)
        self.history.push(self.state.with_structure(changed, active=structure))
        return record

    def change_prompt(self, number: int, prompt: Prompt, roi: RoiSpec | None, structure: str) -> None:
        """A prompt was moved, reshaped or renamed (which may hand it to another structure)."""
        found = self.state.find_prompt(number)
        if found is None:
            return
        held, record = found
        new = replace(record, prompt=prompt, roi=roi)
        if structure == held.name:
            prompts = tuple(new if r.number == number else r for r in self._open(held.name).prompts)
            self.history.push(self.state.with_structure(replace(held, prompts=prompts)))
            return
        other = self._open(structure)
        moved = replace(other, prompts=(*other.prompts, new))
        self.history.push(self._without_prompt(held, number).with_structure(moved, active=structure))

    def remove_prompt(self, number: int) -> None:
        """One earlier prompt is taken out; what it did is recomputed without it."""
        found = self.state.find_prompt(number)
        if found is not None:
            self._open(found[0].name)
            self.history.push(self._without_prompt(found[0], number))

    def let_go(self, number: int) -> None:
        """The ROI of a prompt is no longer managed, whatever is undone; its meaning stays. No step of its own."""

        def change(state: SessionState) -> SessionState:
            found = state.find_prompt(number)
            if found is None:
                return state
            prompts = tuple(replace(r, consumed=True) if r.number == number else r for r in found[0].prompts)
            return state.with_structure(replace(found[0], prompts=prompts))

        self.history.rewrite(change)

    def bring_home(self, which: Callable[[PromptRecord], bool]) -> None:
        """These prompts count as drawn in the bound viewer, whatever is undone. No step of its own."""

        def change(held: StructureState) -> StructureState:
            prompts = tuple(replace(r, viewer=0) if which(r) else r for r in held.prompts)
            return replace(held, prompts=prompts, kept=None if held.kept is None else change(held.kept))

        if any(which(r) for one in self.history.states for s in one.structures.values() for r in s.prompts):
            self.history.rewrite(
                lambda state: replace(state, structures={n: change(s) for n, s in state.structures.items()})
            )

    def _without_prompt(self, held: StructureState, number: int) -> SessionState:
        rest = replace(held, prompts=tuple(r for r in held.prompts if r.number != number))
        return self.state.with_structure(rest) if rest.is_asked else self._dropped(held)

    # -- her edits -------------------------------------------------------------------------------------------
    def edit_slices(
        self, structure: str, edits: Mapping[int, tuple[tuple[int, RoiSpec], ...]], outline: Belief | None = None
    ) -> None:
        """From now on these slices of the structure are what she made of them.

        Parameters
        ----------
        edits : mapping of slice to (ordinal, ROI)
        outline : Belief or None
            The new outline of a locked structure.
        """
        held = self.state.structure(structure)
        changed = replace(held, edits={**held.edits, **edits}, outline=outline or held.outline)
        self.history.push(self.state.with_structure(changed))

    def release(self, structure: str) -> None:
        """Give her edited slices back to the agent."""
        held = self._open(structure)
        if not held.edits:
            raise PromptError("The structure has no edited slices.", "There is nothing to release.")
        self.history.push(self.state.with_structure(replace(held, edits={})))

    # -- decisions -------------------------------------------------------------------------------------------
    def accept(self, structure: str, final: Belief | None, *, consume_prompts: bool) -> None:
        """Make what is shown final.

        Parameters
        ----------
        final : Belief or None
            What she saw; None when there are only her own slices.
        consume_prompts : bool
            Take the prompts' ROIs away.
        """
        held = self.state.structure(structure)
        holds_something = final is not None and bool(final.crop_mask.any())
        if held.accepted or not (held.is_asked and (holds_something or held.edits)):
            raise PromptError("There is no contour to accept.", "Click or draw first.")
        prompts = tuple(replace(r, consumed=r.consumed or consume_prompts) for r in held.prompts)
        self.history.push(
            self.state.with_structure(replace(held, accepted=True, final=final, kept=None, prompts=prompts))
        )

    def reopen(self, structure: str) -> None:
        """Let an accepted structure be changed again; what was accepted comes back if it is not accepted anew."""
        held = self.state.structure(structure)
        if not held.accepted:
            raise PromptError("The structure is not accepted.", "Prompts change it as it is.")
        self._unlocked(structure)
        self.history.push(self.state.with_structure(replace(held, accepted=False, kept=held), active=structure))

    def reject(self, structure: str) -> None:
        """Drop proposal, prompts and edits of a structure, back to what was accepted; undo brings all of it back."""
        held = self._unlocked(structure)
        if not held.is_asked:
            raise PromptError("There is no proposal to reject.", "Nothing was changed.")
        self.history.push(self._dropped(held))

    def _dropped(self, held: StructureState) -> SessionState:
        if held.kept is not None:
            return self.state.with_structure(held.kept)
        return self.state.without_structure(held.name)

    def set_locked(self, structure: str, frozen: Belief | None, outline: Belief | None) -> None:
        """Protect a structure: it is not recomputed, and nothing overlaps its outline."""
        held = self._structure(structure)
        if held.locked:
            raise PromptError("The structure is already locked.", "Nothing was changed.")
        if outline is None:
            raise PromptError("There is no such structure to lock.", "Name one that has a contour.")
        locked = replace(held, locked=True, frozen=frozen, outline=outline)
        self.history.push(self.state.with_structure(locked))

    def unlock(self, structure: str) -> None:
        held = self.state.structure(structure)
        if not held.locked:
            raise PromptError("The structure is not locked.", "Nothing was changed.")
        free = replace(held, locked=False, frozen=None, outline=None)
        self.history.push(self.state.with_structure(free) if free.is_asked else self.state.without_structure(structure))

    def use(self, structure: str) -> None:
        """Make a structure the active one; no step of its own."""
        self.history.amend(replace(self.state, active=structure))

    def rename(self, structure: str, name: str) -> None:
        """Another name for a structure, which becomes the active one; its contour stays. Her prompts' ROIs go by the
        new name too.

        Raises
        ------
        PromptError
            There is no such structure, it is locked, or the name cannot be had.
        """
        held = self._unlocked(structure)
        if not held.is_asked:
            raise PromptError("That structure has nothing to rename yet.", "Click, draw or name it first.")
        if self.state.structure(name).is_asked or self.state.structure(name).locked:
            raise PromptError("There is a structure of that name already.", "Choose another name.")
        if not name.isascii() or name[:1] in {"", "+", "-", "?", "!"} or "~" in name:
            raise PromptError("No structure can have that name.", "Choose one of letters and digits.")
        self._hues.setdefault(name, held.hue)
        renamed = _renamed(held, name)
        self.history.push(self.state.without_structure(structure).with_structure(renamed, active=name))

    # -- what follows ----------------------------------------------------------------------------------------
    def request(self, name: str, fixed: Mapping[str, tuple[FixedSlice, ...]]) -> SegmentationRequest | None:
        """The request that the state of a structure stands for; None while nothing is asked of it.

        Parameters
        ----------
        fixed : mapping of structure to its edited slices, in LPS
        """
        structure = self.state.structure(name)
        if not structure.is_asked:
            return None
        excluded = tuple(
            other.outline
            for other in self.state.structures.values()
            if other.locked and other.name != name and other.outline is not None
        )
        prompts = tuple(r.prompt for r in structure.prompts)
        asked_as = structure.asked_as or name
        return SegmentationRequest(self.volume, asked_as, prompts, fixed.get(name, ()), excluded)

    def _structure(self, name: str) -> StructureState:
        """The structure, or a new one with a colour of its own."""
        known = self.state.structures.get(name)
        return known or StructureState(name, hue=self._hues.setdefault(name, len(self._hues)))

    def _unlocked(self, name: str) -> StructureState:
        structure = self._structure(name)
        if structure.locked:
            raise PromptError("The structure is locked.", "Unlock it first ('!unlock NAME').")
        return structure

    def check_open(self, name: str) -> None:
        """Raise PromptError when prompts cannot change the structure: it is locked or accepted."""
        self._open(name)

    def _open(self, name: str) -> StructureState:
        structure = self._unlocked(name)
        if structure.accepted:
            raise PromptError(
                "The structure is accepted.", "Name another structure, or open it again ('!reopen NAME')."
            )
        return structure


def _renamed(held: StructureState, name: str) -> StructureState:
    """The structure by another name, and so its ROIs that carried the old one."""

    def named(roi: RoiSpec) -> RoiSpec:
        said = parse_roi_name(roi.name, {held.name})
        if said.structure != held.name or roi.name != roi.name.strip():
            return roi
        return replace(roi, name=(roi.name[0] if said.polarity is not None else "") + name)

    prompts = tuple(
        record if record.roi is None or record.permanent else replace(record, roi=named(record.roi))
        for record in held.prompts
    )
    edits = {k: tuple((n, named(roi)) for n, roi in rois) for k, rois in held.edits.items()}
    kept = None if held.kept is None else _renamed(held.kept, name)
    return replace(held, name=name, asked_as=held.asked_as or held.name, prompts=prompts, edits=edits, kept=kept)

"""The contouring session: how each thing the clinician does changes the state. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from osirix_agent.agent.state import History, PromptRecord, SessionState, StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import Prompt
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

    @property
    def state(self) -> SessionState:
        return self.history.state

    # -- prompts ---------------------------------------------------------------------------------------------
    def add_prompt(
        self,
        structure: str,
        prompt: Prompt,
        *,
        viewer: int = 0,
        roi: RoiSpec | None = None,
        permanent: bool = False,
    ) -> PromptRecord:
        """A new prompt for a structure, which becomes the active one and is no longer accepted.

        Raises
        ------
        PromptError
            The structure is locked.
        """
        held = self._unlocked(structure)
        record = PromptRecord(self._next_number, prompt, viewer, roi, permanent)
        self._next_number += 1
        changed = replace(held, prompts=(*held.prompts, record), accepted=False)
        self.history.push(self.state.with_structure(changed, active=structure))
        return record

    def change_prompt(self, number: int, prompt: Prompt, roi: RoiSpec | None, structure: str | None = None) -> None:
        """A prompt was moved, reshaped or renamed (which may hand it to another structure)."""
        found = self.state.find_prompt(number)
        if found is None:
            return
        held, record = found
        new = replace(record, prompt=prompt, roi=roi)
        target = structure or held.name
        if target == held.name:
            self._unlocked(held.name)
            prompts = tuple(new if r.number == number else r for r in held.prompts)
            self.history.push(self.state.with_structure(replace(held, prompts=prompts, accepted=False)))
            return
        self._unlocked(held.name)
        other = self._unlocked(target)
        rest = replace(held, prompts=tuple(r for r in held.prompts if r.number != number), accepted=False)
        moved = replace(other, prompts=(*other.prompts, new), accepted=False)
        self.history.push(self.state.with_structure(rest).with_structure(moved, active=target))

    def remove_prompt(self, number: int) -> None:
        """One earlier prompt is taken out; what it did is recomputed without it."""
        found = self.state.find_prompt(number)
        if found is None:
            return
        held, _ = found
        rest = replace(held, prompts=tuple(r for r in held.prompts if r.number != number), accepted=False)
        if rest.is_asked:
            self.history.push(self.state.with_structure(rest))
        else:
            self.history.push(self.state.without_structure(held.name))

    # -- her edits -------------------------------------------------------------------------------------------
    def edit_slice(self, structure: str, k: int, rois: Sequence[RoiSpec]) -> None:
        """From now on slice k of the structure is what she made of it."""
        held = self.state.structure(structure)
        self.history.push(self.state.with_structure(replace(held, edits={**held.edits, k: tuple(rois)})))

    def release(self, structure: str) -> None:
        """Give her edited slices back to the agent."""
        held = self._unlocked(structure)
        if not held.edits:
            raise PromptError(f"'{structure}' has no edited slices.", "There is nothing to release.")
        self.history.push(self.state.with_structure(replace(held, edits={}, accepted=False)))

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
        if held.accepted or not (held.is_asked and (final is not None or held.edits)):
            raise PromptError(f"'{structure}' has no proposal to accept.", "Click or draw first.")
        prompts = tuple(replace(r, consumed=r.consumed or consume_prompts) for r in held.prompts)
        self.history.push(self.state.with_structure(replace(held, accepted=True, final=final, prompts=prompts)))

    def reject(self, structure: str) -> None:
        """Drop proposal, prompts and edits of a structure; undo brings all of it back."""
        held = self._unlocked(structure)
        if not held.is_asked:
            raise PromptError(f"'{structure}' has no proposal to reject.", "Nothing was changed.")
        self.history.push(self.state.without_structure(structure))

    def set_locked(self, structure: str, locked: bool, given: Belief | None = None) -> None:
        """Protect a structure, or let it be changed again.

        Parameters
        ----------
        given : Belief or None
            Outline of a structure that was there before the session.
        """
        held = self.state.structure(structure)
        if locked and not held.is_asked and given is None and held.given is None:
            raise PromptError(f"There is no structure '{structure}' to lock.", "Name one that has a contour.")
        if held.locked == locked:
            raise PromptError(f"'{structure}' is already {'locked' if locked else 'unlocked'}.", "Nothing was changed.")
        self.history.push(self.state.with_structure(replace(held, locked=locked, given=given or held.given)))

    def use(self, structure: str) -> None:
        """Make a structure the active one; no step of its own."""
        self.history.amend(replace(self.state, active=structure))

    # -- what follows ----------------------------------------------------------------------------------------
    def request(
        self, name: str, beliefs: Mapping[str, Belief], fixed: Mapping[str, tuple[FixedSlice, ...]]
    ) -> SegmentationRequest | None:
        """The request that the state of a structure stands for; None while nothing is asked of it.

        Parameters
        ----------
        beliefs : mapping of structure to belief
            As computed so far; locked ones are excluded.
        fixed : mapping of structure to its edited slices, in LPS
        """
        structure = self.state.structure(name)
        if not structure.is_asked:
            return None
        excluded = []
        for other in self.state.structures.values():
            if other.locked and other.name != name:
                belief = beliefs.get(other.name) or other.given
                if belief is not None:
                    excluded.append(belief)
        return SegmentationRequest(
            self.volume,
            name,
            tuple(r.prompt for r in structure.prompts),
            fixed.get(name, ()),
            tuple(excluded),
        )

    def _unlocked(self, name: str) -> StructureState:
        structure = self.state.structure(name)
        if structure.locked:
            raise PromptError(f"'{name}' is locked.", f"Unlock it first ('!unlock {name}').")
        return structure

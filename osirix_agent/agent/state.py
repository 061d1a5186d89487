"""The session's state as immutable values; undo and redo walk along a list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from osirix_agent.belief.belief import Belief
from osirix_agent.prompting.prompt import Prompt
from osirix_agent.viewer.roi import RoiSpec

PAGE = -1  # the "viewer" of prompts that were drawn on the companion page


@dataclass(frozen=True, eq=False)
class PromptRecord:
    """One prompt and the ROI it was drawn as.

    Attributes
    ----------
    number : int
        Unique in the session.
    viewer : int
        0 the bound viewer, others a companion, `PAGE` the companion page.
    roi : RoiSpec or None
        None: it did not come as an ROI.
    permanent : bool
        The ROI was there before the session: it is never removed.
    consumed : bool
        Accepted: its ROI has been taken away, its meaning stays.
    """

    number: int
    prompt: Prompt
    viewer: int = 0
    roi: RoiSpec | None = None
    permanent: bool = False
    consumed: bool = False


@dataclass(frozen=True, eq=False)
class StructureState:
    """One structure.

    Attributes
    ----------
    hue : int
        Its colour; the same for the whole session.
    asked_as : str or None
        The name under which its contour was asked for, until the next prompt, if it was renamed since: a new name
        alone changes no contour.
    edits : mapping of slice to her ROIs there, each with its ordinal
        These slices are hers: frozen, and evidence for their neighbours.
    final : Belief or None
        The belief that was accepted last.
    kept : StructureState or None
        While it is open again: what was accepted, whole; it comes back on reject and at exit.
    frozen : Belief or None
        What was shown when it was locked: not recomputed while it is.
    outline : Belief or None
        What nothing may overlap while it is locked: her edits included.
    """

    name: str
    hue: int = 0
    asked_as: str | None = None
    prompts: tuple[PromptRecord, ...] = ()
    edits: Mapping[int, tuple[tuple[int, RoiSpec], ...]] = field(default_factory=dict)
    locked: bool = False
    accepted: bool = False
    final: Belief | None = None
    kept: StructureState | None = None
    frozen: Belief | None = None
    outline: Belief | None = None

    @property
    def is_asked(self) -> bool:
        return bool(self.prompts or self.edits)

    @property
    def is_closed(self) -> bool:
        """Locked or accepted: prompts do not change it."""
        return self.locked or self.accepted


@dataclass(frozen=True, eq=False)
class SessionState:
    structures: Mapping[str, StructureState]
    active: str

    def structure(self, name: str) -> StructureState:
        return self.structures.get(name) or StructureState(name)

    def with_structure(self, structure: StructureState, *, active: str | None = None) -> SessionState:
        return replace(self, structures={**self.structures, structure.name: structure}, active=active or self.active)

    def without_structure(self, name: str) -> SessionState:
        return replace(self, structures={n: s for n, s in self.structures.items() if n != name})

    def find_prompt(self, number: int) -> tuple[StructureState, PromptRecord] | None:
        for structure in self.structures.values():
            for record in structure.prompts:
                if record.number == number:
                    return structure, record
        return None


class History:
    """States in order with a cursor; a new state drops what had been undone."""

    def __init__(self, first: SessionState) -> None:
        self._states = [first]
        self._at = 0

    @property
    def state(self) -> SessionState:
        return self._states[self._at]

    @property
    def states(self) -> tuple[SessionState, ...]:
        """All of them, the present one first."""
        return (self.state, *(state for state in self._states if state is not self.state))

    @property
    def depth(self) -> int:
        """How many steps can be undone."""
        return self._at

    @property
    def undone(self) -> int:
        """How many steps can be done again."""
        return len(self._states) - 1 - self._at

    def push(self, state: SessionState) -> None:
        self._states = [*self._states[: self._at + 1], state]
        self._at += 1

    def amend(self, state: SessionState) -> None:
        """Replace the current state: what is no step of its own (the active structure)."""
        self._states[self._at] = state

    def rewrite(self, change: Callable[[SessionState], SessionState]) -> None:
        """Change every state, past and undone ones too: for what is no step and cannot be taken back."""
        self._states = [change(state) for state in self._states]

    def undo(self) -> bool:
        if self._at == 0:
            return False
        self._at -= 1
        return True

    def redo(self) -> bool:
        if self._at + 1 == len(self._states):
            return False
        self._at += 1
        return True

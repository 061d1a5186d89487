"""One viewer as the session sees it: what the session holds there, what is hers, and how the difference is painted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from osirix_agent.agent.scene import CONTOUR_ROLE, PROMPT_ROLE
from osirix_agent.errors import EditedMeanwhileError, ViewerError
from osirix_agent.viewer.paint import (
    CreateRoi,
    DeleteRoi,
    NoLedger,
    PaintPlan,
    RenameRoi,
    RoiKey,
    WriteLedger,
    make_plan,
)
from osirix_agent.viewer.protocol import Viewer, ViewerSnapshot
from osirix_agent.viewer.roi import RoiSpec, RoiState
from osirix_agent.viewer.watch import RoiChange, Watcher


class Window:
    """A watched viewer.

    Parameters
    ----------
    number : int
        0 the bound viewer, others companions.
    refusal : str or None
        Why prompts drawn here cannot be used.

    Attributes
    ----------
    held : dict of key to ROI
        What is there because of the session: contours, isolines, her removable prompts.
    hers : dict of uid
        Her other ROIs, oldest first: never written to.
    promoted : dict of uid to prompt number
        ROIs that were there before and became prompts by their name: hers, and read, never written to.
    refused : set of uid
        Prompts that could not be used, until she changes them.
    waiting : deque of RoiChange
        Seen, not yet acted on.
    """

    def __init__(
        self,
        number: int,
        viewer: Viewer,
        clock: Callable[[], float],
        settle_s: float,
        refusal: str | None = None,
    ) -> None:
        self.number, self.viewer, self.refusal = number, viewer, refusal
        self.watcher = Watcher(clock, settle_s)
        self.held: dict[RoiKey, RoiState] = {}
        self.hers: dict[str, None] = {}
        self.promoted: dict[str, int] = {}
        self.refused: set[str] = set()
        self._unsure: PaintPlan | None = None
        self.waiting: deque[RoiChange] = deque()

    def adopt_baseline(self, rois: Mapping[str, RoiState]) -> None:
        """What is there now was there before the session: no prompts."""
        self.watcher.expect(dict(rois))
        self.hers.update(dict.fromkeys(rois))

    def observe(self, *, at_once: bool = False, full: bool = False) -> tuple[ViewerSnapshot, list[RoiChange]]:
        """Look, and tell what changed by her hand."""
        if self._unsure is not None:
            self._find_out(self._unsure)
        looked_at_only = frozenset(
            state.uid for key, state in self.held.items() if key.role not in (CONTOUR_ROLE, PROMPT_ROLE)
        )
        snapshot = self.viewer.snapshot(full=full, skip=looked_at_only, first=self.watcher.unsettled)
        return snapshot, self.watcher.observe(snapshot, at_once=at_once)

    def key_of(self, uid: str) -> RoiKey | None:
        return next((key for key, state in self.held.items() if state.uid == uid), None)

    def contour_rois(self, structure: str, k: int) -> tuple[tuple[int, RoiSpec], ...]:
        """(ordinal, ROI) of the structure's contour on slice k as it is now."""
        found = [
            (key.ordinal, state.spec)
            for key, state in self.held.items()
            if key.owner == structure and key.role == CONTOUR_ROLE and key.k == k
        ]
        return tuple(sorted(found, key=lambda item: item[0]))

    def has_contour(self, structure: str) -> bool:
        return any(key.owner == structure and key.role == CONTOUR_ROLE for key in self.held)

    def remove(self, state: RoiState) -> None:
        """Take away one ROI that has done its work (a command, a stray write)."""
        self.viewer.apply(PaintPlan((DeleteRoi(RoiKey("", "done", state.spec.k), state),)), NoLedger())
        self.watcher.expect({state.uid: None})

    def paint(self, wanted: Mapping[RoiKey, RoiSpec], ledger: WriteLedger) -> PaintPlan:
        """Bring the viewer from what is held to what is wanted; whole or not at all."""
        plan = make_plan(wanted, self.held)
        if not plan.writes:
            return plan
        ledger.finalise([(w.before.spec, w.name) for w in plan.writes if isinstance(w, RenameRoi)])
        try:
            receipt = self.viewer.apply(plan, ledger)
        except ViewerError as error:
            if not (isinstance(error, EditedMeanwhileError) and error.nothing_written):
                self._unsure = plan  # part of it may stand, or have been drawn anew under other uids
            raise
        self.watcher.expect({w.before.uid: None for w in plan.writes if isinstance(w, DeleteRoi)})
        for key, state in receipt.held.items():
            if state is None:
                self.held.pop(key, None)
            else:
                self._hold(key, state)
        prompts = [state.uid for key, state in self.held.items() if key.role == PROMPT_ROLE]
        self.viewer.restore_pens([*self.hers, *self.promoted, *self.refused, *prompts])
        return plan

    def _hold(self, key: RoiKey, state: RoiState) -> None:
        self.held[key] = state
        self.watcher.expect({state.uid: state})

    def _find_out(self, plan: PaintPlan) -> None:
        """After a plan failed: what of it stands is ours, not her doing; what is missing will be painted again."""
        snapshot = self.viewer.snapshot(full=True)
        self._unsure = None
        meant: dict[RoiKey, list[RoiSpec]] = {}
        for write in plan.writes:
            specs = meant.setdefault(write.key, [])
            if not isinstance(write, CreateRoi):
                specs.append(write.before.spec)
            if isinstance(write, RenameRoi):
                specs.append(write.after)
            elif not isinstance(write, DeleteRoi):
                specs.append(write.spec)
        known = {state.uid for state in self.held.values()} | set(self.hers) | set(self.promoted) | self.refused
        for key, specs in meant.items():
            held = self.held.get(key)
            there = snapshot.rois.get(held.uid) if held is not None else None
            if there is None:
                loose = (state for uid, state in snapshot.rois.items() if uid not in known)
                there = next((state for state in loose if _is_one_of(state, specs)), None)
                if held is not None:
                    del self.held[key]
                    self.watcher.expect({held.uid: None})
            if there is not None and _is_one_of(there, specs):
                self._hold(key, there)
                known.add(there.uid)


def _is_one_of(state: RoiState, specs: list[RoiSpec]) -> bool:
    return any(state.spec.name == spec.name and state.spec.same_shape(spec) for spec in specs)

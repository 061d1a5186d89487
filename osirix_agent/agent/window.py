"""One viewer as the session sees it: what the session holds there, what is hers, and how the difference is painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from osirix_agent.agent.scene import CONTOUR_ROLE, PROMPT_ROLE
from osirix_agent.errors import EditedMeanwhileError, ViewerError
from osirix_agent.viewer.paint import DeleteRoi, NoLedger, PaintPlan, RoiKey, WriteLedger, make_plan
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
        self._stale = False

    def adopt_baseline(self, rois: Mapping[str, RoiState]) -> None:
        """What is there now was there before the session: no prompts."""
        self.watcher.expect(dict(rois))
        self.hers.update(dict.fromkeys(rois))

    def observe(self, *, at_once: bool = False, full: bool = False) -> tuple[ViewerSnapshot, list[RoiChange]]:
        """Look, and tell what changed by her hand."""
        if self._stale:
            self._rebind()
        looked_at_only = frozenset(
            state.uid for key, state in self.held.items() if key.role not in (CONTOUR_ROLE, PROMPT_ROLE)
        )
        snapshot = self.viewer.snapshot(full=full, skip=looked_at_only, first=self.watcher.unsettled)
        return snapshot, self.watcher.observe(snapshot, at_once=at_once)

    def key_of(self, uid: str) -> RoiKey | None:
        return next((key for key, state in self.held.items() if state.uid == uid), None)

    def contour_rois(self, structure: str, k: int) -> tuple[RoiSpec, ...]:
        """The structure's contour ROIs on slice k as they are now."""
        found = [
            (key.ordinal, state.spec)
            for key, state in self.held.items()
            if key.owner == structure and key.role == CONTOUR_ROLE and key.k == k
        ]
        return tuple(spec for _, spec in sorted(found, key=lambda item: item[0]))

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
        try:
            receipt = self.viewer.apply(plan, ledger)
        except EditedMeanwhileError:
            raise
        except ViewerError:
            self._stale = True  # the roll-back may have drawn ROIs anew, under other uids
            raise
        self.watcher.expect({w.before.uid: None for w in plan.writes if isinstance(w, DeleteRoi)})
        for key, state in receipt.held.items():
            if state is None:
                self.held.pop(key, None)
            else:
                self.held[key] = state
                self.watcher.expect({state.uid: state})
        prompts = [state.uid for key, state in self.held.items() if key.role == PROMPT_ROLE]
        self.viewer.restore_pens([*self.hers, *self.promoted, *self.refused, *prompts])
        return plan

    def _rebind(self) -> None:
        """Find again what a roll-back deleted and drew anew: the same ROI under another uid."""
        snapshot = self.viewer.snapshot(full=True)
        known = {state.uid for state in self.held.values()}
        for key, state in list(self.held.items()):
            if state.uid in snapshot.rois:
                continue
            for uid, found in snapshot.rois.items():
                if uid not in known and found.spec.name == state.spec.name and found.spec.same_shape(state.spec):
                    self.held[key] = found
                    self.watcher.expect({state.uid: None, uid: found})
                    known.add(uid)
                    break
        self._stale = False

"""One viewer as the session sees it: what the session holds there, what is hers, and how the difference is painted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from osirix_agent.agent.recognition import Hers, Known, Recognised
from osirix_agent.agent.scene import CONTOUR_ROLE, PROMPT_ROLE, STALE_ROLE
from osirix_agent.errors import EditedMeanwhileError, ViewerError
from osirix_agent.viewer.paint import (
    CreateRoi,
    DeleteRoi,
    NoLedger,
    PaintPlan,
    RenameRoi,
    RoiKey,
    Write,
    WriteLedger,
    make_plan,
)
from osirix_agent.viewer.protocol import Viewer, ViewerSnapshot
from osirix_agent.viewer.roi import RoiSpec, RoiState
from osirix_agent.viewer.watch import RoiAppeared, RoiChange, RoiChanged, RoiVanished, Watcher

LATE_S = 60.0  # a write that was given up for lost may still be carried out this long after OsiriX answers again


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
    late_writes : int
        How often a write that was given up for lost has been carried out after all.
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
        self._clock, self._settle_s = clock, settle_s
        self.watcher = Watcher(clock, settle_s)
        self.held: dict[RoiKey, RoiState] = {}
        self.hers: dict[str, None] = {}
        self.promoted: dict[str, int] = {}
        self.refused: set[str] = set()
        self._unsure: PaintPlan | None = None
        self._doubtful: list[tuple[Write, float | None]] = []  # and until when they may still be carried out
        self._done: list[RoiSpec] = []  # command ROIs that have done their work
        self.waiting: deque[RoiChange] = deque()
        self.late_writes = 0

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
        changes = self.watcher.observe(snapshot, at_once=at_once)
        return snapshot, [change for change in changes if not self._is_late_write(change)]

    # -- the same series under other uids --------------------------------------------------------------------
    def known(self) -> list[Known]:
        """What the session put there, or was about to put there when the viewer was lost."""
        held = [(key, state.spec) for key, state in self.held.items()]
        plans = self._unsure.writes if self._unsure is not None else ()
        meant = [(write.key, spec) for write in plans for spec in _meant(write)]
        late = [(write.key, spec) for write, _ in self._doubtful for spec in _meant(write)]
        done = [(RoiKey(str(n), STALE_ROLE, spec.k), spec) for n, spec in enumerate(self._done)]
        return [*done, *held, *meant, *late]

    def hers_now(self) -> Hers:
        """Her own ROIs, as they were seen last."""
        seen = self.watcher.reported
        return Hers(
            [seen[uid] for uid in self.hers if uid in seen],
            self.watcher.past,
            {number: seen[uid] for uid, number in self.promoted.items() if uid in seen},
            [seen[uid] for uid in self.refused if uid in seen],
        )

    def rebind(self, viewer: Viewer, rois: Mapping[str, RoiState], found: Recognised) -> None:
        """Go on in another viewer of the same series, where `rois` are and these of them are recognised."""
        past, waiting = self.watcher.past, self.waiting
        self.viewer, self.watcher = viewer, Watcher(self._clock, self._settle_s)
        self.watcher.past.extend(past)
        self.held = dict(found.held)
        self.hers = {state.uid: None for state in found.hers}
        self.promoted = dict(found.promoted)
        self.refused = {state.uid for state in found.refused}
        self._unsure, self._doubtful = None, []
        known = [*found.held.values(), *found.hers, *found.refused]
        self.watcher.expect({state.uid: state for state in known})
        # a command that nobody has carried out yet still counts; one that has come back is going to be seen again
        again = [state.spec for uid, state in rois.items() if uid not in self.watcher.reported]
        commands = (one for one in waiting if not isinstance(one, RoiVanished))
        self.waiting = deque(one for one in commands if not _is_one_of(one.state, again))

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
        """Take away one ROI that has done its work (a command)."""
        self._done.append(state.spec)
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
            if error.unanswered is not None:
                self._doubtful.append((error.unanswered, None))
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

    def _is_late_write(self, change: RoiChange) -> bool:
        """Is this what a write of ours that was given up for lost has done after all? Then it is nobody's act."""
        now = self._clock()
        self._doubtful = [(w, now + LATE_S if end is None else end) for w, end in self._doubtful]
        self._doubtful = [(write, end) for write, end in self._doubtful if end is None or now <= end]
        for n, (write, _) in enumerate(self._doubtful):
            if not _explains(write, change):
                continue
            del self._doubtful[n]
            self.late_writes += 1
            if isinstance(change, RoiVanished):
                self._drop(change.before.uid)
                return True
            key = self.key_of(change.state.uid) or write.key
            if key in self.held and self.held[key].uid != change.state.uid:
                key = RoiKey(change.state.uid, STALE_ROLE, change.state.spec.k)  # it has been drawn again meanwhile
            self._hold(key, change.state)
            return True
        return False

    def _drop(self, uid: str) -> None:
        for key in [key for key, state in self.held.items() if state.uid == uid]:
            del self.held[key]

    def _find_out(self, plan: PaintPlan) -> None:
        """After a plan failed: what of it stands is ours, not her doing; what is missing will be painted again."""
        snapshot = self.viewer.snapshot(full=True)
        self._unsure = None
        meant: dict[RoiKey, list[RoiSpec]] = {}
        for write in plan.writes:
            meant.setdefault(write.key, []).extend(_meant(write))
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


def _meant(write: Write) -> list[RoiSpec]:
    """What may stand there while it is not known whether the write was carried out."""
    specs = [] if isinstance(write, CreateRoi) else [write.before.spec]
    if isinstance(write, RenameRoi):
        specs.append(write.after)
    elif not isinstance(write, DeleteRoi):
        specs.append(write.spec)
    return specs


def _explains(write: Write, change: RoiChange) -> bool:
    match change:
        case RoiAppeared():
            return isinstance(write, CreateRoi) and _is_one_of(change.state, [write.spec])
        case RoiChanged():
            same = not isinstance(write, CreateRoi) and write.before.uid == change.state.uid
            return same and _is_one_of(change.state, _meant(write))
        case RoiVanished():
            return isinstance(write, DeleteRoi) and write.before.uid == change.before.uid


def _is_one_of(state: RoiState, specs: list[RoiSpec]) -> bool:
    return any(state.spec.name == spec.name and state.spec.same_shape(spec) for spec in specs)

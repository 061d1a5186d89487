"""Turn snapshots into changes: points act at once, drawn shapes once they rest.

There are no events to subscribe to; a shape can be read while the mouse still draws it, so a new or changed shape
counts only when two polls in a row read it the same (and a polygon, drawn click by click, after a short rest).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from osirix_agent.viewer.protocol import ViewerSnapshot
from osirix_agent.viewer.roi import RoiState, RoiType


@dataclass(frozen=True, eq=False)
class RoiAppeared:
    state: RoiState


@dataclass(frozen=True, eq=False)
class RoiChanged:
    """Moved, reshaped, repainted or renamed."""

    state: RoiState
    before: RoiState


@dataclass(frozen=True, eq=False)
class RoiVanished:
    before: RoiState


RoiChange = RoiAppeared | RoiChanged | RoiVanished

SETTLING_TYPES = {RoiType.CLOSED_POLYGON, RoiType.OPEN_POLYGON}


class Watcher:
    """Remembers what has been reported; `observe` returns what is new since.

    Parameters
    ----------
    clock : callable returning seconds (monotonic)
    polygon_settle_s : float
        A polygon's vertices are single clicks: it must also rest this long.

    Attributes
    ----------
    past : list of RoiState
        What she has changed or deleted, as it was before.
    """

    def __init__(self, clock: Callable[[], float], polygon_settle_s: float = 0.3) -> None:
        self._clock = clock
        self._settle_s = polygon_settle_s
        self._reported: dict[str, RoiState] = {}
        self.past: list[RoiState] = []
        self._pending: dict[str, tuple[RoiState, float]] = {}

    @property
    def drawing(self) -> bool:
        """Is something on its way that has not come to rest?"""
        return bool(self._pending)

    @property
    def unsettled(self) -> frozenset[str]:
        """uids of what is on its way: to be read first."""
        return frozenset(self._pending)

    @property
    def reported(self) -> Mapping[str, RoiState]:
        return self._reported

    def expect(self, states: Mapping[str, RoiState | None]) -> None:
        """What the agent itself has just written (None: deleted) is no change."""
        for uid, state in states.items():
            self._pending.pop(uid, None)
            if state is None:
                self._reported.pop(uid, None)
            else:
                self._reported[uid] = state

    def observe(self, snapshot: ViewerSnapshot, *, at_once: bool = False) -> list[RoiChange]:
        """Changes that count by now.

        Parameters
        ----------
        at_once : bool
            Before accept: everything that differs counts, at rest or not.
        """
        now = self._clock()
        changes: list[RoiChange] = []
        for uid in [uid for uid in self._reported if uid not in snapshot.rois]:
            gone = self._reported.pop(uid)
            self.past.append(gone)
            changes.append(RoiVanished(gone))
        for uid in [uid for uid in self._pending if uid not in snapshot.rois]:
            del self._pending[uid]
        for uid, state in snapshot.rois.items():
            known = self._reported.get(uid)
            if known is not None and _same(known, state):
                self._pending.pop(uid, None)
                continue
            if uid not in snapshot.fresh and not at_once:
                continue
            if not at_once and not self._rests(uid, state, known, now):
                continue
            self._pending.pop(uid, None)
            self._reported[uid] = state
            if known is not None:
                self.past.append(known)
            if known is None and state.spec.itype in SETTLING_TYPES and len(state.spec.points_xy) < 3:
                continue  # hardly begun; when it grows it is a change
            changes.append(RoiAppeared(state) if known is None else RoiChanged(state, known))
        return changes

    def _rests(self, uid: str, state: RoiState, known: RoiState | None, now: float) -> bool:
        if known is None and state.spec.itype == RoiType.POINT:
            return True
        waiting = self._pending.get(uid)
        if waiting is None or not _same(waiting[0], state):
            self._pending[uid] = (state, now)
            return False
        settle = self._settle_s if state.spec.itype in SETTLING_TYPES else 0.0
        return now - waiting[1] >= settle


def _same(a: RoiState, b: RoiState) -> bool:
    return a is b or (a.spec.name == b.spec.name and a.spec.same_shape(b.spec))

"""Drafts and isolines that a killed run left in the viewer: found by the ledger, taken away, nothing else touched."""

from __future__ import annotations

from collections.abc import Sequence

from osirix_agent.record.ledger import Entry, Ledger
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.viewer.paint import DeleteRoi, NoLedger, PaintPlan, RoiKey
from osirix_agent.viewer.protocol import SeriesIdentity, Viewer, ViewerSnapshot
from osirix_agent.viewer.roi import RoiSpec, parse_agent_name


class SessionLedger:
    """The ledger of one series in the viewer's terms (a `viewer.paint.WriteLedger`)."""

    def __init__(self, ledger: Ledger, identity: SeriesIdentity, pseudonyms: Pseudonyms) -> None:
        self._ledger = ledger
        self._slices = tuple(pseudonyms.of(uid) for uid in identity.sop_uids)

    def intend(self, specs: Sequence[RoiSpec]) -> None:
        # accepted contours are hers and stay: only draft names are ever leftovers
        self._ledger.intend([self._entry(spec) for spec in specs if parse_agent_name(spec.name)])

    def wrote(self, spec: RoiSpec) -> bool:
        """Was exactly this ROI announced by a run of this agent?"""
        return parse_agent_name(spec.name) is not None and self._entry(spec) in self._ledger

    def clear(self) -> None:
        self._ledger.clear()

    def _entry(self, spec: RoiSpec) -> Entry:
        return spec.name, self._slices[spec.k], spec.shape_digest


def clear_leftovers(viewer: Viewer, ledger: SessionLedger, snapshot: ViewerSnapshot) -> tuple[int, int]:
    """Delete what earlier runs left behind.

    Returns
    -------
    (removed, kept) : tuple of int
        Kept ones have an agent's name but not the shape it drew: somebody edited them, so they stay.
    """
    found = [state for state in snapshot.rois.values() if parse_agent_name(state.spec.name)]
    ours = [state for state in found if ledger.wrote(state.spec)]
    plan = PaintPlan(tuple(DeleteRoi(RoiKey("", "leftover", s.spec.k, n), s) for n, s in enumerate(ours)))
    viewer.apply(plan, NoLedger())
    if len(ours) == len(found):
        ledger.clear()
    return len(ours), len(found) - len(ours)

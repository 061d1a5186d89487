"""Drafts and isolines that a killed run left in the viewer: found by the ledger, taken away, nothing else touched."""

from __future__ import annotations

from collections.abc import Sequence

from osirix_agent.record.ledger import Entry, Ledger
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.viewer.paint import DeleteRoi, NoLedger, PaintPlan, RenameRoi, RoiKey, Write
from osirix_agent.viewer.protocol import SeriesIdentity, Viewer, ViewerSnapshot
from osirix_agent.viewer.roi import RoiSpec, parse_agent_name


class SessionLedger:
    """The ledger of one series in the viewer's terms (a `viewer.paint.WriteLedger`)."""

    def __init__(self, ledger: Ledger, identity: SeriesIdentity, pseudonyms: Pseudonyms) -> None:
        self._ledger = ledger
        self._slices = tuple(pseudonyms.of(uid) for uid in identity.sop_uids)

    def intend(self, specs: Sequence[RoiSpec]) -> None:
        # ROIs with a plain name are hers (accepted, or edited by her): only draft names are ever leftovers
        self._ledger.intend({self._entry(s): None if parse_agent_name(s.name) else s.name for s in specs})

    def finalise(self, renames: Sequence[tuple[RoiSpec, str]]) -> None:
        self._ledger.intend({self._entry(spec): name for spec, name in renames if parse_agent_name(spec.name)})

    def final_name(self, spec: RoiSpec) -> str | None:
        return self._ledger.final_name(self._entry(spec))

    def wrote(self, spec: RoiSpec) -> bool:
        """Is it a draft that a run of this agent announced, exactly so?"""
        return parse_agent_name(spec.name) is not None and self.drew(spec)

    def drew(self, spec: RoiSpec) -> bool:
        """Did a run of this agent announce exactly this ROI, whatever its name?"""
        return self._entry(spec) in self._ledger

    @property
    def structures(self) -> set[str]:
        """Names of the structures that drafts were drawn of."""
        return {parsed[0] for name in self._ledger.names if (parsed := parse_agent_name(name))}

    def clear(self) -> None:
        self._ledger.clear()

    def _entry(self, spec: RoiSpec) -> Entry:
        return spec.name, self._slices[spec.k], spec.shape_digest


def clear_leftovers(viewer: Viewer, ledger: SessionLedger, snapshot: ViewerSnapshot) -> tuple[int, int]:
    """Delete what earlier runs left behind, and finish an accept that was cut short.

    Returns
    -------
    (removed, kept) : tuple of int
        Kept ones have an agent's name but not the shape it drew: somebody edited them, so they stay.
    """
    found = [state for state in snapshot.rois.values() if parse_agent_name(state.spec.name)]
    writes: list[Write] = []
    removed = 0
    for n, state in enumerate(state for state in found if ledger.wrote(state.spec)):
        final = ledger.final_name(state.spec)
        key = RoiKey("", "leftover", state.spec.k, n)
        writes.append(DeleteRoi(key, state) if final is None else RenameRoi(key, state, final))
        removed += final is None
    viewer.apply(PaintPlan(tuple(writes)), NoLedger())
    if len(writes) == len(found):
        ledger.clear()
    return removed, len(found) - len(writes)

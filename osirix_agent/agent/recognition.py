"""The same series, opened again: which of its ROIs the session knows, and which are new.

All uids are other ones, and OsiriX may have saved everything, something older, or nothing. So ROIs are recognised by
name, slice and shape. Nothing is concluded from what is missing: the session draws it again. What nobody knows is
something she drew meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from osirix_agent.agent.scene import CONTOUR_ROLE, STALE_ROLE, prompt_key
from osirix_agent.agent.state import SessionState
from osirix_agent.viewer.paint import RoiKey
from osirix_agent.viewer.roi import CONTOUR, RoiSpec, RoiState, RoiType, parse_agent_name

Known = tuple[RoiKey, RoiSpec]
OUTLINES = (RoiType.CLOSED_POLYGON, RoiType.BRUSH)


@dataclass(frozen=True, eq=False)
class Hers:
    """Her own ROIs as they were seen last.

    Attributes
    ----------
    baseline : sequence of RoiState
    past : sequence of RoiState
        What she has changed or deleted since: OsiriX may bring it back.
    promoted : mapping of prompt number to RoiState
    refused : sequence of RoiState
    """

    baseline: Sequence[RoiState] = ()
    past: Sequence[RoiState] = ()
    promoted: Mapping[int, RoiState] = field(default_factory=dict)
    refused: Sequence[RoiState] = ()

    def joined(self, other: Hers) -> Hers:
        """With those of a second viewer of the series, which may hold the same ones."""
        more = [state for state in other.baseline if not any(_same(state.spec, one.spec) for one in self.baseline)]
        return Hers(
            [*self.baseline, *more], [*self.past, *other.past], {**self.promoted, **other.promoted},
            [*self.refused, *other.refused],
        )  # fmt: skip


@dataclass(eq=False)
class Recognised:
    """Every ROI of the reopened series, told apart; those in no list are new.

    Attributes
    ----------
    held : dict of key to ROI
        Ours, and her prompts. What is out of date has the role `STALE_ROLE`: nothing wants it, so painting takes it.
    hers, refused : list of RoiState
    promoted : dict of uid to prompt number
    edited : set of (structure, slice)
        Contours she changed while nobody looked.
    """

    held: dict[RoiKey, RoiState] = field(default_factory=dict)
    hers: list[RoiState] = field(default_factory=list)
    refused: list[RoiState] = field(default_factory=list)
    promoted: dict[str, int] = field(default_factory=dict)
    edited: set[tuple[str, int]] = field(default_factory=set)


def known_from(states: Iterable[SessionState], viewer: int) -> list[Known]:
    """Her prompts and edited slices in all their versions, past and undone ones too."""
    found: dict[tuple[int, RoiKey], Known] = {}
    for state in states:
        for structure in state.structures.values():
            for record in structure.prompts:
                if record.roi is not None and record.viewer == viewer and not record.permanent:
                    key = prompt_key(record.number, record.roi.k)
                    found.setdefault((id(record.roi), key), (key, record.roi))
            for k, rois in structure.edits.items() if viewer == 0 else ():
                for n, roi in rois:
                    key = RoiKey(structure.name, CONTOUR_ROLE, k, n)
                    found.setdefault((id(roi), key), (key, roi))
    edited = [(key, replace(roi, name=key.owner)) for key, roi in found.values() if key.role == CONTOUR_ROLE]
    return [*found.values(), *edited]


def recognise(
    rois: Mapping[str, RoiState], ours: Sequence[Known], wanted: Collection[RoiKey], hers: Hers,
    drew: Callable[[RoiSpec], bool], run: str, structures: Collection[str], current: Collection[str],
) -> Recognised:  # fmt: skip
    """Tell the ROIs of a reopened series apart.

    Parameters
    ----------
    rois : mapping of uid to RoiState
    ours : sequence of (key, spec)
        What the session may have there, likeliest first.
    wanted : collection of RoiKey
        What should be there.
    drew : callable
        Did this agent write exactly this ROI at some time (the ledger)?
    run : str
    structures : collection of str
        Those of the session, past and undone ones too.
    current : collection of str
        Those of the present state.
    """
    left, found = dict(rois), Recognised()

    def take(fits: Callable[[RoiState], bool]) -> RoiState | None:
        uid = next((uid for uid, state in left.items() if fits(state)), None)
        return None if uid is None else left.pop(uid)

    def take_exact(spec: RoiSpec) -> RoiState | None:
        return take(lambda state: state.spec.name == spec.name and state.spec.same_shape(spec))

    def take_alike(spec: RoiSpec) -> RoiState | None:
        """The same ROI, moved or renamed while nobody looked, or brought back as it was before."""

        def alike(state: RoiState) -> bool:
            if parse_agent_name(state.spec.name) and drew(state.spec):
                return False  # a draft as it was before she made it hers: out of date
            same_name = (state.spec.name, state.spec.itype, state.spec.k) == (spec.name, spec.itype, spec.k)
            return same_name or state.spec.same_shape(spec)

        return take(alike)

    unseen = []
    for before in hers.baseline:  # first of all: what is hers must never pass for ours
        there = take_exact(before.spec)
        found.hers += [there] if there is not None else []
        unseen += [before] if there is None else []
    for before in hers.refused:
        if (there := take_exact(before.spec)) is not None:
            found.refused.append(there)
    for key, spec in ours:
        if key not in found.held and (there := take_exact(spec)) is not None:
            found.held[key] = there
    for number, before in hers.promoted.items():
        if (there := take_alike(before.spec)) is not None:
            found.promoted[there.uid] = number
    for before in unseen:
        if (there := take_alike(before.spec)) is not None:
            found.hers.append(there)
    for before in hers.past:
        if drew(before.spec):
            continue  # a contour of ours that she took away
        if (there := take_exact(before.spec)) is not None:
            found.hers.append(there)
    for state in sorted(left.values(), key=lambda one: parse_agent_name(one.spec.name) is None):
        _sort_out(state, found, wanted, ours, drew, run, structures, current)
    return found


def _sort_out(
    state: RoiState, found: Recognised, wanted: Collection[RoiKey], ours: Sequence[Known],
    drew: Callable[[RoiSpec], bool], run: str, structures: Collection[str], current: Collection[str],
) -> None:  # fmt: skip
    spec = state.spec
    parsed = parse_agent_name(spec.name)
    owner = parsed[0] if parsed else spec.name
    of_this_run = parsed is not None and parsed[2] == run
    outdated = drew(spec) and (parsed is not None or owner in structures)
    if (
        outdated
        or (of_this_run and parsed is not None and parsed[1] != CONTOUR)
        or any(_same(spec, s) for _, s in ours)
    ):
        found.held[RoiKey(state.uid, STALE_ROLE, spec.k)] = state
        return
    there = [key for key in found.held if (key.owner, key.role, key.k) == (owner, CONTOUR_ROLE, spec.k)]
    should_be = [key for key in wanted if (key.owner, key.role, key.k) == (owner, CONTOUR_ROLE, spec.k)]
    missing = set(should_be) - set(there)
    if (of_this_run and owner in current and (missing or not there)) or (
        # by its plain name it may as well be a prompt: only if a contour is not accounted for
        parsed is None and len(there) < len(should_be) and spec.itype in OUTLINES
    ):
        taken = {key.ordinal for key in [*there, *should_be]}
        found.held[RoiKey(owner, CONTOUR_ROLE, spec.k, max(taken, default=-1) + 1)] = state
        found.edited.add((owner, spec.k))
    elif parsed is not None:
        found.hers.append(state)


def _same(a: RoiSpec, b: RoiSpec) -> bool:
    return a.name == b.name and a.same_shape(b)

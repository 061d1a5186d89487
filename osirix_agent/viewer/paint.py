"""Paint by plan: a list of ROI writes with its exact inverse.

A plan is made by comparing what should be in the viewer with what is known to be there, so only what differs is
written. Carrying it out is in the viewer; what a write undoes to is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from osirix_agent.viewer.roi import RoiSpec, RoiState, RoiType


@dataclass(frozen=True)
class RoiKey:
    """What an ROI stands for: a contour ring, an isoline ring, or one of her prompts.

    Attributes
    ----------
    owner : str
        Structure name, or the prompt's number for prompts.
    role : str
        'contour', 'u05', ..., 'prompt'.
    k : int
    ordinal : int
        Of several rings on a slice.
    """

    owner: str
    role: str
    k: int
    ordinal: int = 0


@dataclass(frozen=True, eq=False)
class CreateRoi:
    key: RoiKey
    spec: RoiSpec


@dataclass(frozen=True, eq=False)
class DeleteRoi:
    key: RoiKey
    before: RoiState


@dataclass(frozen=True, eq=False)
class ReshapeRoi:
    """New vertices for an ROI that stays (closed polygons only)."""

    key: RoiKey
    before: RoiState
    spec: RoiSpec


@dataclass(frozen=True, eq=False)
class RenameRoi:
    key: RoiKey
    before: RoiState
    name: str

    @property
    def after(self) -> RoiSpec:
        return replace(self.before.spec, name=self.name)


Write = CreateRoi | DeleteRoi | ReshapeRoi | RenameRoi


@dataclass(frozen=True, eq=False)
class PaintPlan:
    writes: tuple[Write, ...]

    @property
    def slices(self) -> frozenset[int]:
        """Slices that the plan touches."""
        return frozenset(w.key.k for w in self.writes)

    @property
    def created(self) -> tuple[RoiSpec, ...]:
        """Every spec that may be found in the viewer if the plan is cut short."""
        specs: list[RoiSpec] = []
        for write in self.writes:
            if isinstance(write, (CreateRoi, ReshapeRoi)):
                specs.append(write.spec)
            elif isinstance(write, RenameRoi):
                specs.append(write.after)
        return tuple(specs)


@dataclass(frozen=True, eq=False)
class PaintReceipt:
    """What is known to be in the viewer after a plan, for the keys it touched (None: deleted)."""

    held: Mapping[RoiKey, RoiState | None] = field(default_factory=dict)
    write_count: int = 0


class WriteLedger(Protocol):
    """Remembers on disk what is about to be written, so that leftovers of a killed run can be told from her ROIs."""

    def intend(self, specs: Sequence[RoiSpec]) -> None:
        """These are about to be in the viewer."""

    def finalise(self, renames: Sequence[tuple[RoiSpec, str]]) -> None:
        """These drafts are about to get a name of their own for good."""


class NoLedger:
    """For writes that need no memory."""

    def intend(self, specs: Sequence[RoiSpec]) -> None:
        del specs

    def finalise(self, renames: Sequence[tuple[RoiSpec, str]]) -> None:
        del renames


def make_plan(wanted: Mapping[RoiKey, RoiSpec], held: Mapping[RoiKey, RoiState]) -> PaintPlan:
    """The writes that turn what is held into what is wanted: changes, then new ROIs, and last what goes.

    Cut short, such a plan has left too much rather than too little.
    """
    deletions: list[Write] = []
    changes: list[Write] = []
    creations: list[Write] = []
    for key, state in held.items():
        if key not in wanted:
            deletions.append(DeleteRoi(key, state))
    for key, spec in wanted.items():
        before = held.get(key)
        if before is None:
            creations.append(CreateRoi(key, spec))
            continue
        now = before
        if not now.spec.same_shape(spec):
            if now.spec.itype != RoiType.CLOSED_POLYGON or spec.itype != RoiType.CLOSED_POLYGON:
                creations += [DeleteRoi(key, now), CreateRoi(key, spec)]
                continue
            reshaped = RoiSpec(spec.k, spec.itype, now.spec.name, now.spec.style, spec.points_xy)
            changes.append(ReshapeRoi(key, now, reshaped))
            now = RoiState(now.uid, reshaped)
        if now.spec.name != spec.name:
            changes.append(RenameRoi(key, now, spec.name))
    return PaintPlan(tuple(changes + creations + deletions))

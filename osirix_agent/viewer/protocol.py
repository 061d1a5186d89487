"""The Viewer protocol: one 2D viewer, as the agent needs it. Implemented by the OsiriX client and by test doubles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from osirix_agent.imaging.volume import Volume
from osirix_agent.viewer.paint import PaintPlan, PaintReceipt, WriteLedger
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.roi import RoiState

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SeriesIdentity:
    """Who is shown. Identifying: stays in memory; logs get keyed pseudonyms.

    Attributes
    ----------
    sop_uids : tuple of str
        One per slice, in data order.
    frame_of_reference_uid : str or None
        None when the DICOM file behind the slice could not be read.
    """

    patient_id: str
    study_uid: str
    series_uid: str
    sop_uids: tuple[str, ...]
    frame_of_reference_uid: str | None
    modality: str


@dataclass(frozen=True, eq=False)
class ViewerSnapshot:
    """ROIs and the displayed slice at one moment.

    Attributes
    ----------
    rois : mapping of uid to RoiState
    fresh : frozenset of uid
        Those read at this very poll; the others are as last read.
    displayed_k : int
        Data index of the displayed slice.
    level_width : (level, width) or None
        The grey window, in the image's units, as it was when an ROI last appeared or changed; None: not known yet.
    """

    rois: Mapping[str, RoiState]
    fresh: frozenset[str]
    displayed_k: int
    level_width: tuple[float, float] | None = None


class Viewer(Protocol):
    """One viewer window bound by identity.

    Attributes
    ----------
    uid : str
        The window's, for as long as it is open.
    """

    uid: str

    @property
    def identity(self) -> SeriesIdentity: ...

    @property
    def pixels(self) -> PixelMap: ...

    def read_volume(self, progress: Progress | None = None) -> Volume:
        """All slices. Raises UnsupportedSeriesError, ViewerError."""

    def snapshot(
        self, *, full: bool = False, skip: frozenset[str] = frozenset(), first: frozenset[str] = frozenset()
    ) -> ViewerSnapshot:
        """What is there now.

        Parameters
        ----------
        full : bool
            Read every ROI; otherwise the displayed slice and a rotating part of the others.
        skip : frozenset of uid
            ROIs whose shape is nobody's business (isolines).
        first : frozenset of uid
            ROIs to read before others: those that have just changed.

        Raises
        ------
        ViewerClosedError, SeriesChangedError, ViewerTimeoutError, NoServerError
        """

    def apply(self, plan: PaintPlan, ledger: WriteLedger) -> PaintReceipt:
        """Carry out a plan whole, or undo what was done and raise."""

    def restore_pens(self, hers: Sequence[str]) -> None:
        """Give the clinician's pen its style back after writes; `hers` are uids of her ROIs, newest last."""

    def show_slice(self, k: int) -> None:
        """Scroll to a slice (data index) through the displayed index, so that slider and synced viewers follow."""

    def slice_shown_as(self, number: int) -> int:
        """Data index of the slice that the viewer numbers so (from 1, in display order); it may lie outside."""

    def in_front(self) -> bool:
        """Is it the frontmost of the 2D viewers?"""

    def close(self) -> None: ...

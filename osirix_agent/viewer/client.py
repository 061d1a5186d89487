"""The Viewer over osirixgrpc: reads slices, ROIs and identity; carries out paint plans.

Traps of the service that shape this file (all are OsiriX's, see docs/concepts): success is `status.status`, not the
gRPC code; an index out of range kills OsiriX, so every index is checked here; polygons are rasterised here because
OsiriX's own map is shifted; NewROI has no defaults and leaks its style into the clinician's pen.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from osirixgrpc import (
    dcmpix_pb2,
    roi_pb2,
    types_pb2,
    utilities_pb2,
    viewercontroller_pb2,
)

from osirix_agent.errors import (
    DicomError,
    EditedMeanwhileError,
    NoServerError,
    NoViewerError,
    SeriesChangedError,
    UnsupportedSeriesError,
    ViewerClosedError,
    ViewerError,
    ViewerRefusedError,
    ViewerTimeoutError,
)
from osirix_agent.imaging.dicom import read_image_header
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.settings import Settings
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.message import new_roi_request, roi_points
from osirix_agent.viewer.paint import (
    CreateRoi,
    DeleteRoi,
    PaintPlan,
    PaintReceipt,
    RenameRoi,
    ReshapeRoi,
    RoiKey,
    Write,
    WriteLedger,
)
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.protocol import Progress, SeriesIdentity, ViewerSnapshot
from osirix_agent.viewer.roi import Brush, RoiSpec, RoiState, RoiType, Style, is_isoline

RPC_BUDGET = 20  # of a poll when nothing is new
_REOPEN = "Open the series again in a 2D viewer; a running session then goes on by itself."


def displayed_viewers(connection: OsirixConnection) -> list[str]:
    """uids of the open 2D viewers, the frontmost first."""
    answer = connection.call("OsirixDisplayed2DViewers", utilities_pb2.Empty())
    uids = [v.osirixrpc_uid for v in answer.viewer_controllers]
    try:
        front = connection.call("OsirixFrontmostViewer", utilities_pb2.Empty()).viewer_controller.osirixrpc_uid
    except ViewerRefusedError:
        return uids
    return [front, *(uid for uid in uids if uid != front)]


def series_uid_of(connection: OsirixConnection, uid: str) -> str:
    """Series Instance UID of what a viewer shows, by three calls."""
    request = viewercontroller_pb2.ViewerControllerPixListRequest(
        viewer_controller=types_pb2.ViewerController(osirixrpc_uid=uid), movie_idx=0
    )
    first = connection.call("ViewerControllerPixList", request).pix[0]
    series = connection.call("DCMPixDicomSeries", first).dicom_series
    return str(connection.call("DicomSeriesSeriesInstanceUID", series).series_instance_uid)


class OsirixViewer:
    """One 2D viewer of OsiriX, bound by uid for its lifetime.

    Parameters
    ----------
    connection : OsirixConnection
    uid : str
        The viewer's; see `frontmost`.

    Attributes
    ----------
    files : tuple of Path
        The DICOM files of the slices, in data order, on the machine of OsiriX.

    Raises
    ------
    UnsupportedSeriesError
        RGB, 4D, multi-frame, too few or unevenly spaced slices.
    """

    def __init__(self, connection: OsirixConnection, uid: str, settings: Settings) -> None:
        self._rpc = connection
        self._ref = types_pb2.ViewerController(osirixrpc_uid=uid)
        self.uid = uid
        self._pix_uids = self._read_pix_uids()
        self._index_of_pix = {uid: k for k, uid in enumerate(self._pix_uids)}
        self._identity = self._read_identity()
        self._pixels = PixelMap(self._read_geometry(), settings.half_pixel_px)
        self._known: dict[str, RoiState] = {}
        self._order: list[str] = []  # rotation of ROIs on other slices
        self._brush_hint: dict[str, tuple[float, float, float]] = {}
        self._level_width: tuple[float, float] | None = None

    @classmethod
    def frontmost(cls, connection: OsirixConnection, settings: Settings) -> OsirixViewer:
        """The viewer in front.

        Raises
        ------
        NoViewerError
        """
        uids = displayed_viewers(connection)
        if not uids:
            raise NoViewerError("No 2D viewer is open in OsiriX.", "Open the series to contour, then start again.")
        return cls(connection, uids[0], settings)

    @property
    def identity(self) -> SeriesIdentity:
        return self._identity

    @property
    def pixels(self) -> PixelMap:
        return self._pixels

    def close(self) -> None:
        self._known.clear()

    # -- the series ------------------------------------------------------------------------------------------
    def read_volume(self, progress: Progress | None = None) -> Volume:
        """All slices as one float32 volume; each slice is copied once, from the message into its place."""
        shape = self._pixels.geometry.shape_kji
        array = np.empty(shape, np.float32)
        requests = [types_pb2.DCMPix(osirixrpc_uid=uid) for uid in self._pix_uids]
        for k, (answer, values) in enumerate(self._rpc.images(requests)):
            if answer.is_argb or (answer.rows, answer.columns) != shape[1:]:
                raise UnsupportedSeriesError("The slices are not all grey images of one size.", _REOPEN)
            array[k] = values.reshape(shape[1:])
            if progress is not None:
                progress(k + 1, shape[0])
        return Volume(array, self._pixels.geometry, self._identity.modality)

    def _read_pix_uids(self) -> tuple[str, ...]:
        frames = self._rpc.call("ViewerControllerMaxMovieIdx", self._ref).max_movie_idx
        if frames > 1:
            raise UnsupportedSeriesError(
                f"The viewer shows a 4D series ({frames} time frames).",
                "Open one time frame as a series of its own.",
            )
        return self._pix_list()

    def _pix_list(self) -> tuple[str, ...]:
        request = viewercontroller_pb2.ViewerControllerPixListRequest(viewer_controller=self._ref, movie_idx=0)
        return tuple(pix.osirixrpc_uid for pix in self._rpc.call("ViewerControllerPixList", request).pix)

    def _read_identity(self) -> SeriesIdentity:
        pixes = [types_pb2.DCMPix(osirixrpc_uid=uid) for uid in self._pix_uids]
        images = [a.dicom_image for a in self._rpc.call_many("DCMPixDicomImage", pixes)]
        sops = tuple(a.sop_instance_uid for a in self._rpc.call_many("DicomImageSOPInstanceUID", images))
        sources = [a.source_file for a in self._rpc.call_many("DCMPixSourceFile", pixes)]
        self.files = tuple(Path(source) for source in sources)
        if len(set(sources)) != len(sources):
            raise UnsupportedSeriesError(
                "Several slices come from one multi-frame file.",
                "Export the series as single-frame DICOM and open that.",
            )
        series = self._rpc.call("DCMPixDicomSeries", pixes[0]).dicom_series
        study = self._rpc.call("DCMPixDicomStudy", pixes[0]).dicom_study
        if len(set(sops)) != len(sops):  # careless de-identification gives every slice the same UID
            sops = tuple(f"{uid} {k}" for k, uid in enumerate(sops))
        try:
            frame = read_image_header(Path(sources[0])).frame_of_reference_uid
        except DicomError:
            frame = None
        return SeriesIdentity(
            patient_id=self._patient_id(study),
            study_uid=self._rpc.call("DicomStudyStudyInstanceUID", study).study_instance_uid,
            series_uid=self._rpc.call("DicomSeriesSeriesInstanceUID", series).series_instance_uid,
            sop_uids=sops,
            frame_of_reference_uid=frame,
            modality=self._rpc.call("ViewerControllerModality", self._ref).modality,
        )

    def _patient_id(self, study: Any) -> str:
        try:
            return str(self._rpc.call("DicomStudyPatientID", study).patient_id)
        except ViewerRefusedError:  # "Patient ID not available": de-identified by leaving it out
            return ""

    def _read_geometry(self) -> Geometry:
        pixes = [types_pb2.DCMPix(osirixrpc_uid=uid) for uid in self._pix_uids]
        if any(a.is_rgb for a in self._rpc.call_many("DCMPixIsRGB", pixes)):
            raise UnsupportedSeriesError("The viewer shows a colour series.", "Open the grey original.")
        shapes = {(a.rows, a.columns) for a in self._rpc.call_many("DCMPixShape", pixes)}
        spacings = [(a.spacing_rows, a.spacing_columns) for a in self._rpc.call_many("DCMPixSpacing", pixes)]
        turns = np.array([a.orientation[:6] for a in self._rpc.call_many("DCMPixOrientation", pixes)], float)
        origins = [(a.origin_x, a.origin_y, a.origin_z) for a in self._rpc.call_many("DCMPixOrigin", pixes)]
        if len(shapes) != 1 or np.ptp(spacings, axis=0).max() > 1e-4 or np.abs(turns - turns[0]).max() > 1e-3:
            raise UnsupportedSeriesError(
                "The slices differ in size, pixel spacing or orientation.",
                "Open one series of parallel, equal slices.",
            )
        (rows, columns), (spacing_rows, spacing_columns) = shapes.pop(), spacings[0]
        return Geometry.from_slices(origins, turns[0, :3], turns[0, 3:], spacing_rows, spacing_columns, rows, columns)

    def is_intact(self) -> bool:
        """Does the viewer still show the slices it was bound with, under the same uids?"""
        return self._pix_list() == self._pix_uids

    def verify_series(self) -> None:
        """Raise SeriesChangedError unless the viewer is intact."""
        if not self.is_intact():
            raise SeriesChangedError("The viewer now shows another series.", _REOPEN)

    # -- reading ROIs ----------------------------------------------------------------------------------------
    def snapshot(
        self, *, full: bool = False, skip: frozenset[str] = frozenset(), first: frozenset[str] = frozenset()
    ) -> ViewerSnapshot:
        start = self._rpc.rpc_count
        displayed = self._displayed_k()
        listed = self._roi_list()
        for uid in set(self._known) - set(listed):
            del self._known[uid]
            self._brush_hint.pop(uid, None)
        new = [uid for uid in listed if uid not in self._known]
        if new or first or full:  # only when a prompt may be under way: an idle poll stays as small as it was
            self._level_width = self._read_level_width()
        for state in self._read_new([(uid, listed[uid]) for uid in new]):
            self._known[state.uid] = state
        budget = None if full else RPC_BUDGET - (self._rpc.rpc_count - start if not new else 2)
        again = self._read_again(listed, displayed, frozenset(new) | skip, first, budget)
        rois = {uid: self._known[uid] for uid in listed if uid in self._known}
        return ViewerSnapshot(rois, frozenset(new) | again, displayed, self._level_width)

    def _read_level_width(self) -> tuple[float, float] | None:
        try:
            answer = self._rpc.call("ViewerControllerWLWW", self._ref)
        except ViewerRefusedError:
            return None
        return float(answer.wl), float(answer.ww)

    def _displayed_k(self) -> int:
        uid = self._rpc.call("ViewerControllerCurDCM", self._ref).pix.osirixrpc_uid
        if uid not in self._index_of_pix:
            self.verify_series()
            raise SeriesChangedError("The displayed slice is not one of the session's series.", _REOPEN)
        return self._index_of_pix[uid]

    def _roi_list(self) -> dict[str, int]:
        request = viewercontroller_pb2.ViewerControllerROIListRequest(viewer_controller=self._ref, movie_idx=0)
        slices = self._rpc.call("ViewerControllerROIList", request).roi_slices
        return {roi.osirixrpc_uid: k for k, one in enumerate(slices) for roi in one.rois}

    def _read_new(self, found: Sequence[tuple[str, int]]) -> list[RoiState]:
        """Full state of ROIs seen for the first time; one that vanishes in between is left out."""
        if not found:
            return []
        try:
            return self._read_full(found)
        except ViewerClosedError:
            states = []
            for one in found:
                try:
                    states += self._read_full([one])
                except ViewerClosedError:
                    continue
            return states

    def _read_full(self, found: Sequence[tuple[str, int]]) -> list[RoiState]:
        refs = [types_pb2.ROI(osirixrpc_uid=uid) for uid, _ in found]
        many = self._rpc.call_many
        kinds = [a.itype for a in many("ROIIType", refs)]
        names = [a.name for a in many("ROIName", refs)]
        colours = [(a.r, a.g, a.b) for a in many("ROIColor", refs)]
        widths = [a.thickness for a in many("ROIThickness", refs)]
        opacities = [a.opacity for a in many("ROIOpacity", refs)]
        shapes = [roi_points(a) for a in many("ROIPoints", refs)]
        states = []
        for n, (uid, k) in enumerate(found):
            brush = self._read_brush(uid, k) if kinds[n] == RoiType.BRUSH else None
            points = shapes[n] if brush is None else np.zeros((0, 2), np.float32)
            style = Style(colours[n], widths[n], opacities[n])
            states.append(RoiState(uid, RoiSpec(k, kinds[n], names[n], style, points, brush)))
        return states

    def _read_brush(self, uid: str, k: int) -> Brush:
        roi = types_pb2.ROI(osirixrpc_uid=uid)
        self._brush_hint[uid] = self._read_hint(roi)
        request = dcmpix_pb2.DCMPixGetMapFromROIRequest(pix=types_pb2.DCMPix(osirixrpc_uid=self._pix_uids[k]), roi=roi)
        answer = self._rpc.call("DCMPixGetMapFromROI", request)
        full = np.array(answer.map, np.bool_).reshape(answer.rows, answer.columns)
        return Brush.from_full(full) or Brush(np.zeros((1, 1), np.bool_), (0, 0))

    def _read_hint(self, roi: Any) -> tuple[float, float, float]:
        """Area and centroid: they change when the painting changes, and cost two small calls instead of a map."""
        centre = self._rpc.call("ROICentroid", roi)
        return self._rpc.call("ROIArea", roi).area, centre.x, centre.y

    def _read_again(
        self, listed: dict[str, int], displayed: int, leave: frozenset[str], first: frozenset[str], budget: int | None
    ) -> frozenset[str]:
        """Re-read name and shape: everything, or within a budget of calls the displayed slice and a rotating rest."""
        wanted = [uid for uid in listed if uid not in leave and uid in self._known]
        if budget is not None:
            rank = {uid: n for n, uid in enumerate(self._order)}
            wanted.sort(key=lambda uid: (uid not in first, listed[uid] != displayed, rank.get(uid, -1)))
            chosen, cost = [], 0
            for uid in wanted:
                cost += 3 if self._known[uid].spec.itype == RoiType.BRUSH else 2
                if cost > budget:
                    break
                chosen.append(uid)
            wanted = chosen
            turned = set(wanted)
            self._order = [uid for uid in self._order if uid in listed and uid not in turned] + wanted
        try:
            self._refresh(wanted, listed, maps=budget is None)
            return frozenset(wanted)
        except ViewerClosedError:  # one of them vanished just now: the next poll lists what is left
            self._rpc.call("ViewerControllerIdx", self._ref)  # unless the viewer itself is gone
            return frozenset()

    def _refresh(self, uids: Sequence[str], listed: dict[str, int], *, maps: bool) -> None:
        refs = [types_pb2.ROI(osirixrpc_uid=uid) for uid in uids]
        names = [a.name for a in self._rpc.call_many("ROIName", refs)]
        for uid, ref, name in zip(uids, refs, names, strict=True):
            old = self._known[uid].spec
            points, brush = old.points_xy, old.brush
            if old.itype == RoiType.BRUSH:
                if maps or self._read_hint(ref) != self._brush_hint.get(uid):
                    brush = self._read_brush(uid, listed[uid])
            else:
                read = roi_points(self._rpc.call("ROIPoints", ref))
                points = points if np.array_equal(read, points) else read
            new = RoiState(uid, RoiSpec(old.k, old.itype, name, old.style, points, brush))
            if name != old.name or not new.spec.same_shape(old):
                self._known[uid] = new

    # -- writing ---------------------------------------------------------------------------------------------
    def apply(self, plan: PaintPlan, ledger: WriteLedger) -> PaintReceipt:
        if not plan.writes:
            return PaintReceipt()
        self.verify_series()
        try:
            self._verify_untouched(plan)
        except EditedMeanwhileError as error:
            error.nothing_written = True
            raise
        ledger.intend(plan.created)
        held: dict[RoiKey, RoiState | None] = {}
        done: list[Write] = []
        write = plan.writes[0]
        try:
            for write in plan.writes:
                self._write(write, held)
                done.append(write)
        except (ViewerTimeoutError, NoServerError) as error:
            self._known.clear()  # nothing more is sent to a viewer that does not answer; see what stands when it does
            error.unanswered = write
            raise
        except ViewerClosedError:
            self._rpc.call("ViewerControllerIdx", self._ref)  # the viewer itself may be gone
            self._roll_back(done, held)
            self.redraw()
            raise EditedMeanwhileError(
                "An ROI that was to be changed has just been deleted.",
                "The change was taken back; it is looked at again.",
            ) from None
        except ViewerError:
            self._roll_back(done, held)
            self.redraw()
            raise
        self.redraw()
        self._known.update({state.uid: state for state in held.values() if state is not None})
        return PaintReceipt(held, len(plan.writes))

    def redraw(self) -> None:
        """Show what was written."""
        with suppress(ViewerError):  # what made writes fail is on its way up already; the next redraw shows all
            self._rpc.call("ViewerControllerNeedsDisplayUpdate", self._ref)

    def _verify_untouched(self, plan: PaintPlan) -> None:
        """Compare, before anything is written, every ROI that will be changed with what is known of it."""
        touched: dict[str, RoiState] = {}
        for write in plan.writes:
            if not isinstance(write, CreateRoi) and not is_isoline(write.before.spec.name):
                touched.setdefault(write.before.uid, write.before)  # of several writes to one ROI the first counts
        for before in touched.values():
            try:
                now = self._read_shape(before)
            except ViewerClosedError:
                raise EditedMeanwhileError(
                    "An ROI that was to be changed has just been deleted.",
                    "Nothing was written; it is looked at again.",
                ) from None
            if not now.spec.same_shape(before.spec) or now.spec.name != before.spec.name:
                raise EditedMeanwhileError(
                    "An ROI that was to be changed has just been edited.",
                    "Nothing was written; the edit is kept.",
                )

    def _read_shape(self, state: RoiState) -> RoiState:
        ref = types_pb2.ROI(osirixrpc_uid=state.uid)
        spec = state.spec
        name = self._rpc.call("ROIName", ref).name
        if spec.itype == RoiType.BRUSH:
            brush = self._read_brush(state.uid, spec.k)  # the map itself: area and centroid can stay the same
            return RoiState(state.uid, RoiSpec(spec.k, spec.itype, name, spec.style, spec.points_xy, brush))
        points = roi_points(self._rpc.call("ROIPoints", ref))
        return RoiState(state.uid, RoiSpec(spec.k, spec.itype, name, spec.style, points))

    def _write(self, write: Write, held: dict[RoiKey, RoiState | None]) -> None:
        match write:
            case CreateRoi():
                held[write.key] = self._create(write.spec)
            case DeleteRoi():
                self._delete(write.before)
                self._known.pop(write.before.uid, None)
                held[write.key] = None
            case ReshapeRoi():
                self._set_points(write.before.uid, write.spec)
                held[write.key] = RoiState(write.before.uid, write.spec)
            case RenameRoi():
                self._set_name(write.before.uid, write.name)
                held[write.key] = RoiState(write.before.uid, write.after)

    def _roll_back(self, done: list[Write], held: dict[RoiKey, RoiState | None]) -> None:
        """Undo what was done, newest first, as far as OsiriX still lets us; the ledger knows the rest."""
        self._known.clear()
        for write in reversed(done):
            inverse = _inverse(write, held.get(write.key))
            try:
                self._write(inverse, {})
            except (ViewerTimeoutError, NoServerError) as error:
                error.unanswered = inverse
                raise
            except ViewerError:
                continue
        self._known.clear()

    def _create(self, spec: RoiSpec) -> RoiState:
        if not 0 <= spec.k < len(self._pix_uids):  # OsiriX itself dies of this
            raise ValueError(f"slice {spec.k} is outside the series of {len(self._pix_uids)} slices")
        try:
            roi = self._rpc.call("ViewerControllerNewROI", new_roi_request(self._ref, spec)).roi
        except ViewerTimeoutError:
            made = self._find_created(spec)  # it may have been made all the same: look before anything is repeated
            if made is None:
                raise
            return made
        if spec.brush is not None:
            self._brush_hint[roi.osirixrpc_uid] = self._read_hint(roi)
        return RoiState(roi.osirixrpc_uid, spec)

    def _find_created(self, spec: RoiSpec) -> RoiState | None:
        unknown = [(uid, k) for uid, k in self._roi_list().items() if uid not in self._known and k == spec.k]
        for state in self._read_new(unknown):
            if state.spec.name == spec.name and state.spec.same_shape(spec):
                return state
        return None

    def _delete(self, state: RoiState) -> None:
        try:
            self._rpc.call("ROIDelete", types_pb2.ROI(osirixrpc_uid=state.uid))
        except ViewerClosedError:
            if not is_isoline(state.spec.name):
                raise
            self._rpc.call("ViewerControllerIdx", self._ref)  # she took the isoline away herself: that was wanted

    def _set_points(self, uid: str, spec: RoiSpec) -> None:
        request = roi_pb2.ROISetPointsRequest(roi=types_pb2.ROI(osirixrpc_uid=uid))
        for x, y in spec.points_xy.tolist():
            request.points.add(x=x, y=y)
        self._rpc.call("ROISetPoints", request)

    def _set_name(self, uid: str, name: str) -> None:
        self._rpc.call("ROISetName", roi_pb2.ROISetNameRequest(roi=types_pb2.ROI(osirixrpc_uid=uid), name=name))

    def restore_pens(self, hers: Sequence[str]) -> None:
        """Re-set the newest of her ROIs of each class (brush, others) to the style it has: that sets the pen."""
        newest: dict[bool, str] = {}
        for uid in hers:
            state = self._known.get(uid)
            if state is not None:
                newest[state.spec.itype == RoiType.BRUSH] = uid
        for uid in newest.values():
            ref = types_pb2.ROI(osirixrpc_uid=uid)
            try:
                colour = self._rpc.call("ROIColor", ref)
                width = self._rpc.call("ROIThickness", ref).thickness
                opacity = self._rpc.call("ROIOpacity", ref).opacity
                self._rpc.call("ROISetColor", roi_pb2.ROISetColorRequest(roi=ref, r=colour.r, g=colour.g, b=colour.b))
                self._rpc.call("ROISetThickness", roi_pb2.ROISetThicknessRequest(roi=ref, thickness=width))
                self._rpc.call("ROISetOpacity", roi_pb2.ROISetOpacityRequest(roi=ref, opacity=opacity))
            except ViewerClosedError:
                continue

    def show_slice(self, k: int) -> None:
        count = len(self._pix_uids)
        if not 0 <= k < count:
            raise ValueError(f"slice {k} is outside the series of {count} slices")
        flipped = self._rpc.call("ViewerControllerFlippedData", self._ref).flipped_data
        request = viewercontroller_pb2.ViewerControllerSetDisplayedIdxRequest(
            viewer_controller=self._ref, displayed_idx=count - 1 - k if flipped else k
        )
        self._rpc.call("ViewerControllerSetDisplayedIdx", request)

    def slice_shown_as(self, number: int) -> int:
        flipped = self._rpc.call("ViewerControllerFlippedData", self._ref).flipped_data
        return len(self._pix_uids) - number if flipped else number - 1

    def in_front(self) -> bool:
        return displayed_viewers(self._rpc)[:1] == [self.uid]


def _inverse(write: Write, made: RoiState | None) -> Write:
    match write:
        case CreateRoi():
            assert made is not None
            return DeleteRoi(write.key, made)
        case DeleteRoi():
            return CreateRoi(write.key, write.before.spec)
        case ReshapeRoi():
            return ReshapeRoi(write.key, RoiState(write.before.uid, write.spec), write.before.spec)
        case RenameRoi():
            return RenameRoi(write.key, RoiState(write.before.uid, write.after), write.before.spec.name)

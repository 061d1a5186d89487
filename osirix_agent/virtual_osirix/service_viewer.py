"""The osirixgrpc service over a `VirtualOsirix`: the application and its 2D viewers."""

from __future__ import annotations

from typing import Any

import numpy as np
from osirixgrpc import osirix_pb2, types_pb2, viewercontroller_pb2

from osirix_agent.virtual_osirix.app import Viewer, VolumeWindow
from osirix_agent.virtual_osirix.resample import resampled, slices_are_regular
from osirix_agent.virtual_osirix.roi import POINT_TYPES, RECT_TYPES, Roi, ToolMode
from osirix_agent.virtual_osirix.service import KINDS, ServiceBase, StatusError, byte, done, mac_roman, ok


class ViewerService(ServiceBase):
    """Osirix* and ViewerController* calls."""

    def OsirixVersion(self, request: Any) -> Any:
        return ok(osirix_pb2.OsirixVersionResponse, version=self.app.version, bundle_name=self.app.bundle_name)

    def OsirixFrontmostViewer(self, request: Any) -> Any:
        if not self.app.viewers:
            raise StatusError("No ViewerController active")
        front = self._ref(types_pb2.ViewerController, self.app.viewers[0])
        return ok(osirix_pb2.OsirixFrontmostViewerResponse, viewer_controller=front)

    def OsirixDisplayed2DViewers(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.ViewerController, v) for v in self.app.viewers]
        return ok(osirix_pb2.OsirixDisplayed2DViewersResponse, viewer_controllers=refs)

    def OsirixDisplayedVRControllers(self, request: Any) -> Any:
        refs = [self._ref(types_pb2.VRController, window) for window in self.app.volume_windows]
        return ok(osirix_pb2.OsirixDisplayedVRControllersResponse, vr_controllers=refs)

    def OsirixFrontmostVRController(self, request: Any) -> Any:
        if not self.app.volume_windows:
            raise StatusError("No VRController active")
        front = self._ref(types_pb2.VRController, self.app.volume_windows[0])
        return ok(osirix_pb2.OsirixFrontmostVRControllerResponse, vr_controller=front)

    def OsirixCacheUids(self, request: Any) -> Any:
        return ok(osirix_pb2.OsirixCacheUidsResponse, uids=self.app.cached_uids())

    def OsirixCacheObjectForUid(self, request: Any) -> Any:
        """An unknown uid is no failure: status 1, type `no object`."""
        thing = self.app.cached_object(request.uid)
        kind = "no object" if thing is None else KINDS[type(thing)]
        return ok(osirix_pb2.OsirixCacheObjectForUidResponse, object_type=kind)

    def ViewerControllerCloseViewer(self, request: Any) -> Any:
        """What is still drawn is saved into the patient database; all uids of the viewer die."""
        self.app.close_viewer(self._viewer(request))
        return done()

    def ViewerControllerPixList(self, request: Any) -> Any:
        """In data order, whatever the display order; an index out of range is clamped."""
        viewer = self._viewer(request.viewer_controller)
        frame = min(max(request.movie_idx, 0), len(viewer.pixes) - 1)
        refs = [self._ref(types_pb2.DCMPix, pix) for pix in viewer.pixes[frame]]
        return ok(viewercontroller_pb2.ViewerControllerPixListResponse, pix=refs)

    def ViewerControllerNeedsDisplayUpdate(self, request: Any) -> Any:
        """What NewROI made is seen from here on."""
        self._viewer(request).redraw()
        return done()

    def ViewerControllerROIList(self, request: Any) -> Any:
        """One entry a slice, empty ones too, half-drawn ROIs too."""
        viewer = self._viewer(request.viewer_controller)
        frame = min(max(request.movie_idx, 0), len(viewer.rois) - 1)
        answer = ok(viewercontroller_pb2.ViewerControllerROIListResponse)
        for rois in viewer.rois[frame]:
            one = answer.roi_slices.add()
            for roi in rois:
                one.rois.add().osirixrpc_uid = self.app.uid(roi)
        return answer

    def ViewerControllerNewROI(self, request: Any) -> Any:
        """No defaults; its style becomes the pen; an index out of range ends OsiriX."""
        viewer = self._viewer(request.viewer_controller)
        roi = _new_roi(request)
        roi.set_name(mac_roman(request.name))
        if not roi.is_valid:
            raise StatusError("Could not create ROI")
        shown = viewer.current_pix
        roi.spacing = (shown.spacing_rows, shown.spacing_columns)  # of the displayed slice, not of the one drawn on
        c = request.color
        roi.color = (byte(c.r), byte(c.g), byte(c.b))
        roi.set_thickness(request.thickness)
        roi.opacity = float(np.float32(request.opacity))
        self.app.leak_style(roi)
        frames = len(viewer.rois)
        if not 0 <= request.movie_idx < frames or not 0 <= request.idx < len(viewer.rois[request.movie_idx]):
            self.app.fail()
            raise StatusError("Could not create ROI")
        roi.pix = viewer.pixes[request.movie_idx][request.idx]
        roi.seen = False
        viewer.rois[request.movie_idx][request.idx].append(roi)
        return ok(viewercontroller_pb2.ViewerControllerNewROIResponse, roi=self._ref(types_pb2.ROI, roi))

    def ViewerControllerCurDCM(self, request: Any) -> Any:
        pix = self._ref(types_pb2.DCMPix, self._viewer(request).current_pix)
        return ok(viewercontroller_pb2.ViewerControllerCurDCMResponse, pix=pix)

    def ViewerControllerROIsWithName(self, request: Any) -> Any:
        """Exact match over all slices; a movie index out of range ends OsiriX."""
        viewer = self._viewer(request.viewer_controller)
        if not request.in_4d and not 0 <= request.movie_idx < len(viewer.rois):
            self.app.fail()
        found = [
            self._ref(types_pb2.ROI, roi)
            for t, _, roi in viewer.all_rois()
            if roi.name == mac_roman(request.name) and (request.in_4d or t == request.movie_idx)
        ]
        return ok(viewercontroller_pb2.ViewerControllerROIsWithNameResponse, rois=found)

    def ViewerControllerSelectedROIs(self, request: Any) -> Any:
        """Of the displayed slice only: selected, a vertex in hand, or still being drawn."""
        viewer = self._viewer(request)
        found = [self._ref(types_pb2.ROI, r) for r in viewer.current_rois if r.selected or r.modifying or r.drawing]
        return ok(viewercontroller_pb2.ViewerControllerSelectedROIsResponse, rois=found)

    def ViewerControllerIsDataVolumic(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        frames = viewer.pixes if request.in_4d else viewer.pixes[:1]
        volumic = all(slices_are_regular(slices) for slices in frames)
        return ok(viewercontroller_pb2.ViewerControllerIsDataVolumicResponse, is_volumic=volumic)

    def ViewerControllerCopyViewerWindow(self, request: Any) -> Any:
        """Its own pixels, no ROIs."""
        viewer = self._viewer(request)
        copy = self._open([[pix.copy() for pix in slices] for slices in viewer.pixes], viewer, viewer)
        ref = self._ref(types_pb2.ViewerController, copy)
        return ok(viewercontroller_pb2.ViewerControllerCopyViewerWindowResponse, viewer_controller=ref)

    def ViewerControllerResampleViewerController(self, request: Any) -> Any:
        """A new viewer on the fixed one's slices; the moving one is closed. Irregular slices end OsiriX."""
        moving = self._viewer(request.viewer_controller)
        fixed: Viewer = self._find(request.fixed_viewer_controller, Viewer, "fixed ")
        if not all(slices_are_regular(slices) for slices in (*moving.pixes, fixed.pixes[0])):
            self.app.fail()
            raise StatusError("Could not resample")
        frames = [resampled(slices, fixed.pixes[0]) for slices in moving.pixes]
        made = self._open(frames, moving, fixed)
        if moving is not fixed:
            self.app.close_viewer(moving)
        ref = self._ref(types_pb2.ViewerController, made)
        return ok(viewercontroller_pb2.ViewerControllerResampleViewerControllerResponse, resampled_viewer=ref)

    def _open(self, frames: list[list[Any]], series_of: Viewer, shown_as: Viewer) -> Viewer:
        """A viewer of pixels that are in no file."""
        made = Viewer(
            series_of.series, frames, [[[] for _ in slices] for slices in frames], shown_as.index,
            min(shown_as.movie_index, len(frames) - 1), shown_as.flipped, series_of.wlww,
            slider=shown_as.slider, made_here=True,
        )  # fmt: skip
        self.app.viewers.insert(0, made)
        return made

    def ViewerControllerBlendingController(self, request: Any) -> Any:
        viewer = self._viewer(request)
        if viewer.fused is None:
            raise StatusError("No blending controller active")
        ref = self._ref(types_pb2.ViewerController, viewer.fused)
        return ok(viewercontroller_pb2.ViewerControllerBlendingControllerResponse, blending_viewer=ref)

    def ViewerControllerFuseWithViewer(self, request: Any) -> Any:
        """Without the alert that OsiriX may show when the planes are not parallel."""
        viewer = self._viewer(request.viewer_controller)
        viewer.fused = self._find(request.fusion_viewer_controller, Viewer, "fusion ")
        return done()

    def ViewerControllerVRControllers(self, request: Any) -> Any:
        viewer = self._viewer(request)
        refs = [self._ref(types_pb2.VRController, w) for w in self.app.volume_windows if w.viewer is viewer]
        return ok(viewercontroller_pb2.ViewerControllerVRControllersResponse, vr_controllers=refs)

    def ViewerControllerOpenVRViewerForMode(self, request: Any) -> Any:
        """The one that is open already, if there is one."""
        viewer = self._viewer(request.viewer_controller)
        if request.mode not in ("VR", "MIP"):
            raise StatusError("Unavailable mode")
        if not all(slices_are_regular(slices) for slices in viewer.pixes):
            raise StatusError("Could not find opened VR window")
        windows = self.app.volume_windows
        window = next((w for w in windows if w.viewer is viewer), None) or VolumeWindow(viewer, viewer.wlww)
        window.rendering_mode = request.mode
        windows[:] = [window, *(w for w in windows if w is not window)]
        ref = self._ref(types_pb2.VRController, window)
        return ok(viewercontroller_pb2.ViewerControllerOpenVRViewerForModeResponse, vr_controller=ref)

    def ViewerControllerTitle(self, request: Any) -> Any:
        title = str(self._viewer(request).series.header.get("SeriesDescription", ""))
        return ok(viewercontroller_pb2.ViewerControllerTitleResponse, title=title)

    def ViewerControllerModality(self, request: Any) -> Any:
        modality = self._viewer(request).series.modality
        return ok(viewercontroller_pb2.ViewerControllerModalityResponse, modality=modality)

    def ViewerControllerMovieIdx(self, request: Any) -> Any:
        movie = self._viewer(request).movie_index
        return ok(viewercontroller_pb2.ViewerControllerMovieIdxResponse, movie_idx=movie)

    def ViewerControllerMaxMovieIdx(self, request: Any) -> Any:
        """A count: 1 for a 3D series."""
        count = len(self._viewer(request).pixes)
        return ok(viewercontroller_pb2.ViewerControllerMaxMovieIdxResponse, max_movie_idx=count)

    def ViewerControllerSetMovieIdx(self, request: Any) -> Any:
        """Lets the count itself through; that wraps to 0."""
        viewer = self._viewer(request.viewer_controller)
        if not 0 <= request.movie_idx <= len(viewer.pixes):
            raise StatusError("Invalid movie index")
        viewer.movie_index = request.movie_idx % len(viewer.pixes)
        return done()

    def ViewerControllerIdx(self, request: Any) -> Any:
        return ok(viewercontroller_pb2.ViewerControllerIdxResponse, idx=self._viewer(request).index)

    def ViewerControllerSetIdx(self, request: Any) -> Any:
        """Data order; slider and synchronised viewers are not told."""
        viewer = self._viewer(request.viewer_controller)
        self._go(viewer, request.idx, request.idx)
        return done()

    def ViewerControllerDisplayedIdx(self, request: Any) -> Any:
        shown = self._viewer(request).displayed_index
        return ok(viewercontroller_pb2.ViewerControllerDisplayedIdxResponse, displayed_idx=shown)

    def ViewerControllerSetDisplayedIdx(self, request: Any) -> Any:
        """Display order; slider and synchronised viewers follow."""
        viewer = self._viewer(request.viewer_controller)
        asked = request.displayed_idx
        self._go(viewer, len(viewer.pixes[0]) - 1 - asked if viewer.flipped else asked, asked)
        viewer.slider = asked
        self.app.follow(viewer)
        return done()

    def _go(self, viewer: Viewer, index: int, asked: int) -> None:
        if not 0 <= index < len(viewer.pixes[viewer.movie_index]):
            raise StatusError(f"Index {asked} is out of range")
        viewer.show(index)

    def ViewerControllerFlippedData(self, request: Any) -> Any:
        flipped = self._viewer(request).flipped
        return ok(viewercontroller_pb2.ViewerControllerFlippedDataResponse, flipped_data=flipped)

    def ViewerControllerWLWW(self, request: Any) -> Any:
        wl, ww = self._viewer(request).wlww
        return ok(viewercontroller_pb2.ViewerControllerWLWWResponse, wl=wl, ww=ww)

    def ViewerControllerSetWLWW(self, request: Any) -> Any:
        self._viewer(request.viewer_controller).wlww = (float(request.wl), float(request.ww))
        return done()


def _new_roi(request: Any) -> Roi:
    """The ROI that a NewROI request describes; kinds that the service does not make are refused."""
    itype = request.itype
    if itype == ToolMode.BRUSH:
        held = np.array(request.buffer.buffer, np.bool_)
        rows, columns = request.buffer.rows, request.buffer.columns
        if rows > 0 and columns > 0 and held.size == rows * columns:
            where = (request.buffer_position_x, request.buffer_position_y)
            return Roi(itype, "", None, texture=held.reshape(rows, columns), texture_xy=where)
    elif itype in POINT_TYPES:
        points = np.array([(p.x, p.y) for p in request.points], np.float32).reshape(-1, 2)
        return Roi(itype, "", None, points=points)
    elif itype in RECT_TYPES:
        r = request.rectangle
        x, y, w, h = (float(np.float32(v)) for v in (r.origin_x, r.origin_y, r.width, r.height))
        return Roi(itype, "", None, rect=(x, y, 0.0, 0.0) if itype == ToolMode.POINT else (x, y, w, h))
    raise StatusError("Could not create ROI")

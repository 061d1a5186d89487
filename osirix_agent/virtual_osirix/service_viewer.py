"""The osirixgrpc service over a `VirtualOsirix`: the application and its 2D viewers."""

from __future__ import annotations

from typing import Any

import numpy as np
from osirixgrpc import osirix_pb2, types_pb2, viewercontroller_pb2

from osirix_agent.virtual_osirix.app import Pix, Viewer
from osirix_agent.virtual_osirix.roi import POINT_TYPES, RECT_TYPES, Roi, ToolMode
from osirix_agent.virtual_osirix.service import KINDS, ServiceBase, StatusError, byte, done, ok


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
        return ok(osirix_pb2.OsirixDisplayedVRControllersResponse)

    def OsirixFrontmostVRController(self, request: Any) -> Any:
        raise StatusError("No VRController active")

    def OsirixCacheUids(self, request: Any) -> Any:
        return ok(osirix_pb2.OsirixCacheUidsResponse, uids=self.app.cached_uids())

    def OsirixCacheObjectForUid(self, request: Any) -> Any:
        thing = self.app.cached_object(request.uid)
        kind = "no object" if thing is None else KINDS.get(type(thing), type(thing).__name__)
        return ok(osirix_pb2.OsirixCacheObjectForUidResponse, object_type=kind)

    def ViewerControllerCloseViewer(self, request: Any) -> Any:
        self.app.close_viewer(self._viewer(request))
        return done()

    def ViewerControllerPixList(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        frame = min(max(request.movie_idx, 0), len(viewer.pixes) - 1)
        refs = [self._ref(types_pb2.DCMPix, pix) for pix in viewer.pixes[frame]]
        return ok(viewercontroller_pb2.ViewerControllerPixListResponse, pix=refs)

    def ViewerControllerNeedsDisplayUpdate(self, request: Any) -> Any:
        self._viewer(request).redraws += 1
        return done()

    def ViewerControllerROIList(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        frame = min(max(request.movie_idx, 0), len(viewer.rois) - 1)
        answer = ok(viewercontroller_pb2.ViewerControllerROIListResponse)
        for rois in viewer.rois[frame]:
            one = answer.roi_slices.add()
            for roi in rois:
                one.rois.add().osirixrpc_uid = self.app.uid(roi)
        return answer

    def ViewerControllerNewROI(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        roi = _new_roi(request)
        roi.name = request.name.encode("utf-8").decode("mac_roman")  # the server's default C string encoding
        frames = len(viewer.rois)
        if not 0 <= request.movie_idx < frames or not 0 <= request.idx < len(viewer.rois[request.movie_idx]):
            if self.app.strict:
                self.app.crash()
            raise StatusError("Could not create ROI")
        roi.pix = viewer.pixes[request.movie_idx][request.idx]
        c = request.color
        roi.color = (byte(c.r), byte(c.g), byte(c.b))
        roi.set_thickness(request.thickness)
        roi.opacity = float(np.float32(request.opacity))
        viewer.rois[request.movie_idx][request.idx].append(roi)
        self.app.leak_style(roi)
        return ok(viewercontroller_pb2.ViewerControllerNewROIResponse, roi=self._ref(types_pb2.ROI, roi))

    def ViewerControllerCurDCM(self, request: Any) -> Any:
        pix = self._ref(types_pb2.DCMPix, self._viewer(request).current_pix)
        return ok(viewercontroller_pb2.ViewerControllerCurDCMResponse, pix=pix)

    def ViewerControllerROIsWithName(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        found = [
            self._ref(types_pb2.ROI, roi)
            for t, _, roi in viewer.all_rois()
            if roi.name == request.name and (request.in_4d or t == request.movie_idx)
        ]
        return ok(viewercontroller_pb2.ViewerControllerROIsWithNameResponse, rois=found)

    def ViewerControllerSelectedROIs(self, request: Any) -> Any:
        viewer = self._viewer(request)
        found = [self._ref(types_pb2.ROI, r) for r in viewer.current_rois if r.selected or r.drawing]
        return ok(viewercontroller_pb2.ViewerControllerSelectedROIsResponse, rois=found)

    def ViewerControllerIsDataVolumic(self, request: Any) -> Any:
        pixes = self._viewer(request.viewer_controller).pixes[0]
        same = len({(p.rows, p.columns, p.spacing_rows, p.spacing_columns) for p in pixes}) == 1
        volumic = same and len(pixes) > 2 and not pixes[0].is_rgb
        return ok(viewercontroller_pb2.ViewerControllerIsDataVolumicResponse, is_volumic=volumic)

    def ViewerControllerCopyViewerWindow(self, request: Any) -> Any:
        viewer = self._viewer(request)
        copy = Viewer(
            viewer.series,
            [[Pix(**{**vars(p), "image": p.image.copy(), "payload": None}) for p in s] for s in viewer.pixes],
            [[[] for _ in s] for s in viewer.pixes],
            viewer.index, viewer.movie_index, viewer.flipped, viewer.wlww,
        )  # fmt: skip
        self.app.viewers.insert(0, copy)
        ref = self._ref(types_pb2.ViewerController, copy)
        return ok(viewercontroller_pb2.ViewerControllerCopyViewerWindowResponse, viewer_controller=ref)

    def ViewerControllerBlendingController(self, request: Any) -> Any:
        viewer = self._viewer(request)
        if viewer.fused is None:
            raise StatusError("No blending controller active")
        ref = self._ref(types_pb2.ViewerController, viewer.fused)
        return ok(viewercontroller_pb2.ViewerControllerBlendingControllerResponse, blending_viewer=ref)

    def ViewerControllerFuseWithViewer(self, request: Any) -> Any:
        self._viewer(request.viewer_controller).fused = self._viewer(request.fusion_viewer_controller)
        return done()

    def ViewerControllerVRControllers(self, request: Any) -> Any:
        self._viewer(request)
        return ok(viewercontroller_pb2.ViewerControllerVRControllersResponse)

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
        count = len(self._viewer(request).pixes)
        return ok(viewercontroller_pb2.ViewerControllerMaxMovieIdxResponse, max_movie_idx=count)

    def ViewerControllerSetMovieIdx(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        if not 0 <= request.movie_idx <= len(viewer.pixes):  # the service lets == count through; it wraps to 0
            raise StatusError("Invalid movie index")
        viewer.movie_index = request.movie_idx % len(viewer.pixes)
        return done()

    def ViewerControllerIdx(self, request: Any) -> Any:
        return ok(viewercontroller_pb2.ViewerControllerIdxResponse, idx=self._viewer(request).index)

    def ViewerControllerSetIdx(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        self._go(viewer, request.idx, request.idx)
        return done()

    def ViewerControllerDisplayedIdx(self, request: Any) -> Any:
        shown = self._viewer(request).displayed_index
        return ok(viewercontroller_pb2.ViewerControllerDisplayedIdxResponse, displayed_idx=shown)

    def ViewerControllerSetDisplayedIdx(self, request: Any) -> Any:
        viewer = self._viewer(request.viewer_controller)
        asked = request.displayed_idx
        self._go(viewer, len(viewer.pixes[0]) - 1 - asked if viewer.flipped else asked, asked)
        return done()

    def _go(self, viewer: Viewer, index: int, asked: int) -> None:
        if not 0 <= index < len(viewer.pixes[viewer.movie_index]):
            raise StatusError(f"Index {asked} is out of range")
        for roi in viewer.current_rois:
            roi.selected = roi.drawing = False  # leaving a slice ends what was being drawn there
        viewer.index = index

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
    """NewROI's own validity rules; what they refuse is 'Could not create ROI'."""
    refused = StatusError("Could not create ROI")
    itype = request.itype
    if itype == ToolMode.BRUSH:
        held = np.array(request.buffer.buffer, np.bool_)
        rows, columns = request.buffer.rows, request.buffer.columns
        if rows <= 0 or columns <= 0 or held.size != rows * columns or not held.any():
            raise refused
        where = (request.buffer_position_x, request.buffer_position_y)
        return Roi(itype, "", None, texture=held.reshape(rows, columns), texture_xy=where)
    if itype in POINT_TYPES:
        points = np.array([(p.x, p.y) for p in request.points], np.float32).reshape(-1, 2)
        if itype in (10, 11, 12, 15) and len(points) < 3:
            raise refused
        if itype in (5, 14) and (len(points) < 2 or float(np.hypot(*(points[1] - points[0]))) < 0.2):
            raise refused
        return Roi(itype, "", None, points=points)
    if itype in RECT_TYPES:
        r = request.rectangle
        x, y, w, h = (float(np.float32(v)) for v in (r.origin_x, r.origin_y, r.width, r.height))
        if itype == ToolMode.RECTANGLE and (abs(w) < 0.2 or abs(h) < 0.2):
            raise refused
        if itype == ToolMode.POINT:
            w = h = 0.0
        return Roi(itype, "", None, rect=(x, y, w, h))
    raise refused

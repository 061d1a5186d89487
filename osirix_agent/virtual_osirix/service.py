"""The osirixgrpc service over a `VirtualOsirix`: viewers, slices, ROIs. gRPC is always OK; failure is status 0."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from osirixgrpc import dcmpix_pb2, osirix_pb2, roi_pb2, types_pb2, utilities_pb2, viewercontroller_pb2

from osirix_agent.virtual_osirix.app import Pix, Viewer, VirtualOsirix
from osirix_agent.virtual_osirix.roi import FILLABLE, POINT_TYPES, RECT_TYPES, Roi, ToolMode


class StatusError(Exception):
    """Answered as status 0 with this message."""


def status_ok() -> Any:
    return utilities_pb2.Status(status=1)


def ok(response: type, **fields: Any) -> Any:
    return response(status=status_ok(), **fields)


def done() -> Any:
    return utilities_pb2.Response(status=status_ok())


_KINDS: dict[type, str] = {Viewer: "ViewerController", Pix: "DCMPix", Roi: "ROI"}


class ServiceBase:
    """Lookup of live objects by uid."""

    def __init__(self, app: VirtualOsirix) -> None:
        self.app = app

    def _find(self, message: Any, kind: type, label_: str | None = None) -> Any:
        found = self.app.object(message.osirixrpc_uid, kind)
        if found is None:
            raise StatusError(f"No {label_ or _KINDS[kind]} cached")
        return found

    def _viewer(self, message: Any) -> Viewer:
        viewer: Viewer = self._find(message, Viewer)
        return viewer

    def _pix(self, message: Any) -> Pix:
        pix: Pix = self._find(message, Pix)
        return pix

    def _roi(self, message: Any) -> Roi:
        roi: Roi = self._find(message, Roi)
        return roi

    def _ref(self, message: type, thing: Any) -> Any:
        return message(osirixrpc_uid=self.app.uid(thing))


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
        kind = "no object" if thing is None else _KINDS.get(type(thing), type(thing).__name__)
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
        roi.color = (_byte(c.r), _byte(c.g), _byte(c.b))
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


class PixService(ServiceBase):
    """DCMPix* calls that need no database."""

    def DCMPixIsRGB(self, request: Any) -> Any:
        return ok(dcmpix_pb2.DCMPixIsRGBResponse, is_rgb=self._pix(request).is_rgb)

    def DCMPixShape(self, request: Any) -> Any:
        pix = self._pix(request)
        return ok(dcmpix_pb2.DCMPixShapeResponse, rows=pix.rows, columns=pix.columns)

    def DCMPixSpacing(self, request: Any) -> Any:
        pix = self._pix(request)
        return ok(
            dcmpix_pb2.DCMPixSpacingResponse,
            spacing_rows=pix.spacing_rows,
            spacing_columns=pix.spacing_columns,
        )

    def DCMPixOrigin(self, request: Any) -> Any:
        x, y, z = (float(v) for v in self._pix(request).origin)
        return ok(dcmpix_pb2.DCMPixOriginResponse, origin_x=x, origin_y=y, origin_z=z)

    def DCMPixOrientation(self, request: Any) -> Any:
        pix = self._pix(request)
        normal = np.cross(pix.row_cosines, pix.column_cosines)
        nine = [float(v) for v in (*pix.row_cosines, *pix.column_cosines, *normal)]
        return ok(dcmpix_pb2.DCMPixOrientationResponse, orientation=nine)

    def DCMPixSliceLocation(self, request: Any) -> Any:
        where = float(self._pix(request).source.header.get("SliceLocation") or 0.0)
        return ok(dcmpix_pb2.DCMPixSliceLocationResponse, slice_location=where)

    def DCMPixSourceFile(self, request: Any) -> Any:
        return ok(dcmpix_pb2.DCMPixSourceFileResponse, source_file=str(self._pix(request).source.path))

    def DCMPixImage(self, request: Any) -> bytes:
        pix = self._pix(request)
        if pix.payload is None:
            pix.payload = _image_payload(pix)
        return pix.payload

    def DCMPixSetImage(self, request: Any) -> Any:
        pix = self._pix(request.pix)
        if pix.is_rgb:
            values = np.array(request.image_data_argb, np.int32)
            if values.size != pix.rows * pix.columns * 4:
                raise StatusError("Incompatible image shape")
            pix.image = values.reshape(pix.rows, pix.columns, 4)[..., 1:].astype(np.uint8)
        else:
            values = np.array(request.image_data_float, np.float32)
            if values.size != pix.rows * pix.columns:
                raise StatusError("Incompatible image shape")
            pix.image = values.reshape(pix.rows, pix.columns)
        pix.payload = None
        return done()

    def DCMPixConvertToRGB(self, request: Any) -> Any:
        pix = self._pix(request.pix)
        if not pix.is_rgb:
            low = float(pix.image.min())
            high = max(float(np.finfo(np.float32).tiny), float(pix.image.max()))  # the service starts at FLT_MIN
            grey = np.clip((pix.image - low) / max(high - low, 1e-30) * 255, 0, 255).astype(np.uint8)
            colour = np.zeros((*grey.shape, 3), np.uint8)
            channels = range(3) if request.rgb_channel == 3 else [min(max(request.rgb_channel, 0), 2)]
            for channel in channels:
                colour[..., channel] = grey
            pix.image, pix.payload = colour, None
        return done()

    def DCMPixConvertToBW(self, request: Any) -> Any:
        pix = self._pix(request.pix)
        if pix.is_rgb:
            channel = request.bw_channel
            grey = pix.image.mean(-1) if channel == 3 else pix.image[..., min(max(channel, 0), 2)]
            pix.image, pix.payload = grey.astype(np.float32), None
        return done()

    def DCMPixGetMapFromROI(self, request: Any) -> Any:
        pix, roi = self._pix(request.pix), self._roi(request.roi)
        if roi.itype not in FILLABLE:
            raise StatusError("Invalid ROI")
        held = roi.map(pix.rows, pix.columns)
        return ok(
            dcmpix_pb2.DCMPixGetMapFromROIResponse,
            rows=pix.rows,
            columns=pix.columns,
            map=held.ravel().tolist(),
        )

    def DCMPixComputeROI(self, request: Any) -> Any:
        values, _, _ = self._roi_values(request)
        mean, std = float(values.mean()), float(values.std())
        centred = (values - mean) / std if std > 0 else values * 0
        return ok(
            dcmpix_pb2.DCMPixComputeROIResponse,
            mean=mean, total=float(values.sum()), std_dev=std, min=float(values.min()), max=float(values.max()),
            skewness=float((centred**3).mean()), kurtosis=float((centred**4).mean()),
        )  # fmt: skip

    def DCMPixROIValues(self, request: Any) -> Any:
        values, rows, columns = self._roi_values(request)
        return ok(
            dcmpix_pb2.DCMPixROIValuesResponse,
            values=values.tolist(), row_indices=rows.tolist(), column_indices=columns.tolist(),
        )  # fmt: skip

    def _roi_values(self, request: Any) -> tuple[Any, Any, Any]:
        pix, roi = self._pix(request.pix), self._roi(request.roi)
        if pix.is_rgb:
            raise StatusError("No values provided for RGB pix")
        if roi.itype == ToolMode.POINT:
            rows, columns = np.array([int(roi.rect[1])]), np.array([int(roi.rect[0])])
        else:
            rows, columns = np.nonzero(roi.map(pix.rows, pix.columns))
        if rows.size == 0:
            raise StatusError("Invalid ROI")
        return pix.image[rows, columns].astype(float), rows, columns


class RoiService(ServiceBase):
    """ROI* calls."""

    def ROIDelete(self, request: Any) -> Any:
        self.app.delete_roi(self._roi(request))
        return done()

    def ROIFlipHorizontally(self, request: Any) -> Any:
        self._roi(request).flip(0)
        return done()

    def ROIFlipVertically(self, request: Any) -> Any:
        self._roi(request).flip(1)
        return done()

    def ROIArea(self, request: Any) -> Any:
        roi = self._roi(request)
        area = roi.area_px() * roi.pix.spacing_rows * roi.pix.spacing_columns / 100.0
        return ok(roi_pb2.ROIAreaResponse, area=area)

    def ROICentroid(self, request: Any) -> Any:
        x, y = self._roi(request).centroid()
        return ok(roi_pb2.ROICentroidResponse, x=x, y=y)

    def ROIRotate(self, request: Any) -> Any:
        self._roi(request.roi).rotate(request.degrees, request.x, request.y)
        return done()

    def ROIMove(self, request: Any) -> Any:
        self._roi(request.roi).move(request.columns, request.rows)
        return done()

    def ROIPix(self, request: Any) -> Any:
        return ok(roi_pb2.ROIPixResponse, pix=self._ref(types_pb2.DCMPix, self._roi(request).pix))

    def ROIName(self, request: Any) -> Any:
        return ok(roi_pb2.ROINameResponse, name=self._roi(request).name)

    def ROISetName(self, request: Any) -> Any:
        self._roi(request.roi).name = request.name.encode("utf-8").decode("mac_roman")
        return done()

    def ROIIType(self, request: Any) -> Any:
        return ok(roi_pb2.ROIITypeResponse, itype=self._roi(request).itype)

    def ROIColor(self, request: Any) -> Any:
        r, g, b = self._roi(request).color
        return ok(roi_pb2.ROIColorResponse, r=r, g=g, b=b)

    def ROISetColor(self, request: Any) -> Any:
        roi = self._roi(request.roi)
        roi.color = (_byte(request.r), _byte(request.g), _byte(request.b))
        self.app.leak_style(roi)
        return done()

    def ROIOpacity(self, request: Any) -> Any:
        return ok(roi_pb2.ROIOpacityResponse, opacity=self._roi(request).opacity)

    def ROISetOpacity(self, request: Any) -> Any:
        roi = self._roi(request.roi)
        roi.opacity = float(np.clip(request.opacity, 0, 1))
        self.app.leak_style(roi)
        return done()

    def ROIThickness(self, request: Any) -> Any:
        return ok(roi_pb2.ROIThicknessResponse, thickness=self._roi(request).thickness)

    def ROISetThickness(self, request: Any) -> Any:
        roi = self._roi(request.roi)
        roi.set_thickness(request.thickness)
        self.app.leak_style(roi)
        return done()

    def ROIPoints(self, request: Any) -> Any:
        answer = ok(roi_pb2.ROIPointsResponse)
        for x, y in self._roi(request).service_points().tolist():
            answer.points.add(x=x, y=y)
        return answer

    def ROISetPoints(self, request: Any) -> Any:
        points = np.array([(p.x, p.y) for p in request.points], np.float32).reshape(-1, 2)
        self._roi(request.roi).set_points(points)
        return done()


def _byte(value: int) -> int:
    return min(max(int(value), 0), 255)


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


def _image_payload(pix: Pix) -> bytes:
    """The serialised DCMPixImage answer, built from the wire format so that a slice costs a memory copy."""
    head = ok(dcmpix_pb2.DCMPixImageResponse, rows=pix.rows, columns=pix.columns, is_argb=pix.is_rgb)
    if pix.is_rgb:
        alpha = np.full((*pix.image.shape[:2], 1), 255, np.int32)
        head.image_data_argb.extend(np.concatenate([alpha, pix.image.astype(np.int32)], -1).ravel().tolist())
        return bytes(head.SerializeToString())
    field = dcmpix_pb2.DCMPixImageResponse.DESCRIPTOR.fields_by_name["image_data_float"].number
    values = np.ascontiguousarray(pix.image, "<f4").tobytes()
    return bytes(head.SerializeToString()) + _varint(field << 3 | 2) + _varint(len(values)) + values


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += struct.pack("B", value & 0x7F | 0x80)
        value >>= 7
    return out + struct.pack("B", value)

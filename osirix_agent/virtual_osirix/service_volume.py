"""The osirixgrpc service over a `VirtualOsirix`: 3D windows, and the volume ROIs that nobody is ever given."""

from __future__ import annotations

from typing import Any

from osirixgrpc import types_pb2, vrcontroller_pb2

from osirix_agent.virtual_osirix.app import VolumeWindow
from osirix_agent.virtual_osirix.service import ServiceBase, StatusError, done, ok


class VolumeService(ServiceBase):
    """VRController* calls."""

    def _window(self, message: Any) -> VolumeWindow:
        window: VolumeWindow = self._find(message, VolumeWindow)
        return window

    def VRControllerViewer2D(self, request: Any) -> Any:
        ref = self._ref(types_pb2.ViewerController, self._window(request).viewer)
        return ok(vrcontroller_pb2.VRControllerViewer2DResponse, viewer_controller=ref)

    def VRControllerBlendingController(self, request: Any) -> Any:
        """The viewer fused with its 2D viewer; without one, status 1 and an empty uid."""
        fused = self._window(request).viewer.fused
        ref = types_pb2.ViewerController() if fused is None else self._ref(types_pb2.ViewerController, fused)
        return ok(vrcontroller_pb2.VRControllerBlendingControllerResponse, viewer_controller=ref)

    def VRControllerStyle(self, request: Any) -> Any:
        """Always `standard`."""
        self._window(request)
        return ok(vrcontroller_pb2.VRControllerStyleResponse, style="standard")

    def VRControllerTitle(self, request: Any) -> Any:
        """`3D Reconstruction:` and the series, with `4D` where it is."""
        viewer = self._window(request).viewer
        words = ["3D Reconstruction:", str(viewer.series.header.get("SeriesDescription", ""))]
        title = " - ".join([" ".join(words), *(["4D"] if len(viewer.pixes) > 1 else [])])
        return ok(vrcontroller_pb2.VRControllerTitleResponse, title=title)

    def VRControllerRenderingMode(self, request: Any) -> Any:
        mode = self._window(request).rendering_mode
        return ok(vrcontroller_pb2.VRControllerRenderingModeResponse, rendering_mode=mode)

    def VRControllerSetRenderingMode(self, request: Any) -> Any:
        window = self._window(request.vr_controller)
        if request.rendering_mode not in ("VR", "MIP"):
            raise StatusError("Invalid rendering mode")
        window.rendering_mode = request.rendering_mode
        return done()

    def VRControllerWLWW(self, request: Any) -> Any:
        wl, ww = self._window(request).wlww
        return ok(vrcontroller_pb2.VRControllerWLWWResponse, wl=wl, ww=ww)

    def VRControllerSetWLWW(self, request: Any) -> Any:
        self._window(request.vr_controller).wlww = (float(request.wl), float(request.ww))
        return done()

    def VRControllerNeedsDisplayUpdate(self, request: Any) -> Any:
        """Nothing is rendered."""
        self._window(request)
        return done()

    def VRControllerHideROIVolume(self, request: Any) -> Any:
        """`No ROIVolume cached`: none is ever given out."""
        self._window(request.vr_controller)
        raise StatusError("No ROIVolume cached")

    def VRControllerDisplayROIVolume(self, request: Any) -> Any:
        """`No ROIVolume cached`: none is ever given out."""
        self._window(request.vr_controller)
        raise StatusError("No ROIVolume cached")


class RoiVolumeService(ServiceBase):
    """ROIVolume* calls: what OsiriX answers to a uid that it never gave out."""

    def _unknown(self, request: Any) -> Any:
        """`No ROIVolume cached`: none is ever given out."""
        raise StatusError("No ROIVolume cached")

    ROIVolumeTexture = ROIVolumeSetTexture = ROIVolumeVolume = ROIVolumeColor = ROIVolumeSetColor = _unknown
    ROIVolumeOpacity = ROIVolumeSetOpacity = ROIVolumeFactor = ROIVolumeSetFactor = _unknown
    ROIVolumeName = ROIVolumeVisible = _unknown

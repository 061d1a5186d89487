"""What all parts of the osirixgrpc service share: gRPC is always OK; failure is status 0 with a message."""

from __future__ import annotations

from typing import Any

from osirixgrpc import utilities_pb2

from osirix_agent.virtual_osirix.app import Viewer, VirtualOsirix, VolumeWindow
from osirix_agent.virtual_osirix.folder import ImageFile, SeriesFiles, StudyFiles
from osirix_agent.virtual_osirix.pix import Pix
from osirix_agent.virtual_osirix.roi import Roi


class StatusError(Exception):
    """Answered as status 0 with this message."""


def status_ok() -> Any:
    return utilities_pb2.Status(status=1)


def ok(response: type, **fields: Any) -> Any:
    return response(status=status_ok(), **fields)


def done() -> Any:
    return utilities_pb2.Response(status=status_ok())


class Browser:
    """The database window."""


KINDS: dict[type, str] = {
    Viewer: "ViewerController",
    VolumeWindow: "VRController",
    Browser: "BrowserController",
    Pix: "DCMPix",
    Roi: "ROI",
    ImageFile: "DicomImage",
    SeriesFiles: "DicomSeries",
    StudyFiles: "DicomStudy",
}


def mac_roman(text: str) -> str:
    """What the server makes of a UTF-8 string: it reads the bytes in the default C string encoding."""
    return text.encode("utf-8").decode("mac_roman")


class ServiceBase:
    """Lookup of live objects by uid."""

    def __init__(self, app: VirtualOsirix) -> None:
        self.app = app

    def _find(self, message: Any, kind: type, role: str = "") -> Any:
        found = self.app.object(message.osirixrpc_uid, kind)
        if found is None:
            raise StatusError(f"No {role}{KINDS[kind]} cached")
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


def byte(value: int) -> int:
    """A colour component, clamped."""
    return min(max(int(value), 0), 255)

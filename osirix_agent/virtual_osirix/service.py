"""What all parts of the osirixgrpc service share: gRPC is always OK; failure is status 0 with a message."""

from __future__ import annotations

from typing import Any

from osirixgrpc import utilities_pb2

from osirix_agent.virtual_osirix.app import Pix, Viewer, VirtualOsirix
from osirix_agent.virtual_osirix.roi import Roi


class StatusError(Exception):
    """Answered as status 0 with this message."""


def status_ok() -> Any:
    return utilities_pb2.Status(status=1)


def ok(response: type, **fields: Any) -> Any:
    return response(status=status_ok(), **fields)


def done() -> Any:
    return utilities_pb2.Response(status=status_ok())


KINDS: dict[type, str] = {Viewer: "ViewerController", Pix: "DCMPix", Roi: "ROI"}


class ServiceBase:
    """Lookup of live objects by uid."""

    def __init__(self, app: VirtualOsirix) -> None:
        self.app = app

    def _find(self, message: Any, kind: type, label_: str | None = None) -> Any:
        found = self.app.object(message.osirixrpc_uid, kind)
        if found is None:
            raise StatusError(f"No {label_ or KINDS[kind]} cached")
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

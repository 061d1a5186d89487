"""The bare service: a stub without any of our client's code in between."""

from __future__ import annotations

import grpc
import pytest
from osirixgrpc import dcmpix_pb2, types_pb2, utilities_pb2, viewercontroller_pb2
from osirixgrpc.osirix_pb2_grpc import OsiriXServiceStub

Colour = viewercontroller_pb2.ViewerControllerNewROIRequest.Color


@pytest.fixture
def stub(hospital):
    with grpc.insecure_channel(hospital.server.address) as channel:
        yield OsiriXServiceStub(channel)


@pytest.fixture
def front(stub):
    return stub.OsirixFrontmostViewer(utilities_pb2.Empty()).viewer_controller


class Pencil:
    """NewROI requests on slice 3 and what comes back."""

    def __init__(self, stub, front, app) -> None:
        self.stub, self.front, self.app = stub, front, app

    def request(self, itype: int, *, points=(), rect=None, brush=None, at=(0, 0), idx=3, movie_idx=0, **style):
        made = viewercontroller_pb2.ViewerControllerNewROIRequest(
            viewer_controller=self.front, itype=itype, idx=idx, movie_idx=movie_idx, **style
        )
        for x, y in points:
            made.points.add(x=x, y=y)
        if rect is not None:
            made.rectangle.origin_x, made.rectangle.origin_y, made.rectangle.width, made.rectangle.height = rect
        if brush is not None:
            made.buffer.rows, made.buffer.columns = brush.shape
            made.buffer.buffer.extend(brush.ravel().tolist())
            made.buffer_position_x, made.buffer_position_y = at
        return made

    def draw(self, itype: int, **what):
        """(answer, ROI of the application or None)."""
        answer = self.stub.ViewerControllerNewROI(self.request(itype, **what))
        return answer, self.app.cached_object(answer.roi.osirixrpc_uid)

    def ref(self, thing):
        return types_pb2.ROI(osirixrpc_uid=self.app.uid(thing))

    def pix(self, roi):
        return types_pb2.DCMPix(osirixrpc_uid=self.app.uid(roi.pix))

    def map(self, roi):
        return self.stub.DCMPixGetMapFromROI(
            dcmpix_pb2.DCMPixGetMapFromROIRequest(pix=self.pix(roi), roi=self.ref(roi))
        )

    def values(self, roi):
        return self.stub.DCMPixROIValues(dcmpix_pb2.DCMPixROIValuesRequest(pix=self.pix(roi), roi=self.ref(roi)))

    def statistics(self, roi):
        return self.stub.DCMPixComputeROI(dcmpix_pb2.DCMPixComputeROIRequest(pix=self.pix(roi), roi=self.ref(roi)))


@pytest.fixture
def pencil(stub, front, hospital):
    return Pencil(stub, front, hospital.app)

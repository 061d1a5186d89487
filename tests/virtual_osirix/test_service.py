"""The stand-in behaves as the plugin's source and Horos say (fidelity in full is tracked in docs/reference)."""

import grpc
import numpy as np
import pytest
from osirixgrpc import dcmpix_pb2, roi_pb2, types_pb2, utilities_pb2, viewercontroller_pb2
from PIL import Image

from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.render import render
from osirix_agent.virtual_osirix.roi import Roi, ToolMode
from osirix_agent.virtual_osirix.server import VirtualServer

NewROI = viewercontroller_pb2.ViewerControllerNewROIRequest


def polygon(front, **fields):
    request = NewROI(viewer_controller=front, itype=11, idx=3, **fields)
    for x, y in [(1, 1), (9, 1), (9, 9)]:
        request.points.add(x=x, y=y)
    return request


def test_failure_is_status_zero_with_the_fixed_text(stub, hospital):
    unknown = types_pb2.ViewerController(osirixrpc_uid="X")
    assert stub.ViewerControllerIdx(unknown).status.message == "No ViewerController cached"
    assert stub.ROIName(types_pb2.ROI(osirixrpc_uid="X")).status.message == "No ROI cached"
    assert stub.DCMPixShape(types_pb2.DCMPix(osirixrpc_uid="X")).status.message == "No DCMPix cached"
    assert stub.DicomSeriesName(types_pb2.DicomSeries(osirixrpc_uid="X")).status.message == "No DicomSeries cached"
    hospital.clinician.close()
    answer = stub.OsirixFrontmostViewer(utilities_pb2.Empty())
    assert (answer.status.status, answer.status.message) == (0, "No ViewerController active")


def test_new_roi_has_no_defaults_and_its_name_is_read_as_macroman(stub, front, hospital):
    uid = stub.ViewerControllerNewROI(polygon(front, name="GTV é")).roi
    (roi,) = hospital.clinician.rois(3)
    assert (roi.color, roi.opacity, roi.thickness, roi.name) == ((0, 0, 0), 0.0, 1.0, "GTV √©")
    assert stub.ROIName(uid).name == "GTV √©"
    assert uid.osirixrpc_uid == uid.osirixrpc_uid.upper()


@pytest.mark.parametrize("itype", [16, 23, 25, 28, 30, 32, 11, 6, 20, 5])
def test_what_new_roi_cannot_make_is_refused(stub, front, itype):
    answer = stub.ViewerControllerNewROI(NewROI(viewer_controller=front, itype=itype, idx=0))
    assert (answer.status.status, answer.status.message) == (0, "Could not create ROI")


def test_an_index_out_of_range_kills_a_strict_osirix(stub, front, hospital):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ViewerControllerNewROI(NewROI(viewer_controller=front, itype=19, idx=99))
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert hospital.app.crashed


def test_the_style_of_a_write_leaks_into_the_pen(stub, front, hospital):
    style = {"color": NewROI.Color(r=9, g=8, b=7), "thickness": 50.0, "opacity": 0.25}
    stub.ViewerControllerNewROI(polygon(front, **style))
    drawn = hospital.clinician.polygon([(1, 1), (2, 2), (3, 1)])
    assert (drawn.color, drawn.thickness, drawn.opacity) == ((9, 8, 7), 20.0, 0.25)
    assert hospital.clinician.brush(np.ones((2, 2), bool)).color != (9, 8, 7)


def test_set_points_is_silently_ignored_where_osirix_ignores_it(stub, hospital):
    roi = hospital.clinician.box((3, 4), (5, 6))
    ref = types_pb2.ROI(osirixrpc_uid=hospital.app.uid(roi))
    assert stub.ROISetPoints(roi_pb2.ROISetPointsRequest(roi=ref)).status.status == 1
    assert [(p.x, p.y) for p in stub.ROIPoints(ref).points] == [(3, 4), (3, 10), (8, 10), (8, 4)]


def test_deleting_twice_says_not_cached(stub, hospital):
    ref = types_pb2.ROI(osirixrpc_uid=hospital.app.uid(hospital.clinician.point((3, 3))))
    assert stub.ROIDelete(ref).status.status == 1
    assert stub.ROIDelete(ref).status.message == "No ROI cached"


def test_the_map_is_exact_for_a_brush_and_shifted_for_a_polygon(stub, front, hospital):
    mask = np.random.default_rng(0).random((5, 6)) > 0.4
    brush = hospital.clinician.brush(mask, (7, 8), k=3)
    pix = types_pb2.DCMPix(osirixrpc_uid=hospital.app.uid(brush.pix))
    read = lambda roi: np.array(  # noqa: E731
        stub.DCMPixGetMapFromROI(
            dcmpix_pb2.DCMPixGetMapFromROIRequest(pix=pix, roi=types_pb2.ROI(osirixrpc_uid=hospital.app.uid(roi)))
        ).map
    ).reshape(48, 56)
    assert np.array_equal(read(brush)[8:13, 7:13], mask)
    square = hospital.clinician.polygon([(10, 10), (20, 10), (20, 20), (10, 20)], k=3)
    rows, columns = np.nonzero(read(square))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (11, 20, 11, 20)


def test_displayed_and_data_index_differ_when_flipped(stub, front, hospital):
    hospital.clinician.scroll_to(2)
    hospital.clinician.flip()
    assert stub.ViewerControllerIdx(front).idx == 2
    assert stub.ViewerControllerDisplayedIdx(front).displayed_idx == 9
    request = viewercontroller_pb2.ViewerControllerSetDisplayedIdxRequest(viewer_controller=front, displayed_idx=0)
    stub.ViewerControllerSetDisplayedIdx(request)
    assert hospital.window.index == 11
    request.displayed_idx = 12
    assert stub.ViewerControllerSetDisplayedIdx(request).status.message == "Index 12 is out of range"


def test_what_is_left_in_a_viewer_is_persisted_when_it_closes(hospital):
    hospital.clinician.point((3, 3), name="left", k=4)
    series = hospital.window.series
    uid = hospital.app.uid(hospital.window)
    hospital.clinician.close()
    assert hospital.app.cached_object(uid) is None
    again = hospital.app.open_series(series)
    assert [(k, roi.name) for _, k, roi in again.all_rois()] == [(4, "left")]


def test_compressed_dicom_is_decoded(data):
    app = VirtualOsirix()
    (viewer,) = app.open_folder(data / "ct_anatomy" / "example_ct_dicom")
    assert len(viewer.pixes[0]) == 20
    middle = viewer.pixes[0][10].image
    assert middle.shape == (512, 512)
    assert -1100 < middle.min() < -900
    assert 0 < np.median(middle[200:300, 200:300]) < 200


def test_pictures_show_slice_and_rois(hospital):
    plain = np.asarray(render(hospital.window, k=3))
    roi = hospital.clinician.polygon([(10, 10), (30, 10), (30, 30)], k=3)
    roi.color, roi.opacity, roi.thickness = (255, 0, 0), 1.0, 4.0
    drawn = np.asarray(render(hospital.window, k=3))
    changed = (plain != drawn).any(-1)
    assert changed.sum() > 100
    assert (drawn[changed] == (255, 0, 0)).all(-1).any()
    roi.opacity = 0.0
    assert np.array_equal(np.asarray(render(hospital.window, k=3)), plain)
    assert Image.fromarray(drawn).size[0] > 500


def test_a_port_in_use_says_so(hospital):
    with pytest.raises(OSError, match="--port"):
        VirtualServer(VirtualOsirix(), hospital.server.port)


def test_roi_arithmetic_by_hand():
    roi = Roi(ToolMode.CLOSED_POLYGON, "", None, points=np.array([(0, 0), (4, 0), (4, 2), (0, 2)], np.float32))
    assert roi.area_px() == 8
    assert roi.centroid() == (2, 1)
    roi.move(1, 2)
    assert roi.points[0].tolist() == [1, 2]
    roi.rotate(90, 1, 2)
    assert np.allclose(roi.points[1], (1, 6), atol=1e-5)
    roi.flip(0)
    assert roi.area_px() == pytest.approx(8)

"""Viewers: indices, selection, copies, fusion, 3D windows, closing, and the one main thread."""

import threading
import time

import grpc
import numpy as np
import pytest
from osirixgrpc import osirix_pb2, roi_pb2, types_pb2, utilities_pb2, viewercontroller_pb2, vrcontroller_pb2
from osirixgrpc.osirix_pb2_grpc import OsiriXServiceStub

from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.server import VirtualServer

EMPTY = utilities_pb2.Empty()
TRIANGLE = [(1, 1), (9, 1), (9, 9)]


def message(answer) -> tuple[int, str]:
    return answer.status.status, answer.status.message


def ask(rpc, front, what: str, /, **fields):
    kind = getattr(viewercontroller_pb2, f"ViewerController{what}Request")
    return rpc(kind(viewer_controller=front, **fields))


# -- failure is a text -------------------------------------------------------------------------------------------
def test_unknown_uids_have_a_text_each(stub, front):
    nobody = {"osirixrpc_uid": "X"}
    texts = {
        stub.ViewerControllerIdx: (types_pb2.ViewerController, "No ViewerController cached"),
        stub.DCMPixShape: (types_pb2.DCMPix, "No DCMPix cached"),
        stub.ROIName: (types_pb2.ROI, "No ROI cached"),
        stub.ROIVolumeName: (types_pb2.ROIVolume, "No ROIVolume cached"),
        stub.VRControllerTitle: (types_pb2.VRController, "No VRController cached"),
        stub.BrowserControllerDatabaseStudies: (types_pb2.BrowserController, "No BrowserController cached"),
        stub.DicomImageWidth: (types_pb2.DicomImage, "No DicomImage cached"),
        stub.DicomSeriesName: (types_pb2.DicomSeries, "No DicomSeries cached"),
        stub.DicomStudyName: (types_pb2.DicomStudy, "No DicomStudy cached"),
    }
    for rpc, (kind, text) in texts.items():
        assert message(rpc(kind(**nobody))) == (0, text)
    stranger = types_pb2.ViewerController(**nobody)
    fuse = ask(stub.ViewerControllerFuseWithViewer, front, "FuseWithViewer", fusion_viewer_controller=stranger)
    assert message(fuse) == (0, "No fusion ViewerController cached")
    onto = ask(
        stub.ViewerControllerResampleViewerController, front, "ResampleViewerController",
        fixed_viewer_controller=stranger,
    )  # fmt: skip
    assert message(onto) == (0, "No fixed ViewerController cached")
    assert message(stub.ViewerControllerBlendingController(front)) == (0, "No blending controller active")
    assert message(stub.OsirixFrontmostVRController(EMPTY)) == (0, "No VRController active")


def test_no_window_at_all(stub, hospital):
    hospital.clinician.close()
    assert message(stub.OsirixFrontmostViewer(EMPTY)) == (0, "No ViewerController active")
    for rpc in (stub.OsirixDisplayed2DViewers, stub.OsirixDisplayedVRControllers):
        assert message(rpc(EMPTY)) == (1, "")


def test_a_uid_of_one_kind_is_no_uid_of_another(stub, front):
    assert message(stub.ROIName(types_pb2.ROI(osirixrpc_uid=front.osirixrpc_uid))) == (0, "No ROI cached")


# -- uids --------------------------------------------------------------------------------------------------------
def uids(stub, front) -> set[str]:
    pixes = ask(stub.ViewerControllerPixList, front, "PixList").pix
    slices = ask(stub.ViewerControllerROIList, front, "ROIList").roi_slices
    return {p.osirixrpc_uid for p in pixes} | {r.osirixrpc_uid for s in slices for r in s.rois}


def test_uids_are_upper_case_stable_and_known_by_kind(stub, front, hospital, pencil):
    pencil.draw(11, points=TRIANGLE)
    first = uids(stub, front)
    assert first == uids(stub, front)
    assert len(first) == 13
    assert all(uid == uid.upper() and len(uid) == 36 for uid in first)
    assert first <= set(stub.OsirixCacheUids(EMPTY).uids)
    kind = lambda uid: stub.OsirixCacheObjectForUid(osirix_pb2.OsirixCacheObjectForUidRequest(uid=uid))  # noqa: E731
    assert {kind(uid).object_type for uid in first} == {"DCMPix", "ROI"}
    assert kind(front.osirixrpc_uid).object_type == "ViewerController"
    assert kind(stub.OsirixCurrentBrowser(EMPTY).browser_controller.osirixrpc_uid).object_type == "BrowserController"
    pix = ask(stub.ViewerControllerPixList, front, "PixList").pix[0]
    assert kind(stub.DCMPixDicomImage(pix).dicom_image.osirixrpc_uid).object_type == "DicomImage"
    assert kind(stub.DCMPixDicomSeries(pix).dicom_series.osirixrpc_uid).object_type == "DicomSeries"
    assert kind(stub.DCMPixDicomStudy(pix).dicom_study.osirixrpc_uid).object_type == "DicomStudy"
    unknown = kind("X")
    assert (unknown.status.status, unknown.object_type) == (1, "no object")


def test_closing_kills_every_uid_of_the_viewer(stub, front, hospital, pencil):
    pencil.draw(11, points=TRIANGLE)
    gone = uids(stub, front) | {front.osirixrpc_uid}
    assert message(stub.ViewerControllerCloseViewer(front)) == (1, "")
    assert not gone & set(stub.OsirixCacheUids(EMPTY).uids)
    assert message(stub.ViewerControllerIdx(front)) == (0, "No ViewerController cached")


def test_after_a_restart_the_old_uids_mean_nothing(stub, front, phantom):
    old = uids(stub, front) | {front.osirixrpc_uid}
    again = VirtualOsirix()
    again.open_folder(phantom.folder)
    with VirtualServer(again) as server, grpc.insecure_channel(server.address) as channel:
        other = OsiriXServiceStub(channel)
        assert message(other.ViewerControllerIdx(front)) == (0, "No ViewerController cached")
        assert not old & uids(other, other.OsirixFrontmostViewer(EMPTY).viewer_controller)


def test_an_roi_that_she_deletes_is_gone_for_the_service(stub, front, hospital, pencil):
    answer, roi = pencil.draw(11, points=TRIANGLE)
    hospital.clinician.delete(roi)
    assert message(stub.ROIName(answer.roi)) == (0, "No ROI cached")
    assert ask(stub.ViewerControllerROIList, front, "ROIList").roi_slices[3].rois == []


# -- an Objective-C exception ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("idx", "movie_idx"), [(12, 0), (-1, 0), (3, 1), (3, -1)])
def test_an_index_out_of_range_ends_osirix(stub, pencil, hospital, idx, movie_idx):
    with pytest.raises(grpc.RpcError):
        pencil.draw(19, rect=(5, 5, 0, 0), idx=idx, movie_idx=movie_idx)
    assert hospital.app.crashed
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            stub.OsirixVersion(EMPTY)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_names_of_another_movie_frame_end_osirix_too(stub, front, hospital):
    with pytest.raises(grpc.RpcError):
        ask(stub.ViewerControllerROIsWithName, front, "ROIsWithName", name="x", movie_idx=5)
    assert hospital.app.crashed


def test_a_lenient_osirix_only_refuses(stub, front, pencil, hospital):
    hospital.app.strict = False
    assert message(pencil.draw(19, rect=(5, 5, 0, 0), idx=99)[0]) == (0, "Could not create ROI")
    assert message(ask(stub.ViewerControllerROIsWithName, front, "ROIsWithName", movie_idx=5)) == (1, "")
    assert not hospital.app.crashed


# -- one main thread ---------------------------------------------------------------------------------------------
def test_while_a_dialog_is_open_nothing_is_answered_and_a_late_call_still_lands(stub, pencil, hospital):
    with hospital.clinician.modal_dialog():
        for rpc, request in (
            (stub.OsirixVersion, EMPTY),
            (stub.ViewerControllerNewROI, pencil.request(19, rect=(5, 5, 0, 0), name="late")),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                rpc(request, timeout=0.2)
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert hospital.clinician.rois() == []
    end = time.monotonic() + 5
    while not hospital.clinician.find("late") and time.monotonic() < end:
        time.sleep(0.01)
    assert len(hospital.clinician.find("late")) == 1


def test_calls_are_carried_out_one_at_a_time(stub, hospital):
    inside, most = [], []
    real = hospital.app.rpc_counts

    class Counting(type(real)):
        def __setitem__(self, name, count) -> None:
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.005)
            inside.pop()
            super().__setitem__(name, count)

    hospital.app.rpc_counts = Counting()
    threads = [threading.Thread(target=lambda: stub.OsirixVersion(EMPTY)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


# -- indices and selection ---------------------------------------------------------------------------------------
def test_set_idx_leaves_the_slider_and_set_displayed_idx_moves_it(stub, front, hospital):
    hospital.clinician.flip()
    ask(stub.ViewerControllerSetIdx, front, "SetIdx", idx=2)
    assert (hospital.window.index, hospital.window.slider) == (2, 5)
    assert stub.ViewerControllerDisplayedIdx(front).displayed_idx == 9
    ask(stub.ViewerControllerSetDisplayedIdx, front, "SetDisplayedIdx", displayed_idx=1)
    assert (hospital.window.index, hospital.window.slider) == (10, 1)
    assert stub.ViewerControllerIdx(front).idx == 10
    assert stub.ViewerControllerFlippedData(front).flipped_data
    for name, field in (("SetIdx", "idx"), ("SetDisplayedIdx", "displayed_idx")):
        for n in (-1, 12):
            answer = ask(getattr(stub, f"ViewerController{name}"), front, name, **{field: n})
            assert message(answer) == (0, f"Index {n} is out of range")


def test_only_the_slider_takes_the_other_viewers_of_the_study_along(stub, front, hospital):
    other = hospital.app.open_series(hospital.window.series)
    ask(stub.ViewerControllerSetIdx, front, "SetIdx", idx=2)
    assert other.index == 6
    ask(stub.ViewerControllerSetDisplayedIdx, front, "SetDisplayedIdx", displayed_idx=3)
    assert (other.index, other.slider) == (3, 3)
    hospital.clinician.scroll_to(8)
    assert other.index == 8


def test_selected_are_those_of_the_displayed_slice_selected_in_hand_or_half_drawn(stub, front, hospital):
    selected = lambda: {  # noqa: E731
        hospital.app.cached_object(r.osirixrpc_uid).name for r in stub.ViewerControllerSelectedROIs(front).rois
    }
    here = hospital.window.index
    one = hospital.clinician.polygon(TRIANGLE, name="one")
    assert selected() == {"one"}
    half = hospital.clinician.start_polygon((3, 3), name="half")
    half.selected = False
    assert selected() == {"half"}
    one.modifying = True
    assert selected() == {"one", "half"}
    ask(stub.ViewerControllerSetIdx, front, "SetIdx", idx=here + 1)
    assert selected() == set()
    ask(stub.ViewerControllerSetIdx, front, "SetIdx", idx=here)
    assert selected() == set()  # leaving the slice ended it
    assert not half.drawing


def test_deleting_an_roi_ends_what_she_is_drawing(stub, front, hospital, pencil):
    half = hospital.clinician.start_polygon((3, 3))
    stub.ROIDelete(pencil.draw(11, points=TRIANGLE, idx=2)[0].roi)
    assert not half.drawing


def test_she_selects_among_those_on_display(stub, front, hospital):
    one, two = (hospital.clinician.polygon(TRIANGLE) for _ in range(2))
    hospital.clinician.select(one, two)
    assert len(stub.ViewerControllerSelectedROIs(front).rois) == 2
    hospital.clinician.select()
    assert len(stub.ViewerControllerSelectedROIs(front).rois) == 0


def test_what_is_half_drawn_can_be_read(stub, front, hospital, pencil):
    half = hospital.clinician.start_polygon((3, 3), k=4)
    hospital.clinician.add_vertex(half, (6, 3))
    (listed,) = ask(stub.ViewerControllerROIList, front, "ROIList").roi_slices[4].rois
    assert len(stub.ROIPoints(listed).points) == 2


def test_what_new_roi_makes_is_seen_after_a_redraw_or_when_its_slice_comes(stub, front, hospital, pencil):
    _, here = pencil.draw(11, points=TRIANGLE, idx=hospital.window.index)
    _, there = pencil.draw(11, points=TRIANGLE, idx=2)
    assert not here.seen
    stub.ViewerControllerNeedsDisplayUpdate(front)
    assert here.seen
    assert not there.seen
    assert hospital.window.index == 6
    hospital.clinician.scroll_to(2)
    assert there.seen


def test_rois_with_a_name_are_found_exactly_and_over_all_slices(stub, front, pencil):
    for idx, name in ((1, "GTV é"), (9, "GTV é"), (4, "GTV")):
        pencil.draw(11, points=TRIANGLE, idx=idx, name=name)
    named = lambda name: len(ask(stub.ViewerControllerROIsWithName, front, "ROIsWithName", name=name).rois)  # noqa: E731
    assert [named(name) for name in ("GTV é", "GTV", "gtv", "GT")] == [2, 1, 0, 0]


# -- movie frames ------------------------------------------------------------------------------------------------
@pytest.fixture
def film(hospital):
    """A viewer of two time frames."""
    images = hospital.window.series.images
    return hospital.app.open_images([images, images])


def test_max_movie_index_is_a_count_and_setting_it_wraps(stub, front, hospital, film):
    assert stub.ViewerControllerMaxMovieIdx(front).max_movie_idx == 1
    moving = types_pb2.ViewerController(osirixrpc_uid=hospital.app.uid(film))
    assert stub.ViewerControllerMaxMovieIdx(moving).max_movie_idx == 2
    for asked, held in ((1, 1), (2, 0)):
        assert message(ask(stub.ViewerControllerSetMovieIdx, moving, "SetMovieIdx", movie_idx=asked)) == (1, "")
        assert stub.ViewerControllerMovieIdx(moving).movie_idx == held
    for wrong in (-1, 3):
        answer = ask(stub.ViewerControllerSetMovieIdx, moving, "SetMovieIdx", movie_idx=wrong)
        assert message(answer) == (0, "Invalid movie index")


def test_lists_of_a_frame_that_is_not_there_are_clamped(stub, hospital, film, pencil):
    moving = types_pb2.ViewerController(osirixrpc_uid=hospital.app.uid(film))
    last = ask(stub.ViewerControllerPixList, moving, "PixList", movie_idx=1).pix
    assert ask(stub.ViewerControllerPixList, moving, "PixList", movie_idx=9).pix == last
    assert len(ask(stub.ViewerControllerROIList, moving, "ROIList", movie_idx=9).roi_slices) == 12


def test_names_are_looked_for_in_one_frame_or_in_all(stub, hospital, film):
    moving = types_pb2.ViewerController(osirixrpc_uid=hospital.app.uid(film))
    clinician = Clinician(hospital.app, film)
    clinician.polygon(TRIANGLE, name="x")
    film.movie_index = 1
    clinician.polygon(TRIANGLE, name="x")
    found = lambda **f: len(ask(stub.ViewerControllerROIsWithName, moving, "ROIsWithName", name="x", **f).rois)  # noqa: E731
    assert (found(movie_idx=0), found(movie_idx=1), found(in_4d=True)) == (1, 1, 2)


# -- copies, fusion, resampling, 3D ------------------------------------------------------------------------------
def test_a_copy_has_its_own_pixels_and_no_rois_and_saves_nothing(stub, front, hospital):
    hospital.clinician.polygon(TRIANGLE, name="hers")
    answer = stub.ViewerControllerCopyViewerWindow(front)
    copy = hospital.app.cached_object(answer.viewer_controller.osirixrpc_uid)
    assert copy.all_rois() == []
    assert np.array_equal(copy.pixes[0][4].image, hospital.window.pixes[0][4].image)
    copy.pixes[0][4].image[:] = 0
    assert hospital.window.pixes[0][4].image.any()
    hospital.clinician.close()
    stub.ViewerControllerCloseViewer(answer.viewer_controller)
    assert [roi.name for _, _, roi in hospital.app.open_series(copy.series).all_rois()] == ["hers"]


def test_fusion_lasts_until_the_other_viewer_closes(stub, front, hospital):
    other = stub.ViewerControllerCopyViewerWindow(front).viewer_controller
    ask(stub.ViewerControllerFuseWithViewer, front, "FuseWithViewer", fusion_viewer_controller=other)
    assert stub.ViewerControllerBlendingController(front).blending_viewer == other
    stub.ViewerControllerCloseViewer(other)
    assert message(stub.ViewerControllerBlendingController(front)) == (0, "No blending controller active")


def test_resampling_lays_the_moving_viewer_on_the_fixed_ones_slices(stub, front, hospital):
    moving = stub.ViewerControllerCopyViewerWindow(front).viewer_controller
    coarse = hospital.app.cached_object(moving.osirixrpc_uid)
    ramp = np.add.outer(np.arange(12) * 100, np.add.outer(np.arange(48) * 1, np.arange(56) * 2)).astype(np.float32)
    for k, pix in enumerate(coarse.pixes[0]):
        pix.image = ramp[k]
        pix.origin = (pix.origin + np.float32([1.0, 3.0, 1.5])).astype(np.float32)  # 0.5 column, 1.5 rows, 0.5 slice
    answer = stub.ViewerControllerResampleViewerController(
        viewercontroller_pb2.ViewerControllerResampleViewerControllerRequest(
            viewer_controller=moving, fixed_viewer_controller=front
        )
    )
    made = hospital.app.cached_object(answer.resampled_viewer.osirixrpc_uid)
    assert np.array_equal(made.pixes[0][5].origin, hospital.window.pixes[0][5].origin)
    assert made.pixes[0][5].image[20, 30] == pytest.approx(4.5 * 100 + 18.5 * 1 + 29.5 * 2)
    assert made.pixes[0][0].image[0, 0] == 0  # nothing of it lies there: its lowest value
    assert message(stub.ViewerControllerIdx(moving)) == (0, "No ViewerController cached")
    assert hospital.app.viewers[0] is made


def test_slices_that_make_no_volume_cannot_be_resampled_or_rendered(stub, front, hospital):
    hospital.window.pixes[0][3].origin = hospital.window.pixes[0][3].origin + np.float32([0, 0, 1])
    assert not ask(stub.ViewerControllerIsDataVolumic, front, "IsDataVolumic").is_volumic
    answer = ask(stub.ViewerControllerOpenVRViewerForMode, front, "OpenVRViewerForMode", mode="VR")
    assert message(answer) == (0, "Could not find opened VR window")
    with pytest.raises(grpc.RpcError):
        ask(
            stub.ViewerControllerResampleViewerController, front, "ResampleViewerController",
            fixed_viewer_controller=front,
        )  # fmt: skip
    assert hospital.app.crashed


def test_a_3d_window(stub, front, hospital):
    open_as = lambda mode: ask(stub.ViewerControllerOpenVRViewerForMode, front, "OpenVRViewerForMode", mode=mode)  # noqa: E731
    assert message(open_as("CPR")) == (0, "Unavailable mode")
    window = open_as("MIP").vr_controller
    assert open_as("VR").vr_controller == window
    assert stub.OsirixFrontmostVRController(EMPTY).vr_controller == window
    assert list(stub.OsirixDisplayedVRControllers(EMPTY).vr_controllers) == [window]
    assert list(stub.ViewerControllerVRControllers(front).vr_controllers) == [window]
    assert stub.VRControllerViewer2D(window).viewer_controller == front
    assert stub.VRControllerTitle(window).title == "3D Reconstruction: Synthetic phantom"
    assert stub.VRControllerStyle(window).style == "standard"
    assert stub.VRControllerRenderingMode(window).rendering_mode == "VR"
    for mode, said in (("MIP", (1, "")), ("surface", (0, "Invalid rendering mode"))):
        request = vrcontroller_pb2.VRControllerSetRenderingModeRequest(vr_controller=window, rendering_mode=mode)
        assert message(stub.VRControllerSetRenderingMode(request)) == said
    assert stub.VRControllerRenderingMode(window).rendering_mode == "MIP"
    stub.VRControllerSetWLWW(vrcontroller_pb2.VRControllerSetWLWWRequest(vr_controller=window, wl=7, ww=9))
    assert (stub.VRControllerWLWW(window).wl, stub.VRControllerWLWW(window).ww) == (7, 9)
    assert stub.ViewerControllerWLWW(front).wl == 60
    assert stub.VRControllerBlendingController(window).viewer_controller.osirixrpc_uid == ""
    ask(stub.ViewerControllerFuseWithViewer, front, "FuseWithViewer", fusion_viewer_controller=front)
    assert stub.VRControllerBlendingController(window).viewer_controller == front
    for name in ("Hide", "Display"):
        request = getattr(vrcontroller_pb2, f"VRController{name}ROIVolumeRequest")(vr_controller=window)
        assert message(getattr(stub, f"VRController{name}ROIVolume")(request)) == (0, "No ROIVolume cached")
    assert message(stub.VRControllerNeedsDisplayUpdate(window)) == (1, "")
    stub.ViewerControllerCloseViewer(front)
    assert message(stub.VRControllerTitle(window)) == (0, "No VRController cached")


def test_what_is_not_modelled_says_so(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.VRControllerROIVolumes(types_pb2.VRController())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_drafts_too_are_saved_on_closing_with_their_style(stub, front, hospital, pencil):
    pencil.draw(20, brush=np.ones((2, 3), bool), at=(4, 5), idx=2, opacity=0.5, name="GTVp ~draft.abcdef")
    series = hospital.window.series
    stub.ViewerControllerCloseViewer(front)
    ((_, k, roi),) = hospital.app.open_series(series).all_rois()
    assert (k, roi.name, roi.opacity, roi.texture_xy) == (2, "GTVp ~draft.abcdef", 0.5, (4, 5))
    roi_uid = hospital.app.uid(roi)
    assert stub.ROIDelete(types_pb2.ROI(osirixrpc_uid=roi_uid)).status.status == 1
    assert message(stub.ROISetName(roi_pb2.ROISetNameRequest())) == (0, "No ROI cached")

"""A foreign witness: pyosirix, unmodified, run through its documented examples.

The examples are those of its README, of its modules' and methods' documentation, of its two example scripts (ROI Nudge
and Read ITK, without their windows), and of the plugin's own tests with it.
"""

import json
import shutil
import subprocess
import sys
import time
import warnings

import grpc
import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it connects on import, and warns that nothing answers
    osirix = pytest.importorskip("osirix")

from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom

CENTRE = 6  # the slice that the viewer opens at


@pytest.fixture(autouse=True)
def connected(hospital, monkeypatch):
    """Its global connection, made as its documentation of `osirix_utilities` says."""
    host, port = hospital.server.address.split(":")
    service = osirix.osirix_utilities.OsirixService(domain=host, port=int(port))
    service.start_service()
    monkeypatch.setattr(osirix, "_osirix", osirix.osirix_utilities.Osirix(service))
    yield service
    service.stop_service()


@pytest.fixture
def viewer(connected):
    return osirix.frontmost_viewer()


# -- connecting --------------------------------------------------------------------------------------------------
SCRIPT = """
import osirix
print(osirix.osirix_version(), osirix.frontmost_viewer().title)
"""


def run_script(home) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"HOME": str(home), "PATH": ""}, capture_output=True, text=True, timeout=60
    )
    return answer.stdout + answer.stderr


def test_it_connects_when_imported_by_the_plugins_own_file(hospital, tmp_path):
    home = tmp_path / "her home"
    written = hospital.server.write_config(home)
    assert "No connection" in run_script(home)  # it spells the folder OsirixGRPC: one folder on a Mac, two here
    theirs = written.parents[1] / "OsirixGRPC"
    shutil.copytree(written.parent, theirs)
    assert run_script(home).strip() == "('14.1.2', 'OsiriX MD') Synthetic phantom"
    assert json.loads((theirs / "server_configs.json").read_text())[0]["active"] == "YES"


def test_a_service_of_ones_own(connected, hospital):
    assert connected.check_connection()
    hospital.server.stop()
    assert not connected.check_connection()
    with pytest.raises(osirix.exceptions.GrpcException, match="No connection with OsiriX available"):
        osirix.frontmost_viewer()


# -- viewers -----------------------------------------------------------------------------------------------------
def test_accessing_the_2d_viewer(viewer, hospital):
    assert osirix.displayed_2d_viewers() == [viewer]
    assert viewer.pb2_object.osirixrpc_uid == hospital.app.uid(hospital.window)
    assert repr(viewer) == "ViewerController: Synthetic phantom"
    hospital.clinician.close()
    with pytest.raises(osirix.exceptions.GrpcException, match="No ViewerController active"):
        osirix.frontmost_viewer()


def test_moving_to_the_central_slice_and_windowing(viewer, hospital):
    n_slices = len(viewer.pix_list(0))
    assert n_slices == 12
    viewer.idx = int(n_slices / 2)
    viewer.wlww = (50, 100)
    viewer.needs_display_update()
    assert (viewer.idx, viewer.displayed_idx, viewer.wlww) == (6, 6, (50, 100))
    assert (hospital.window.index, hospital.window.wlww, hospital.window.redraws) == (6, (50, 100), 1)
    viewer.displayed_idx = 2
    assert viewer.idx == 2
    with pytest.raises(osirix.exceptions.GrpcException, match="Index 12 is out of range"):
        viewer.idx = 12


def test_a_viewers_properties(viewer):
    assert (viewer.modality, viewer.flipped_data, viewer.movie_idx, viewer.max_movie_index) == ("CT", 0, 0, 1)
    assert viewer.is_data_volumic(in_4d=False)
    with pytest.raises(osirix.exceptions.GrpcException, match="Invalid movie index"):
        viewer.movie_idx = 2


def test_copying_a_viewer_and_fusing_and_resampling_it(viewer):
    acopy = viewer.copy_viewer_window()
    viewer.fuse_with_viewer(acopy)
    assert viewer.blending_controller() == acopy
    resampled = acopy.resample_viewer_controller(viewer)
    assert np.array_equal(resampled.pix_list(0)[3].image, viewer.pix_list(0)[3].image)
    with pytest.raises(osirix.exceptions.GrpcException, match="No ViewerController cached"):
        _ = acopy.idx
    resampled.close_viewer()
    assert osirix.displayed_2d_viewers() == [viewer]


def test_the_3d_viewer(viewer):
    assert viewer.vr_controllers() == []
    opened = viewer.open_vr_viewer(mode="MIP")
    assert viewer.vr_controllers() == [opened] == osirix.displayed_vr_controllers()
    vr_controller = osirix.frontmost_vr_controller()
    vr_controller.wlww = (50, 100)
    assert vr_controller.wlww == (50, 100)
    assert (vr_controller.rendering_mode, vr_controller.style) == ("MIP", "standard")
    assert vr_controller.title == "3D Reconstruction: Synthetic phantom"
    assert vr_controller.viewer_2d() == viewer
    vr_controller.needs_display_update()
    with pytest.raises(grpc.RpcError):  # the one call that is not modelled
        vr_controller.roi_volumes()


# -- pixels ------------------------------------------------------------------------------------------------------
def test_accessing_image_data(viewer, phantom, hospital):
    pixels = viewer.cur_dcm().image
    assert np.array_equal(pixels, phantom.image[CENTRE])
    new_pixels = pixels * 2
    viewer.cur_dcm().image = new_pixels
    viewer.needs_display_update()
    assert np.array_equal(viewer.cur_dcm().image, phantom.image[CENTRE] * 2)
    assert np.array_equal(hospital.window.current_pix.image, phantom.image[CENTRE] * 2)


def test_every_slice_and_where_it_lies(viewer, phantom):
    pixes = viewer.pix_list(0)
    assert np.array_equal(np.stack([pix.image for pix in pixes]), phantom.image)
    assert pixes[1].origin == pytest.approx((-120.0, -110.0, -57.0))
    assert pixes[1].shape == (48, 56)
    assert pixes[1].pixel_spacing == (2.0, 2.0)
    assert pixes[1].orientation.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert pixes[1].slice_location == -57
    assert repr(pixes[1]) == "DCMPix: -57.00 (48, 56)"
    with open(pixes[1].source_file, "rb") as file:
        assert file.read(132)[-4:] == b"DICM"


def test_colour_and_back(viewer):
    pix = viewer.cur_dcm()
    pix.convert_to_rgb(mode=2)
    assert pix.is_rgb
    argb = pix.image
    assert argb.shape == (48, 56, 4)
    argb[:, :, 1] = 255
    pix.image = argb
    pix.convert_to_bw(mode=0)
    assert np.all(pix.image == 255)


# -- ROIs --------------------------------------------------------------------------------------------------------
def test_reading_the_selected_roi(viewer, hospital):
    assert viewer.selected_rois() == []
    hospital.clinician.polygon([(3, 4), (30, 4), (30, 20)], name="hers")
    rois = viewer.selected_rois()
    roi = rois[0]
    assert (roi.itypes()[roi.itype], roi.stype, roi.name) == ("tCPolygon", "tCPolygon", "hers")
    assert roi.points.tolist() == [[3, 4], [30, 4], [30, 20]]
    assert roi.centroid() == pytest.approx((21, 28 / 3))
    assert roi.roi_area() == pytest.approx(27 * 16 / 2 * 4 / 100)
    assert roi.pix == viewer.cur_dcm()


def test_roi_nudge(viewer, hospital):
    """Its example script: the arrow buttons move the selected ROIs."""
    hers = hospital.clinician.polygon([(10, 10), (20, 10), (20, 20)])
    for columns, rows in ((0, -5), (0, 5), (-5, 0), (5, 0), (5, 0)):
        for roi in viewer.selected_rois():
            roi.roi_move(columns, rows)
    assert hers.points.tolist() == [[15, 10], [25, 10], [25, 20]]


NEW = {"name": "theirs", "idx": 4, "thickness": 3.0, "color": (255, 100, 200), "opacity": 0.5}
DRAWN = [
    ("new_oval_roi", {"center": (26.0, 22.0), "width": 10.0, "height": 4.0}, "tOval", None),
    ("new_oval_angle_roi", {"center": (26.0, 22.0), "width": 10.0, "height": 4.0}, "tOvalAngle", None),
    ("new_rectangle_roi", {"center": (26.0, 22.0), "width": 10.0, "height": 4.0}, "tROI",
     [(21, 20), (21, 24), (31, 24), (31, 20)]),
    ("new_arrow_roi", {"tail": (5.0, 5.0), "head": (15.5, 10.5)}, "tArrow", [(15.5, 10.5), (5, 5)]),
    ("new_point_roi", {"column": 20.0, "row": 25.5}, "t2DPoint", [(20, 25.5)]),
    ("new_text_roi", {"column": 10.0, "row": 25.5}, "tText", None),
    ("new_tagt_roi", {"a": (1.0, 1.0), "b": (1.0, 2.0), "c": (3.0, 2.0), "d": (4.0, 4.0)}, "tTAGT", None),
    ("new_angle_roi", {"p1": (7.0, -2.0), "p2": (6.0, 1.0), "p3": (9.0, 9.0)}, "tAngle", [(7, -2), (6, 1), (9, 9)]),
    ("new_measurement_roi", {"start": (7.0, -2.0), "end": (6.0, 11.0)}, "tMeasure", [(7, -2), (6, 11)]),
    ("new_dynamic_angle_roi", {"p1": (1.0, 1.0), "p2": (5.0, 1.0), "p3": (1.0, 5.0), "p4": (1.0, 9.0)}, "tDynAngle",
     [(1, 1), (5, 1), (1, 5), (1, 9)]),
    ("new_axis_roi", {"p1": (1.0, 1.0), "p2": (5.0, 1.0), "p3": (1.0, 5.0), "p4": (1.0, 9.0)}, "tAxis",
     [(1, 1), (5, 1), (1, 5), (1, 9)]),
    ("new_polygon_roi", {"points": np.array([[10.5, 10.5], [50.5, 10.5], [50.5, 40.5]]), "closed": True}, "tCPolygon",
     [(10.5, 10.5), (50.5, 10.5), (50.5, 40.5)]),
    ("new_polygon_roi", {"points": np.array([[10.5, 10.5], [50.5, 10.5], [50.5, 40.5]]), "closed": False}, "tOPolygon",
     [(10.5, 10.5), (50.5, 10.5), (50.5, 40.5)]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "shape", "kind", "points"), DRAWN)
def test_drawing_each_kind(viewer, hospital, method, shape, kind, points):
    made = getattr(viewer, method)(**shape, **NEW)
    assert viewer.roi_list(0)[4] == [made]
    assert (made.stype, made.name, made.color, made.opacity, made.thickness) == (
        kind,
        "theirs",
        (255, 100, 200),
        0.5,
        3,
    )
    if points is not None:
        assert made.points.tolist() == [list(p) for p in points]
    (roi,) = hospital.clinician.rois(4)
    assert roi.color == (255, 100, 200)
    made.delete()
    assert hospital.clinician.rois() == []
    with pytest.raises(osirix.exceptions.GrpcException, match="No ROI cached"):
        made.delete()


def test_an_oval_is_centre_and_half_width_and_height(viewer):
    points = viewer.new_oval_roi(center=(26.0, 22.0), width=10.0, height=4.0, **NEW).points
    assert points.min(0) == pytest.approx([21, 20])
    assert points.max(0) == pytest.approx([31, 24])


def test_masks_on_several_slices(viewer, hospital):
    buffer_array = np.ones((10, 12)) > 0
    for i in range(4):
        viewer.new_mask_roi(
            buffer=buffer_array, name="pyosirix_mask", idx=i, movie_idx=0, buffer_position_column=i * 3,
            buffer_position_row=i * 5, color=(255, 255, 0), opacity=0.5,
        )  # fmt: skip
    found = viewer.rois_with_name("pyosirix_mask")
    assert len(found) == 4
    pix = viewer.pix_list(0)[2]
    mask = pix.get_map_from_roi(found[2])
    expected = np.zeros((48, 56), bool)
    expected[10:20, 6:18] = True
    assert np.array_equal(mask, expected)
    rows, columns, values = pix.get_roi_values(found[2])
    assert np.array_equal(np.stack([rows, columns]), np.nonzero(expected))
    assert np.array_equal(values, pix.image[expected])
    statistics = pix.compute_roi(found[2])
    assert statistics["total"] == pytest.approx(values.sum())
    assert statistics["mean"] == pytest.approx(values.mean(), rel=1e-6)
    assert statistics["std_dev"] == pytest.approx(values.std(), rel=1e-6)
    assert (statistics["min"], statistics["max"]) == (values.min(), values.max())
    assert found[2].thickness == 1  # it sends none, and OsiriX makes it 1


def test_changing_an_roi(viewer):
    points = np.array([[10.5, 10.5], [30.5, 10.5], [30.5, 30.5], [10.5, 30.5]])
    roi = viewer.new_polygon_roi(points, name="before", idx=4)
    roi.name, roi.color, roi.opacity, roi.thickness, roi.points = "after", (255, 0, 0), 0.5, 5.0, points[:3]
    assert (roi.name, roi.color, roi.opacity, roi.thickness) == ("after", (255, 0, 0), 0.5, 5.0)
    assert np.allclose(roi.points, points[:3])
    roi.points = points
    roi.flip_horizontally()
    assert np.allclose(roi.points, points[[1, 0, 3, 2]])
    roi.flip_vertically()
    assert np.allclose(roi.points, points[[2, 3, 0, 1]])
    roi.rotate(theta=90.0, center=None)
    assert np.allclose(roi.points, points[[3, 0, 1, 2]])
    with pytest.warns(UserWarning, match="Clipping to 255"):
        roi.color = (300, 0, 0)


def test_its_own_cache_view(viewer, connected):
    roi = viewer.new_point_roi(column=3.0, row=4.0, idx=1)
    objects = osirix.global_osirix_instance().__osirix_cache_objects__()
    assert objects[roi.pb2_object.osirixrpc_uid] == roi
    assert objects[viewer.pb2_object.osirixrpc_uid] == viewer


# -- the database ------------------------------------------------------------------------------------------------
def test_browsing_the_database(hospital):
    database = osirix.current_browser()
    studies, series = database.database_selection()
    assert (len(studies), len(series)) == (1, 0)
    (study,) = studies
    assert (study.patient_id, study.patient_sex, study.modalities) == ("PHANTOM", "O", "CT")
    assert repr(study) == "DicomStudy: PHANTOM (01/01/2026)"
    assert study.number_of_images == study.no_files == len(study.paths) == len(study.images) == 12
    with pytest.raises(osirix.exceptions.GrpcException, match="Performing physician not available"):
        _ = study.performing_physician
    (serie,) = study.series
    assert serie.series_description == serie.patient_name == "Synthetic phantom"
    assert repr(serie) == "DicomSeries: Synthetic phantom (N = 12)"
    assert serie.study == study
    with pytest.raises(osirix.exceptions.GrpcException, match="No next series"):
        _ = serie.next_series
    images = serie.sorted_images()
    assert [image.instance_number for image in images] == list(range(1, 13))
    assert (images[0].width, images[0].height, images[0].number_of_frames) == (56, 48, 1)
    assert images[0].series == serie
    assert osirix.frontmost_viewer().pix_list(0)[0].image_obj() == images[0]


def test_opening_a_2d_and_a_4d_viewer(hospital, phantom):
    database = osirix.current_browser()
    hospital.app.selection = [hospital.window.series, hospital.window.series]
    _, series = database.database_selection()
    dicom_images = np.array(series[0].images)
    dicom_images = dicom_images[np.argsort([image.slice_location for image in dicom_images])]
    flat = database.open_viewer_2d(dicom_images)
    assert np.array_equal(np.stack([pix.image for pix in flat.pix_list()]), phantom.image)
    film = database.open_viewer_4d(np.array([s.sorted_images() for s in series]))
    assert film.max_movie_index == 2
    film.movie_idx = 1
    assert film.movie_idx == 1
    assert len(film.pix_list(1)) == 12
    assert osirix.frontmost_viewer() == film


def test_read_itk(hospital, tmp_path):
    """Its example script: DICOM files are handed over, and deleted a moment later."""
    hospital.app.database_folder = tmp_path / "database"
    made = write_phantom(tmp_path / "temp", PhantomRecipe(shape_kji=(4, 16, 18), seed=3))
    file_list = [str(path) for path in (tmp_path / "temp" / "CT").iterdir()]
    browser = osirix.current_browser()
    browser.copy_files_into_database(file_list)
    end = time.monotonic() + 5
    while len(hospital.app.studies) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    shutil.rmtree(tmp_path / "temp")
    (series,) = osirix.dicom.DicomStudy(
        browser.osirix_service,
        browser.osirix_service_stub.BrowserControllerDatabaseStudies(browser.pb2_object).studies[1],
    ).series
    opened = browser.open_viewer_2d(np.array(series.sorted_images()))
    assert np.array_equal(np.stack([pix.image for pix in opened.pix_list(0)]), made.image)

"""Slices: geometry, values, statistics, colour."""

import grpc
import numpy as np
import pytest
from osirixgrpc import dcmpix_pb2, types_pb2, utilities_pb2
from osirixgrpc.osirix_pb2_grpc import OsiriXServiceStub

from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom


@pytest.fixture
def here(hospital):
    """The displayed slice."""
    return hospital.window.current_pix


@pytest.fixture
def pix(hospital, here):
    return types_pb2.DCMPix(osirixrpc_uid=hospital.app.uid(here))


def message(answer) -> tuple[int, str]:
    return answer.status.status, answer.status.message


def test_geometry_is_float32_and_has_nine_cosines(stub, hospital, here, pix):
    here.origin = np.array([1 / 3, 0.1, -7], np.float32)
    origin = stub.DCMPixOrigin(pix)
    assert (origin.origin_x, origin.origin_y, origin.origin_z) == (np.float32(1 / 3), np.float32(0.1), -7)
    assert list(stub.DCMPixOrientation(pix).orientation) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    shape, spacing = stub.DCMPixShape(pix), stub.DCMPixSpacing(pix)
    assert (shape.rows, shape.columns, spacing.spacing_rows, spacing.spacing_columns) == (48, 56, 2, 2)


def test_slice_location_is_osirixs_own_along_the_axis_nearest_to_the_normal(tmp_path, hospital, stub):
    sagittal = PhantomRecipe(
        shape_kji=(4, 20, 30), origin_lps=(72.0, -106.0, 124.0), row_cosines=(0, 1, 0), column_cosines=(0, 0, -1)
    )
    write_phantom(tmp_path, sagittal)
    (viewer,) = hospital.app.open_folder(tmp_path)
    first = types_pb2.DCMPix(osirixrpc_uid=hospital.app.uid(viewer.pixes[0][0]))
    assert stub.DCMPixSliceLocation(first).slice_location == pytest.approx(viewer.pixes[0][0].origin[0])
    image = stub.DCMPixDicomImage(first).dicom_image
    assert stub.DicomImageSliceLocation(image).slice_location == pytest.approx(viewer.pixes[0][0].origin[0])


def test_a_1024_slice_does_not_pass_grpcs_own_limit(hospital, here, pix):
    here.image = np.zeros((1024, 1024), np.float32)
    with grpc.insecure_channel(hospital.server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            OsiriXServiceStub(channel).DCMPixImage(pix)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    options = [("grpc.max_receive_message_length", 512 * 1024 * 1024)]
    with grpc.insecure_channel(hospital.server.address, options) as channel:
        assert len(OsiriXServiceStub(channel).DCMPixImage(pix).image_data_float) == 1024 * 1024


def test_set_image_changes_the_viewer_not_the_file(stub, hospital, here, pix, phantom):
    request = dcmpix_pb2.DCMPixSetImageRequest(pix=pix, image_data_float=[1.5] * (48 * 56))
    assert message(stub.DCMPixSetImage(request)) == (1, "")
    assert set(stub.DCMPixImage(pix).image_data_float) == {1.5}
    assert np.array_equal(here.source.frames()[0], phantom.image[6])
    short = dcmpix_pb2.DCMPixSetImageRequest(pix=pix, image_data_float=[1.5] * 10)
    assert message(stub.DCMPixSetImage(short)) == (0, "Incompatible image shape")


# -- values and statistics ---------------------------------------------------------------------------------------
def test_statistics_are_those_that_a_real_osirix_answered(stub, hospital, here, pencil):
    """The plugin's own test asserts these for 1,600 pixels of 0 to 3 (sum 840); only one such histogram has them."""
    here.image = np.zeros((48, 56), np.float32)
    here.image[:40, :40] = np.repeat([0, 1, 2, 3], [848, 669, 78, 5]).reshape(40, 40)
    brush = hospital.clinician.brush(np.ones((40, 40), bool))
    found = pencil.statistics(brush)
    assert (found.total, found.min, found.max) == (840, 0, 3)
    assert found.mean == pytest.approx(0.525, abs=1e-5)
    assert found.std_dev == pytest.approx(0.60467, abs=1e-5)
    assert found.skewness == pytest.approx(0.77747, abs=1e-5)
    assert found.kurtosis == pytest.approx(0.06178, abs=1e-5)


def test_values_of_a_brush_come_with_row_and_column(hospital, here, pencil):
    mask = np.array([[1, 0, 1], [0, 1, 0]], bool)
    brush = hospital.clinician.brush(mask, (7, 20))
    found = pencil.values(brush)
    assert list(zip(found.row_indices, found.column_indices, strict=True)) == [(20, 7), (20, 9), (21, 8)]
    assert list(found.values) == [here.image[20, 7], here.image[20, 9], here.image[21, 8]]
    assert list(pencil.values(hospital.clinician.brush(mask, (54, 47))).column_indices) == [54]  # cut off by the frame


@pytest.mark.parametrize(
    ("centre", "x", "column"),
    [(0.5, 9.0, 9), (0.5, 9.5, 9), (0.5, 9.95, 9), (0.0, 9.0, 9), (0.0, 9.45, 9), (0.0, 9.55, 10), (1.0, 9.0, 8)],
)
def test_a_point_gives_the_pixel_that_it_lies_in(hospital, here, pencil, centre, x, column):
    hospital.app.pixel_centre = centre
    found = pencil.values(hospital.clinician.point((x, 20.5)))
    assert list(found.column_indices) == [column]
    assert list(found.values) == [here.image[found.row_indices[0], column]]


def test_outside_the_image_there_are_no_values_and_that_is_no_failure(hospital, pencil):
    nothing = pencil.values(hospital.clinician.point((500, 500)))
    assert (nothing.status.status, list(nothing.values)) == (1, [])
    assert message(pencil.statistics(hospital.clinician.point((500, 500)))) == (1, "")


def test_statistics_of_a_polygon_take_its_border_in_and_its_map_does_not(hospital, pencil):
    square = hospital.clinician.polygon([(10, 10), (20, 10), (20, 20), (10, 20)])
    assert len(pencil.values(square).values) == 121
    assert sum(pencil.map(square).map) == 100


def test_a_polygons_map_can_be_had_without_the_shift(hospital, pencil):
    square = hospital.clinician.polygon([(10.2, 10.2), (20.2, 10.2), (20.2, 20.2), (10.2, 20.2)])
    first = np.array(pencil.map(square).map).reshape(48, 56)
    assert first[11:21, 11:21].sum() == first.sum() == 100
    hospital.app.exact_maps = True
    second = np.array(pencil.map(square).map).reshape(48, 56)
    assert second[10:20, 10:20].sum() == second.sum() == 100


def test_which_kinds_have_a_map(hospital, pencil):
    ring = [(3, 3), (12, 3), (12, 12)]
    for draw in (hospital.clinician.polygon, hospital.clinician.open_polygon, hospital.clinician.pencil):
        answer = pencil.map(draw(ring))
        assert (answer.status.status, answer.rows, answer.columns, len(answer.map)) == (1, 48, 56, 48 * 56)
        assert any(answer.map)
    for roi in (
        hospital.clinician.box((3, 3), (5, 5)), hospital.clinician.oval((9, 9), (3, 3)),
        hospital.clinician.point((3, 3)), hospital.clinician.measure([(1, 1), (9, 9)]),
    ):  # fmt: skip
        assert message(pencil.map(roi)) == (0, "Invalid ROI")


# -- colour ------------------------------------------------------------------------------------------------------
def convert(stub, pix, kind: str, channel: int):
    request = getattr(dcmpix_pb2, f"DCMPixConvertTo{kind}Request")(pix=pix, **{f"{kind.lower()}_channel": channel})
    return getattr(stub, f"DCMPixConvertTo{kind}")(request)


def test_grey_to_colour_and_back(stub, here, pix):
    here.image = np.linspace(-100, 300, 48 * 56, dtype=np.float32).reshape(48, 56)
    assert message(convert(stub, pix, "BW", 3)) == (0, "Data already BW")
    assert message(convert(stub, pix, "RGB", 4)) == (0, "Requested RGB type not understood")
    assert message(convert(stub, pix, "RGB", 3)) == (1, "")
    answer = stub.DCMPixImage(pix)
    assert answer.is_argb
    argb = np.array(answer.image_data_argb).reshape(48, 56, 4)
    assert (argb[..., 0] == 255).all()
    assert argb[0, 0, 1:].tolist() == [0, 0, 0]
    assert argb[-1, -1, 1:].tolist() == [255, 255, 255]
    assert stub.DCMPixIsRGB(pix).is_rgb
    assert message(convert(stub, pix, "RGB", 3)) == (0, "Data already RGB")
    assert message(convert(stub, pix, "BW", 4)) == (0, "Requested BW type not understood")
    assert message(convert(stub, pix, "BW", 0)) == (1, "")
    assert np.array(stub.DCMPixImage(pix).image_data_float)[-1] == 255


def test_one_channel_only(stub, here, pix):
    here.image = np.linspace(0, 100, 48 * 56, dtype=np.float32).reshape(48, 56)
    convert(stub, pix, "RGB", 2)
    assert [int(here.image[..., n].max()) for n in range(3)] == [0, 0, 255]


def test_an_all_negative_slice_is_scaled_up_to_nought(stub, here, pix):
    here.image = np.linspace(-1000, -500, 48 * 56, dtype=np.float32).reshape(48, 56)
    convert(stub, pix, "RGB", 3)
    assert here.image.min() == 0
    assert here.image.max() == 127  # -500 is halfway between -1000 and 0


def test_colour_has_no_statistics(stub, hospital, pix, pencil):
    convert(stub, pix, "RGB", 3)
    brush = hospital.clinician.brush(np.ones((4, 4), bool))
    assert message(pencil.statistics(brush)) == (0, "No values provided for RGB pix")
    assert message(pencil.values(brush)) == (0, "No values provided for RGB pix")


def test_version_is_always_answered(stub, hospital):
    answer = stub.OsirixVersion(utilities_pb2.Empty())
    assert (answer.status.status, answer.version, answer.bundle_name) == (1, "14.1.2", "OsiriX MD")

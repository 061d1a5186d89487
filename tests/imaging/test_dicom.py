import highdicom as hd
import numpy as np
import pydicom
import pytest

from osirix_agent.errors import DicomError
from osirix_agent.imaging.dicom import find_truths, read_image_header
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom

OBLIQUE = {
    "row_cosines": (0.9999925900, -0.0001370866, -0.0038477941),
    "column_cosines": (-0.0000000470, 0.9993655200, -0.0356169210),
}


def geometry_of(folder) -> tuple[Geometry, list[pydicom.Dataset]]:
    files = [pydicom.dcmread(path) for path in sorted((folder / "CT").iterdir())]
    first = files[0]
    orientation = np.array(first.ImageOrientationPatient, float)
    geometry = Geometry.from_slices(
        [f.ImagePositionPatient for f in files], orientation[:3], orientation[3:],
        float(first.PixelSpacing[0]), float(first.PixelSpacing[1]), first.Rows, first.Columns,
    )  # fmt: skip
    return geometry, files


@pytest.mark.parametrize("turned", [{}, OBLIQUE])
def test_rtstruct_and_seg_come_back_as_the_mask_they_were_made_of(tmp_path, turned):
    recipe = PhantomRecipe(shape_kji=(10, 40, 44), spacing_kji_mm=(3.0, 1.5, 2.0), **turned)
    study = write_phantom(tmp_path, recipe)
    geometry, files = geometry_of(tmp_path)
    (truth,) = find_truths(tmp_path, geometry, study.frame_of_reference_uid, files[0].SeriesInstanceUID)
    assert truth.name == "GTVp"
    assert np.array_equal(truth.mask, study.truth)
    (tmp_path / "RS.dcm").unlink()
    _seg(files, study.truth).save_as(tmp_path / "seg.dcm")
    (again,) = find_truths(tmp_path, geometry, study.frame_of_reference_uid, files[0].SeriesInstanceUID)
    assert np.array_equal(again.mask, study.truth)


@pytest.mark.parametrize("turned", [{}, OBLIQUE])
def test_highdicom_places_voxels_where_we_do(tmp_path, turned):
    write_phantom(tmp_path, PhantomRecipe(shape_kji=(6, 20, 24), spacing_kji_mm=(3.0, 1.5, 2.0), **turned))
    geometry, files = geometry_of(tmp_path)
    theirs = hd.get_volume_from_series(files)
    for k, j, i in [(0, 0, 0), (5, 19, 23), (2, 7, 3)]:
        point = geometry.to_lps((k, j, i))
        index = theirs.map_reference_to_indices(point[None])[0]
        value = theirs.array[tuple(np.round(index).astype(int))]
        assert np.abs(index - np.round(index)).max() < 1e-3
        assert value == files[k].pixel_array[j, i]


def test_another_series_or_frame_of_reference_gives_no_truth(tmp_path):
    study = write_phantom(tmp_path, PhantomRecipe(shape_kji=(6, 20, 24)))
    geometry, files = geometry_of(tmp_path)
    assert find_truths(tmp_path, geometry, study.frame_of_reference_uid, "1.2.3") == []
    assert find_truths(tmp_path, geometry, "1.2.3", files[0].SeriesInstanceUID) == []


def test_an_unreadable_file_is_an_error_without_its_path(tmp_path):
    with pytest.raises(DicomError) as caught:
        read_image_header(tmp_path / "Smith^John.dcm")
    assert "Smith" not in str(caught.value)


def _seg(files, mask):
    description = hd.seg.SegmentDescription(
        1, "GTV", hd.sr.CodedConcept("91723000", "SCT", "Anatomical structure"),
        hd.sr.CodedConcept("91723000", "SCT", "Anatomical structure"),
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )  # fmt: skip
    return hd.seg.Segmentation(
        source_images=files, pixel_array=mask.astype(np.uint8), segmentation_type="BINARY",
        segment_descriptions=[description], series_instance_uid=hd.UID(), series_number=9,
        sop_instance_uid=hd.UID(), instance_number=1, manufacturer="x", manufacturer_model_name="x",
        software_versions="1", device_serial_number="1",
    )  # fmt: skip

from copy import deepcopy

import numpy as np
import pydicom
import pytest

from osirix_agent.errors import DicomError
from osirix_agent.imaging.contour import isocontour
from osirix_agent.imaging.dicom import find_truths, read_drawn
from osirix_agent.record.export.rtstruct import new_rtstruct, write_rtstruct
from osirix_agent.record.export.segmentation import new_segmentation
from tests.record.export.conftest import NOW, study_at


@pytest.fixture
def study(tmp_path):
    return study_at(tmp_path / "study")


@pytest.fixture
def ds(study):
    """An RTSTRUCT of one structure."""
    return pydicom.dcmread(study.phantom.folder / "RS.dcm")


def read(ds, study, folder):
    path = folder / "drawn.dcm"
    ds.save_as(path)
    return read_drawn(path, study.series.geometry, study.phantom.frame_of_reference_uid, study.series.uid)


def test_a_structure_set_comes_in_as_it_was_drawn(study, ds, tmp_path):
    (one,) = read(ds, study, tmp_path)
    assert np.array_equal(one.mask(study.series.geometry.shape_kji), study.phantom.truth)
    assert not one.left_out


@pytest.mark.parametrize("fractional", [False, True])
def test_a_segmentation_comes_in_as_its_mask(study, tmp_path, fractional):
    seg = new_segmentation(study.series, [study.structure(mask=study.hollow)], NOW, fractional=fractional)
    (one,) = read(seg, study, tmp_path)
    assert np.array_equal(one.mask(study.series.geometry.shape_kji), study.hollow)


def test_our_own_keyholes_come_in_as_holes(study, tmp_path):
    write_rtstruct(new_rtstruct(study.series, [study.structure(mask=study.hollow)], NOW), tmp_path / "a.dcm")
    (one,) = read(pydicom.dcmread(tmp_path / "a.dcm"), study, tmp_path)
    assert np.array_equal(one.mask(study.series.geometry.shape_kji), study.hollow)


def _copy(contour, **changes):
    made = deepcopy(contour)
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def test_what_cannot_be_used_is_left_out_and_counted(study, ds, tmp_path):
    contours = ds.ROIContourSequence[0].ContourSequence
    first = contours[0]
    points = np.array(first.ContourData, float).reshape(-1, 3)
    contours += [
        _copy(first, ContourGeometricType="OPEN_PLANAR"),
        _copy(first, ContourGeometricType="POINT", ContourData=[0, 0, 0]),
        _copy(first, ContourData=np.roll(points, 3, axis=0)[::-1].ravel().tolist()),
        _copy(first, ContourData=np.add(points, (0, 0, 1.45)).ravel().tolist()),
        _copy(first, ContourData=np.add(points, (0, 0, 500)).ravel().tolist()),
        _copy(first, ContourData=(points + np.outer(np.arange(len(points)), [0, 0, 1])).ravel().tolist()),
    ]
    (one,) = read(ds, study, tmp_path)
    assert np.array_equal(one.mask(study.series.geometry.shape_kji), study.phantom.truth)
    assert one.left_out == {
        "open, or a mere point": 2, "drawn twice": 1, "not on a slice": 2, "not in the plane of a slice": 1
    }  # fmt: skip


def test_a_ring_in_a_ring_is_a_hole_not_a_copy(study, ds, tmp_path):
    mask = study.hollow
    rings = isocontour(mask[5].astype(float), 0.5)
    contours = ds.ROIContourSequence[0].ContourSequence
    template = contours[0]
    del contours[:]
    for ring in rings:
        points = study.series.geometry.to_lps(np.column_stack([np.full(len(ring), 5.0), ring]))
        contours.append(_copy(template, ContourData=points.ravel().round(4).tolist()))
    (one,) = read(ds, study, tmp_path)
    assert np.array_equal(one.mask(mask.shape)[5], mask[5])
    assert not one.left_out


def _elsewhere(ds):
    for contour in ds.ROIContourSequence[0].ContourSequence:
        contour.ContourData = [value + 900 for value in contour.ContourData]


def _other_series(ds):
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"


def _other_frame(ds):
    ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"
    ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(_elsewhere, "No contour"), (_other_series, "another series"), (_other_frame, "another frame of reference")],
)
def test_what_was_drawn_on_something_else_is_refused(study, ds, tmp_path, spoil, why):
    spoil(ds)
    with pytest.raises(DicomError, match=why):
        read(ds, study, tmp_path)


def test_what_holds_no_contours_is_refused(study, tmp_path):
    geometry, frame = study.series.geometry, study.phantom.frame_of_reference_uid
    with pytest.raises(DicomError, match="no contours but CT"):
        read_drawn(study.files[0], geometry, frame, study.series.uid)
    with pytest.raises(DicomError, match="cannot be read"):
        read_drawn(tmp_path / "nothing.dcm", geometry, frame, study.series.uid)


def test_fractions_below_one_half_are_no_truth(study, tmp_path):
    seg = new_segmentation(study.series, [study.structure()], NOW, fractional=True)
    (tmp_path / "only").mkdir()
    seg.save_as(tmp_path / "only" / "seg.dcm")
    geometry, frame = study.series.geometry, study.phantom.frame_of_reference_uid
    (truth,) = find_truths(tmp_path / "only", geometry, frame, study.series.uid)
    assert np.array_equal(truth.mask, study.phantom.truth)

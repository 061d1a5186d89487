from datetime import datetime

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from osirix_agent.errors import DicomError, ExportError
from osirix_agent.imaging.dicom import find_truths
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.record.export.rtstruct import appended, new_rtstruct, read_rtstruct, write_rtstruct
from osirix_agent.record.export.series import ImageSeries
from tests.record.export.conftest import NOW, OBLIQUE, complaints, study_at


def written(ds, path):
    write_rtstruct(ds, path)
    return pydicom.dcmread(path)


def truths(folder, study):
    found = find_truths(folder, study.series.geometry, study.phantom.frame_of_reference_uid, study.series.uid)
    return {truth.name: truth.mask for truth in found}


@pytest.mark.parametrize("turned", [{}, OBLIQUE])
def test_it_comes_back_as_the_mask_and_is_valid(tmp_path, turned):
    study = study_at(tmp_path / "study", **turned)
    mask = study.hollow
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "RS.dcm"
    ds = written(new_rtstruct(study.series, [study.structure(mask=mask)], NOW), path)
    assert np.array_equal(truths(tmp_path / "out", study)["GTVp"], mask)
    most = max(len(rings) for rings in study.structure(mask=mask).rings_ji.values())
    assert most == 2
    sops = [str(c.ContourImageSequence[0].ReferencedSOPInstanceUID) for c in ds.ROIContourSequence[0].ContourSequence]
    assert len(sops) == len(set(sops))  # the hole is part of its contour
    assert complaints(path) == []


def test_it_says_what_it_is(study, tmp_path):
    structures = [study.structure("GTVp", edited=frozenset([4])), study.structure("left parotid")]
    structures += [study.structure("iCTV"), study.structure("scratch")]
    ds = written(new_rtstruct(study.series, structures, NOW), tmp_path / "RS.dcm")
    again = new_rtstruct(study.series, structures, NOW)
    assert ds.SOPInstanceUID != again.SOPInstanceUID
    assert ds.SeriesInstanceUID not in (again.SeriesInstanceUID, study.series.uid)
    assert (ds.StudyInstanceUID, ds.PatientID) == (study.series.study_uid, "PHANTOM")
    assert ds.ApprovalStatus == "UNAPPROVED"
    assert [roi.ROIName for roi in ds.StructureSetROISequence] == ["GTVp", "Parotid_L", "iCTV", "scratch"]
    assert [o.RTROIInterpretedType for o in ds.RTROIObservationsSequence] == ["GTV", "ORGAN", "CTV", ""]
    assert {roi.ROIGenerationAlgorithm for roi in ds.StructureSetROISequence} == {"SEMIAUTOMATIC"}
    first = ds.StructureSetROISequence[0]
    assert first.ROIDescription.startswith("1 of ")
    made = first.ROIDerivationAlgorithmIdentificationSequence[0]
    assert made.AlgorithmName == "classical 1.0"
    assert structures[0].belief.mask_digest in made.AlgorithmParameters
    assert "not calibrated" in made.AlgorithmParameters
    assert "classical 1.0" in ds.SoftwareVersions
    images = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert len(images.ContourImageSequence) == len(study.files)


def test_bands_are_rois_of_their_own_and_not_on_edited_slices(study, tmp_path):
    edited = min(study.structure().rings_ji)
    structure = study.structure(edited=frozenset([edited]))
    path = tmp_path / "RS.dcm"
    ds = written(new_rtstruct(study.series, [structure], NOW, bands=(5, 95)), path)
    assert [roi.ROIName for roi in ds.StructureSetROISequence] == ["GTVp", "zGTVp_p05", "zGTVp_p95"]
    counts = [len(roi.ContourSequence) for roi in ds.ROIContourSequence]
    assert counts[1] == counts[0] - 1
    assert [o.RTROIInterpretedType for o in ds.RTROIObservationsSequence][1:] == ["", ""]
    assert complaints(path) == []


def test_nothing_to_export_is_refused(study):
    with pytest.raises(ExportError, match="Accept a structure"):
        new_rtstruct(study.series, [], NOW)


# -- into one that is there ----------------------------------------------------------------------------------
@pytest.fixture
def theirs(study, tmp_path):
    """Another system's structure set, approved, with private attributes at every level."""
    ds = pydicom.dcmread(study.phantom.folder / "RS.dcm")
    ds.Manufacturer, ds.ApprovalStatus = "Another", "APPROVED"
    ds.ReviewDate, ds.ReviewTime, ds.ReviewerName = "20260101", "120000", "Reviewer"
    for level in (ds, ds.StructureSetROISequence[0], ds.ROIContourSequence[0].ContourSequence[0]):
        level.private_block(0x3007, "ANOTHER 1.0", create=True).add_new(1, "LO", "kept")
    ds.ROIContourSequence[0].ContourSequence[0].ContourData[0] = "-1.50000e+01"
    ds.save_as(tmp_path / "theirs.dcm")
    return tmp_path / "theirs.dcm"


def test_appending_keeps_everything_and_makes_a_new_instance(study, theirs, tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "RS.dcm"
    before = pydicom.dcmread(theirs)
    after = written(appended(read_rtstruct(theirs), study.series, [study.structure("GTVp"), study.structure("Lips")],
                             NOW), path)  # fmt: skip
    assert [roi.ROIName for roi in after.StructureSetROISequence] == ["GTVp", "GTVp_2", "Lips"]
    assert len({int(roi.ROINumber) for roi in after.StructureSetROISequence}) == 3
    for keyword in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        assert after[keyword].value[0] == before[keyword].value[0]  # private attributes and spelling included
    changed = {"SOPInstanceUID", "ApprovalStatus", "ReviewDate", "ReviewTime", "ReviewerName", "StructureSetDate",
               "StructureSetTime", "StructureSetROISequence", "ROIContourSequence",
               "RTROIObservationsSequence"}  # fmt: skip
    for element in before:
        if element.keyword not in changed:
            assert after[element.tag] == element, element.keyword
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.PredecessorStructureSetSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert after.ContributingEquipmentSequence[0].Manufacturer == "osirix-agent"
    assert after.ApprovalStatus == "UNAPPROVED"
    assert "ReviewerName" not in after
    assert set(truths(tmp_path / "out", study)) == {"GTVp", "GTVp_2", "Lips"}
    assert complaints(path) == complaints(theirs) == []


def test_references_are_not_named_twice(study, theirs):
    ds = appended(read_rtstruct(theirs), study.series, [study.structure()], NOW)
    (frame,) = ds.ReferencedFrameOfReferenceSequence
    (one,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert len(one.ContourImageSequence) == len(study.files)


def _of_another_patient(ds):
    ds.PatientID = "OTHER"


def _in_another_frame(ds):
    ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = "1.2.3"
    ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3"


def _on_another_series(ds):
    study = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    study.RTReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(_of_another_patient, "another patient"), (_in_another_frame, "another frame of reference"),
     (_on_another_series, "another series")],
)  # fmt: skip
def test_one_that_was_drawn_on_something_else_is_refused(study, theirs, spoil, why):
    ds = read_rtstruct(theirs)
    spoil(ds)
    with pytest.raises(ExportError, match=why) as caught:
        appended(ds, study.series, [study.structure()], NOW)
    assert "--append" in caught.value.cure


def test_one_without_references_gets_them(study, theirs, tmp_path):
    ds = read_rtstruct(theirs)
    del ds.ReferencedFrameOfReferenceSequence, ds.RTROIObservationsSequence
    after = written(appended(ds, study.series, [study.structure("Lips")], NOW), tmp_path / "RS.dcm")
    assert after.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID == study.phantom.frame_of_reference_uid


def test_what_is_no_rtstruct_is_said(study, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DicomError, match="cannot be read"):
        read_rtstruct(tmp_path / "notes.txt")
    with pytest.raises(DicomError, match="no RTSTRUCT but CT"):
        read_rtstruct(study.files[0])


# -- the series ----------------------------------------------------------------------------------------------
def test_files_of_another_place_are_refused(study):
    seen = study.series.geometry
    moved = Geometry(seen.shape_kji, (0.0, 0.0, 0.0), seen.spacing_kji_mm, seen.axes_lps)
    with pytest.raises(ExportError, match="elsewhere"):
        ImageSeries.read(study.files, moved)
    with pytest.raises(ExportError, match="elsewhere"):
        ImageSeries.read(study.files[:-1], seen)


def test_images_without_a_frame_of_reference_are_refused(study):
    for path in study.files:
        ds = pydicom.dcmread(path)
        del ds.FrameOfReferenceUID
        ds.save_as(path)
    with pytest.raises(ExportError, match="NIfTI"):
        ImageSeries.read(study.files, study.series.geometry)


def test_what_de_identification_left_out_is_empty_not_missing(study, tmp_path):
    for path in study.files:
        ds = pydicom.dcmread(path)
        for keyword in ("PatientName", "PatientBirthDate", "StudyDate", "SpecificCharacterSet", "AccessionNumber"):
            del ds[keyword]
        ds.save_as(path)
    series = ImageSeries.read(study.files, study.series.geometry)
    path = tmp_path / "RS.dcm"
    ds = written(new_rtstruct(series, [study.structure()], NOW), path)
    assert ds.PatientName == ""
    assert complaints(path) == []


def test_a_name_in_another_script_survives(study, tmp_path):
    for path in study.files:
        ds = pydicom.dcmread(path)
        ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 100", "Müller^Jürgen"
        ds.save_as(path)
    series = ImageSeries.read(study.files, study.series.geometry)
    ds = written(new_rtstruct(series, [study.structure()], datetime(2026, 1, 1)), tmp_path / "RS.dcm")
    assert ds.PatientName == "Müller^Jürgen"


def test_the_same_inputs_give_the_same_bytes(study, tmp_path):
    for name in "ab":
        numbers = iter(range(1000))
        ds = new_rtstruct(study.series, [study.structure()], NOW, uid=lambda n=numbers: f"1.2.{next(n)}")
        write_rtstruct(ds, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert isinstance(ds, Dataset)

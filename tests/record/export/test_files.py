import json
import os
import resource
import sys
from contextlib import contextmanager
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from osirix_agent.errors import ExportError
from osirix_agent.imaging.dicom import find_truths
from osirix_agent.imaging.nifti import to_sitk
from osirix_agent.record.export.files import Formats, write_files
from osirix_agent.record.export.series import ImageSeries
from osirix_agent.record.export.whole import whole
from tests.record.export.conftest import NOW, OBLIQUE, complaints, study_at

ALL = Formats(seg=True, probabilities=True, nifti=True, bands=(5, 95))


@pytest.mark.parametrize("turned", [{}, OBLIQUE])
def test_every_format_holds_the_same(tmp_path, turned):
    study = study_at(tmp_path / "study", **turned)
    mask, k = study.hollow, 2
    structures = [study.structure("GTVp", mask), study.structure("Parotid_L", edited=frozenset([k]))]
    out = tmp_path / "out"
    written = write_files(study.series, structures, out, ALL, NOW)
    assert {path.name for path in written} == {path.name for path in out.iterdir()} == {
        "RTSTRUCT.dcm", "SEG.dcm", "SEG-probabilities.dcm", "GTVp.nii.gz", "GTVp-probability.nii.gz",
        "Parotid_L.nii.gz", "Parotid_L-probability.nii.gz",
    }  # fmt: skip
    geometry = study.series.geometry
    found = find_truths(out, geometry, study.phantom.frame_of_reference_uid, study.series.uid)
    for truth in found:
        if truth.name.startswith("z"):
            continue
        expected = mask if truth.name.startswith("GTVp") else study.phantom.truth
        assert np.array_equal(truth.mask, expected), truth.name
    assert sum(not truth.name.startswith("z") for truth in found) == 6
    image = sitk.ReadImage(str(out / "GTVp.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(image), mask)
    assert np.allclose(image.GetDirection(), to_sitk(mask.astype(np.uint8), geometry).GetDirection(), atol=1e-5)
    believed = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "Parotid_L-probability.nii.gz")))
    assert set(np.unique(believed[k])) <= {0, 1}
    assert 0.9 < believed.max(initial=0, where=np.arange(len(mask))[:, None, None] != k) < 1
    assert all(complaints(path) == [] for path in written if path.suffix == ".dcm")


def test_a_value_of_the_scanner_that_breaks_the_standard_goes_along_as_it_is(study, tmp_path):
    odd = "a study id longer than sixteen"
    with pydicom.config.disable_value_validation():
        for path in study.files:
            ds = pydicom.dcmread(path)
            ds.StudyID = odd
            ds.save_as(path)
    series = ImageSeries.read(study.files, study.series.geometry)
    written = write_files(series, [study.structure()], tmp_path / "out", replace(ALL, nifti=False), NOW)
    with pydicom.config.disable_value_validation():
        assert [pydicom.dcmread(path).StudyID for path in written] == [odd] * 3


def test_probabilities_are_fractions_that_say_whether_they_are_calibrated(study, tmp_path):
    structure = study.structure()
    write_files(study.series, [structure], tmp_path, ALL, NOW)
    seg = hd.seg.segread(tmp_path / "SEG-probabilities.dcm")
    assert seg.SegmentationFractionalType == "PROBABILITY"
    (described,) = seg.SegmentSequence
    assert described.SegmentLabel == "GTVp probability, not calibrated"
    assert described.SegmentAlgorithmType == "SEMIAUTOMATIC"
    sops = [str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in study.files]
    read = seg.get_pixels_by_source_instance(sops, segment_numbers=[1], ignore_spatial_locations=False,
                                             assert_missing_frames_are_empty=True)[..., 0]  # fmt: skip
    believed = structure.probability(study.series.geometry.shape_kji)
    held = believed.max(axis=(1, 2)) > 0.5 / 255
    assert np.abs(read[held] - believed[held]).max() <= 0.5 / 255 + 1e-6


def test_a_name_that_highdicom_finds_odd_is_not_told_to_anyone(study, tmp_path, recwarn):
    for path in study.files:
        ds = pydicom.dcmread(path)
        ds.PatientName = "Smith"
        ds.save_as(path)
    series = ImageSeries.read(study.files, study.series.geometry)
    write_files(series, [study.structure()], tmp_path, Formats(rtstruct=False, seg=True), NOW)
    assert pydicom.dcmread(tmp_path / "SEG.dcm").PatientName == "Smith"
    assert not list(recwarn)


def test_without_highdicom_it_says_what_to_install(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(ExportError, match="osirix-agent\\[dicom\\]"):
        write_files(study.series, [study.structure()], tmp_path, Formats(rtstruct=False, seg=True), NOW)
    assert not list(tmp_path.glob("*.dcm"))


@contextmanager
def disk_for(size):
    """No file may grow beyond so many bytes: what a full disk does to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("formats", [Formats(), Formats(rtstruct=False, seg=True), Formats(rtstruct=False, nifti=True)])
def test_a_full_disk_leaves_what_was_there(study, tmp_path, formats):
    out = tmp_path / "out"
    structure = study.structure()
    write_files(study.series, [structure], out, formats, NOW)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    least = min(len(data) for data in before.values())
    with disk_for(least // 2), pytest.raises(ExportError, match="nothing was left half-written"):
        write_files(study.series, [replace(structure, name="GTVp")], out, formats, NOW)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_block_that_fails_leaves_nothing(tmp_path):
    def fail():
        with whole(tmp_path / "a.json") as path:
            path.write_text(json.dumps({}))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="choose another folder"), whole(tmp_path / "file" / "a.txt"):
        pass

"""Images that leave: under the log's pseudonyms, with nothing else that identifies."""

import json

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from osirix_agent.bench.recording import KEY
from osirix_agent.cli import main
from osirix_agent.errors import ExportError
from osirix_agent.record.export.deidentified import deidentified, export_images, uid_of
from osirix_agent.record.pseudonym import Pseudonyms
from tests.record.export.conftest import complaints

PSEUDONYMS = Pseudonyms(KEY)


def series_of(study) -> str:
    return PSEUDONYMS.of(str(pydicom.dcmread(study.files[0]).SeriesInstanceUID))


def spoilt(study, **changes):
    for path in study.files:
        ds = pydicom.dcmread(path)
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        ds.save_as(path)


def test_a_series_leaves_under_the_logs_pseudonyms_with_its_pixels_and_geometry(study, tmp_path):
    name = series_of(study)
    done = export_images([name], study.phantom.folder, tmp_path / "out", PSEUDONYMS)
    assert done.series == {name: len(study.files)}
    for before, after in zip(study.files, sorted((tmp_path / "out" / name).iterdir()), strict=True):
        old, new = pydicom.dcmread(before), pydicom.dcmread(after)
        assert new.PatientID == PSEUDONYMS.of(old.PatientID)
        assert new.SeriesInstanceUID == uid_of(PSEUDONYMS.of(old.SeriesInstanceUID)) == uid_of(name)
        assert (
            new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID == uid_of(PSEUDONYMS.of(old.SOPInstanceUID))
        )
        assert new.SOPClassUID == old.SOPClassUID
        assert new.PixelData == old.PixelData
        for keyword in ("ImagePositionPatient", "PixelSpacing", "RescaleSlope", "Rows", "InstanceNumber"):
            assert new[keyword].value == old[keyword].value
        days = (parsed(old.StudyDate) - parsed(new.StudyDate)).days
        assert days * 86400 == PSEUDONYMS.shift_s(new.PatientID)
        assert [str(one.CodeValue) for one in new.DeidentificationMethodCodeSequence] == ["113100", "113107"]
        assert set(complaints(after)) <= set(complaints(before))


def parsed(date):
    from datetime import datetime

    return datetime.strptime(date, "%Y%m%d")


def test_what_identifies_goes_wherever_it_is(study):
    ds = pydicom.dcmread(study.files[0])
    secret = "Quennell"
    ds.PatientComments = ds.ImageComments = ds.Manufacturer = ds.ProtocolName = ds.KVP_note = secret
    ds.add_new(0x00091001, "LO", secret)
    ds.add_new(0x60003000, "OB", secret.encode() + b"")
    ds.add_new(0x60000022, "LO", secret)
    ds.add_new(0x50000022, "LO", secret)
    ds.add_new(0xFFFCFFFC, "OB", secret.encode())
    ds.add_new(0x00181030, "LO", secret)
    inner = Dataset()
    inner.PatientName = inner.CodeMeaning = secret
    inner.RadionuclideTotalDose = "3.7"
    inner.RadionuclideCodeSequence = Sequence([Dataset()])
    inner.RadionuclideCodeSequence[0].CodeMeaning = secret
    ds.RadiopharmaceuticalInformationSequence = Sequence([inner])
    ds.ReferencedPatientSequence = Sequence([inner])
    ds.add_new(0x00204000, "LT", secret)
    ds.PatientBirthDate = "19620304"
    with disable_value_validation():
        ds.AcquisitionDate, ds.ContentTime, ds.BodyPartExamined = secret, secret, secret
    ds.file_meta.SourceApplicationEntityTitle = secret
    ds.preamble = secret.encode().ljust(128)
    made = deidentified(ds, PSEUDONYMS)
    assert secret not in str(made) + str(made.file_meta)
    assert secret.encode() not in b"".join(e.value for e in made if isinstance(e.value, bytes))
    assert "19620304" not in str(made)
    assert made.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose == 3.7
    assert len(made.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence) == 0  # type 2: there, but empty
    assert secret in str(ds)  # what was given is not changed


def test_a_known_maker_stays_and_another_goes(study):
    ds = pydicom.dcmread(study.files[0])
    for maker, left in (("SIEMENS", "SIEMENS"), ("Dr Quennell's", "")):
        ds.Manufacturer = maker
        assert deidentified(ds, PSEUDONYMS).Manufacturer == left


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"BurnedInAnnotation": "YES"}, "burnt into them"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "no single slices"),
        ({"PhotometricInterpretation": "RGB"}, "in colour"),
    ],
)
def test_images_with_burnt_in_text_do_not_leave(study, tmp_path, changes, why):
    spoilt(study, **changes)
    with pytest.raises(ExportError, match=why):
        export_images([series_of(study)], study.phantom.folder, tmp_path / "out", PSEUDONYMS)
    assert not (tmp_path / "out").exists()


def test_only_the_series_of_the_log_leave(study, tmp_path):
    with pytest.raises(ExportError, match="No series of the log"):
        export_images([PSEUDONYMS.of("another")], study.phantom.folder, tmp_path / "out", PSEUDONYMS)


def test_a_full_disk_leaves_no_half_image(study, tmp_path):
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(ExportError, match="cannot be written"):
        export_images([series_of(study)], study.phantom.folder, tmp_path / "out", PSEUDONYMS)


def test_the_command_says_what_left(study, tmp_path, capsys, monkeypatch):
    from osirix_agent.bench.recording import image, open_log
    from osirix_agent.record.keeping import Keeper
    from osirix_agent.record.store import Store
    from osirix_agent.viewer.protocol import SeriesIdentity

    monkeypatch.setattr(
        "osirix_agent.bench.recording.SeriesIdentity",
        lambda *given: SeriesIdentity(
            given[0], given[1], str(pydicom.dcmread(study.files[0]).SeriesInstanceUID), *given[3:]
        ),
    )
    log = open_log(
        tmp_path / "state" / "journal" / "one.jsonl", image(), Keeper(Store(tmp_path / "state" / "store")), len
    )
    log.close()
    (tmp_path / "state" / "site.key").write_bytes(KEY)
    given = [
        "--dicom",
        str(study.phantom.folder),
        "--out",
        str(tmp_path / "out"),
        "--state-dir",
        str(tmp_path / "state"),
    ]
    assert main(["log", "images", *given, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    name = series_of(study)
    assert said["series"] == {name: len(study.files)}
    assert said["uids"] == {name: uid_of(name)}
    assert (said["refused"], said["missing"]) == ({}, [])

"""The database: images, series, studies, the browser window."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from osirixgrpc import browsercontroller_pb2, types_pb2, utilities_pb2

from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom

EMPTY = utilities_pb2.Empty()


@pytest.fixture
def browser(stub):
    return stub.OsirixCurrentBrowser(EMPTY).browser_controller


@pytest.fixture
def study(stub, browser):
    (only,) = stub.BrowserControllerDatabaseStudies(browser).studies
    return only


@pytest.fixture
def series(stub, study):
    (only,) = stub.DicomStudySeries(study).series
    return only


def message(answer) -> tuple[int, str]:
    return answer.status.status, answer.status.message


def header(hospital):
    return hospital.window.series.images[0].header


def test_a_study(stub, study, hospital):
    head = header(hospital)
    head.StudyDescription, head.PatientBirthDate = "A study", "19570304"
    assert stub.DicomStudyName(study).name == "Phantom^Synthetic"
    assert stub.DicomStudyPatientID(study).patient_id == "PHANTOM"
    assert stub.DicomStudyPatientUID(study).patient_uid == "PHANTOM SYNTHETIC-PHANTOM-19570304"
    assert stub.DicomStudyPatientSex(study).patient_sex == "O"
    assert stub.DicomStudyStudyName(study).study_name == "A study"
    assert stub.DicomStudyStudyInstanceUID(study).study_instance_uid == head.StudyInstanceUID
    assert stub.DicomStudyModality(study).modality == stub.DicomStudyModalities(study).modalities == "CT"
    counts = (
        stub.DicomStudyNoFiles(study).no_files, stub.DicomStudyRawNoFiles(study).no_files,
        stub.DicomStudyNumberOfImages(study).no_images, len(stub.DicomStudyPaths(study).paths),
        len(stub.DicomStudyImages(study).images),
    )  # fmt: skip
    assert counts == (12,) * 5
    born, made = stub.DicomStudyDateOfBirth(study), stub.DicomStudyDate(study)
    assert (born.year, born.month, born.day) == (1957, 3, 4)
    assert (made.year, made.month, made.day, made.hour, made.millisecond) == (2026, 1, 1, 12, 0)
    added = stub.DicomStudyDateAdded(study)
    since = datetime(added.year, added.month, added.day, added.hour, added.minute, added.second)
    assert abs(datetime.now() - since) < timedelta(hours=1)


def test_what_a_study_lacks_is_said_in_its_own_words(stub, study, hospital):
    head = header(hospital)
    for keyword in ("PatientID", "PatientSex", "StudyDate", "PatientName"):
        setattr(head, keyword, None)
    said = [
        stub.DicomStudyName(study), stub.DicomStudyStudyName(study), stub.DicomStudyPatientID(study),
        stub.DicomStudyPatientSex(study), stub.DicomStudyInstitutionName(study), stub.DicomStudyDate(study),
        stub.DicomStudyDateOfBirth(study), stub.DicomStudyPerformingPhysician(study),
        stub.DicomStudyReferringPhysician(study),
    ]  # fmt: skip
    assert [message(answer) for answer in said] == [
        (0, f"{what} not available")
        for what in (
            "Study name", "Study name", "Patient ID", "Patient sex", "Institution name", "Study date",
            "Date of birth", "Performing physician", "Referring physician",
        )
    ]  # fmt: skip
    assert hospital.viewer().identity.patient_id == ""  # and the client goes on without


def test_a_series(stub, series, study, hospital):
    assert stub.DicomSeriesSeriesDescription(series).series_description == "Synthetic phantom"
    assert stub.DicomSeriesName(series).name == "Synthetic phantom"  # the series' name, not the patient's
    assert stub.DicomSeriesModality(series).modality == "CT"
    assert stub.DicomSeriesNumberOfImages(series).number_of_images == 12
    assert stub.DicomSeriesSeriesInstanceUID(series).series_instance_uid == hospital.window.series.uid
    assert stub.DicomSeriesSeriesSOPClassUID(series).series_sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    assert stub.DicomSeriesStudy(series).study == study
    assert stub.DicomSeriesDate(series).year == 2026
    assert message(stub.DicomSeriesNextSeries(series)) == (0, "No next series")
    assert message(stub.DicomSeriesPreviousSeries(series)) == (0, "No previous series")


def test_only_sorted_images_are_sorted(stub, series):
    numbers = lambda refs: [stub.DicomImageInstanceNumber(ref).instance_number for ref in refs]  # noqa: E731
    assert numbers(stub.DicomSeriesSortedImages(series).sorted_images) == list(range(1, 13))
    loose = numbers(stub.DicomSeriesImages(series).images)
    assert sorted(loose) == list(range(1, 13))
    assert loose != list(range(1, 13))
    assert loose == numbers(stub.DicomSeriesImages(series).images)
    paths = list(stub.DicomSeriesPaths(series).paths)
    assert sorted(paths) != paths


def test_an_image(stub, series, hospital):
    first = stub.DicomSeriesSortedImages(series).sorted_images[0]
    head = header(hospital)
    assert (stub.DicomImageWidth(first).width, stub.DicomImageHeight(first).height) == (56, 48)
    assert stub.DicomImageSOPInstanceUID(first).sop_instance_uid == head.SOPInstanceUID
    assert Path(stub.DicomImageCompletePath(first).complete_path).exists()
    assert stub.DicomImageNumberOfFrames(first).number_of_frames == 1
    assert stub.DicomImageModality(first).modality == "CT"
    assert stub.DicomImageSeries(first).series == series
    assert stub.DicomImageSliceLocation(first).slice_location == -60


@pytest.mark.parametrize(("time_", "garbage"), [("101112", 0), ("101112.5", 1783793664), ("101112.123", -1554051584)])
def test_what_the_service_calls_milliseconds_is_garbage(stub, series, hospital, time_, garbage):
    head = header(hospital)
    head.AcquisitionDate, head.AcquisitionTime = "20250607", time_
    date = stub.DicomImageDate(stub.DicomSeriesSortedImages(series).sorted_images[0])
    assert (date.year, date.month, date.day, date.hour, date.minute, date.second) == (2025, 6, 7, 10, 11, 12)
    assert date.millisecond == garbage  # 1000 x nanoseconds in 32 bits


# -- the browser -------------------------------------------------------------------------------------------------
def test_the_selection_tells_studies_from_series(stub, browser, hospital):
    selected = lambda: stub.BrowserControllerDatabaseSelection(browser)  # noqa: E731
    assert (len(selected().studies), len(selected().series)) == (1, 0)
    hospital.app.selection = [hospital.window.series]
    assert (len(selected().studies), len(selected().series)) == (0, 1)
    hospital.app.selection = []
    assert (len(selected().studies), len(selected().series)) == (0, 0)


def copy(stub, browser, paths):
    request = browsercontroller_pb2.BrowserControllerCopyFilesIfNeededRequest(browser=browser, paths=paths)
    return stub.BrowserControllerCopyFilesIfNeeded(request)


def until(true, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_files_are_copied_into_the_database_later(stub, browser, hospital, tmp_path):
    hospital.app.database_folder = tmp_path / "database"
    write_phantom(tmp_path / "new", PhantomRecipe(shape_kji=(4, 16, 16), seed=5))
    paths = sorted(str(p) for p in (tmp_path / "new").rglob("*.dcm"))
    with hospital.clinician.modal_dialog():
        assert len(hospital.app.studies) == 1
    assert message(copy(stub, browser, paths)) == (1, "")
    assert until(lambda: len(hospital.app.studies) == 2)
    for path in paths:
        Path(path).unlink()
    held = {series.modality: series.images for series in hospital.app.studies[1].series}
    assert [len(images) for images in held.values()] == [4, 1]  # the database holds what no viewer opens, too
    images = held["CT"]
    assert [image.frames().shape for image in images] == [(1, 16, 16)] * 4
    copy(stub, browser, [str(image.path) for image in images])
    copy(stub, browser, ["/", str(tmp_path), "no such file"])  # folders are passed over
    assert not until(lambda: len(hospital.app.studies[1].series[0].images) != 4, 0.3)
    assert len(hospital.app.studies) == 2


def test_a_second_series_of_a_known_study_joins_it(stub, browser, study, series, hospital, tmp_path):
    for n, image in enumerate(hospital.window.series.images):
        ds = pydicom.dcmread(image.path)
        ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2.3", f"1.2.3.{n}"
        ds.save_as(tmp_path / f"{n}.dcm")
    copy(stub, browser, [str(p) for p in tmp_path.glob("*.dcm")])
    assert until(lambda: len(hospital.app.studies[0].series) == 2)
    assert len(stub.BrowserControllerDatabaseStudies(browser).studies) == 1
    after = stub.DicomSeriesNextSeries(series).next_series
    assert stub.DicomSeriesPreviousSeries(after).previous_series == series
    assert stub.DicomSeriesStudy(after).study == study


def test_a_viewer_opens_in_the_order_given(stub, browser, series, hospital):
    images = list(stub.DicomSeriesSortedImages(series).sorted_images)[::-1]
    request = browsercontroller_pb2.BrowserControllerOpenViewerFromImagesRequest(browser=browser)
    request.frames.add().images.extend(images)
    opened = stub.BrowserControllerOpenViewerFromImages(request)
    assert opened.status.status == 1
    made = hospital.app.cached_object(opened.viewer.osirixrpc_uid)
    assert np.array_equal(made.pixes[0][0].image, hospital.window.pixes[0][-1].image)
    assert stub.OsirixFrontmostViewer(EMPTY).viewer_controller == opened.viewer
    assert stub.OsirixDisplayed2DViewers(EMPTY).viewer_controllers[0] == opened.viewer


def test_no_images_open_no_viewer(stub, browser):
    request = browsercontroller_pb2.BrowserControllerOpenViewerFromImagesRequest(browser=browser)
    assert stub.BrowserControllerOpenViewerFromImages(request).status.status == 0
    request.frames.add().images.append(types_pb2.DicomImage(osirixrpc_uid="X"))
    assert message(stub.BrowserControllerOpenViewerFromImages(request)) == (0, "No DicomImage cached")

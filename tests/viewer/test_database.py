import pytest

from osirix_agent.errors import ExportError, NoServerError, ViewerTimeoutError
from osirix_agent.record.export.files import Formats, write_files
from osirix_agent.record.export.series import ImageSeries, read_identity
from osirix_agent.record.export.structures import AcceptedStructure
from osirix_agent.viewer.database import StoredFile, hand_over
from osirix_agent.virtual_osirix.faults import Fault, Faults, install
from tests.record.export.conftest import NOW


@pytest.fixture
def stored(hospital, tmp_path, phantom):
    from osirix_agent.imaging.contour import isocontour

    hospital.app.database_folder = tmp_path / "database"
    viewer = hospital.viewer()
    series = ImageSeries.read(viewer.files, viewer.pixels.geometry)
    rings = {k: isocontour(plane.astype(float), 0.5) for k, plane in enumerate(phantom.truth) if plane.any()}
    (path,) = write_files(series, [AcceptedStructure("GTVp", rings)], tmp_path / "out", Formats(), NOW)
    return StoredFile(path, *read_identity(path))


def test_a_file_is_in_the_database_when_it_returns(hospital, stored):
    hand_over(hospital.connection, [stored], 10)
    (study,) = hospital.app.studies
    assert [series.modality for series in study.series] == ["CT", "RTSTRUCT"]
    assert study.series[1].header.SOPInstanceUID == stored.sop_uid


def test_a_file_that_never_comes_is_said(hospital, stored):
    stored.path.rename(stored.path.with_suffix(".away"))  # as one on another machine
    now = iter(range(1000))
    with pytest.raises(ExportError, match="1 of 1 files did not come"):
        hand_over(hospital.connection, [stored], 3, clock=lambda: float(next(now)), sleep=lambda _: None)


@pytest.mark.parametrize(("fault", "error"), [("dialog:BrowserControllerCopyFilesIfNeeded", ViewerTimeoutError),
                                              ("crash:BrowserControllerDatabaseStudies", NoServerError)])  # fmt: skip
def test_an_osirix_that_stalls_or_dies_is_an_error_and_the_file_stays(hospital, stored, fault, error):
    meeting = Faults()
    meeting.plan(Fault.parse(fault))
    install(hospital.app, meeting)
    hospital.connection.deadline_s = 1.0
    with pytest.raises(error):
        hand_over(hospital.connection, [stored], 5)
    assert stored.path.is_file()

"""Faults on demand: each kind as a client meets it, over gRPC in real time and in place in virtual time."""

import pytest

from osirix_agent.errors import NoServerError, SettingsError, ViewerClosedError, ViewerTimeoutError
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer, displayed_viewers
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.paint import NoLedger, make_plan
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.faults import Fault, FaultKind, Faults, FaultyChannel, VirtualClock, install
from osirix_agent.virtual_osirix.server import VirtualServer
from tests.conftest import signature
from tests.viewer.test_client import polygon, scene

NEW_ROI = "ViewerControllerNewROI"


class Place:
    """A client in virtual time."""

    def __init__(self, phantom):
        self.app, self.faults, self.clock = VirtualOsirix(), Faults(), VirtualClock()
        (self.window,) = self.app.open_folder(phantom.folder)
        self.clinician = Clinician(self.app, self.window)
        settings = Settings(rpc_deadline_s=10)
        channel = FaultyChannel(self.app, self.faults, self.clock)
        self.viewer = OsirixViewer.frontmost(OsirixConnection("virtual", settings, channel=channel), settings)

    def draw(self):
        return self.viewer.apply(make_plan(scene(polygon(3)), {}), NoLedger())


@pytest.fixture
def place(phantom):
    return Place(phantom)


def test_a_fault_as_text():
    assert Fault.parse("crash") == Fault(FaultKind.CRASH)
    assert Fault.parse(f"dialog:{NEW_ROI}@3=20") == Fault(FaultKind.DIALOG, NEW_ROI, 3, 20.0)
    for bad in ("", "fire", "dialog@x", "late:New ROI"):
        with pytest.raises(SettingsError, match="no fault"):
            Fault.parse(bad)


def test_latency_within_the_deadline_is_only_slow(place):
    place.faults.plan(Fault(FaultKind.LATENCY, NEW_ROI, 1, 8.0))
    place.draw()
    assert 8 < place.clock.now < 9
    assert len(place.clinician.rois(3)) == 1


def test_a_late_create_is_carried_out_after_the_deadline(place):
    place.faults.plan(Fault(FaultKind.LATE, NEW_ROI, 1, 15.0))
    with pytest.raises(ViewerTimeoutError):
        place.draw()
    assert place.clinician.rois() == []
    place.clock.sleep(10)
    assert len(place.clinician.rois(3)) == 1


def test_a_dialog_holds_up_every_call_and_then_lets_all_of_them_through(place):
    place.faults.plan(Fault(FaultKind.DIALOG, NEW_ROI, 1, 35.0))
    with pytest.raises(ViewerTimeoutError):
        place.draw()
    with pytest.raises(ViewerTimeoutError):
        place.viewer.snapshot()
    assert place.clinician.rois() == []
    place.viewer.snapshot()
    assert len(place.clinician.rois(3)) == 1


@pytest.mark.parametrize(("kind", "made"), [(FaultKind.UNAVAILABLE, 0), (FaultKind.LOST_ANSWER, 1)])
def test_a_broken_call_before_and_after_its_effect(place, kind, made):
    place.faults.plan(Fault(kind, NEW_ROI))
    with pytest.raises(NoServerError):
        place.draw()
    assert len(place.clinician.rois()) == made


def test_a_viewer_closed_in_the_middle_of_writing(place):
    place.faults.plan(Fault(FaultKind.CLOSED, NEW_ROI))
    with pytest.raises(ViewerClosedError):
        place.draw()
    assert place.app.viewers == []


@pytest.mark.parametrize(("kind", "kept"), [(FaultKind.QUIT, 1), (FaultKind.CRASH, 0)])
def test_osirix_started_again_has_other_uids_and_what_was_saved(place, kind, kept):
    point = place.clinician.point((20.5, 20.5), k=2, name="hers")
    before, old = signature(point), set(place.app.cached_uids())
    place.faults.plan(Fault(kind))
    with pytest.raises(NoServerError):
        place.viewer.snapshot()
    place.app.relaunch()
    window = place.app.open_series(place.window.series)
    rois = Clinician(place.app, window).rois()
    assert [signature(roi) for roi in rois] == [before] * kept
    assert place.app.uid(window) not in old
    with pytest.raises(ViewerClosedError):
        place.viewer.snapshot()


def test_what_is_open_does_not_change_what_was_saved(place):
    place.clinician.point((20.5, 20.5), k=2)
    place.clinician.close()
    window = place.app.open_series(place.window.series)
    Clinician(place.app, window).rois()[0].move(5, 5)
    place.app.relaunch()
    (again,) = Clinician(place.app, place.app.open_series(place.window.series)).rois()
    assert again.rect[:2] == (20.5, 20.5)


def test_faults_over_grpc(phantom):
    app, faults = VirtualOsirix(), Faults()
    app.open_folder(phantom.folder)
    install(app, faults)
    with VirtualServer(app) as server:
        connection = OsirixConnection(server.address, Settings(rpc_deadline_s=0.3))
        for kind, error in [
            (FaultKind.UNAVAILABLE, NoServerError),
            (FaultKind.LOST_ANSWER, NoServerError),
            (FaultKind.LATE, ViewerTimeoutError),
            (FaultKind.DIALOG, ViewerTimeoutError),
        ]:
            faults.plan(Fault(kind, "OsirixDisplayed2DViewers", 1, 0.6))
            with pytest.raises(error):
                displayed_viewers(connection)
        connection.deadline_s = 5
        assert displayed_viewers(connection)
        faults.plan(Fault(FaultKind.CLOSED))
        assert displayed_viewers(connection) == []
        faults.plan(Fault(FaultKind.CRASH))
        with pytest.raises(NoServerError):
            displayed_viewers(connection)
        connection.close()

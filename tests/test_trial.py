"""doctor --live against virtual OsiriXes, true and altered: red lines fire, and nothing is ever left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from osirix_agent.cli import main
from osirix_agent.half_pixel import HalfPixel
from osirix_agent.settings import Settings
from osirix_agent.trial import examine_live
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.roi import Roi, ToolMode, factory_pens
from osirix_agent.virtual_osirix.server import VirtualServer
from osirix_agent.virtual_osirix.service_pixels import PixService
from tests.conftest import until


@pytest.fixture
def settings(hospital):
    return Settings(server=hospital.server.address, rpc_deadline_s=5, state_dir=hospital.tmp / "state")


def trial(settings, confirmed=True) -> dict:
    """Findings by name; fails when a red one has no cure."""
    found = []
    examine_live(settings, lambda shown: confirmed, found.append, pause=lambda seconds: None)
    assert all(finding.cure for finding in found if not finding.good)
    return {finding.what: finding for finding in found}


def red(found: dict) -> set[str]:
    return {what for what, finding in found.items() if not finding.good}


def left(hospital) -> list[str]:
    return [roi.name for roi in hospital.clinician.rois()]


def test_a_true_osirix_passes_and_keeps_nothing(hospital, settings):
    hospital.clinician.scroll_to(8)
    found = trial(settings)
    assert red(found) == set()
    assert set(found) == {
        "live polygon", "live brush", "live point", "live values", "live area", "live map", "live half pixel",
        "live clean-up", "live pen",
    }  # fmt: skip
    assert found["live half pixel"].detail == "0.5, as used"
    assert left(hospital) == []
    assert hospital.app.pens == factory_pens()
    assert hospital.window.index == 8
    measured = HalfPixel.read(settings.state_dir)
    assert (measured.px, measured.osirix) == (0.5, "OsiriX MD 14.1.2")
    assert measured.measured_at[:4].isdigit()
    assert list((settings.state_dir / "ledger").glob("*.jsonl")) == []
    hospital.clinician.close()
    assert list(hospital.app.persisted.values()) == [[]]


def test_how_far_the_map_of_a_polygon_lies_off_is_said(hospital, settings):
    detail = trial(settings)["live map"].detail
    right, down = (float(number) for number in re.findall(r"[+-]\d\.\d\d", detail))
    assert 0 < right < 1
    assert 0 <= down < 1


def test_an_osirix_without_the_shift_passes_too(hospital, settings):
    hospital.app.exact_maps = True
    found = trial(settings)
    assert red(found) == set()
    assert "+0.00 px right, +0.00 px down" in found["live map"].detail


# -- what must not be drawn on -----------------------------------------------------------------------------------
def test_nothing_is_drawn_unless_the_study_may_be_thrown_away(hospital, settings):
    before = dict(hospital.app.rpc_counts)
    found = trial(settings, confirmed=False)
    assert red(found) == {"live"}
    assert "--yes-throw-away" in found["live"].cure
    assert hospital.app.rpc_counts["ViewerControllerNewROI"] == before.get("ViewerControllerNewROI", 0)


def test_a_viewer_with_rois_is_refused_and_they_stay(hospital, settings):
    hers = hospital.clinician.polygon([(3, 3), (9, 3), (9, 9)], name="hers", k=2)
    found = trial(settings)
    assert red(found) == {"live"}
    assert "holds ROIs" in found["live"].detail
    assert hospital.clinician.rois() == [hers]
    assert hospital.app.rpc_counts["ViewerControllerNewROI"] == 0


def test_no_viewer_no_server_and_tiny_slices_are_red(hospital, settings):
    for pix in hospital.window.pixes[0]:
        pix.image = pix.image[:20, :20]
    assert "smaller than 32" in trial(settings)["live"].detail
    hospital.clinician.close()
    assert "No 2D viewer" in trial(settings)["live"].detail
    hospital.server.stop()
    assert "No OsiriX server answers" in trial(settings)["live"].detail


def test_beside_a_running_session_it_refuses(practice, hospital):
    from osirix_agent.record.ledger import SeriesLock
    from osirix_agent.record.pseudonym import Pseudonyms

    settings = hospital.settings
    series = Pseudonyms.at(settings.state_dir).of(practice.viewer.identity.series_uid)
    lock = SeriesLock(settings.state_dir / "ledger" / f"{series}.lock")
    assert "Another agent" in trial(settings)["live"].detail
    lock.release()


# -- altered stand-ins -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("centre", [0.0, 0.3, 1.0])
def test_another_half_pixel_is_red_kept_and_used_from_then_on(hospital, settings, centre):
    hospital.app.pixel_centre = centre
    found = trial(settings)
    assert red(found) == {"live half pixel"}
    assert found["live half pixel"].detail.startswith(f"{centre:g} measured, 0.5 used")
    assert HalfPixel.read(settings.state_dir).px == pytest.approx(centre)
    again = Settings(server=settings.server, state_dir=settings.state_dir)
    assert again.half_pixel_px == pytest.approx(centre)
    assert red(trial(again)) == set()
    fixed = Settings(server=settings.server, state_dir=settings.state_dir, half_pixel_px=0.5)
    assert f"half_pixel_px = {centre:g}" in trial(fixed)["live half pixel"].cure
    assert left(hospital) == []


def shifted_points(real):
    def points(self):
        return real(self) + np.float32(0.3) if self.itype == ToolMode.CLOSED_POLYGON else real(self)

    return points


def flipped_brush(real):
    def brush(self, rows, columns):
        return real(self, rows, columns)[:, ::-1]

    return brush


def other_values(real):
    def values(self, request):
        found, rows, columns = real(self, request)
        return found + 7, rows, columns

    return values


ALTERED = {
    "points come back shifted": (Roi, "service_points", shifted_points, {"live polygon"}),
    "brush maps come back mirrored": (Roi, "_brush_map", flipped_brush, {"live brush", "live values"}),
    "thickness is forgotten": (
        Roi, "set_thickness", lambda real: lambda self, value: real(self, 1),
        {"live polygon", "live brush", "live point"},
    ),
    "names are mangled": (
        Roi, "set_name", lambda real: lambda self, name: real(self, name.replace("polygon", "pölygon")),
        {"live polygon"},
    ),
    "areas are in mm2": (Roi, "area_cm2", lambda real: lambda self: real(self) * 100, {"live area"}),
    "polygon maps are empty": (
        Roi, "map", lambda real: lambda self, rows, columns, centre=0.5, exact=False: np.zeros((rows, columns), bool)
        if self.itype == ToolMode.CLOSED_POLYGON else real(self, rows, columns, centre), {"live map"},
    ),
    "polygon maps lie 3 pixels off": (
        Roi, "map", lambda real: lambda self, rows, columns, centre=0.5, exact=False: np.roll(
            real(self, rows, columns, centre), 3 * (self.itype == ToolMode.CLOSED_POLYGON), axis=0
        ), {"live map"},
    ),
    "points have no pixel": (
        Roi, "covered", lambda real: lambda self, rows, columns, centre=0.5: np.zeros((rows, columns), bool)
        if self.itype == ToolMode.POINT else real(self, rows, columns, centre), {"live half pixel"},
    ),
    "values are others": (PixService, "_roi_values", other_values, {"live values"}),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_osirix_is_red_where_it_is_altered_and_left_clean(hospital, settings, monkeypatch, what):
    owner, name, alter, expected = ALTERED[what]
    monkeypatch.setattr(owner, name, alter(getattr(owner, name)))
    assert red(trial(settings)) == expected
    monkeypatch.undo()
    assert left(hospital) == []


def test_rois_on_the_wrong_slice_are_red(hospital, settings):
    def misplace(name: str) -> None:
        if name == "ViewerControllerNeedsDisplayUpdate":
            hospital.window.rois[0].insert(0, hospital.window.rois[0].pop())

    hospital.app.before_rpc = misplace
    found = trial(settings)
    assert {"live polygon", "live brush", "live point"} <= red(found)
    assert left(hospital) == []


def test_what_cannot_be_deleted_is_said(hospital, settings, monkeypatch):
    monkeypatch.setattr(VirtualOsirix, "delete_roi", lambda self, roi: None)
    found = trial(settings)
    assert red(found) == {"live clean-up"}
    assert "by hand" in found["live clean-up"].cure
    assert len(left(hospital)) == 12


# -- cut short ---------------------------------------------------------------------------------------------------
def stop_at(hospital, rpc: str, act, nth: int = 1):
    seen = []

    def before(name: str) -> None:
        if name == rpc:
            seen.append(name)
            if len(seen) == nth:
                act()

    hospital.app.before_rpc = before


@pytest.mark.parametrize(
    ("rpc", "nth"),
    [("ViewerControllerNewROI", 1), ("ViewerControllerNewROI", 6), ("ViewerControllerNewROI", 12),
     ("DCMPixROIValues", 1), ("DCMPixROIValues", 7), ("ROIDelete", 1), ("ROIDelete", 5)],
)  # fmt: skip
def test_a_server_that_goes_away_midway_leaves_nothing_after_the_next_trial(hospital, settings, rpc, nth):
    stop_at(hospital, rpc, lambda: hospital.server._server.stop(None), nth)
    before = hospital.app.rpc_counts[rpc]
    found = trial(settings)
    assert "live clean-up" in red(found)
    assert "same study" in found["live clean-up"].cure
    until(lambda: hospital.app.rpc_counts[rpc] == before + nth)  # the call that was cut off is carried out late
    hospital.app.before_rpc = None
    remained = len(left(hospital))
    with VirtualServer(hospital.app) as again:
        second = trial(Settings(server=again.address, state_dir=settings.state_dir))
    assert red(second) == set()
    assert ("leftovers" in second) == (remained > 0)
    assert left(hospital) == []


def test_an_osirix_that_dies_midway_leaves_nothing_on_disk(hospital, settings):
    stop_at(hospital, "DCMPixGetMapFromROI", hospital.app.crash)
    assert "live clean-up" in red(trial(settings))
    assert hospital.app.persisted == {}


@pytest.mark.parametrize("rpc", ["ViewerControllerNewROI", "DCMPixROIValues", "ROIPix"])
def test_ctrl_c_takes_everything_away(hospital, settings, monkeypatch, rpc):
    from osirix_agent.viewer.connection import OsirixConnection

    real, calls = OsirixConnection.call, []

    def call(self, name, request, **options):
        answer = real(self, name, request, **options)
        calls.append(name)
        if calls.count(rpc) == 3 and name == rpc:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(OsirixConnection, "call", call)
    found = []
    with pytest.raises(KeyboardInterrupt):
        examine_live(settings, lambda shown: True, found.append)
    assert left(hospital) == []
    assert found[-2].what == "live clean-up"
    assert found[-2].good


def test_what_osirix_saved_when_she_closed_the_viewer_midway_goes_too(hospital, settings):
    series = hospital.window.series
    stop_at(hospital, "DCMPixROIValues", hospital.clinician.close)
    assert {"live", "live clean-up"} <= red(trial(settings))
    assert len(hospital.app.persisted[series.uid]) == 12
    hospital.app.before_rpc = None
    again = hospital.app.open_series(series)
    found = trial(settings)
    assert red(found) == set()
    assert found["leftovers"].detail.startswith("12 ROIs")
    hospital.app.close_viewer(again)
    assert hospital.app.persisted[series.uid] == []


# -- the command -------------------------------------------------------------------------------------------------
def test_the_command_reports_and_its_exit_code_follows(hospital, capsys):
    server = ["--server", hospital.server.address]
    assert main(["doctor", "--live", "--yes-throw-away", *server]) == 0
    assert "ok  live half pixel: 0.5, as used" in capsys.readouterr().out
    assert main(["doctor", "--live", "--json", *server]) == 1  # nobody at the terminal to ask
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings[-1]["what"] == "live"
    assert "throw away" in findings[-1]["detail"]
    hospital.app.pixel_centre = 0.0
    assert main(["doctor", "--live", "--yes-throw-away", *server]) == 1
    assert "    -> From now on 0 is used" in capsys.readouterr().out
    assert left(hospital) == []


@pytest.mark.parametrize(("answer", "drawn"), [("Throw away", True), ("yes", False), ("", False)])
def test_at_a_terminal_it_asks(hospital, monkeypatch, capsys, answer, drawn):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert main(["doctor", "--live", "--server", hospital.server.address]) == (0 if drawn else 1)
    said = capsys.readouterr()
    assert "In front: CT, 12 slices of 48 x 56." in said.err
    assert "Phantom" not in said.out + said.err
    assert (hospital.app.rpc_counts["ViewerControllerNewROI"] > 0) == drawn
    assert left(hospital) == []


@pytest.mark.slow
def test_a_polite_kill_takes_everything_away(hospital, tmp_path):
    hospital.app.before_rpc = lambda name: time.sleep(0.05 if name == "DCMPixROIValues" else 0)
    command = [sys.executable, "-m", "osirix_agent.cli", "doctor", "--live", "--yes-throw-away"]
    process = subprocess.Popen(
        [*command, "--server", hospital.server.address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OSIRIX_AGENT_STATE_DIR": str(tmp_path / "killed")},
    )  # fmt: skip
    end = time.monotonic() + 40
    while hospital.app.rpc_counts["DCMPixROIValues"] < 2 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "live clean-up: nothing of it is left" in out
    assert left(hospital) == []

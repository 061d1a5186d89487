"""The eyes on the companion page, in headless Chromium with a simulated eye tracker: calibrate, look, be recorded."""

import time

import numpy as np
import pytest

from osirix_agent.bench.browser import Browser, find_chromium
from osirix_agent.bench.panel import on_picture
from osirix_agent.prompting.gaze.simulated import SimulatedTracker
from osirix_agent.record.events import PlaceLookedAt
from osirix_agent.record.journal import read_journal
from tests.conftest import until
from tests.panel.desk import Desk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here (apt-get install chromium)"),
]
SCREEN, WINDOW = (1920, 1200), (240, 130)  # where the page would be on a screen, px
LATER = "new Promise(done => setTimeout(done, {}))"


def rest_on(tracker: SimulatedTracker, x: float, y: float) -> None:
    """The eyes go to a place of the page."""
    tracker.rest((x + WINDOW[0]) / SCREEN[0], (y + WINDOW[1]) / SCREEN[1])


def calibrate(browser: Browser, tracker: SimulatedTracker, picture=None) -> None:
    """A person who follows the dots."""
    browser.press("g")
    browser.wait("document.querySelector('.dot')?.style.left")
    at = ""
    while at is not None:
        now = browser.eval("document.querySelector('.dot')?.getBoundingClientRect().toJSON()")
        if now is not None and (now["x"], now["y"]) != at:
            at = now["x"], now["y"]
            rest_on(tracker, *browser.find(".dot"))
        if now is None:
            at = None
        elif picture is not None:
            time.sleep(0.4)
            browser.picture(picture)
            picture = None


def places(practice) -> list[PlaceLookedAt]:
    return [one for one in read_journal(practice.journal) if isinstance(one, PlaceLookedAt)]


def test_without_a_tracker_nothing_of_it_is_in_the_page(hospital, open_practice):
    with Desk(open_practice()) as desk, Browser() as browser:
        browser.go(desk.links[0])
        browser.wait("document.body.dataset.firstSliceMs && document.body.dataset.steps")
        browser.press("g")
        assert browser.eval("document.querySelector('#eyes, #calibrate, #dots')") is None
        loaded = browser.eval("performance.getEntriesByType('resource').map(one => one.name).join(' ')")
        assert "lists.js" in loaded
        assert "gaze.js" not in loaded


def test_calibrate_look_at_a_place_and_see_it_recorded(hospital, open_practice, tmp_path):
    practice = open_practice()
    tracker = SimulatedTracker(np.random.default_rng(5), time.monotonic)
    practice.engine.watch_eyes(tracker)
    volume = practice.engine.session.volume
    shape, spacing = volume.geometry.shape_kji[1:], volume.geometry.spacing_kji_mm[1:]
    with Desk(practice) as desk, Browser() as browser:
        browser.go(desk.links[0])
        browser.wait("document.body.dataset.calibrated === 'false'")
        assert "no eyes, not calibrated" in browser.text("#eyes")
        browser.picture(tmp_path / "before.png")

        began = time.monotonic()
        calibrate(browser, tracker, tmp_path / "dots.png")
        browser.wait("document.body.dataset.calibrated === 'true'")
        assert time.monotonic() - began < 60
        assert "calibrated to" in browser.text("#reply")
        browser.picture(tmp_path / "calibrated.png")

        def look(row: float, column: float) -> list[PlaceLookedAt]:
            """Rest there for a second and a half, then beside the picture."""
            before = len(places(practice))
            rest_on(tracker, *on_picture(browser, (row, column), shape, spacing))
            browser.eval(LATER.format(1500))
            rest_on(tracker, *browser.find("#reply"))
            browser.eval(LATER.format(500))
            until(lambda: len(places(practice)) > before)
            return places(practice)[before:]

        browser.wait("(document.body.dataset.told ?? 'null') !== 'null'")
        rest_on(tracker, *browser.find("#reply"))
        browser.eval(LATER.format(1100))  # what came with a turn of the page is nobody's
        k = practice.hospital.window.index
        for row, column in ((10.0, 30.0), (35.0, 12.0)):
            found = look(row, column)  # tremor may break the look into several fixations
            for one in found:
                off_mm = (np.array(one.position_kji) - (k, row, column)) * volume.geometry.spacing_kji_mm
                assert np.linalg.norm(off_mm) < 3 * one.sd_mm
                assert one.sd_mm < 5
                assert one.axis == 0
                assert volume.geometry.to_lps(one.position_kji) == pytest.approx(one.position_lps)
            assert sum(one.seconds for one in found) == pytest.approx(1.5, abs=0.6)

        # the window is made smaller: it says so, and no place is recorded until it is calibrated again
        count = len(places(practice))
        browser.resize(420, 1180)
        browser.wait("document.body.dataset.calibrated === 'false'")
        assert "moved or resized: calibrate the eyes again" in browser.text("#reply")
        assert browser.eval("document.documentElement.scrollWidth <= innerWidth")
        browser.picture(tmp_path / "narrow.png")
        rest_on(tracker, *on_picture(browser, (20.0, 20.0), shape, spacing))
        browser.eval(LATER.format(900))
        tracker.rest(np.nan, np.nan)
        browser.eval(LATER.format(500))
        assert len(places(practice)) == count

        # stopped on the way: it is not calibrated, and no key does anything else meanwhile
        browser.press("g")
        browser.wait("document.querySelector('.dot')?.style.left")
        browser.press("v")
        browser.press("Escape")
        browser.wait("/it was stopped/.test(document.querySelector('#reply').textContent)")
        assert browser.eval("document.body.dataset.calibrated") == "false"
        assert browser.text("#where").startswith("axial")
        assert browser.errors == []

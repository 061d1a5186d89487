"""What an eye tracker adds to a session, in the journal and in where to look: dwell per slice, places on the page."""

import re

import numpy as np
import pytest

from osirix_agent.agent import live
from osirix_agent.agent.replay import replay
from osirix_agent.agent.request import Calibrate, Request, Show
from osirix_agent.agent.sight import Sight
from osirix_agent.errors import SettingsError
from osirix_agent.prompting.gaze.place import PageView
from osirix_agent.prompting.gaze.sample import Sample
from osirix_agent.prompting.gaze.simulated import gaze
from osirix_agent.prompting.gaze.sound import State
from osirix_agent.record.events import PlaceLookedAt, SliceDwelt
from osirix_agent.record.journal import read_journal


class Eyes:
    """Rest on one place for as long as a step looks at them."""

    def __init__(self) -> None:
        self.now, self.rng = 0.0, np.random.default_rng(3)

    def read(self) -> list[Sample]:
        self.now += 3.0
        return [Sample(self.now + one.t_s, one.x, one.y) for one in gaze([(0.4, 0.5, 2.9)], self.rng)]

    def close(self) -> None: ...


def test_dwell_is_recorded_and_where_she_looked_is_not_shown_again(practice):
    seen: list[Sight] = []
    practice.engine.show_to(seen.append)
    practice.clinician.point((28.5, 24.5), k=6, name="+GTV")
    practice.settle()
    practice.do("next")
    first = practice.hospital.window.index
    practice.engine.watch_eyes(Eyes())
    practice.settle()
    practice.clinician.scroll_to(0)
    practice.settle()
    (left,) = [event for event in read_journal(practice.journal) if isinstance(event, SliceDwelt)]
    assert left.k == first
    assert left.seconds > 2
    assert seen[-1].eyes.state is State.SOUND
    assert first in seen[-1].eyes.reviewed
    again = set()
    for _ in range(4):
        practice.do("next")
        again.add(practice.hospital.window.index)
    assert first not in again


class Told:
    """A tracker that gives what it was told to, once."""

    def __init__(self) -> None:
        self.now, self.rng, self.next = 0.0, np.random.default_rng(3), []

    def rest(self, x: float, y: float, seconds: float = 0.8, fault: str = "none") -> None:
        came = gaze([(x, y, seconds)], self.rng, fault=fault)
        self.next += [Sample(self.now + one.t_s, one.x, one.y) for one in came]
        self.now += seconds + 0.05

    def read(self) -> list[Sample]:
        came, self.next = self.next, []
        return came

    def close(self) -> None: ...


class Page:
    """The companion page's part: what it asks the engine, and a screen of 2000 x 1000 px that it fills."""

    def __init__(self, practice) -> None:
        self.practice, self.eyes, self.sights = practice, Told(), []
        practice.engine.show_to(self.sights.append)
        practice.engine.watch_eyes(self.eyes)

    def ask(self, wish) -> tuple[bool, str]:
        request = Request(wish)
        self.practice.engine.ask(request)
        self.practice.engine.step()
        done, said, _ = request.wait(0.0)
        return done, said

    def calibrate(self, follow=lambda x, y: (x, y), **more) -> tuple[bool, str]:
        self.ask(Calibrate("begin"))
        for x, y in [(x, y) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]:
            self.eyes.rest(0.5, 0.5, 0.3)  # on their way
            assert self.ask(Calibrate("aim", (2000 * x, 1000 * y)))[0]
            if follow(x, y):
                self.eyes.rest(*follow(x, y), **more)
            assert self.ask(Calibrate("seen"))[0]
        return self.ask(Calibrate("fit"))

    def show(self, k: int) -> None:
        """Slice k fills 960 x 960 px from (500, 20) on."""
        step = 48 / 960
        view = PageView(0, (500, 20, 1460, 980), (500, 20), (k, -0.5, -0.5), (0, 0, step), (0, step, 0))
        assert self.ask(Show(view))[0]

    def look(self, row: float, column: float, seconds: float = 0.8) -> None:
        self.eyes.rest((500 + (column + 0.5) * 20) / 2000, (20 + (row + 0.5) * 20) / 1000, seconds)
        self.practice.engine.step()

    def places(self) -> list[PlaceLookedAt]:
        return [one for one in read_journal(self.practice.journal) if isinstance(one, PlaceLookedAt)]


def test_places_are_recorded_on_the_slice_that_was_shown_and_taken_for_looked_at(practice):
    page, geometry = Page(practice), practice.engine.session.volume.geometry
    practice.clinician.point((28.5, 24.5), k=6, name="+GTV")
    practice.settle()
    outline = practice.mask().copy()
    page.show(6)
    page.look(24, 28)
    page.show(6)
    assert page.places() == []  # not calibrated
    done, said = page.calibrate()
    assert done
    assert "calibrated to" in said
    assert 0 < page.sights[-1].eyes.calibrated_px < 20
    page.show(6)
    page.look(24, 28)
    page.show(7)
    page.look(10, 40)
    page.ask(Show(None))
    page.look(24, 28)
    page.ask(Show(None))
    first, second = page.places()
    for found, at in ((first, (6, 24, 28)), (second, (7, 10, 40))):
        off_mm = (np.array(found.position_kji) - at) * geometry.spacing_kji_mm
        assert np.linalg.norm(off_mm) < 3 * found.sd_mm
        assert found.position_lps == pytest.approx(tuple(geometry.to_lps(found.position_kji)))
        assert found.seconds == pytest.approx(0.75, abs=0.15)
    assert [one.seconds for one in page.sights[-1].eyes.places] == pytest.approx(
        [first.seconds, second.seconds], abs=1e-3
    )
    assert np.array_equal(practice.mask(), outline)  # looking changes no contour


def test_what_came_with_a_turn_of_the_page_is_of_neither_slice(practice):
    page = Page(practice)
    page.calibrate()
    page.show(6)
    page.eyes.rest(0.5, 0.5)  # the page turns meanwhile
    page.show(7)
    page.ask(Show(None))
    assert page.places() == []


@pytest.mark.parametrize(
    ("follow", "more", "why"),
    [
        (lambda x, y: None, {}, "sees no eyes|did not rest"),
        (lambda x, y: (x, y), {"seconds": 0.05}, "did not rest"),
        (lambda x, y: (0.4, 0.4), {}, "too poor"),
        (lambda x, y: (y, 0.2 + 0.6 * (7 * x + 3 * y) % 1), {}, "too poor"),
        (lambda x, y: (x, y) if x < 0.9 and y < 0.9 else None, {}, "only 4 of the dots"),
    ],
)
def test_a_calibration_that_came_to_nothing_is_refused_and_no_place_recorded(practice, follow, more, why):
    page = Page(practice)
    assert page.calibrate()[0]
    done, said = page.calibrate(follow, **more)
    assert not done
    assert re.search(why, said)
    assert page.sights[-1].eyes.calibrated_px is None  # the one before is gone too
    page.show(6)
    page.look(24, 28)
    page.show(6)
    assert page.places() == []


@pytest.mark.parametrize("fault", ["jumps", "drops", "frozen", "outside", "backwards"])
def test_a_faulty_tracker_is_calibrated_right_or_not_at_all(practice, fault):
    page = Page(practice)
    done, said = page.calibrate(seconds=1.2, fault=fault)
    if not done:
        assert "calibrate again" in said
        return
    page.show(6)
    page.look(24, 28)
    page.ask(Show(None))
    assert page.places()
    for found in page.places():
        off_mm = (np.array(found.position_kji) - (6, 24, 28)) * practice.engine.session.volume.geometry.spacing_kji_mm
        assert np.linalg.norm(off_mm) < 3 * found.sd_mm


def test_a_tracker_that_stands_still_is_told_apart(practice):
    page = Page(practice)
    page.ask(Calibrate("begin"))
    page.eyes.next = [Sample(n / 100, 0.4, 0.4) for n in range(400)]
    page.ask(Calibrate("aim", (1.0, 1.0)))
    page.ask(Calibrate("seen"))
    done, said = page.ask(Calibrate("fit"))
    assert not done
    assert "stands still" in said


def test_a_calibration_lasts_until_the_page_says_otherwise(practice):
    page = Page(practice)
    page.calibrate()
    page.show(6)
    page.ask(Calibrate("forget"))
    page.look(24, 28)
    page.show(6)
    assert page.places() == []
    assert page.sights[-1].eyes.calibrated_px is None


def test_without_a_tracker_there_is_nothing_to_calibrate(practice):
    request = Request(Calibrate("begin"))
    practice.engine.ask(request)
    practice.engine.step()
    done, said, _ = request.wait(0.0)
    assert not done
    assert "--gaze" in said


def test_a_journal_with_places_is_replayed_bit_for_bit(practice):
    page = Page(practice)
    practice.clinician.point((28.5, 24.5), k=6, name="+GTV")
    practice.settle()
    page.calibrate()
    page.show(6)
    page.look(24, 28)
    page.show(7)
    practice.clinician.point((31.5, 24.5), k=6, name="-GTV")
    practice.settle()
    assert page.places()
    found = replay(read_journal(practice.journal), practice.engine.session.volume, practice.segmenter)
    assert len(found) == 2
    assert all(one.same for one in found)


def test_nothing_is_watched_unless_turned_on(practice):
    practice.settle()
    practice.clinician.scroll_to(2)
    practice.settle()
    assert not [event for event in read_journal(practice.journal) if isinstance(event, SliceDwelt)]


def test_without_a_tracker_the_session_goes_on(practice, monkeypatch):
    def missing(name: str | None) -> None:
        raise SettingsError("No eye tracker publishes a stream.", "Start it.")

    monkeypatch.setattr(live, "LslTracker", missing)
    live._watch_eyes(practice.engine, practice.settings, practice.feedback)
    assert "No eye tracker" in practice.feedback.texts[-1]
    practice.settle()

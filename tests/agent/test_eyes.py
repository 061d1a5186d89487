"""What an eye tracker adds to a session: dwell per displayed slice, in the journal and in where to look."""

import numpy as np

from osirix_agent.agent import live
from osirix_agent.agent.sight import Sight
from osirix_agent.errors import SettingsError
from osirix_agent.prompting.gaze.sample import Sample
from osirix_agent.prompting.gaze.simulated import gaze
from osirix_agent.prompting.gaze.sound import State
from osirix_agent.record.events import SliceDwelt
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

"""Gaze: what counts, fixations, dwell per slice; trackers that jump, drop and lie; LSL itself."""

import math
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

from osirix_agent.errors import SettingsError
from osirix_agent.prompting.gaze.dwell import SliceDwell
from osirix_agent.prompting.gaze.fixation import Fixations
from osirix_agent.prompting.gaze.sample import Sample
from osirix_agent.prompting.gaze.simulated import RATE_HZ, SimulatedTracker, gaze
from osirix_agent.prompting.gaze.sound import Soundness, State
from osirix_agent.prompting.gaze.stream import LslTracker

PLACES = [(0.2, 0.3, 0.8), (0.7, 0.3, 0.5), (0.7, 0.8, 0.6), (0.4, 0.5, 0.9)]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def fixations(samples):
    found = Fixations()
    return [*found.take(Soundness().take(samples)), *found.end()]


def test_fixations_are_found_where_and_as_long_as_they_were(rng):
    found = fixations(gaze(PLACES, rng))
    assert len(found) == len(PLACES)
    for one, (x, y, seconds) in zip(found, PLACES, strict=True):
        assert (one.x, one.y) == pytest.approx((x, y), abs=0.005)
        assert one.seconds == pytest.approx(seconds, abs=0.15)


def test_they_do_not_depend_on_how_the_samples_are_cut(rng):
    samples = gaze(PLACES, rng)
    pieces, sound = Fixations(), Soundness()
    parts = [samples[n : n + 7] for n in range(0, len(samples), 7)]
    found = [one for part in parts for one in pieces.take(sound.take(part))]
    assert [*found, *pieces.end()] == fixations(samples)


def test_wandering_eyes_fixate_nothing():
    t = np.arange(300) / RATE_HZ
    wandering = [Sample(float(s), 0.5 + 0.4 * math.sin(9 * s), 0.5 + 0.4 * math.cos(7 * s)) for s in t]
    assert fixations(wandering) == []


@pytest.mark.parametrize("fault", ["jumps", "drops", "frozen", "outside", "backwards"])
def test_a_faulty_tracker_never_makes_up_a_place(rng, fault):
    samples = gaze([(0.3, 0.4, 9.0)], rng, fault=fault)
    sound = Soundness()
    found = Fixations()
    held = [*found.take(sound.take(samples)), *found.end()]
    assert held
    assert all((one.x, one.y) == pytest.approx((0.3, 0.4), abs=0.02) for one in held)
    whole = sum(one.seconds for one in fixations(gaze([(0.3, 0.4, 9.0)], np.random.default_rng(7))))
    assert sum(one.seconds for one in held) < whole
    if fault != "drops":
        assert sum(sound.refused.values()) > 100


def test_what_the_tracker_is_worth_is_known_at_every_moment(rng):
    sound = Soundness()
    assert sound.state is State.AWAY
    sound.take(gaze([(0.3, 0.4, 1.0)], rng))
    assert sound.state is State.SOUND
    sound.take(Sample(1 + n / RATE_HZ, 0.3, 0.4) for n in range(300))
    assert sound.state is State.FROZEN
    sound.take([Sample(10.0, math.nan, math.nan)])
    assert sound.state is State.AWAY
    assert sound.take([Sample(math.nan, 0.5, 0.5), Sample(9.0, 0.5, 0.5), Sample(11.0, 2.0, 0.5)]) == []


def test_dwell_is_of_the_slice_that_was_displayed(rng):
    dwell, samples = SliceDwell(), gaze([(0.4, 0.5, 2.5), (0.6, 0.5, 2.5)], rng)
    left = [dwell.take([sample], 10 if sample.t_s < 3.5 else 11) for sample in samples]
    left.append(dwell.take([], 12))
    assert [one for one in left if one] == [(10, dwell.seconds[10]), (11, dwell.seconds[11])]
    assert dwell.seconds[10] == pytest.approx(3.5, abs=0.5)
    assert dwell.seconds[11] == pytest.approx(1.5, abs=0.4)
    assert 12 not in dwell.seconds
    assert dwell.reviewed() == {10}


def test_a_simulated_tracker_rests_where_it_is_told_to(rng):
    now = [100.0]
    tracker = SimulatedTracker(rng, lambda: now[0])
    now[0] = 100.5
    assert all(math.isnan(one.x) for one in tracker.read())
    tracker.rest(0.2, 0.3)
    now[0] = 101.5
    tracker.rest(0.7, 0.6)
    now[0] = 102.0
    samples = tracker.read()
    assert len(samples) == pytest.approx(1.5 * RATE_HZ, abs=2)
    assert all(b.t_s > a.t_s for a, b in pairwise(samples))
    for one in samples:
        assert (one.x, one.y) == pytest.approx((0.2, 0.3) if one.t_s < 101.5 else (0.7, 0.6), abs=0.02)
    assert tracker.read() == []
    now[0] = 103.0
    assert all(one.x == pytest.approx(0.7, abs=0.02) for one in tracker.read())


def test_without_pylsl_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pylsl", None)
    with pytest.raises(SettingsError, match=r"osirix-agent\[gaze\]"):
        LslTracker()


@pytest.mark.slow
def test_a_tracker_over_lab_streaming_layer(rng):
    pylsl = pytest.importorskip("pylsl")
    with pytest.raises(SettingsError, match="type 'Gaze'"):
        LslTracker("nobody", look_for_s=0.5)
    info = pylsl.StreamInfo("test tracker", "Gaze", 3, RATE_HZ, pylsl.cf_double64, "osirix-agent-test")
    info.set_channel_labels(["pupil", "gaze_x", "gaze_y"])
    outlet = pylsl.StreamOutlet(info)
    tracker = LslTracker("test tracker", look_for_s=20.0)
    tracker.read()  # it is connected from now on
    assert outlet.wait_for_consumers(20.0)
    sent = gaze(PLACES, rng)
    for one in sent:
        outlet.push_sample([3.0, one.x, one.y], one.t_s + 100.0)  # a stamp of 0 would mean now
    got: list[Sample] = []
    for _ in range(400):
        got += tracker.read()
        if len(got) == len(sent):
            break
        time.sleep(0.02)
    assert [(one.x, one.y) for one in got if one.x == one.x] == [(one.x, one.y) for one in sent if one.x == one.x]
    assert len(fixations(got)) == len(PLACES)
    del outlet
    tracker.close()

"""Beliefs by request: what is kept, and what is worked out again."""

from concurrent.futures import Future

import numpy as np
import pytest

from osirix_agent.agent import proposals
from osirix_agent.agent.proposals import Proposals, segment
from osirix_agent.agent.session import ContouringSession
from osirix_agent.belief.card import Calibration, Fit
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt, Polarity
from osirix_agent.segmenter.believing import Believing
from tests.conftest import signature

SHAPE = (4, 20, 24)
GEOMETRY = Geometry(SHAPE, (0.0, 0.0, 0.0), (3.0, 2.0, 2.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
A_BELIEF = 5 * int(np.prod(SHAPE))  # the logits and the mask


class Asked:
    """A session whose proposals are counted."""

    def __init__(self):
        self.session = ContouringSession(Volume(np.zeros(SHAPE, np.float32), GEOMETRY, "CT"), "GTV")
        self.answers = []
        self.proposals = Proposals(BallSegmenter(), None, lambda _: None, self.answers.append, lambda *_: None)

    def update(self):
        self.proposals.update(self.session, dict)

    def click(self, structure="GTV"):
        where = (8.0 + 2 * len(self.answers), 20.0, 6.0)
        self.session.add_prompt(structure, PointPrompt(position_lps=where, polarity=Polarity.INCLUDE))
        self.update()

    def undo(self):
        self.session.history.undo()
        self.update()


@pytest.mark.parametrize(("room", "again"), [(5, 0), (2, 2)])
def test_beliefs_are_kept_while_there_is_room_for_them(monkeypatch, room, again):
    monkeypatch.setattr(proposals, "CACHE_BYTES", room * A_BELIEF)
    asked = Asked()
    for _ in range(4):
        asked.click()
    masks = [answer.belief.mask_digest for answer in asked.answers]
    for n in (2, 1, 0):
        asked.undo()
        assert asked.proposals.shown["GTV"].mask_digest == masks[n]
        assert sum(answer.nbytes for answer in asked.proposals._known.values()) <= room * A_BELIEF
    assert len(asked.answers) == 4 + again


def test_what_is_shown_is_kept_whatever_it_takes(monkeypatch):
    monkeypatch.setattr(proposals, "CACHE_BYTES", 0)
    asked = Asked()
    for structure in ("GTVp", "GTVn", "Brain"):
        asked.click(structure)
    assert [answer.request.structure for answer in asked.answers] == ["GTVp", "GTVn", "Brain"]
    asked.click("GTVp")
    assert len(asked.answers) == 4


class Later:
    """An executor that answers when it is told to."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, *given):
        future = Future()
        self.waiting.append((future, function, given))
        return future

    def answer(self):
        future, function, given = self.waiting.pop(0)
        future.set_result(function(*given))


def believing_ball():
    fit = Fit(kind="lesion", modality="CT", prompts=0, slope=0.3, per_mm=0.3, shift=0.0, patients=12)
    inner = BallSegmenter()
    card = Calibration(segmenter=inner.name, data="balls", length_mm=8.0, fits=(fit,))
    return Believing(inner, {inner.name: card})


class Slow(Asked):
    """Calibrated, and every answer takes its time."""

    def __init__(self):
        super().__init__()
        self.later, self.arrived = Later(), []
        self.segmenter = believing_ball()
        self.proposals = Proposals(
            self.segmenter, self.later, self.arrived.append, self.answers.append, lambda *_: None
        )

    def point(self, i, polarity):
        where = PointPrompt(position_lps=(i, 20.0, 6.0), polarity=polarity)
        self.session.add_prompt("GTV", where)
        self.update()

    def take(self):
        self.later.answer()
        self.proposals.take(self.arrived.pop())
        self.update()


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(proposals, "SLOW_MS", 0.0)
    asked = Slow()
    asked.point(20.0, Polarity.INCLUDE)
    assert not asked.proposals.seen  # of the first prompt nothing is known yet
    asked.take()
    return asked


def test_a_click_is_seen_in_closed_form_before_its_answer_which_then_takes_its_place(slow):
    first = slow.proposals.shown["GTV"]
    inside = tuple(np.argwhere(first.mask()[2])[-1])  # a voxel at the rim
    slow.point(float(2 * inside[1]), Polarity.EXCLUDE)
    ahead, version = slow.proposals.seen["GTV"], slow.proposals.version
    assert slow.proposals.shown["GTV"] is first  # what may be kept is an answer
    assert ahead is not first
    assert first.probability_at(2, 10, int(inside[1])) >= 0.5 > ahead.probability_at(2, 10, int(inside[1]))
    slow.update()
    assert slow.proposals.seen["GTV"] is ahead  # worked out once
    slow.take()
    expected = segment(slow.segmenter, slow.answers[-1].request).belief
    assert slow.proposals.seen["GTV"].mask_digest == slow.proposals.shown["GTV"].mask_digest == expected.mask_digest
    assert slow.proposals.version > version
    assert not slow.proposals.ahead


def test_what_was_expected_goes_with_the_click_that_is_undone(slow):
    first = slow.proposals.shown["GTV"]
    slow.point(8.0, Polarity.EXCLUDE)
    assert slow.proposals.seen["GTV"] is not first
    slow.undo()
    assert slow.proposals.seen["GTV"] is first
    slow.session.history.redo()
    slow.update()
    assert slow.proposals.seen["GTV"] is not first


def test_a_quick_segmenter_is_waited_for(slow, monkeypatch):
    monkeypatch.setattr(proposals, "SLOW_MS", 1e6)
    slow.point(8.0, Polarity.EXCLUDE)
    assert slow.proposals.seen["GTV"] is slow.proposals.shown["GTV"]


def test_what_is_expected_is_painted_at_once_and_the_journal_holds_answers_alone(open_practice, monkeypatch):
    monkeypatch.setattr(proposals, "SLOW_MS", 0.0)
    later = Later()
    practice = open_practice(segmenter=believing_ball(), executor=later)

    def steps(count=6):
        for _ in range(count):
            practice.now += 0.5
            practice.engine.step()
        return sorted(signature(roi) for roi in practice.drafts())

    practice.clinician.point((30.5, 20.5), k=6)
    assert steps() == []
    later.answer()
    first = steps()
    practice.clinician.point((31.5, 21.5), k=6)  # in the proposal: exclude
    expected = steps()
    assert practice.engine.pending
    assert not practice.mask()[6, 21, 31]
    assert expected
    assert expected != first
    later.answer()
    practice.settle()
    assert sorted(signature(roi) for roi in practice.drafts()) != expected
    journal = practice.journal.read_text()
    assert journal.count('"event":"proposed"') == 2


def test_a_click_is_read_against_what_she_saw(open_practice, monkeypatch):
    later = Later()
    practice = open_practice(segmenter=believing_ball(), executor=later)
    practice.clinician.point((30.5, 20.5), k=6)
    for _ in range(6):
        practice.now += 0.5
        practice.engine.step()
    practice.clinician.point((31.5, 21.5), k=6)  # before anything was painted: no correction of a proposal
    later.answer()
    for _ in range(6):
        practice.now += 0.5
        practice.engine.step()
    prompts = practice.engine.session.state.structure("GTV").prompts
    assert [record.prompt.polarity.value for record in prompts] == ["include", "include"]

"""Beliefs by request: what is kept, and what is worked out again."""

import numpy as np
import pytest

from osirix_agent.agent import proposals
from osirix_agent.agent.proposals import Proposals
from osirix_agent.agent.session import ContouringSession
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt, Polarity

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

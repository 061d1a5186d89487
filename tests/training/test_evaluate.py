"""The interactive protocol, with segmenters whose answers are known."""

import numpy as np
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Polarity, TextPrompt
from osirix_agent.segmenter.protocol import Capabilities
from osirix_agent.training.cases import Case
from osirix_agent.training.evaluate import contour, evaluate, volume_of

SHAPE = (12, 40, 44)
TRUTH = np.zeros(SHAPE, bool)
TRUTH[3:9, 10:26, 12:30] = True
BITS = TRUTH.astype(np.uint16) | (np.roll(TRUTH, 8, 1).astype(np.uint16) << 1)
CASE = Case("p1", np.zeros(SHAPE, np.int16), BITS, ("LeftParotid", "Larynx", None), (3.0, 2.0, 2.0), "CT", "test")


class Oracle:
    """Knows the truth, and answers it or a part of it."""

    name = "oracle"

    def __init__(self, part=lambda truth, prompts: truth, text=True):
        self.capabilities, self._part, self.requests = Capabilities(text=text), part, []

    def propose(self, request):
        self.requests.append(request)
        if not self.capabilities.text and any(isinstance(p, TextPrompt) for p in request.prompts):
            raise PromptError("This segmenter cannot read words.", "Click.")
        mask = self._part(TRUTH, request.prompts)
        return Belief(np.where(mask, 5, -5).astype(np.float32), (0, 0, 0), SHAPE, self.name)


def run(segmenter, start):
    return contour(segmenter, volume_of(CASE), "p1", "LeftParotid", TRUTH, start)


@pytest.mark.parametrize("start", ["clicks", "both"])
def test_a_perfect_answer_scores_four_and_needs_no_click(start):
    oracle = Oracle()
    row = run(oracle, start)
    assert row.dice == (1.0,) * 6
    assert row.auc == 4.0
    assert row.surface_dice_2mm == 1
    assert row.broken == 0
    assert len(oracle.requests) == 1


def test_the_name_is_given_in_one_start_only_and_in_its_standard_spelling():
    oracle = Oracle()
    run(oracle, "clicks")
    assert isinstance(oracle.requests[0].prompts[0], BoxPrompt)
    assert "arotid" not in oracle.requests[0].structure
    run(oracle, "both")
    assert oracle.requests[1].structure == "Parotid_L"
    assert oracle.requests[1].prompts == (TextPrompt(phrase="Parotid_L"),)


def test_clicks_follow_the_largest_error_and_are_never_taken_back():
    def upper_half(truth, prompts):
        held = truth.copy()
        held[6:] = False
        return held

    oracle = Oracle(upper_half)
    row = run(oracle, "clicks")
    clicks = oracle.requests[-1].prompts[1:]
    assert len(clicks) == 5
    assert all(isinstance(c, PointPrompt) and c.polarity is Polarity.INCLUDE for c in clicks)
    assert row.broken == 5  # the oracle ignored them
    assert row.dice == pytest.approx((2 / 3,) * 6)
    assert oracle.requests[2].prompts[:2] == oracle.requests[1].prompts


def test_who_cannot_read_goes_on_from_clicks():
    row = run(Oracle(text=False), "both")
    assert row.dice == (0.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert row.refused == 1


def test_a_refused_click_leaves_the_score_as_it_was():
    class Refuses(Oracle):
        def propose(self, request):
            if len(request.prompts) == 3:
                raise PromptError("The point lies outside the body.", "Place it inside the structure.")
            return super().propose(request)

    row = run(Refuses(lambda truth, prompts: truth & (np.arange(SHAPE[0]) < 6)[:, None, None]), "clicks")
    assert row.refused == 4
    assert row.dice == pytest.approx((2 / 3,) * 6)


def test_the_summary_is_a_mean_over_structures_with_an_interval_over_patients():
    done = evaluate(Oracle(), [CASE], ("LeftParotid", "Larynx", "Mandible"), ("both",))
    assert {r.structure for r in done.rows} == {"LeftParotid", "Larynx"}
    everything = next(t for t in done.summary() if t["structure"] == "all")
    each = [t for t in done.summary() if t["structure"] != "all"]
    assert everything["final"] == pytest.approx(np.mean([t["final"] for t in each]), abs=1e-3)
    assert everything["patients"] == 1
    assert everything["final_interval"][0] <= everything["final"] <= everything["final_interval"][1] + 1e-9
    assert all(t["dice"][0] == t["first"] for t in each)

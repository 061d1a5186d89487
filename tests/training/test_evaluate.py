"""The interactive protocol, with segmenters whose answers are known."""

import numpy as np
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Polarity, TextPrompt
from osirix_agent.segmenter.protocol import Capabilities
from osirix_agent.training.cases import Case
from osirix_agent.training.contouring import contour, contoured, volume_of
from osirix_agent.training.evaluate import evaluate

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
    image = contoured(CASE, ("LeftParotid", "Larynx", "Mandible"))
    done = evaluate(Oracle(), [image], ("both",))
    assert {r.structure for r in done.rows["both"]} == {"LeftParotid", "Larynx"}
    everything = next(t for t in done.summary() if t["structure"] == "all")
    each = [t for t in done.summary() if t["structure"] != "all"]
    assert everything["final"] == pytest.approx(np.mean([t["final"] for t in each]), abs=1e-3)
    assert everything["patients"] == 1
    assert everything["final_interval"][0] <= everything["final"] <= everything["final_interval"][1] + 1e-9
    assert all(t["dice"][0] == t["first"] for t in each)


def test_clicks_are_counted_up_to_the_wanted_dice():
    def grows(truth, prompts):  # the box gives one of six slices, each click one more
        held = truth.copy()
        held[3 + len(prompts) :] = False
        return held

    row = run(Oracle(grows), "clicks")
    assert row.dice == pytest.approx([2 * n / (6 + n) for n in (1, 2, 3, 4, 5, 6)])
    assert row.clicks_needed == 4  # 10 / 11; 0.8 after three
    assert run(Oracle(), "both").clicks_needed == 0
    assert run(Oracle(lambda truth, prompts: truth & False), "both").clicks_needed is None


def test_what_a_click_changes_far_from_it_is_told():
    def flickers(truth, prompts):  # a voxel 30 mm from the click, and one farther, once there is a click
        held = truth.copy()
        held[5, 15, 20] = False  # wrong, so clicked
        if isinstance(prompts[-1], PointPrompt):
            held[5, 15, 35] = held[5, 15, 36] = True  # 30 and 32 mm
        return held

    row = run(Oracle(flickers), "clicks")
    clicks = [p for p in row.prompts if isinstance(p, PointPrompt)]
    assert clicks[0].position_lps == (40.0, 30.0, 15.0)
    assert row.far == 0.5
    assert run(Oracle(), "clicks").far is None  # nothing was changed


def test_a_fall_and_a_click_on_the_wrong_side_are_seen_in_the_summary():
    def falls(truth, prompts):
        held = truth.copy()
        held[3 + (3 if len(prompts) == 3 else 4) :] = False
        return held

    image = contoured(CASE, ("LeftParotid",))
    (table,) = evaluate(Oracle(falls), [image], ("clicks",)).summary()
    good, bad = 8 / 10, 6 / 9
    assert table["dice"] == pytest.approx([good, good, bad, good, good, good], abs=1e-4)
    assert table["change"] == pytest.approx([0, bad - good, good - bad, 0, 0], abs=1e-3)
    assert table["worst_fall"] == table["worst_fall_of_one"] == pytest.approx(good - bad, abs=1e-3)
    assert table["clicks_hold"] is False
    assert (table["clicks_to_085"], table["reached_085"]) == (5, 0)  # counted as five where it was not reached
    assert table["final_interval"] == [table["final"]] * 2


def test_a_segmenter_without_clicks_is_asked_for_words_alone():
    oracle = Oracle()
    oracle.capabilities = Capabilities(text=True, clicks=False)
    done = evaluate(oracle, [contoured(CASE, ("LeftParotid",))], ("clicks", "both", "words", "jitter"))
    (row,) = done.rows["words"]
    assert row.dice == (1.0,)
    assert set(done.rows) == {"words"}
    (table,) = done.summary()
    assert table["first"] == 1
    assert "auc" not in table

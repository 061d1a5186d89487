"""Jitter, sides and absence, with segmenters whose answers are known."""

import numpy as np
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt, TextPrompt
from osirix_agent.segmenter.protocol import Capabilities
from osirix_agent.training.contouring import Contoured, contour
from osirix_agent.training.evaluate import evaluate
from osirix_agent.training.probes import absent, jitter, sides, summarise_probe, without

SHAPE, SPACING = (40, 30, 40), (5.0, 2.0, 2.0)
GEOMETRY = Geometry(SHAPE, (0.0, 0.0, 0.0), SPACING, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
LEFT, RIGHT = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
LEFT[5:9, 10:20, 24:34] = True  # i grows to the patient's left
RIGHT[5:9, 10:20, 4:14] = True
VOLUME = Volume(np.random.default_rng(0).normal(0, 20, SHAPE).astype(np.float32), GEOMETRY, "CT")
IMAGE = Contoured("p1", VOLUME, {"LeftParotid": LEFT, "RightParotid": RIGHT})


class Fake:
    """Answers a request by a function of the request."""

    name = "fake"
    capabilities = Capabilities(text=True)

    def __init__(self, answer):
        self._answer, self.requests = answer, []

    def propose(self, request):
        self.requests.append(request)
        mask = self._answer(request)
        shape = request.volume.geometry.shape_kji
        return Belief(np.where(mask, 5, -5).astype(np.float32), (0, 0, 0), shape, self.name)


def nothing(request):
    return np.zeros(request.volume.geometry.shape_kji, bool)


def words(request):
    return next((p.phrase for p in request.prompts if isinstance(p, TextPrompt)), None)


# -- jitter ------------------------------------------------------------------------------------------------------
def upper(request):
    held = LEFT.copy()
    held[6:] = False
    return held


def test_each_click_is_moved_by_two_to_three_millimetres_within_the_structure():
    fake = Fake(upper)
    row = contour(fake, VOLUME, "p1", "LeftParotid", LEFT, "clicks")
    asked = len(fake.requests)
    found = jitter(fake, IMAGE, row, "Structure")
    assert found.dice == (0.4,) * 4
    assert found.spread == pytest.approx(0)
    assert len(fake.requests) == asked + 4
    for request in fake.requests[asked:]:
        assert request.prompts[0] == row.prompts[0]  # the box stays
        for before, after in zip(row.prompts[1:], request.prompts[1:], strict=True):
            step = np.linalg.norm(np.subtract(after.position_lps, before.position_lps))
            assert 2 <= step <= 3
            assert LEFT[tuple(np.round(GEOMETRY.to_kji(after.position_lps)).astype(int))]
    places = {request.prompts[1].position_lps for request in fake.requests[asked:]}
    assert len(places) == 4  # another seed, another place
    assert jitter(Fake(upper), IMAGE, row, "Structure") == found  # and the same seeds again


def test_the_spread_is_the_standard_deviation_of_dice():
    answers = iter([LEFT, LEFT, LEFT & False, LEFT & False])
    row = contour(Fake(upper), VOLUME, "p1", "LeftParotid", LEFT, "clicks")
    found = jitter(Fake(lambda request: next(answers)), IMAGE, row, "Structure")
    assert found.dice == (1.0, 1.0, 0.0, 0.0)
    assert found.spread == pytest.approx(np.sqrt(1 / 3))
    (table,) = summarise_probe("jitter", [found])
    assert (table["dice"], table["spread"]) == (0.5, 0.5774)


def test_a_click_with_nowhere_to_go_stays_and_a_refused_seed_is_left_out():
    truth = np.zeros(SHAPE, bool)
    truth[20, 15, 20] = True  # 5 x 2 x 2 mm: 2 to 3 mm away lies outside, but up and down

    def refuse(request):
        raise PromptError("No.", "Do something else.")

    image = Contoured("p1", VOLUME, {"GTV": truth})
    row = contour(Fake(lambda request: truth & False), VOLUME, "p1", "GTV", truth, "clicks")
    fake = Fake(lambda request: truth)
    jitter(fake, image, row, "Structure")
    for request in fake.requests:
        for prompt in request.prompts[1:]:
            assert isinstance(prompt, PointPrompt)
            assert truth[tuple(np.round(GEOMETRY.to_kji(prompt.position_lps)).astype(int))]
    found = jitter(Fake(refuse), image, row, "Structure")
    assert (found.dice, found.spread) == ((), None)


# -- side --------------------------------------------------------------------------------------------------------
BY_NAME = {"Parotid_L": LEFT, "Parotid_R": RIGHT}


def test_the_named_side_is_right_and_the_swapped_name_takes_the_answer_away():
    left, right = sides(Fake(lambda request: BY_NAME[words(request)]), IMAGE)
    assert (left.named, left.other, left.swapped) == (1, 0, 0)
    assert left.right
    assert right.follows


def test_a_segmenter_that_is_deaf_to_sides_is_wrong_on_one_of_them():
    rows = list(sides(Fake(lambda request: LEFT), IMAGE))
    assert [row.right for row in rows] == [True, False]
    assert [row.follows for row in rows] == [False, False]
    everything = summarise_probe("side", rows)[-1]
    assert (everything["structure"], everything["right"], everything["follows"]) == ("all", 0.5, 0)


def test_half_of_the_structure_is_not_enough():
    half = LEFT.copy()
    half[6:] = False  # Dice 0.4
    (left, _) = sides(Fake(lambda request: half if words(request) == "Parotid_L" else RIGHT), IMAGE)
    assert left.named == pytest.approx(0.4)
    assert not left.right


def test_a_structure_without_its_twin_has_no_side_to_confuse():
    fake = Fake(lambda request: LEFT)
    assert not list(sides(fake, Contoured("p1", VOLUME, {"LeftParotid": LEFT, "GTV_1": RIGHT, "GTV": RIGHT})))
    assert fake.requests == []


# -- absent ------------------------------------------------------------------------------------------------------
def test_the_image_ends_two_centimetres_from_the_structure():
    cut = without(VOLUME, LEFT)
    assert cut.geometry.origin_lps[2] == 65.0  # slices 5 to 8 hold it; its face lies at 42.5 mm, the image's at 62.5
    assert cut.geometry.shape_kji == (27, 30, 40)
    assert np.array_equal(cut.array, VOLUME.array[13:])
    high = np.zeros(SHAPE, bool)
    high[30:33] = True
    assert without(VOLUME, high).geometry.shape_kji[0] == 26  # slices 0 to 25
    assert without(VOLUME, high).geometry.origin_lps == GEOMETRY.origin_lps


def test_padding_is_no_image_and_too_little_is_none():
    middle = np.zeros(SHAPE, bool)
    middle[8:32] = True
    assert without(VOLUME, middle) is None
    padded = VOLUME.array.copy()
    padded[20:] = -1024
    assert without(Volume(padded, GEOMETRY, "CT"), LEFT) is None  # 7 slices of 5 mm are left


def test_an_organ_that_is_not_there_is_left_out_and_one_that_is_there_is_found():
    def knows(request):
        return LEFT if request.volume is VOLUME else nothing(request)

    row = absent(Fake(knows), IMAGE, "LeftParotid")
    assert (row.cm3_absent, row.cm3_present, row.truth_cm3) == (0, 8, 8)
    assert row.left_out
    assert row.false_empty is False


def test_a_false_alarm_of_a_cubic_centimetre_and_a_false_empty():
    def wrong(request):
        mask = nothing(request)
        if request.volume is not VOLUME:
            mask[0, 0:5, 0:10] = True  # 50 voxels of 0.02 cm3
        return mask

    row = absent(Fake(wrong), IMAGE, "LeftParotid")
    assert row.cm3_absent == pytest.approx(1.0)
    assert row.left_out is False
    assert row.false_empty
    (table,) = summarise_probe("absent", [row])
    assert (table["left_out"], table["false_empty"]) == (0, 1)


def test_a_structure_at_the_border_or_unknown_says_nothing():
    cut_off = LEFT.copy()
    cut_off[:9] = LEFT[5]  # down to the first slice

    def refuse(request):
        raise PromptError("Not learnt.", "Click.")

    row = absent(
        Fake(lambda r: np.zeros(r.volume.geometry.shape_kji, bool)), Contoured("p1", VOLUME, {"A": cut_off}), "A"
    )
    assert row.false_empty is None
    assert row.left_out
    assert absent(Fake(refuse), IMAGE, "LeftParotid") is None


def test_all_rows_come_from_one_call_with_the_time_each_took():
    done = evaluate(Fake(nothing), [IMAGE], ("clicks", "both", "jitter", "side", "absent"))
    assert {kind: len(rows) for kind, rows in done.rows.items()} == {
        "clicks": 2, "both": 2, "jitter": 2, "side": 2, "absent": 2
    }  # fmt: skip
    assert set(done.seconds) == set(done.rows)
    assert {table["row"] for table in done.summary()} == set(done.rows)
    assert all(row.as_json()["row"] == kind for kind, rows in done.rows.items() for row in rows)

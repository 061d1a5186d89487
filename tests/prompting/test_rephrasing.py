"""What is rewritten into words that the grammar reads."""

import time

import pytest

from osirix_agent.bench.sentences import KNOWN, PARAPHRASES, read_sentences, recipe
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.rephrasing import _table, fluent, likelier, rephrased

SENTENCES = ["as for the GTVp, grow it by 3 mm", "the GTV out by 3 mm everywhere but the back"]
SENTENCES += [s.say for path in PARAPHRASES.values() for s in read_sentences(path)]


def meant(sentence):
    understood = understand(sentence, KNOWN)
    assert not understood.questions
    return [one.as_json() for one in understood.intents], understood.to_be_done


def edit(how, mm, *directions, structure=None):
    found = {"kind": "edit", "how": how, "mm": mm}
    return found | ({"directions": list(directions)} if directions else {}) | (
        {"structure": structure} if structure else {}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "intents"),
    [
        ("please grow the GTV by, um, six millimetres", [edit("grow", 6.0, structure="GTV")]),
        ("go to slice, er, forty five", [{"kind": "go", "slice": 45}]),
        ("um, left parotid, yeah", [{"kind": "contour", "structure": "Parotid_L"}]),
        ("um, yeah", [{"kind": "reply", "yes": True}]),
    ],
)  # fmt: skip
def test_what_only_hesitates_is_done(sentence, intents):
    said, done = meant(sentence)
    assert said == intents
    assert done


@pytest.mark.parametrize(
    ("sentence", "intents"),
    [
        ("make the GTV, let me see, three millimetres bigger at the back",
         [edit("grow", 3.0, "posterior", structure="GTV")]),
        ("take 2 mm off the front and 4 mm off the back of the GTV",
         [edit("shrink", 2.0, "anterior", structure="GTV"), edit("shrink", 4.0, "posterior", structure="GTV")]),
        ("take 2 mm off the front of the GTV and 4 mm off its back",
         [edit("shrink", 2.0, "anterior", structure="GTV"), edit("shrink", 4.0, "posterior", structure="GTV")]),
        ("as for the GTVp, grow it by 3 mm", [edit("grow", 3.0, structure="GTVp")]),
        ("what's the, um, what's the status", [{"kind": "command", "verb": "status"}]),
        ("the left parotid in by a mil medially", [edit("shrink", 1.0, "medial", structure="Parotid_L")]),
        ("subtract the cord from the GTV and the left parotid from the GTVp",
         [{"kind": "part", "polarity": "exclude", "part": "SpinalCord", "structure": "GTV"},
          {"kind": "part", "polarity": "exclude", "part": "Parotid_L", "structure": "GTVp"}]),
        ("the GTV should not reach above slice sixty two",
         [{"kind": "slab", "how": "exclude", "side": "above", "slice": 62, "structure": "GTV"}]),
        ("I'd be obliged if you unlocked the left parotid and moved it two millimetres medially",
         [{"kind": "command", "verb": "unlock", "name": "Parotid_L"},
          edit("shift", 2.0, "medial", structure="Parotid_L")]),
        ("the upper border of the GTV should be lowered by three millimetres",
         [edit("shrink", 3.0, "superior", structure="GTV")]),
        ("take the GTV out another three millimetres posteriorly", [edit("grow", 3.0, "posterior", structure="GTV")]),
        ("it's over the vertebra there, pull it in by 2 mm", [edit("shrink", 2.0)]),
        ("Before we continue, go back by three slices.", [{"kind": "go", "step": -3}]),
        ("the gtvp, grow it three mil to the front", [edit("grow", 3.0, "anterior", structure="GTVp")]),
        ("GTV, nothing above slice 65",
         [{"kind": "slab", "how": "exclude", "side": "above", "slice": 65, "structure": "GTV"}]),
        ("apply a uniform 2 mm contraction to the GTVp", [edit("shrink", 2.0, structure="GTVp")]),
        ("For the GTV, remove everything below slice 25.",
         [{"kind": "slab", "how": "exclude", "side": "below", "slice": 25, "structure": "GTV"}]),
        ("let's get the heart and the esophagus drawn in",
         [{"kind": "contour", "structure": "Heart"}, {"kind": "contour", "structure": "Esophagus"}]),
        ("this bit's not tumour, chuck it out", [{"kind": "here", "polarity": "exclude"}]),
        ("would you mind pushing the right edge out by two millimetres", [edit("grow", 2.0, "right")]),
        ("Pull the right edge in by two millimetres, it's sat on the carotid.", [edit("shrink", 2.0, "right")]),
        ("Take the cord out of the GTV, it's gone right over it.",
         [{"kind": "part", "polarity": "exclude", "part": "SpinalCord", "structure": "GTV"}]),
    ],
)  # fmt: skip
def test_what_is_said_otherwise_waits_for_a_yes(sentence, intents):
    said, done = meant(sentence)
    assert said == intents
    assert not done


@pytest.mark.parametrize(
    "sentence",
    ["avoiding the cord, grow the GTV by 3 mm", "Accept the GTV and reject the GTV.",
     "I'm not happy with the back edge, push it out 5 mm",
     "under no circumstances, if the cord is near, grow it by 2 mm"],
)  # fmt: skip
def test_what_would_lose_its_meaning_is_asked_back(sentence):
    assert understand(sentence, KNOWN).questions


@pytest.mark.parametrize(
    "sentence",
    ["as for the GTVp, crop it to the GTV and accept it", "as for the GTVp, no, reject it", "accept the GTV, eh?",
     "the GTV out by 3 mm everywhere but the back", "the rest of the GTV in by 3 mm", "the margin in by 3 mm",
     "take 2 mm off the front, 3 mm off the back and 4 mm off the top of the GTV", "grow it by thirty, um, five mm",
     "take 2 mm off the left and 3 mm off the right parotid", "grow the GTV by 3 mm, we can accept that",
     "accept the GTV, eh", "lock the GTV, what was it", "under no circumstances, accept the GTV",
     "hold on there, lock it", "grow the GTV by 3 mm, they said not to", "{grow} the GTV by, um, 3 mm",
     "grow it by 3 mm, you can undo that", "grow it by 3 mm, there is nothing above slice 50",
     "the GTVp is fine, the GTVp out by 2 mm", "the cord is fine, the GTV needs 3 mm", "this is rather tumour",
     "not that I'd like to have the cord", "lock the cord, no, let me see, the parotid"],
)  # fmt: skip
def test_what_may_be_of_another_structure_or_side_is_never_done_unasked(sentence):
    assert not understand(sentence, KNOWN).to_be_done


@pytest.mark.parametrize(
    ("sentence", "n"),
    [("grow the GTV by 3 mm, it's too tight, and lock it", 2), ("contour the GTV, his parotids and the cord", 4),
     ("lock the GTV, that and the GTVp", 2)],
)  # fmt: skip
def test_no_order_is_dropped_for_a_remark(sentence, n):
    assert len(understand(sentence, KNOWN).intents) == n


def test_words_that_are_rewritten_have_the_whole_sentence_for_a_span():
    sentence = "grow it by, um, 3 mm, and then undo"
    understood = understand(sentence, KNOWN)
    assert understood.sentence == sentence
    assert {one.span for one in understood.intents} == {(0, len(sentence))}


def test_plain_sentences_are_left_as_they_are():
    assert all(fluent(one.say) == one.say for one in recipe(1, 600))


def test_every_row_fits_a_sentence_of_the_sets():
    idle = []
    said = SENTENCES
    for heading in ("always", "doubtful", "otherwise"):
        for pattern, to in _table()[heading]:
            rewritten = [pattern.sub(to, one) for one in said]
            if rewritten == said:
                idle.append(pattern.pattern)
            said = rewritten
    assert idle == []


def test_a_long_sentence_without_sense_takes_no_time():
    sentence = ("the GTV and take two millimetres off the front edge of it should, um, in out left slice above " * 5)[
        :400
    ]
    begin = time.perf_counter()
    rephrased(likelier(fluent(sentence)))
    assert time.perf_counter() - begin < 1

"""The measurement of typed sentences."""

import json

import pytest

from osirix_agent.bench.sentences import (
    PARAPHRASES,
    UNSEEN,
    Sentence,
    read_sentences,
    recipe,
    sentences_as_lines,
)
from osirix_agent.bench.speech import Spoken, corpus_of, judged, spoken_figures, word_errors
from osirix_agent.bench.voice import figures_of, interval, judge, measure_text, upper_bound
from osirix_agent.cli import main
from osirix_agent.errors import SettingsError
from osirix_agent.prompting.guesser import find_guesser
from osirix_agent.prompting.intent import KINDS, Command
from osirix_agent.prompting.voice.listener import Heard
from osirix_agent.settings import Settings


def test_the_corpus_is_large_and_holds_every_intent():
    written = [*read_sentences(PARAPHRASES["first"]), *read_sentences(PARAPHRASES["second"])]
    made = recipe(1, 600)
    assert len(written) >= (len(written) + len(made)) / 3
    assert {one.kind for s in written for one in s.intents} == set(KINDS)
    assert made == recipe(1, 600) != recipe(2, 600)


def test_what_is_guessed_counts_as_right_and_never_as_done():
    class Undo:
        def choose(self, sentence, known, *, surely=False):
            return (Command("undo"),)

    meant, not_meant = Sentence("embiggen time itself", (Command("undo"),)), Sentence("embiggen time itself", ())
    found = judge(meant, chooser=Undo())
    assert (found.right, found.wrong_action, found.waits, found.guessed) == (True, False, True, True)
    found = judge(not_meant, chooser=Undo())
    assert (found.right, found.wrong_action, found.guessed) == (True, False, True)
    assert not judge(meant).right
    rows = figures_of("x", [judge(meant, chooser=Undo()), judge(not_meant, chooser=Undo()), judge(meant)], "")
    (row,) = [row for row in rows if row.id.endswith("guessed")]
    assert row.value == pytest.approx(100 / 3)
    assert "an order where none was meant 1 of 1" in row.note
    assert judged(meant, Heard("embiggen time itself", 0.6), Undo()) == (True, False)


def test_nothing_that_was_understood_is_lost():
    least = {
        "first": 99,
        "second": 99,
        "third": 98,
        "fourth": 99,
        "fifth": 97,
        "sixth": 99,
        "seventh": 99,
        "eighth": 99,
        "ninth": 99,
        "tenth": 98,
        "eleventh": 95,
        "twelfth": 98,
        "thirteenth": 95,
        "fourteenth": 90,
        "fifteenth": 99,
        "sixteenth": 96,
        "seventeenth": 98,
        "eighteenth": 94,
        "nineteenth": 97,
        "twentieth": 98,
        "twenty-first": 99,
        "twenty-second": 98,
        "twenty-third": 98,
        "twenty-fourth": 99,
        "twenty-fifth": 97,
        "twenty-sixth": 94,
        "twenty-seventh": 99,
        "twenty-eighth": 93,
        "twenty-ninth": 99,
        "thirtieth": 89,
        "thirty-first": 96,
        "thirty-second": 89,
        "thirty-third": 90,
        "thirty-fourth": 91,
        "thirty-fifth": 93,
        "thirty-sixth": 86,
        "thirty-seventh": 89,
        "unseen": 94,
        "all": 96,
    }
    with_guesses = {"thirtieth": 94, "thirty-sixth": 93, "thirty-seventh": 94, "unseen": 97, "all": 98}
    # a number in a name, a no to nothing; "its" after a switch; a name's spelling; steps back, undone
    wrong = {
        "third": 1,
        "fifth": 1,
        "sixteenth": 1,
        "twenty-eighth": 1,
        "thirtieth": 1,
        "thirty-first": 1,
        "thirty-fifth": 1,
        "thirty-sixth": 1,
        "unseen": 3,
        "all": 8,
    }
    figures = measure_text(1, None, find_guesser(Settings()))
    guessed = {figure.id.split(".")[2]: figure.value for figure in figures if figure.id.endswith(".guessed")}
    for figure in figures:
        name = figure.id.split(".")[2]
        if figure.id.endswith(".guessed"):
            continue
        if figure.id.endswith(".confirmed"):
            assert figure.value <= 60  # wordy speakers, whose reasons are not read
        elif figure.id.endswith(".wrong"):
            assert round(figure.value * figure.n / 100) <= wrong.get(name, 0)
        else:
            assert figure.value >= with_guesses.get(name, 0)
            assert figure.value - guessed.get(name, 0) >= least[name]  # the grammar alone


def test_a_corpus_from_outside(tmp_path, capsys):
    file = tmp_path / "mine.jsonl"
    file.write_text(sentences_as_lines(recipe(3, 20)))
    assert read_sentences(file) == recipe(3, 20)
    main(["bench", "voice", "--text-only", "--json", "--corpus", str(file)])
    figures = json.loads(capsys.readouterr().out)["figures"]
    rows = ["voice.text.corpus", "voice.text.corpus.wrong", "voice.text.corpus.confirmed"]
    assert [f["id"] for f in figures] == rows
    file.write_text('{"say": "undo"}\n')
    with pytest.raises(SettingsError, match="Line 1"):
        read_sentences(file)


def test_a_wrong_action_is_one_that_would_be_carried_out(tmp_path):
    file = tmp_path / "one.jsonl"
    redo = '{"say": "undo", "intents": [{"kind": "command", "verb": "redo"}]}'
    file.write_text(redo + '\n{"say": "accept?", "intents": []}\n')
    undo, doubtful = [judge(s) for s in read_sentences(file)]
    assert (undo.right, undo.wrong_action, undo.waits) == (False, True, False)
    assert (doubtful.right, doubtful.wrong_action, doubtful.waits) == (True, False, False)


def test_an_order_that_a_yes_is_asked_for_is_counted(tmp_path):
    file = tmp_path / "one.jsonl"
    grow = '{"kind": "edit", "how": "grow", "mm": 5, "structure": "GTV"}'
    file.write_text(f'{{"say": "add 5 mm to the GTV", "intents": [{grow}]}}\n')
    (asked,) = (judge(s) for s in read_sentences(file))
    assert (asked.right, asked.wrong_action, asked.waits) == (True, False, True)


def test_the_bound():
    assert upper_bound(0, 600) == pytest.approx(0.00498, abs=1e-4)
    assert upper_bound(3, 3) == 1


def test_word_errors_and_intervals():
    assert word_errors("grow the GTV by three millimetres", "Grow the G T V by 3 mm.") == (0, 6)
    assert word_errors("undo twice", "end do twice please") == (3, 2)
    assert interval(0, 20) == (0.0, pytest.approx(0.168, abs=1e-3))
    assert interval(20, 20)[0] == pytest.approx(0.832, abs=1e-3)


def test_a_third_of_what_is_said_was_never_seen():
    said = corpus_of(1, None)
    unseen = {s.say for name in UNSEEN for s in read_sentences(PARAPHRASES[name])}
    assert len(said) >= 300
    assert sum(s.say in unseen for s in said) >= len(said) / 3
    assert {one.kind for s in said for one in s.intents} == set(KINDS)


def test_a_wrong_action_from_speech_is_one_carried_out():
    undo = read_sentences(PARAPHRASES["first"])[0]
    assert judged(undo, Heard(why="Nothing was heard.")) == (not undo.intents, False)
    assert judged(undo, Heard("lock the GTV", 0.95, "both")) == (False, True)
    assert judged(undo, Heard("lock the GTV", 0.6, "free")) == (not undo.intents, False)


def test_what_was_heard_amiss_is_told():
    heard = [
        Spoken("espeak", "clean", not wrong, wrong, "both", 0.1, 0.1, "undo", text)
        for wrong, text in ((False, "undo"), (True, "lock the GTV"))
    ]
    (figure,) = [one for one in spoken_figures(heard, 2, 2, "") if one.id == "intent.wrong"]
    assert figure.value == 50
    assert figure.note.endswith("Heard amiss: 'undo' as 'lock the GTV' (espeak, clean).")

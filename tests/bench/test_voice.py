"""The measurement of typed sentences."""

import json

import pytest

from osirix_agent.bench.sentences import (
    MORE_PARAPHRASES,
    PARAPHRASES,
    read_sentences,
    recipe,
    sentences_as_lines,
)
from osirix_agent.bench.voice import judge, measure_text, upper_bound
from osirix_agent.cli import main
from osirix_agent.errors import SettingsError
from osirix_agent.prompting.intent import KINDS


def test_the_corpus_is_large_and_holds_every_intent():
    written = [*read_sentences(PARAPHRASES), *read_sentences(MORE_PARAPHRASES)]
    made = recipe(1, 600)
    assert len(written) >= (len(written) + len(made)) / 3
    assert {one.kind for s in written for one in s.intents} == set(KINDS)
    assert made == recipe(1, 600) != recipe(2, 600)


def test_nothing_that_was_understood_is_lost():
    for figure in measure_text(1, None):
        if figure.id.endswith(".wrong"):
            assert figure.value == 0
        else:
            assert figure.value >= 97


def test_a_corpus_from_outside(tmp_path, capsys):
    file = tmp_path / "mine.jsonl"
    file.write_text(sentences_as_lines(recipe(3, 20)))
    assert read_sentences(file) == recipe(3, 20)
    main(["bench", "voice", "--text-only", "--json", "--corpus", str(file)])
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert [f["id"] for f in figures] == ["voice.text.corpus", "voice.text.corpus.wrong"]
    file.write_text('{"say": "undo"}\n')
    with pytest.raises(SettingsError, match="Line 1"):
        read_sentences(file)


def test_a_wrong_action_is_one_that_would_be_carried_out(tmp_path):
    file = tmp_path / "one.jsonl"
    redo = '{"say": "undo", "intents": [{"kind": "command", "verb": "redo"}]}'
    file.write_text(redo + '\n{"say": "accept?", "intents": []}\n')
    undo, doubtful = [judge(s) for s in read_sentences(file)]
    assert (undo.right, undo.wrong_action) == (False, True)
    assert (doubtful.right, doubtful.wrong_action) == (True, False)


def test_the_bound():
    assert upper_bound(0, 600) == pytest.approx(0.00498, abs=1e-4)
    assert upper_bound(3, 3) == 1

"""A tiny language model, randomly initialised by the test, chooses among typed intents and nothing else."""

from pathlib import Path

import pytest

from osirix_agent.errors import ModelError
from osirix_agent.network.chooser import LanguageModelChooser
from osirix_agent.prompting.command import candidates, understand
from osirix_agent.prompting.intent import Edit
from tests.tiny_language import write_language_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_language_model(tmp_path_factory.mktemp("language"))


def test_it_only_chooses_and_never_makes_a_number(folder):
    sentence = "I reckon the thing wants fattening by three millimetres superiorly"
    assert understand(sentence).questions
    options = [intent for _, intent in candidates(sentence)]
    assert Edit("grow", 3, ("superior",)) in options
    assert all(isinstance(one, Edit) and one.mm == 3 for one in options)
    chooser = LanguageModelChooser(folder)
    chosen = chooser.choose(sentence, [])
    assert len(chosen) <= 1
    assert set(chosen) <= set(options)
    assert chooser.choose(sentence, []) == chosen


def test_the_likeliest_is_taken(folder, monkeypatch):
    chooser = LanguageModelChooser(folder)
    for wanted in ("shrink", "grow"):
        monkeypatch.setattr(chooser, "_likelihood", lambda asked, words, wanted=wanted: float(words.startswith(wanted)))
        assert chooser.choose("embolden three mm", []) == (Edit(wanted, 3),)
    monkeypatch.setattr(chooser, "_likelihood", lambda asked, words: float(words == "something else"))
    assert chooser.choose("embolden three mm", []) == ()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="language model"):
        LanguageModelChooser(tmp_path)


def test_its_choice_is_confirmed(folder, open_practice, monkeypatch):
    from tests.agent.test_dictation import say
    from tests.agent.test_session_in_viewer import click

    practice = open_practice()
    chooser = LanguageModelChooser(folder)
    monkeypatch.setattr(chooser, "_likelihood", lambda asked, words: float(words.startswith("grow")))
    practice.engine._dictation._chooser = chooser
    click(practice)
    before = practice.mask().sum()
    done, what = say(practice, "embolden three mm superiorly")
    assert not done
    assert "Did you mean: grow 3 mm superior?" in what
    assert practice.mask().sum() == before
    assert say(practice, "yes")[0]
    assert practice.mask().sum() > before

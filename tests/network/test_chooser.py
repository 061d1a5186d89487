"""A tiny language model, randomly initialised by the test, chooses among typed intents and nothing else."""

from pathlib import Path

import pytest
import torch

from osirix_agent.errors import ModelError
from osirix_agent.network.chooser import LanguageModelChooser
from osirix_agent.prompting.command import candidates, understand
from osirix_agent.prompting.intent import Edit


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    place = tmp_path_factory.mktemp("language")
    letters = {letter: n for n, letter in enumerate(["<end>", *sorted(ByteLevel.alphabet())])}
    tokenizer = Tokenizer(BPE(letters, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(place)
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(letters), n_positions=512, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(place)
    return place


def test_it_only_chooses_and_never_makes_a_number(folder):
    sentence = "I reckon the thing wants fattening by three millimetres superiorly"
    assert understand(sentence).questions
    options = [intent for _, intent in candidates(sentence)]
    assert Edit("grow", 3, ("superior",)) in options
    assert all(isinstance(one, Edit) and one.mm == 3 for one in options)
    chooser = LanguageModelChooser(folder)
    chosen = chooser.choose(sentence, [])
    assert chosen is None or chosen in options
    assert chooser.choose(sentence, []) == chosen


def test_the_likeliest_is_taken(folder, monkeypatch):
    chooser = LanguageModelChooser(folder)
    for wanted in ("shrink", "grow"):
        monkeypatch.setattr(chooser, "_likelihood", lambda asked, words, wanted=wanted: float(words.startswith(wanted)))
        assert chooser.choose("embolden three mm", []) == Edit(wanted, 3)
    monkeypatch.setattr(chooser, "_likelihood", lambda asked, words: float(words == "something else"))
    assert chooser.choose("embolden three mm", []) is None


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

"""Tuning Whisper: what it is taught, and that what it learns is what the recogniser then uses."""

import numpy as np
import pytest
import torch

from osirix_agent.bench.sentences import HEARD, UNSEEN
from osirix_agent.bench.speech import _aloud, corpus_of
from osirix_agent.errors import ModelError, SettingsError, VoiceError
from osirix_agent.prompting.voice.free import log_mel, open_free, prompt_of
from osirix_agent.prompting.voice.sound import RATE_HZ
from osirix_agent.prompting.voice.synthetic import VOICES, Voice
from osirix_agent.prompting.voice.tuning import load_tuning, tuned
from osirix_agent.prompting.voice.weights import places, read, variable_of
from osirix_agent.training import dictation
from osirix_agent.training.dictation import (
    PROSE,
    TUTORS,
    DictationRecipe,
    heard_by,
    load_whisper,
    train_dictation,
    tuned_layers,
    varied,
    written,
)
from tests.tiny_whisper import write_whisper

TALKERS = [Voice(name, "tone", ("true",)) for name in ("a", "b", "c", "d")]
TEXTS = ("undo", "grow the GTV by 3 mm", "left parotid")
RECIPE = DictationRecipe(
    steps=4, warm_up=1, cool_down=1, sentences=2, rank=2, alpha=4, strength=1.0, half=False, shortest_s=2.0
)


def tone(voice, sentence):
    t = np.arange(int((0.5 + 0.02 * len(sentence)) * RATE_HZ)) / RATE_HZ
    hz = 200 + 40 * len(sentence) + 10 * ord(voice.name[0])
    return (0.2 * np.sin(2 * np.pi * hz * t) * (1 + np.sin(2 * np.pi * 3 * t))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("ctranslate2")
    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.mark.parametrize(
    ("said", "as_written"),
    [
        ("undo", "Undo."),
        ("grow the gtv by 3mm", "Grow the GTV by 3 mm."),
        ("Parotid_L, then accept", "Parotid left, then accept."),
        ("where should I look?", "Where should I look?"),
        ("GTVp 2 mm up", "GTVp 2 mm up."),
    ],
)
def test_sentences_are_written_as_whisper_writes(said, as_written):
    assert written(said) == as_written


def test_the_benchmark_says_nothing_that_was_taught():
    assert not {*HEARD} & {*UNSEEN}
    assert not {v.command for v in TUTORS} & {v.command for v in VOICES}
    assert not {v.command[0] for v in TUTORS if v.command[0] != "espeak-ng"} & {v.command[0] for v in VOICES}
    assert all(v.command[2].startswith("mb-") for v in TUTORS if v.command[0] == "espeak-ng")  # not espeak's own sound
    read_out = {_aloud(s.say) for s in corpus_of(1, None)}
    assert len(read_out) > 1000
    assert not read_out & {_aloud(s.say) for name in HEARD for s in dictation_sentences(name)}
    assert not read_out & {_aloud(said) for said in PROSE}


def dictation_sentences(name):
    from osirix_agent.bench.sentences import PARAPHRASES, read_sentences

    return read_sentences(PARAPHRASES[name])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_said_stays_sound_whatever_the_room(seed):
    noise = [np.random.default_rng(1).normal(0, 1, RATE_HZ).astype(np.float32)]
    said = tone(TALKERS[0], TEXTS[1])
    recipe = RECIPE.model_copy(update={"room": 1.0, "hum": 1.0, "quiet": 0.0})
    one, two = (varied(said, noise, recipe, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert 0.4 * len(said) < len(one) < 1.6 * len(said)
    assert 0.03 < np.abs(one).max() < 1


def test_too_few_voices_are_refused(tmp_path):
    with pytest.raises(VoiceError, match="Only 1 of the voices"):
        train_dictation(RECIPE, tmp_path, TEXTS, tmp_path, tmp_path, "0", TALKERS[:1], tone)


@pytest.mark.slow
def test_it_is_the_same_network_as_the_converted_one(folder):
    from transformers import WhisperForConditionalGeneration

    theirs = WhisperForConditionalGeneration.from_pretrained(folder.parent / "transformers").eval()
    ours = load_whisper(folder).network.eval()
    mel = torch.from_numpy(log_mel(np.random.default_rng(1).normal(0, 0.1, 30 * RATE_HZ).astype(np.float32), 80, 30.0))
    with torch.no_grad():
        wanted = theirs.model.encoder(mel[None]).last_hidden_state
        assert torch.allclose(heard_by(ours, mel[None]), wanted, atol=1e-4)
        ids = torch.tensor([[3, 5, 7]])
        assert torch.allclose(ours(encoder_outputs=(wanted,), decoder_input_ids=ids).logits,
                              theirs(encoder_outputs=(wanted,), decoder_input_ids=ids).logits, atol=1e-4)  # fmt: skip


@pytest.mark.slow
def test_what_it_learns_is_what_the_recogniser_uses(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dictation, "_TRACK_S", 2.0)
    train_dictation(RECIPE, folder, TEXTS, tmp_path / "work", tmp_path / "out", "1", TALKERS, tone)
    tuning = load_tuning(tmp_path / "out")
    files = tuned(folder, tuning)
    assert files is not None
    whisper = load_whisper(folder)
    layers = tuned_layers(whisper.network, RECIPE)
    assert {name.replace("/", ".").removesuffix(".default.weight") for name in layers} == tuning.factors.keys()
    known, changed = places(files["model.bin"]), 0
    for name, layer in whisper.network.named_modules():
        if f"{name}.lora_A" in tuning.factors:
            for one, held in (("lora_A", layer.lora_A), ("lora_B", layer.lora_B)):
                held["default"].weight.data = torch.from_numpy(tuning.factors[f"{name}.{one}"].astype(np.float32))
            variable, part, parts = variable_of(name)
            weight = torch.from_numpy(np.array(read(files["model.bin"], known[f"{variable}/weight"]), np.float32))
            wanted = layer.weight + layer.get_delta_weight("default")
            assert torch.allclose(weight.chunk(parts)[part], wanted, atol=2e-3)
            changed += not torch.equal(weight.chunk(parts)[part], layer.weight)
    assert changed >= 8
    sound = tone(TALKERS[0], TEXTS[0])
    plain, with_it = open_free(folder), open_free(folder, tuning)
    assert (plain.tuned, with_it.tuned) == ("", "dictation 1")
    assert plain.hypotheses(sound, {"GTV"}) != with_it.hypotheses(sound, {"GTV"})
    train_dictation(RECIPE, folder, TEXTS, tmp_path / "again", tmp_path / "out2", "1", TALKERS, tone)
    assert (tmp_path / "out2" / "SHA256SUMS").read_text() == (tmp_path / "out" / "SHA256SUMS").read_text()


@pytest.mark.slow
def test_it_learns_a_sentence_by_heart(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dictation, "_TRACK_S", 2.0)
    monkeypatch.setattr(dictation, "PROSE", ("undo",))
    recipe = RECIPE.model_copy(
        update={"steps": 40, "learning_rate": 1e-2, "written": 1.0, "tables": 0.0, "prose": 0.0, "rank": 8, "alpha": 16}
    )
    losses = []
    monkeypatch.setattr(dictation, "run", lambda r, n, p, turn, w: learn(r, p, turn, losses))
    train_dictation(recipe, folder, ("undo",), tmp_path / "work", tmp_path / "out", "1", TALKERS, tone)
    assert losses[-1] < 0.6 * losses[0]


def learn(recipe, trained, turn, losses):
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate)
    for step in range(recipe.steps):
        loss = turn(step, np.random.default_rng(step), torch.device("cpu"))["words"]
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    return {}


@pytest.mark.slow
def test_a_quantised_model_or_none_is_refused(tmp_path):
    pytest.importorskip("ctranslate2")
    for kind in ("int8", "int16"):
        with pytest.raises(SettingsError, match="cannot be tuned"):
            load_whisper(write_whisper(tmp_path / kind, kind))
    with pytest.raises(ModelError, match="cannot be used"):
        load_whisper(tmp_path / "nothing")
    whole = write_whisper(tmp_path / "whole")
    (tmp_path / "tokenizer.json").write_bytes((whole / "tokenizer.json").read_bytes())
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(ModelError):
        load_whisper(tmp_path)


def test_it_is_told_beforehand_what_the_session_tells_it(folder):
    from tokenizers import Tokenizer

    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    given, wanted = dictation._tokens(tokens, ["undo", "left parotid"], ["GTV"])
    before = tokens.encode(prompt_of(["GTV"]), add_special_tokens=False).ids
    assert given[0, 1 : 1 + len(before)].tolist() == before
    end = tokens.token_to_id("<|endoftext|>")
    for row, text in ((0, " Undo."), (1, " Left parotid.")):
        ids = tokens.encode(text, add_special_tokens=False).ids
        asked = wanted[row] >= 0
        assert wanted[row][asked].tolist() == [*ids, end]
        assert given[row][1:][asked[:-1]].tolist()[: len(ids)] == ids  # each said before the next is asked for

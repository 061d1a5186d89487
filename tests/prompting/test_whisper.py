"""The free recogniser on a tiny Whisper of random weights, made here and converted as a user would."""

import numpy as np
import pytest

from osirix_agent.errors import ModelError
from osirix_agent.prompting.voice.free import open_free, own_words
from osirix_agent.prompting.voice.fusion import fused
from tests.tiny_whisper import write_whisper

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("ctranslate2")
    return write_whisper(tmp_path_factory.mktemp("whisper"))


def test_it_hears_something_and_says_how_surely(folder):
    sound = np.random.default_rng(1).normal(0, 0.1, 32_000).astype(np.float32)
    words = open_free(folder).hypotheses(sound, {"GTV"})
    assert 0 < len(words.hypotheses) <= 5
    scores = [one.score for one in words.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= words.english <= 1
    assert 0 <= words.no_speech <= 1
    assert open_free(folder).hypotheses(sound, {"GTV"}) == words
    assert not fused((), words, {"GTV"}).text  # letters at random are no sentence


def test_again_it_writes_only_what_its_own_words_hold(folder):
    sound = np.random.default_rng(2).normal(0, 0.1, 32_000).astype(np.float32)
    free = open_free(folder)
    free.hypotheses(sound, {"node"})
    found = free.again(sound, {"node"})
    assert 0 < len(found) <= 10
    letters = {letter for word in own_words({"node"}) for letter in word} | {" "}
    assert all({*one.text} <= letters for one in found)
    assert found == open_free(folder).again(sound, {"node"})


def test_a_broken_model_says_so(folder, tmp_path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be used"):
        open_free(tmp_path)

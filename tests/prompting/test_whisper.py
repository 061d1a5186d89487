"""The free recogniser on a tiny Whisper of random weights, made here and converted as a user would."""

import numpy as np
import pytest

from osirix_agent.errors import ModelError
from osirix_agent.prompting.voice.free import open_free, own_words
from osirix_agent.prompting.voice.fusion import fused

pytestmark = pytest.mark.slow
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>",
           "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch = pytest.importorskip("torch")
    ctranslate2 = pytest.importorskip("ctranslate2")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

    at, out = tmp_path_factory.mktemp("transformers"), tmp_path_factory.mktemp("whisper") / "model"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token=SPECIAL[0], additional_special_tokens=SPECIAL[1:]
    )
    tokens.save_pretrained(at)
    (at / "tokenizer.json").write_text(tokenizer.to_str())
    torch.manual_seed(1)
    end = len(letters)
    config = WhisperConfig(
        vocab_size=end + len(SPECIAL), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=448,
        pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=end + 1,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=end + 1, eos_token_id=end, pad_token_id=end, suppress_tokens=[],
        begin_suppress_tokens=[],
        alignment_heads=[[0, 0]], lang_to_id={"<|en|>": end + 2, "<|de|>": end + 3}, no_timestamps_token_id=end + 9,
    )  # fmt: skip
    model.save_pretrained(at)
    ctranslate2.converters.TransformersConverter(str(at), copy_files=["tokenizer.json"]).convert(str(out))
    return out


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

"""A Whisper of random weights and a few kilobytes, converted as a user would."""

from __future__ import annotations

from pathlib import Path

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>",
           "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip


def write_whisper(folder: Path, quantization: str | None = None) -> Path:
    """As `transformers` keeps it in `folder / "transformers"`; returns the folder for CTranslate2."""
    import ctranslate2
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

    at, out = folder / "transformers", folder / "whisper"
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
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=1024,
        init_std=0.3, pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=end + 1,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=end + 1, eos_token_id=end, pad_token_id=end, suppress_tokens=[],
        begin_suppress_tokens=[],
        alignment_heads=[[0, 0]], lang_to_id={"<|en|>": end + 2, "<|de|>": end + 3}, no_timestamps_token_id=end + 9,
    )  # fmt: skip
    model.save_pretrained(at)
    converter = ctranslate2.converters.TransformersConverter(str(at), copy_files=["tokenizer.json"])
    converter.convert(str(out), quantization=quantization)
    return out

"""A language model of a few thousand random weights, in a folder as `transformers` writes it."""

from __future__ import annotations

from pathlib import Path


def write_language_model(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    letters = {letter: n for n, letter in enumerate(["<end>", *sorted(ByteLevel.alphabet())])}
    tokenizer = Tokenizer(BPE(letters, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(letters), n_positions=512, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder

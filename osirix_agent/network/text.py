"""Words to a query: a small pretrained sentence encoder with LoRA, and what rules read better than it does.

Sentence encoders place "left parotid" beside "right parotid" (cosine 0.97 for MiniLM), so side and kind are parsed by
rule and given beside the embedding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

MAX_TOKENS = 32


class Side(IntEnum):
    NONE = 0
    LEFT = 1
    RIGHT = 2
    BOTH = 3


class Kind(IntEnum):
    """What sort of thing is asked for."""

    OTHER = 0
    ORGAN = 1
    TARGET = 2
    LESION = 3


_LEFT = re.compile(r"\b(left|lt|l|sinistra?)\b")
_RIGHT = re.compile(r"\b(right|rt|r|dextra?)\b")
_BOTH = re.compile(r"\b(both|bilateral)\b")
_TARGET = re.compile(r"\b(ptv|ctv|gtv|itv|target|planning)\w*\b")
_LESION = re.compile(r"\b(tumou?r|lesion|mass|nodule|sarcoma|metastas[ie]s|oedema|edema|node)s?\b")


@dataclass(frozen=True)
class Phrase:
    """What is asked for, in plain words, with what the rules read from it.

    Attributes
    ----------
    text : lower case, e.g. "left parotid gland"
    """

    text: str
    side: Side
    kind: Kind

    @classmethod
    def read(cls, text: str) -> Phrase:
        """Plain words; ROI spellings such as `Parotid_L` are opened up first."""
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
        plain = re.sub(r"[^a-z0-9+]+", " ", plain.lower()).strip()
        left, right = bool(_LEFT.search(plain)), bool(_RIGHT.search(plain))
        side = (
            Side.BOTH if _BOTH.search(plain) or (left and right)
            else Side.LEFT if left else Side.RIGHT if right else Side.NONE
        )  # fmt: skip
        kind = Kind.TARGET if _TARGET.search(plain) else Kind.LESION if _LESION.search(plain) else Kind.ORGAN
        return cls(plain[:400], side, kind if plain else Kind.OTHER)


class TextTower(nn.Module):
    """Phrases to queries.

    Parameters
    ----------
    config : of the `transformers.BertModel`
    vocabulary : tokens in order, one word piece each
    query_width : length of a query
    """

    def __init__(self, config: dict[str, Any], vocabulary: list[str], query_width: int) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        self.vocabulary = vocabulary
        self.bert: Any = BertModel(BertConfig(**{**config, "vocab_size": len(vocabulary)}), add_pooling_layer=False)
        self.query = nn.Sequential(
            nn.Linear(config["hidden_size"] + len(Side) + len(Kind), 2 * query_width),
            nn.SiLU(),
            nn.Linear(2 * query_width, query_width),
            nn.LayerNorm(query_width),
        )
        self._tokenizer = word_piece(vocabulary)

    def forward(self, phrases: list[Phrase]) -> Tensor:
        """(K, query_width) for K phrases."""
        device = self.query[0].weight.device
        encoded = self._tokenizer.encode_batch([p.text for p in phrases])
        ids = torch.tensor([e.ids for e in encoded], device=device)
        mask = torch.tensor([e.attention_mask for e in encoded], device=device)
        tokens = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].to(tokens.dtype)
        mean = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)
        eye_side, eye_kind = torch.eye(len(Side), device=device), torch.eye(len(Kind), device=device)
        rules = torch.stack([torch.cat([eye_side[p.side], eye_kind[p.kind]]) for p in phrases])
        query: Tensor = self.query(torch.cat([mean, rules.to(mean.dtype)], dim=1))
        return query


def word_piece(vocabulary: list[str]) -> Any:
    """BERT's uncased word-piece tokeniser over this vocabulary, padding and cutting included."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing

    ids = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=ids["[PAD]"], pad_token="[PAD]")
    return tokenizer


def prune(folder: Path, words: list[str], layers: int) -> tuple[dict[str, Any], list[str], dict[str, Tensor]]:
    """A pretrained BERT-like encoder cut down: its first layers, and of its vocabulary what `words` need.

    All single characters and two-letter pieces are kept, so that any other text still has a spelling.

    Parameters
    ----------
    folder : with config.json, vocab.txt and model.safetensors
    words : text that must keep its own tokens

    Returns
    -------
    config, vocabulary, state dict for `TextTower.bert`
    """
    import json

    from safetensors.torch import load_file

    everything = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    full = word_piece(everything)
    used = {number for e in full.encode_batch(words) for number in e.ids}
    kept = [
        number for number, token in enumerate(everything)
        if number in used or token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
        or (len(token.removeprefix("##")) <= 2 and token.removeprefix("##").isascii() and "[" not in token)
    ]  # fmt: skip
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = (
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "layer_norm_eps",
        "hidden_act",
        "type_vocab_size",
    )
    config = {name: raw[name] for name in names} | {"num_hidden_layers": layers, "max_position_embeddings": MAX_TOKENS}
    state: dict[str, Tensor] = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if name.startswith(("embeddings.", "encoder.layer.")) and not name.endswith("position_ids"):
            parts = name.split(".")
            if parts[0] == "encoder" and int(parts[2]) >= layers:
                continue
            state[name] = value.float()
    state["embeddings.word_embeddings.weight"] = state["embeddings.word_embeddings.weight"][kept].clone()
    position = "embeddings.position_embeddings.weight"
    state[position] = state[position][:MAX_TOKENS].clone()
    return config, [everything[number] for number in kept], state

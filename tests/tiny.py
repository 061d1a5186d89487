"""A sentence encoder and models small enough to make in a test, by the code that makes the real ones."""

from __future__ import annotations

from pathlib import Path

import torch

from osirix_agent.model_folder import FORMAT
from osirix_agent.network.checkpoint import (
    AdapterDescription,
    ModelDescription,
    load_model,
    save_adapter,
    save_model,
    write_folder,
)
from osirix_agent.network.lora import add_lora, lora_tensors
from osirix_agent.network.refiner import DESCRIPTION, FOLDER, Refiner, RefinerDescription
from osirix_agent.training.base import BaseRecipe, new_network
from osirix_agent.training.examples import DrawRecipe
from osirix_agent.training.phrases import every_word

DRAW = DrawRecipe(coarse_shape=(16, 32, 32), fine_shape=(16, 32, 32), tall_shape=(32, 16, 16))
RECIPE = BaseRecipe(
    image_widths=(8, 8, 16, 16), prompt_widths=(8, 8, 8, 16), text_layers=1, text_lora_rank=2, steps=4, warm_up=1,
    cool_down=1, draw=DRAW, half=False,
)  # fmt: skip


def write_encoder(folder: Path) -> Path:
    """A BERT of two layers with random weights, laid out as the pretrained one is."""
    from transformers import BertConfig, BertModel

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    words = sorted({word for text in every_word() for word in text.lower().split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + c for c in letters), *words]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    return folder


def write_model(folder: Path, encoder: Path, seed: int = 1) -> Path:
    """A base with random weights that has learnt nothing but says it knows the left parotid."""
    network = new_network(RECIPE.model_copy(update={"seed": seed}), encoder)
    description = ModelDescription(
        format=FORMAT, name="tiny", version="0", licence="Apache-2.0", network=network.config.as_json(),
        vocabulary=tuple(network.text.vocabulary), structures=("Parotid_L",),
    )  # fmt: skip
    save_model(folder, network, description, RECIPE.model_dump())
    return folder


def write_adapter(
    folder: Path, base: Path, *, strength: float = 0.0, serves: str = "GTV", leads: bool = True, joined: bool = False
) -> Path:
    """An adapter whose factors add random weights of a given strength."""
    model = load_model(base)
    torch.manual_seed(3)
    add_lora(model.network, 2, 4)
    tensors = {
        name: value + strength * torch.randn_like(value) if "lora_B" in name else value
        for name, value in lora_tensors(model.network).items()
    }
    description = AdapterDescription(
        format=FORMAT, name=f"tiny-{serves.lower()}", version="0", licence="Apache-2.0", base=model.digest, rank=2,
        alpha=4, serves=(serves,), leads=leads, joined=joined,
    )  # fmt: skip
    save_adapter(folder, tensors, description, {})
    return folder


def write_refiner(base: Path, *, strength: float = 0.0) -> Path:
    """A refiner in a base's folder that changes logits at random, by about `strength`."""
    torch.manual_seed(4)
    refiner = Refiner(("Parotid",), (8, 8, 8))
    torch.nn.init.normal_(refiner.change.weight, std=strength)
    described = RefinerDescription(
        name="tiny-refiner", version="0", licence="Apache-2.0", base=load_model(base).digest,
        structures=refiner.structures, widths=(8, 8, 8),
    )  # fmt: skip
    write_folder(base / FOLDER, refiner.state_dict(), DESCRIPTION, described, {})
    return base / FOLDER

"""Train the base: anatomy, synthetic shapes, disguised modalities; no sarcoma, no target volumes."""

from __future__ import annotations

from pathlib import Path

import torch

from osirix_agent.model_folder import FORMAT
from osirix_agent.network.checkpoint import ModelDescription, load_model, save_model
from osirix_agent.network.lora import fold
from osirix_agent.network.model import NetworkConfig, PromptableNetwork
from osirix_agent.network.text import prune
from osirix_agent.training.cases import Case, train_cases
from osirix_agent.training.loop import first_process, on_cases, run
from osirix_agent.training.phrases import ORGANS, TG263, every_word
from osirix_agent.training.step import Recipe


class BaseRecipe(Recipe):
    """Everything that decides the base's weights, stored beside them."""

    structures: tuple[str, ...] = tuple(ORGANS)
    image_widths: tuple[int, int, int, int] = (32, 64, 128, 160)
    prompt_widths: tuple[int, int, int, int] = (24, 48, 64, 96)
    text_layers: int = 3
    text_lora_rank: int = 8


def new_network(recipe: BaseRecipe, encoder: Path) -> PromptableNetwork:
    """A network with random vision and pretrained language weights.

    `encoder`: folder of a BERT-like sentence encoder (config.json, vocab.txt, model.safetensors).
    """
    torch.manual_seed(recipe.seed)
    config, vocabulary, state = prune(encoder, every_word(), recipe.text_layers)
    sizes = NetworkConfig(image_widths=recipe.image_widths, prompt_widths=recipe.prompt_widths, text=config)
    network = PromptableNetwork(sizes, vocabulary)
    network.text.bert.load_state_dict(state)
    with torch.no_grad():  # structures fill about a hundredth of an image
        network.decoder.seg_head.bias.fill_(-2.0)
        network.mask_embedding.bias[-1] = -4.0
    return network


def add_text_lora(network: PromptableNetwork, rank: int) -> None:
    """LoRA on the sentence encoder's queries and values; everything else of it stays frozen."""
    from peft import LoraConfig, inject_adapter_in_model

    network.text.bert.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"])
    inject_adapter_in_model(config, network.text.bert)


def train_base(
    recipe: BaseRecipe, begin: Path, work: Path, out: Path, version: str, cases: list[Case] | None = None
) -> None:
    """Train, or go on where `work` says training stopped, and write the model folder `out`.

    Parameters
    ----------
    begin : folder of a sentence encoder, for a new network; or of a base, to train it further
    work : holds checkpoints and TensorBoard logs and can be deleted afterwards
    """
    if (begin / "model.json").is_file():
        network = load_model(begin).network.requires_grad_(True)
    else:
        network = new_network(recipe, begin)
    add_text_lora(network, recipe.text_lora_rank)
    cases = train_cases("openkbp") if cases is None else cases
    trained = [p for p in network.parameters() if p.requires_grad]
    averaged = run(recipe, network, trained, on_cases(recipe, network, cases, recipe.structures), work)
    if not first_process():
        return
    network.load_state_dict(averaged)
    fold(network)
    description = ModelDescription(
        format=FORMAT, name="rt-base", version=version, licence="Apache-2.0", network=network.config.as_json(),
        vocabulary=tuple(network.text.vocabulary), structures=tuple(TG263.get(s, s) for s in recipe.structures),
    )  # fmt: skip
    save_model(out, network, description, recipe.model_dump())

"""LoRA on vision and language: make it, train it, fold it into a copy of the base.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, by `peft`.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from osirix_agent.network.model import PromptableNetwork

# residual convolutions and conditioning of encoder and decoder, and the sentence encoder's attention; not the
# convolutions of one voxel, which peft 0.21 cannot merge in 3D
TARGETS = r".*\.(c1|c2|film)$|.*\.self\.(query|value)$|mask_embedding"


def add_lora(
    network: PromptableNetwork, rank: int, alpha: int, tensors: dict[str, Tensor] | None = None
) -> list[nn.Parameter]:
    """Put trainable low-rank factors beside the frozen weights, in place; returns them.

    `tensors`: an adapter's factors to begin with; without, factors that change nothing yet.

    Raises
    ------
    KeyError
        The adapter has no factors for a layer of this network, or some for a layer it lacks.
    """
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=TARGETS), network)
    if tensors is not None:
        own = lora_tensors(network)
        if own.keys() != tensors.keys():
            raise KeyError(sorted(own.keys() ^ tensors.keys())[0])
        for name, value in tensors.items():
            own[name].copy_(value)
    return [p for n, p in network.named_parameters() if "lora_" in n]


def lora_tensors(network: PromptableNetwork) -> dict[str, Tensor]:
    """The factors alone, by parameter name."""
    return {name: value for name, value in network.state_dict().items() if "lora_" in name}


def merged(base: PromptableNetwork, tensors: dict[str, Tensor], rank: int, alpha: int) -> PromptableNetwork:
    """A copy of the base with an adapter folded in, as `add_lora` takes it; the base stays as it is."""
    network = copy.deepcopy(base)
    add_lora(network, rank, alpha, tensors)
    fold(network)
    return network.eval().requires_grad_(False)


def fold(network: nn.Module) -> None:
    """Merge every LoRA layer into its weight and take the wrappers away."""
    from peft.tuners.lora import LoraLayer

    layers: list[tuple[str, Any]] = [(n, m) for n, m in network.named_modules() if isinstance(m, LoraLayer)]
    for name, layer in layers:
        layer.merge()
        parent = network.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], layer.get_base_layer())

"""A base and its adapters, each under the name that what it makes is known by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from osirix_agent.errors import ModelError
from osirix_agent.network.checkpoint import WEIGHTS, check_sums, load_adapter, load_model
from osirix_agent.network.lora import merged
from osirix_agent.network.model import PromptableNetwork


@dataclass(frozen=True, eq=False)
class Weights:
    """The base's, or those of one adapter merged into it.

    Attributes
    ----------
    source : what is made with them says that it comes from there: name, version and digest
    called : name and version
    serves : beginnings of the structure names that they answer for; empty for the base, which takes all others
    structures : that they find from words
    """

    source: str
    called: str
    network: PromptableNetwork
    serves: tuple[str, ...]
    structures: tuple[str, ...]


def load_weights(folder: Path, adapters: Iterable[Path], device: str) -> list[Weights]:
    """The base, then the adapters.

    Raises
    ------
    ModelError
        A folder is missing or altered, or an adapter does not fit the base.
    """
    model = load_model(folder, device)
    called = f"{model.description.name} {model.description.version}"
    base = Weights(f"{called} ({model.digest[:12]})", called, model.network, (), model.description.structures)
    found = [base]
    for path in adapters:
        described, tensors = load_adapter(path, model.digest)
        try:
            network = merged(model.network, tensors, described.rank, described.alpha)
        except (KeyError, RuntimeError):
            raise ModelError(
                f"The adapter '{described.name}' does not fit the base's layers.",
                "Train the adapter again on this base.",
            ) from None
        called = f"{described.name} {described.version}"
        source = f"{called} ({check_sums(path)[WEIGHTS][:12]}) on {base.source}"
        network = network.to(memory_format=torch.channels_last_3d)
        found.append(Weights(source, called, network, described.serves, described.structures))
    return found

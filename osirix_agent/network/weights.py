"""A base and its adapters, each under the name that what it makes is known by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import WEIGHTS, check_sums
from osirix_agent.network.checkpoint import load_adapter, load_model
from osirix_agent.network.lora import merged
from osirix_agent.network.model import PromptableNetwork
from osirix_agent.network.refiner import DESCRIPTION, FOLDER, Refiner, load_refiner


@dataclass(frozen=True, eq=False)
class Weights:
    """The base's, or those of one adapter merged into it.

    Attributes
    ----------
    source : what is made with them says that it comes from there: name, version and digest
    called : name and version
    serves : beginnings of the structure names that they answer for; empty for the base, which takes all others
    structures : that they find from words
    leads : does `auto` ask them rather than the classical segmenter?
    joined : are their log-odds averaged with the classical segmenter's?
    refiner : of the base alone, where its folder holds one
    """

    source: str
    called: str
    network: PromptableNetwork
    serves: tuple[str, ...]
    structures: tuple[str, ...]
    leads: bool = True
    joined: bool = False
    refiner: Refiner | None = None


def load_weights(folder: Path, adapters: Iterable[Path], device: str, refine: bool = True) -> list[Weights]:
    """The base, then the adapters.

    Parameters
    ----------
    refine : with the refiner that lies in the base's folder, if one does

    Raises
    ------
    ModelError
        A folder is missing or altered, or an adapter or the refiner does not fit the base.
    """
    model = load_model(folder, device)
    called = f"{model.description.name} {model.description.version}"
    source = base = f"{called} ({model.digest[:12]})"
    refiner = None
    if refine and (folder / FOLDER / DESCRIPTION).is_file():
        refiner, name = load_refiner(folder / FOLDER, model.digest, device)
        source = f"{base} refined by {name}"
    found = [Weights(source, called, model.network, (), model.description.structures, refiner=refiner)]
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
        source = f"{called} ({check_sums(path)[WEIGHTS][:12]}) on {base}"
        network = network.to(memory_format=torch.channels_last_3d)
        found.append(
            Weights(
                source, called, network, described.serves, described.structures, described.leads, described.joined
            )
        )  # fmt: skip
    return found

"""Bases and adapters as folders of safetensors, with what must be known to trust and to rebuild them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import (
    GET_IT_AGAIN,
    WEIGHTS,
    FolderDescription,
    check_sums,
    read_description,
    sha256,
    write_sums,
)
from osirix_agent.network.model import NetworkConfig, PromptableNetwork


class ModelDescription(FolderDescription):
    """What `model.json` says.

    Attributes
    ----------
    structures : names it was taught to find from words, in TG-263 spelling
    """

    kind: Literal["base"] = "base"
    network: dict[str, Any]
    vocabulary: tuple[str, ...]
    structures: tuple[str, ...]


class AdapterDescription(FolderDescription):
    """What `adapter.json` says.

    Attributes
    ----------
    base : SHA-256 of the base's weights that the adapter changes
    serves : beginnings of structure names it is meant for, such as "GTV"
    leads : is it better on them than the classical segmenter, so that `auto` asks it?
    joined : are its log-odds averaged with the classical segmenter's, where that is better than either?
    """

    kind: Literal["adapter"] = "adapter"
    base: str
    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    serves: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()
    leads: bool = True
    joined: bool = False


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded base.

    Attributes
    ----------
    digest : SHA-256 of the weights
    """

    network: PromptableNetwork
    description: ModelDescription
    digest: str


def save_model(folder: Path, network: PromptableNetwork, description: ModelDescription, recipe: dict[str, Any]) -> str:
    """Write weights (half precision), description, recipe and sums; returns the weights' digest."""
    return write_folder(folder, network.state_dict(), "model.json", description, recipe)


def load_model(folder: Path, device: str = "cpu") -> Model:
    """Load a base, checking every byte.

    Raises
    ------
    ModelError
        Missing, cut short, altered, or newer than this program.
    """
    description = read_description(folder, "model.json", ModelDescription)
    digest = check_sums(folder)[WEIGHTS]
    network = PromptableNetwork(NetworkConfig.from_json(description.network), list(description.vocabulary))
    state = read_tensors(folder / WEIGHTS)
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except RuntimeError:
        raise ModelError(f"The weights in {folder} do not fit their own description.", GET_IT_AGAIN) from None
    network = network.to(device=device, memory_format=torch.channels_last_3d)
    return Model(network.eval().requires_grad_(False), description, digest)


def save_adapter(
    folder: Path, tensors: dict[str, Tensor], description: AdapterDescription, recipe: dict[str, Any]
) -> None:
    """Write an adapter's factors, as `save_model` writes a base."""
    write_folder(folder, tensors, "adapter.json", description, recipe)


def load_adapter(folder: Path, base_digest: str) -> tuple[AdapterDescription, dict[str, Tensor]]:
    """An adapter's description and float32 tensors.

    Raises
    ------
    ModelError
        As `load_model`; or it was made for another base.
    """
    description = read_description(folder, "adapter.json", AdapterDescription)
    check_sums(folder)
    if description.base != base_digest:
        raise ModelError(
            f"The adapter '{description.name}' was made for another base (its weights begin with "
            f"{description.base[:12]}, these with {base_digest[:12]}).",
            "Use the base it was made for, or train the adapter again on this one.",
        )
    return description, {name: value.float() for name, value in read_tensors(folder / WEIGHTS).items()}


def write_folder(
    folder: Path, tensors: dict[str, Tensor], name: str, description: BaseModel, recipe: dict[str, Any]
) -> str:
    """Write half-precision tensors, a description under its name, recipe and sums; returns the weights' digest."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: v.detach().to(torch.float16).contiguous() for n, v in tensors.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)
    _write_json(folder / name, description.model_dump())
    _write_json(folder / "recipe.json", recipe)
    write_sums(folder)
    return sha256(folder / WEIGHTS)


def read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise ModelError(f"{path} cannot be read as safetensors.", GET_IT_AGAIN) from None


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

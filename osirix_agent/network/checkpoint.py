"""Model folders: safetensors with what must be known to trust and to rebuild them.

A folder holds `model.json` (format, sizes, vocabulary, what it learnt), `weights.safetensors`, `recipe.json`,
`metrics.json`, `card.md`, `LICENSE` and `SHA256SUMS`. An adapter's folder holds `adapter.json` in place of
`model.json`, with the digest of the base that it was made for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from osirix_agent.errors import ModelError
from osirix_agent.network.model import NetworkConfig, PromptableNetwork

FORMAT = 1
WEIGHTS = "weights.safetensors"
CALIBRATION = "calibration.json"  # not among the sums: a site may fit its own
_Description = TypeVar("_Description", bound=BaseModel)
_GET_IT_AGAIN = "Copy the model's folder again from where it came from."


class ModelDescription(BaseModel):
    """What `model.json` says.

    Attributes
    ----------
    structures : names it was taught to find from words, in TG-263 spelling
    """

    model_config = ConfigDict(frozen=True)

    format: int
    kind: Literal["base"] = "base"
    name: str
    version: str
    licence: str
    network: dict[str, Any]
    vocabulary: tuple[str, ...]
    structures: tuple[str, ...]


class AdapterDescription(BaseModel):
    """What `adapter.json` says.

    Attributes
    ----------
    base : SHA-256 of the base's weights that the adapter changes
    serves : beginnings of structure names it is meant for, such as "GTV"
    leads : is it better on them than the classical segmenter, so that `auto` asks it?
    """

    model_config = ConfigDict(frozen=True)

    format: int
    kind: Literal["adapter"] = "adapter"
    name: str
    version: str
    licence: str
    base: str
    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    serves: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()
    leads: bool = True


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
        raise ModelError(f"The weights in {folder} do not fit their own description.", _GET_IT_AGAIN) from None
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


def write_sums(folder: Path) -> None:
    """SHA256SUMS over every other file but the calibration, as `sha256sum -c` reads it."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name not in ("SHA256SUMS", CALIBRATION))
    lines = [f"{_sha256(path)}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> dict[str, str]:
    """File name to digest, after checking them all.

    Raises
    ------
    ModelError
        A file is missing or is not what SHA256SUMS says.
    """
    path = folder / "SHA256SUMS"
    if not path.is_file():
        raise ModelError(f"The model folder {folder} has no SHA256SUMS.", _GET_IT_AGAIN)
    sums = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if "/" in name or not (folder / name).is_file():
            raise ModelError(f"The model folder {folder} lacks the file '{name}'.", _GET_IT_AGAIN)
        if _sha256(folder / name) != digest:
            raise ModelError(f"The file '{name}' in {folder} is not the one that was shipped.", _GET_IT_AGAIN)
        sums[name] = digest
    if WEIGHTS not in sums:
        raise ModelError(f"SHA256SUMS in {folder} does not vouch for {WEIGHTS}.", _GET_IT_AGAIN)
    return sums


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
    return _sha256(folder / WEIGHTS)


def read_description(folder: Path, name: str, kind: type[_Description]) -> _Description:
    """What a folder says of itself.

    Raises
    ------
    ModelError
        It is missing, incomplete, or newer than this program.
    """
    path = folder / name
    if not path.is_file():
        raise ModelError(f"There is no model in {folder}: {name} is missing.", "Give the folder that holds it.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        newer = isinstance(raw, dict) and int(raw.get("format", 0)) > FORMAT
    except (ValueError, TypeError, UnicodeDecodeError):
        raise ModelError(f"{name} in {folder} cannot be read.", _GET_IT_AGAIN) from None
    if newer:
        raise ModelError(
            f"The model in {folder} has format {raw['format']}; this version reads up to {FORMAT}.",
            "Update osirix-agent.",
        )
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        where = ".".join(str(p) for p in error.errors()[0]["loc"])
        raise ModelError(f"{name} in {folder} is incomplete at '{where}'.", _GET_IT_AGAIN) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise ModelError(f"{path} cannot be read as safetensors.", _GET_IT_AGAIN) from None


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

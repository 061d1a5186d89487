"""Folders of models: what lies in one, whether it is as it was shipped, what it says of itself. Without torch.

A folder holds a description (`model.json`, `adapter.json`, `refiner.json`, `dictation.json` or `guesses.json`: format,
sizes, what it learnt and what it was made for), `weights.safetensors`, `recipe.json`, `metrics.json`, `card.md`,
`LICENSE` and `SHA256SUMS`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from osirix_agent.errors import ModelError

FORMAT = 1
WEIGHTS = "weights.safetensors"
CALIBRATION = "calibration.json"  # not among the sums: a site may fit its own
GET_IT_AGAIN = "Copy the model's folder again from where it came from."
_Description = TypeVar("_Description", bound=BaseModel)


class FolderDescription(BaseModel):
    """What the description of any model folder says first."""

    model_config = ConfigDict(frozen=True)

    format: int
    kind: str
    name: str
    version: str
    licence: str


def shipped_models() -> Path | None:
    """The folder of shipped models: in the installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_models", package.parent / "models"):
        if any(folder.glob("*/model.json")):
            return folder
    return None


def write_sums(folder: Path) -> None:
    """SHA256SUMS over every other file but the calibration, as `sha256sum -c` reads it."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name not in ("SHA256SUMS", CALIBRATION))
    lines = [f"{sha256(path)}  {path.name}\n" for path in files]
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
        raise ModelError(f"The model folder {folder} has no SHA256SUMS.", GET_IT_AGAIN)
    sums = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if "/" in name or not (folder / name).is_file():
            raise ModelError(f"The model folder {folder} lacks the file '{name}'.", GET_IT_AGAIN)
        if sha256(folder / name) != digest:
            raise ModelError(f"The file '{name}' in {folder} is not the one that was shipped.", GET_IT_AGAIN)
        sums[name] = digest
    if WEIGHTS not in sums:
        raise ModelError(f"SHA256SUMS in {folder} does not vouch for {WEIGHTS}.", GET_IT_AGAIN)
    return sums


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
        raise ModelError(f"{name} in {folder} cannot be read.", GET_IT_AGAIN) from None
    if newer:
        raise ModelError(
            f"The model in {folder} has format {raw['format']}; this version reads up to {FORMAT}.",
            "Update osirix-agent.",
        )
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        where = ".".join(str(p) for p in error.errors()[0]["loc"])
        raise ModelError(f"{name} in {folder} is incomplete at '{where}'.", GET_IT_AGAIN) from None


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

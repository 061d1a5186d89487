"""Folders of public models: which files must be there, whose licence they carry, and how they are opened safely.

Nothing here downloads, and nothing in a folder is run as code: plans may name only network parts, and a pickle is
opened by torch's unpickler for weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from osirix_agent.errors import ModelError

# kind: the module without which it cannot run, the extra that brings it, the file by which its folder is known
KINDS = {
    "nninteractive": ("nnInteractive.inference.inference_session", "nninteractive", "plans.json"),
    "voxtell": ("voxtell.inference.predictor", "voxtell", "plans.json"),
    "sam": ("transformers", "model", "config.json"),
}
ADAPTER_WEIGHTS = "adapter_model.safetensors"
SAFE_PARTS = ("torch.nn.", "dynamic_network_architectures.")  # what plans may have built
FIRST_NNINTERACTIVE = "Dataset225_nnInteractiveV2"  # published without a LICENSE in its folder; its licence is known
_DOWNLOAD = "Download the model's folder again, whole, from where it is published."
_STRIP = (
    "If you trust its publisher, write it anew as plain weights: see docs/how-to/use-a-public-model.md, 'A checkpoint "
    "that is refused'."
)


@dataclass(frozen=True)
class Licence:
    """What a folder says about its use.

    Attributes
    ----------
    text : short; empty: the folder says nothing
    commercial : None: not known
    """

    text: str
    commercial: bool | None

    def __str__(self) -> str:
        if not self.text and self.commercial is None:
            return "licence unknown"
        text = self.text or "licence"
        return f"{text}, NON-COMMERCIAL USE ONLY" if self.commercial is False else text

    @property
    def remark(self) -> str:
        """A sentence for the user."""
        if self.commercial is False:
            return f"Its licence ({self.text or 'unnamed'}) allows NON-COMMERCIAL USE ONLY."
        if self.commercial:
            return f"Its licence is {self.text}."
        said = f"'{self.text}', which is not recognised" if self.text else "not stated in the folder"
        return f"Its licence is {said}: ask whoever published it what you may do with it."


_RESTRICTED = re.compile(
    r"non-?\s?commercial|\bby[\s-]nc\b|research[\s-]+(?:use\s+|purposes?\s+)?only|only\s+for\s+research"
    r"|academic[\s-]+(?:use\s+|purposes?\s+)?only",
    re.IGNORECASE,
)
_KNOWN = (
    ("Apache-2.0", re.compile(r"apache[\s-]*(?:license|licence)?[\s,-]*(?:version)?\s*2(?:\.0)?", re.IGNORECASE)),
    ("MIT", re.compile(r"\bMIT\b(?:\s+licen[sc]e)?|permission is hereby granted, free of charge", re.IGNORECASE)),
    ("BSD", re.compile(r"\bBSD\b|redistribution and use in source and binary forms", re.IGNORECASE)),
    ("CC BY-SA 4.0", re.compile(r"\bcc[\s-]by-sa[\s-]4", re.IGNORECASE)),
    ("CC BY 4.0", re.compile(r"\bcc[\s-]by[\s-]4|creative commons attribution 4", re.IGNORECASE)),
    ("CC0", re.compile(r"\bcc0\b", re.IGNORECASE)),
)


def read_licence(*folders: Path) -> Licence:
    """The licence that a model's folders state: LICENSE first, else the card. One word of restriction counts."""
    texts = [(path, path.read_text(encoding="utf-8", errors="replace")) for f in folders for path in _texts(f)]
    stated, head = next(((s, text[:400]) for path, text in texts if (s := _stated(path, text))), ("", ""))
    lines = [" ".join(line.split()) for _, text in texts for line in text.splitlines()]
    restriction = next((line for line in [stated, *lines] if _RESTRICTED.search(line)), None)
    if restriction is not None:
        return Licence(restriction[:80], False)
    known = next((name for name, pattern in _KNOWN if pattern.search(f"{stated} {head}")), None)
    return Licence(known or stated, True if known else None)


def _texts(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.is_file())
    legal = [p for p in files if p.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
    return legal + [p for p in files if _is_card(p)]


def _is_card(path: Path) -> bool:
    return path.stem.lower() in ("readme", "card", "model_card") and path.suffix.lower() in (".md", ".txt", ".rst", "")


def _stated(path: Path, text: str) -> str:
    """How a file names the licence: the first line of LICENSE, a card's field or what follows its heading."""
    in_card = (r"^license_name:(.+)", r"^licen[sc]e:(.+)", r"^#+\s*licen[sc]e\s*\n+(.+)")
    patterns = in_card if _is_card(path) else (r"(\S.*)",)
    found = (re.search(pattern, text, re.MULTILINE | re.IGNORECASE) for pattern in patterns)
    return next((match[1].strip(" #*=-'\"\t") for match in found if match), "")[:80]


@dataclass(frozen=True)
class PublicModel:
    """A public model's folder that holds what it takes.

    Attributes
    ----------
    kind : "nninteractive", "voxtell" or "sam"
    root : the folder that was given
    folder : the model's own: that one, or the only one in it
    weights : files that are loaded as weights
    adapter : folder of a LoRA adapter, if there is one
    """

    kind: str
    root: Path
    folder: Path
    weights: tuple[Path, ...]
    licence: Licence
    adapter: Path | None = None

    @cached_property
    def name(self) -> str:
        """Kind, folder, digest of the weights and licence: what the journal keeps."""
        digest = hashlib.sha256()
        for path in self.weights:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        adapted = f" + {self.adapter.name}" if self.adapter else ""
        return f"{self.kind}: {self.folder.name}{adapted} ({digest.hexdigest()[:12]}; {self.licence})"


def find_model(kind: str, given: Path | None) -> PublicModel:
    """The model in a folder; nothing is loaded.

    Raises
    ------
    ModelError
        No folder, a file missing, or the package that runs it is not installed.
    """
    module, extra, marker = KINDS[kind]
    if given is None:
        raise ModelError(f"No folder is given for {kind}.", "Give the one that holds the model with --model-dir.")
    if not is_installed(module):
        raise ModelError(
            f"The package that runs {kind} models is not installed.",
            f"Install it with: pip install 'osirix-agent[{extra}]'.",
        )
    folder = _own_folder(given, marker)
    if kind == "sam":
        return _sam(given, folder)
    _check_plans(folder)
    if kind == "voxtell":
        return PublicModel(kind, given, folder, (_need(folder, "fold_0/checkpoint_final.pth"),), read_licence(folder))
    _need(folder, "dataset.json")
    if not (folder / "inference_session_class.json").is_file():
        _need(folder, "inference_info.json")
    folds = sorted(folder.glob("fold_*"))
    if len(folds) != 1:
        raise ModelError(f"{folder} holds {len(folds)} folds; it takes one.", "Keep one folder 'fold_*' in it.")
    licence = read_licence(folder)
    if not licence.text and _dataset(folder) == FIRST_NNINTERACTIVE:
        licence = Licence("CC BY-NC-SA 4.0", False)
    return PublicModel(kind, given, folder, (_need(folds[0], "checkpoint_final.pth"),), licence)


def is_installed(module: str) -> bool:
    """Is a module there? (It is not imported; its parents, which are empty, are.)"""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def only_weights() -> Iterator[None]:
    """While it lasts, torch opens pickles as weights only, whatever a package asks for.

    Raises
    ------
    ModelError
        A pickle holds more than weights and plain values.
    """
    import pickle

    import numpy as np
    import torch

    # what nnU-Net keeps of its training beside the weights: numbers
    numbers = [np.dtype, np.dtypes.Float32DType, np.dtypes.Float64DType, np.dtypes.Int64DType]
    scalar = np.float64(0).__reduce__()[0]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        with torch.serialization.safe_globals([*numbers, *named]):
            yield
    except pickle.UnpicklingError:
        raise ModelError("The checkpoint holds more than weights, and could run as a program.", _STRIP) from None
    finally:
        del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        if before is not None:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


def _own_folder(given: Path, marker: str) -> Path:
    """The folder that holds the marker: the given one, or the only one directly in it."""
    found = [p.parent for p in [given / marker, *sorted(given.glob(f"*/{marker}"))] if p.is_file()]
    found = [f for f in found if not (f / "adapter_config.json").is_file() and not _is_words(f)]
    if given in found:
        return given
    if len(found) != 1:
        what = "no model" if not found else f"{len(found)} models"
        raise ModelError(f"{given} holds {what}: '{marker}' is looked for.", "Give the folder of one model.")
    return found[0]


def _is_words(folder: Path) -> bool:
    """A text encoder, which lies beside some models."""
    try:
        return "qwen" in str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _need(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise ModelError(f"The model folder {folder} lacks the file '{name}'.", _DOWNLOAD)
    return path


def _sam(given: Path, folder: Path) -> PublicModel:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickles = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
        raise ModelError(
            f"The model folder {folder} lacks the file 'model.safetensors'.",
            "Save it anew from transformers with save_pretrained, which writes safetensors." if pickles else _DOWNLOAD,
        )
    adapters = sorted(p.parent for p in {*given.glob("*/adapter_config.json"), *folder.glob("*/adapter_config.json")})
    if len(adapters) > 1:
        names = ", ".join(a.name for a in adapters)
        raise ModelError(f"{given} holds {len(adapters)} adapters ({names}).", "Keep one of them in it.")
    if adapters:
        if not (adapters[0] / ADAPTER_WEIGHTS).is_file():
            raise ModelError(
                f"The adapter {adapters[0]} lacks the file '{ADAPTER_WEIGHTS}'.",
                "Save it anew from peft with save_pretrained, which writes safetensors.",
            )
        weights.append(adapters[0] / ADAPTER_WEIGHTS)
    return PublicModel(
        "sam", given, folder, tuple(weights), read_licence(folder, *adapters), adapters[0] if adapters else None
    )


def _dataset(folder: Path) -> str:
    return str(json.loads((folder / "plans.json").read_text(encoding="utf-8")).get("dataset_name"))


def _check_plans(folder: Path) -> None:
    """Plans name the classes that a network is built of: only parts of networks may be named."""
    try:
        plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
        described = [c.get("architecture", {}) for c in plans["configurations"].values()]
        named = [a.get("network_class_name") for a in described]
        named += [a["arch_kwargs"].get(k) for a in described for k in a.get("_kw_requires_import", ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"plans.json in {folder} cannot be read.", _DOWNLOAD) from None
    strange = [n for n in named if n is not None and not str(n).startswith(SAFE_PARTS)]
    if strange:
        raise ModelError(f"plans.json in {folder} asks for '{strange[0]}', which is no part of a network.", _DOWNLOAD)

"""What was learnt about dictation for one Whisper model, shipped without it: folded into it where it is the one.

tuning = find_tuning(settings)             # None: not shipped, or turned off
files = tuned(folder, tuning) if tuning else None
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osirix_agent.errors import ModelError, VoiceError
from osirix_agent.model_folder import (
    GET_IT_AGAIN,
    WEIGHTS,
    FolderDescription,
    check_sums,
    read_description,
    shipped_models,
)
from osirix_agent.prompting.voice.weights import digest_of, folded, places
from osirix_agent.settings import Settings

FOLDER = "dictation"
DESCRIPTION = "dictation.json"
_READ_BY_CTRANSLATE2 = ("config.json", "vocabulary.json", "vocabulary.txt")


class TuningDescription(FolderDescription):
    """What `dictation.json` says.

    Attributes
    ----------
    base : digest of the Whisper model (`weights.digest_of`) that it changes
    strength : share of the changes that is folded in: all of them hear what was taught best, and other voices and
        matters worse than Whisper did (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")
    shortest_s, pause_s : it learnt to hear in windows at least so long, and so much longer than what is said
    """

    kind: Literal["dictation"] = "dictation"
    base: str
    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    strength: float = Field(1.0, gt=0, le=1)
    shortest_s: float = Field(gt=0)
    pause_s: float = Field(ge=0)


@dataclass(frozen=True, eq=False)
class Tuning:
    """Low-rank changes of a Whisper model; factors as `weights.folded` takes them."""

    description: TuningDescription
    factors: dict[str, npt.NDArray[np.generic]]


def find_tuning(settings: Settings) -> Tuning | None:
    """That of the model folder, else the shipped one; None: there is none, or the settings want none.

    Raises
    ------
    ModelError, VoiceError
        As `load_tuning`.
    """
    places_ = [folder / FOLDER for folder in (settings.model_dir, shipped_models()) if folder is not None]
    there = [folder for folder in places_ if (folder / DESCRIPTION).is_file()]
    return load_tuning(there[0]) if settings.speech_tuned and there else None


def load_tuning(folder: Path) -> Tuning:
    """What a folder holds, checking every byte.

    Raises
    ------
    ModelError
        Missing, cut short, altered, or newer than this program.
    VoiceError
        The package that reads it is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise VoiceError("safetensors is not installed.", "Run: pip install 'osirix-agent[voice]'") from None
    description = read_description(folder, DESCRIPTION, TuningDescription)
    check_sums(folder)
    try:
        return Tuning(description, load_file(folder / WEIGHTS))
    except (SafetensorError, OSError):
        raise ModelError(f"{folder / WEIGHTS} cannot be read as safetensors.", GET_IT_AGAIN) from None


def tuned(folder: Path, tuning: Tuning) -> dict[str, Any] | None:
    """The files of a Whisper model, by name, with what was learnt folded in; None: it was learnt for another model, or
    the model is quantised or of a format that cannot be changed.

    Raises
    ------
    OSError
        There is no model in the folder.
    """
    content = (folder / "model.bin").read_bytes()
    try:
        same = digest_of(content, places(content)) == tuning.description.base
    except ModelError:
        return None
    if not same:
        return None
    learnt = tuning.description
    changed = folded(content, tuning.factors, learnt.strength * learnt.alpha / learnt.rank)
    beside = {name: (folder / name).read_bytes() for name in _READ_BY_CTRANSLATE2 if (folder / name).is_file()}
    return {"model.bin": changed, **beside}

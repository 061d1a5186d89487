"""Which segmenter a setting means."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.card import Calibration, read_card
from osirix_agent.errors import ModelError, SettingsError, UnsupportedSeriesError
from osirix_agent.imaging.volume import Volume
from osirix_agent.model_folder import shipped_models
from osirix_agent.prompting.prompt import TextPrompt
from osirix_agent.segmenter.believing import Believing
from osirix_agent.segmenter.folder import KINDS, find_model
from osirix_agent.segmenter.protocol import SegmentationRequest, Segmenter, sources_of
from osirix_agent.settings import Settings

if TYPE_CHECKING:
    from osirix_agent.segmenter.local import VisionLanguageSegmenter

NAMES = ("auto", "model", "classical", *KINDS)
CARD = "calibration.json"
CLASSICAL_CARD = Path(__file__).with_name("classical.json")
_NEEDED = ("torch", "transformers", "peft", "safetensors")
_INSTALL = "Install it with: pip install 'osirix-agent[model]'"


class ByStructure:
    """The model for what it was made for, the classical segmenter for everything else.

    Measured (docs/concepts/model.md): on structures that it was not made for the base is the worse of the two.
    """

    def __init__(self, model: VisionLanguageSegmenter, otherwise: Segmenter) -> None:
        self._model, self._otherwise = model, otherwise
        self.capabilities = model.capabilities

    @property
    def name(self) -> str:
        return f"auto: {self._model.name} or {self._otherwise.name}"

    @property
    def sources(self) -> tuple[str, ...]:
        return *self._model.sources, self._otherwise.name

    def source_for(self, structure: str) -> str:
        return self._model.source_for(structure) if self._model.serves(structure) else self._otherwise.name

    def describe(self, volume: Volume) -> npt.NDArray[np.float64]:
        return self._model.describe(volume)

    def look(self, volume: Volume) -> None:
        with suppress(UnsupportedSeriesError):  # said when the model is asked; the other may take the series
            self._model.look(volume)

    def propose(self, request: SegmentationRequest) -> Belief:
        said = any(isinstance(p, TextPrompt) for p in request.prompts)
        chosen: Segmenter = self._model if said or self._model.serves(request.structure) else self._otherwise
        return chosen.propose(request)


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def make_segmenter(settings: Settings, tell: Callable[[str], object] = to_stderr) -> Segmenter:
    """The segmenter that the settings name, calibrated where there is a card for it; as `plain_segmenter`."""
    inner = plain_segmenter(settings, tell)
    if "://" in settings.segmenter:
        return inner  # what crosses the wire has no spread
    cards = calibration_cards(settings, tell)
    sources = sources_of(inner)
    held = {name: cards[name] for name in sources if name in cards}
    missing = [name for name in sources if name not in cards]
    if missing:
        tell(f"Not calibrated, so its isolines promise nothing: {'; '.join(missing)}.")
    return Believing(inner, held) if held else inner


def calibration_cards(settings: Settings, tell: Callable[[str], object] = to_stderr) -> dict[str, Calibration]:
    """Calibrations by the weights they are for: those shipped, those beside the models, then a site's own, which
    come first."""
    found: dict[str, Calibration] = {}
    paths = [CLASSICAL_CARD]
    for folder in (f for f in (settings.model_dir or shipped_models(), settings.calibration_dir) if f is not None):
        paths += [*sorted(folder.glob("*/" + CARD)), folder / CARD]
    for path in (p for p in paths if p.is_file()):
        try:
            found.update({calibration.segmenter: calibration for calibration in read_card(path)})
        except ModelError as error:
            tell(f"{error}")
    return found


def plain_segmenter(settings: Settings, tell: Callable[[str], object] = to_stderr) -> Segmenter:
    """The segmenter that the settings name, as it is.

    Parameters
    ----------
    tell : is given what a public model's folder says about its use

    Raises
    ------
    SettingsError
        No such segmenter, or the model was asked for and its packages are not installed.
    ModelError
        The model's folder cannot be used.
    """
    name = settings.segmenter
    if "://" in name:
        from osirix_agent.segmenter.remote import RemoteSegmenter

        return RemoteSegmenter(settings)
    if name not in NAMES:
        raise SettingsError(
            f"There is no segmenter '{name}'.", f"Choose one of: {', '.join(NAMES)}, or grpcs://host:port."
        )
    if name in KINDS:
        return _public(settings, tell)
    folder = settings.model_dir or shipped_models()
    from osirix_agent.segmenter.classical import ClassicalSegmenter

    if name == "auto":
        if folder is None or not can_run_model():
            return ClassicalSegmenter()
        return ByStructure(_load(folder, settings.device), ClassicalSegmenter())
    if name == "classical":
        return ClassicalSegmenter()
    if not can_run_model():
        raise SettingsError("The model needs packages that are not installed (torch among them).", f"{_INSTALL}.")
    if folder is None:
        raise ModelError("No model is shipped with this installation.", "Give its folder with --model-dir.")
    return _load(folder, settings.device)


def can_run_model() -> bool:
    """Are the packages of the extra `model` there? (Nothing is imported.)"""
    return all(find_spec(package) is not None for package in _NEEDED)


def model_folders(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """The base and the adapters in a folder of models.

    Raises
    ------
    ModelError
        There is no base, or more than one.
    """
    bases = sorted(p.parent for p in [folder / "model.json", *folder.glob("*/model.json")] if p.is_file())
    if len(bases) != 1:
        found = "no model" if not bases else f"{len(bases)} models"
        raise ModelError(f"{folder} holds {found}.", "Give a folder with one base, and its adapters beside it.")
    return bases[0], tuple(sorted(p.parent for p in folder.glob("*/adapter.json")))


def describe_public(settings: Settings) -> str | None:
    """The public model that the settings name and its licence, without loading it; None: they name none.

    Raises
    ------
    ModelError
        It could not be loaded: a file or the package is missing.
    """
    if settings.segmenter not in KINDS:
        return None
    model = find_model(settings.segmenter, settings.model_dir)
    return f"{settings.segmenter} in {model.folder}. {model.licence.remark}"


def _public(settings: Settings, tell: Callable[[str], object]) -> Segmenter:
    model = find_model(settings.segmenter, settings.model_dir)
    device = _device(settings.device)
    tell(f"Loading {model.kind} from {model.folder}. {model.licence.remark}")
    if model.kind == "nninteractive":
        from osirix_agent.segmenter.nninteractive import NnInteractiveSegmenter

        return NnInteractiveSegmenter(model, device)
    if model.kind == "voxtell":
        from osirix_agent.segmenter.voxtell import VoxTellSegmenter

        return VoxTellSegmenter(model, device)
    from osirix_agent.segmenter.sam import SamSegmenter

    return SamSegmenter(model, device)


def _load(folder: Path, device: str) -> VisionLanguageSegmenter:
    from osirix_agent.segmenter.local import VisionLanguageSegmenter

    device = _device(device)
    base, adapters = model_folders(folder)
    return VisionLanguageSegmenter(base, adapters, device)


def ensemble(folder: Path, settings: Settings) -> tuple[Segmenter, ...]:
    """The adapters in a folder, each alone on the base.

    Raises
    ------
    ModelError
        The folder holds none, or one does not fit the base.
    """
    adapters = sorted(path.parent for path in folder.glob("*/adapter.json"))
    if not adapters:
        raise ModelError(f"{folder} holds no adapters.", "Give a folder with a folder for each, and the base's.")
    return tuple(adapted(adapter, settings) for adapter in adapters)


def adapted(adapter: Path, settings: Settings) -> Segmenter:
    """One adapter's folder, alone on the base that the settings name or the shipped one.

    Raises
    ------
    ModelError
        There is no base, or the adapter does not fit it.
    """
    from osirix_agent.segmenter.local import VisionLanguageSegmenter

    models = settings.model_dir or shipped_models()
    if models is None:
        raise ModelError("There is no base for the adapter.", "Give the base's folder with --model-dir.")
    return VisionLanguageSegmenter(model_folders(models)[0], (adapter,), _device(settings.device))


def _device(device: str) -> str:
    """The device that a setting means, on this machine."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"  # mps is not measured yet: only when asked for
    if device not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"There is no device '{device}'.", "Choose one of: auto, cpu, cuda, mps.")
    if (device == "cuda" and not torch.cuda.is_available()) or (
        device == "mps" and not torch.backends.mps.is_available()
    ):
        raise SettingsError(f"This machine has no '{device}'.", "Choose --device auto or cpu.")
    return device

"""VoxTell (Rokuss et al. 2025) from a local folder: a structure found from words, by the package's own predictor.

It reads words and nothing else. What is drawn holds where it is drawn (`certain.hold`): an outline is filled, nothing
lies outside a box on its slice; but the model does not look again. Its logits are kept, not thresholded.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.errors import ModelError, PromptError, UnsupportedSeriesError
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import Polarity, TextPrompt
from osirix_agent.segmenter.certain import Float32Array, fixed_masks, settled
from osirix_agent.segmenter.folder import PublicModel, only_weights
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.seeds import Marks, read_marks

BANK = "text_embeddings.npz"
DRAWN_LOGIT = 2.0  # what she outlined, and (negative) what lies outside her box
KEPT = 4  # answers of a whole volume that are kept


class VoxTellSegmenter:
    """Words to a structure.

    Parameters
    ----------
    model : PublicModel
    device : "cpu", "cuda", "mps"
    """

    capabilities = Capabilities(text=True)

    def __init__(self, model: PublicModel, device: str = "cpu") -> None:
        self.model = model
        bank, self._encoder = _bank(model), _encoder(model)
        if bank is None and self._encoder is None:
            raise ModelError(
                f"{model.root} holds nothing that reads words.",
                f"Put '{BANK}' of the model into it, or the folder of its text encoder (Qwen3-Embedding-4B).",
            )
        self._predictor = _open(model, device, bank)
        self._answers: OrderedDict[tuple[str, str], npt.NDArray[np.float16]] = OrderedDict()
        self._one_at_a_time = threading.Lock()  # accept may ask while the executor is at work

    @property
    def name(self) -> str:
        return self.model.name

    def propose(self, request: SegmentationRequest) -> Belief:
        said = [p for p in request.prompts if isinstance(p, TextPrompt)]
        marks = read_marks(request.volume, request.drawn)
        fixed = fixed_masks(request)
        wanted = [p.phrase for p in said if p.polarity is Polarity.INCLUDE]
        if not wanted and (len(marks.positive_points_kji) or any(mask.any() for mask in fixed.values())):
            wanted = [request.structure]  # she says where; its name says what
        if not wanted:
            raise PromptError(
                "Nothing says yet where the structure is.", "Name it with '?', or click inside it: its name is read."
            )
        with self._one_at_a_time:
            logit = self._answer(request.volume, wanted[-1]).astype(np.float32)
            for unwanted in (p.phrase for p in said if p.polarity is Polarity.EXCLUDE):
                logit = np.minimum(logit, -self._answer(request.volume, unwanted).astype(np.float32))
        _draw(logit, marks)
        return settled(logit, request, marks, fixed, self.name)

    def _answer(self, volume: Volume, phrase: str) -> npt.NDArray[np.float16]:
        """(k, j, i) logits of a phrase on the whole volume."""
        words = spoken(phrase)
        key = (volume.digest, words)
        if key not in self._answers:
            self._answers[key] = self._look(volume, self._embedded(words))
            if len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]

    def _embedded(self, words: str) -> Any:
        if words not in self._predictor.embedding_bank:
            if self._encoder is None:
                raise PromptError(
                    "The model's list of words lacks these, and its text encoder is not in its folder.",
                    "Use other words, or put the text encoder (Qwen3-Embedding-4B) into the model's folder.",
                )
            _load_encoder(self._predictor, self._encoder)
        # the predictor keeps what it worked out in half precision: the first answer is to be like the second
        return self._predictor.embed_text_prompts(words).half().float()

    def _look(self, volume: Volume, embedding: Any) -> npt.NDArray[np.float16]:
        values = np.nan_to_num(volume.array, nan=0.0, posinf=3e4, neginf=-3e4)
        if float(values.min()) == float(values.max()):
            raise UnsupportedSeriesError("The series has the same value everywhere.", "Open another series.")
        towards = Turn.of(volume.geometry)
        data, box, shape = self._predictor.preprocess(towards.there(values))
        logits = self._predictor.predict_sliding_window_return_logits(data, embedding)[0].cpu().numpy()
        full = np.full(shape, OUTSIDE_LOGIT, np.float16)
        full[tuple(slice(a, b) for a, b in box)] = np.clip(logits, OUTSIDE_LOGIT, -OUTSIDE_LOGIT)
        return np.ascontiguousarray(towards.back(full))


@dataclass(frozen=True)
class Turn:
    """How a volume's axes are turned so that they run to Superior, Anterior and Right (nibabel's RAS+, read z, y, x).

    Attributes
    ----------
    order : which axis of the volume comes first, second, third
    flips : axes, after that, that run the other way
    """

    order: tuple[int, int, int]
    flips: tuple[int, ...]

    @classmethod
    def of(cls, geometry: Geometry) -> Turn:
        axes = np.array(geometry.axes_lps) @ np.diag([-1.0, -1.0, 1.0])  # rows: k, j, i as Right, Anterior, Superior
        shares = axes[:, ::-1]  # columns: Superior, Anterior, Right
        order = max(permutations(range(3)), key=lambda o: sum(abs(shares[a, n]) for n, a in enumerate(o)))
        k, j, i = order
        return cls((k, j, i), tuple(n for n, a in enumerate(order) if shares[a, n] < 0))

    def there(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(np.flip(np.transpose(array, self.order), self.flips))

    def back(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.transpose(np.flip(array, self.flips), np.argsort(self.order))


def spoken(name: str) -> str:
    """Words as VoxTell was taught them, from a phrase or a TG-263 name: `Parotid_L` is "left parotid"."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip())
    side = re.search(r"_([LR])$", plain)
    if side is not None:
        plain = f"{'left' if side[1] == 'L' else 'right'} {plain[: side.start()]}"
    return " ".join(plain.replace("_", " ").lower().split())


def _draw(logit: Float32Array, marks: Marks) -> None:
    for region in marks.regions:
        inside = fill(region.rings_ji, logit.shape[1:])
        if region.sign > 0 and region.loose:
            logit[region.k][~inside] = np.minimum(logit[region.k][~inside], -DRAWN_LOGIT)
        elif region.sign > 0:
            logit[region.k][inside] = np.maximum(logit[region.k][inside], DRAWN_LOGIT)


def _bank(model: PublicModel) -> Path | None:
    """The published list of embedded words, beside the model or where its publisher keeps it."""
    beside = model.root / "embeddings" / model.folder.name
    return next((p for f in (model.folder, model.root, beside) if (p := f / BANK).is_file()), None)


def _encoder(model: PublicModel) -> Path | None:
    """The folder of the text encoder (Qwen3-Embedding-4B), in the model's folder or beside it in the given one."""
    for path in sorted({*model.folder.glob("*/config.json"), *model.root.glob("*/config.json")}):
        try:
            if "qwen" in str(json.loads(path.read_text(encoding="utf-8"))["model_type"]):
                return path.parent
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _load_encoder(predictor: Any, folder: Path) -> None:
    """As the predictor would load it, but from this folder only."""
    if predictor.text_backbone is not None:
        return
    import torch
    from transformers import AutoModel, AutoTokenizer

    half = predictor.device.type == "cuda"
    try:
        predictor.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", local_files_only=True)
        predictor.text_backbone = AutoModel.from_pretrained(
            folder, dtype=torch.bfloat16 if half else torch.float32, local_files_only=True, use_safetensors=True
        ).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"The text encoder in {folder} cannot be loaded ({type(error).__name__}).",
            "Download that folder again, whole, with its tokenizer and its weights as safetensors.",
        ) from error


def _open(model: PublicModel, device: str, bank: Path | None) -> Any:
    """The package's own predictor on a folder, with nothing to download."""
    import torch
    from voxtell.inference import predictor as package

    package.tqdm = partial(package.tqdm, disable=True)
    try:
        with only_weights():
            return package.VoxTellPredictor(
                model_dir=str(model.folder), device=torch.device(device), text_encoding_model="",
                embedding_bank=str(bank) if bank else {}, use_precomputed_embeddings=False,
            )  # fmt: skip
    except ModelError:
        raise
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, ImportError, OSError) as error:
        raise ModelError(
            f"VoxTell cannot load the model in {model.folder} ({type(error).__name__}).",
            "Download the model's folder again, whole; if that does not help, update voxtell.",
        ) from error

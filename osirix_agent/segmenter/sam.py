"""A promptable model of the SAM family (Kirillov et al. 2023; Ravi et al. 2024), slice by slice, from a local folder.

Anything that transformers loads for mask generation: SAM and MedSAM, SAM 2, ... with a LoRA adapter of peft if one
lies beside it. Such a model sees one slice. Prompted slices are answered from their own prompts; from each, the answer
(its box, and its logits as mask prompt) is handed on slice by slice, until nothing is found, what is found is no
longer the same thing, the next prompted slice is nearer, or the structure would be longer than it is wide.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.errors import ModelError, PromptError
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.certain import CERTAIN_LOGIT, BoolArray, Float32Array, fixed_masks, settled
from osirix_agent.segmenter.folder import ADAPTER_WEIGHTS, PublicModel
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.seeds import Marks, read_marks

if TYPE_CHECKING:
    from torch import Tensor

CT_WINDOW = (-160.0, 240.0)  # as MedSAM (Ma et al. 2024) was taught; other modalities: percentiles
PERCENTILES = (0.5, 99.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STROKE_POINTS = 8  # a stroke is given as so many points
REACH = 1.5  # how far a slice's answer is handed on, over half the structure's width there
SAME = 0.5  # least Dice of neighbouring slices' answers that are one structure
SLICES_KEPT = 16  # encoded slices (SAM 2: 16 MB each)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Said:
    """What is known of one slice.

    Attributes
    ----------
    points_ji, signs : (n, 2) and (n,)
    box_ji : (2, 2) lowest and highest row and column, or None
    mask : (j, i) bool or float32 logits of what is taken to be there, or None
    """

    points_ji: FloatArray
    signs: npt.NDArray[np.int_]
    box_ji: FloatArray | None = None
    mask: Float32Array | None = None


class SamSegmenter:
    """Clicks, boxes, strokes and outlines on slices.

    Parameters
    ----------
    model : PublicModel
    device : "cpu", "cuda", "mps"
    """

    capabilities = Capabilities(text=False)

    def __init__(self, model: PublicModel, device: str = "cpu") -> None:
        self.model = model
        self._network = _open(model).to(device).eval()
        self._device = device
        config = self._network.config.prompt_encoder_config
        self._side, self._patch = _one(config.image_size), _one(config.patch_size)
        self._pads = self._network.config.model_type in ("sam", "sam_hq")
        self._mean, self._std = _colours(model)
        self._encoded: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._windows: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._one_at_a_time = threading.Lock()  # accept may ask while the executor is at work

    @property
    def name(self) -> str:
        return self.model.name

    def propose(self, request: SegmentationRequest) -> Belief:
        volume = request.volume
        marks, fixed = read_marks(volume, request.prompts), fixed_masks(request)
        said, placed = _by_slice(marks, volume.geometry.shape_kji[1:])
        if not placed and not any(mask.any() for mask in fixed.values()):
            raise PromptError(
                "Nothing says yet where the structure is.", "Add a point, box or outline inside it first."
            )
        with self._one_at_a_time:
            logit = self._spread(volume, said, placed, fixed)
        return settled(logit, request, marks, fixed, self.name)

    def _spread(
        self, volume: Volume, said: dict[int, _Said], placed: set[int], fixed: dict[int, BoolArray]
    ) -> Float32Array:
        """(k, j, i) logits: prompted slices and hers, and what follows from them."""
        logit = np.full(volume.geometry.shape_kji, OUTSIDE_LOGIT, np.float32)
        for k in sorted(placed - set(fixed)):
            logit[k] = self._ask(volume, k, said[k])
        for k, mask in fixed.items():
            logit[k] = np.where(mask, CERTAIN_LOGIT, -CERTAIN_LOGIT)
        known = sorted(placed | set(fixed))
        for k in known:
            for step in (-1, 1):
                beyond = [other for other in known if (other - k) * step > 0]
                nearest = min(beyond, key=lambda other: abs(other - k)) if beyond else None
                self._hand_on(volume, logit, k, step, nearest, said)
        return logit

    def _hand_on(
        self, volume: Volume, logit: Float32Array, start: int, step: int, until: int | None, said: dict[int, _Said]
    ) -> None:
        """Slice to slice from one that is known, up to half-way to the next."""
        spacing = volume.geometry.spacing_kji_mm
        before = logit[start] > 0
        held = np.argwhere(before)
        if not len(held):
            return
        width_mm = float(((np.ptp(held, axis=0) + 1) * spacing[1:]).max())
        slices = int(REACH * width_mm / 2 / spacing[0])
        if until is not None:
            gap = abs(until - start) - 1
            slices = min(slices, (gap + 1) // 2 if step > 0 else gap // 2)
        for k in range(start + step, start + step * (slices + 1), step):
            if not 0 <= k < len(logit):
                return
            own = said.get(k)
            points, signs = (own.points_ji, own.signs) if own is not None else (np.zeros((0, 2)), np.zeros(0, int))
            answer = self._ask(volume, k, _Said(points, signs, _bounds(before), logit[k - step]))
            found = answer > 0
            if not found.any() or 2 * (found & before).sum() < SAME * (found.sum() + before.sum()):
                return
            logit[k], before = answer, found

    def _ask(self, volume: Volume, k: int, said: _Said) -> Float32Array:
        """(j, i) logits of a slice."""
        import torch
        from torch.nn.functional import interpolate

        shape = volume.geometry.shape_kji[1:]
        scale = self._scale(shape)
        given: dict[str, Any] = {}
        if len(said.points_ji):
            # pixel centres are whole numbers here; the model counts from the pixel's corner
            xy = ((said.points_ji + 0.5) * scale)[:, ::-1]
            given["input_points"] = torch.tensor(xy.copy(), dtype=torch.float32, device=self._device)[None, None]
            given["input_labels"] = torch.tensor(said.signs > 0, device=self._device).long()[None, None]
        if said.box_ji is not None:
            low, high = said.box_ji * scale, (said.box_ji + 1) * scale
            corners = [low[0, 1], low[0, 0], high[1, 1], high[1, 0]]
            given["input_boxes"] = torch.tensor([[corners]], dtype=torch.float32, device=self._device)
        if said.mask is not None:
            mask = torch.from_numpy(np.clip(said.mask, OUTSIDE_LOGIT, -OUTSIDE_LOGIT))[None, None]
            side = 4 * self._side // self._patch
            whole = self._padded(_sized(mask, scale), OUTSIDE_LOGIT)
            given["input_masks"] = interpolate(whole, (side, side), mode="bilinear").to(self._device)
        several = said.box_ji is None and said.mask is None and len(said.points_ji) == 1  # one click may mean much
        with torch.inference_mode():
            answer = self._network(image_embeddings=self._features(volume, k), multimask_output=several, **given)
            best = int(answer.iou_scores[0, 0].argmax())
            low_resolution = answer.pred_masks[:, :, best].float().cpu()
            square = interpolate(low_resolution, (self._side, self._side), mode="bilinear")
            inside = _size(shape, scale)
            logits = interpolate(square[:, :, : inside[0], : inside[1]], shape, mode="bilinear")[0, 0]
        found = np.nan_to_num(logits.numpy(), nan=OUTSIDE_LOGIT)
        return np.asarray(np.clip(found, OUTSIDE_LOGIT, -OUTSIDE_LOGIT), np.float32)

    def _features(self, volume: Volume, k: int) -> Any:
        """A slice as the model's encoder sees it; encoded once."""
        import torch

        key = (volume.digest, k)
        if key not in self._encoded:
            low, high = self._window(volume)
            grey = np.nan_to_num((np.clip(volume.array[k], low, high) - low) / max(high - low, 1e-6))
            image = torch.from_numpy(np.ascontiguousarray(grey, np.float32))[None, None]
            mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self._mean, self._std))
            scale = self._scale(volume.geometry.shape_kji[1:])
            coloured = self._padded((_sized(image, scale).expand(-1, 3, -1, -1) - mean) / std, 0.0)
            with torch.inference_mode():
                self._encoded[key] = self._network.get_image_embeddings(coloured.to(self._device))
            if len(self._encoded) > SLICES_KEPT:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def _window(self, volume: Volume) -> tuple[float, float]:
        if volume.modality == "CT":
            return CT_WINDOW
        if volume.digest not in self._windows:
            values = volume.array[np.isfinite(volume.array) & (volume.array != 0)]
            low, high = np.percentile(values, PERCENTILES) if values.size else (0.0, 1.0)
            self._windows[volume.digest] = (float(low), float(high))
        return self._windows[volume.digest]

    def _scale(self, shape_ji: tuple[int, ...]) -> FloatArray:
        """(2,) model pixels a pixel: SAM keeps the slice's shape and fills up, its successors stretch it."""
        shape = np.array(shape_ji, float)
        return self._side / (np.full(2, shape.max()) if self._pads else shape)

    def _padded(self, image: Tensor, filling: float) -> Tensor:
        from torch.nn.functional import pad

        return pad(image, (0, self._side - image.shape[3], 0, self._side - image.shape[2]), value=filling)


def _by_slice(marks: Marks, shape_ji: tuple[int, int]) -> tuple[dict[int, _Said], set[int]]:
    """Marks slice by slice, and the slices on which one says where the structure is."""
    points: dict[int, list[tuple[FloatArray, int]]] = {}
    boxes: dict[int, FloatArray] = {}
    masks: dict[int, Float32Array] = {}
    placed: set[int] = set()
    for stroke in marks.strokes:
        rows = np.round(stroke.points_kji[:, 0]).astype(int)
        for k in np.unique(rows):
            on = stroke.points_kji[rows == k][:, 1:]
            on = on[np.unique(np.linspace(0, len(on) - 1, min(len(on), STROKE_POINTS)).round().astype(int))]
            points.setdefault(int(k), []).append((on, stroke.sign))
            if stroke.sign > 0:
                placed.add(int(k))
    for region in marks.regions:
        if region.sign < 0:
            continue  # a model of this family takes no shape that is not the structure; `hold` cuts it out
        placed.add(region.k)
        ring = np.concatenate(region.rings_ji)
        boxes[region.k] = np.clip(np.round([ring.min(0), ring.max(0)]), 0, np.array(shape_ji) - 1)
        if not region.loose:
            inside = fill(region.rings_ji, shape_ji)
            masks[region.k] = np.where(inside, CERTAIN_LOGIT, -CERTAIN_LOGIT).astype(np.float32)
    said = {}
    for k in {*points, *boxes}:
        held = points.get(k, [])
        where = np.concatenate([p for p, _ in held]) if held else np.zeros((0, 2))
        signs = np.concatenate([np.full(len(p), s) for p, s in held]) if held else np.zeros(0, int)
        said[k] = _Said(where, signs, boxes.get(k), masks.get(k))
    return said, placed


def _size(shape_ji: tuple[int, ...], scale: FloatArray) -> tuple[int, int]:
    j, i = (max(1, round(float(n * s))) for n, s in zip(shape_ji, scale, strict=True))
    return j, i


def _sized(image: Tensor, scale: FloatArray) -> Tensor:
    """(1, 1, j, i) in the model's pixels."""
    from torch.nn.functional import interpolate

    return interpolate(image, _size(tuple(image.shape[2:]), scale), mode="bilinear", antialias=True)


def _bounds(mask: BoolArray) -> FloatArray:
    held = np.argwhere(mask)
    return np.array([held.min(0), held.max(0)], float)


def _one(size: Any) -> int:
    return int(size if isinstance(size, int) else size[0])


def _colours(model: PublicModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the colours as the folder says, else ImageNet's."""
    try:
        said = json.loads((model.folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        return tuple(map(float, said["image_mean"])), tuple(map(float, said["image_std"]))
    except (OSError, ValueError, KeyError, TypeError):
        return IMAGENET_MEAN, IMAGENET_STD


def _open(model: PublicModel) -> Any:
    """The network in a folder, with the adapter folded in."""
    from transformers import AutoModelForMaskGeneration

    try:
        network = AutoModelForMaskGeneration.from_pretrained(model.folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise ModelError(
            f"transformers cannot load the model in {model.folder} ({type(error).__name__}).",
            "Give a folder of the SAM family as transformers saves it, whole.",
        ) from error
    return network if model.adapter is None else _adapted(network, model)


def _adapted(network: Any, model: PublicModel) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    assert model.adapter is not None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # between transformers and peft; what does not fit is found below
            adapted = PeftModel.from_pretrained(network, str(model.adapter))
        with safe_open(model.adapter / ADAPTER_WEIGHTS, "pt") as file:
            if set(file.keys()) != set(get_peft_model_state_dict(adapted)):
                raise ValueError("parts of it belong to layers that the model does not have")
        return adapted.merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(
            f"The adapter '{model.adapter.name}' does not fit the model ({type(error).__name__}).",
            "Use the base that it was trained on, or train it again on this one.",
        ) from error

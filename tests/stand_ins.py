"""What is called of nnInteractive's session and VoxTell's predictor, for where these packages are not installed."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

HALF = 6  # of a patch, voxels


class _Network(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 1, k, j, i) of marks to logits of two classes."""
        near = torch.nn.functional.avg_pool3d(x, 5, stride=1, padding=2, count_include_pad=True)
        return torch.cat([0.02 - near, near - 0.02], 1) * 20


class StandInSession:
    """Marks, looked at in patches: a point's at once; anything larger coarsely, then as two patches."""

    def __init__(self, device: torch.device, torch_n_threads: int, enable_undo: bool) -> None:
        self.network = _Network()
        self.supported_interactions = dict.fromkeys(("points", "bbox2d", "scribble", "lasso"), True)
        self.supports_initial_label = self.supports_zero_shot_label_refinement = True
        self.preferred_scribble_thickness = [2, 2, 2]
        self.predictions = 0

    def initialize_from_trained_model_folder(self, folder: str) -> None:
        torch.load(next(Path(folder).glob("fold_*")) / "checkpoint_final.pth", weights_only=False)

    def set_image(self, image: np.ndarray) -> None:
        self.marks = torch.zeros(image.shape[1:])

    def set_target_buffer(self, buffer: np.ndarray) -> None:
        self.target_buffer = buffer

    def reset_interactions(self) -> None:
        self.marks.zero_()
        self.target_buffer[:] = 0

    def add_point_interaction(self, at: tuple[int, ...], include: bool, run_prediction: bool = True) -> None:
        self._mark([[v, v + 1] for v in at], 10.0 if include else -10.0, run_prediction, refine=False)

    def add_bbox_interaction(self, bounds: list[list[int]], include: bool, run_prediction: bool = True) -> None:
        self._mark(bounds, 1.0 if include else -1.0, run_prediction)

    def add_lasso_interaction(
        self, mask: np.ndarray, include: bool, run_prediction: bool, interaction_bbox: Any
    ) -> None:
        assert mask.dtype == np.uint8
        assert list(mask.shape) == [b - a for a, b in interaction_bbox]
        self._mark(interaction_bbox, torch.from_numpy(mask) * (1.0 if include else -1.0), run_prediction)

    add_scribble_interaction = add_lasso_interaction

    def add_initial_seg_interaction(self, mask: np.ndarray, run_prediction: bool) -> None:
        self.reset_interactions()
        self.target_buffer[:] = mask
        bounds = [[int(a.min()), int(a.max()) + 1] for a in np.nonzero(mask)]
        self._mark(bounds, torch.from_numpy(mask[tuple(slice(*b) for b in bounds)]).float(), run_prediction)

    def _mark(self, bounds: list[list[int]], value: Any, run: bool, refine: bool = True) -> None:
        self.marks[tuple(slice(*b) for b in bounds)] = value
        if not run:
            return
        self.predictions += 1
        centre = [(a + b) // 2 for a, b in bounds]
        prediction = self._run(centre)
        if refine:
            self._refine_coarse([centre, [centre[0] + 2, *centre[1:]]])
        else:
            self._paste_prediction_to_target_buffer(prediction, self._bounds(centre))

    def _bounds(self, centre: list[int]) -> list[list[int]]:
        return [[c - HALF, c + HALF] for c in centre]

    def _run(self, centre: list[int]) -> torch.Tensor:
        padded = torch.nn.functional.pad(self.marks, (2 * HALF,) * 6)
        patch = padded[tuple(slice(c + HALF, c + 3 * HALF) for c in centre)]
        return self.network(patch[None, None])[0].argmax(0)

    def _refine_coarse(self, centres: list[list[int]]) -> None:
        found = [self._run(c) for c in centres]
        for centre, prediction in zip(centres, found, strict=True):
            self._paste_prediction_to_target_buffer(prediction, self._bounds(centre), record_undo=False)

    def _paste_prediction_to_target_buffer(self, prediction: torch.Tensor, bbox: Any, record_undo: bool = True) -> None:
        for at, value in np.ndenumerate(prediction.numpy()):
            voxel = tuple(v + b[0] for v, b in zip(at, bbox, strict=True))
            if all(0 <= v < n for v, n in zip(voxel, self.target_buffer.shape, strict=True)):
                self.target_buffer[voxel] = value


class StandInPredictor:
    """Finds what is bright on the side that the words name; the array runs to Superior, Anterior, Right."""

    def __init__(self, model_dir: str, device: torch.device, text_encoding_model: str, embedding_bank: Any,
                 use_precomputed_embeddings: bool) -> None:  # fmt: skip
        assert not use_precomputed_embeddings
        torch.load(Path(model_dir) / "fold_0" / "checkpoint_final.pth", weights_only=False)
        with np.load(embedding_bank) as held:
            self.embedding_bank = dict(zip(held["labels"].tolist(), held["embeddings"], strict=True))
        self.device, self.text_backbone = device, None

    def embed_text_prompts(self, words: str) -> torch.Tensor:
        return torch.from_numpy(self.embedding_bank[words].astype(np.float32))[None, None]

    def preprocess(self, data: np.ndarray) -> tuple[torch.Tensor, list[list[int]], tuple[int, ...]]:
        cut = data[1:]  # as if the first slice held nothing
        normal = (cut - cut.mean()) / cut.std()
        return torch.from_numpy(normal[None]), [[1, len(data)], *([0, n] for n in data.shape[1:])], data.shape

    def predict_sliding_window_return_logits(self, data: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        right = torch.linspace(-1, 1, data.shape[3])
        return (data - 4 * embedding[0, 0, 0] * right).half()


def _stand_in(patch: pytest.MonkeyPatch, name: str, **held: Any) -> None:
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        module = types.ModuleType(".".join(parts[:n]))
        module.__spec__ = ModuleSpec(module.__name__, None, is_package=n < len(parts))
        module.__path__ = []
        patch.setitem(sys.modules, module.__name__, module)
        if n > 1:
            patch.setattr(sys.modules[".".join(parts[: n - 1])], parts[n - 1], module, raising=False)
    for key, value in held.items():
        setattr(sys.modules[name], key, value)


def stand_in_nninteractive(patch: pytest.MonkeyPatch) -> None:
    _stand_in(patch, "nnInteractive.inference.inference_session", nnInteractiveInferenceSession=StandInSession)


def stand_in_voxtell(patch: pytest.MonkeyPatch) -> None:
    _stand_in(patch, "voxtell.inference.predictor", VoxTellPredictor=StandInPredictor, tqdm=lambda x, **_: x)

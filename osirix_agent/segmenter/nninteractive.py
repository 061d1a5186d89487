"""nnInteractive (Isensee et al. 2025) from a local folder: points, boxes, strokes and outlines by its own session.

The session keeps masks only; here the logits of its patches are kept beside them, where and in the order in which it
pastes the masks. It works on the volume's own voxels, knows nothing of spacing, and is asked prompt by prompt.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.errors import ModelError, PromptError, UnsupportedSeriesError
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import MaskPrompt, PointPrompt, Prompt
from osirix_agent.segmenter.certain import BoolArray, Float32Array, fixed_masks, settled
from osirix_agent.segmenter.folder import PublicModel, only_weights
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.seeds import Marks, read_marks

STARTED_LOGIT = 2.0  # a contour to start from, where the model has not looked at it

_Bounds = list[list[int]]


@dataclass(frozen=True, eq=False)
class _Step:
    """Something the session is told; equal keys tell the same.

    Attributes
    ----------
    tell : called with "run the network now?"
    places : does it say where the structure is?
    """

    key: object
    tell: Callable[[bool], object]
    places: bool


class NnInteractiveSegmenter:
    """One session, brought to what each request says: further by what is new, else from the start.

    Parameters
    ----------
    model : PublicModel
    device : "cpu", "cuda", "mps"
    """

    capabilities = Capabilities(text=False)

    def __init__(self, model: PublicModel, device: str = "cpu") -> None:
        self.model = model
        self._session = _open(model, device)
        self._logits = _KeptLogits(self._session)
        self._volume: Volume | None = None
        self._told: list[object] | None = None  # None: the session's state is not known
        self._one_at_a_time = threading.Lock()  # accept may ask while the executor is at work

    @property
    def name(self) -> str:
        return self.model.name

    def look(self, volume: Volume) -> None:
        """Normalise the volume ahead of the first prompt (in the session's own thread)."""
        with self._one_at_a_time:
            self._show(volume)

    def propose(self, request: SegmentationRequest) -> Belief:
        each = [read_marks(request.volume, (prompt,)) for prompt in request.prompts]
        marks = Marks(tuple(s for m in each for s in m.strokes), tuple(r for m in each for r in m.regions))
        fixed = fixed_masks(request)
        if not len(marks.positive_points_kji) and not any(mask.any() for mask in fixed.values()):
            raise PromptError(
                "Nothing says yet where the structure is.", "Add a point, box or outline inside it first."
            )
        with self._one_at_a_time:
            self._show(request.volume)
            self._bring(self._steps(request.prompts, each, fixed))
            return settled(self._logits.full, request, marks, fixed, self.name)

    def _show(self, volume: Volume) -> None:
        if self._volume is not None and self._volume.digest == volume.digest:
            return
        values = np.nan_to_num(volume.array, nan=0.0, posinf=3e4, neginf=-3e4)
        if float(values.min()) == float(values.max()):
            raise UnsupportedSeriesError("The series has the same value everywhere.", "Open another series.")
        self._volume, self._told = None, None
        self._session.set_image(values[None])
        self._session.set_target_buffer(np.zeros(values.shape, np.uint8))
        self._logits.full = np.full(values.shape, OUTSIDE_LOGIT, np.float32)
        self._volume, self._told = volume, []

    def _bring(self, steps: list[_Step]) -> None:
        """Tell the session what it has not been told, from the start where it was told something else."""
        told, self._told = self._told, None  # what fails half-way leaves nothing to build on
        keys = [step.key for step in steps]
        if told is None or keys[: len(told)] != told:
            self._session.reset_interactions()
            self._logits.forget()
            told = []
        placed = any(step.places for step in steps[: len(told)])
        for step in steps[len(told) :]:
            placed = placed or step.places
            with _same_draws():
                step.tell(placed)
        self._told = keys

    # -- what a request says, as the session takes it: a contour to start from, her slices, the prompts as they came
    def _steps(self, prompts: tuple[Prompt, ...], each: list[Marks], fixed: dict[int, BoolArray]) -> list[_Step]:
        told = list(zip(prompts, each, strict=True))
        started = [(p, m) for p, m in told if isinstance(p, MaskPrompt)][-1:]  # the session forgets what came before
        steps = [_Step(p, partial(self._start, m), True) for p, m in started]
        if fixed:
            key = hashlib.sha256(b"".join(k.to_bytes(4) + mask.tobytes() for k, mask in sorted(fixed.items()))).digest()
            held = {k: mask for k, mask in fixed.items() if mask.any()}
            steps.append(_Step(key, partial(self._hers, held), bool(held)))
        for prompt, marks in told:
            if not isinstance(prompt, MaskPrompt):
                where = len(marks.positive_points_kji) > 0
                steps.append(_Step(prompt, partial(self._prompt, prompt, marks), where))
        return steps

    def _start(self, marks: Marks, run: bool) -> None:
        shape = tuple(int(n) for n in self._logits.full.shape)
        mask = np.zeros(shape, np.uint8)
        for region in marks.regions:
            mask[region.k][fill(region.rings_ji, (shape[1], shape[2]))] = 1
        self._takes("initial_label")
        self._logits.full[:] = np.where(mask, np.float32(STARTED_LOGIT), np.float32(OUTSIDE_LOGIT))
        refine = run and bool(self._session.supports_zero_shot_label_refinement)
        self._session.add_initial_seg_interaction(mask, run_prediction=refine)

    def _hers(self, fixed: dict[int, BoolArray], run: bool) -> None:
        for n, (k, mask) in enumerate(sorted(fixed.items()), 1):
            self._lasso(k, mask, 1, run and n == len(fixed))

    def _prompt(self, prompt: Prompt, marks: Marks, run: bool) -> None:
        shape = self._logits.full.shape
        for stroke in marks.strokes:
            at = np.clip(np.round(stroke.points_kji).astype(int), 0, np.array(shape) - 1)
            if isinstance(prompt, PointPrompt):
                self._takes("points")
                self._session.add_point_interaction(tuple(int(v) for v in at[0]), stroke.sign > 0, run_prediction=run)
            else:
                self._scribble(at, stroke.sign, run)
        for region in marks.regions:
            if region.loose:
                self._takes("bbox2d")
                points = region.points_kji[:, 1:]
                low = np.clip(np.ceil(points.min(0)), 0, np.array(shape[1:]) - 1).astype(int)
                high = np.clip(np.floor(points.max(0)) + 1, low + 1, shape[1:]).astype(int)
                sides = [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
                self._session.add_bbox_interaction([[region.k, region.k + 1], *sides], region.sign > 0, run)
            else:
                self._lasso(region.k, fill(region.rings_ji, shape[1:]), region.sign, run)

    def _scribble(self, at: npt.NDArray[np.int_], sign: int, run: bool) -> None:
        """A stroke as thick on its slice as the model was taught."""
        self._takes("scribble")
        across, along = (int(t) for t in self._session.preferred_scribble_thickness[1:])
        brush = np.array([(0, j, i) for j in range(across) for i in range(along)])
        drawn = np.minimum((at[:, None] + brush).reshape(-1, 3), np.array(self._logits.full.shape) - 1)
        low, high = drawn.min(0), drawn.max(0) + 1
        mask = np.zeros(high - low, np.uint8)
        mask[tuple((drawn - low).T)] = 1
        bounds = [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
        self._session.add_scribble_interaction(mask, sign > 0, run_prediction=run, interaction_bbox=bounds)

    def _lasso(self, k: int, mask: BoolArray, sign: int, run: bool) -> None:
        self._takes("lasso")
        held = np.argwhere(mask)
        (top, left), (bottom, right) = held.min(0), held.max(0) + 1
        bounds = [[k, k + 1], [int(top), int(bottom)], [int(left), int(right)]]
        cut = np.ascontiguousarray(mask[None, top:bottom, left:right], np.uint8)
        self._session.add_lasso_interaction(cut, sign > 0, run_prediction=run, interaction_bbox=bounds)

    def _takes(self, kind: str) -> None:
        session = self._session
        if not (session.supports_initial_label if kind == "initial_label" else session.supported_interactions[kind]):
            raise PromptError("This model was not made for that kind of prompt.", "Undo it and use points.")


class _KeptLogits:
    """The logits that a session takes its masks from.

    Every run of the network is followed by one paste: at once where it looked at full resolution, in the same order
    after the last run where it refined a coarse look patch by patch (the coarse look itself is never pasted).

    Attributes
    ----------
    full : (k, j, i) float32 on the volume
    """

    def __init__(self, session: Any) -> None:
        self.full: Float32Array = np.zeros((0, 0, 0), np.float32)
        self._patches: list[Any] = []
        self._paste, self._refine = session._paste_prediction_to_target_buffer, session._refine_coarse
        session._paste_prediction_to_target_buffer, session._refine_coarse = self._pasting, self._refining
        session.network.register_forward_hook(self._seen)

    def forget(self) -> None:
        self.full[:] = OUTSIDE_LOGIT
        self._patches.clear()

    def _seen(self, network: object, given: object, output: Any) -> None:
        del network, given
        self._patches.append((output[0, 1] - output[0, 0]).float())

    def _refining(self, *given: Any, **named: Any) -> None:
        self._patches.clear()
        self._refine(*given, **named)

    def _pasting(self, prediction: Any, bbox: _Bounds, *given: Any, **named: Any) -> None:
        self._paste(prediction, bbox, *given, **named)
        patch = np.nan_to_num(self._patches.pop(0).cpu().numpy(), nan=OUTSIDE_LOGIT)
        inside = [(max(0, low), min(high, n)) for (low, high), n in zip(bbox, self.full.shape, strict=True)]
        if all(low < high for low, high in inside):
            cut = tuple(slice(a - box[0], b - box[0]) for (a, b), box in zip(inside, bbox, strict=True))
            self.full[tuple(slice(a, b) for a, b in inside)] = patch[cut]


@contextmanager
def _same_draws() -> Iterator[None]:
    """The session draws patches by numpy's global generator: equal requests are to draw equal ones."""
    before = np.random.get_state()  # noqa: NPY002 - theirs is the old one
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _open(model: PublicModel, device: str) -> Any:
    """The package's own session on a folder."""
    import torch
    from nnInteractive.inference import inference_session as package

    package.print = lambda *_, **__: None  # it reports on every click
    session = package.nnInteractiveInferenceSession(
        device=torch.device(device), torch_n_threads=torch.get_num_threads(), enable_undo=False
    )
    if not all(hasattr(session, name) for name in ("_paste_prediction_to_target_buffer", "_refine_coarse")):
        raise ModelError(
            "This version of nnInteractive is not known here.", "pip install 'osirix-agent[nninteractive]'"
        )
    try:
        with only_weights():
            session.initialize_from_trained_model_folder(str(model.folder))
    except ModelError:
        raise
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, ImportError, OSError) as error:
        raise ModelError(
            f"nnInteractive cannot load the model in {model.folder} ({type(error).__name__}).",
            "Download the model's folder again, whole; if that does not help, update nnInteractive.",
        ) from error
    session.network.eval()
    return session

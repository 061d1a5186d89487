"""The shipped vision-language model in this process: words and clicks, two levels, one answer.

The whole field of view is encoded once on a coarse grid; prompts and words place the structure there. A fine grid
about it is encoded once as well, and the prompts answered again with the coarse answer as the previous mask. Grids
are chosen from the request alone, so equal requests have equal answers whatever came before.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.errors import PromptError, UnsupportedSeriesError
from osirix_agent.imaging.contour import fill, isocontour
from osirix_agent.imaging.structure import kind_of
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.blocks import Join, Residual
from osirix_agent.network.interactions import interactions
from osirix_agent.network.model import Encoded, PromptableNetwork, cpu_has_bf16
from osirix_agent.network.preprocess import (
    AIR,
    Grid,
    normalise,
    resample,
    sample_image,
    value_spread,
)
from osirix_agent.network.refiner import Refiner
from osirix_agent.network.text import Phrase
from osirix_agent.network.weights import Weights, load_weights
from osirix_agent.prompting.prompt import MaskPrompt, Polarity, Prompt, TextPrompt
from osirix_agent.segmenter.certain import CERTAIN_LOGIT, CLICK_RADIUS_MM, Box, fixed_masks, hold, mean_of, trimmed
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.levels import box_of, coarse_grid, cut, cut_grid, fine_grid, index_to_lps, on_volume, window
from osirix_agent.segmenter.marking import marks_on
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.refining import NOTHING_LOGIT, knows, marks_of, refined, see, without_core
from osirix_agent.segmenter.seeds import Marks, Region, read_marks

FloatArray = npt.NDArray[np.float64]

STEPS = 8  # prompts come in blocks of so many; those of the last block are answered one after the other
LARGEST_VOXELS = 600_000_000


@dataclass(frozen=True, eq=False)
class _Answer:
    """Logits (k, j, i) on a grid."""

    logits: Tensor
    grid: Grid


@dataclass(frozen=True, eq=False)
class _Sight:
    """A volume as one network sees it.

    Attributes
    ----------
    to_lps : (4, 4) volume index (k, j, i, 1) to LPS mm
    """

    volume: Volume
    array: Tensor
    to_lps: FloatArray
    spread: tuple[float, float]
    fill: float
    coarse: Grid


class VisionLanguageSegmenter:
    """A base with its adapters.

    Parameters
    ----------
    folder : model folder of the base
    adapters : model folders; each serves structures whose names begin as its description says
    device : "cpu", "cuda", "mps"
    refine : the base's answers about organs with its refiner, where there is one, on CT like what that learnt from
    """

    def __init__(
        self, folder: Path, adapters: tuple[Path, ...] = (), device: str = "cpu", refine: bool = True
    ) -> None:  # fmt: skip
        self._base, *self._adapters = load_weights(folder, adapters, device, refine)
        self._device = device
        self._classical = ClassicalSegmenter()
        taught = {*self._base.structures, *(s for a in self._adapters for s in a.structures)}
        self.capabilities = Capabilities(text=True, structures=tuple(sorted(taught)))
        self._one_at_a_time = threading.RLock()  # accept may ask while the executor is at work
        self._sights: OrderedDict[str, _Sight] = OrderedDict()
        self._encoded: OrderedDict[tuple[object, ...], Encoded] = OrderedDict()
        self._answers: OrderedDict[tuple[object, ...], _Answer] = OrderedDict()
        self._known: dict[str, bool] = {}  # the last volume: is it like those that the refiner learnt from?

    @property
    def name(self) -> str:
        joined = f" joined with {self._classical.name}"
        return self._base.source + "".join(f" + {a.called}{joined if a.joined else ''}" for a in self._adapters)

    @property
    def sources(self) -> tuple[str, ...]:
        alone = tuple(weights.source for weights in self._adapters if weights.joined)  # where words exclude something
        return *(self._source(weights) for weights in (self._base, *self._adapters)), *alone

    def source_for(self, structure: str) -> str:
        return self._source(self._weights_for(structure))

    def serves(self, structure: str) -> bool:
        """Was the base made for it, or an adapter that is better on it than the classical segmenter?"""
        weights = self._weights_for(structure)
        return structure in weights.structures or (weights is not self._base and weights.leads)

    def look(self, volume: Volume) -> None:
        """Encode a volume's field of view ahead of the first prompt."""
        sight = self._sight(volume)
        for weights in (self._base, *self._adapters):
            self._encode(sight, sight.coarse, weights.network)

    def propose(self, request: SegmentationRequest) -> Belief:
        with self._one_at_a_time, torch.inference_mode():
            return self._propose(request)

    def describe(self, volume: Volume) -> FloatArray:
        """(2 c,) mean and deviation over the image of the base's deepest features."""
        with self._one_at_a_time, torch.inference_mode():
            sight = self._sight(volume)
            deep = self._encode(sight, sight.coarse, self._base.network).features.sixteenth[0].float().flatten(1)
            return np.asarray(torch.cat([deep.mean(1), deep.std(1)]).cpu().double().numpy())

    @contextmanager
    def dropping(self, rate: float, seed: int) -> Iterator[None]:
        """MC dropout (Gal & Ghahramani 2016): meanwhile maps of the decoder's features are dropped at random, and
        answers are neither looked up nor kept."""
        chance = torch.Generator().manual_seed(seed)

        def drop(_block: nn.Module, _given: object, found: Tensor) -> Tensor:
            kept = (torch.rand(found.shape[:2], generator=chance) >= rate).to(found) / (1 - rate)
            return found * kept[:, :, None, None, None]

        with self._one_at_a_time:
            known, self._answers = self._answers, OrderedDict()
            decoders = [weights.network.decoder for weights in (self._base, *self._adapters)]
            blocks = [b for d in decoders for b in d.children() if isinstance(b, (Residual, Join))]
            hooks = [block.register_forward_hook(drop) for block in blocks]
            try:
                yield
            finally:
                self._answers = known
                for hook in hooks:
                    hook.remove()

    def _propose(self, request: SegmentationRequest) -> Belief:
        volume = request.volume
        each = tuple(read_marks(volume, (prompt,)) for prompt in request.drawn)
        marks = Marks(tuple(s for m in each for s in m.strokes), tuple(r for m in each for r in m.regions))
        weights, name = self._asked(request)
        phrase = Phrase.read(name) if name else None
        network, fixed = weights.network, fixed_masks(request)
        placed = bool(len(marks.positive_points_kji)) or any(mask.any() for mask in fixed.values())
        if phrase is None and not placed:
            raise PromptError(
                "Nothing says yet where the structure is.",
                "Add a point, box or outline inside it, or name a structure that the model has learnt.",
            )
        sight = self._sight(volume)
        answer = self._chain(sight, network, phrase, request.drawn, each, fixed)
        unwanted = [p for p in request.prompts if isinstance(p, TextPrompt) and p.polarity is Polarity.EXCLUDE]
        for text in unwanted:
            answer = self._without(sight, network, answer, Phrase.read(text.phrase))
        box = box_of(answer.logits, answer.grid, volume, marks, fixed)
        logit = on_volume(answer.logits, answer.grid, sight.to_lps, box)
        spacing = np.array(volume.geometry.spacing_kji_mm)
        hold(logit, box, spacing, marks, fixed, request.excluded, CLICK_RADIUS_MM, CERTAIN_LOGIT)
        belief = trimmed(logit, box, volume.geometry.shape_kji, weights.source)
        if weights.joined and placed and not unwanted:  # the classical segmenter hears of no such words
            other = self._classical.propose(replace(request, prompts=request.drawn))
            belief = mean_of((belief, other), self._source(weights))
        if weights is not self._base or volume.modality != "CT" or kind_of(request.structure) != "organ":
            return belief
        found = None if unwanted else self._refined(belief, request, weights.refiner, name)  # it hears of no such words
        if found is not None:
            logit, box = found
            hold(logit, box, spacing, marks, fixed, request.excluded, CLICK_RADIUS_MM, CERTAIN_LOGIT)
            belief = trimmed(logit, box, volume.geometry.shape_kji, weights.source)
        words_alone = not request.drawn and not fixed
        if words_alone and without_core(belief.mean_logit, volume.geometry.voxel_volume_mm3):
            belief = replace(belief, mean_logit=np.minimum(belief.mean_logit, np.float32(NOTHING_LOGIT)))
        return belief

    def _refined(
        self, belief: Belief, request: SegmentationRequest, refiner: Refiner | None, name: str
    ) -> tuple[npt.NDArray[np.float32], Box] | None:
        """Changed logits and where they lie; None: there is nothing to refine it by, or nothing that it knows."""
        if refiner is None or not self._knows(refiner, request.volume):
            return None
        seen = see(belief, request.volume, marks_of(request))
        if seen is None:
            return None
        with self._precision():
            return refined(belief, seen, refiner, name)

    def _knows(self, refiner: Refiner, volume: Volume) -> bool:
        if volume.digest not in self._known:
            self._known = {volume.digest: knows(refiner, self.describe(volume))}
        return self._known[volume.digest]

    def _weights_for(self, structure: str) -> Weights:
        """Those that answer for a structure."""
        for weights in self._adapters:
            if weights.serves and structure.upper().startswith(tuple(s.upper() for s in weights.serves)):
                return weights
        return self._base

    def _source(self, weights: Weights) -> str:
        return f"{weights.source} joined with {self._classical.name}" if weights.joined else weights.source

    def _asked(self, request: SegmentationRequest) -> tuple[Weights, str]:
        """The weights that answer, and what is asked for in words: the newest text that includes, else the
        structure's name where it was taught, else nothing."""
        said = [p.phrase for p in request.prompts if isinstance(p, TextPrompt) and p.polarity is Polarity.INCLUDE]
        asked = said[-1] if said else request.structure
        weights = self._weights_for(asked)
        if said and asked not in weights.structures:
            known = ", ".join(self._base.structures)
            raise PromptError("The model has not learnt that structure.", f"Click or draw instead; it knows {known}.")
        return weights, asked if asked in weights.structures else ""

    def _sight(self, volume: Volume) -> _Sight:
        known = self._sights.get(volume.digest)
        if known is not None:
            self._sights.move_to_end(volume.digest)
            return known
        if volume.array.size > LARGEST_VOXELS:
            raise UnsupportedSeriesError(
                f"The series has {volume.array.size / 1e6:.0f} million voxels; the model takes up to "
                f"{LARGEST_VOXELS / 1e6:.0f} million.",
                "Crop or resample the series in OsiriX and open that.",
            )
        values = np.nan_to_num(volume.array, nan=AIR if volume.modality == "CT" else 0.0, posinf=3e4, neginf=-3e4)
        filling = AIR if volume.modality == "CT" else float(values.min())
        array = torch.from_numpy(np.ascontiguousarray(values))
        sight = _Sight(volume, array, index_to_lps(volume), value_spread(values), filling, coarse_grid(volume))
        self._sights[volume.digest] = sight
        if len(self._sights) > 2:
            self._sights.popitem(last=False)
        return sight

    @torch.inference_mode()
    def _encode(self, sight: _Sight, grid: Grid, network: PromptableNetwork) -> Encoded:
        key = (sight.volume.digest, grid, id(network))
        known = self._encoded.get(key)
        if known is None:
            sampled = sample_image(sight.array, sight.to_lps, grid, sight.fill)
            image = normalise(sampled, sight.volume.modality, sight.spread)[None].to(
                self._device, memory_format=torch.channels_last_3d
            )
            with self._precision():
                known = network.encode(image, sight.volume.modality, grid.spacing_mm)
            self._encoded[key] = known
            if len(self._encoded) > 8:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return known

    def _precision(self) -> torch.autocast:
        half = torch.float16 if self._device == "mps" else torch.bfloat16
        return torch.autocast(self._device, dtype=half, enabled=self._device != "cpu" or cpu_has_bf16())

    def _chain(
        self, sight: _Sight, network: PromptableNetwork, phrase: Phrase | None, prompts: tuple[Prompt, ...],
        each: tuple[Marks, ...], fixed: dict[int, npt.NDArray[np.bool_]],
    ) -> _Answer:  # fmt: skip
        """The answer to all prompts, each of the latest given with the answer to those before it."""
        hers = tuple((k, hashlib.sha256(m.tobytes()).digest()) for k, m in sorted(fixed.items()))
        previous: _Answer | None = None
        first = max(len(prompts) - 1, 0) // STEPS * STEPS  # a block's beginning: none of its clicks moves it
        counts = range(first, len(prompts) + 1)
        if phrase is None:  # without words, the first answer needs something that says where
            placed = next((n for n, marks in enumerate(each, 1) if len(marks.positive_points_kji)), len(prompts))
            counts = range(max(first, placed), len(prompts) + 1)
        for count in counts:
            last = count == counts[-1]
            key = (sight.volume.digest, id(network), phrase, counts[0], prompts[:count], hers if last else ())
            known = self._answers.get(key)
            if known is None:
                known = self._answer(
                    sight, network, phrase, prompts[:count], each[:count], fixed if last else {}, previous
                )
                self._answers[key] = known
                if len(self._answers) > 64:
                    self._answers.popitem(last=False)
            previous = known
        assert previous is not None
        return previous

    def _answer(
        self, sight: _Sight, network: PromptableNetwork, phrase: Phrase | None, prompts: tuple[Prompt, ...],
        each: tuple[Marks, ...], fixed: dict[int, npt.NDArray[np.bool_]], previous: _Answer | None,
    ) -> _Answer:  # fmt: skip
        """Coarse, then fine."""
        with self._precision():
            query = network.queries([phrase]) if phrase is not None else None
        started = [m for p, m in zip(prompts, each, strict=True) if isinstance(p, MaskPrompt)]
        marked = [m for p, m in zip(prompts, each, strict=True) if not isinstance(p, MaskPrompt)]
        if fixed:
            marked.append(Marks((), tuple(_hers(k, mask) for k, mask in fixed.items() if mask.any())))
        if started and (previous is None or isinstance(prompts[-1], MaskPrompt)):
            previous = self._start(sight, started[-1])
        encoded = self._encode(sight, sight.coarse, network)
        coarse = self._decide(sight, network, encoded, sight.coarse, query, marked, previous, windowed=True)
        grid = fine_grid(coarse.logits, coarse.grid, marked, sight.volume)
        if grid is None:
            return coarse
        encoded = self._encode(sight, grid, network)
        return self._decide(sight, network, encoded, grid, query, marked, coarse)

    def _decide(
        self, sight: _Sight, network: PromptableNetwork, encoded: Encoded, grid: Grid, query: Tensor | None,
        marked: list[Marks], previous: _Answer | None, windowed: bool = False,
    ) -> _Answer:  # fmt: skip
        """One level's answer."""
        with self._precision():
            words = network.words(encoded, query)[0].sigmoid() if query is not None else None
            if not marked and previous is None and words is not None:
                return _Answer(words[0].clamp(1e-5, 1 - 1e-5).logit().cpu(), grid)
            before = _moved(previous, grid) if previous is not None else None
            part = None
            if windowed:
                part = window(grid, sight.volume, marked, before, words)
                encoded, grid = cut(encoded, part), cut_grid(grid, part)
                before = before[part] if before is not None else None
                words = words[(slice(None), *part)] if words is not None else None
            marks = [marks_on(grid, sight.volume, m) for m in marked]
            made = interactions(grid.shape_kji, marks, before, words[0] if words is not None else None)[None]
            made = made.to(self._device, memory_format=torch.channels_last_3d)
            named = torch.tensor([query is not None])
            return _Answer(network.decode(encoded, made, query, named)[0].cpu(), grid)

    def _start(self, sight: _Sight, marks: Marks) -> _Answer:
        """An existing contour as a previous answer, on the coarse grid."""
        full = np.zeros(sight.volume.geometry.shape_kji, np.float32)
        for region in marks.regions:
            full[region.k][fill(region.rings_ji, full.shape[1:])] = 1
        soft = sample_image(torch.from_numpy(full), sight.to_lps, sight.coarse, 0.0)
        return _Answer((soft.clamp(0.01, 0.99)).logit(), sight.coarse)

    def _without(self, sight: _Sight, network: PromptableNetwork, answer: _Answer, phrase: Phrase) -> _Answer:
        """The answer less what other words name."""
        encoded = self._encode(sight, answer.grid, network)
        with self._precision():
            unwanted = network.words(encoded, network.queries([phrase]))[0][0].cpu()
        return replace(answer, logits=torch.minimum(answer.logits, -unwanted.clamp(-10, 10)))


def _hers(k: int, mask: npt.NDArray[np.bool_]) -> Region:
    """A slice she drew, as a region."""
    return Region(1, k, isocontour(np.where(mask, 1.0, -1.0).astype(np.float32), 0.0), loose=False)


def _moved(answer: _Answer, grid: Grid) -> Tensor:
    """(k, j, i) probability of an answer on another grid."""
    if answer.grid == grid:
        return answer.logits.sigmoid()
    step = np.linalg.inv(answer.grid.matrix) @ grid.matrix
    return resample(answer.logits[None], step, grid.shape_kji, OUTSIDE_LOGIT)[0].sigmoid()

"""Train the refiner: what a base answers about its own training patients, and what it should have answered.

The patients are the base's own: its answers about them are hardly better than about others (it is far from knowing
them by heart), and no other patients may be learnt from.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from osirix_agent.belief.card import FEWEST
from osirix_agent.belief.gate import Gallery, fit_gallery
from osirix_agent.errors import SettingsError
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.checkpoint import load_model, write_folder
from osirix_agent.network.refiner import Refiner, RefinerDescription
from osirix_agent.prompting.prompt import TextPrompt
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.refining import Seen, blocks_of, marks_of, see
from osirix_agent.training.benchmark import images_of
from osirix_agent.training.contouring import Contoured, spelt
from osirix_agent.training.examples import LESION, MIN_VOXELS, DrawRecipe, lesion_in
from osirix_agent.training.loop import first_process, run
from osirix_agent.training.phrases import ORGANS
from osirix_agent.training.staging import Stage, Staging
from osirix_agent.training.step import Schedule

STARTS = ("both", "clicks")
ABSENT = "absent"
FAMILIAR = 0.95  # of the patients' images are as near to the others as another must be to be refined
NEAR_VOXELS = 2  # about a structure: so many voxels' errors make one
FEW_VOXELS = 500.0  # keeps the errors about a tiny structure from weighing more than all others
UNSURE = 0.75  # in units of four logits
SOFT_VOXELS = 20.0  # the same for the overlap


class RefinerRecipe(Schedule):
    """Everything that decides the refiner's weights, stored beside them.

    Attributes
    ----------
    crops : seen a step
    crop : blocks of voxels along k, j and i, at most
    absent, lesions : share of the crops of answers that should have been nothing; of synthetic shapes
    nameless : share of the answers that began with a name, shown without it
    zoomed, zoom : share of the crops whose pixels are taken to be larger or smaller, and between which factors
    noise_hu, shift_hu, contrast : noise at most, deviation of a shift, and largest change of the contrast
    surer : factors between which the answer's logits are changed
    """

    steps: int = 4_500
    learning_rate: float = 1.2e-3
    warm_up: int = 100
    cool_down: int = 1_500
    structures: tuple[str, ...] = tuple(ORGANS)
    widths: tuple[int, int, int] = (32, 64, 96)
    crops: int = 4
    crop: tuple[int, int, int] = (32, 32, 32)
    absent: float = 0.1
    lesions: float = 0.08
    nameless: float = 0.1
    zoomed: float = 0.3
    zoom: tuple[float, float] = (0.8, 1.4)
    noise_hu: float = 12.0
    shift_hu: float = 8.0
    contrast: float = 0.07
    surer: tuple[float, float] = (0.8, 1.25)


@dataclass(frozen=True, eq=False)
class Lesson:
    """A stage of one structure, and the truth (k, j, i) on the refiner's blocks."""

    stage: Stage
    truth: npt.NDArray[np.bool_]

    @property
    def named(self) -> bool:
        return any(isinstance(prompt, TextPrompt) for prompt in self.stage.request.prompts)


def lessons(staging: Staging, images: Iterable[Contoured], seed: int) -> list[Lesson]:
    """Every structure of every image, from its name and from a box, and by name where it is not; and a synthetic
    shape in each, from a box."""
    found = []
    for image in images:
        for structure in image.truths:
            stages = [stage for start in STARTS for stage in staging.stages(image, structure, start)]
            stages += [stage for stage in [staging.absent(image, structure)] if stage is not None]
            found += _lessons(stages)
        number = int.from_bytes(hashlib.sha256(image.name.encode()).digest()[:8])
        changed = with_lesion(image, np.random.default_rng([seed, number]))
        for structure in changed.truths:
            found += _lessons(staging.stages(changed, structure, "clicks"))
    return found


def _lessons(stages: Iterable[Stage]) -> list[Lesson]:
    seen = [(stage, _seen(stage)) for stage in stages]
    return [Lesson(stage, _truth(stage.truth, there)) for stage, there in seen if there is not None]


def with_lesion(image: Contoured, random: np.random.Generator) -> Contoured:
    """The image with a synthetic shape, and nothing else that is known of it."""
    hu = torch.from_numpy(image.volume.array)
    spacing = float(np.exp(np.mean(np.log(image.volume.geometry.spacing_kji_mm))))
    changed, mask = lesion_in(hu, spacing, DrawRecipe(), random)
    volume = Volume(np.ascontiguousarray(changed.numpy(), np.float32), image.volume.geometry, image.volume.modality)
    return Contoured(image.name, volume, {LESION: mask.numpy()} if int(mask.sum()) >= MIN_VOXELS else {})


def _seen(stage: Stage) -> Seen | None:
    return see(stage.belief, stage.request.volume, marks_of(stage.request))


def _truth(truth: npt.NDArray[np.bool_], seen: Seen) -> npt.NDArray[np.bool_]:
    """In the box that is seen; a block is inside when half of it is."""
    room = [(max(0, -a), max(0, b - n)) for (a, b), n in zip(seen.box, truth.shape, strict=True)]
    wide = np.pad(truth, room)
    part = tuple(slice(a + low, b + low) for (a, b), (low, _) in zip(seen.box, room, strict=True))
    held = blocks_of(wide[part].astype(np.float32), seen.blocks) >= 0.5
    return np.flip(held, tuple(axis - 1 for axis in seen.turned)).copy()


def drawn(
    lesson: Lesson, recipe: RefinerRecipe, random: np.random.Generator
) -> tuple[Tensor, Tensor, str | None, Tensor]:
    """A crop about a place where the answer is unsure or the structure is, varied.

    Returns
    -------
    channels : (8, k, j, i)
    truth : (k, j, i) float
    name : as the refiner is told; None: it is not
    spacing_mm : (3,)
    """
    seen = _seen(lesson.stage)
    assert seen is not None  # it was not when the lesson was made
    channels, truth, spacing = seen.channels, torch.from_numpy(lesson.truth).float(), seen.spacing_mm
    places = torch.nonzero((channels[0].abs() < UNSURE) | (truth > 0))
    at = places[int(random.integers(len(places)))].numpy() if len(places) else np.array(truth.shape) // 2
    starts = [
        int(np.clip(c - random.integers(size // 4, size - size // 4), 0, max(n - size, 0)))
        for c, n, size in zip(at, truth.shape, recipe.crop, strict=True)
    ]
    part = tuple(slice(a, a + size) for a, size in zip(starts, recipe.crop, strict=True))
    channels, truth = channels[(slice(None), *part)].clone(), truth[part]
    if random.random() < recipe.zoomed:
        factor = random.uniform(*recipe.zoom)
        size = [truth.shape[0], *(max(8, 4 * round(n * factor / 4)) for n in truth.shape[1:])]
        spacing = spacing * torch.tensor([old / new for old, new in zip(truth.shape, size, strict=True)])
        channels = F.interpolate(channels[None], size=size, mode="trilinear")[0]
        truth = (F.interpolate(truth[None, None], size=size, mode="trilinear")[0, 0] > 0.5).float()
    if random.random() < 0.5:
        channels, truth = channels.flip(3), truth.flip(2)
    grain = torch.from_numpy(random.standard_normal(channels.shape[1:], np.float32))
    changed_hu = grain * random.uniform(0, recipe.noise_hu) + random.normal(0, recipe.shift_hu)
    contrast = random.uniform(1 - recipe.contrast, 1 + recipe.contrast)
    channels[2] = (channels[2] * contrast + changed_hu / 100).clamp(-2, 2)
    channels[3] += changed_hu / 1000
    channels[0] *= random.uniform(*recipe.surer)
    channels[1] = (4 * channels[0]).sigmoid()
    name = lesson.stage.name if lesson.named and random.random() >= recipe.nameless else None
    return channels, truth, name, spacing


def refining_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice, and the cross-entropy as if all of it lay on and about the structure; (k, j, i) each."""
    probability = logits.sigmoid()
    overlap = (2 * (probability * truth).sum() + SOFT_VOXELS) / (probability.sum() + truth.sum() + SOFT_VOXELS)
    near = F.max_pool3d(truth[None, None], 2 * NEAR_VOXELS + 1, 1, NEAR_VOXELS).sum()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum")
    return 1 - overlap + entropy / (near + FEW_VOXELS)


def familiar(held: Iterable[Lesson]) -> tuple[Gallery | None, float]:
    """What the patients' images are like, and how far nearly all of them lie from the others; None: too few."""
    described = {
        lesson.stage.patient: lesson.stage.description for lesson in held
        if lesson.stage.description is not None and lesson.stage.structure != LESION
    }  # fmt: skip
    if len(described) < FEWEST:
        return None, 0.0
    gallery = fit_gallery(list(described.values()))
    apart = [gallery.distance(one, n) for n, one in enumerate(described.values())]
    return gallery, round(float(np.quantile(apart, FAMILIAR)), 4)


def train_refiner(
    recipe: RefinerRecipe, data: Path, base: Path, work: Path, out: Path, version: str,
    tell: Callable[[str], object] = lambda _: None, images: Iterable[Contoured] | None = None,
) -> None:  # fmt: skip
    """Train, or go on where `work` says training stopped, and write the folder `out`.

    Parameters
    ----------
    data : folder with splits.json; its patients for training are contoured first, which takes most of the time
    images : instead of those patients
    """
    bare = VisionLanguageSegmenter(base, refine=False)
    staging = Staging(bare, work / "stages", tell)
    held = lessons(staging, images_of(data, "organs", "train", None) if images is None else images, recipe.seed)
    by_structure = defaultdict[str, list[Lesson]](list)
    for lesson in held:
        by_structure[lesson.stage.structure if lesson.truth.any() else ABSENT].append(lesson)
    kinds = sorted(by_structure.keys() - {ABSENT, LESION})
    if not kinds:
        raise SettingsError("There is nothing to learn from.", "Give patients with contoured organs.")
    others = [(ABSENT, recipe.absent), (LESION, recipe.lesions)]
    torch.manual_seed(recipe.seed)
    names = dict.fromkeys(spelt(s).removesuffix("_L").removesuffix("_R") for s in recipe.structures)
    refiner = Refiner(names, recipe.widths)

    def turn(_step: int, random: np.random.Generator, device: torch.device) -> dict[str, Tensor]:
        losses = []
        for _ in range(recipe.crops):
            kind, chance = kinds[random.integers(len(kinds))], random.random()
            for other, share in others:
                if 0 <= chance < share and by_structure[other]:
                    kind = other
                chance -= share
            some = by_structure[kind]
            channels, truth, name, spacing = drawn(some[random.integers(len(some))], recipe, random)
            told = torch.tensor([refiner.index_of(name or "")], device=device)
            given = channels[None].to(device, memory_format=torch.channels_last_3d)
            losses.append(refining_loss(refiner(given, told, spacing[None].to(device))[0], truth.to(device)))
        return {"crops": torch.stack(losses).mean()}

    gallery, reach = familiar(held)
    averaged = run(recipe, refiner, list(refiner.parameters()), turn, work)
    if not first_process():
        return
    description = RefinerDescription(
        name="organs", version=version, licence="Apache-2.0", base=load_model(base).digest,
        structures=refiner.structures, widths=recipe.widths,
        gallery=None if gallery is None else gallery.model_dump(), reach=reach,
    )  # fmt: skip
    write_folder(out, averaged, "refiner.json", description, recipe.model_dump())

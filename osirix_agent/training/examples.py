"""Training examples: a random grid over a case, its appearance varied, and shapes that no atlas holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional as F

from osirix_agent.network.preprocess import AIR, normalise, resample_smooth
from osirix_agent.training.cases import Case
from osirix_agent.training.phrases import BOTH

FLIPPED = {a: b for pair in BOTH for a, b in (pair, pair[::-1])}
SYMMETRIC = ("head and neck", "soft tissue")
MIN_VOXELS = 12  # fewer on the grid: neither present nor absent, so not asked for
LESION = "lesion"  # a synthetic shape


class DrawRecipe(BaseModel):
    """How examples are drawn; lengths in mm.

    Attributes
    ----------
    tall_share : of the fine grids, those that are tall and narrow, for cords and oesophagi
    crop_share : images cut down to a block, about the lesion where there is one; beyond it is nothing
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coarse_share: float = 0.5
    coarse_shape: tuple[int, int, int] = (48, 64, 80)
    coarse_spacing_mm: tuple[float, float] = (4.5, 6.0)
    fine_shape: tuple[int, int, int] = (48, 64, 64)
    tall_share: float = 0.25
    tall_shape: tuple[int, int, int] = (96, 48, 48)
    fine_spacing_mm: tuple[float, float] = (2.0, 3.8)
    rotation_deg: float = 8.0
    stretch: float = 0.1
    flip_share: float = 0.3
    disguise_share: float = 0.3
    lesion_share: float = 0.45
    lesion_radius_mm: tuple[float, float] = (6.0, 90.0)
    crop_share: float = 0.15


@dataclass(frozen=True, eq=False)
class Example:
    """One image on one grid, and what is known to be on it.

    Attributes
    ----------
    image : (1, 2, k, j, i) float32, normalised
    truths : structure to (k, j, i) bool; empty where the patient has it outside the grid
    spacing_mm : edge of a voxel
    prompts : structure to what a clinician gave for it, as in a case, with index on this grid
    """

    image: Tensor
    truths: dict[str, Tensor]
    modality: str
    spacing_mm: float
    prompts: dict[str, tuple[tuple[str, npt.NDArray[np.float64]], ...]] = field(default_factory=dict)


def draw(case: Case, structures: tuple[str, ...], recipe: DrawRecipe, random: np.random.Generator) -> Example:
    """A random example of a case; only `structures` that it has contoured are given."""
    known = [s for s in structures if s in case.known]
    coarse = random.random() < recipe.coarse_share
    spacing = float(np.exp(random.uniform(*np.log(recipe.coarse_spacing_mm if coarse else recipe.fine_spacing_mm))))
    fine_shape = recipe.tall_shape if random.random() < recipe.tall_share else recipe.fine_shape
    shape = recipe.coarse_shape if coarse else fine_shape
    flip = bool(known) and case.site in SYMMETRIC and random.random() < recipe.flip_share
    centre = _centre(case, known, coarse, random)
    to_source = _placement(case, shape, spacing, centre, flip, recipe, random)

    hu = resample_smooth(torch.from_numpy(case.image.astype(np.float32))[None], to_source, shape, _fill(case))[0]
    truths: dict[str, Tensor] = {}
    if known:
        masks = torch.from_numpy(np.stack([case.mask(s) for s in known]).astype(np.float32))
        sampled = resample_smooth(masks, to_source, shape, 0.0) > 0.5
        for name, mask in zip(known, sampled, strict=True):
            truths[FLIPPED.get(name, name) if flip else name] = mask
    modality = case.modality
    if modality == "CT" and random.random() < recipe.disguise_share:
        hu, modality = _disguise(hu, random)
    if random.random() < recipe.lesion_share:
        hu, truths[LESION] = lesion_in(hu, spacing, recipe, random)
    if random.random() < recipe.crop_share:
        kept = _block(truths.get(LESION), shape, random)
        hu = torch.where(kept, hu, hu.min())
        truths = {name: mask & kept for name, mask in truths.items()}
    truths = {
        name: mask for name, mask in truths.items()
        if (count := int(mask.sum())) >= MIN_VOXELS or (count == 0 and name != LESION)
    }  # fmt: skip
    image = _noisy(hu, modality, case.modality, random)
    return Example(image[None], truths, modality, spacing, _prompts(case, known, flip, to_source))


def _prompts(
    case: Case, known: list[str], flip: bool, to_source: npt.NDArray[np.float64]
) -> dict[str, tuple[tuple[str, npt.NDArray[np.float64]], ...]]:
    if not (case.prompts and case.known[0] in known):
        return {}
    back = np.linalg.inv(to_source)
    moved = tuple((kind, at @ back[:3, :3].T + back[:3, 3]) for kind, at in case.prompts)
    name = case.known[0]
    return {FLIPPED.get(name, name) if flip else name: moved}


def _fill(case: Case) -> float:
    return AIR if case.modality == "CT" else float(case.image.min())


def _centre(case: Case, known: list[str], coarse: bool, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Index in the case that the grid's middle shows."""
    reach = 25.0 if coarse else 30.0
    jitter = random.uniform(-reach, reach, 3) / np.array(case.spacing_kji_mm)
    middle = (np.array(case.image.shape) - 1) / 2
    if not known:
        return middle + jitter
    held = np.argwhere(case.bits > 0) if coarse else np.zeros((0, 3))
    if coarse and len(held):
        low, high = held.min(0), held.max(0)
        middle[0] = random.uniform(low[0], high[0])  # scans end anywhere between skull and chest
        return np.asarray(middle + jitter)
    if random.random() < 0.1:
        return np.asarray(random.uniform(0, np.array(case.image.shape) - 1))
    held = np.argwhere(case.mask(known[random.integers(len(known))]))
    return np.asarray((held.mean(0) if len(held) else middle) + jitter)


def _placement(
    case: Case, shape: tuple[int, int, int], spacing: float, centre: npt.NDArray[np.float64], flip: bool,
    recipe: DrawRecipe, random: np.random.Generator,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """(4, 4): grid index to index in the case."""
    a, b, c = np.deg2rad(random.uniform(-1, 1, 3) * recipe.rotation_deg)
    turn = np.eye(3)
    for (p, q), angle in (((1, 2), a), ((0, 2), b), ((0, 1), c)):
        step = np.eye(3)
        step[p, p] = step[q, q] = np.cos(angle)
        step[p, q], step[q, p] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    stretch = np.exp(random.uniform(-1, 1, 3) * recipe.stretch)
    if flip:
        stretch[2] = -stretch[2]
    linear = np.diag(1 / np.array(case.spacing_kji_mm)) @ turn @ np.diag(stretch) * spacing
    m = np.eye(4)
    m[:3, :3] = linear
    m[:3, 3] = centre - linear @ ((np.array(shape) - 1) / 2)
    return m


def _smooth_noise(shape: tuple[int, ...], cells: float, random: np.random.Generator) -> Tensor:
    """(k, j, i) standard noise with about `cells` cells along the longest axis."""
    size = [max(2, round(cells * n / max(shape))) for n in shape]
    small = torch.from_numpy(random.standard_normal(size).astype(np.float32))
    return F.interpolate(small[None, None], size=shape, mode="trilinear", align_corners=True)[0, 0]


def _disguise(hu: Tensor, random: np.random.Generator) -> tuple[Tensor, str]:
    """A CT made to look like another modality: tissue classes get random values, edges and shapes stay."""
    at = np.array([-1100.0, -900, -500, -120, -60, 0, 30, 60, 120, 300, 800, 3000])
    to = random.uniform(0, 1, len(at))
    to[0], to[1] = 0.0, 0.05 * random.random()
    if random.random() < 0.5:  # soft tissues keep an order, one way or the other
        to[3:9] = np.sort(to[3:9])[:: random.choice([1, -1])]
    values = torch.from_numpy(np.interp(hu.numpy(), at, to).astype(np.float32)) * 1000
    if random.random() < 0.5:
        values = values * (1 + 0.25 * _smooth_noise(tuple(hu.shape), 3, random)).clamp(min=0.3)
    return values, "MR" if random.random() < 0.75 else "PT"


def lesion_in(hu: Tensor, spacing: float, recipe: DrawRecipe, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A lumpy ellipsoid inside the body, brighter or darker than where it lies, sometimes with another core."""
    shape = tuple(hu.shape)
    inside = np.argwhere((hu > (-200 if float(hu.min()) < -500 else float(hu.max()) * 0.1)).numpy())
    if len(inside) == 0:
        return hu, torch.zeros(shape, dtype=torch.bool)
    centre = inside[random.integers(len(inside))]
    radius = float(np.exp(random.uniform(*np.log(recipe.lesion_radius_mm)))) / spacing
    radii = np.clip(radius * np.exp(random.uniform(-0.45, 0.45, 3)), 1.6, 0.42 * min(shape))
    k, j, i = (
        ((torch.arange(n, dtype=torch.float32) - float(c)) / float(r)) ** 2
        for n, c, r in zip(shape, centre, radii, strict=True)
    )
    distance = (k[:, None, None] + j[None, :, None] + i[None, None, :]).sqrt()
    lumps = _smooth_noise(shape, max(4.0, 1.6 * max(shape) / float(radii.mean())), random)
    field = 1 - distance + random.uniform(0.05, 0.4) * lumps
    body = hu > (-300 if float(hu.min()) < -500 else float(hu.max()) * 0.05)
    mask = (field > 0) & body
    unit = 1.0 if float(hu.min()) < -500 else 4.0  # disguised images run to 1000 where tissues span 200 HU
    change = random.choice([-1, 1]) * np.exp(random.uniform(np.log(20), np.log(160))) * unit
    level = float(hu[tuple(centre)]) if random.random() < 0.5 else float(hu[mask].mean()) if mask.any() else 0.0
    filling = level + change * (1 + 0.5 * _smooth_noise(shape, 10, random) * random.random())
    if random.random() < 0.35:
        filling = torch.where(field > random.uniform(0.3, 0.6), level - change * random.random(), filling)
    soft = torch.sigmoid(field * random.uniform(8, 40)) * body
    keep = random.uniform(0, 0.4)  # some of what was there shows through
    return hu * (1 - soft * (1 - keep)) + filling * soft * (1 - keep), mask


def _block(lesion: Tensor | None, shape: tuple[int, int, int], random: np.random.Generator) -> Tensor:
    """(k, j, i) bool: a block of the grid, with some room about a lesion."""
    kept = torch.zeros(shape, dtype=torch.bool)
    held = np.argwhere(lesion.numpy()) if lesion is not None else np.zeros((0, 3), int)
    if len(held):
        low = held.min(0) - random.integers(3, 20, 3)
        high = held.max(0) + 1 + random.integers(3, 20, 3)
    else:
        size = np.round(np.array(shape) * random.uniform(0.4, 1.0, 3)).astype(int)
        low = random.integers(0, np.array(shape) - size + 1)
        high = low + size
    k, j, i = (slice(max(0, int(a)), int(b)) for a, b in zip(low, high, strict=True))
    kept[k, j, i] = True
    return kept


def _noisy(hu: Tensor, modality: str, original: str, random: np.random.Generator) -> Tensor:
    """Normalised (2, k, j, i), with noise, gain and shift."""
    noise = torch.from_numpy(random.standard_normal(hu.shape).astype(np.float32))
    if modality == "CT":
        hu = hu * random.uniform(0.95, 1.05) + random.uniform(-15, 15) + noise * random.uniform(0, 15)
        return normalise(hu, "CT", (0.0, 1.0))
    some = hu[hu > hu.min()]
    low, middle, high = np.percentile(some.numpy(), [2, 50, 98]) if some.numel() > 10 else (0.0, 0.0, 1.0)
    half = max(float(high - low) / 2, 1e-3)
    if original == "CT" and random.random() < 0.4:  # PET and old MR are blurred
        hu = F.avg_pool3d(hu[None, None], 3, 1, 1)[0, 0]
    hu = hu + noise * half * random.uniform(0, 0.12)
    return normalise(hu, modality, (float(middle) + half * random.uniform(-0.2, 0.2), half * random.uniform(0.8, 1.3)))

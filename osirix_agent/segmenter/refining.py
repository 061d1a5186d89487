"""What the refiner sees of an answer, and the answer that it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.belief.gate import Gallery
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.interactions import RECENCY, stamp_points
from osirix_agent.network.preprocess import AIR
from osirix_agent.network.refiner import CHANNELS, STRIDE, Refiner
from osirix_agent.prompting.prompt import MaskPrompt
from osirix_agent.segmenter.certain import Box
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.seeds import Marks, read_marks

ROOM_VOXELS = 6  # about an answer: how far it may grow, and what is beside it
BLOCK_MM = 3.0  # finer voxels are seen in blocks of so much
LARGEST_VOXELS = 500_000  # an answer of more blocks is larger than the organs refiners learn from
CORE_CM3 = 3.0  # of an organ: its surest part, whose mean logit is at least CORE_LOGIT where the organ is
CORE_LOGIT = 1.5  # 30 calibration patients' organs: 2.2 and more where they are, less in 94 % of images without them
NOTHING_LOGIT = -1.0
UPRIGHT = 0.9  # cosine between an axis of the voxels and the patient's, at least


@dataclass(frozen=True, eq=False)
class Seen:
    """An answer as the refiner sees it.

    Attributes
    ----------
    channels : (8, k, j, i) float32 of blocks of voxels; k grows to the head, j to the back, i to the left
    box : the volume's voxels that the blocks cover; may reach beyond the volume
    blocks : voxels a block, along k, j and i
    turned : axes of the channels that run against the volume's
    spacing_mm : (3,) of the blocks
    """

    channels: Tensor
    box: Box
    blocks: tuple[int, int, int]
    turned: tuple[int, ...]
    spacing_mm: Tensor


def knows(refiner: Refiner, description: npt.ArrayLike) -> bool:
    """Is an image, as the base's encoder describes it, like those that the refiner learnt from?"""
    if refiner.gallery is None:
        return True
    return Gallery.model_validate(refiner.gallery).distance(description) <= refiner.reach


def marks_of(request: SegmentationRequest) -> tuple[Marks, ...]:
    """Of each prompt that is drawn, oldest first; of a contour that was there before, the answer itself tells."""
    return tuple(read_marks(request.volume, (p,)) for p in request.drawn if not isinstance(p, MaskPrompt))


def see(belief: Belief, volume: Volume, each: Sequence[Marks]) -> Seen | None:
    """What a refiner sees; None: the answer is nothing or too large, or the slices are not axial.

    Parameters
    ----------
    belief : without a spread
    each : the marks of each prompt, oldest first
    """
    upright = [float(axis[n]) for axis, n in zip(volume.geometry.axes_lps, (2, 1, 0), strict=True)]
    if not belief.crop_mask.any() or min(map(abs, upright)) < UPRIGHT:
        return None
    spacing = np.array(volume.geometry.spacing_kji_mm)
    step = np.maximum(1, np.floor(BLOCK_MM / spacing + 0.25)).astype(int)
    inside = ndimage.find_objects(belief.crop_mask.astype(np.uint8))[0]
    mask = tuple(slice(c + s.start, c + s.stop) for c, s in zip(belief.corner_kji, inside, strict=True))
    box = _about(belief.region, step, upright) or _about(mask, step, upright)  # without what is unlikely and far off
    if box is None:
        return None
    _, j, i = box
    blocks = (int(step[0]), int(step[1]), int(step[2]))
    logit = blocks_of(_cut(belief, box), blocks)
    image = blocks_of(_image(volume, box), blocks)
    made = torch.zeros(len(CHANNELS), *logit.shape)
    made[0] = torch.from_numpy(logit) / 4
    made[1] = torch.from_numpy(logit).sigmoid()
    made[2] = torch.from_numpy(np.clip((image - 40) / 100, -2, 2))
    made[3] = torch.from_numpy(np.clip(image, -1000, 2000) / 1000)
    for age, marks in enumerate(reversed(each)):
        strength, corner = RECENCY**age, np.array([b[0] for b in box])
        for stroke in marks.strokes:
            at = (stroke.points_kji - corner + 0.5) / step - 0.5
            stamp_points(made[CHANNELS.index("point+" if stroke.sign > 0 else "point-")], at, strength)
        for region in marks.regions:
            row = (region.k - box[0][0]) // step[0]
            if 0 <= row < logit.shape[0]:
                held = fill([ring - corner[1:] for ring in region.rings_ji], (j[1] - j[0], i[1] - i[0]))
                share = blocks_of(held[None].astype(np.float32), (1, *blocks[1:]))[0]
                channel = made[CHANNELS.index("region+" if region.sign > 0 else "region-")]
                channel[row] = torch.maximum(channel[row], torch.from_numpy(share * np.float32(strength)))
    turned = tuple(axis + 1 for axis, cosine in enumerate(upright) if cosine < 0)
    return Seen(made.flip(turned), box, blocks, turned, torch.tensor(spacing * step, dtype=torch.float32))


def refined(belief: Belief, seen: Seen, refiner: Refiner, structure: str) -> tuple[npt.NDArray[np.float32], Box]:
    """The changed logits (k, j, i) and the volume's voxels that they are of; `structure`: its name, or nothing."""
    device = next(refiner.parameters()).device
    names = torch.tensor([refiner.index_of(structure)], device=device)
    given = seen.channels[None].to(device, memory_format=torch.channels_last_3d)
    found = refiner(given, names, seen.spacing_mm[None].to(device))[0].cpu()
    change = (found[None] - 4 * seen.channels[:1]).flip(seen.turned)[0]
    if seen.blocks != (1, 1, 1):
        size = [b - a for a, b in seen.box]
        change = F.interpolate(change[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]
    inner = [(max(a, 0), min(b, n)) for (a, b), n in zip(seen.box, belief.shape_kji, strict=True)]
    part = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(inner, seen.box, strict=True))
    k, j, i = ((min(a, s.start), max(b, s.stop)) for (a, b), s in zip(inner, belief.region, strict=True))
    logit = _cut(belief, (k, j, i))
    there = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(inner, (k, j, i), strict=True))
    logit[there] += change.numpy()[part]
    return logit, (k, j, i)


def without_core(logit: npt.NDArray[np.float32], voxel_mm3: float) -> bool:
    """Is what words found too faint to be an organ: at the end of a scan, say, that does not reach it?"""
    count = min(max(1, round(1000 * CORE_CM3 / voxel_mm3)), logit.size)
    surest = np.partition(logit, logit.size - count, axis=None)[-count:]
    return float(surest.mean()) < CORE_LOGIT


def _about(region: tuple[slice, ...], step: npt.NDArray[np.int_], upright: Sequence[float]) -> Box | None:
    """Whole blocks of `step` voxels with room about a region of the volume, as many as the refiner can halve twice;
    None: too many."""
    starts = [s.start // n - ROOM_VOXELS for s, n in zip(region, step, strict=True)]
    ends = [-(-s.stop // n) + ROOM_VOXELS for s, n in zip(region, step, strict=True)]
    for axis, cosine in enumerate(upright):
        spare = -(ends[axis] - starts[axis]) % STRIDE
        if cosine < 0:
            starts[axis] -= spare
        else:
            ends[axis] += spare
    if np.prod(np.subtract(ends, starts)) > LARGEST_VOXELS:
        return None
    k, j, i = ((int(a * n), int(b * n)) for a, b, n in zip(starts, ends, step, strict=True))
    return k, j, i


def _cut(belief: Belief, box: Box) -> npt.NDArray[np.float32]:
    """(k, j, i) logits in a box, a copy."""
    part, room = [], []
    for region, (a, b) in zip(belief.region, box, strict=True):
        low, high = max(a, region.start), min(b, region.stop)
        part.append(slice(low - region.start, high - region.start))
        room.append((low - a, b - high))
    return np.pad(belief.mean_logit[tuple(part)], room, constant_values=OUTSIDE_LOGIT)


def _image(volume: Volume, box: Box) -> npt.NDArray[np.float32]:
    """(k, j, i) of the volume in a box; beyond its border as at the border."""
    index = [np.clip(np.arange(a, b), 0, n - 1) for (a, b), n in zip(box, volume.geometry.shape_kji, strict=True)]
    return np.nan_to_num(volume.array[np.ix_(*index)].astype(np.float32), nan=AIR, posinf=3e4, neginf=-3e4)


def blocks_of(values: npt.NDArray[np.float32], blocks: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """(k, j, i) means of blocks."""
    if blocks == (1, 1, 1):
        return values
    k, j, i = (n // b for n, b in zip(values.shape, blocks, strict=True))
    a, b, c = blocks
    return np.asarray(values.reshape(k, a, j, b, i, c).mean((1, 3, 5)), np.float32)

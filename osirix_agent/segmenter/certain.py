"""What is certain at the volume's own voxels, whatever a segmenter thinks: marks, her slices, locked structures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.imaging.contour import fill
from osirix_agent.segmenter.grid import ball, stamp
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.seeds import Marks, on_slice

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

CLICK_RADIUS_MM = 1.5
CERTAIN_LOGIT = 6.0
LIKELY_LOGIT = -5.3  # a probability of half a percent


def fixed_masks(request: SegmentationRequest) -> dict[int, BoolArray]:
    """Slice to (j, i) bool: what the clinician drew there."""
    geometry = request.volume.geometry
    return {
        f.k: fill([geometry.to_kji(ring)[:, 1:] for ring in f.rings_lps], geometry.shape_kji[1:]) for f in request.fixed
    }


def box_around(low_kji: npt.ArrayLike, high_kji: npt.ArrayLike, shape_kji: tuple[int, int, int]) -> Box:
    """The whole voxels between two fractional indices, both included, cut to the volume; never empty."""
    shape = np.array(shape_kji)
    low = np.clip(np.floor(low_kji), 0, shape - 1).astype(int)
    high = np.clip(np.ceil(high_kji) + 1, low + 1, shape).astype(int)
    k, j, i = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i


def excluded_crop(belief: Belief, box: Box) -> BoolArray:
    """(k, j, i) bool: the part of a locked structure's mask that lies in the box."""
    full = np.zeros([b - a for a, b in box], np.bool_)
    low = np.array([b[0] for b in box])
    at = np.array(belief.corner_kji) - low
    source, target = [], []
    for axis in range(3):
        start, stop = (
            max(0, int(at[axis])),
            min(full.shape[axis], int(at[axis]) + belief.mean_logit.shape[axis]),
        )
        if stop <= start:
            return full
        target.append(slice(start, stop))
        source.append(slice(start - int(at[axis]), stop - int(at[axis])))
    full[tuple(target)] = belief.crop_mask[tuple(source)]
    return full


def hold(
    logit: Float32Array, box: Box, spacing: npt.NDArray[np.float64], marks: Marks, fixed: dict[int, BoolArray],
    excluded: tuple[Belief, ...], click_radius_mm: float, max_logit: float,
) -> None:  # fmt: skip
    """At the volume's own voxels: marks hold (the newest wins), then her slices, then what is locked."""
    corner = np.array([b[0] for b in box])
    certain = np.float32(max_logit)
    offsets = ball(click_radius_mm, spacing)
    for region in marks.regions:
        row = region.k - box[0][0]
        if region.sign < 0 and 0 <= row < logit.shape[0]:
            logit[row][fill([ring - corner[1:] for ring in region.rings_ji], logit.shape[1:])] = -certain
    for stroke in marks.strokes:
        held = stamp(logit.shape, np.round(stroke.points_kji).astype(int) - corner, offsets)
        logit[held] = np.maximum(logit[held], 2.0) if stroke.sign > 0 else np.minimum(logit[held], -2.0)
    for k, mask in fixed.items():
        row = k - box[0][0]
        if 0 <= row < logit.shape[0]:
            logit[row] = np.where(mask[box[1][0] : box[1][1], box[2][0] : box[2][1]], certain, -certain)
    for belief in excluded:
        logit[excluded_crop(belief, box)] = OUTSIDE_LOGIT


def trimmed(logit: Float32Array, box: Box, shape: tuple[int, int, int], source: str) -> Belief:
    """The crop cut down to where the probability is above 0.5 %, with one voxel of border."""
    held = np.argwhere(logit > LIKELY_LOGIT)
    if len(held) == 0:
        held = np.zeros((1, 3), int)
    low = np.maximum(held.min(0) - 1, 0)
    high = np.minimum(held.max(0) + 2, logit.shape)
    cut = np.ascontiguousarray(logit[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    k, j, i = (int(b[0] + a) for b, a in zip(box, low, strict=True))
    return Belief(cut, (k, j, i), shape, source)


def mean_of(beliefs: Sequence[Belief], source: str) -> Belief:
    """The belief whose log-odds are the mean of several about one volume: what holds in all of them holds in it.

    Log-odds count for no more than `CERTAIN_LOGIT` either way, so that none outvotes the others by being sure.
    """
    corners = np.array([belief.corner_kji for belief in beliefs])
    ends = corners + [belief.mean_logit.shape for belief in beliefs]
    low, high = corners.min(0), ends.max(0)
    logit = np.full(high - low, -CERTAIN_LOGIT, np.float32)
    for belief, corner, end in zip(beliefs, corners, ends, strict=True):
        inside = tuple(slice(a, b) for a, b in zip(corner - low, end - low, strict=True))
        held = belief.mean_logit.clip(-CERTAIN_LOGIT, CERTAIN_LOGIT)
        logit[inside] += (held + CERTAIN_LOGIT) / len(beliefs)
    k, j, i = ((int(a), int(b)) for a, b in zip(low, high, strict=True))
    return trimmed(logit, (k, j, i), beliefs[0].shape_kji, source)


def settled(
    logit: Float32Array, request: SegmentationRequest, marks: Marks, fixed: dict[int, BoolArray], source: str
) -> Belief:
    """The belief of a segmenter that answers on the whole volume: its logits, and what holds whatever it thinks.

    Parameters
    ----------
    logit : (k, j, i) float32 on the whole volume; left as it is
    """
    geometry = request.volume.geometry
    likely = logit > LIKELY_LOGIT
    points = [on_slice(k, np.argwhere(mask)) for k, mask in fixed.items()]
    points += [s.points_kji for s in marks.strokes] + [region.points_kji for region in marks.regions]
    if likely.any():
        sides = [np.flatnonzero(likely.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        points.append(np.array([[s[0] for s in sides], [s[-1] for s in sides]], float))
    everything = np.concatenate([np.zeros((0, 3)), *points])
    if not len(everything):
        everything = np.zeros((1, 3))
    box = box_around(everything.min(0), everything.max(0), geometry.shape_kji)
    crop = np.ascontiguousarray(logit[tuple(slice(a, b) for a, b in box)].clip(OUTSIDE_LOGIT, -OUTSIDE_LOGIT))
    spacing = np.array(geometry.spacing_kji_mm)
    hold(crop, box, spacing, marks, fixed, request.excluded, CLICK_RADIUS_MM, CERTAIN_LOGIT)
    return trimmed(crop, box, geometry.shape_kji, source)

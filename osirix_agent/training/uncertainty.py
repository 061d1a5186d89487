"""Does the belief hold what it promises? Band coverage, calibration error, finding errors, and looks that pay.

Definitions: docs/concepts/uncertainty.md. Rows are per patient and structure; intervals are over patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

from osirix_agent.belief.belief import DRAWN_LOGIT, OUTSIDE_LOGIT, Belief, drawable
from osirix_agent.belief.calibration import REACH_MM, Line, Sample, shares, signed_distance
from osirix_agent.belief.looks import doubt, looks
from osirix_agent.belief.tissue import brightness
from osirix_agent.belief.update import Evidence, condition
from osirix_agent.imaging.mask import dice
from osirix_agent.training.metrics import surface
from osirix_agent.training.staging import Stage

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BAND_MM = 5.0
BINS = 15
FLAGGED = 0.1
ERROR_MM = 5.0
LOOKS = 5
LEVELS = tuple(float(v) for v in np.geomspace(0.05, 9.0, 40))  # log-odds either side of one half


def sample_of(
    stage: Stage, told: Belief, line: Line, random: np.random.Generator, most: int = 1500, points: int = 200
) -> Sample | None:
    """What a stage says to the calibration; None where the segmenter found nothing.

    Parameters
    ----------
    told : the stage's belief with a spread, calibrated by the line, which has taken up the prompts
    most, points : voxels and points of the surface that are kept, drawn at random
    """
    logit = stage.belief.mean_logit
    if not (logit >= 0).any() or told.spread is None:
        return None
    distance = signed_distance(logit, stage.spacing)
    near = np.flatnonzero(np.abs(distance.ravel()) <= REACH_MM)
    near = random.choice(near, most, replace=False) if len(near) > most else near
    held = np.stack([logit, distance, told.mean_logit - line.at(logit, distance), _dense(told)], -1)
    seen = brightness(stage.request.volume.array, stage.belief.region, stage.spacing)
    fields = np.concatenate([held, seen], -1).astype(float)
    at = surface_points(stage, random, points) - np.array(stage.belief.corner_kji)
    corners = np.floor(at)[:, None] + np.array(list(np.ndindex(2, 2, 2)))  # (m, 8, 3)
    weight = np.prod(1 - np.abs(at[:, None] - corners), axis=-1)
    shape = np.array(logit.shape)
    weight[((corners < 0) | (corners >= shape)).any(-1)] = 0.0
    voxels = np.clip(corners, 0, shape - 1).astype(int)
    voxel = fields.reshape(-1, 6)[near]
    logits, distances, moved, variance = voxel[:, :4].T
    return Sample(
        stage.patient, logits, distances, moved, variance, stage.truth[stage.belief.region].ravel()[near],
        voxel[:, 4:], fields[tuple(np.moveaxis(voxels, -1, 0))], weight,
    )  # fmt: skip


def _dense(belief: Belief) -> npt.NDArray[np.float32]:
    """(k, j, i) variance on the crop; what does not vary has none."""
    found = np.zeros(belief.mean_logit.size, np.float32)
    assert belief.spread is not None
    found[belief.spread.band] = belief.spread.variance
    return found.reshape(belief.mean_logit.shape)


def surface_points(stage: Stage, random: np.random.Generator, count: int) -> FloatArray:
    """(count, 3) points of the observer's surface as volume index, drawn by area."""
    held = np.argwhere(stage.truth)
    low = held.min(0)
    part = tuple(slice(a, b + 1) for a, b in zip(low, held.max(0), strict=True))
    _, centres, areas = surface(stage.truth[part], tuple(stage.spacing))
    chosen = random.choice(len(areas), count, p=areas / areas.sum())
    found: FloatArray = centres[chosen] / stage.spacing - 1 + low  # the surface was padded by one
    return found


def _at(field: npt.NDArray[np.float32], belief: Belief, points_kji: FloatArray, outside: float) -> FloatArray:
    """A crop's field at volume indices, trilinear."""
    local = (points_kji - np.array(belief.corner_kji)).T
    return np.asarray(ndimage.map_coordinates(field, local, order=1, mode="constant", cval=outside), float)


@dataclass(frozen=True)
class BandRow:
    """One structure of one patient under one method.

    Attributes
    ----------
    cover90, cover50 : share of the observer's surface with a probability of 5 to 95 %, 25 to 75 %, which is linear
        between voxels
    drawn90, drawn50 : share between the isolines as they are drawn
    width90_mm : volume between the 5 and 95 % isolines over the area of the 50 % one
    bins : per bin of probability: voxels within 5 mm of the observer's surface, their probabilities' and labels' sums
    curve : per level of `LEVELS`, cover and width of the band between its two isolines
    found : of the surface more than 5 mm off, the share in the flagged tenth, over the most a tenth could hold
    """

    patient: str
    structure: str
    clicks: int
    method: str
    cover90: float
    cover50: float
    drawn90: float
    drawn50: float
    width90_mm: float
    bins: tuple[tuple[float, float, float], ...]
    curve: tuple[tuple[float, float], ...]
    brier: float
    found: float | None

    def width_at(self, level: float) -> float:
        """Width in mm between the isolines of log-odds -level and level."""
        return float(np.interp(level, LEVELS, [width for _, width in self.curve]))


def band_row(stage: Stage, belief: Belief, method: str, seed: int = 42) -> BandRow:
    """The figures of one belief about a stage."""
    p = expit(belief.crop_logit.astype(np.float64))
    points = surface_points(stage, np.random.default_rng(seed), 2000)
    on_surface = _at(p.astype(np.float32), belief, points, 0.0)
    drawn = expit(_at(drawable(belief.crop_logit), belief, points, -DRAWN_LOGIT))
    voxel = float(np.prod(stage.spacing))
    around, distance = stage.around
    whole = np.full(stage.truth.shape, expit(OUTSIDE_LOGIT), np.float32)
    whole[belief.region] = p
    near = np.abs(distance) <= BAND_MM
    said, label = whole[around][near], stage.truth[around][near]
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    bins = [(float((place == b).sum()), float(said[place == b].sum()), float(label[place == b].sum()))
            for b in range(BINS)]  # fmt: skip
    area, found = 0.0, None
    if belief.crop_mask.any():
        _, centres, areas = surface(belief.crop_mask, tuple(stage.spacing))
        area = float(areas.sum())
        at = centres / stage.spacing - 1
        found = _found(stage, belief, at, areas)
    sides = np.abs(np.log(on_surface.clip(1e-6, 1 - 1e-6)) - np.log1p(-on_surface.clip(1e-6, 1 - 1e-6)))
    depths = np.sort(np.abs(belief.crop_logit.ravel()))
    curve = tuple(
        (float(np.mean(sides < t)), float(np.searchsorted(depths, t)) * voxel / area if area else 0.0) for t in LEVELS
    )
    return BandRow(
        stage.patient, stage.structure, stage.clicks, method, *shares(on_surface.astype(np.float64)), *shares(drawn),
        float(np.count_nonzero((p >= 0.05) & (p < 0.95))) * voxel / area if area else 0.0,
        tuple(bins), curve, float(np.mean((said - label) ** 2)), found,
    )  # fmt: skip


def _found(stage: Stage, belief: Belief, at_kji: FloatArray, areas: FloatArray) -> float | None:
    """How much of the wrong surface lies in the tenth of the proposed surface that the belief trusts least."""
    volume_at = at_kji + np.array(belief.corner_kji)
    held = np.argwhere(stage.truth)
    low = np.minimum(held.min(0), np.maximum(np.floor(volume_at.min(0)), 0).astype(int))
    high = np.maximum(held.max(0), np.ceil(volume_at.max(0)).astype(int)) + 1
    part = stage.truth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]  # all that distances depend on
    distance = signed_distance(np.where(part, 1, -1).astype(np.float32), stage.spacing)
    off = np.abs(ndimage.map_coordinates(distance, (volume_at - low).T, order=1, mode="nearest")) > ERROR_MM
    if not off.any():
        return None
    order = np.argsort(-doubt(belief, stage.spacing, at_kji, ERROR_MM), kind="stable")
    flagged = order[np.cumsum(areas[order]) <= FLAGGED * areas.sum()]
    most = min(float(areas[off].sum()), FLAGGED * float(areas.sum()))
    return min(float(areas[flagged][off[flagged]].sum()) / most, 1.0)


def ece(rows: Sequence[BandRow]) -> float:
    """Expected calibration error in the band over all rows' voxels, each row weighing the same."""
    total = np.zeros((BINS, 3))
    for row in rows:
        held = np.array(row.bins)
        total += held / max(held[:, 0].sum(), 1)
    count, said, label = total.T
    return float(np.abs(said - label).sum() / count.sum())


Order = Callable[[Belief, set[int]], int | None]


def orders(stage: Stage, seed: int = 0) -> dict[str, Order]:
    """Ways to choose the next slice to review."""
    random = np.random.default_rng(seed)

    def held(belief: Belief) -> list[int]:
        return list(belief.slices(5))

    def listed(belief: Belief, seen: set[int]) -> int | None:
        found = looks(belief, stage.spacing, 1, seen)
        return found[0].k if found else None

    def chance(belief: Belief, seen: set[int]) -> int | None:
        left = [k for k in held(belief) if k not in seen]
        return int(random.choice(left)) if left else None

    def even(belief: Belief, seen: set[int]) -> int | None:
        left = [k for k in held(belief) if k not in seen]
        if not left:
            return None
        ends = [min(left) - 1, max(left) + 1, *seen]
        return max(left, key=lambda k: min(abs(k - e) for e in ends))

    def entropy(belief: Belief, seen: set[int]) -> int | None:
        p = expit(belief.crop_logit.astype(float)).clip(1e-6, 1 - 1e-6)
        amount = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum((1, 2))
        ranked = [int(n) + belief.corner_kji[0] for n in np.argsort(-amount, kind="stable")]
        return next((k for k in ranked if k not in seen), None)

    return {"list": listed, "uniform": even, "random": chance, "entropy": entropy}


def gain_curve(stage: Stage, belief: Belief, choose: Order, budget: int = LOOKS) -> list[float]:
    """Dice after each reviewed slice: it becomes the observer's, and the belief learns from it."""
    told, seen = belief, set[int]()
    mask = told.mask()
    scores = [dice(mask, stage.truth)]
    for _ in range(budget):
        k = choose(told, seen)
        if k is None:
            scores.append(scores[-1])
            continue
        seen.add(k)
        told = condition(told, [_slice_evidence(stage.truth, told, k)])
        mask = told.mask()
        for row in seen:
            mask[row] = stage.truth[row]
        scores.append(dice(mask, stage.truth))
    return scores


def _slice_evidence(truth: BoolArray, belief: Belief, k: int) -> Evidence:
    """Every voxel of a slice that varies, as the observer has it."""
    spread = belief.spread
    held = np.zeros((0, 3), np.int64)
    if spread is not None:
        at = np.stack(np.unravel_index(spread.band, belief.mean_logit.shape), 1) + np.array(belief.corner_kji)
        mean = np.abs(belief.mean_logit.ravel()[spread.band])
        at, mean = at[at[:, 0] == k], mean[at[:, 0] == k]
        held = at[np.argsort(mean, kind="stable")[:400]].astype(np.int64)
    return Evidence(held, truth[tuple(held.T)], 0.3)


def tempered(belief: Belief, temperature: float) -> Belief:
    """The plain baseline: logits divided by one number."""
    return replace(belief, mean_logit=(belief.mean_logit / temperature).astype(np.float32))

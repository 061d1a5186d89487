"""A segmenter without weights: random walks with an intensity prior on an adaptive crop, in millimetres.

Grady, "Multilabel random walker image segmentation using prior models", CVPR 2005: the probability x of each voxel
minimises  sum_edges w (x_a - x_b)^2 + gamma sum_voxels [q (1 - x)^2 + (1 - q) x^2]  with x = 1 and x = 0 at marked
voxels. Edges weaken where the intensity jumps; q is how much a voxel looks like the marked ones, and is near enough
to them. One sparse, positive definite system, solved by conjugate gradients (scipy).

Honest limits: it knows nothing of anatomy; its probability is a smoothness statement, not a calibrated one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.certain import Box, box_around, excluded_crop, fixed_masks, hold, trimmed
from osirix_agent.segmenter.grid import ball, block_mean, stamp, strides, upsample
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.seeds import Marks, on_slice, read_marks
from osirix_agent.segmenter.walk import ClassicalRecipe, evidence, learnt_evidence, random_walk, sigmoid

BOX_CORE = 0.7  # share of a box's half axes within which the structure is taken to be
BOX_DEPTH = 1.5  # half extent across slices over that in the slice, as first guess

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Reach = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

VERSION = 1  # to be raised when its answers change: calibrations hold for one version
CLICK_SHARE = np.array([1.0, 1.0, 1.0])
SHAPE_SHARE = np.array([1.0, 0.3, 0.3])


class ClassicalSegmenter:
    """Random walker with prior; see the module's text."""

    capabilities = Capabilities(text=False)

    def __init__(self, recipe: ClassicalRecipe | None = None) -> None:
        self.recipe = recipe or ClassicalRecipe()

    @property
    def name(self) -> str:
        usual = self.recipe == ClassicalRecipe()
        return f"classical {VERSION}" if usual else f"classical {VERSION} (recipe {self.recipe.digest})"

    def propose(self, request: SegmentationRequest) -> Belief:
        volume, recipe = request.volume, self.recipe
        marks = read_marks(volume, request.prompts)
        fixed = fixed_masks(request)
        reaches = _reaches(marks, fixed)
        if not reaches:
            raise PromptError(
                "Nothing says yet where the structure is.", "Add a point, box or outline inside it first."
            )
        margin = np.full(3, recipe.margin_mm)
        for _ in range(recipe.max_rounds):
            box = _crop(volume, reaches, margin)
            logit = _solve(volume, box, marks, fixed, request.excluded, recipe)
            touching = _touches(logit >= 0, box, volume.geometry.shape_kji)
            if not touching.any():
                break
            margin = margin * np.where(touching, recipe.grow, 1.0)
        return trimmed(logit, box, volume.geometry.shape_kji, self.name)


def _reaches(marks: Marks, fixed: dict[int, BoolArray]) -> list[Reach]:
    """What says where the structure is, and how far it may go beyond, as shares of the margin: a shape tells its
    extent on its own slice, a click does not."""
    reaches: list[Reach] = [(s.points_kji, CLICK_SHARE) for s in marks.strokes if s.sign > 0]
    reaches += [(region.points_kji, SHAPE_SHARE) for region in marks.regions if region.sign > 0]
    reaches += [(on_slice(k, np.argwhere(mask)), SHAPE_SHARE) for k, mask in fixed.items() if mask.any()]
    return reaches


def _crop(volume: Volume, reaches: list[Reach], margin_mm: npt.NDArray[np.float64]) -> Box:
    spacing = np.array(volume.geometry.spacing_kji_mm)
    lows = [points.min(0) - margin_mm * share / spacing for points, share in reaches]
    highs = [points.max(0) + margin_mm * share / spacing for points, share in reaches]
    return box_around(np.min(lows, axis=0), np.max(highs, axis=0), volume.geometry.shape_kji)


def _touches(mask: BoolArray, box: Box, shape: tuple[int, int, int]) -> BoolArray:
    """Per axis: does the mask come near a face of the crop behind which the volume goes on?"""
    found = np.zeros(3, np.bool_)
    for axis, ((low, high), size) in enumerate(zip(box, shape, strict=True)):
        held = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        near = max(2, (high - low) // 16)
        if held.size:
            found[axis] = (low > 0 and held[0] < near) or (high < size and held[-1] >= high - low - near)
    return found


def _close(seeds: npt.NDArray[np.int8], box: Box, shape: tuple[int, int, int]) -> None:
    """The structure ends inside the crop: faces inside the volume count as out (a crop too small grows)."""
    for axis, ((low, high), size) in enumerate(zip(box, shape, strict=True)):
        for face, inner in ((0, low > 0), (-1, high < size)):
            layer = seeds[tuple(face if a == axis else slice(None) for a in range(3))]
            if inner and seeds.shape[axis] > 4:
                layer[layer == 0] = -1


def _solve(
    volume: Volume, box: Box, marks: Marks, fixed: dict[int, BoolArray], excluded: tuple[Belief, ...],
    recipe: ClassicalRecipe,
) -> Float32Array:  # fmt: skip
    """Logit on the crop at the volume's own voxels."""
    slices = tuple(slice(a, b) for a, b in box)
    image = volume.array[slices]
    spacing = np.array(volume.geometry.spacing_kji_mm)
    stride = strides(image.shape, spacing, recipe.max_voxels)
    coarse = block_mean(image, stride)
    step_mm = np.asarray(spacing * stride, np.float64)
    values = ndimage.gaussian_filter(coarse, np.clip(recipe.smooth_mm / step_mm, 0, 1), mode="nearest")
    seeds, hint = _rasterise(coarse.shape, stride, box, spacing, marks, fixed, excluded, recipe)
    look, place = evidence(values, seeds, hint, step_mm, volume.modality, recipe)
    _close(seeds, box, volume.geometry.shape_kji)
    probability = random_walk(values, seeds, sigmoid(look + place), step_mm, recipe)
    for _ in range(recipe.relearn_rounds):
        learnt = learnt_evidence(values, probability, recipe)
        mixed = recipe.relearn_weight * learnt + (1 - recipe.relearn_weight) * look
        probability = random_walk(values, seeds, sigmoid(mixed + place), step_mm, recipe)
    edge = 1.0 / (1.0 + np.exp(recipe.max_logit))
    p = np.clip(probability, edge, 1 - edge)
    logit = upsample(np.log(p / (1 - p)).astype(np.float32), stride, image.shape)
    hold(logit, box, spacing, marks, fixed, excluded, recipe.click_radius_mm, recipe.max_logit)
    return _connected(logit, box, marks, fixed)


def _rasterise(
    shape: tuple[int, ...], stride: npt.NDArray[np.int_], box: Box, spacing: npt.NDArray[np.float64], marks: Marks,
    fixed: dict[int, BoolArray], excluded: tuple[Belief, ...], recipe: ClassicalRecipe,
) -> tuple[npt.NDArray[np.int8], Float32Array]:  # fmt: skip
    """(seeds, hint) on the coarse grid: +1 in, -1 out, 0 free; and a log-odds hint that shapes give."""
    seeds = np.zeros(shape, np.int8)
    hint = np.zeros(shape, np.float32)
    corner = np.array([b[0] for b in box])
    offsets = ball(recipe.seed_radius_mm, spacing * stride)
    for region in marks.regions:
        row = (region.k - box[0][0]) // stride[0]
        if not 0 <= row < shape[0]:
            continue
        inside = _plane(
            fill(
                [ring - corner[1:] for ring in region.rings_ji],
                (box[1][1] - box[1][0], box[2][1] - box[2][0]),
            ),
            stride,
        )
        _mark_region(seeds, hint, int(row), inside, region.sign, region.loose, spacing * stride)
    for stroke in marks.strokes:
        at = np.floor((np.round(stroke.points_kji) - corner) / stride).astype(int)
        seeds[stamp(shape, at, offsets)] = stroke.sign
        if stroke.sign > 0 and hint.any():  # a click beyond what a box hinted at overrules it there
            near = stamp(shape, at, ball(recipe.overrule_mm, spacing * stride))
            hint[near] = np.maximum(hint[near], 1.0)
    for belief in excluded:
        cut = excluded_crop(belief, box)
        seeds[block_mean(cut.astype(np.float32), stride) >= 0.5] = -1
    for k, mask in fixed.items():
        row = (k - box[0][0]) // stride[0]
        if 0 <= row < shape[0]:
            inside = _plane(mask[box[1][0] : box[1][1], box[2][0] : box[2][1]], stride)
            seeds[row] = np.where(inside, 1, -1)
    return seeds, hint


def _plane(mask: BoolArray, stride: npt.NDArray[np.int_]) -> BoolArray:
    flat = np.array([1, stride[1], stride[2]])
    return np.asarray(block_mean(mask[None].astype(np.float32), flat)[0] >= 0.5)


def _mark_region(
    seeds: npt.NDArray[np.int8], hint: Float32Array, row: int, inside: BoolArray, sign: int, loose: bool,
    step_mm: npt.NDArray[np.float64],
) -> None:  # fmt: skip
    """A lasso marks its slice (in and out); a box bounds the structure and hints at an ellipse in and beyond it."""
    if sign < 0:
        seeds[row][inside] = -1
        return
    if not loose:
        core = ndimage.binary_erosion(inside)
        seeds[row] = np.where(core if core.any() else inside, 1, np.where(inside, seeds[row], -1)).astype(np.int8)
        return
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if rows.size == 0:
        return
    seeds[row][~inside & (seeds[row] == 0)] = -1
    centre = np.array([(rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2])
    radii = np.maximum([(rows.size) / 2 * step_mm[1], (columns.size) / 2 * step_mm[2]], 1.0)
    depth = float(np.sqrt(radii[0] * radii[1]))
    k, j, i = np.ogrid[tuple(slice(0, n) for n in seeds.shape)]
    far = (
        ((j - centre[0]) * step_mm[1] / radii[0]) ** 2
        + ((i - centre[1]) * step_mm[2] / radii[1]) ** 2
        + ((k - row) * step_mm[0] / (BOX_DEPTH * depth)) ** 2
    )
    hint[:] = (3.0 * (1.0 - np.sqrt(far))).clip(-6, 1.0)
    seeds[row][(far[row] <= BOX_CORE**2) & (seeds[row] == 0)] = 1


def _connected(logit: Float32Array, box: Box, marks: Marks, fixed: dict[int, BoolArray]) -> Float32Array:
    """Only bodies that hold a mark of hers stay: a click does not light up the far side of the image."""
    labels, count = ndimage.label(logit >= 0)
    if count <= 1:
        return logit
    corner = np.array([b[0] for b in box])
    keep = np.zeros(count + 1, np.bool_)
    points = np.round(marks.positive_points_kji).astype(int) - corner
    points = points[((points >= 0) & (points < logit.shape)).all(1)]
    keep[labels[tuple(points.T)]] = True
    for region in marks.regions:
        row = region.k - box[0][0]
        if region.sign > 0 and 0 <= row < logit.shape[0]:
            keep[labels[row][fill([r - corner[1:] for r in region.rings_ji], logit.shape[1:])]] = True
    for k in fixed:
        if 0 <= k - box[0][0] < logit.shape[0]:
            keep[np.unique(labels[k - box[0][0]])] = True
    keep[0] = False
    if not keep.any():
        keep[1 + int(np.argmax(ndimage.sum_labels(logit >= 0, labels, range(1, count + 1))))] = True
    drop = ~keep[labels] & (labels > 0)
    logit[drop] = -1.0
    return logit

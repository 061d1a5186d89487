"""Why nothing should be learnt from a log: contours that contradict their own session, the image, or their name.

Three questions, each of every contour, asked before anything is trained:

- the session's own record: is what was accepted what was shown, off the slices that were drawn by hand, and do the
  marks lie on their sides of it?
- the image: does the contour part what is inside from what is outside better than the same contour moved or mirrored?
- the name: where the model finds structures by name, is it this one, and not another?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.training.adapt.lessons import Lesson
from osirix_agent.training.cases import Case
from osirix_agent.training.clicks import CONNECTIVITY_26
from osirix_agent.training.probes import ask

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]

SHOWN = 0.98  # Dice with what was shown, at least
GRID_MM, BAND_MM = 3.0, 9.0
MOVES_MM = (9.0, 18.0)
NOISE_BITS = 0.03  # of separation: less means nothing
MISPLACED = -0.4  # log2 of a contour's separation to the best of its moved copies
SYMMETRIC = 0.9  # Dice with its mirror image from which a mirror tells nothing
NAMED, OTHER = 0.2, 0.5  # Dice: another name's answer is better by this; is what was contoured
MISPLACED_SHARE, MISNAMED_SHARE = 0.25, 0.05  # of patients; of contours
SOFT_TISSUE_HU = (-200, 300)


@dataclass(frozen=True)
class Doubt:
    """What was found of one contour.

    Attributes
    ----------
    record : it contradicts its own session
    place : log2 of its separation to the best of its moved and mirrored copies; None: it cannot be said
    name : another structure that lies where it lies; None: none does
    """

    session: str
    patient: str
    record: bool
    place: float | None
    name: str | None


def doubt_of(lesson: Lesson, case: Case, parent: VisionLanguageSegmenter | None) -> Doubt:
    """`parent` is asked for names; None: it is not."""
    placed = None if kind_of(lesson.structure) == "target" else place(case)  # a margin has no edge in the image
    named = None if parent is None else other_name(lesson, parent)
    return Doubt(lesson.session, lesson.patient, contradicts_record(lesson), placed, named)


def reasons(doubts: Sequence[Doubt]) -> list[str]:
    """Why nothing is to be learnt from these contours; [] where nothing speaks against it."""
    found = []
    if wrong := [d for d in doubts if d.record]:
        found.append(
            f"In {len(wrong)} of {len(doubts)} contours what was accepted contradicts what the same session shows "
            f"and marks (sessions {_named(wrong)})"
        )
    scores: dict[str, list[float]] = {}
    for doubt in doubts:
        if doubt.place is not None:
            scores.setdefault(doubt.patient, []).append(doubt.place)
    off = {patient for patient, held in scores.items() if float(np.mean(held)) < MISPLACED}
    if off and len(off) > MISPLACED_SHARE * len(scores):
        found.append(
            f"Of {len(off)} of {len(scores)} patients the images fit the contours better when these are moved or "
            f"mirrored (sessions {_named([d for d in doubts if d.patient in off])})"
        )
    if (named := [d for d in doubts if d.name]) and len(named) > max(1, MISNAMED_SHARE * len(doubts)):
        names = ", ".join(sorted({str(d.name) for d in named}))
        found.append(
            f"{len(named)} of {len(doubts)} contours lie where the model finds {names} (sessions {_named(named)})"
        )
    return found


def _named(doubts: Sequence[Doubt]) -> str:
    sessions = sorted({d.session for d in doubts})
    return ", ".join(sessions[:8]) + (f" and {len(sessions) - 8} more" if len(sessions) > 8 else "")


def contradicts_record(lesson: Lesson) -> bool:
    """Is it not what was shown, or do points lie on the wrong side of it?"""
    if lesson.follows is not None and lesson.follows < SHOWN:
        return True
    near = ndimage.binary_dilation(lesson.mask, CONNECTIVITY_26), ndimage.binary_erosion(lesson.mask)
    wrong, marks = 0, 0
    for prompt in lesson.prompts:
        if isinstance(prompt, PointPrompt) and lesson.volume.geometry.contains(prompt.position_lps):
            k, j, i = np.round(lesson.volume.geometry.to_kji(prompt.position_lps)).astype(int)
            include = prompt.polarity.sign > 0
            marks += 1
            wrong += not near[0][k, j, i] if include else bool(near[1][k, j, i])
    return wrong > max(1, marks // 4)


def place(case: Case) -> float | None:
    """log2 of the separation of a case's contour to that of the best copy, moved or mirrored; None: too small."""
    image, mask, spacing = _coarse(case)
    own = separation(image, mask, spacing)
    others = [separation(image, copy, spacing) for copy in _copies(mask, spacing)]
    known = [value for value in others if value is not None]
    if own is None or not known:
        return None
    return float(np.log2((own + NOISE_BITS) / (max(known) + NOISE_BITS)))


def separation(image: FloatArray, mask: BoolArray, spacing: npt.NDArray[np.float64]) -> float | None:
    """Jensen-Shannon divergence (bits) of the values just inside and just outside a contour; None: too few voxels."""
    inside, outside = (ndimage.distance_transform_edt(m, sampling=spacing) for m in (mask, ~mask))
    near, far = (image[(d > 0) & (d <= BAND_MM)] for d in (inside, outside))
    if len(near) < 20 or len(far) < 20:
        return None
    edges = np.unique(np.quantile(np.concatenate([near, far]), np.linspace(0, 1, 17)))
    if len(edges) < 4:
        return 0.0
    a, b = ((count := np.histogram(values, edges)[0] + 0.5) / count.sum() for values in (near, far))
    middle = (a + b) / 2
    return float((a * np.log2(a / middle)).sum() + (b * np.log2(b / middle)).sum()) / 2


def _coarse(case: Case) -> tuple[FloatArray, BoolArray, npt.NDArray[np.float64]]:
    """Image and contour on voxels of `GRID_MM`, or coarser where they are."""
    spacing = np.array(case.spacing_kji_mm)
    image = case.image.astype(np.float32)
    if case.modality == "CT":
        image = np.clip(image, *SOFT_TISSUE_HU)
    smooth = ndimage.gaussian_filter(image, np.where(spacing < GRID_MM, 0.4 * np.maximum(1, GRID_MM / spacing), 0))
    share = np.minimum(spacing / GRID_MM, 1)
    mask = ndimage.zoom(case.mask(case.known[0]).astype(np.float32), share, order=1) > 0.5
    return ndimage.zoom(smooth, share, order=1), mask, np.maximum(spacing, GRID_MM)


def _copies(mask: BoolArray, spacing: npt.NDArray[np.float64]) -> list[BoolArray]:
    found = []
    for axis in range(3):
        for move in MOVES_MM:
            voxels = round(move / float(spacing[axis]))
            found += [_moved(mask, axis, sign * voxels) for sign in (1, -1) if voxels]
    held = np.flatnonzero(mask.any((0, 1)))
    about_itself = mask.copy()
    if len(held):
        about_itself[:, :, held[0] : held[-1] + 1] = mask[:, :, held[0] : held[-1] + 1][:, :, ::-1]
    return found + [m for m in (mask[:, :, ::-1], about_itself) if dice(mask, m) < SYMMETRIC]


def _moved(mask: BoolArray, axis: int, voxels: int) -> BoolArray:
    moved = np.roll(mask, voxels, axis)
    ends: list[slice] = [slice(None)] * 3
    ends[axis] = slice(0, voxels) if voxels > 0 else slice(voxels, None)
    moved[tuple(ends)] = False
    return moved


def other_name(lesson: Lesson, parent: VisionLanguageSegmenter) -> str | None:
    """The structure that the parent finds by name where this contour lies, if it is not its own."""
    if lesson.volume.modality != "CT":  # the modality that names were taught on
        return None
    found = {}
    for name in parent.capabilities.structures:
        answer = ask(parent, lesson.volume, name)
        found[name] = 0.0 if answer is None else dice(answer, lesson.mask)
    own = found.pop(lesson.structure, None)
    best = max(found, key=found.__getitem__, default=None)
    if best is None or found[best] < (OTHER if own is None else own + NAMED):
        return None
    return best

"""Edits in words, worked out on what the clinician sees: the shape that a structure is to have from now on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import FloatArray, fill, isocontour
from osirix_agent.imaging.shaping import (
    DIRECTIONS_LPS,
    Field,
    field_of,
    filled_between,
    grown,
    grown_but,
    joined,
    kept_in,
    kept_out,
    shifted,
    shrunk,
    shrunk_but,
    smoothed,
    superior_step,
)
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.intent import Copy, Crop, Edit, Fill, Part, Slab
from osirix_agent.prompting.prompt import LassoPrompt, Polarity, ShapePrompt

Rings = dict[int, tuple[FloatArray, ...]]  # slice to rings (row, column)
MIDLINE_MM = 10.0  # a structure nearer to it than this has no medial side


def edited(
    intent: Edit | Crop | Part | Slab | Fill | Copy, seen: Rings, other: Rings, volume: Volume, name: str,
    displayed_k: int, shown_as: Callable[[int], int],
) -> Rings:  # fmt: skip
    """The rings after the edit.

    Parameters
    ----------
    seen : the structure as the clinician sees it
    other : the other structure of a crop or a part
    shown_as : slice index of a slice's number on the screen

    Raises
    ------
    PromptError
        It cannot be done on these images, or would change nothing or leave nothing.
    """
    geometry = volume.geometry
    match intent:
        case Edit():
            (field,) = field_of([seen], geometry, 3 * max((intent.mm, *(mm for _, mm in intent.but))))
            ways = [_lps(way, seen, volume, name) for way in intent.directions]
            others = [(_lps(way, seen, volume, name), mm) for way, mm in intent.but]
            if any(np.allclose(a, b) for (a, _), (b, _) in combinations(others, 2)):
                raise PromptError("Two of these directions are the same one here.", "Say each direction once.")
            made = _millimetres(field, intent, ways, others).contours()
        case Crop() | Part():
            a, b = field_of([seen, other], geometry, 0)
            how = kept_in if isinstance(intent, Crop) else joined if intent.polarity is Polarity.INCLUDE else kept_out
            made = how(a, b).contours()
        case Fill():
            (field,) = field_of([seen], geometry, 0)
            made = filled_between(field).contours()
        case Slab(how="include"):
            made = _joined_slab(intent, seen, displayed_k if intent.slice is None else shown_as(intent.slice), volume)
        case Slab():
            made = _cut(intent, seen, displayed_k if intent.slice is None else shown_as(intent.slice), volume)
        case Copy():
            made = {**seen, beside(intent, displayed_k, volume, shown_as): _displayed(seen, displayed_k)}
    shape = geometry.shape_kji[1:]
    if not any(fill(rings, shape).any() for rings in made.values()):
        raise PromptError("Nothing would be left of the contour.", "Nothing was changed.")
    if not isinstance(intent, Edit) and _same(seen, made, shape):
        raise PromptError("That would change nothing.", "Nothing was changed.")
    if isinstance(intent, Edit) and _same(seen, made, shape) and intent.mm < max(geometry.spacing_kji_mm) / 2:
        raise PromptError(
            f"{intent.mm:g} mm is less than these images resolve (slices {geometry.spacing_kji_mm[0]:g} mm apart).",
            "Nothing was changed.",
        )  # fmt: skip
    return made


def shape_prompt(made: Rings, volume: Volume, how: str) -> ShapePrompt:
    """The rings as a prompt, in LPS mm."""
    geometry = volume.geometry
    slices = []
    for k, rings in sorted(made.items()):
        placed = [geometry.to_lps(np.column_stack([np.full(len(r), float(k)), r])) for r in rings]
        lps = tuple(tuple((float(x), float(y), float(z)) for x, y, z in ring) for ring in placed)
        slices.append(LassoPrompt(rings_lps=lps))
    return ShapePrompt(slices=tuple(slices), how=how)


def _millimetres(
    field: Field, intent: Edit, ways: list[FloatArray], others: list[tuple[FloatArray, float]]
) -> Field:  # fmt: skip
    match intent.how:
        case "grow" if others:
            return grown_but(field, intent.mm, others)
        case "shrink" if others:
            return shrunk_but(field, intent.mm, others)
        case "grow":
            return grown(field, intent.mm, ways)
        case "shrink":
            return shrunk(field, intent.mm, ways)
        case "shift":
            return shifted(field, intent.mm, ways[0])
        case _:
            return smoothed(field, intent.mm)


def _lps(way: str, seen: Rings, volume: Volume, name: str) -> FloatArray:
    """A direction as a unit vector; medial and lateral by the structure's side of the patient."""
    if way in DIRECTIONS_LPS:
        return np.array(DIRECTIONS_LPS[way])
    left = {"_L": True, "_R": False}.get(name[-2:])
    if left is None:
        k, rings = max(seen.items(), key=lambda one: sum(len(r) for r in one[1]))
        middle = np.concatenate(rings).mean(0)
        x = float(volume.geometry.to_lps([k, *middle])[0]) - _midline_x(volume, k)
        if abs(x) < MIDLINE_MM:
            raise PromptError("The structure lies on the midline.", "Say 'left' or 'right' instead.")
        left = x > 0
    return np.array([-1.0 if left == (way == "medial") else 1.0, 0, 0])


def _midline_x(volume: Volume, k: int) -> float:
    """LPS x of the middle of the body on a slice, mm."""
    body = np.argwhere(_tissue(volume, k))
    middle = body.mean(0) if len(body) else (np.array(volume.array.shape[1:]) - 1) / 2
    return float(volume.geometry.to_lps([k, *middle])[0])


def _tissue(volume: Volume, k: int) -> npt.NDArray[np.bool_]:
    plane = volume.array[k]
    return np.asarray(plane > (-300.0 if volume.modality == "CT" else float(plane.mean())))


def _body(volume: Volume, k: int) -> npt.NDArray[np.bool_]:
    """The patient on a slice: the largest piece that is no air, with what is inside it."""
    pieces, count = ndimage.label(_tissue(volume, k))
    if not count:
        return np.zeros(pieces.shape, np.bool_)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(pieces == largest))


def _up(volume: Volume) -> int:
    up = superior_step(volume.geometry)
    if up is None:
        raise PromptError("These slices do not run from head to feet.", "Say 'next slice' or 'previous slice' instead.")
    return up


def _cut(intent: Slab, seen: Rings, at: int, volume: Volume) -> Rings:
    up = _up(volume) * (1 if intent.side == "above" else -1)
    beyond = {k for k in seen if (k - at) * up > 0}
    kept = beyond if intent.how == "keep" else set(seen) - beyond
    return {k: rings for k, rings in seen.items() if k in kept}


def _joined_slab(intent: Slab, seen: Rings, at: int, volume: Volume) -> Rings:
    """All of the patient on the slices beyond, besides what is there."""
    up = _up(volume) * (1 if intent.side == "above" else -1)
    count, *shape = volume.geometry.shape_kji
    made = dict(seen)
    for k in (k for k in range(count) if (k - at) * up > 0):
        patient = _body(volume, k) | fill(seen.get(k, ()), (shape[0], shape[1]))
        made[k] = tuple(isocontour(patient.astype(float), 0.5))
    return made


def _displayed(seen: Rings, k: int) -> tuple[FloatArray, ...]:
    if k not in seen:
        raise PromptError("There is no contour on the displayed slice.", "Scroll to one that has it.")
    return seen[k]


def beside(intent: Copy, k: int, volume: Volume, shown_as: Callable[[int], int]) -> int:
    """The slice that a copy goes to; 'next' is the next number on the screen."""
    if intent.to in ("above", "below"):
        step = _up(volume) * (1 if intent.to == "above" else -1)
    else:
        step = (shown_as(2) - shown_as(1)) * (1 if intent.to == "next" else -1)
    if not 0 <= k + step < volume.geometry.shape_kji[0]:
        raise PromptError("There is no slice beside this one.", "Nothing was changed.")
    return k + step


def _same(a: Rings, b: Rings, shape: tuple[int, int]) -> bool:
    return all(np.array_equal(fill(a.get(k, ()), shape), fill(b.get(k, ()), shape)) for k in {*a, *b})

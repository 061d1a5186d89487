"""A lesson as a training case: turned to the patient's axes, values as int16, prompts on its grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Prompt, ScribblePrompt
from osirix_agent.training.adapt.lessons import Lesson
from osirix_agent.training.cases import Case
from osirix_agent.training.phrases import TG263

FINEST_MM = 1.2  # finer voxels are thinned out: the network's grids begin at 1.8 mm
SPAN = 8000  # what the brightest of MR and PET become
Value = TypeVar("Value", bound=np.generic)
DATA_NAMES = {tg263: name for name, tg263 in TG263.items()}


def data_name(structure: str) -> str:
    """The name by which training knows a structure."""
    return DATA_NAMES.get(structure, structure)


def case_of(lesson: Lesson, anchored_weight: float = 1.0) -> Case:
    """`anchored_weight` is the weight of a contour that is the model's on all slices; one drawn by hand has 1."""
    volume = lesson.volume
    axes, signs = canonical(volume.geometry)
    image, mask = _turned(volume.array, axes, signs), _turned(lesson.mask, axes, signs)
    geometry = _turned_geometry(volume.geometry, axes, signs)
    thin = tuple(2 if step < FINEST_MM else 1 for step in geometry.spacing_kji_mm)
    image = ndimage.gaussian_filter(image, [0.5 * (n - 1) for n in thin]) if max(thin) > 1 else image
    taken = tuple(slice(None, None, n) for n in thin)
    step = tuple(s * n for s, n in zip(geometry.spacing_kji_mm, thin, strict=True))
    prompts = (_prompt(p, geometry, np.array(thin)) for p in lesson.prompts)
    return Case(
        f"{lesson.patient} {lesson.session}", _int16(image[taken], volume.modality),
        np.ascontiguousarray(mask[taken]).astype(np.uint16), (data_name(lesson.structure),),
        (step[0], step[1], step[2]), volume.modality,
        "soft tissue" if kind_of(lesson.structure) == "lesion" else "",  # of others the side matters
        1 - lesson.anchored * (1 - anchored_weight), tuple(p for p in prompts if p is not None),
    )  # fmt: skip


def canonical(geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which axis runs nearest to superior, posterior and left, and whether it runs that way (1) or against it (-1)."""
    along = np.array(geometry.axes_lps) @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T
    _, columns = linear_sum_assignment(-np.abs(along).T)
    return tuple(int(c) for c in columns), tuple(1 if along[c, n] >= 0 else -1 for n, c in enumerate(columns))


def _turned(array: npt.NDArray[Value], axes: tuple[int, ...], signs: tuple[int, ...]) -> npt.NDArray[Value]:
    return array.transpose(axes)[tuple(slice(None, None, s) for s in signs)]


def _turned_geometry(geometry: Geometry, axes: tuple[int, ...], signs: tuple[int, ...]) -> Geometry:
    corner = np.zeros(3)
    for axis, sign in zip(axes, signs, strict=True):
        corner[axis] = 0 if sign > 0 else geometry.shape_kji[axis] - 1
    x, y, z = (float(v) for v in geometry.to_lps(corner))
    (k, a), (j, b), (i, c) = zip(axes, signs, strict=True)
    shape, step, way = geometry.shape_kji, geometry.spacing_kji_mm, np.array(geometry.axes_lps)
    turned = tuple((float(v[0]), float(v[1]), float(v[2])) for v in (a * way[k], b * way[j], c * way[i]))
    return replace(
        geometry, shape_kji=(shape[k], shape[j], shape[i]), origin_lps=(x, y, z),
        spacing_kji_mm=(step[k], step[j], step[i]), axes_lps=turned,
    )  # fmt: skip


def _int16(image: npt.NDArray[np.float32], modality: str) -> npt.NDArray[np.int16]:
    values = np.nan_to_num(np.asarray(image, np.float32))
    if modality != "CT":  # the network looks at their spread, not at their unit
        values = values * np.float32(SPAN / max(float(np.quantile(np.abs(values), 0.999)), 1e-6))
    return np.ascontiguousarray(np.clip(np.round(values), -32768, 32767).astype(np.int16))


def _prompt(
    prompt: Prompt, geometry: Geometry, thin: npt.NDArray[np.int_]
) -> tuple[str, npt.NDArray[np.float64]] | None:
    sign = "+" if prompt.polarity.sign > 0 else "-"
    match prompt:
        case PointPrompt():
            return f"point{sign}", geometry.to_kji([prompt.position_lps]) / thin
        case ScribblePrompt():
            return f"scribble{sign}", geometry.to_kji(prompt.points_lps) / thin
        case BoxPrompt() if prompt.polarity.sign > 0:
            return "box", geometry.to_kji(prompt.corners_lps) / thin
        case _:  # words and outlines: training makes its own
            return None

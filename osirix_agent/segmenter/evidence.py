"""What prompts say of single voxels, and how surely: the likelihood terms of a belief's update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.belief.update import Evidence
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt, Prompt, TextPrompt
from osirix_agent.segmenter.seeds import read_marks

CLICK_NOISE, SCRIBBLE_NOISE, OUTLINE_NOISE, HERS_NOISE = 0.5, 0.7, 1.0, 0.3  # logits
RIM_PX = 2  # an outline says most about the pixels along it


def evidence_of(
    volume: Volume, prompts: Iterable[Prompt], fixed: Mapping[int, npt.NDArray[np.bool_]]
) -> tuple[Evidence, ...]:
    """One term a click, stroke, outline or edited slice; boxes and words bound no voxel and say nothing here.

    Parameters
    ----------
    fixed : slice to (j, i) bool, what she drew there
    """
    found: list[Evidence] = []
    for prompt in prompts:
        if isinstance(prompt, TextPrompt):
            continue
        marks = read_marks(volume, (prompt,))
        for stroke in marks.strokes:
            noise = CLICK_NOISE if isinstance(prompt, PointPrompt) else SCRIBBLE_NOISE
            at = np.round(stroke.points_kji).astype(np.int64)
            found.append(Evidence(at, np.full(len(at), stroke.sign > 0), noise))
        for region in marks.regions:
            if not region.loose:
                mask = fill(region.rings_ji, volume.geometry.shape_kji[1:])
                found.append(_rim(region.k, mask, OUTLINE_NOISE, region.sign > 0))
    found += [_rim(k, mask, HERS_NOISE, True) for k, mask in fixed.items()]
    return tuple(one for one in found if len(one.at_kji))


def _rim(k: int, mask: npt.NDArray[np.bool_], noise: float, include: bool) -> Evidence:
    """The pixels on both sides of an outline; one that excludes says nothing about what lies beyond it."""
    wide = ndimage.binary_dilation(mask, iterations=RIM_PX)
    rim = wide & ~ndimage.binary_erosion(mask, iterations=RIM_PX) if include else mask
    at = np.argwhere(rim)
    inside = mask[rim] if include else np.zeros(len(at), np.bool_)
    return Evidence(np.column_stack([np.full(len(at), k), at]), inside, noise)

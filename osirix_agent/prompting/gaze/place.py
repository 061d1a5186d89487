"""Where in the patient her eyes rested, on a page that knows what it shows where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.geometry import Geometry
from osirix_agent.prompting.gaze.calibration import Calibration
from osirix_agent.prompting.gaze.fixation import Fixation

SETTLED_S = 1.0  # an assumption: so long a look at a place leaves exp(-1) of its doubt to be looked at
_FARTHEST = 3.0  # standard deviations
FloatArray = npt.NDArray[np.float64]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Place:
    """A fixation on a slice.

    Attributes
    ----------
    position_lps, position_kji : mm; voxel index
    axis : of (k, j, i), which the slice lies across: along it the place is exact
    sd_mm : standard deviation within the slice, either way
    sharp_mm : of what is seen sharply around the place
    seconds : how long
    """

    position_lps: Triple
    position_kji: Triple
    axis: int
    sd_mm: float
    sharp_mm: float
    seconds: float


@dataclass(frozen=True)
class PageView:
    """What a page shows where.

    Attributes
    ----------
    axis : of (k, j, i), which the slice lies across
    visible_px : left, top, right and bottom of what is seen of the picture, CSS pixels of the viewport
    corner_px : upper left corner of the picture, seen or not
    corner_kji : voxel index at that corner
    right_kji, down_kji : change of the voxel index for a pixel to the right, downwards
    """

    axis: int
    visible_px: tuple[float, float, float, float]
    corner_px: tuple[float, float]
    corner_kji: Triple
    right_kji: Triple
    down_kji: Triple

    def place(self, fixation: Fixation, calibration: Calibration, geometry: Geometry) -> Place | None:
        """Where she looked; None: not at the picture."""
        x, y = calibration.to_page(fixation.x, fixation.y)
        left, top, right, bottom = self.visible_px
        if not (left <= x < right and top <= y < bottom):
            return None
        steps = np.array((self.right_kji, self.down_kji))
        kji = np.array(self.corner_kji) + np.array((x, y)) @ steps - np.array(self.corner_px) @ steps
        if not geometry.contains(geometry.to_lps(kji)):  # whatever the page says of its picture
            return None
        mm_per_px = float(np.linalg.norm(steps * np.array(geometry.spacing_kji_mm), axis=1).max())
        return Place(
            _triple(geometry.to_lps(kji)), _triple(kji), self.axis,
            calibration.sd_px * mm_per_px, calibration.sharp_px * mm_per_px, fixation.seconds,
        )  # fmt: skip


def looked_at(
    places: Iterable[Place], corner_kji: tuple[int, int, int], shape_kji: tuple[int, ...], spacing_kji_mm: npt.ArrayLike
) -> FloatArray:
    """(k, j, i), 0 to 1: how far the voxels of a box have been looked at, on the slices that were shown.

    A place was seen sharply for so many seconds, falling off as a Gaussian of `sharp_mm`; smeared over where she may
    have looked (`sd_mm`), it is broader and lower: the broader the noise, the less is known to have been seen.
    """
    seconds = np.zeros(shape_kji)
    spacing = np.asarray(spacing_kji_mm, float)
    for place in places:
        broad = float(np.hypot(place.sharp_mm, place.sd_mm))
        at = np.array(place.position_kji) - corner_kji
        window, weights = [], []
        for axis in range(3):
            reach = 0.0 if axis == place.axis else _FARTHEST * broad / spacing[axis]
            low = max(0, int(np.ceil(at[axis] - max(reach, 0.5))))
            high = min(shape_kji[axis], int(np.floor(at[axis] + max(reach, 0.5))) + 1)
            window.append(slice(low, max(low, high)))
            away = (np.arange(low, max(low, high)) - at[axis]) * spacing[axis] / broad
            weights.append(np.ones(len(away)) if axis == place.axis else np.exp(-0.5 * away**2))
        share = place.seconds * (place.sharp_mm / broad) ** 2
        seconds[tuple(window)] += share * np.einsum("k,j,i->kji", *weights)
    return np.asarray(1 - np.exp(-seconds / SETTLED_S))


def _triple(values: npt.ArrayLike) -> Triple:
    x, y, z = (float(one) for one in np.asarray(values))
    return x, y, z

"""What a case looks like, as numbers: is it like those that a calibration was fitted on?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.looks import slope_per_mm
from osirix_agent.imaging.volume import Volume

FloatArray = npt.NDArray[np.float64]

IMAGE = "the image as a whole"
FEATURES = (
    "its size", "its height", "its brightness", "the brightness around it", "its texture", "the image's grain",
    "how sharp its edge is", "how much of it is unsure",
)  # fmt: skip
RING_VOXELS = 3
SOFT = 3.0  # units of brightness: what is darker or brighter than soft tissue has edges for grain
MOST_VOXELS = 1_000_000  # of an image, for its grain


def features(belief: Belief, volume: Volume) -> FloatArray:
    """(8,) `FEATURES` of a segmenter's belief, before any calibration; nan where nothing is inside.

    Brightness is in units of 100 (HU for CT); for other modalities, of the image's own 99th percentile.
    """
    inside = belief.crop_mask
    if not inside.any():
        return np.full(len(FEATURES), np.nan)
    spacing = np.array(volume.geometry.spacing_kji_mm)
    image = np.nan_to_num(volume.array[belief.region].astype(np.float64))
    scale = 100.0 if volume.modality == "CT" else max(float(np.percentile(volume.array, 99)) / 3, 1e-6)
    image = image / scale
    ring = ndimage.binary_dilation(inside, iterations=RING_VOXELS) & ~inside
    if not ring.any():
        ring = inside
    held = image[inside]
    middle = float(np.median(held))
    slices = np.flatnonzero(inside.any((1, 2)))
    logit = belief.mean_logit
    edge = inside & ~ndimage.binary_erosion(inside)
    steep = float(slope_per_mm(logit, spacing)[edge].mean())
    return np.array([
        np.log(np.count_nonzero(inside) * volume.geometry.voxel_volume_mm3),
        np.log((slices[-1] - slices[0] + 1) * spacing[0]),
        middle,
        float(np.median(image[ring])),
        np.log(1.4826 * float(np.median(np.abs(held - middle))) + 0.02),
        np.log(_grain(volume, scale) + 0.02),
        np.log(steep + 0.01),
        np.log(np.count_nonzero(np.abs(logit) < 3) / np.count_nonzero(inside) + 0.01),
    ])  # fmt: skip


def _grain(volume: Volume, scale: float) -> float:
    """Median difference of a voxel from its neighbours' mean along a row, in what may be soft tissue."""
    step = max(1, volume.array.size // MOST_VOXELS)
    rows = np.nan_to_num(volume.array.reshape(-1, volume.array.shape[2])[::step].astype(np.float64)) / scale
    middle = rows[:, 1:-1]
    soft = np.abs(middle) < SOFT if volume.modality == "CT" else middle > 0.1 * SOFT
    found = np.abs(middle - (rows[:, :-2] + rows[:, 2:]) / 2)[soft]
    return float(np.median(found)) if len(found) else 0.0

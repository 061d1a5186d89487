"""What is believed about one structure: a Gaussian over logits in the region that matters.

This first form has rank zero: a mean logit and no spread. Its probabilities are the segmenter's own and are not
calibrated; `calibration_id` stays None until a calibration says otherwise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.contour import FloatArray, isocontour
from osirix_agent.imaging.geometry import Geometry

OUTSIDE_LOGIT = -10.0


@dataclass(frozen=True, eq=False)
class Belief:
    """Mean logit of one structure, held on a crop of the volume.

    Attributes
    ----------
    mean_logit : (k, j, i) float32
        On the crop; everywhere else the logit is `OUTSIDE_LOGIT`.
    corner_kji : tuple of int
        Volume index of mean_logit[0, 0, 0].
    shape_kji : tuple of int
        Shape of the whole volume.
    source : str
        Segmenter and version that made it.
    calibration_id : str or None
        None: probabilities are not calibrated, and nothing may call them so.
    """

    mean_logit: npt.NDArray[np.float32]
    corner_kji: tuple[int, int, int]
    shape_kji: tuple[int, int, int]
    source: str
    calibration_id: str | None = None
    _isolines: dict[tuple[int, int], tuple[FloatArray, ...]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def region(self) -> tuple[slice, slice, slice]:
        """Slices of the volume that the crop covers."""
        k, j, i = (slice(c, c + n) for c, n in zip(self.corner_kji, self.mean_logit.shape, strict=True))
        return k, j, i

    @cached_property
    def crop_mask(self) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool on the crop: probability of one half or more."""
        return self.mean_logit >= 0

    def mask(self) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool on the whole volume."""
        full = np.zeros(self.shape_kji, np.bool_)
        full[self.region] = self.crop_mask
        return full

    def probability_at(self, k: int, j: int, i: int) -> float:
        """Probability at one voxel of the volume."""
        index = tuple(v - c for v, c in zip((k, j, i), self.corner_kji, strict=True))
        inside = all(0 <= v < n for v, n in zip(index, self.mean_logit.shape, strict=True))
        return float(_sigmoid(self.mean_logit[index] if inside else OUTSIDE_LOGIT))

    def slices(self, level_percent: int = 50) -> range:
        """Slices on which the isoline of that level may exist."""
        held = np.flatnonzero((self.mean_logit >= logit(level_percent)).any(axis=(1, 2)))
        if held.size == 0:
            return range(0)
        return range(self.corner_kji[0] + int(held[0]), self.corner_kji[0] + int(held[-1]) + 1)

    def isoline(self, k: int, level_percent: int = 50) -> tuple[FloatArray, ...]:
        """Rings (row j, column i) of the isoline on slice k, linear in the logit; () where there is none."""
        row = k - self.corner_kji[0]
        if not 0 <= row < self.mean_logit.shape[0]:
            return ()
        known = self._isolines.get((k, level_percent))
        if known is None:  # worked out once: scrolling, undo and redo ask again and again
            known = isocontour(self.mean_logit[row], logit(level_percent), offset_ji=self.corner_kji[1:])
            self._isolines[k, level_percent] = known
        return known

    def volume_mm3(self, geometry: Geometry) -> float:
        return float(np.count_nonzero(self.crop_mask)) * geometry.voxel_volume_mm3

    @cached_property
    def mask_digest(self) -> str:
        """SHA-256 of the mask, whatever the crop: equal masks have equal digests."""
        held = np.argwhere(self.crop_mask)
        h = hashlib.sha256(repr(self.shape_kji).encode())
        if held.size:
            low, high = held.min(0), held.max(0) + 1
            tight = self.crop_mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            h.update(repr([int(a + c) for a, c in zip(low, self.corner_kji, strict=True)]).encode())
            h.update(repr(tight.shape).encode())
            h.update(np.packbits(tight).tobytes())
        return h.hexdigest()


def logit(level_percent: float) -> float:
    """Log-odds of a percentage between 0 and 100."""
    p = level_percent / 100.0
    return float(np.log(p / (1.0 - p)))


def _sigmoid(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.asarray(x, float)))

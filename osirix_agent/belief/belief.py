"""What is believed about one structure: a Gaussian over logits in the region that matters.

A segmenter gives a mean logit and no spread: its probabilities are its own and are not calibrated. A calibration adds
the spread (`calibration.calibrated`) and its id; while `calibration_id` is None nothing may call them calibrated.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from osirix_agent.belief.gate import Judgement
from osirix_agent.belief.spread import Spread, probability
from osirix_agent.imaging.contour import FloatArray, isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import mask_bytes

OUTSIDE_LOGIT = -10.0
DRAWN_LOGIT = 4.0  # so drawn, both the 90 and the 50 % band hold about their share on 30 calibration patients
WORLDS = 100


@dataclass(frozen=True, eq=False)
class Belief:
    """Logits of one structure, held on a crop of the volume: their mean, and how they vary together.

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
    spread : Spread or None
        None: no spread; the probability is that of the mean logit.
    judgement : Judgement or None
        Whether its numbers may be relied on, and why not; None: nothing can be said.
    """

    mean_logit: npt.NDArray[np.float32]
    corner_kji: tuple[int, int, int]
    shape_kji: tuple[int, int, int]
    source: str
    calibration_id: str | None = None
    spread: Spread | None = None
    judgement: Judgement | None = None
    _isolines: dict[tuple[int, int], tuple[FloatArray, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def nbytes(self) -> int:
        """What it costs to keep: logits, the mask made of them, and the spread with what is worked out of it."""
        held = self.mean_logit.nbytes + self.mean_logit.size
        if self.spread is not None:
            held += self.spread.nbytes + self.mean_logit.nbytes
        return held

    @cached_property
    def region(self) -> tuple[slice, slice, slice]:
        """Slices of the volume that the crop covers."""
        k, j, i = (slice(c, c + n) for c, n in zip(self.corner_kji, self.mean_logit.shape, strict=True))
        return k, j, i

    @cached_property
    def crop_mask(self) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool on the crop: probability of one half or more (a spread is symmetric and moves no half)."""
        return self.mean_logit >= 0

    @cached_property
    def crop_logit(self) -> npt.NDArray[np.float32]:
        """(k, j, i) float32 on the crop: log-odds of the probability, spread included."""
        if self.spread is None:
            return self.mean_logit
        found = self.mean_logit.ravel().copy()
        band = self.spread.band
        p = probability(found[band], self.spread.variance)
        found[band] = np.log(p) - np.log1p(-p)
        return found.reshape(self.mean_logit.shape)

    def mask(self) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool on the whole volume."""
        full = np.zeros(self.shape_kji, np.bool_)
        full[self.region] = self.crop_mask
        return full

    def probability_at(self, k: int, j: int, i: int) -> float:
        """Probability at one voxel of the volume."""
        index = tuple(v - c for v, c in zip((k, j, i), self.corner_kji, strict=True))
        inside = all(0 <= v < n for v, n in zip(index, self.mean_logit.shape, strict=True))
        return float(expit(self.crop_logit[index] if inside else OUTSIDE_LOGIT))

    def slices(self, level_percent: int = 50) -> range:
        """Slices on which the isoline of that level may exist."""
        held = np.flatnonzero((self.crop_logit >= logit(level_percent)).any(axis=(1, 2)))
        if held.size == 0:
            return range(0)
        return range(self.corner_kji[0] + int(held[0]), self.corner_kji[0] + int(held[-1]) + 1)

    def isoline(self, k: int, level_percent: int = 50) -> tuple[FloatArray, ...]:
        """Rings (row j, column i) of the isoline on slice k, linear in the `drawable` logit; () where there is none."""
        row = k - self.corner_kji[0]
        if not 0 <= row < self.mean_logit.shape[0]:
            return ()
        known = self._isolines.get((k, level_percent))
        if known is None:  # worked out once: scrolling, undo and redo ask again and again
            field = drawable(self.crop_logit[row], level_percent)
            known = isocontour(field, logit(level_percent), offset_ji=self.corner_kji[1:])
            self._isolines[k, level_percent] = known
        return known

    def volume_mm3(self, geometry: Geometry) -> float:
        return float(np.count_nonzero(self.crop_mask)) * geometry.voxel_volume_mm3

    def volume_interval_mm3(self, geometry: Geometry, percent: float = 90.0) -> tuple[float, float]:
        """Volume between which `percent` of the worlds lie; equal ends where there is no spread."""
        inside = np.count_nonzero(self.crop_mask)
        if self.spread is None:
            return (inside * geometry.voxel_volume_mm3,) * 2
        band = self.spread.band
        mean = self.mean_logit.ravel()[band]
        sure = inside - np.count_nonzero(mean >= 0)
        counts = [
            sure + np.count_nonzero(mean + self.spread.factor @ self.spread.latent(m) >= 0) for m in range(WORLDS)
        ]
        tail = (100 - percent) / 2
        low, high = np.percentile(counts, [tail, 100 - tail])
        return float(low) * geometry.voxel_volume_mm3, float(high) * geometry.voxel_volume_mm3

    def world(self, m: int, case: str = "") -> npt.NDArray[np.float32]:
        """(k, j, i) float32 on the crop: logits in world m, from the low-rank part alone.

        World m of a case is the same world in every belief of the same rank: updates move it, they do not draw it
        anew. The diagonal is left out: noise from voxel to voxel is not a contour. Structures that should vary apart
        need cases of different names.
        """
        found = self.mean_logit.ravel().copy()
        if self.spread is not None:
            found[self.spread.band] += self.spread.factor @ self.spread.latent(m, case)
        return found.reshape(self.mean_logit.shape)

    @cached_property
    def mask_digest(self) -> str:
        """SHA-256 of the mask, whatever the crop: equal masks have equal digests."""
        return hashlib.sha256(self.mask_bytes).hexdigest()

    @property
    def mask_bytes(self) -> bytes:
        """The mask as it is stored."""
        return mask_bytes(self.crop_mask, self.corner_kji, self.shape_kji)


def drawable(logits: npt.NDArray[Any], level_percent: float = 50) -> npt.NDArray[Any]:
    """Log-odds as an isoline is drawn through them, linear between voxels: what is surer than `DRAWN_LOGIT` counts as
    that sure. Else the surer of two voxels would push the line onto the other one, though all that is known is that
    the boundary lies between them."""
    limit = max(DRAWN_LOGIT, abs(logit(level_percent)) + 1)
    return np.clip(logits, -limit, limit)


def logit(level_percent: float) -> float:
    """Log-odds of a percentage between 0 and 100."""
    p = level_percent / 100.0
    return float(np.log(p / (1.0 - p)))

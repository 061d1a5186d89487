"""A structure on its way out: rings as they are shown, who made them, and how they are named outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from osirix_agent import __version__
from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.imaging.contour import FloatArray, fill
from osirix_agent.imaging.structure import ascii_name, structure_name

SOFTWARE = "osirix-agent"


@dataclass(frozen=True, eq=False)
class AcceptedStructure:
    """What the clinician accepted.

    Attributes
    ----------
    name : as she calls it
    rings_ji : mapping of slice to its rings (row, column), even-odd
    edited : slices that are her own
    belief : Belief or None
        What was believed when she accepted; None where all slices are hers.
    color : red, green, blue, 0 to 255
    made_by : segmenter and version, with the digest of its weights
    """

    name: str
    rings_ji: Mapping[int, Sequence[FloatArray]]
    edited: frozenset[int] = frozenset()
    belief: Belief | None = None
    color: tuple[int, int, int] = (255, 255, 0)
    made_by: str = ""
    version: str = field(default=__version__)

    @property
    def public_name(self) -> str:
        """In TG-263 spelling where it is an organ; else hers, as far as DICOM can hold it."""
        return structure_name(self.name) or ascii_name(self.name).replace("\\", "_")

    @property
    def calibration(self) -> str:
        """Of its probabilities, in words."""
        known = self.belief is not None and self.belief.calibration_id
        return f"calibrated by {known}" if known else "not calibrated"

    def mask(self, shape_kji: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool: voxels whose centre lies in the rings."""
        found = np.zeros(shape_kji, np.bool_)
        for k, rings in self.rings_ji.items():
            found[k] = fill(list(rings), shape_kji[1:])
        return found

    def probability(self, shape_kji: tuple[int, int, int]) -> npt.NDArray[np.float32]:
        """(k, j, i) float32: what was believed; 0 and 1 on slices that are hers."""
        found = np.full(shape_kji, 0.0 if self.belief is None else expit(OUTSIDE_LOGIT), np.float32)
        if self.belief is not None:
            found[self.belief.region] = expit(self.belief.crop_logit)
        for k in self.edited:
            found[k] = fill(list(self.rings_ji.get(k, ())), shape_kji[1:])
        return found

    def band(self, level_percent: int) -> dict[int, Sequence[FloatArray]]:
        """Rings of an isoline by slice; none on slices that are hers."""
        if self.belief is None:
            return {}
        slices = [k for k in self.belief.slices(level_percent) if k not in self.edited]
        found = {k: self.belief.isoline(k, level_percent) for k in slices}
        return {k: rings for k, rings in found.items() if rings}

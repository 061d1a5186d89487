"""The three planes of a volume as pictures: which way round they are shown, and where a place in them lies.

A picture's place is (row, column), integers at pixel centres. The series' own slices are shown as they are, as in
OsiriX; the two planes across them are turned so that superior (else anterior) is up and the patient's right (else
anterior) left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.geometry import Geometry

FloatArray = npt.NDArray[np.float64]
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))  # towards smaller and larger x, y, z of LPS
_NAMES = {0: "sagittal", 1: "coronal", 2: "axial"}


@dataclass(frozen=True)
class Plane:
    """Slices across one axis of the grid.

    Attributes
    ----------
    axis : 0, 1 or 2
        Of (k, j, i), along which the slices follow each other.
    """

    geometry: Geometry
    axis: int

    @property
    def name(self) -> str:
        """Axial, coronal or sagittal, whichever is nearest."""
        return _NAMES[int(np.argmax(np.abs(self.geometry.axes_lps[self.axis])))]

    @property
    def count(self) -> int:
        return self.geometry.shape_kji[self.axis]

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.geometry.shape_kji[self._axes[0]], self.geometry.shape_kji[self._axes[1]]

    @cached_property
    def spacing_mm(self) -> tuple[float, float]:
        """Between rows, between columns."""
        return self.geometry.spacing_kji_mm[self._axes[0]], self.geometry.spacing_kji_mm[self._axes[1]]

    @cached_property
    def letters(self) -> tuple[str, str, str, str]:
        """What lies at the top, right, bottom and left."""
        (up, down), (left, right) = (
            ends[::-1] if flipped else ends
            for ends, flipped in zip((self._ends(axis) for axis in self._axes), self._flipped, strict=True)
        )
        return up, right, down, left

    def picture(self, array: npt.NDArray[np.float32], index: int) -> npt.NDArray[np.float32]:
        """(row, column) float32: slice `index` of a (k, j, i) array, as it is shown."""
        return np.ascontiguousarray(self._turned(np.take(array, index, self.axis)))

    def to_kji(self, index: float, points: npt.ArrayLike) -> FloatArray:
        """(n, 2) row, column on slice `index` to (n, 3) voxel index."""
        return np.insert(self.turn(points), self.axis, float(index), axis=1)

    def to_picture(self, points_kji: npt.ArrayLike) -> FloatArray:
        """(n, 3) voxel index to (n, 2) row, column, whatever the slice."""
        return self.turn(np.delete(np.asarray(points_kji, float), self.axis, axis=1))

    def turn(self, points: npt.ArrayLike) -> FloatArray:
        """(n, 2) row, column as shown to (n, 2) indices along the grid's axes, or back."""
        found = np.array(points, float).reshape(-1, 2)
        for n, flipped in enumerate(self._flipped):
            if flipped:
                found[:, n] = self.shape[n] - 1 - found[:, n]
        return found

    def _turned(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        rows, columns = (slice(None, None, -1 if flipped else 1) for flipped in self._flipped)
        return image[rows, columns]

    @property
    def _axes(self) -> tuple[int, int]:
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second

    @cached_property
    def _flipped(self) -> tuple[bool, bool]:
        if self.axis == 0:
            return False, False
        down, right = (self._ends(axis)[1] for axis in self._axes)
        return down in "SAR", right in "RAI"

    def _ends(self, axis: int) -> tuple[str, str]:
        """What lies where the index is small, where it is large."""
        direction = self.geometry.axes_lps[axis]
        main = int(np.argmax(np.abs(direction)))
        low, high = _LETTERS[main]
        return (low, high) if direction[main] > 0 else (high, low)


def planes_of(geometry: Geometry) -> tuple[Plane, Plane, Plane]:
    """The series' own plane first."""
    return Plane(geometry, 0), Plane(geometry, 1), Plane(geometry, 2)

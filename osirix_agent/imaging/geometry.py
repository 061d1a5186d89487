"""The patient geometry of a stack of slices: voxel index (k, j, i) to LPS millimetres and back.

Frame: DICOM patient coordinates (x to the patient's Left, y Posterior, z Superior; PS3.3 C.7.6.2.1.1).
Index (k, j, i) = slice, row, column; integers are voxel centres. k runs in the order the viewer holds the
slices, whichever way that is along the normal, so the affine may be left-handed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import UnsupportedSeriesError

FloatArray = npt.NDArray[np.float64]

# how far any slice may lie from the regular grid: a voxel's place is then right to a tenth of a pixel
POSITION_TOLERANCE_PX = 0.05
POSITION_TOLERANCE_MM = 0.02  # writers round positions to 0.01 mm, float32 to 6e-5 at a metre from the isocentre


@dataclass(frozen=True)
class Geometry:
    """Affine of a regular voxel grid.

    Attributes
    ----------
    shape_kji : tuple of int
        Number of slices, rows, columns.
    origin_lps : tuple of float
        Centre of voxel (0, 0, 0), mm.
    spacing_kji_mm : tuple of float
        Positive distances between neighbouring voxel centres, mm.
    axes_lps : tuple of three unit vectors
        Direction of growing k, j and i.
    """

    shape_kji: tuple[int, int, int]
    origin_lps: tuple[float, float, float]
    spacing_kji_mm: tuple[float, float, float]
    axes_lps: tuple[tuple[float, float, float], ...]

    @cached_property
    def matrix(self) -> FloatArray:
        """(3, 3), mm: columns are the steps along k, j and i."""
        return np.array(self.axes_lps, float).T * np.array(self.spacing_kji_mm)

    @cached_property
    def inverse_matrix(self) -> FloatArray:
        return np.asarray(np.linalg.inv(self.matrix))

    def to_lps(self, points_kji: npt.ArrayLike) -> FloatArray:
        """(..., 3) voxel index to (..., 3) LPS mm."""
        return np.asarray(points_kji, float) @ self.matrix.T + np.array(self.origin_lps)

    def to_kji(self, points_lps: npt.ArrayLike) -> FloatArray:
        """(..., 3) LPS mm to (..., 3) fractional voxel index."""
        return (np.asarray(points_lps, float) - np.array(self.origin_lps)) @ self.inverse_matrix.T

    def contains(self, points_lps: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(...) bool: does the point lie in a voxel of the grid (half a voxel of border included)?"""
        kji = self.to_kji(points_lps)
        return np.asarray(np.all((kji >= -0.5) & (kji < np.array(self.shape_kji) - 0.5), axis=-1))

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing_kji_mm))

    @property
    def digest(self) -> str:
        numbers = np.array([*self.shape_kji, *self.origin_lps, *self.spacing_kji_mm, *np.ravel(self.axes_lps)])
        return hashlib.sha256(np.round(numbers, 4).tobytes()).hexdigest()

    @classmethod
    def from_slices(
        cls,
        origins_lps: npt.ArrayLike,
        row_cosines: npt.ArrayLike,
        column_cosines: npt.ArrayLike,
        spacing_rows_mm: float,
        spacing_columns_mm: float,
        rows: int,
        columns: int,
    ) -> Geometry:
        """Geometry of parallel slices from what DICOM says of each.

        Parameters
        ----------
        origins_lps : (n, 3) array
            Image Position (Patient) of each slice in the viewer's order, mm.
        row_cosines, column_cosines : (3,) array
            Image Orientation (Patient): direction of growing column index, of growing row index.
        spacing_rows_mm, spacing_columns_mm : float
            Distance between rows, between columns (Pixel Spacing [0] and [1]).

        Raises
        ------
        UnsupportedSeriesError
            Fewer than three slices, no spacing, irregular steps, a tilted gantry.
        """
        origins = np.asarray(origins_lps, float)
        if len(origins) < 3:
            raise UnsupportedSeriesError(
                f"The series has {len(origins)} slice(s); a volume needs at least 3.",
                "Open the full series in the 2D viewer and start again.",
            )
        if not (spacing_rows_mm > 0 and spacing_columns_mm > 0):
            raise UnsupportedSeriesError(
                "The series carries no pixel spacing, so nothing can be measured in millimetres.",
                "Open a series with pixel spacing (not a secondary capture).",
            )
        i_axis = np.asarray(row_cosines, float)
        j_axis = np.asarray(column_cosines, float)
        if not (0.99 < np.linalg.norm(i_axis) < 1.01 and 0.99 < np.linalg.norm(j_axis) < 1.01):
            raise UnsupportedSeriesError(
                "The series carries no image orientation.", "Open a series with patient orientation."
            )
        i_axis = i_axis / np.linalg.norm(i_axis)
        j_axis = j_axis - (j_axis @ i_axis) * i_axis
        j_axis = j_axis / np.linalg.norm(j_axis)
        normal = np.cross(i_axis, j_axis)
        along = (origins - origins[0]) @ normal
        step = float(along[-1] / (len(origins) - 1))
        tolerance = POSITION_TOLERANCE_MM + POSITION_TOLERANCE_PX * min(spacing_rows_mm, spacing_columns_mm)
        off = np.abs(along - step * np.arange(len(origins)))
        if abs(step) < 1e-3 or off.max() > tolerance:
            steps = np.abs(np.diff(along))
            worst = int(np.argmax(np.abs(steps - abs(step))))
            raise UnsupportedSeriesError(
                f"The slices are not evenly spaced: {steps[worst]:.2f} mm between slices {worst + 1} and "
                f"{worst + 2}, {abs(step):.2f} mm on average.",
                "Resample the series to even spacing, or open the part of it that is even.",
            )
        sideways = origins - origins[0] - np.outer(along, normal)
        if np.abs(sideways).max() > tolerance:
            raise UnsupportedSeriesError(
                "The slices are shifted against each other (tilted gantry).",
                "Resample the series to a straight stack in OsiriX and open that.",
            )
        k_axis = normal * np.sign(step)
        return cls(
            shape_kji=(len(origins), int(rows), int(columns)),
            origin_lps=_triple(origins[0]),
            spacing_kji_mm=(abs(step), float(spacing_rows_mm), float(spacing_columns_mm)),
            axes_lps=(_triple(k_axis), _triple(j_axis), _triple(i_axis)),
        )


def _triple(vector: npt.ArrayLike) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in np.asarray(vector))
    return a, b, c

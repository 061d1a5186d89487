"""The one place where OsiriX ROI coordinates meet voxel indices and patient millimetres.

Pixel (row r, column c) covers [c, c+1) x [r, r+1) in (x, y), so its centre is (c + 0.5, r + 0.5); the half pixel is a
setting because it was read in Horos, not in OsiriX (`osirix-agent doctor --live` measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.contour import FloatArray, fill, isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.viewer.roi import RoiSpec, RoiType


@dataclass(frozen=True)
class PixelMap:
    """ROI coordinates <-> (j, i) index <-> LPS of one viewer."""

    geometry: Geometry
    half_pixel_px: float = 0.5

    def to_ji(self, points_xy: npt.ArrayLike) -> FloatArray:
        """(n, 2) x, y to (n, 2) row, column; integers at pixel centres."""
        return np.asarray(points_xy, float)[..., ::-1] - self.half_pixel_px

    def to_xy(self, points_ji: npt.ArrayLike) -> npt.NDArray[np.float32]:
        return (np.asarray(points_ji, float)[..., ::-1] + self.half_pixel_px).astype(np.float32)

    def to_lps(self, k: int, points_xy: npt.ArrayLike) -> FloatArray:
        """(n, 2) x, y on slice k to (n, 3) LPS mm."""
        ji = self.to_ji(points_xy)
        kji = np.concatenate([np.full((*ji.shape[:-1], 1), float(k)), ji], axis=-1)
        return self.geometry.to_lps(kji)

    def ring_lps(self, k: int, ring_ji: npt.ArrayLike) -> FloatArray:
        ji = np.asarray(ring_ji, float)
        return self.geometry.to_lps(np.concatenate([np.full((len(ji), 1), float(k)), ji], axis=1))

    def rings_of(self, roi: RoiSpec) -> tuple[FloatArray, ...]:
        """Closed outlines (row, column) of a box, oval, closed polygon or brush; () for other kinds."""
        if roi.itype == RoiType.BRUSH and roi.brush is not None:
            x, y = roi.brush.corner
            return isocontour(roi.brush.mask.astype(float), 0.5, offset_ji=(y, x))
        if roi.itype in (RoiType.CLOSED_POLYGON, RoiType.OVAL, RoiType.BOX):
            return (self.to_ji(roi.points_xy),)
        return ()

    def mask_of(self, rois: Sequence[RoiSpec]) -> npt.NDArray[np.bool_]:
        """(j, i) bool: pixels whose centre lies inside, even-odd over all rings (never OsiriX's own map, which is
        shifted for polygons)."""
        rings = [ring for roi in rois for ring in self.rings_of(roi)]
        return fill(rings, self.geometry.shape_kji[1:])

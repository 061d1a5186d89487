"""A region of interest as OsiriX keeps it: x = column, y = row; pixel (r, c) covers [c, c+1) x [r, r+1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import find_contours

FloatArray = npt.NDArray[np.float32]


class ToolMode(IntEnum):
    MEASURE = 5
    RECTANGLE = 6
    OVAL = 9
    OPEN_POLYGON = 10
    CLOSED_POLYGON = 11
    ANGLE = 12
    TEXT = 13
    ARROW = 14
    PENCIL = 15
    POINT = 19
    BRUSH = 20
    LAYER = 24
    AXIS = 26
    DYNAMIC_ANGLE = 27
    TAGT = 29
    OVAL_ANGLE = 31


POINT_TYPES = {5, 10, 11, 12, 14, 15, 24, 26, 27, 29}
RECT_TYPES = {6, 9, 13, 19, 31}
FILLABLE = {20, 11, 10, 15}
_FIXED_POINTS = {6, 9, 19, 31, 20}  # SetPoints is ignored for these


@dataclass
class Pen:
    """The style the next hand-drawn ROI takes; NewROI and every style setter leak into it."""

    color: tuple[int, int, int] = (67, 177, 75)
    thickness: float = 2.0
    opacity: float = 1.0


def style_pool(itype: int) -> str:
    """OsiriX keeps three pens: text, brush, others."""
    return {13: "text", 20: "brush"}.get(itype, "others")


@dataclass(eq=False)
class Roi:
    """One ROI.

    Attributes
    ----------
    points : (n, 2) float32
        x, y of point types.
    rect : tuple of float
        x, y, width, height of rectangle types (centre and radii for ovals).
    texture : (h, w) bool or None
        Brush; its upper left pixel is at `texture_xy`.
    drawing : bool
        The mouse button is still down.
    comment : str
        Saved with the ROI, and not reachable through the service.
    """

    itype: int
    name: str
    pix: Any
    points: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    rect: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    texture: npt.NDArray[np.bool_] | None = None
    texture_xy: tuple[int, int] = (0, 0)
    color: tuple[int, int, int] = (0, 0, 0)
    thickness: float = 1.0
    opacity: float = 0.0
    selected: bool = False
    drawing: bool = False
    locked: bool = False
    comment: str = ""

    def service_points(self) -> FloatArray:
        """What ROIPoints answers."""
        x, y, w, h = self.rect
        match self.itype:
            case ToolMode.RECTANGLE:
                return np.array([(x, y), (x, y + h), (x + w, y + h), (x + w, y)], np.float32)
            case ToolMode.OVAL | ToolMode.OVAL_ANGLE:
                angle = np.arange(200) * 2 * np.pi / 200
                return np.stack([x + w * np.cos(angle), y + h * np.sin(angle)], 1).astype(np.float32)
            case ToolMode.POINT | ToolMode.TEXT:
                return np.array([(x, y)], np.float32)
            case ToolMode.BRUSH:
                return self._brush_outline()
            case _:
                return self.points

    def set_points(self, points: FloatArray) -> None:
        """ROISetPoints: silently ignored for some types and for locked ROIs."""
        if self.itype not in _FIXED_POINTS and not self.locked:
            self.points = points.astype(np.float32)

    def set_thickness(self, value: float) -> None:
        self.thickness = float(np.clip(round(value), 1, 20))

    def move(self, columns: float, rows: float) -> None:
        if self.itype == ToolMode.BRUSH:
            self.texture_xy = (self.texture_xy[0] + int(columns), self.texture_xy[1] + int(rows))
        elif self.itype in RECT_TYPES:
            x, y, w, h = self.rect
            self.rect = (float(np.float32(x + columns)), float(np.float32(y + rows)), w, h)
        else:
            self.points = (self.points + np.array([columns, rows], np.float32)).astype(np.float32)

    def rotate(self, degrees: float, x: float, y: float) -> None:
        if self.itype in RECT_TYPES or self.itype == ToolMode.BRUSH:
            return
        a = np.radians(degrees)
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        self.points = ((self.points - [x, y]) @ turn.T + [x, y]).astype(np.float32)

    def flip(self, axis: int) -> None:
        """Mirror about the centroid: axis 0 = left-right, 1 = up-down."""
        if self.itype == ToolMode.BRUSH and self.texture is not None:
            self.texture = np.flip(self.texture, axis=1 - axis)
        elif len(self.points):
            centre = self.points.mean(0)
            self.points[:, axis] = 2 * centre[axis] - self.points[:, axis]

    def centroid(self) -> tuple[float, float]:
        if self.itype == ToolMode.BRUSH and self.texture is not None and self.texture.any():
            rows, columns = np.nonzero(self.texture)
            return float(columns.mean() + self.texture_xy[0]), float(rows.mean() + self.texture_xy[1])
        points = self.service_points()
        return (float(points[:, 0].mean()), float(points[:, 1].mean())) if len(points) else (0.0, 0.0)

    def area_px(self) -> float:
        if self.itype == ToolMode.BRUSH:
            return 0.0 if self.texture is None else float(self.texture.sum())
        if self.itype in (ToolMode.OVAL, ToolMode.OVAL_ANGLE):
            return float(np.pi * self.rect[2] * self.rect[3])
        points = self.service_points().astype(float)
        if len(points) < 3:
            return 0.0
        x, y = points.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

    def map(self, rows: int, columns: int) -> npt.NDArray[np.bool_]:
        """DCMPixGetMapFromROI: exact for a brush, biased by about one pixel right and down for polygons."""
        full = np.zeros((rows, columns), np.bool_)
        if self.itype == ToolMode.BRUSH:
            if self.texture is not None:
                x, y = self.texture_xy
                h, w = self.texture.shape
                r0, r1, c0, c1 = max(y, 0), min(y + h, rows), max(x, 0), min(x + w, columns)
                if r1 > r0 and c1 > c0:
                    full[r0:r1, c0:c1] = self.texture[r0 - y : r1 - y, c0 - x : c1 - x]
            return full
        return _biased_fill(self.service_points(), rows, columns)

    def _brush_outline(self) -> FloatArray:
        """Largest region only, at most about 100 points, no holes, in pixel-index coordinates (as OsiriX does)."""
        if self.texture is None or not self.texture.any():
            return np.zeros((0, 2), np.float32)
        labels, count = ndimage.label(self.texture)
        largest = labels == 1 + int(np.argmax(ndimage.sum_labels(self.texture, labels, range(1, count + 1))))
        line = max(find_contours(np.pad(largest, 1).astype(float), 0.5), key=len)[:-1] - 1
        line = line[:: max(1, len(line) // 100 + 1)]
        return (line[:, ::-1] + self.texture_xy).astype(np.float32)


def _biased_fill(points: FloatArray, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Scan-line fill of integer pixels with left-open, top-open edges: the shift that readers of GetMap see."""
    full = np.zeros((rows, columns), np.bool_)
    ring = np.asarray(points, float)
    if len(ring) < 3:
        return full
    x0, y0 = ring.T
    x1, y1 = np.roll(ring, -1, axis=0).T
    for row in range(max(0, int(np.floor(y0.min()))), min(rows, int(np.ceil(y0.max())) + 1)):
        crossing = ((y0 < row) & (y1 >= row)) | ((y1 < row) & (y0 >= row))
        xs = np.sort(x0[crossing] + (row - y0[crossing]) * (x1 - x0)[crossing] / (y1 - y0)[crossing])
        for left, right in zip(xs[::2], xs[1::2], strict=False):
            full[row, max(0, int(np.floor(left)) + 1) : max(0, min(columns, int(np.floor(right)) + 1))] = True
    return full

"""A region of interest as OsiriX keeps it: x = column, y = row; pixel (r, c) covers [c, c+1) x [r, r+1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import find_contours

from osirix_agent.virtual_osirix.fill import exact_map, filled, polygon_map, whole_pixels

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
_FEWEST_POINTS = {5: 2, 14: 2, 10: 3, 11: 3, 12: 3, 15: 3, 26: 4, 27: 4, 29: 6}
_SMALLEST_PX = 0.2
_LONGEST_NAME = 256


@dataclass
class Pen:
    """The style the next hand-drawn ROI takes; NewROI and every style setter leak into it."""

    color: tuple[int, int, int] = (76, 255, 76)
    thickness: float = 2.0
    opacity: float = 1.0


def factory_pens() -> dict[str, Pen]:
    """OsiriX keeps three pens, and a thickness of its own for arrows."""
    return {
        "text": Pen((255, 255, 0), 3.0),
        "brush": Pen((255, 0, 0), 5.0, 0.5),
        "others": Pen(),
        "arrow": Pen(),
    }


def style_pool(itype: int) -> str:
    """The pen that gives an ROI its colour and opacity."""
    return {13: "text", 20: "brush"}.get(itype, "others")


def thickness_pool(itype: int) -> str:
    """The pen that gives an ROI its thickness."""
    return {13: "text", 29: "text", 14: "arrow", 20: "brush"}.get(itype, "others")


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
    spacing : tuple of float or None
        Row and column spacing in mm that areas are computed with; None: its slice's.
    drawing : bool
        The mouse button is still down.
    modifying : bool
        Selected with one vertex in hand.
    seen : bool
        Drawn on the screen; what NewROI makes is not until the viewer redraws.
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
    modifying: bool = False
    locked: bool = False
    spacing: tuple[float, float] | None = None
    seen: bool = True
    comment: str = ""

    @property
    def is_valid(self) -> bool:
        """What OsiriX keeps; also turns a rectangle that was drawn upwards or to the left the right way round."""
        if self.itype == ToolMode.BRUSH:
            return self.texture is not None and bool(self.texture.any())
        if self.itype in (ToolMode.MEASURE, ToolMode.ARROW) and len(self.points) >= 2:
            return bool((np.abs(self.points[0] - self.points[1]) >= _SMALLEST_PX).any())
        if self.itype in POINT_TYPES:
            return len(self.points) >= _FEWEST_POINTS.get(self.itype, 0)
        if self.itype in (ToolMode.RECTANGLE, ToolMode.OVAL, ToolMode.OVAL_ANGLE):
            x, y, w, h = self.rect
            if self.itype == ToolMode.RECTANGLE:
                x, y = min(x, x + w), min(y, y + h)
            self.rect = (x, y, abs(w), abs(h))
            return min(abs(w), abs(h)) >= _SMALLEST_PX
        return True

    def service_points(self) -> FloatArray:
        """What ROIPoints answers."""
        x, y, w, h = self.rect
        match self.itype:
            case ToolMode.RECTANGLE:
                return np.array([(x, y), (x, y + h), (x + w, y + h), (x + w, y)], np.float32)
            case ToolMode.OVAL | ToolMode.OVAL_ANGLE:
                angle = np.arange(200) * 2 * np.pi / 200
                return np.stack([x + w * np.cos(angle), y + h * np.sin(angle)], 1).astype(np.float32)
            case ToolMode.POINT:
                return np.array([(x, y)], np.float32)
            case ToolMode.BRUSH:
                return self._brush_outline()
            case _:
                return self.points

    def set_points(self, points: FloatArray) -> None:
        """ROISetPoints: silently ignored for some types and for locked ROIs."""
        if self.itype not in _FIXED_POINTS and not self.locked:
            self.points = points.astype(np.float32)

    def set_name(self, name: str) -> None:
        """At most 256 characters, but for text."""
        self.name = name if self.itype == ToolMode.TEXT else name[:_LONGEST_NAME]

    def set_thickness(self, value: float) -> None:
        """Whole numbers from 1 to 20."""
        self.thickness = float(np.clip(np.floor(value + 0.5), 1, 20))

    def move(self, columns: float, rows: float) -> None:
        if self.locked:
            return
        if self.itype == ToolMode.BRUSH:
            self.texture_xy = (self.texture_xy[0] + int(columns), self.texture_xy[1] + int(rows))
        elif self.itype in RECT_TYPES:
            x, y, w, h = self.rect
            self.rect = (float(np.float32(x + columns)), float(np.float32(y + rows)), w, h)
        else:
            self.points = (self.points + np.array([columns, rows], np.float32)).astype(np.float32)

    def rotate(self, degrees: float, x: float, y: float) -> None:
        """Clockwise on the screen; a rectangle or oval becomes a closed polygon."""
        if self.locked or self.itype == ToolMode.BRUSH or not self._as_polygon():
            return
        a = np.radians(degrees)
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        self.points = ((self.points - [x, y]) @ turn.T + [x, y]).astype(np.float32)

    def flip(self, axis: int) -> None:
        """Mirror about the centroid: axis 0 = left-right, 1 = up-down; a rectangle or oval becomes a polygon."""
        if self.locked:
            return
        if self.itype == ToolMode.BRUSH and self.texture is not None:
            self.texture = np.flip(self.texture, axis=1 - axis)
        elif self._as_polygon():
            points = self.points.copy()
            points[:, axis] = 2 * points[:, axis].mean() - points[:, axis]
            self.points = points

    def _as_polygon(self) -> bool:
        if self.itype in (ToolMode.RECTANGLE, ToolMode.OVAL):
            self.points, self.itype = self.service_points(), ToolMode.CLOSED_POLYGON
        return len(self.points) > 0

    def centroid(self) -> tuple[float, float]:
        if self.itype == ToolMode.BRUSH and self.texture is not None and self.texture.any():
            rows, columns = np.nonzero(self.texture)
            return float(columns.mean() + self.texture_xy[0]), float(rows.mean() + self.texture_xy[1])
        points = self.service_points()
        return (float(points[:, 0].mean()), float(points[:, 1].mean())) if len(points) else (0.0, 0.0)

    def area_px(self) -> float:
        """Pixels; 0 for what encloses nothing."""
        if self.itype == ToolMode.BRUSH:
            return 0.0 if self.texture is None else float(self.texture.sum())
        if self.itype in (ToolMode.OVAL, ToolMode.OVAL_ANGLE):
            return float(np.pi * self.rect[2] * self.rect[3])
        points = self.service_points().astype(float)
        if len(points) < 3 or self.itype not in (6, 10, 11, 15, 26, 27):
            return 0.0
        x, y = points.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

    def area_cm2(self) -> float:
        rows_mm, columns_mm = self.spacing or (self.pix.spacing_rows, self.pix.spacing_columns)
        return float(self.area_px() * rows_mm * columns_mm / 100.0)

    def map(self, rows: int, columns: int, pixel_centre: float = 0.5, *, exact: bool = False) -> npt.NDArray[np.bool_]:
        """DCMPixGetMapFromROI: exact for a brush, biased by about one pixel right and down for polygons."""
        if self.itype == ToolMode.BRUSH:
            return self._brush_map(rows, columns)
        return (exact_map if exact else polygon_map)(self.service_points(), rows, columns, pixel_centre)

    def covered(self, rows: int, columns: int, pixel_centre: float = 0.5) -> npt.NDArray[np.bool_]:
        """The pixels that values are taken from: a point's own, a brush's, a polygon's with its border."""
        if self.itype == ToolMode.BRUSH:
            return self._brush_map(rows, columns)
        points = self.service_points()
        if len(points) != 1:
            return filled(points, rows, columns, pixel_centre)
        full = np.zeros((rows, columns), np.bool_)
        ((x, y),) = whole_pixels(points, pixel_centre)
        if 0 <= y < rows and 0 <= x < columns:
            full[y, x] = True
        return full

    def _brush_map(self, rows: int, columns: int) -> npt.NDArray[np.bool_]:
        full = np.zeros((rows, columns), np.bool_)
        if self.texture is not None:
            x, y = self.texture_xy
            h, w = self.texture.shape
            r0, r1, c0, c1 = max(y, 0), min(y + h, rows), max(x, 0), min(x + w, columns)
            if r1 > r0 and c1 > c0:
                full[r0:r1, c0:c1] = self.texture[r0 - y : r1 - y, c0 - x : c1 - x]
        return full

    def _brush_outline(self) -> FloatArray:
        """Largest region only, at most about 100 points, no holes, in pixel-index coordinates (as OsiriX does)."""
        if self.texture is None or not self.texture.any():
            return np.zeros((0, 2), np.float32)
        labels, count = ndimage.label(self.texture)
        largest = labels == 1 + int(np.argmax(ndimage.sum_labels(self.texture, labels, range(1, count + 1))))
        line = max(find_contours(np.pad(largest, 1).astype(float), 0.5), key=len)[:-1] - 1
        line = line[:: max(1, len(line) // 100 + 1)]
        return (line[:, ::-1] + self.texture_xy).astype(np.float32)

"""The back door: what the clinician does with mouse and keyboard, as Python calls (not gRPC).

Coordinates are OsiriX ROI coordinates of the slice: x = column, y = row, pixel centres at .5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from osirix_agent.virtual_osirix.app import Viewer, VirtualOsirix
from osirix_agent.virtual_osirix.roi import Roi, ToolMode

PointXY = tuple[float, float]


class Clinician:
    """Acts on one viewer of a `VirtualOsirix`, on its current slice unless a slice is given."""

    def __init__(self, app: VirtualOsirix, viewer: Viewer | None = None) -> None:
        self.app = app
        self.viewer = viewer or app.viewers[0]

    # -- drawing ---------------------------------------------------------------------------------------------
    def point(self, xy: PointXY, *, name: str | None = None, k: int | None = None) -> Roi:
        return self._draw(Roi(ToolMode.POINT, "", None, rect=(*_f32(xy), 0.0, 0.0)), name, k, "Point")

    def box(self, corner: PointXY, size: tuple[float, float], *, name: str | None = None, k: int | None = None) -> Roi:
        """A rectangle; size is (width, height)."""
        return self._draw(Roi(ToolMode.RECTANGLE, "", None, rect=(*_f32(corner), *_f32(size))), name, k)

    def oval(self, centre: PointXY, radii: PointXY, *, name: str | None = None, k: int | None = None) -> Roi:
        return self._draw(Roi(ToolMode.OVAL, "", None, rect=(*_f32(centre), *_f32(radii))), name, k)

    def polygon(self, points: Sequence[PointXY], *, name: str | None = None, k: int | None = None) -> Roi:
        return self._draw(_pointed(ToolMode.CLOSED_POLYGON, points), name, k)

    def open_polygon(self, points: Sequence[PointXY], *, name: str | None = None, k: int | None = None) -> Roi:
        return self._draw(_pointed(ToolMode.OPEN_POLYGON, points), name, k)

    def pencil(self, points: Sequence[PointXY], *, name: str | None = None, k: int | None = None) -> Roi:
        return self._draw(_pointed(ToolMode.PENCIL, points), name, k)

    def text(self, xy: PointXY, words: str, *, k: int | None = None) -> Roi:
        return self._draw(Roi(ToolMode.TEXT, "", None, rect=(*_f32(xy), 40.0, 12.0)), words, k)

    def measure(self, points: Sequence[PointXY], *, name: str | None = None, k: int | None = None) -> Roi:
        return self._draw(_pointed(ToolMode.MEASURE, points), name, k)

    def brush(
        self,
        mask: npt.NDArray[np.bool_],
        corner: tuple[int, int] = (0, 0),
        *,
        name: str | None = None,
        k: int | None = None,
    ) -> Roi:
        """Paint: `mask` (rows, columns) with its upper left pixel at column, row `corner`."""
        return self._draw(Roi(ToolMode.BRUSH, "", None, texture=mask.copy(), texture_xy=corner), name, k)

    def start_polygon(self, point: PointXY, *, name: str | None = None, k: int | None = None) -> Roi:
        """The first vertex of a polygon drawn click by click: it can be read while it is half done."""
        roi = self._draw(_pointed(ToolMode.CLOSED_POLYGON, [point]), name, k)
        roi.drawing = True
        return roi

    def add_vertex(self, roi: Roi, point: PointXY) -> None:
        with self.app.main_thread:
            roi.points = np.vstack([roi.points, np.array([point], np.float32)])

    def finish(self, roi: Roi) -> None:
        with self.app.main_thread:
            roi.drawing = False

    # -- changing --------------------------------------------------------------------------------------------
    def move(self, roi: Roi, columns: float, rows: float) -> None:
        with self.app.main_thread:
            roi.move(columns, rows)

    def move_vertex(self, roi: Roi, vertex: int, to: PointXY) -> None:
        with self.app.main_thread:
            roi.points = roi.points.copy()
            roi.points[vertex] = _f32(to)

    def paint_more(self, roi: Roi, rows: slice, columns: slice, value: bool = True) -> None:
        """Repaint part of a brush ROI, in its own texture coordinates."""
        with self.app.main_thread:
            assert roi.texture is not None
            roi.texture = roi.texture.copy()
            roi.texture[rows, columns] = value

    def rename(self, roi: Roi, name: str) -> None:
        with self.app.main_thread:
            roi.set_name(name)

    def recolour(self, roi: Roi, color: tuple[int, int, int]) -> None:
        with self.app.main_thread:
            roi.color = color
            self.app.leak_style(roi)

    def select(self, *rois: Roi) -> None:
        """These of the displayed slice, and no others."""
        with self.app.main_thread:
            for roi in self.viewer.current_rois:
                roi.selected = any(roi is one for one in rois)

    def delete(self, roi: Roi) -> None:
        with self.app.main_thread:
            self.app.delete_roi(roi)

    # -- the viewer ------------------------------------------------------------------------------------------
    def scroll_to(self, k: int) -> None:
        with self.app.main_thread:
            self.viewer.show(int(np.clip(k, 0, len(self.viewer.pixes[0]) - 1)))
            self.viewer.slider = self.viewer.displayed_index
            self.app.follow(self.viewer)

    def flip(self) -> None:
        with self.app.main_thread:
            self.viewer.flipped = not self.viewer.flipped
            self.viewer.slider = self.viewer.displayed_index

    def window(self, level: float, width: float) -> None:
        with self.app.main_thread:
            self.viewer.wlww = (level, width)

    def close(self) -> None:
        with self.app.main_thread:
            self.app.close_viewer(self.viewer)

    @contextmanager
    def modal_dialog(self) -> Iterator[None]:
        """While open, the main thread answers nothing."""
        with self.app.main_thread:
            yield

    # -- looking ---------------------------------------------------------------------------------------------
    def rois(self, k: int | None = None) -> list[Roi]:
        with self.app.main_thread:
            return [r for _, slice_, r in self.viewer.all_rois() if k is None or slice_ == k]

    def find(self, name: str, k: int | None = None) -> list[Roi]:
        return [roi for roi in self.rois(k) if roi.name == name]

    def _draw(self, roi: Roi, name: str | None, k: int | None, kind: str = "ROI") -> Roi:
        with self.app.main_thread:
            slices = self.viewer.rois[self.viewer.movie_index]
            k = self.viewer.index if k is None else k
            if k != self.viewer.index:
                self.scroll_to(k)
            pen = self.app.pen_for(roi.itype)
            roi.color, roi.thickness, roi.opacity = pen.color, pen.thickness, pen.opacity
            taken = {r.name for rois in slices for r in rois}
            numbers = (n for n in range(1, len(taken) + 2) if f"{kind} {n}" not in taken)
            roi.set_name(name if name is not None else f"{kind} {next(numbers)}")
            roi.pix = self.viewer.pixes[self.viewer.movie_index][k]
            roi.spacing = (roi.pix.spacing_rows, roi.pix.spacing_columns)
            for other in slices[k]:
                other.selected = other.modifying = False
            roi.selected = True
            slices[k].append(roi)
            return roi


def _pointed(itype: int, points: Sequence[PointXY]) -> Roi:
    return Roi(itype, "", None, points=np.array(points, np.float32).reshape(-1, 2))


def _f32(pair: tuple[float, float]) -> tuple[float, float]:
    return float(np.float32(pair[0])), float(np.float32(pair[1]))

"""The state of the application: viewers, slices, ROIs, the uid cache, the one lock that stands for the main thread."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.virtual_osirix.folder import ImageFile, SeriesFiles, StudyFiles, files_of, merge, read_files, stack_of
from osirix_agent.virtual_osirix.pix import Pix, pixes_of
from osirix_agent.virtual_osirix.roi import Pen, Roi, factory_pens, style_pool, thickness_pool


@dataclass(eq=False)
class Viewer:
    """One 2D viewer window: slices and ROIs by movie frame and slice, in data order.

    Attributes
    ----------
    index : int
        Displayed slice (data order).
    slider : int
        Where the slider stands (display order); SetIdx leaves it behind.
    made_here : bool
        A copy or a resampled series: its ROIs are not saved.
    """

    series: SeriesFiles
    pixes: list[list[Pix]]
    rois: list[list[list[Roi]]]
    index: int = 0
    movie_index: int = 0
    flipped: bool = False
    wlww: tuple[float, float] = (40.0, 400.0)
    fused: Viewer | None = None
    redraws: int = 0
    slider: int = 0
    made_here: bool = False

    @property
    def current_pix(self) -> Pix:
        return self.pixes[self.movie_index][self.index]

    @property
    def current_rois(self) -> list[Roi]:
        return self.rois[self.movie_index][self.index]

    @property
    def displayed_index(self) -> int:
        count = len(self.pixes[self.movie_index])
        return count - 1 - self.index if self.flipped else self.index

    def show(self, index: int) -> None:
        """Display a slice: selection and what was being drawn on the one left behind end."""
        for roi in self.current_rois:
            roi.selected = roi.drawing = roi.modifying = False
        self.index = index
        for roi in self.current_rois:
            roi.seen = True

    def redraw(self) -> None:
        self.redraws += 1
        for roi in self.current_rois:
            roi.seen = True

    def all_rois(self) -> list[tuple[int, int, Roi]]:
        """(movie frame, slice, ROI) of every ROI."""
        return [(t, k, roi) for t, slices in enumerate(self.rois) for k, rois in enumerate(slices) for roi in rois]


class Unavailable(Exception):
    """A hook raises it to break a call: the client sees UNAVAILABLE."""


@dataclass(frozen=True)
class PersistedRoi:
    """An ROI as it is written to the patient database when a viewer closes."""

    movie_index: int
    slice_index: int
    roi: Roi


@dataclass(eq=False)
class VolumeWindow:
    """A 3D window (a VRController) of a 2D viewer."""

    viewer: Viewer
    wlww: tuple[float, float]
    rendering_mode: str = "VR"


@dataclass(eq=False)
class VirtualOsirix:
    """The running application.

    Every RPC and every act of the clinician holds `main_thread`, as OsiriX's UI thread serialises both.

    Attributes
    ----------
    strict : bool
        An Objective-C exception ends the application, as it does the real one.
    pixel_centre : float
        ROI coordinate of the centre of pixel (0, 0) in this OsiriX; another one than 0.5 to see what notices it.
    exact_maps : bool
        Polygon maps without their shift.
    selection : list or None
        Studies and series marked in the database window; None: the first study.
    database_folder : Path or None
        Where files that a client hands over are copied to; None: a temporary folder.
    """

    version: str = "14.1.2"
    bundle_name: str = "OsiriX MD"
    strict: bool = True
    pixel_centre: float = 0.5
    exact_maps: bool = False
    studies: list[StudyFiles] = field(default_factory=list)
    selection: list[StudyFiles | SeriesFiles] | None = None
    database_folder: Path | None = None
    viewers: list[Viewer] = field(default_factory=list)
    volume_windows: list[VolumeWindow] = field(default_factory=list)
    pens: dict[str, Pen] = field(default_factory=factory_pens)
    persisted: dict[str, list[PersistedRoi]] = field(default_factory=dict)
    main_thread: threading.RLock = field(default_factory=threading.RLock)
    rpc_counts: Counter[str] = field(default_factory=Counter)
    before_rpc: Callable[[str], None] | None = None
    after_rpc: Callable[[str], None] | None = None
    launches: int = 1
    crashed: bool = False
    on_crash: Callable[[], None] | None = None
    _uid_of: dict[int, str] = field(default_factory=dict)
    _object_of: dict[str, Any] = field(default_factory=dict)

    # -- uid cache -------------------------------------------------------------------------------------------
    def uid(self, thing: Any) -> str:
        """Upper-case UUID of a live object: the same object keeps it while cached."""
        known = self._uid_of.get(id(thing))
        if known is None:
            known = str(uuid.uuid4()).upper()
            self._uid_of[id(thing)] = known
            self._object_of[known] = thing
        return known

    def object(self, uid: str, kind: type) -> Any | None:
        thing = self._object_of.get(uid)
        return thing if isinstance(thing, kind) else None

    def cached_uids(self) -> list[str]:
        return list(self._object_of)

    def cached_object(self, uid: str) -> Any | None:
        return self._object_of.get(uid)

    def forget(self, thing: Any) -> None:
        uid = self._uid_of.pop(id(thing), None)
        if uid is not None:
            self._object_of.pop(uid, None)

    # -- database and viewers --------------------------------------------------------------------------------
    def import_folder(self, folder: Path) -> list[StudyFiles]:
        return self.import_files(files_of(folder))

    def import_files(self, paths: list[Path], *, images_only: bool = True) -> list[StudyFiles]:
        """The studies that these files belong to; what the database already holds is not added again.

        Raises
        ------
        DicomError
            No image among them.
        """
        return merge(self.studies, read_files(paths, images_only=images_only))

    def open_folder(self, folder: Path) -> list[Viewer]:
        """Import a folder and open one viewer per series; the last one opened is frontmost."""
        return [self.open_series(series) for study in self.import_folder(folder) for series in study.series]

    def open_series(self, series: SeriesFiles) -> Viewer:
        return self.open_images(stack_of(series))

    def open_images(self, frames: list[list[ImageFile]]) -> Viewer:
        """A viewer of these images (movie frames of slices), with the ROIs kept from an earlier closing."""
        pixes = [[pix for image in images for pix in pixes_of(image)] for images in frames]
        viewer = Viewer(frames[0][0].series, pixes, [[[] for _ in slices] for slices in pixes])
        viewer.wlww = _window(viewer.series)
        viewer.index = viewer.slider = len(pixes[0]) // 2
        for kept in self.persisted.get(viewer.series.uid, []):
            roi = _copy(kept.roi)
            roi.pix = viewer.pixes[kept.movie_index][kept.slice_index]
            viewer.rois[kept.movie_index][kept.slice_index].append(roi)
        self.viewers.insert(0, viewer)
        return viewer

    def close_viewer(self, viewer: Viewer) -> None:
        """Close a window with its 3D windows: its ROIs go to the patient database, its uids die."""
        if not viewer.made_here:
            self.persisted[viewer.series.uid] = [PersistedRoi(t, k, _copy(roi)) for t, k, roi in viewer.all_rois()]
        self.viewers.remove(viewer)
        for other in self.viewers:
            other.fused = None if other.fused is viewer else other.fused
        for window in [w for w in self.volume_windows if w.viewer is viewer]:
            self.volume_windows.remove(window)
            self.forget(window)
        for _, _, roi in viewer.all_rois():
            self.forget(roi)
        for pix in (pix for slices in viewer.pixes for pix in slices):
            self.forget(pix)
        self.forget(viewer)

    def follow(self, leader: Viewer) -> None:
        """The other viewers of the study go to the slice nearest to the one that `leader` shows."""
        normal = np.cross(leader.current_pix.row_cosines, leader.current_pix.column_cosines)
        for other in self.viewers:
            if other is leader or other.series.study is not leader.series.study:
                continue
            away = [abs((pix.origin - leader.current_pix.origin) @ normal) for pix in other.pixes[other.movie_index]]
            nearest = int(np.argmin(away))
            if nearest != other.index:
                other.show(nearest)
                other.slider = other.displayed_index

    def viewer_of(self, roi: Roi) -> tuple[Viewer, list[Roi]] | None:
        for viewer in self.viewers:
            for slices in viewer.rois:
                for rois in slices:
                    if any(r is roi for r in rois):
                        return viewer, rois
        return None

    def delete_roi(self, roi: Roi) -> None:
        held = self.viewer_of(roi)
        if held is not None:
            held[1][:] = [r for r in held[1] if r is not roi]
        self.forget(roi)

    def leak_style(self, roi: Roi) -> None:
        """Setting a style also sets the pen of that class."""
        pool, wide = style_pool(roi.itype), thickness_pool(roi.itype)
        self.pens[pool] = replace(self.pens[pool], color=roi.color, opacity=roi.opacity)
        self.pens[wide] = replace(self.pens[wide], thickness=roi.thickness)

    def pen_for(self, itype: int) -> Pen:
        return replace(self.pens[style_pool(itype)], thickness=self.pens[thickness_pool(itype)].thickness)

    def fail(self) -> None:
        """An Objective-C exception on the main thread: the end of a strict application."""
        if self.strict:
            self.crash()

    def crash(self) -> None:
        """The application is gone."""
        self.crashed = True
        if self.on_crash is not None:
            self.on_crash()

    def quit(self) -> None:
        """Every window is closed first, so its ROIs are saved."""
        for viewer in list(self.viewers):
            self.close_viewer(viewer)
        self.crash()

    def relaunch(self) -> None:
        """Start again after a crash or quit: the database is there, no window is open, every uid is a new one."""
        self.viewers.clear()
        self.volume_windows.clear()
        self._uid_of.clear()
        self._object_of.clear()
        self.crashed = False
        self.launches += 1


def _window(series: SeriesFiles) -> tuple[float, float]:
    header = series.header
    centre, width = header.get("WindowCenter"), header.get("WindowWidth")
    if centre is not None and width is not None:
        first = [v[0] if isinstance(v, (list, tuple)) or hasattr(v, "append") else v for v in (centre, width)]
        return float(first[0]), float(first[1])
    if series.modality == "CT":
        return 40.0, 400.0
    values = series.images[len(series.images) // 2].frames()
    low, high = np.percentile(values, [1, 99.5])
    return float(low + high) / 2, max(1e-3, float(high - low))


def _copy(roi: Roi) -> Roi:
    return Roi(
        roi.itype, roi.name, None, roi.points.copy(), roi.rect,
        None if roi.texture is None else roi.texture.copy(), roi.texture_xy,
        roi.color, roi.thickness, roi.opacity, spacing=roi.spacing, comment=roi.comment,
    )  # fmt: skip

"""One displayed slice: pixels and where they lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.virtual_osirix.folder import ImageFile


@dataclass(eq=False)
class Pix:
    """One displayed slice (a DCMPix): pixels are a copy, so edits stay in the viewer."""

    source: ImageFile
    frame: int
    image: npt.NDArray[Any]
    origin: npt.NDArray[np.float32]
    row_cosines: npt.NDArray[np.float32]
    column_cosines: npt.NDArray[np.float32]
    spacing_rows: float
    spacing_columns: float
    payload: bytes | None = None  # the serialised DCMPixImage answer

    @property
    def is_rgb(self) -> bool:
        return self.image.ndim == 3

    @property
    def rows(self) -> int:
        return int(self.image.shape[0])

    @property
    def columns(self) -> int:
        return int(self.image.shape[1])

    @property
    def slice_location(self) -> float:
        """OsiriX's own: the slice's centre along the axis that the normal is closest to, mm."""
        normal = np.cross(self.row_cosines, self.column_cosines)
        centre = (
            self.origin
            + (self.columns // 2) * self.spacing_columns * self.row_cosines
            + (self.rows // 2) * self.spacing_rows * self.column_cosines
        )
        return float(np.float32(centre[int(np.argmax(np.abs(normal)))]))

    def copy(self) -> Pix:
        """Its own pixels, of the same file."""
        return replace(self, image=self.image.copy(), payload=None)


def pixes_of(image: ImageFile) -> list[Pix]:
    """One Pix per frame of the file."""
    frames = image.frames()
    return [
        Pix(image, n, frame, *_frame_geometry(image.header, n), *_spacing(image.header, n))
        for n, frame in enumerate(frames)
    ]


def _functional_group(header: Any, frame: int, name: str) -> Any | None:
    for groups in (
        header.get("PerFrameFunctionalGroupsSequence"),
        header.get("SharedFunctionalGroupsSequence"),
    ):
        if groups:
            group = groups[frame if len(groups) > 1 else 0]
            if group.get(name):
                return group[name].value[0]
    return None


def _frame_geometry(header: Any, frame: int) -> tuple[Any, Any, Any]:
    plane = _functional_group(header, frame, "PlanePositionSequence") or header
    turned = _functional_group(header, frame, "PlaneOrientationSequence") or header
    position = plane.get("ImagePositionPatient") or (0, 0, 0)
    orientation = turned.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)
    return (
        np.array(position, np.float32),
        np.array(orientation[:3], np.float32),
        np.array(orientation[3:], np.float32),
    )


def _spacing(header: Any, frame: int) -> tuple[float, float]:
    measures = _functional_group(header, frame, "PixelMeasuresSequence") or header
    spacing = measures.get("PixelSpacing") or (0.0, 0.0)
    return float(spacing[0]), float(spacing[1])

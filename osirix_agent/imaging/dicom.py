"""DICOM in: headers of image files, and reference contours from RTSTRUCT and SEG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from osirix_agent.errors import DicomError
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.geometry import Geometry

PLANE_TOLERANCE = 0.45  # of the slice step: a contour plane further from every slice is another series'


@dataclass(frozen=True)
class ImageHeader:
    """What the viewer's service does not tell about an image."""

    series_uid: str
    sop_uid: str
    frame_of_reference_uid: str | None


@dataclass(frozen=True, eq=False)
class Truth:
    """A reference structure on the grid of a geometry.

    Attributes
    ----------
    name : str
    mask : (k, j, i) bool
    """

    name: str
    mask: npt.NDArray[np.bool_]


def read_image_header(path: Path) -> ImageHeader:
    """Identity and frame of reference of a DICOM image file.

    Raises
    ------
    DicomError
        The file cannot be read (on another machine, moved, not DICOM).
    """
    try:
        ds = pydicom.dcmread(path, specific_tags=["SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"])
    except (OSError, InvalidDicomError, EOFError):
        raise DicomError(
            "The DICOM file behind a slice cannot be read from here.",
            "Run the agent on the machine that holds the OsiriX database.",
        ) from None
    frame = ds.get("FrameOfReferenceUID")
    return ImageHeader(
        str(ds.get("SeriesInstanceUID", "")), str(ds.get("SOPInstanceUID", "")), str(frame) if frame else None
    )


def find_truths(folder: Path, geometry: Geometry, frame_of_reference_uid: str | None, series_uid: str) -> list[Truth]:
    """Every structure of the RTSTRUCT and SEG files below `folder` that was drawn on this grid.

    A file counts when it names the series, or shares its frame of reference and lies on its slices.
    """
    truths: list[Truth] = []
    for ds in _structure_files(folder):
        if ds.Modality == "RTSTRUCT":
            if _names_series(ds, series_uid):
                truths += _rtstruct_truths(ds, geometry, frame_of_reference_uid)
        elif str(ds.get("FrameOfReferenceUID", "")) == (frame_of_reference_uid or ""):
            truths += _seg_truths(ds, geometry)
    return [truth for truth in truths if truth.mask.any()]


def _structure_files(folder: Path) -> Iterator[Dataset]:
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        try:
            head = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
        except (InvalidDicomError, OSError, EOFError):
            continue
        if head.get("Modality") in {"RTSTRUCT", "SEG"}:
            yield pydicom.dcmread(path)


def _names_series(ds: Dataset, series_uid: str) -> bool:
    named = {
        str(series.SeriesInstanceUID)
        for frame in ds.get("ReferencedFrameOfReferenceSequence", [])
        for study in frame.get("RTReferencedStudySequence", [])
        for series in study.get("RTReferencedSeriesSequence", [])
    }
    return not named or series_uid in named


def _rtstruct_truths(ds: Dataset, geometry: Geometry, frame_uid: str | None) -> list[Truth]:
    names = {int(roi.ROINumber): roi for roi in ds.get("StructureSetROISequence", [])}
    truths = []
    for item in ds.get("ROIContourSequence", []):
        roi = names.get(int(item.ReferencedROINumber))
        if roi is None or (frame_uid and str(roi.get("ReferencedFrameOfReferenceUID", frame_uid)) != frame_uid):
            continue
        rings: dict[int, list[npt.NDArray[np.float64]]] = {}
        for contour in item.get("ContourSequence", []):
            if str(contour.ContourGeometricType) != "CLOSED_PLANAR":
                continue
            kji = geometry.to_kji(np.array(contour.ContourData, float).reshape(-1, 3))
            k = float(kji[:, 0].mean())
            if abs(k - round(k)) <= PLANE_TOLERANCE and 0 <= round(k) < geometry.shape_kji[0]:
                rings.setdefault(round(k), []).append(kji[:, 1:])
        mask = np.zeros(geometry.shape_kji, np.bool_)
        for k, held in rings.items():
            mask[k] = fill(held, geometry.shape_kji[1:])
        truths.append(Truth(str(roi.ROIName), mask))
    return truths


def _seg_truths(ds: Dataset, geometry: Geometry) -> list[Truth]:
    frames = ds.pixel_array
    frames = frames[None] if frames.ndim == 2 else frames
    shared = ds.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in ds else Dataset()
    labelmap = str(ds.get("SegmentationType", "BINARY")) == "LABELMAP"
    labels = {int(s.SegmentNumber): str(s.get("SegmentLabel", s.SegmentNumber)) for s in ds.SegmentSequence}
    masks = {n: np.zeros(geometry.shape_kji, np.bool_) for n in labels if n != 0}
    for groups, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        position = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
        turned = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
        spacing = _group(groups, shared, "PixelMeasuresSequence").PixelSpacing
        target = _frame_slice(geometry, frame.shape, position, turned, spacing)
        if target is None:
            continue
        if labelmap:
            for number, mask in masks.items():
                mask[target] |= frame == number
        else:
            number = int(_group(groups, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
            masks[number][target] |= frame.astype(bool)
    return [Truth(labels[number], mask) for number, mask in masks.items()]


def _group(per_frame: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group of a frame, its own or the shared one."""
    held = per_frame.get(name) or shared.get(name)
    if not held:
        raise DicomError(f"The segmentation file lacks its {name}.", "Export it again from where it was made.")
    return held[0]


def _frame_slice(
    geometry: Geometry,
    shape: tuple[int, ...],
    position: npt.ArrayLike,
    turned: npt.ArrayLike,
    spacing: npt.ArrayLike,
) -> int | None:
    """Slice index of a SEG frame on exactly this in-plane grid; None if it lies on another grid."""
    cosines = np.array(turned, float)
    steps = np.array(spacing, float)
    corners = np.array(position, float) + np.array(
        [np.zeros(3), cosines[3:] * steps[0] * (shape[0] - 1) + cosines[:3] * steps[1] * (shape[1] - 1)]
    )
    kji = geometry.to_kji(corners)
    expected = np.array([[0.0, 0.0], [geometry.shape_kji[1] - 1.0, geometry.shape_kji[2] - 1.0]])
    k = float(kji[:, 0].mean())
    fits = np.abs(kji[:, 1:] - expected).max() < 0.1 and abs(k - round(k)) < PLANE_TOLERANCE
    return round(k) if fits and 0 <= round(k) < geometry.shape_kji[0] else None

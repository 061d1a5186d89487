"""What an RTSTRUCT or SEG draws on a grid: closed rings by slice, and what of it cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from osirix_agent.errors import DicomError
from osirix_agent.imaging.contour import FloatArray, fill
from osirix_agent.imaging.geometry import Geometry

PLANE_TOLERANCE = 0.45  # of the slice step: a contour plane further from every slice is another series'
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(eq=False)
class DrawnStructure:
    """One ROI of an RTSTRUCT.

    Attributes
    ----------
    rings_ji : slice to its rings (row, column), even-odd
    left_out : why contours were left out, and how many
    """

    name: str
    rings_ji: dict[int, list[FloatArray]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def mask(self, shape_kji: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool."""
        found = np.zeros(shape_kji, np.bool_)
        for k, rings in self.rings_ji.items():
            found[k] = fill(rings, shape_kji[1:])
        return found


def drawn_rois(ds: Dataset, geometry: Geometry, frame_uid: str | None) -> list[DrawnStructure]:
    """Every ROI of an RTSTRUCT in the frame of reference, those without a usable contour too."""
    named = {int(roi.ROINumber): roi for roi in ds.get("StructureSetROISequence") or []}
    found = []
    for item in ds.get("ROIContourSequence") or []:
        roi = named.get(int(item.ReferencedROINumber))
        if roi is None or (frame_uid and str(roi.get("ReferencedFrameOfReferenceUID", frame_uid)) != frame_uid):
            continue
        structure = DrawnStructure(str(roi.ROIName))
        for contour in item.get("ContourSequence") or []:
            _take(structure, contour, geometry)
        found.append(structure)
    return found


def _take(structure: DrawnStructure, contour: Dataset, geometry: Geometry) -> None:
    points = np.array(contour.get("ContourData") or [], float)
    if str(contour.get("ContourGeometricType", "")) not in CLOSED or points.size < 9 or points.size % 3:
        structure.left_out["open, or a mere point"] += 1
        return
    kji = geometry.to_kji(points.reshape(-1, 3))
    k = float(kji[:, 0].mean())
    if np.ptp(kji[:, 0]) > 2 * PLANE_TOLERANCE:
        structure.left_out["not in the plane of a slice"] += 1
    elif abs(k - round(k)) > PLANE_TOLERANCE or not 0 <= round(k) < geometry.shape_kji[0]:
        structure.left_out["not on a slice"] += 1
    else:
        rings, ring = structure.rings_ji.setdefault(round(k), []), kji[:, 1:]
        if any(_same(ring, other) for other in rings):  # even-odd, the two would cancel out
            structure.left_out["drawn twice"] += 1
        else:
            rings.append(ring)


def _same(one: FloatArray, other: FloatArray) -> bool:
    """Do two rings hold the same pixels, and any at all?"""
    low, high = np.minimum(one.min(0), other.min(0)), np.maximum(one.max(0), other.max(0))
    if np.abs(one.min(0) - other.min(0)).max() > 1 or np.abs(one.max(0) - other.max(0)).max() > 1:
        return False
    corner = np.floor(low)
    rows, columns = (int(n) for n in np.ceil(high - corner) + 1)
    a, b = (fill([ring - corner], (rows, columns)) for ring in (one, other))
    return bool(a.any()) and np.array_equal(a, b)


@dataclass(frozen=True, eq=False)
class DrawnSegment:
    """One segment of a SEG: a mask (k, j, i), and how many of the file's frames lie elsewhere."""

    name: str
    mask: npt.NDArray[np.bool_]
    left_out: int = 0


def drawn_segments(ds: Dataset, geometry: Geometry) -> list[DrawnSegment]:
    """Every segment, as far as its frames lie on the grid; of fractions those of one half or more.

    Raises
    ------
    DicomError
        The file lacks what says where its frames lie.
    """
    frames = ds.pixel_array
    frames = frames[None] if frames.ndim == 2 else frames
    if str(ds.get("SegmentationType", "BINARY")) == "FRACTIONAL":
        frames = 2 * frames.astype(np.uint16) >= int(ds.get("MaximumFractionalValue", 255))
    shared = ds.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in ds else Dataset()
    labelmap = str(ds.get("SegmentationType", "BINARY")) == "LABELMAP"
    labels = {int(s.SegmentNumber): str(s.get("SegmentLabel", s.SegmentNumber)) for s in ds.SegmentSequence}
    masks = {n: np.zeros(geometry.shape_kji, np.bool_) for n in labels if n != 0}
    elsewhere = 0
    for groups, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        position = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
        turned = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
        spacing = _group(groups, shared, "PixelMeasuresSequence").PixelSpacing
        target = _frame_slice(geometry, frame.shape, position, turned, spacing)
        if target is None:
            elsewhere += 1
            continue
        if labelmap:
            for number, mask in masks.items():
                mask[target] |= frame == number
        else:
            number = int(_group(groups, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
            masks[number][target] |= frame.astype(bool)
    return [DrawnSegment(labels[number], mask, elsewhere) for number, mask in masks.items()]


def series_named(ds: Dataset) -> set[str]:
    """Series Instance UIDs that an RTSTRUCT says it was drawn on."""
    return {
        str(series.SeriesInstanceUID)
        for frame in ds.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
    }


def frames_named(ds: Dataset) -> set[str]:
    """Frames of reference that an RTSTRUCT or SEG lives in."""
    found: Iterable[object] = [
        *(frame.get("FrameOfReferenceUID") for frame in ds.get("ReferencedFrameOfReferenceSequence") or []),
        *(roi.get("ReferencedFrameOfReferenceUID") for roi in ds.get("StructureSetROISequence") or []),
    ] or [ds.get("FrameOfReferenceUID")]
    return {str(uid) for uid in found if uid}


def _group(per_frame: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group of a frame, its own or the shared one."""
    held = per_frame.get(name) or shared.get(name)
    if not held:
        raise DicomError(f"The segmentation file lacks its {name}.", "Export it again from where it was made.")
    return held[0]


def _frame_slice(
    geometry: Geometry, shape: Sequence[int], position: npt.ArrayLike, turned: npt.ArrayLike, spacing: npt.ArrayLike
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

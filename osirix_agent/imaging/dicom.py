"""DICOM in: headers of image files, and reference contours from RTSTRUCT and SEG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from osirix_agent.errors import DicomError, UnsupportedSeriesError
from osirix_agent.imaging.contour import isocontour
from osirix_agent.imaging.drawn import (
    DrawnSegment,
    DrawnStructure,
    drawn_rois,
    drawn_segments,
    frames_named,
    series_named,
)
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume

STRUCTURES = ("RTSTRUCT", "SEG")
HEAD_TAGS = [
    "Modality", "PatientID", "SeriesInstanceUID", "FrameOfReferenceUID", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
]  # fmt: skip


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


@dataclass(frozen=True, eq=False)
class ContouredSeries:
    """An image series with what one RTSTRUCT or SEG file draws on it.

    Attributes
    ----------
    patient : str
        Patient ID as stored: for telling patients apart, not for showing.
    truths : tuple of Truth
        Those with voxels.
    """

    patient: str
    volume: Volume
    truths: tuple[Truth, ...]


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
    return [
        truth for head in _heads(folder) if head.get("Modality") in STRUCTURES
        for truth in _truths(pydicom.dcmread(str(head.filename)), geometry, frame_of_reference_uid, series_uid)
    ]  # fmt: skip


def read_drawn(
    path: Path, geometry: Geometry, frame_of_reference_uid: str | None, series_uid: str
) -> list[DrawnStructure]:
    """What one RTSTRUCT or SEG file draws on a series, and what of it had to be left out.

    Raises
    ------
    DicomError
        It is no such file, or was drawn on something else.
    """
    try:
        ds = pydicom.dcmread(path)
    except (OSError, InvalidDicomError, EOFError):
        raise DicomError("The file of contours cannot be read.", "Give a DICOM RTSTRUCT or SEG file.") from None
    if ds.get("Modality") not in STRUCTURES:
        raise DicomError(f"The file holds no contours but {ds.get('Modality', 'something else')}.",
                         "Give a DICOM RTSTRUCT or SEG file.")  # fmt: skip
    frames = frames_named(ds)
    if frame_of_reference_uid is None or (frames and frame_of_reference_uid not in frames):
        raise DicomError(
            "The contours have another frame of reference than the series, so their place on it is not known.",
            "Give contours that were drawn on this series.",
        )
    if ds.Modality == "RTSTRUCT":
        if not _drawn_on(ds, frame_of_reference_uid, series_uid):
            raise DicomError("The contours were drawn on another series.", "Open that one, or give this one's.")
        found = drawn_rois(ds, geometry, frame_of_reference_uid)
    else:
        found = [_outlined(segment) for segment in drawn_segments(ds, geometry)]
    if not any(one.rings_ji for one in found):
        raise DicomError(
            "No contour of the file lies on the slices of the series.", "Give contours that were drawn on this series."
        )
    return found


def _outlined(segment: DrawnSegment) -> DrawnStructure:
    rings = {k: list(isocontour(plane, 0.5)) for k, plane in enumerate(segment.mask) if plane.any()}
    return DrawnStructure(
        segment.name, rings, Counter({"on another grid": segment.left_out} if segment.left_out else {})
    )


def read_contoured_series(folder: Path) -> Iterator[ContouredSeries]:
    """Every pair of an image series and an RTSTRUCT or SEG file drawn on it, below a folder, in the order of files.

    Raises
    ------
    DicomError
        There is no such pair.
    UnsupportedSeriesError
        There is none, for the only series that are named cannot be used.
    """
    images, drawn = _sorted_by_kind(folder)
    any_found, why = False, None
    for uid, heads in images.items():
        frame = str(heads[0].get("FrameOfReferenceUID", "")) or None
        if not any(_drawn_on(ds, frame, uid) for ds in drawn):
            continue
        try:
            volume = _read_volume(heads)
        except UnsupportedSeriesError as error:  # a scout among the rest
            why = error
            continue
        for ds in drawn:
            if truths := _truths(ds, volume.geometry, frame, uid):
                any_found = True
                yield ContouredSeries(str(heads[0].get("PatientID", "")), volume, tuple(truths))
    if not any_found:
        raise why or DicomError(
            "No DICOM series with contours was found in the folder.",
            "Give a folder that holds image series and an RTSTRUCT or SEG drawn on them.",
        )


def read_series(folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Volume]]:
    """Every usable image series below a folder whose Series Instance UID is wanted, with it.

    Raises
    ------
    UnsupportedSeriesError
        A series that is wanted cannot be used.
    """
    for uid, heads in _sorted_by_kind(folder)[0].items():
        if wanted(uid):
            yield uid, _read_volume(heads)


def _sorted_by_kind(folder: Path) -> tuple[dict[str, list[Dataset]], list[Dataset]]:
    """Headers of single slices by series; RTSTRUCT and SEG files, whole."""
    images: dict[str, list[Dataset]] = {}
    drawn: list[Dataset] = []
    for head in _heads(folder):
        if head.get("Modality") in STRUCTURES:
            drawn.append(pydicom.dcmread(str(head.filename)))
        elif "Rows" in head and "ImagePositionPatient" in head and int(head.get("NumberOfFrames") or 1) == 1:
            images.setdefault(str(head.get("SeriesInstanceUID", "")), []).append(head)
    return images, drawn


def _heads(folder: Path) -> Iterator[Dataset]:
    """Headers of the DICOM files below a folder, in the order of their paths."""
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        try:
            yield pydicom.dcmread(path, stop_before_pixels=True, specific_tags=HEAD_TAGS)
        except (InvalidDicomError, OSError, EOFError):
            continue


def _read_volume(heads: list[Dataset]) -> Volume:
    """A stack of single slices, sorted along their normal; values rescaled slice by slice, as PET needs."""
    import SimpleITK as sitk

    orientation = np.array(heads[0].ImageOrientationPatient, float)
    normal = np.cross(orientation[:3], orientation[3:])
    heads = sorted(heads, key=lambda head: float(np.array(head.ImagePositionPatient, float) @ normal))
    rows_mm, columns_mm = (float(v) for v in heads[0].get("PixelSpacing") or (0, 0))
    geometry = Geometry.from_slices(
        [head.ImagePositionPatient for head in heads], orientation[:3], orientation[3:], rows_mm, columns_mm,
        heads[0].Rows, heads[0].Columns,
    )  # fmt: skip
    slices = [sitk.GetArrayFromImage(sitk.ReadImage(str(head.filename))) for head in heads]  # GDCM rescales
    if {s.size for s in slices} != {geometry.shape_kji[1] * geometry.shape_kji[2]}:
        raise UnsupportedSeriesError(
            "The series has colours, or slices of several sizes.", "Leave it out, or export it again in grey values."
        )
    array = np.stack([s.reshape(geometry.shape_kji[1:]) for s in slices]).astype(np.float32)
    return Volume(array, geometry, str(heads[0].get("Modality", "OT")))


def _drawn_on(ds: Dataset, frame_uid: str | None, series_uid: str) -> bool:
    if ds.Modality == "RTSTRUCT":
        named = series_named(ds)
        return not named or series_uid in named
    return str(ds.get("FrameOfReferenceUID", "")) == (frame_uid or "")


def _truths(ds: Dataset, geometry: Geometry, frame_uid: str | None, series_uid: str) -> list[Truth]:
    """What a file draws on a series; only structures with voxels there."""
    if not _drawn_on(ds, frame_uid, series_uid):
        return []
    if ds.Modality == "RTSTRUCT":
        found = [Truth(one.name, one.mask(geometry.shape_kji)) for one in drawn_rois(ds, geometry, frame_uid)]
    else:
        found = [Truth(one.name, one.mask) for one in drawn_segments(ds, geometry)]
    return [truth for truth in found if truth.mask.any()]

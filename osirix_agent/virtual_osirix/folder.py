"""A DICOM folder as OsiriX's database would hold it: studies, series, images, decoded frames."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from osirix_agent.errors import DicomError

IMAGE_FREE_MODALITIES = {"RTSTRUCT", "RTPLAN", "RTDOSE", "SEG", "SR", "PR", "KO", "REG"}


@dataclass(eq=False)
class ImageFile:
    """One DICOM file with pixels (a DicomImage of the service)."""

    path: Path
    header: pydicom.Dataset
    series: SeriesFiles

    @property
    def frame_count(self) -> int:
        return int(self.header.get("NumberOfFrames") or 1)

    def decode(self) -> npt.NDArray[Any]:
        """Stored values: (frames, rows, columns) or (frames, rows, columns, 3); GDCM where pydicom needs help."""
        if self.header.file_meta.TransferSyntaxUID.is_compressed:
            return _decode_with_gdcm(self)
        pixels = pydicom.dcmread(self.path).pixel_array
        return pixels[None] if self.frame_count == 1 else pixels

    def frames(self) -> npt.NDArray[Any]:
        """As OsiriX holds them: float32 (frames, rows, columns) rescaled, or uint8 (..., 3) for colour."""
        pixels = self.decode()
        if pixels.ndim == 4:
            return pixels.astype(np.uint8)
        slope = np.float32(self.header.get("RescaleSlope", 1) or 1)
        intercept = np.float32(self.header.get("RescaleIntercept", 0) or 0)
        values = pixels.astype(np.float32)
        if slope != 1 or intercept != 0:
            values = values * slope + intercept
        return values


@dataclass(eq=False)
class SeriesFiles:
    uid: str
    study: StudyFiles
    images: list[ImageFile] = field(default_factory=list)

    @property
    def header(self) -> pydicom.Dataset:
        return self.images[0].header

    @property
    def modality(self) -> str:
        return str(self.header.get("Modality", "OT"))


@dataclass(eq=False)
class StudyFiles:
    uid: str
    series: list[SeriesFiles] = field(default_factory=list)
    added: datetime = field(default_factory=datetime.now)

    @property
    def images(self) -> list[ImageFile]:
        return [image for series in self.series for image in series.images]

    @property
    def header(self) -> pydicom.Dataset:
        return self.series[0].header


def files_of(folder: Path) -> list[Path]:
    return sorted(p for p in Path(folder).rglob("*") if p.is_file())


def read_files(paths: list[Path], *, images_only: bool = True) -> list[StudyFiles]:
    """Every series among these files, sorted as OsiriX sorts them; files that are no DICOM are passed over.

    Parameters
    ----------
    images_only : bool
        Pass over what no viewer opens (RTSTRUCT, SEG and the like) too.

    Raises
    ------
    DicomError
        No such series there.
    """
    studies: dict[str, StudyFiles] = {}
    series: dict[str, SeriesFiles] = {}
    for path in paths:
        header = _header(path)
        if header is None:
            continue
        if images_only and (str(header.get("Modality", "")) in IMAGE_FREE_MODALITIES or "Rows" not in header):
            continue
        study_uid = str(header.get("StudyInstanceUID", "study"))
        study = studies.setdefault(study_uid, StudyFiles(study_uid))
        series_uid = str(header.get("SeriesInstanceUID", "series"))
        if series_uid not in series:
            series[series_uid] = SeriesFiles(series_uid, study)
            study.series.append(series[series_uid])
        series[series_uid].images.append(ImageFile(path, header, series[series_uid]))
    if not studies:
        raise DicomError("No DICOM image series was found in the folder.", "Give a folder that holds DICOM images.")
    for one in series.values():
        one.images.sort(key=_position_key)
    return list(studies.values())


def merge(held: list[StudyFiles], new: list[StudyFiles]) -> list[StudyFiles]:
    """Add studies to a database in place; returns the database's studies that `new` ended up in.

    Series that are there already get the images they lack.
    """
    reached = []
    for study in new:
        home = next((one for one in held if one.uid == study.uid), None)
        if home is None:
            held.append(study)
            reached.append(study)
            continue
        reached.append(home)
        for series in study.series:
            there = next((one for one in home.series if one.uid == series.uid), None)
            if there is None:
                series.study = home
                home.series.append(series)
                continue
            known = {image.header.get("SOPInstanceUID") for image in there.images}
            for image in series.images:
                if image.header.get("SOPInstanceUID") not in known:
                    image.series = there
                    there.images.append(image)
            there.images.sort(key=_position_key)
    return reached


def stack_of(series: SeriesFiles) -> list[list[ImageFile]]:
    """The images as movie frames of slices: one list for 3D, several for 4D (equal counts at every position)."""
    places: dict[tuple[float, ...], list[ImageFile]] = defaultdict(list)
    for image in series.images:
        position = image.header.get("ImagePositionPatient")
        key = tuple(round(float(v), 2) for v in position) if position else (float(id(image)),)
        places[key].append(image)
    counts = {len(images) for images in places.values()}
    if counts == {1} or len(counts) != 1:
        return [series.images]
    depth = counts.pop()
    return [[images[t] for images in places.values()] for t in range(depth)]


def _header(path: Path) -> pydicom.Dataset | None:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError):
        return None


def _position_key(image: ImageFile) -> tuple[float, float]:
    header = image.header
    number = float(header.get("InstanceNumber") or 0)
    position, orientation = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if not position or not orientation:
        return (0.0, number)
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    return (round(float(np.array(position, float) @ np.cross(row, column)), 3), number)


def _decode_with_gdcm(image: ImageFile) -> npt.NDArray[Any]:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(image.path))
    values = sitk.GetArrayFromImage(reader.Execute())  # GDCM has already rescaled: undo it to get stored values
    if values.ndim == 2:
        values = values[None]
    if values.ndim == 4:
        return values
    slope = float(image.header.get("RescaleSlope", 1) or 1)
    intercept = float(image.header.get("RescaleIntercept", 0) or 0)
    return np.round((values.astype(np.float64) - intercept) / slope)

"""The image series that contours were drawn on, as its files tell it: identity to refer to, geometry to place by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from osirix_agent.errors import DicomError, ExportError
from osirix_agent.imaging.geometry import Geometry

SAME_PLACE_PX = 0.05  # how far a voxel of the files may lie from the same voxel in the viewer

# modules Patient, General Study and Patient Study of PS3.3: what a derived object of the study repeats
OF_PATIENT_AND_STUDY = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC", "PatientName", "PatientID", "IssuerOfPatientID",
    "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
)  # fmt: skip
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ImageSeries:
    """Headers of a stack of slices.

    Attributes
    ----------
    heads : tuple of Dataset
        One a slice, in the order of the session's slices, without pixels.
    geometry : Geometry
        As the headers say.
    """

    heads: tuple[Dataset, ...]
    geometry: Geometry

    @classmethod
    def read(cls, files: Sequence[Path], seen: Geometry) -> ImageSeries:
        """The series behind a session.

        Parameters
        ----------
        files : one a slice, in the session's order
        seen : Geometry
            Of the session: contours are placed on it.

        Raises
        ------
        DicomError
            A file cannot be read.
        ExportError
            The files lie elsewhere than what was contoured, or have no frame of reference.
        """
        try:
            heads = tuple(pydicom.dcmread(path, stop_before_pixels=True) for path in files)
        except (OSError, InvalidDicomError, EOFError):
            raise DicomError(
                "A DICOM file of the contoured series cannot be read.",
                "Export on the machine that holds the OsiriX database, or give the folder of the series (--dicom).",
            ) from None
        first = heads[0]
        if not first.get("FrameOfReferenceUID"):
            raise ExportError(
                "The images have no frame of reference, so no DICOM object can say where the contours are.",
                "Export NIfTI instead, or give the images a frame of reference first.",
            )
        rows_mm, columns_mm = (float(v) for v in first.PixelSpacing)
        turned = np.array(first.ImageOrientationPatient, float)
        geometry = Geometry.from_slices(
            [head.ImagePositionPatient for head in heads], turned[:3], turned[3:], rows_mm, columns_mm,
            first.Rows, first.Columns,
        )  # fmt: skip
        if geometry.shape_kji != seen.shape_kji or _apart_px(geometry, seen) > SAME_PLACE_PX:
            raise ExportError(
                "The files lie elsewhere than the images that were contoured.",
                "Give the folder of the series that was contoured (--dicom).",
            )
        return cls(heads, geometry)

    @property
    def uid(self) -> str:
        return str(self.heads[0].SeriesInstanceUID)

    @property
    def study_uid(self) -> str:
        return str(self.heads[0].StudyInstanceUID)

    @property
    def frame_of_reference_uid(self) -> str:
        return str(self.heads[0].FrameOfReferenceUID)

    def identity(self) -> Dataset:
        """Patient and study, to begin a new object with."""
        first, made = self.heads[0], Dataset()
        for keyword in OF_PATIENT_AND_STUDY:
            if keyword in first:
                made[keyword] = first[keyword]
        for keyword in TYPE_2:
            if keyword not in made:
                setattr(made, keyword, "")
        if "SpecificCharacterSet" not in made:
            made.SpecificCharacterSet = "ISO_IR 192"
        return made

    def reference(self, k: int) -> Dataset:
        """An item that refers to a slice."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.heads[k].SOPClassUID
        item.ReferencedSOPInstanceUID = self.heads[k].SOPInstanceUID
        return item


def read_identity(path: Path) -> tuple[str, str, str]:
    """Study, Series and SOP Instance UID of a file that was written here."""
    ds = pydicom.dcmread(path, specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
    return str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)


def _apart_px(one: Geometry, other: Geometry) -> float:
    """Greatest distance between corners of the two grids, in voxels."""
    corners = np.array([[k, j, i] for k in (0, 1) for j in (0, 1) for i in (0, 1)]) * (np.array(one.shape_kji) - 1)
    return float(np.abs(one.to_kji(other.to_lps(corners)) - corners).max())

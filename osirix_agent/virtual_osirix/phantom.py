"""Write a small synthetic CT study (with a known tumour as RTSTRUCT) for the demo, the tests and the benchmarks.

No patient: ellipses and noise. The tumour is a lobed body in muscle beside a bone, a little brighter than the
muscle and touching a vessel of the same brightness, so that one click is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    PYDICOM_ROOT_UID,
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)
from scipy import ndimage
from skimage.measure import find_contours


@dataclass(frozen=True)
class PhantomRecipe:
    """Size, spacing, orientation and seed of a phantom.

    Attributes
    ----------
    shape_kji : slices, rows, columns
    spacing_kji_mm : slice step, distance between rows, distance between columns
    row_cosines, column_cosines : directions of growing column and row index, LPS
    """

    shape_kji: tuple[int, int, int] = (40, 160, 160)
    spacing_kji_mm: tuple[float, float, float] = (3.0, 1.5, 1.5)
    origin_lps: tuple[float, float, float] = (-120.0, -110.0, -60.0)
    row_cosines: tuple[float, float, float] = (1.0, 0.0, 0.0)
    column_cosines: tuple[float, float, float] = (0.0, 1.0, 0.0)
    seed: int = 7
    noise_hu: float = 12.0


@dataclass(frozen=True, eq=False)
class Phantom:
    """The written study: its folder, its pixels and the tumour's mask (k, j, i), slices ascending along the normal."""

    folder: Path
    image: npt.NDArray[np.int16]
    truth: npt.NDArray[np.bool_]
    recipe: PhantomRecipe
    frame_of_reference_uid: str


def make_phantom(recipe: PhantomRecipe) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """(image in HU, tumour mask), both (k, j, i)."""
    rng = np.random.default_rng(recipe.seed)
    shape, spacing = recipe.shape_kji, np.array(recipe.spacing_kji_mm)
    centre = (np.array(shape) - 1) / 2
    z, y, x = (
        np.arange(n, dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)]) * np.float32(spacing[axis])
        - np.float32(centre[axis] * spacing[axis])
        for axis, n in enumerate(shape)
    )
    half = np.array(shape) * spacing / 2

    def ellipsoid(cz: float, cy: float, cx: float, rz: float, ry: float, rx: float) -> npt.NDArray[np.bool_]:
        return np.asarray(((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)

    long = 1e4
    body = ellipsoid(0, 0, 0, long, 0.86 * half[1], 0.86 * half[2])
    muscle = ellipsoid(0, 0, 0, long, 0.74 * half[1], 0.74 * half[2])
    bone = ellipsoid(0, 0.35 * half[1], 0, long, 0.14 * half[1], 0.14 * half[2])
    r = 0.2 * min(half[1], half[2])
    rz = min(r, 0.45 * half[0])
    at_y, at_x = -0.15 * half[1], 0.3 * half[2]
    tumour = (
        ellipsoid(0, at_y, at_x, rz, r, 0.8 * r)
        | ellipsoid(0.3 * rz, at_y - 0.5 * r, at_x - 0.45 * r, 0.7 * rz, 0.6 * r, 0.6 * r)
        | ellipsoid(-0.35 * rz, at_y + 0.45 * r, at_x + 0.3 * r, 0.6 * rz, 0.6 * r, 0.55 * r)
    )
    vessel = ellipsoid(0, at_y + 0.2 * r, at_x - 1.05 * r, long, 0.28 * r, 0.28 * r) & ~tumour
    image = np.full(shape, -1000.0, np.float32)
    for held, value in ((body, -95.0), (muscle, 55.0), (bone, 700.0), (vessel, 110.0), (tumour, 105.0)):
        image[held] = value
    sigma = 0.8 / spacing * min(spacing)
    image = ndimage.gaussian_filter(image, sigma)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.6)
    image += recipe.noise_hu * noise / noise.std()
    return np.clip(np.round(image), -1024, 3000).astype(np.int16), tumour


def write_phantom(folder: Path, recipe: PhantomRecipe | None = None) -> Phantom:
    """Write the phantom as one CT series and an RTSTRUCT with GTVp; UIDs follow from the recipe."""
    recipe = recipe or PhantomRecipe()
    return write_study(folder, *make_phantom(recipe), recipe)


def write_study(
    folder: Path, image: npt.NDArray[np.int16], truth: npt.NDArray[np.bool_], recipe: PhantomRecipe
) -> Phantom:
    """Write any image (k, j, i) in HU with its reference mask; the recipe gives geometry and identity."""
    folder = Path(folder)
    (folder / "CT").mkdir(parents=True, exist_ok=True)
    uid = {k: _uid(recipe, k) for k in ("study", "series", "frame")}
    sops = [_uid(recipe, f"slice {k}") for k in range(len(image))]
    normal = np.cross(recipe.row_cosines, recipe.column_cosines)
    for k, pixels in enumerate(image):
        position = np.array(recipe.origin_lps) + k * recipe.spacing_kji_mm[0] * normal
        _write_slice(folder / "CT" / f"{k:04d}.dcm", pixels, position, recipe, uid, sops[k], k)
    _write_rtstruct(folder / "RS.dcm", truth, recipe, uid, sops)
    return Phantom(folder, image, truth, recipe, uid["frame"])


def _uid(recipe: PhantomRecipe, what: str) -> str:
    return str(generate_uid(prefix=PYDICOM_ROOT_UID, entropy_srcs=[repr(recipe), what]))


def _file(path: Path, sop_class: UID, sop_uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop_uid
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Phantom^Synthetic", "PHANTOM", "", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "120000", "1", ""
    ds.ReferringPhysicianName = ""
    return ds


def _write_slice(
    path: Path, pixels: npt.NDArray[np.int16], position: npt.NDArray[np.float64], recipe: PhantomRecipe,
    uid: dict[str, str], sop_uid: str, k: int,
) -> None:  # fmt: skip
    ds = _file(path, CTImageStorage, sop_uid)
    ds.Modality, ds.SeriesDescription = "CT", "Synthetic phantom"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = (
        uid["study"],
        uid["series"],
        uid["frame"],
    )
    ds.PositionReferenceIndicator, ds.ImageType = "", ["DERIVED", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber, ds.KVP = 1, 1, k + 1, "120"
    ds.PatientPosition, ds.Manufacturer = "HFS", "osirix-agent"
    ds.ImagePositionPatient = [f"{v:.6f}" for v in position]
    ds.ImageOrientationPatient = [f"{v:.9f}" for v in (*recipe.row_cosines, *recipe.column_cosines)]
    ds.PixelSpacing = [f"{v:.6f}" for v in recipe.spacing_kji_mm[1:]]
    ds.SliceThickness = f"{recipe.spacing_kji_mm[0]:.6f}"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "0", "HU"
    ds.WindowCenter, ds.WindowWidth = "60", "350"
    ds.PixelData = np.ascontiguousarray(pixels, "<i2").tobytes()
    ds.save_as(path, enforce_file_format=True)


def _write_rtstruct(
    path: Path, truth: npt.NDArray[np.bool_], recipe: PhantomRecipe, uid: dict[str, str], sops: list[str]
) -> None:
    ds = _file(path, RTStructureSetStorage, _uid(recipe, "rtstruct"))
    ds.Modality, ds.StructureSetLabel, ds.Manufacturer = "RTSTRUCT", "TRUTH", "osirix-agent"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid["study"], _uid(recipe, "rtstruct series")
    ds.SeriesNumber, ds.StructureSetDate, ds.StructureSetTime = 2, "20260101", "120000"
    ds.OperatorsName, ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "", uid["frame"], ""
    series = Dataset()
    series.SeriesInstanceUID = uid["series"]
    series.ContourImageSequence = Sequence([_image_ref(sop) for sop in sops])
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", uid["study"]
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = uid["frame"]
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 1, "GTVp", "AUTOMATIC"
    roi.ReferencedFrameOfReferenceUID = uid["frame"]
    ds.StructureSetROISequence = Sequence([roi])
    contours = []
    row, column = np.array(recipe.row_cosines), np.array(recipe.column_cosines)
    normal = np.cross(row, column)
    for k in range(len(truth)):
        for line in find_contours(np.pad(truth[k], 1).astype(float), 0.5):
            ring = line[:-1] - 1
            steps = recipe.spacing_kji_mm
            points = (
                np.array(recipe.origin_lps)
                + k * steps[0] * normal
                + ring[:, :1] * steps[1] * column
                + ring[:, 1:] * steps[2] * row
            )
            contour = Dataset()
            contour.ContourImageSequence = Sequence([_image_ref(sops[k])])
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [f"{v:.4f}" for v in points.ravel()]
            contours.append(contour)
    one = Dataset()
    one.ReferencedROINumber, one.ROIDisplayColor = 1, [255, 200, 0]
    one.ContourSequence = Sequence(contours)
    ds.ROIContourSequence = Sequence([one])
    observation = Dataset()
    observation.ObservationNumber, observation.ReferencedROINumber = 1, 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "GTV", ""
    ds.RTROIObservationsSequence = Sequence([observation])
    ds.ApprovalStatus = "UNAPPROVED"
    ds.save_as(path, enforce_file_format=True)


def _image_ref(sop_uid: str) -> Dataset:
    ref = Dataset()
    ref.ReferencedSOPClassUID, ref.ReferencedSOPInstanceUID = CTImageStorage, sop_uid
    return ref

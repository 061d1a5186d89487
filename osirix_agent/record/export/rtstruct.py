"""DICOM RT Structure Sets (PS3.3 A.19): a new one, or more structures in one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from osirix_agent.errors import DicomError, ExportError
from osirix_agent.imaging.contour import FloatArray
from osirix_agent.imaging.drawn import frames_named, series_named
from osirix_agent.imaging.keyhole import keyholed
from osirix_agent.imaging.structure import interpreted_type
from osirix_agent.record.export.provenance import NOTICE, algorithm, contribution, equipment, line, new_uid
from osirix_agent.record.export.series import ImageSeries
from osirix_agent.record.export.structures import SOFTWARE, AcceptedStructure

DECIMALS = 6  # of a millimetre; with sign and four digits before the point that is 12 of the 16 characters allowed
SERIES_NUMBER = 3006  # high, so that it comes after the images in lists; the group of structure sets
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # what RTReferencedStudySequence names, retired or not


def new_rtstruct(
    series: ImageSeries, structures: Sequence[AcceptedStructure], now: datetime, *, bands: Sequence[int] = (),
    uid: Callable[[], str] = new_uid,
) -> Dataset:  # fmt: skip
    """A structure set of its own series in the images' study.

    Parameters
    ----------
    structures : at least one, with contours
    bands : percentages of isolines that go along as further ROIs

    Raises
    ------
    ExportError
        Nothing to export.
    """
    ds = series.identity()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = RTStructureSetStorage, uid()
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber, ds.OperatorsName = "RTSTRUCT", uid(), SERIES_NUMBER, ""
    ds.SeriesDescription = "Contours of osirix-agent, to be reviewed"
    ds.SeriesDate, ds.SeriesTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.FrameOfReferenceUID = series.frame_of_reference_uid
    ds.PositionReferenceIndicator = series.heads[0].get("PositionReferenceIndicator") or ""
    equipment(ds, _makers(structures))
    ds.StructureSetLabel = SOFTWARE
    ds.StructureSetDescription = NOTICE
    _add(ds, series, structures, now, bands)
    return ds


def appended(
    ds: Dataset, series: ImageSeries, structures: Sequence[AcceptedStructure], now: datetime, *,
    bands: Sequence[int] = (), uid: Callable[[], str] = new_uid,
) -> Dataset:  # fmt: skip
    """More structures in a structure set, which becomes a new instance; all else in it stays, private tags included.

    Review and signatures were of the former content: they do not hold for the new one. The former instance is named
    as predecessor.

    Parameters
    ----------
    ds : as read from its file; it is changed

    Raises
    ------
    ExportError
        It was drawn on something else, or there is nothing to export.
    """
    _check_refers(ds, series)
    former = Dataset()
    former.ReferencedSOPClassUID, former.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.SOPInstanceUID = uid()
    ds.PredecessorStructureSetSequence = Items([former])
    for keyword in ("ReviewDate", "ReviewTime", "ReviewerName", "DigitalSignaturesSequence", "MACParametersSequence"):
        if keyword in ds:
            del ds[keyword]
    _items(ds, "ContributingEquipmentSequence").append(contribution(_makers(structures), now))
    _add(ds, series, structures, now, bands)
    return ds


def read_rtstruct(path: Path) -> Dataset:
    """A structure set, whole.

    Raises
    ------
    DicomError
        It cannot be read, or is something else.
    """
    try:
        ds = pydicom.dcmread(path)
    except (OSError, InvalidDicomError, EOFError):
        raise DicomError("The RTSTRUCT cannot be read.", "Give the path of a DICOM RTSTRUCT file.") from None
    if ds.get("SOPClassUID") != RTStructureSetStorage:
        raise DicomError(f"The file is no RTSTRUCT but {ds.get('Modality', 'something else')}.", "Give an RTSTRUCT.")
    return ds


def write_rtstruct(ds: Dataset, path: Path) -> None:
    """Write to a path as it is; see `whole` for safety."""
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)


def _makers(structures: Iterable[AcceptedStructure]) -> list[str]:
    return [structure.made_by for structure in structures]


def _check_refers(ds: Dataset, series: ImageSeries) -> None:
    if str(ds.get("PatientID", "")) != str(series.heads[0].get("PatientID", "")):
        raise ExportError("The RTSTRUCT is of another patient.", "Export to a new RTSTRUCT, without --append.")
    named = frames_named(ds)
    if named and series.frame_of_reference_uid not in named:
        raise ExportError(
            "The RTSTRUCT has another frame of reference than the images, so its contours lie elsewhere.",
            "Export to a new RTSTRUCT, without --append, or give the one that was drawn on these images.",
        )
    drawn_on = series_named(ds)
    if drawn_on and series.uid not in drawn_on:
        raise ExportError(
            "The RTSTRUCT was drawn on another series than the one that was contoured.",
            "Export to a new RTSTRUCT, without --append, or give the one that was drawn on this series.",
        )


def _add(
    ds: Dataset, series: ImageSeries, structures: Sequence[AcceptedStructure], now: datetime, bands: Sequence[int]
) -> None:
    if not any(structure.rings_ji for structure in structures):
        raise ExportError("No accepted structure has a contour.", "Accept a structure first, then export.")
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.InstanceCreationDate, ds.InstanceCreationTime = date, time
    ds.StructureSetDate, ds.StructureSetTime = date, time
    ds.ApprovalStatus = "UNAPPROVED"
    _refer(ds, series)
    for structure in structures:
        if not structure.rings_ji:
            continue
        description = f"{len(structure.edited)} of {len(structure.rings_ji)} slices edited by hand; {NOTICE}"
        name, kind = structure.public_name, interpreted_type(structure.public_name)
        _add_roi(ds, series, structure, name, structure.rings_ji, "SEMIAUTOMATIC", description, kind)
        for level in bands:
            if rings := structure.band(level):
                description = f"{level} % probability, {structure.calibration}; for looking, not for planning"
                # TG-263 sets a z before what is not for dose evaluation
                _add_roi(ds, series, structure, f"z{name}_p{level:02d}", rings, "AUTOMATIC", description, "")


def _refer(ds: Dataset, series: ImageSeries) -> None:
    """Every slice of the series, under its frame of reference and study."""
    frame = _item(ds, "ReferencedFrameOfReferenceSequence", "FrameOfReferenceUID", series.frame_of_reference_uid)
    study = _item(frame, "RTReferencedStudySequence", "ReferencedSOPInstanceUID", series.study_uid)
    if "ReferencedSOPClassUID" not in study:
        study.ReferencedSOPClassUID = STUDY_CLASS
    one = _item(study, "RTReferencedSeriesSequence", "SeriesInstanceUID", series.uid)
    images = _items(one, "ContourImageSequence")
    known = {str(image.ReferencedSOPInstanceUID) for image in images}
    for k in range(len(series.heads)):
        reference = series.reference(k)
        if str(reference.ReferencedSOPInstanceUID) not in known:
            images.append(reference)


def _add_roi(
    ds: Dataset, series: ImageSeries, structure: AcceptedStructure, name: str,
    rings_ji: Mapping[int, Sequence[FloatArray]], how: str, description: str, kind: str,
) -> None:  # fmt: skip
    rois, observations = _items(ds, "StructureSetROISequence"), _items(ds, "RTROIObservationsSequence")
    number = 1 + max((int(roi.ROINumber) for roi in rois), default=0)
    roi = Dataset()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID = number, series.frame_of_reference_uid
    roi.ROIName = _free(line(name), {str(other.ROIName) for other in rois})
    roi.ROIDescription = description
    roi.ROIGenerationAlgorithm = how
    roi.ROIGenerationDescription = line(f"{SOFTWARE}: {structure.made_by or 'drawn by hand'}")
    roi.ROIDerivationAlgorithmIdentificationSequence = Items([algorithm(structure)])
    rois.append(roi)
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, list(structure.color)
    drawn.ContourSequence = Items(
        [_contour(series, k, ring) for k, rings in sorted(rings_ji.items()) for ring in keyholed(rings)]
    )
    for n, contour in enumerate(drawn.ContourSequence, 1):
        contour.ContourNumber = n
    _items(ds, "ROIContourSequence").append(drawn)
    seen = Dataset()
    seen.ObservationNumber = 1 + max((int(other.ObservationNumber) for other in observations), default=0)
    seen.ReferencedROINumber, seen.RTROIInterpretedType, seen.ROIInterpreter = number, kind, ""
    observations.append(seen)


def _contour(series: ImageSeries, k: int, ring_ji: FloatArray) -> Dataset:
    points = series.geometry.to_lps(np.column_stack([np.full(len(ring_ji), float(k)), ring_ji]))
    item = Dataset()
    item.ContourImageSequence = Items([series.reference(k)])
    item.ContourGeometricType, item.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
    item.ContourData = [_decimal(value) for value in points.ravel().tolist()]
    return item


def _decimal(value: float) -> str:
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where another ROI has it already."""
    if name not in taken:
        return name
    return next(other for n in range(2, 1000) if (other := f"{name[:60]}_{n}") not in taken)


def _items(ds: Dataset, keyword: str) -> Items:
    """A sequence, made if missing."""
    if not ds.get(keyword):
        setattr(ds, keyword, Items())
    return ds[keyword].value


def _item(ds: Dataset, keyword: str, identity: str, uid: str) -> Dataset:
    """The item of a sequence that has this UID, made if missing."""
    items = _items(ds, keyword)
    for item in items:
        if str(item.get(identity, "")) == uid:
            return item
    made = Dataset()
    setattr(made, identity, uid)
    items.append(made)
    return made

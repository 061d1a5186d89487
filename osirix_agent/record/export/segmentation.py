"""DICOM Segmentation (PS3.3 A.51) by highdicom: masks, or probabilities as fractions of 255."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from osirix_agent.errors import ExportError
from osirix_agent.imaging.structure import is_target
from osirix_agent.record.export.provenance import NOTICE, family, line, new_uid, parameters, versions
from osirix_agent.record.export.series import ImageSeries
from osirix_agent.record.export.structures import SOFTWARE, AcceptedStructure

SERIES_NUMBER = 3007
FULL = 255  # the fraction that means certain
LEAST = 0.5 / FULL  # less than that is none
ORGAN = (("123037004", "SCT", "Anatomical Structure"), ("113343008", "SCT", "Organ"))
TARGET = (("49755003", "SCT", "Morphologically Abnormal Structure"), ("108369006", "SCT", "Neoplasm"))


def new_segmentation(
    series: ImageSeries, structures: Sequence[AcceptedStructure], now: datetime, *, fractional: bool,
    uid: Callable[[], str] = new_uid,
) -> Dataset:  # fmt: skip
    """One segment a structure, on the slices that hold any.

    Parameters
    ----------
    fractional : bool
        Probabilities as they were believed when accepted, 0 and 1 where a slice was edited; else masks.

    Raises
    ------
    ExportError
        The package is missing, nothing would be in it, or the images lack what a segmentation must repeat.
    """
    try:
        import highdicom as hd
    except ImportError:
        raise ExportError(
            "DICOM SEG needs the package highdicom.", "Install it: pip install 'osirix-agent[dicom]'."
        ) from None
    shape = series.geometry.shape_kji
    stacks: list[Any] = [s.probability(shape) if fractional else s.mask(shape) for s in structures]
    held = np.flatnonzero(np.any([(stack > LEAST).any(axis=(1, 2)) for stack in stacks], axis=0))
    if not len(held):
        raise ExportError("No accepted structure has a contour.", "Accept a structure first, then export.")
    pixels = np.stack([stack[held] for stack in stacks], axis=-1)
    try:
        made = _quietly(
            hd.seg.Segmentation,
            source_images=[_complete(series, int(k)) for k in held],
            pixel_array=pixels if fractional else pixels.astype(np.uint8),
            segmentation_type="FRACTIONAL" if fractional else "BINARY",
            fractional_type="PROBABILITY", max_fractional_value=FULL,
            segment_descriptions=[_description(n, s, fractional) for n, s in enumerate(structures, 1)],
            series_instance_uid=uid(), series_number=SERIES_NUMBER + fractional, sop_instance_uid=uid(),
            instance_number=1, manufacturer=SOFTWARE, manufacturer_model_name=SOFTWARE,
            software_versions=SOFTWARE,
            device_serial_number=SOFTWARE, content_label="PROBABILITIES" if fractional else "CONTOURS",
            content_description=line(NOTICE),
            series_description=f"{'Probabilities' if fractional else 'Contours'} of osirix-agent, to be reviewed",
        )  # fmt: skip
    except (AttributeError, KeyError, ValueError) as error:
        raise ExportError(
            f"The images lack what a DICOM SEG must repeat ({type(error).__name__}).", "Export RTSTRUCT or NIfTI."
        ) from None
    made["SoftwareVersions"].value = versions(s.made_by for s in structures)
    made["ContentDate"].value, made["ContentTime"].value = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return made


def _quietly(make: Callable[..., Any], **given: Any) -> Any:
    """Without warnings: highdicom's would name the patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(**given)


def _complete(series: ImageSeries, k: int) -> Dataset:
    """A slice's header with patient and study filled up where de-identification left them out."""
    head = Dataset()
    head.update(series.identity())
    head.update(series.heads[k])
    head.file_meta = series.heads[k].file_meta
    return head


def _description(number: int, structure: AcceptedStructure, fractional: bool) -> Any:
    import highdicom as hd

    category, kind = TARGET if is_target(structure.public_name) else ORGAN
    label = structure.public_name + (f" probability, {structure.calibration}" if fractional else "")
    description = hd.seg.SegmentDescription(
        segment_number=number, segment_label=line(label),
        segmented_property_category=hd.sr.CodedConcept(*category), segmented_property_type=hd.sr.CodedConcept(*kind),
        algorithm_type="SEMIAUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=line(structure.made_by or SOFTWARE), version=line(f"{SOFTWARE} {structure.version}"),
            family=hd.sr.CodedConcept(*family(structure)), source=SOFTWARE,
            parameters={"made by": parameters(structure)},
        ),
    )  # fmt: skip
    description.SegmentDescription = line(f"{len(structure.edited)} slices edited by hand")
    return description

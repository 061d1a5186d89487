"""The files of an export, each whole or not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.config import disable_value_validation

from osirix_agent.imaging.nifti import write_image
from osirix_agent.record.export.rtstruct import appended, new_rtstruct, read_rtstruct, write_rtstruct
from osirix_agent.record.export.series import ImageSeries
from osirix_agent.record.export.structures import AcceptedStructure
from osirix_agent.record.export.whole import whole

RTSTRUCT = "RTSTRUCT.dcm"


@dataclass(frozen=True)
class Formats:
    """What is written.

    Attributes
    ----------
    append : an RTSTRUCT whose content goes along, followed by the structures
    seg, probabilities : DICOM SEG of masks; of what was believed
    nifti : masks; with `probabilities` these too
    bands : percentages of isolines that go into the RTSTRUCT
    """

    rtstruct: bool = True
    append: Path | None = None
    seg: bool = False
    probabilities: bool = False
    nifti: bool = False
    bands: tuple[int, ...] = ()


@disable_value_validation()  # the scanner's own values go along as they are, also those that DICOM would not have
def write_files(
    series: ImageSeries, structures: Sequence[AcceptedStructure], out: Path, formats: Formats, now: datetime
) -> list[Path]:
    """Write into a folder; files of the same name are replaced, each once the new one is whole.

    Raises
    ------
    ExportError
        The folder cannot be written, or an RTSTRUCT to append to was drawn on something else.
    """
    written: list[Path] = []
    shape, geometry = series.geometry.shape_kji, series.geometry
    if formats.rtstruct or formats.append:
        if formats.append is None:
            ds = new_rtstruct(series, structures, now, bands=formats.bands)
        else:
            ds = appended(read_rtstruct(formats.append), series, structures, now, bands=formats.bands)
        with whole(out / RTSTRUCT) as path:
            write_rtstruct(ds, path)
        written.append(out / RTSTRUCT)
    if formats.seg:
        from osirix_agent.record.export.segmentation import new_segmentation

        for fractional in (False, True) if formats.probabilities else (False,):
            made = new_segmentation(series, structures, now, fractional=fractional)
            name = "SEG-probabilities.dcm" if fractional else "SEG.dcm"
            with whole(out / name) as path:
                made.save_as(path)
            written.append(out / name)
    if formats.nifti:
        for structure in structures:
            plain = re.sub(r"[^A-Za-z0-9_+~^-]", "_", structure.public_name)
            arrays: dict[str, npt.NDArray[Any]] = {plain: structure.mask(shape).astype(np.uint8)}
            if formats.probabilities:
                arrays[f"{plain}-probability"] = structure.probability(shape)
            for name, array in arrays.items():
                with whole(out / f"{name}.nii.gz") as path:
                    write_image(path, array, geometry)
                written.append(out / f"{name}.nii.gz")
    return written

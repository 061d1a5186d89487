"""Volumes and masks as SimpleITK images and NIfTI files."""

from __future__ import annotations

import errno
import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.geometry import Geometry


def to_sitk(array: npt.NDArray[Any], geometry: Geometry) -> Any:
    """A SimpleITK image in the same place (SimpleITK is LPS too; its index order is i, j, k).

    A stack that runs against its normal is turned round first, so that the direction is right-handed.
    """
    import SimpleITK as sitk

    matrix, origin = geometry.matrix, np.array(geometry.origin_lps)
    if np.linalg.det(matrix[:, ::-1]) < 0:
        array = array[::-1]
        origin = geometry.to_lps((geometry.shape_kji[0] - 1, 0, 0))
        matrix = matrix * np.array([-1.0, 1.0, 1.0])
    spacing = np.array(geometry.spacing_kji_mm)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetOrigin([float(v) for v in origin])
    image.SetSpacing([float(v) for v in spacing[::-1]])
    image.SetDirection([float(v) for v in (matrix / spacing)[:, ::-1].ravel()])
    return image


def write_image(path: Path, array: npt.NDArray[Any], geometry: Geometry) -> None:
    """An array (k, j, i) on the grid of a geometry as compressed NIfTI.

    Raises
    ------
    OSError
        It is not whole on disk: SimpleITK does not tell when the disk is full.
    """
    import SimpleITK as sitk

    sitk.WriteImage(to_sitk(array, geometry), str(path), useCompression=True)
    try:
        with gzip.open(path) as file:
            size = sum(len(part) for part in iter(lambda: file.read(2**20), b""))
    except (EOFError, zlib.error):
        size = 0
    if size < array.nbytes:
        raise OSError(errno.EIO, "the file is not whole; the disk may be full")


def write_mask(path: Path, mask: npt.NDArray[np.bool_], geometry: Geometry) -> None:
    """A mask as NIfTI (uint8)."""
    write_image(path, mask.astype(np.uint8), geometry)

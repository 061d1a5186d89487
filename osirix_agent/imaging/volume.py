"""An image in patient space."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from osirix_agent.imaging.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Volume:
    """A stack of slices with its geometry.

    Attributes
    ----------
    array : (k, j, i) float32
        Rescaled values: HU for CT; whatever the viewer shows for MR and PET.
    geometry : Geometry
    modality : str
        DICOM modality: CT, MR, PT, ...
    """

    array: npt.NDArray[np.float32]
    geometry: Geometry
    modality: str

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape_kji:
            raise ValueError(f"array {self.array.shape} does not fit geometry {self.geometry.shape_kji}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the values and the geometry: the same image has the same digest."""
        h = hashlib.sha256(self.geometry.digest.encode())
        h.update(np.ascontiguousarray(self.array).data)
        return h.hexdigest()

"""Patients to train and evaluate on, held in memory: image, structures as bits, and what is known of each.

A structure that was not contoured is unknown, not absent. Arrays are (k, j, i) with k to superior, j to posterior and
i to the patient's left; origin of index 0 at 0 mm.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import SettingsError

BODY_HU = -700


@dataclass(frozen=True, eq=False)
class Case:
    """One image of one patient.

    Attributes
    ----------
    name : the data set's own pseudonym, with the modality where a patient has several images
    image : (k, j, i) int16; HU for CT, else as the data set stores it
    bits : (k, j, i) uint16; bit n set where structure `structures[n]` is
    structures : names in bit order; only those that were contoured
    spacing_kji_mm : mm
    modality : CT, MR or PT
    site : what part of the body, e.g. "head and neck"
    weight : how often it is drawn, beside a case of weight 1
    prompts : what a clinician gave for its first structure, oldest first: "box" (its corners) or "point+", "point-",
        "scribble+", "scribble-", with (n, 3) index
    """

    name: str
    image: npt.NDArray[np.int16]
    bits: npt.NDArray[np.uint16]
    structures: tuple[str | None, ...]
    spacing_kji_mm: tuple[float, float, float]
    modality: str
    site: str
    weight: float = 1.0
    prompts: tuple[tuple[str, npt.NDArray[np.float64]], ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(name for name in self.structures if name is not None)

    def mask(self, structure: str) -> npt.NDArray[np.bool_]:
        """(k, j, i) bool."""
        return (self.bits >> self.structures.index(structure)) & 1 > 0


def data_folder() -> Path:
    """Where the real patients are: OSIRIX_AGENT_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("OSIRIX_AGENT_DATA", "../shared/data"))
    if not (folder / "splits.json").is_file():
        raise SettingsError(
            f"No training data in {folder}: splits.json is missing.",
            "Set OSIRIX_AGENT_DATA to the folder that holds splits.json, openkbp and sarcoma.",
        )
    return folder


def split(folder: Path, data_set: str, part: str) -> list[str]:
    """Pseudonyms of one part (train, calibration, validation, ...) of a data set, sorted."""
    parts = json.loads((folder / "splits.json").read_text(encoding="utf-8")).get(data_set, {})
    if part not in parts:
        raise SettingsError(f"splits.json has no part '{part}' of {data_set}.", f"Choose from: {', '.join(parts)}.")
    if isinstance(parts[part], str):
        raise SettingsError(
            f"The part '{part}' of {data_set} names no patients: {parts[part]}.", "Choose another part."
        )
    return sorted(parts[part])


def read_openkbp(folder: Path, names: Iterable[str], whole: bool = False) -> list[Case]:
    """Head-and-neck cases; unless `whole`, the image is cut to the body in plane."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda name: _openkbp(_find(folder / "openkbp", name), whole), names))


def train_cases(data_set: str) -> list[Case]:
    """The patients that weights may see: "openkbp" or "sarcoma"."""
    root = data_folder()
    read = read_openkbp if data_set == "openkbp" else read_sarcoma
    return read(root, split(root, data_set, "train"))


def _find(root: Path, name: str) -> Path:
    for folder in sorted(root.glob(f"*/{name}")):
        if folder.is_dir():
            return folder
    raise SettingsError(f"Case {name} is not in {root}.", "Complete the data folder, or correct splits.json.")


def _openkbp(folder: Path, whole: bool) -> Case:
    described = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    image, spacing = _nifti(folder / "ct.nii.gz")
    bits, _ = _nifti(folder / "structures.nii.gz")
    body = image > BODY_HU
    region = tuple(
        slice(max(0, int(held[0]) - 2), int(held[-1]) + 3)
        for axis in range(3)
        if (held := np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))).size
    )
    if whole or len(region) < 3:
        region = (slice(None),) * 3
    region = (slice(None), *region[1:])  # the scan's own extent stays as it is
    order = tuple(name if name in described["contoured"] else None for name in described["structures_bit_order"])
    return Case(
        folder.name,
        np.ascontiguousarray(image[region]).astype(np.int16),
        np.ascontiguousarray(bits[region]).astype(np.uint16),
        order, spacing, "CT", "head and neck",
    )  # fmt: skip


def read_sarcoma(folder: Path, names: Iterable[str], modalities: Iterable[str] = ("CT", "MR_T1", "PET")) -> list[Case]:
    """Soft-tissue sarcoma cases: an image a modality, each with its GTV."""
    found = []
    for name in names:
        for stem in modalities:
            path = _find(folder / "sarcoma", name) / f"{stem}.nii.gz"
            if not path.is_file():
                continue
            image, spacing = _nifti(path)
            bits, _ = _nifti(path.with_name(f"{stem}_GTV.nii.gz"))
            modality = {"CT": "CT", "MR_T1": "MR", "PET": "PT"}[stem]
            held = (bits > 0).astype(np.uint16)
            found.append(
                Case(f"{name} {stem}", image.astype(np.int16), held, ("GTV",), spacing, modality, "soft tissue")
            )
    return found


def _nifti(path: Path) -> tuple[npt.NDArray[np.int16], tuple[float, float, float]]:
    import SimpleITK as sitk

    image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    x, y, z = image.GetSpacing()
    return sitk.GetArrayFromImage(image), (float(z), float(y), float(x))

"""A phantom series and accepted structures on it; dciodvfy where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.imaging.contour import isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.record.export.series import ImageSeries
from osirix_agent.record.export.structures import AcceptedStructure
from osirix_agent.virtual_osirix.phantom import Phantom, PhantomRecipe, write_phantom

NOW = datetime(2026, 1, 2, 3, 4, 5)
OBLIQUE = {
    "row_cosines": (0.9999925900, -0.0001370866, -0.0038477941),
    "column_cosines": (-0.0000000470, 0.9993655200, -0.0356169210),
}


@dataclass
class Study:
    phantom: Phantom
    files: list[Path]
    series: ImageSeries

    def structure(self, name: str = "GTVp", mask: np.ndarray | None = None, **more) -> AcceptedStructure:
        mask = self.phantom.truth if mask is None else mask
        rings = {k: isocontour(plane.astype(float), 0.5) for k, plane in enumerate(mask) if plane.any()}
        belief = Belief(np.where(mask, 4.0, -4.0).astype(np.float32), (0, 0, 0), mask.shape, "classical 1.0")
        return AcceptedStructure(name, rings, belief=belief, made_by="classical 1.0", **more)

    @property
    def hollow(self) -> np.ndarray:
        """A block with a hole on one slice."""
        mask = np.zeros_like(self.phantom.truth)
        mask[3:7, 8:30, 10:34] = True
        mask[5, 14:20, 16:25] = False
        return mask


def study_at(folder: Path, **recipe) -> Study:
    given = {"shape_kji": (10, 40, 44), "spacing_kji_mm": (3.0, 1.5, 2.0), **recipe}
    phantom = write_phantom(folder, PhantomRecipe(**given))
    files = sorted((folder / "CT").iterdir())
    heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    turned = np.array(heads[0].ImageOrientationPatient, float)
    seen = Geometry.from_slices(
        [head.ImagePositionPatient for head in heads], turned[:3], turned[3:], *map(float, heads[0].PixelSpacing),
        heads[0].Rows, heads[0].Columns,
    )  # fmt: skip
    return Study(phantom, files, ImageSeries.read(files, seen))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return study_at(tmp_path / "study")


def complaints(path: Path) -> list[str]:
    """Errors of dciodvfy."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian's dicom3tools)")
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60)
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]

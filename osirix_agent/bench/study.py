"""Studies of a wanted size, and a virtual OsiriX in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.virtual_osirix.phantom import Phantom, PhantomRecipe, make_phantom, write_study

BIG_SPACING_KJI_MM = (2.5, 0.8, 0.8)


def big_image(slices: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """512 x 512 x `slices` CT and its tumour: the phantom at a quarter of the size, each voxel repeated, with noise
    of its own."""
    small = PhantomRecipe(shape_kji=(slices, 128, 128), spacing_kji_mm=(2.5, 3.2, 3.2), noise_hu=0.0)
    image, truth = make_phantom(small)
    image = image.repeat(4, axis=1).repeat(4, axis=2)
    truth = truth.repeat(4, axis=1).repeat(4, axis=2)
    noise = np.random.default_rng(3).normal(0, 12, (512, 512)).astype(np.int16)
    for k in range(slices):
        image[k] += np.roll(noise, 37 * k, axis=(0, 1))
    return image, truth


def big_study(folder: Path, slices: int) -> Phantom:
    """`big_image` as a DICOM study."""
    recipe = PhantomRecipe(
        shape_kji=(slices, 512, 512), spacing_kji_mm=BIG_SPACING_KJI_MM, origin_lps=(-205.0, -205.0, 0.0)
    )
    return write_study(folder, *big_image(slices), recipe)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a virtual OsiriX in another process that shows the folder."""
    command = [sys.executable, "-m", "osirix_agent.cli", "virtual-osirix", "--dicom", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " at " not in line:
            raise RuntimeError("the virtual OsiriX did not start")
        yield line.split(" at ")[1].split(",")[0]
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()

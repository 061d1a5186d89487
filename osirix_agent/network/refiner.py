"""A small network at the image's own voxels, after the large one on its grids.

A grid of its own lets the large network take any image, and blurs what voxels of the grid's size show. The refiner sees
the answer beside the voxels and the marks, and says by how much the answer is to change.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import FORMAT, WEIGHTS, FolderDescription, check_sums, read_description
from osirix_agent.network.blocks import Join, Residual
from osirix_agent.network.checkpoint import read_tensors

CHANNELS = ("logit", "inside", "soft", "wide", "point+", "point-", "region+", "region-")
USUAL_MM = (3.0, 4.0, 4.0)
DESCRIPTION = "refiner.json"
FOLDER = "refiner"  # in the base's
STRIDE = 4
NAME_WIDTH = 16


class RefinerDescription(FolderDescription):
    """What `refiner.json` says.

    Attributes
    ----------
    base : SHA-256 of the weights whose answers it refines
    structures : that it knows by name, without a side; any other goes without a name
    widths : channels at the voxels, at half and at a quarter of them
    gallery, reach : what the base's encoder makes of the images that it learnt from, and how far from them another may
        be to be refined; None: any image is
    """

    format: int = FORMAT
    kind: Literal["refiner"] = "refiner"
    base: str
    structures: tuple[str, ...]
    widths: tuple[int, int, int]
    gallery: dict[str, Any] | None = None
    reach: float = 0.0


class Refiner(nn.Module):
    """(B, 8, k, j, i) of `CHANNELS`, sizes multiples of 4, to (B, k, j, i) logits; untrained, it changes nothing.

    The structure's name and the voxel's size speak as scales and shifts of the features (FiLM, Perez et al. 2018).
    """

    def __init__(
        self, structures: Iterable[str], widths: tuple[int, int, int], gallery: dict[str, Any] | None = None,
        reach: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.structures, self.gallery, self.reach = tuple(structures), gallery, reach
        a, b, c = widths
        self.name = nn.Embedding(len(self.structures) + 1, NAME_WIDTH)
        self._sizes = [2 * n for n in (a, b, c, c, b, a)]
        self.told = nn.Linear(NAME_WIDTH + 3, sum(self._sizes))
        self.at_voxels = Residual(len(CHANNELS), a)
        self.at_half = Residual(a, b, 2)
        self.at_quarter = Residual(b, c, 2)
        self.deeper = Residual(c, c)
        self.to_half = Join(c, b)
        self.to_whole = Join(b, a)
        self.change = nn.Conv3d(a, 1, 1)
        for part in self.change.parameters():
            nn.init.zeros_(part)

    def forward(self, seen: Tensor, names: Tensor, spacing_mm: Tensor) -> Tensor:
        """`names`: (B,) from `index_of`; `spacing_mm`: (B, 3)."""
        size = (spacing_mm / spacing_mm.new_tensor(USUAL_MM)).log2()
        told = self.told(torch.cat([self.name(names), size], 1)).split(self._sizes, 1)
        whole = self.at_voxels(seen, told[0])
        half = self.at_half(whole, told[1])
        quarter = self.deeper(self.at_quarter(half, told[2]), told[3])
        half = self.to_half(quarter, half, told[4])
        change: Tensor = self.change(self.to_whole(half, whole, told[5]))
        return (4 * seen[:, 0] + change[:, 0]).float()

    def index_of(self, structure: str) -> int:
        """Of a structure's name in TG-263 spelling; the last means any other."""
        plain = structure.removesuffix("_L").removesuffix("_R")
        return self.structures.index(plain) if plain in self.structures else len(self.structures)


def load_refiner(folder: Path, base_digest: str, device: str = "cpu") -> tuple[Refiner, str]:
    """A refiner and what it is called: name, version and digest.

    Raises
    ------
    ModelError
        A file is missing or altered, newer than this program, or made for another base.
    """
    described = read_description(folder, DESCRIPTION, RefinerDescription)
    digest = check_sums(folder)[WEIGHTS]
    if described.base != base_digest:
        raise ModelError(
            f"The refiner '{described.name}' was made for another base (its weights begin with "
            f"{described.base[:12]}, these with {base_digest[:12]}).",
            "Delete its folder, or train it again on this base.",
        )
    refiner = Refiner(described.structures, described.widths, described.gallery, described.reach)
    try:
        refiner.load_state_dict({name: value.float() for name, value in read_tensors(folder / WEIGHTS).items()})
    except RuntimeError:
        raise ModelError(
            f"The weights in {folder} do not fit their own description.",
            "Copy the folder again from where it came from.",
        ) from None
    refiner = refiner.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last_3d)
    return refiner, f"{described.name} {described.version} ({digest[:12]})"

"""ROIs as values: what is read from OsiriX, what is to be written, and when two are the same.

Coordinates are OsiriX's own: x = column, y = row, pixel centres at .5 (see `pixel`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

SAME_PX = 1e-3  # rectangles and ovals come back through corner arithmetic in float32


class RoiType(IntEnum):
    """OsiriX tool modes that carry meaning here; others are read as numbers and left alone."""

    BOX = 6
    OVAL = 9
    OPEN_POLYGON = 10
    CLOSED_POLYGON = 11
    PENCIL = 15
    POINT = 19
    BRUSH = 20


@dataclass(frozen=True)
class Style:
    """Colour (0-255), thickness (1-20, OsiriX points), opacity (0-1)."""

    color: tuple[int, int, int]
    thickness: float = 2.0
    opacity: float = 1.0


@dataclass(frozen=True, eq=False)
class Brush:
    """A painted mask: (rows, columns) bool without empty border, upper left pixel at column, row `corner`."""

    mask: BoolArray
    corner: tuple[int, int]

    @classmethod
    def from_full(cls, full: BoolArray) -> Brush | None:
        """The cropped form of a full-frame mask; None when nothing is painted."""
        rows, columns = np.flatnonzero(full.any(1)), np.flatnonzero(full.any(0))
        if rows.size == 0:
            return None
        cut = full[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(cut.copy(), (int(columns[0]), int(rows[0])))

    def to_full(self, rows: int, columns: int) -> BoolArray:
        full = np.zeros((rows, columns), np.bool_)
        x, y = self.corner
        full[y : y + self.mask.shape[0], x : x + self.mask.shape[1]] = self.mask
        return full


@dataclass(frozen=True, eq=False)
class RoiSpec:
    """Everything that makes an ROI, without its identity.

    Attributes
    ----------
    k : int
        Slice (data index).
    itype : int
        OsiriX tool mode.
    name : str
    style : Style
    points_xy : (n, 2) float32
        Vertices; the 4 corners of a box, the position of a point, 200 samples of an oval.
    brush : Brush or None
    """

    k: int
    itype: int
    name: str
    style: Style
    points_xy: Float32Array
    brush: Brush | None = None

    def same_shape(self, other: RoiSpec) -> bool:
        """Same kind, same slice, vertices within `SAME_PX`, same painted pixels."""
        if (self.itype, self.k) != (other.itype, other.k):
            return False
        if self.brush is not None or other.brush is not None:
            return (
                self.brush is not None
                and other.brush is not None
                and self.brush.corner == other.brush.corner
                and np.array_equal(self.brush.mask, other.brush.mask)
            )
        return self.points_xy.shape == other.points_xy.shape and bool(
            np.all(np.abs(self.points_xy - other.points_xy) <= SAME_PX)
        )

    @property
    def shape_digest(self) -> str:
        """SHA-256 of kind and shape, for the ledger."""
        h = hashlib.sha256(f"{self.itype}".encode())
        if self.brush is not None:
            h.update(repr((self.brush.corner, self.brush.mask.shape)).encode())
            h.update(np.packbits(self.brush.mask).tobytes())
        else:
            h.update(np.round(self.points_xy.astype(np.float64), 2).astype("<f4").tobytes())
        return h.hexdigest()


@dataclass(frozen=True, eq=False)
class RoiState:
    """An ROI seen in the viewer."""

    uid: str
    spec: RoiSpec


CONTOUR = "draft"
_AGENT_NAME = re.compile(r"^(?P<structure>.+) ~(?P<role>draft|u\d\d)\.(?P<run>[0-9a-f]{6})$")


def agent_name(structure: str, role: str, run: str) -> str:
    """Name of a draft contour or isoline: `GTVp ~draft.3fa2c1`, `GTVp ~u05.3fa2c1`. ASCII only."""
    return f"{structure} ~{role}.{run}"


def isoline_role(level_percent: int) -> str:
    return f"u{level_percent:02d}"


def is_isoline(name: str) -> bool:
    """An agent's ROI that is for looking, never for editing."""
    parsed = parse_agent_name(name)
    return parsed is not None and parsed[1] != CONTOUR


def parse_agent_name(name: str) -> tuple[str, str, str] | None:
    """(structure, role, run) of a name that an agent gave; None for any other name."""
    match = _AGENT_NAME.match(name)
    return (match["structure"], match["role"], match["run"]) if match else None

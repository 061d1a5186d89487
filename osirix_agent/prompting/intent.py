"""What a sentence asks for, as typed intents. Amounts are millimetres, directions are the patient's, slices are
numbered as OsiriX shows them (from 1)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from osirix_agent.prompting.prompt import Polarity

Direction = Literal["superior", "inferior", "left", "right", "anterior", "posterior", "medial", "lateral"]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What every intent has.

    Attributes
    ----------
    span : the characters of the sentence that it was read from
    confidence : 0 to 1; 1 where every word was understood as it stands
    """

    kind: ClassVar[str]
    span: tuple[int, int] = field(default=(0, 0), compare=False)
    confidence: float = field(default=1.0, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Kind and slots; what is None or as by default is left out."""
        slots = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.compare and getattr(self, f.name) != f.default
        }  # fmt: skip
        return {"kind": self.kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in slots.items()}}


@dataclass(frozen=True)
class Command(Said):
    """One of `grammar.COMMANDS` and, for some, a structure's name; `undo` and `redo` several times."""

    kind: ClassVar[str] = "command"
    verb: str
    name: str | None = None
    times: int = 1


@dataclass(frozen=True)
class Contour(Said):
    """Contour this structure: it becomes the active one, and is asked for in words where the model was taught it."""

    kind: ClassVar[str] = "contour"
    structure: str


@dataclass(frozen=True)
class Here(Said):
    """The last click is part of the structure, or is not."""

    kind: ClassVar[str] = "here"
    polarity: Polarity
    structure: str | None = None


@dataclass(frozen=True)
class Part(Said):
    """All of another structure is part of this one, or none of it is."""

    kind: ClassVar[str] = "part"
    polarity: Polarity
    part: str
    structure: str | None = None


@dataclass(frozen=True)
class Slab(Said):
    """Everything above or below a slice (the displayed one if None): take it away, keep only that, or include it."""

    kind: ClassVar[str] = "slab"
    how: Literal["exclude", "keep", "include"]
    side: Literal["above", "below"]
    slice: int | None = None
    structure: str | None = None


@dataclass(frozen=True)
class Edit(Said):
    """Grow, shrink, shift or smooth by millimetres; no directions: all round.

    Attributes
    ----------
    but : all round, but by so many millimetres there: (direction, mm) pairs; for growing and shrinking
    """

    kind: ClassVar[str] = "edit"
    how: Literal["grow", "shrink", "shift", "smooth"]
    mm: float
    directions: tuple[Direction, ...] = ()
    structure: str | None = None
    but: tuple[tuple[Direction, float], ...] = ()


@dataclass(frozen=True)
class Crop(Said):
    """Keep only what lies in another structure."""

    kind: ClassVar[str] = "crop"
    to: str
    structure: str | None = None


@dataclass(frozen=True)
class Fill(Said):
    """Fill the slices that were left out between two contours."""

    kind: ClassVar[str] = "fill"
    structure: str | None = None


@dataclass(frozen=True)
class Copy(Said):
    """Copy the displayed slice's contour to a slice beside it."""

    kind: ClassVar[str] = "copy"
    to: Literal["next", "previous", "above", "below"]
    structure: str | None = None


@dataclass(frozen=True)
class Go(Said):
    """Show a slice, by its number or so many further on."""

    kind: ClassVar[str] = "go"
    slice: int | None = None
    step: int = 0


@dataclass(frozen=True)
class Rename(Said):
    kind: ClassVar[str] = "rename"
    name: str
    structure: str | None = None


@dataclass(frozen=True)
class Reply(Said):
    """Yes or no to what was asked back."""

    kind: ClassVar[str] = "reply"
    yes: bool


Intent = Command | Contour | Here | Part | Slab | Edit | Crop | Fill | Copy | Go | Rename | Reply
KINDS: dict[str, type[Intent]] = {
    one.kind: one for one in (Command, Contour, Here, Part, Slab, Edit, Crop, Fill, Copy, Go, Rename, Reply)
}


def from_json(found: dict[str, Any]) -> Intent:
    """The inverse of `as_json`.

    Raises
    ------
    KeyError, TypeError
        No such kind, or slots that it does not have.
    """
    slots: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k != "kind"}
    if "but" in slots:
        slots["but"] = tuple((way, float(mm)) for way, mm in slots["but"])
    if "polarity" in slots:
        slots["polarity"] = Polarity(slots["polarity"])
    return KINDS[found["kind"]](**slots)

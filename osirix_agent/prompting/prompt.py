"""What the clinician tells the segmenter. Positions are LPS millimetres; the journal stores prompts as they are."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

PointLps = tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class Polarity(StrEnum):
    INCLUDE = "include"
    EXCLUDE = "exclude"

    @property
    def sign(self) -> int:
        return 1 if self is Polarity.INCLUDE else -1


class _Prompt(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    polarity: Polarity = Polarity.INCLUDE


class PointPrompt(_Prompt):
    """A click."""

    kind: Literal["point"] = "point"
    position_lps: PointLps


class BoxPrompt(_Prompt):
    """A rectangle on one slice of some viewer: its four corners in order round it."""

    kind: Literal["box"] = "box"
    corners_lps: tuple[PointLps, PointLps, PointLps, PointLps]


class ScribblePrompt(_Prompt):
    """An open stroke: it runs over what is meant."""

    kind: Literal["scribble"] = "scribble"
    points_lps: tuple[PointLps, ...] = Field(min_length=2)


class LassoPrompt(_Prompt):
    """Closed rings on one slice, even-odd: the structure's outline there, to be refined."""

    kind: Literal["lasso"] = "lasso"
    rings_lps: tuple[Annotated[tuple[PointLps, ...], Field(min_length=3)], ...] = Field(min_length=1)


class MaskPrompt(_Prompt):
    """An existing contour on several slices, to start from: one lasso a slice."""

    kind: Literal["mask"] = "mask"
    slices: tuple[LassoPrompt, ...] = Field(min_length=1)


class ShapePrompt(_Prompt):
    """The contour as an edit in words left it: exactly this, until a later prompt says otherwise.

    Attributes
    ----------
    how : the edit, in the grammar's own words
    """

    kind: Literal["shape"] = "shape"
    slices: tuple[LassoPrompt, ...] = Field(min_length=1)
    how: str = Field(max_length=100)


class TextPrompt(_Prompt):
    """Words. Only the canonical phrase is kept; what was typed is not."""

    kind: Literal["text"] = "text"
    phrase: str = Field(max_length=400)


Prompt = Annotated[
    PointPrompt | BoxPrompt | ScribblePrompt | LassoPrompt | MaskPrompt | ShapePrompt | TextPrompt,
    Field(discriminator="kind"),
]


def prompt_points_lps(prompt: Prompt) -> tuple[PointLps, ...]:
    """Every position a prompt names; () for words."""
    match prompt:
        case PointPrompt():
            return (prompt.position_lps,)
        case BoxPrompt():
            return prompt.corners_lps
        case ScribblePrompt():
            return prompt.points_lps
        case LassoPrompt():
            return tuple(p for ring in prompt.rings_lps for p in ring)
        case MaskPrompt() | ShapePrompt():
            return tuple(p for lasso in prompt.slices for p in prompt_points_lps(lasso))
        case _:
            return ()

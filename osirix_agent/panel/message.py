"""What the page says, checked at the border; each becomes a request of the session or a change of what is shown."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from osirix_agent.agent.request import Calibrate, Draw, Sentence, Show, TakeOut, Turn, Wish
from osirix_agent.errors import PromptError
from osirix_agent.panel.plane import Plane
from osirix_agent.prompting.gaze.place import PageView
from osirix_agent.prompting.grammar import Command
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Polarity, Prompt, ScribblePrompt
from osirix_agent.settings import MAX_NAME_LENGTH

LONGEST_BYTES = 200_000  # of one message in words
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[ -~]+$")]
Place = tuple[FiniteFloat, FiniteFloat]
Extent = Annotated[FiniteFloat, Field(ge=1)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = 0


class Say(_Message):
    """A sentence, typed or heard."""

    do: Literal["say"]
    text: str = Field(min_length=1, max_length=400)
    heard: float = Field(1.0, ge=0, le=1)


class Sketch(_Message):
    """A shape on a slice: a point, two opposite corners of a box, the places of a stroke."""

    do: Literal["draw"]
    shape: Literal["point", "box", "scribble"]
    plane: int = Field(ge=0, le=2)
    index: int = Field(ge=0)
    points: tuple[Place, ...] = Field(min_length=1, max_length=2000)
    include: bool = True
    structure: Name | None = None


class Press(_Message):
    """A button."""

    do: Literal["press"]
    verb: Literal[
        "undo", "redo", "accept", "reopen", "reject", "lock", "unlock", "release", "use", "next", "isolines", "propose"
    ]
    name: Name | None = None


class Remove(_Message):
    """A prompt of the history."""

    do: Literal["take_out"]
    number: int


class LookAt(_Message):
    """Another slice is shown on the page; `turn`: OsiriX is to show it too."""

    do: Literal["look"]
    plane: int = Field(ge=0, le=2)
    index: int = Field(ge=0)
    turn: bool = False


class Gaze(_Message):
    """A step of calibrating the eyes; `at`: CSS pixels of the page's viewport."""

    do: Literal["calibrate"]
    step: Literal["begin", "aim", "seen", "fit", "forget"]
    at: Place = (0.0, 0.0)


class Visible(_Message):
    """What the page shows where, to eyes: a slice, and CSS pixels of the viewport.

    corner: upper left of the picture, seen or not; size: of the picture; box: left, top, right, bottom of what is seen
    of it. No box: nothing that could be looked at.
    """

    do: Literal["visible"]
    plane: int = Field(0, ge=0, le=2)
    index: int = Field(0, ge=0)
    corner: Place = (0.0, 0.0)
    size: tuple[Extent, Extent] = (1.0, 1.0)
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None


class Pointer(_Message):
    """Where the mouse pointer is, shares of the screen; it stands for the eyes in a demonstration."""

    do: Literal["pointer"]
    at: Place


Message = Annotated[Say | Sketch | Press | Remove | LookAt | Gaze | Visible | Pointer, Field(discriminator="do")]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


def wish(message: Message, planes: tuple[Plane, ...]) -> Wish | None:
    """What the session is asked; None if only the page is concerned.

    Raises
    ------
    PromptError
        A shape that means nothing.
    """
    match message:
        case Say():
            return Sentence(message.text, message.heard)
        case Press():
            return Command(message.verb, message.name)
        case Remove():
            return TakeOut(message.number)
        case Pointer():
            return None
        case LookAt():
            return Turn(message.index) if message.turn and message.plane == 0 else None
        case Gaze():
            return Calibrate(message.step, message.at)
        case Visible():
            return Show(_view(message, planes[message.plane]))
        case Sketch():
            return Draw(_prompt(message, planes[message.plane]), message.structure)


def _view(visible: Visible, plane: Plane) -> PageView | None:
    if visible.box is None:
        return None
    (rows, columns), (wide, tall) = plane.shape, visible.size
    edge, right, down = plane.to_kji(
        min(visible.index, plane.count - 1), [(-0.5, -0.5), (-0.5, columns - 0.5), (rows - 0.5, -0.5)]
    )
    return PageView(
        plane.axis,
        visible.box,
        visible.corner,
        _triple(edge),
        _triple((right - edge) / wide),
        _triple((down - edge) / tall),
    )


def _prompt(sketch: Sketch, plane: Plane) -> Prompt:
    polarity = Polarity.INCLUDE if sketch.include else Polarity.EXCLUDE
    points = np.array(sketch.points)
    if sketch.shape == "box":
        if len(points) != 2 or np.abs(points[1] - points[0]).min() < 1:
            raise PromptError("The box has no area.", "Draw it from corner to corner.")
        (top, left), (bottom, right) = points
        points = np.array([(top, left), (top, right), (bottom, right), (bottom, left)])
    at = [_triple(one) for one in plane.geometry.to_lps(plane.to_kji(sketch.index, points))]
    if sketch.shape == "point":
        return PointPrompt(position_lps=at[0], polarity=polarity)
    if sketch.shape == "box":
        return BoxPrompt(corners_lps=(at[0], at[1], at[2], at[3]), polarity=polarity)
    if len(at) < 2:
        raise PromptError("The stroke is empty.", "Draw it again.")
    return ScribblePrompt(points_lps=tuple(at), polarity=polarity)


def _triple(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z

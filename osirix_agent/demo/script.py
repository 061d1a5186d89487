"""What the demo's clinician does: clicks by the benchmark's rule, a box, an edit by hand, an undo, an accept; with
`--voice` she says what is not a click."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from osirix_agent.training.clicks import middle_box, next_click
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.roi import ToolMode

BoolArray = npt.NDArray[np.bool_]
CLICKS_BEFORE_BOX, CLICKS, LOOKS = 1, 5, 3


@dataclass(frozen=True)
class Action:
    """One thing she does; `command` is told to the agent, `says` is said aloud, the rest happens in the viewer."""

    text: str
    act: Callable[[], None]
    command: str | None = None
    says: str | None = None
    is_click: bool = False


def scripted(
    clinician: Clinician, truth: BoolArray | None, proposal: Callable[[], BoolArray], name: str, *,
    by_voice: bool = False,
) -> Iterator[Action]:  # fmt: skip
    """The demo's actions, each decided when it is its turn.

    Parameters
    ----------
    truth : (k, j, i) bool or None
        None: nothing is known of the image; she clicks where it is not air.
    proposal : callable
        The mask she sees now.
    name : str
        Structure's name, given with the first prompt.
    by_voice : bool
        She speaks: edits in millimetres, undo, where to look, accept.
    """
    if by_voice:
        steps = _with_truth(clinician, truth, proposal, name) if truth is not None else _without_truth(clinician, name)
        first = next(steps, None)
        if first is not None:
            yield first
        yield _said("grow by three millimetres")
        yield _said("undo the last step")
        yield from steps
        yield _said("smooth by two millimetres")
        yield _said("where should I look")
        yield _said("hide the uncertainty")
        yield _said("accept")
        return
    if truth is None:
        yield from _without_truth(clinician, name)
    else:
        yield from _with_truth(clinician, truth, proposal, name)
    for n in range(LOOKS):
        yield Action(f"look {n + 1}: next", lambda: None, command="next")
    yield _edit(clinician, name)
    yield Action("undo", lambda: None, command="undo")
    yield Action("accept", lambda: None, command="accept")


def _said(sentence: str) -> Action:
    return Action(f'says "{sentence}"', lambda: None, says=sentence)


def _with_truth(
    clinician: Clinician, truth: BoolArray, proposal: Callable[[], BoolArray], name: str
) -> Iterator[Action]:
    for n in range(CLICKS):
        if n == CLICKS_BEFORE_BOX:
            yield _box(clinician, truth)
        click = next_click(truth, proposal())
        if click is None:
            return
        k, j, i = click.kji
        sign = "include" if click.include else "exclude"

        def act(k: int = k, j: int = j, i: int = i, sign: str = sign, n: int = n) -> None:
            # the name carries the sign only where the position would say otherwise
            inside = bool(proposal()[k, j, i])
            mark = "" if inside == (sign == "exclude") else {"include": "+", "exclude": "-"}[sign]
            label = f"{mark}{name}" if n == 0 or mark else None
            clinician.point((i + 0.5, j + 0.5), k=k, name=label)

        yield Action(f"click {n + 1}: {sign}", act, is_click=True)


def _box(clinician: Clinician, truth: BoolArray) -> Action:
    k, top, bottom, left, right = middle_box(truth)
    return Action(
        "box, middle slice",
        lambda: _ignore(clinician.box((left, top), (right + 1 - left, bottom + 1 - top), k=k)),
    )


def _without_truth(clinician: Clinician, name: str) -> Iterator[Action]:
    slices = clinician.viewer.pixes[0]
    k = len(slices) // 2
    image = slices[k].image
    body = image > (np.min(image) + 0.25 * (np.percentile(image, 99) - np.min(image)))
    rows, columns = np.nonzero(body)
    j, i = int(np.median(rows)), int(np.median(columns))
    r = max(4, min(image.shape) // 20)
    yield Action("click 1", lambda: _ignore(clinician.point((i + 0.5, j + 0.5), k=k, name=name)), is_click=True)
    yield Action("box", lambda: _ignore(clinician.box((i - r, j - r), (2 * r, 2 * r), k=k)))
    yield Action(
        "click 2: exclude",
        lambda: _ignore(clinician.point((i + 2.5 * r, j + 0.5), k=k, name="-")),
        is_click=True,
    )


def _edit(clinician: Clinician, name: str) -> Action:
    """She takes a vertex of the contour on the displayed slice and pulls it outwards."""

    def act() -> None:
        found = [
            roi for roi in clinician.rois()
            if roi.name.startswith(f"{name} ~draft") and roi.itype == ToolMode.CLOSED_POLYGON
        ]  # fmt: skip
        if not found:
            return
        here = [roi for roi in found if roi in clinician.viewer.current_rois] or found
        roi = max(here, key=lambda r: len(r.points))
        clinician.scroll_to(next(k for _, k, r in clinician.viewer.all_rois() if r is roi))
        centre = roi.points.mean(0)
        vertex = int(np.argmax(np.linalg.norm(roi.points - centre, axis=1)))
        x, y = centre + 1.15 * (roi.points[vertex] - centre)
        clinician.move_vertex(roi, vertex, (float(x), float(y)))

    return Action("edit: pull a vertex", act)


def _ignore(_: object) -> None:
    return None

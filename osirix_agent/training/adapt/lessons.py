"""What a log teaches: accepted contours, each with its image, its prompts and how much of it is the clinician's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import JournalError, LearningError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import dice, mask_from_bytes
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import Prompt
from osirix_agent.record.chain import read_head
from osirix_agent.record.events import Believed, Decided, PromptChanged, SessionStarted, SliceEdited
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.sessions import Session, read_session

BoolArray = npt.NDArray[np.bool_]

SAME_PLACE_MM = 0.1  # corners of the image in the log and of that in the folder


@dataclass(frozen=True, eq=False)
class Lesson:
    """One accepted contour.

    Attributes
    ----------
    session : id; a session may accept several structures
    head : last link of its journal's chain
    patient, clinician : pseudonyms
    mask : (k, j, i) bool, as it was accepted
    prompts : those that stood when it was accepted, oldest first
    edited : slices that she drew or changed by hand
    follows : Dice with the proposal that it is most like, off those slices; None: nothing was proposed
    """

    session: str
    head: str
    patient: str
    clinician: str | None
    structure: str
    volume: Volume
    mask: BoolArray
    prompts: tuple[Prompt, ...] = ()
    edited: frozenset[int] = frozenset()
    follows: float | None = None

    @property
    def anchored(self) -> float:
        """Share of the contour's slices that are the model's output, not drawn by hand."""
        held = np.flatnonzero(self.mask.any((1, 2)))
        return 0.0 if self.follows is None else float(np.mean([int(k) not in self.edited for k in held]))


def sessions_with(paths: Iterable[Path], structure: str, clinician: str | None = None) -> list[Session]:
    """Those in which such a structure was accepted.

    Parameters
    ----------
    structure : beginning of names, as an adapter serves them
    clinician : pseudonym; None: all
    """
    read = (read_session(path) for path in paths)
    return [
        session for session in read
        if clinician in (None, session.started.clinician) and any(
            isinstance(e, Decided) and e.decision == "accepted" and _named(e.structure, structure)
            for e in session.events
        )
    ]  # fmt: skip


def lessons_of(
    sessions: Iterable[Session], images: Callable[[Callable[[str], bool]], Iterable[tuple[str, Volume]]],
    pseudonyms: Pseudonyms, structure: str,
) -> Iterator[Lesson]:  # fmt: skip
    """Every contour that was accepted last in a session and whose image is there, image by image.

    Parameters
    ----------
    images : gives those series (UID, image) whose UID is wanted

    Raises
    ------
    LearningError
        The image of a session has another grid or place than it had then.
    """
    held: dict[str, list[Session]] = {}
    for session in sessions:
        held.setdefault(session.started.series, []).append(session)
    for uid, volume in images(lambda uid: pseudonyms.of(uid) in held):
        for session in held[pseudonyms.of(uid)]:
            yield from _accepted(session, placed(volume, session.started), structure)


def _named(name: str, structure: str) -> bool:
    return name.upper().startswith(structure.upper())


def _accepted(session: Session, volume: Volume, structure: str) -> Iterator[Lesson]:
    prompts: dict[tuple[str, int], Prompt] = {}
    edited: dict[str, set[int]] = {}
    shown: dict[str, list[str]] = {}
    last: dict[str, Lesson] = {}
    head = read_head(session.path)
    for event in session.events:
        match event:
            case PromptChanged():
                prompts.pop((event.structure, event.number), None)
                if event.change in ("added", "changed"):
                    prompts[event.structure, event.number] = event.prompt
            case SliceEdited():
                edited.setdefault(event.structure, set()).add(event.fixed.k)
            case Believed():
                shown.setdefault(event.structure, []).append(event.mask)
            case Decided() if event.decision == "accepted" and event.mask and _named(event.structure, structure):
                name = event.structure
                mask, hers = _mask(session, event.mask, volume.geometry), frozenset(edited.get(name, ()))
                last[name] = Lesson(
                    session.id, head.link if head else "", session.started.patient, session.started.clinician, name,
                    volume, mask, tuple(p for (of, _), p in prompts.items() if of == name), hers,
                    _follows(session, mask, hers, shown.get(name, ())),
                )  # fmt: skip
            case _:
                pass
    yield from (lesson for lesson in last.values() if lesson.mask.any())


def _follows(session: Session, mask: BoolArray, edited: frozenset[int], shown: Iterable[str]) -> float | None:
    left = [k for k in range(len(mask)) if k not in edited]
    proposed = (mask_from_bytes(session.store.get(address)) for address in reversed(dict.fromkeys(shown)))
    return max((dice(mask[left], one[left]) for one in proposed if one.shape == mask.shape), default=None)


def _mask(session: Session, address: str, geometry: Geometry) -> BoolArray:
    try:
        mask = mask_from_bytes(session.store.get(address))
    except ValueError:
        raise JournalError(f"{address[:12]} in the store is no mask.", "Restore the folder 'store'.") from None
    if mask.shape != geometry.shape_kji:
        raise LearningError(
            f"A contour of session {session.id} lies on another grid than its image.", "Leave the session out."
        )
    return mask


def placed(volume: Volume, started: SessionStarted) -> Volume:
    """The image with its slices in the order of the session's viewer.

    Raises
    ------
    LearningError
        It is another grid: resampled, cropped or moved since.
    """
    for turned in (volume, backwards(volume)):
        if started.shape_kji == turned.geometry.shape_kji and _corners_meet(turned.geometry, started):
            return turned
    raise LearningError(
        f"The image that session {started.run} was about has another grid or place in the folder.",
        "Give the images as they were when they were contoured.",
    )


def backwards(volume: Volume) -> Volume:
    geometry = volume.geometry
    x, y, z = (float(v) for v in geometry.to_lps((geometry.shape_kji[0] - 1, 0, 0)))
    axis = geometry.axes_lps[0]
    turned = replace(geometry, origin_lps=(x, y, z), axes_lps=((-axis[0], -axis[1], -axis[2]), *geometry.axes_lps[1:]))
    return Volume(np.ascontiguousarray(volume.array[::-1]), turned, volume.modality)


def _corners_meet(geometry: Geometry, started: SessionStarted) -> bool:
    if started.frame is None:  # before schema 3: only the grid is known
        return True
    logged = Geometry(started.shape_kji, started.frame.origin_lps, started.spacing_kji_mm, started.frame.axes_lps)
    corners = np.array([(0, 0, 0), np.array(started.shape_kji) - 1, (0, started.shape_kji[1] - 1, 0)])
    return bool(np.abs(geometry.to_lps(corners) - logged.to_lps(corners)).max() <= SAME_PLACE_MM)

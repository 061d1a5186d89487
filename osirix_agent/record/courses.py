"""How a structure came to be accepted: answer by answer, each beside the contour that was accepted in the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from osirix_agent.errors import JournalError
from osirix_agent.imaging.mask import BoolArray, mask_from_bytes
from osirix_agent.record.events import Believed, Decided, Proposed
from osirix_agent.record.sessions import Session


@dataclass(frozen=True)
class Answer:
    """One answer on the way.

    Attributes
    ----------
    event : int
        Line of the journal, from 1.
    proposed : Proposed
    believed : Believed or None
        None: it did not get into the store.
    """

    event: int
    proposed: Proposed
    believed: Believed | None


@dataclass(frozen=True)
class Course:
    """One structure, up to one decision."""

    structure: str
    decided: Decided
    answers: tuple[Answer, ...]


def courses(session: Session) -> Iterator[Course]:
    """Of every decision of a session, in its order."""
    open_: dict[str, list[Answer]] = {}
    for number, event in enumerate(session.events, 1):
        match event:
            case Proposed():
                answer = Answer(number, event, session.believed.get(event.request_digest))
                open_.setdefault(event.structure, []).append(answer)
            case Decided():
                yield Course(event.structure, event, tuple(open_.pop(event.structure, ())))


def stored(session: Session, address: str | None) -> bytes | None:
    """Content by its address; None: it was not kept, or the store was not brought along."""
    try:
        return None if address is None else session.store.get(address)
    except JournalError:
        return None


def stored_mask(session: Session, address: str | None) -> BoolArray | None:
    """(k, j, i) bool on the volume; None as `stored`."""
    content = stored(session, address)
    return None if content is None else mask_from_bytes(content)

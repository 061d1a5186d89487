"""Replay a journal: ask the segmenter every recorded request again and compare the masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from osirix_agent.agent.outline import outline_belief
from osirix_agent.agent.proposals import segment
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import JournalError
from osirix_agent.imaging.volume import Volume
from osirix_agent.record.events import Event, Proposed, SessionStarted, StructureLocked
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest, Segmenter


@dataclass(frozen=True)
class ReplayedRequest:
    """One recorded request and how it came out this time."""

    number: int
    structure: str
    same: bool
    recorded: str
    replayed: str


def check_image(events: Iterable[Event], volume: Volume) -> bool:
    """Is it bit for bit the image of the journal?

    Raises
    ------
    JournalError
        Another size: certainly another image.
    """
    started = next(e for e in events if isinstance(e, SessionStarted))
    if started.shape_kji != volume.geometry.shape_kji:
        raise JournalError(
            f"The journal belongs to an image of {started.shape_kji} voxels, not {volume.geometry.shape_kji}.",
            "Give the folder of the series that was contoured (--dicom).",
        )
    return started.volume_digest == volume.digest


def recorded_requests(
    events: Iterable[Event], volume: Volume, answered: Callable[[str], Belief | None]
) -> Iterator[tuple[int, Proposed, SegmentationRequest]]:  # fmt: skip
    """Every request of a journal again, in the recorded order, with the line of its event.

    Parameters
    ----------
    answered : gives the mask of an earlier answer by its digest

    Raises
    ------
    JournalError
        A request keeps off a mask that is nowhere.
    """
    outlines: dict[str, Belief] = {}
    for number, event in enumerate(events, 1):
        if isinstance(event, StructureLocked):
            outline = outline_belief({s.k: s.rings_lps for s in event.slices}, volume.geometry)
            if outline is not None:
                outlines[outline.mask_digest] = outline
        if not isinstance(event, Proposed):
            continue
        excluded = [outlines.get(digest) or answered(digest) for digest in event.excluded]
        known = tuple(one for one in excluded if one is not None)
        if len(known) < len(excluded):
            raise JournalError(
                "A request keeps off a structure whose outline is not in the journal.",
                "Replay the journal it began in.",
            )
        fixed = tuple(FixedSlice(k=f.k, rings_lps=f.rings_lps) for f in event.fixed)
        yield number, event, SegmentationRequest(volume, event.structure, event.prompts, fixed, known)


def replay(events: Iterable[Event], volume: Volume, segmenter: Segmenter) -> list[ReplayedRequest]:
    """Every proposal of the journal again, in the recorded order."""
    masks: dict[str, Belief] = {}
    results: list[ReplayedRequest] = []
    for _, event, request in recorded_requests(events, volume, masks.get):
        recorded = event.mask_digest or f"refused: {event.refused}"
        answer = segment(segmenter, request)
        if answer.belief is not None:
            masks[answer.belief.mask_digest] = answer.belief
            replayed = answer.belief.mask_digest
            same = replayed == recorded
        else:
            replayed = f"refused: {answer.error.what if answer.error else ''}"
            same = event.refused is not None
        results.append(ReplayedRequest(len(results) + 1, event.structure, same, recorded, replayed))
    return results

"""`osirix-agent replay`: find the journal's image, ask every request again, compare the masks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osirix_agent.agent.recorded import open_viewers
from osirix_agent.agent.replay import ReplayedRequest, check_image, replay
from osirix_agent.errors import JournalError, OsirixAgentError
from osirix_agent.imaging.volume import Volume
from osirix_agent.record.events import SessionStarted
from osirix_agent.record.journal import read_journal
from osirix_agent.segmenter.choice import NAMES, make_segmenter
from osirix_agent.settings import Settings


@dataclass(frozen=True)
class ReplayOutcome:
    """How a replay came out.

    Attributes
    ----------
    segmenter, recorded_segmenter : str
        Names with the version, and the model's digest, now and in the journal.
    """

    image_is_identical: bool
    segmenter: str
    recorded_segmenter: str
    requests: list[ReplayedRequest]

    @property
    def same(self) -> bool:
        return all(request.same for request in self.requests)

    def as_json(self) -> dict[str, Any]:
        return {"image_is_identical": self.image_is_identical, "segmenter": self.segmenter,
                "recorded_segmenter": self.recorded_segmenter, "same": self.same,
                "requests": [asdict(request) for request in self.requests]}  # fmt: skip

    def print(self) -> None:
        good = sum(request.same for request in self.requests)
        print(f"{good} of {len(self.requests)} masks are identical.")
        if not self.image_is_identical:
            print("The image differs from the one in the journal in its values, so masks may differ.")
        if self.segmenter != self.recorded_segmenter:
            made = f"({self.recorded_segmenter}; this is {self.segmenter})"
            print(f"The journal was made with another segmenter {made}, so masks may differ.")
        for request in self.requests:
            if not request.same:
                print(f"  request {request.number} ({request.structure}): {request.recorded} -> {request.replayed}")


def replay_journal(path: Path, dicom: Path | None, settings: Settings) -> ReplayOutcome:
    """Replay on the journal's image.

    Raises
    ------
    JournalError
        Unreadable, newer, or its image is not to be found.
    """
    events = read_journal(path)
    started = next(e for e in events if isinstance(e, SessionStarted))
    beside = path.parent / "study"
    if dicom is None and beside.is_dir():
        dicom = beside
    volumes = _read_folder(dicom, settings)
    volume = next((v for v in volumes if v.digest == started.volume_digest), None)
    if volume is None:
        volume = next((v for v in volumes if v.geometry.shape_kji == started.shape_kji), None)
    if volume is None:
        raise JournalError(
            "The image of the journal was not found.",
            "Give the folder of the series that was contoured (--dicom).",
        )
    identical = check_image(events, volume)
    kind = next((k for k in NAMES if started.segmenter.startswith(k)), "model")
    segmenter = make_segmenter(settings.model_copy(update={"segmenter": kind}))
    return ReplayOutcome(identical, segmenter.name, started.segmenter, replay(events, volume, segmenter))


def _read_folder(dicom: Path | None, settings: Settings) -> list[Volume]:
    """Every series of a folder (none: those open in OsiriX), with the values that a session sees."""
    volumes = []
    with open_viewers(dicom, settings) as viewers:
        for viewer in viewers:
            with suppress(OsirixAgentError):  # a series that no session could have been about
                volumes.append(viewer.read_volume())
    return volumes

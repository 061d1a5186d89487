"""A journalled session, put together again without its viewer: the image it was about, and what was accepted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from osirix_agent.agent.interpret import fixed_slices
from osirix_agent.agent.marks import Marks
from osirix_agent.agent.proposals import Proposals
from osirix_agent.agent.resuming import Resumption
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.state import SessionState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import JournalError, OsirixAgentError
from osirix_agent.imaging.anatomy import ORGANS
from osirix_agent.imaging.volume import Volume
from osirix_agent.record.events import Event, SessionStarted
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer, displayed_viewers
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.pixel import PixelMap


@contextmanager
def open_viewers(dicom: Path | None, settings: Settings) -> Iterator[Iterator[OsirixViewer]]:
    """Viewers of every usable series: of a folder, read as OsiriX reads it; without a folder, those open in OsiriX."""
    if dicom is None:
        connection = OsirixConnection.find(settings)
        try:
            yield _usable(connection, settings)
        finally:
            connection.close()
        return
    from osirix_agent.virtual_osirix.app import VirtualOsirix
    from osirix_agent.virtual_osirix.server import VirtualServer

    app = VirtualOsirix()
    app.open_folder(dicom)
    with VirtualServer(app) as server, open_viewers(None, settings.model_copy(update={"server": server.address})) as v:
        yield v


def _usable(connection: OsirixConnection, settings: Settings) -> Iterator[OsirixViewer]:
    for uid in displayed_viewers(connection):
        try:
            yield OsirixViewer(connection, uid, settings)
        except OsirixAgentError:
            continue  # a series that no session could have been about


@contextmanager
def recorded_series(
    path: Path, started: SessionStarted, dicom: Path | None, settings: Settings, pseudonyms: Pseudonyms
) -> Iterator[tuple[OsirixViewer, Volume]]:
    """The image of a journal and a viewer of it: from a folder, from 'study' beside the journal, or from OsiriX.

    Raises
    ------
    JournalError
        It is not there, or its values are others.
    """
    beside = path.parent / "study"
    if dicom is None and beside.is_dir():
        dicom = beside
    found = False
    with open_viewers(dicom, settings) as viewers:
        for viewer in viewers:
            known = pseudonyms.of(viewer.identity.series_uid) == started.series
            found |= known
            if viewer.pixels.geometry.shape_kji == started.shape_kji:
                volume = viewer.read_volume()
                if volume.digest == started.volume_digest:
                    yield viewer, volume
                    return
    raise JournalError(
        "The series of the journal is there, but its values are others." if found
        else "The image of the journal was not found.",
        "Give the folder of the series that was contoured (--dicom).",
    )  # fmt: skip


def rebuilt(
    events: Sequence[Event], volume: Volume, pixels: PixelMap, segmenter: Segmenter, pseudonyms: Pseudonyms,
    names: Iterable[str] = (),
) -> SessionState:  # fmt: skip
    """The state that a session ended with; every proposal is asked for again and must come out as it was.

    Parameters
    ----------
    names : of structures that the journal may know only by pseudonym

    Raises
    ------
    JournalError
        It comes out otherwise: with another segmenter or model, or an incomplete journal.
    """
    session, marks = ContouringSession(volume, ""), Marks(pseudonyms)
    proposals = Proposals(segmenter, None, lambda _: None, lambda _: None, lambda *_: None)

    def beliefs() -> Mapping[str, Belief]:
        proposals.update(session, lambda: fixed_slices(session.state, pixels), wait=True)
        return proposals.shown

    resumption = Resumption(
        session, (), pixels, marks, {*ORGANS, *names}, lambda _: False, beliefs,
        lambda name: session.request(name, fixed_slices(session.state, pixels)), lambda _: None,
    )  # fmt: skip
    try:
        resumption.replay(events)
    except JournalError as error:
        recorded = next(event.segmenter for event in events if isinstance(event, SessionStarted))
        other = "" if recorded == segmenter.name else f" It was made with {recorded}; this is {segmenter.name}."
        raise JournalError(
            f"The contours of the journal do not come out as they were, so none are used.{other}",
            "Give the model that it was made with (--model-dir).",
        ) from error
    return session.state

"""Open a session: connect, bind the viewer, read the volume, start the journal and the engine."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from osirix_agent.agent.engine import Engine
from osirix_agent.agent.exporting import ExportOnAccept
from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.leftovers import SessionLedger
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.resuming import unfinished
from osirix_agent.agent.starting import starting_shapes
from osirix_agent.agent.waiting import SeriesFinder
from osirix_agent.errors import JournalError, NoServerError, OsirixAgentError, ViewerTimeoutError
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.guesser import Chooser, find_guesser
from osirix_agent.record.events import Event, SessionStarted
from osirix_agent.record.journal import Journal
from osirix_agent.record.keeping import Keeper
from osirix_agent.record.ledger import Ledger, SeriesLock
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.store import Store
from osirix_agent.segmenter.choice import make_segmenter
from osirix_agent.segmenter.protocol import LooksAhead, Segmenter
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer, displayed_viewers
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.protocol import Progress, SeriesIdentity


@dataclass(eq=False)
class OpenSession:
    """A running engine and what belongs to it."""

    engine: Engine
    connection: OsirixConnection
    viewer: OsirixViewer
    volume: Volume
    log: SessionLog
    journal_path: Path
    lock: SeriesLock
    keeping: Executor

    def close(self) -> None:
        self.keeping.shutdown(cancel_futures=True)
        self.log.close()
        self.lock.release()
        self.connection.close()


@dataclass(frozen=True)
class Start:
    """An RTSTRUCT or SEG file to start from; without names every structure of it."""

    file: Path
    structures: tuple[str, ...] = ()


def new_run_id() -> str:
    return secrets.token_hex(3)


def _chooser(settings: Settings) -> Chooser | None:
    if settings.language_model_dir is None:
        return find_guesser(settings)
    from osirix_agent.network.chooser import LanguageModelChooser

    return LanguageModelChooser(settings.language_model_dir)


def open_session(
    settings: Settings, feedback: Feedback, *, executor: Executor | None = None, progress: Progress | None = None,
    journal_path: Path | None = None, run: str | None = None, companions: bool = True,
    connect: Callable[[], OsirixConnection] | None = None, segmenter: Segmenter | None = None,
    clock: Callable[[], float] = time.monotonic, fresh: bool = False, start: Start | None = None,
) -> OpenSession:  # fmt: skip
    """Bind the frontmost viewer and start a session on it.

    Parameters
    ----------
    journal_path : Path or None
        None: a new file in the state folder, named by time and run.
    companions : bool
        Watch the other open viewers too.
    connect : callable or None
        Another way to OsiriX than the one that the settings name.
    segmenter : Segmenter or None
        Another one than the settings name.
    clock : callable
        Monotonic seconds.
    fresh : bool
        Begin a new session even if one on this series was cut short.
    start : Start or None
        Contours to begin a new session with.

    Raises
    ------
    OsirixAgentError
        Whatever stands in the way; nothing is left behind.
    """
    run = run or new_run_id()
    segmenter = segmenter or make_segmenter(settings)
    pseudonyms = Pseudonyms.at(settings.state_dir)
    connect = connect or (lambda: OsirixConnection.find(settings))
    connection = connect()
    lock: SeriesLock | None = None
    keeping = ThreadPoolExecutor(1, "keeping")
    try:
        viewer = OsirixViewer.frontmost(connection, settings)
        series = pseudonyms.of(viewer.identity.series_uid)
        lock = SeriesLock(settings.state_dir / "ledger" / f"{series}.lock")
        volume = viewer.read_volume(progress)
        if isinstance(segmenter, LooksAhead):
            segmenter.look(volume)
        shapes = [] if start is None else starting_shapes(
            start.file, volume, viewer.identity, start.structures, feedback.notice
        )  # fmt: skip
        ledger = SessionLedger(Ledger(settings.state_dir / "ledger" / f"{series}.jsonl"), viewer.identity, pseudonyms)

        chooser = _chooser(settings)

        def begin(run: str, path: Path, events: Sequence[Event] = ()) -> tuple[Engine, SessionLog]:
            journal = Journal(path, resume=bool(events), seal=pseudonyms.seal)
            store = Store.beside(path)
            store.clear_torn()
            log = SessionLog(
                journal, pseudonyms, time.time, clock, events, keeper=Keeper(store, keeping),
                keep_words=settings.study_keeps_words,
            )  # fmt: skip
            engine = Engine(
                viewer, volume, segmenter, log, ledger, feedback, settings, run, executor=executor, clock=clock,
                chooser=chooser,
            )  # fmt: skip
            try:
                if events:
                    engine.resume(events)
                else:
                    nth = len(list(path.parent.glob("*.jsonl")))
                    log.started(run, viewer.identity, volume, segmenter.name, settings, nth)
                    engine.start()
                    lock.note(path)
            except BaseException:
                log.close()
                if not events:  # nothing of hers is in it
                    log.discard()
                raise
            return engine, log

        shift_s = pseudonyms.shift_s(pseudonyms.of(viewer.identity.patient_id))
        path = journal_path or _journal_path(settings.state_dir, run, time.time() - shift_s)
        engine = log = None
        if not fresh and journal_path is None and lock.journal is not None:
            try:
                events = unfinished(lock.journal, series, volume, segmenter.name)
                if events:
                    engine, log = begin(_run_of(events), lock.journal, events)
                    path = lock.journal
            except JournalError as error:
                feedback.notice(str(error))
        if engine is None or log is None:
            engine, log = begin(run, path)
            engine.start_from(shapes)
        elif shapes:
            feedback.notice("The contours of the file are not read again: the session has them, or began without.")
        if settings.export_dir is not None:
            engine.on_accept = ExportOnAccept(viewer, settings.export_dir / engine.run, feedback)
        finder = SeriesFinder(viewer, connection, settings, connect)
        engine.wait_for(finder)
        if companions:
            engine.look_for_companions(_Companions(engine, finder, settings, feedback))
    except BaseException:
        if lock is not None:
            lock.release()
        keeping.shutdown(cancel_futures=True)
        connection.close()
        raise
    return OpenSession(engine, connection, viewer, volume, log, path, lock, keeping)


def _run_of(events: Sequence[Event]) -> str:
    return next(event.run for event in events if isinstance(event, SessionStarted))


def refusal_for(main: SeriesIdentity, other: SeriesIdentity) -> str | None:
    """Why prompts drawn on another series cannot be placed on this one; None: they share a frame of reference."""
    if main.frame_of_reference_uid is None or other.frame_of_reference_uid is None:
        return "The frame of reference of the second viewer cannot be read, so its place in the first is not known."
    if main.frame_of_reference_uid != other.frame_of_reference_uid:
        return "The second viewer has another frame of reference (it is not registered to the first)."
    return None


class _Companions:
    """Finds viewers that were opened beside the bound one; each is looked at once."""

    def __init__(self, engine: Engine, finder: SeriesFinder, settings: Settings, feedback: Feedback) -> None:
        self._engine, self._finder, self._settings, self._feedback = engine, finder, settings, feedback
        self._seen: set[str] = set()

    def __call__(self) -> None:
        connection, main = self._finder.connection, self._finder.viewer
        for uid in displayed_viewers(connection):
            if uid == main.uid or uid in self._seen:
                continue
            self._seen.add(uid)
            try:
                other = OsirixViewer(connection, uid, self._settings)
                self._engine.add_companion(other, refusal_for(main.identity, other.identity))
                self._feedback.notice("A second viewer is watched: prompts drawn in it from now on are read.")
            except ViewerTimeoutError:
                self._seen.discard(uid)  # it is still loading
            except NoServerError:
                self._seen.discard(uid)
                raise
            except OsirixAgentError as error:
                self._feedback.notice(f"A second viewer cannot be used for prompts: {error.what}")


def _journal_path(state_dir: Path, run: str, at: float) -> Path:
    """`at`: seconds since 1970, shifted as all dates of the patient are."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(at))
    return state_dir / "journal" / f"{stamp}-{run}-{os.getpid()}.jsonl"

"""A device or several, many sessions: who goes next."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from osirix_agent.errors import BusyError, SupersededError, UnreachableError


class Job:
    """Something to be done on the device for a session.

    Attributes
    ----------
    running, finished : bool
    key : equal ones ask for the same; None: for nothing that could be asked twice
    askers : how many wait for it
    """

    def __init__(self, session: str, act: Callable[[], Any], changed: threading.Condition, key: str | None) -> None:
        self.session, self._act, self._changed, self.key = session, act, changed, key
        self.running = self.finished = False
        self.askers = 1
        self._result: Any = None
        self._error: BaseException | None = None

    def wait(self, timeout_s: float) -> bool:
        """Until it is finished or the time is over; says whether it is finished."""
        with self._changed:
            self._changed.wait_for(lambda: self.finished, timeout_s)
            return self.finished

    def result(self) -> Any:
        """What came of it; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def run(self) -> None:
        try:
            result, error = self._act(), None
        except Exception as failure:  # the asker is told; the device goes on with the next
            result, error = None, failure
        self.end(result, error)

    def end(self, result: Any, error: BaseException | None) -> None:
        with self._changed:
            if not self.finished:  # an answer that comes after it was given up is dropped
                self._result, self._error, self.finished = result, error, True
                self._changed.notify_all()


class FairQueue:
    """Jobs of many sessions on one device: one running and one waiting job a session, sessions in turn.

    A newer job takes the place of its session's older one, which ends with SupersededError. One that runs already
    cannot be stopped on the device, but its asker is let go and its answer dropped. Whoever asks for the same again,
    as after a broken line, joins the job that there is.

    Parameters
    ----------
    longest : sessions that may wait at once; beyond, they are told to come back
    at_once : jobs that run side by side: more than one where there are several devices
    """

    def __init__(self, longest: int, at_once: int = 1) -> None:
        self._longest = longest
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, Job] = OrderedDict()  # by session; whoever was served goes to the end
        self._running: dict[str, Job] = {}  # by session
        self._closed = False
        self._workers = [threading.Thread(target=self._work, daemon=True, name="device") for _ in range(at_once)]
        for worker in self._workers:
            worker.start()

    def put(self, session: str, act: Callable[[], Any], key: str | None = None) -> Job:
        """Raises BusyError where too many wait, UnreachableError where the server is about to stop."""
        job = Job(session, act, self._changed, key)
        with self._changed:
            if self._closed:
                raise UnreachableError("The segmenter's server is being stopped.", "Try again in a minute.")
            older = self._waiting.get(session)
            if older is None and len(self._waiting) >= self._longest:
                raise BusyError(
                    f"The segmenter's server is busy: {len(self._waiting)} sessions are waiting for it.",
                    "Try again in a minute, or ask whoever runs it to raise serve_waiting.",
                )
            now = self._running.get(session)
            for old in (older, now):
                if old is not None and key is not None and old.key == key and not old.finished:
                    old.askers += 1
                    return old
            for old in (older, now):
                if old is not None:
                    old.end(None, _superseded())
            self._waiting[session] = job  # keeps its session's place
            self._changed.notify_all()
        return job

    def ahead_of(self, job: Job) -> int:
        """Jobs that go first."""
        with self._changed:
            order = list(self._waiting.values())
            return len(self._running) + order.index(job) if job in order else 0

    def cancel(self, session: str) -> None:
        """Let go whatever the session waits for."""
        with self._changed:
            for job in (self._waiting.pop(session, None), self._running.get(session)):
                if job is not None:
                    job.end(None, _superseded())

    def drop(self, job: Job) -> None:
        """An asker of it is gone."""
        with self._changed:
            job.askers -= 1
            if job.askers > 0:
                return
            if self._waiting.get(job.session) is job:
                del self._waiting[job.session]
            job.end(None, _superseded())

    def busy(self, session: str) -> bool:
        """Does it wait for anything?"""
        with self._changed:
            return session in self._waiting or session in self._running

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._waiting)

    def close(self, grace_s: float) -> bool:
        """Take no more jobs; wait for those there are. Says whether all were finished."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        until = time.monotonic() + grace_s
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
        return not any(worker.is_alive() for worker in self._workers)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next() or (self._closed and not self._waiting))
                session = self._next()
                if session is None:
                    return
                job = self._running[session] = self._waiting.pop(session)
                job.running = True
                self._changed.notify_all()
            job.run()
            with self._changed:
                del self._running[session]
                self._changed.notify_all()

    def _next(self) -> str | None:
        """The first session that waits and for which nothing runs (superseded, it still keeps its device)."""
        return next((session for session in self._waiting if session not in self._running), None)


def _superseded() -> SupersededError:
    return SupersededError("A newer request of the same session took its place.", "Nothing needs to be done.")

"""Faults on demand: what happens to calls in a real clinic's day, planned call by call.

`Faults` decides which fault a call meets. `install` lets a served `VirtualOsirix` meet them in real time;
`FaultyChannel` is the service without a network and without waiting, on a `VirtualClock`, for many short runs.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import grpc

from osirix_agent.errors import SettingsError
from osirix_agent.virtual_osirix.app import Unavailable, VirtualOsirix
from osirix_agent.virtual_osirix.server import DirectChannel

RPC_S = 0.001  # virtual time of an ordinary call
_TEXT = re.compile(r"^(?P<kind>[a-z-]+)(?::(?P<rpc>\w+))?(?:@(?P<nth>\d+))?(?:=(?P<seconds>[\d.]+))?$")


class FaultKind(StrEnum):
    LATENCY = "latency"  # the answer comes, but late
    LATE = "late"  # carried out only after the deadline; other calls are not held up
    DIALOG = "dialog"  # a modal dialog blocks the main thread: calls wait, and are carried out when it closes
    UNAVAILABLE = "unavailable"  # the call never arrives
    LOST_ANSWER = "lost-answer"  # the call is carried out, the answer is lost
    CLOSED = "closed"  # the front viewer is closed (its ROIs are saved) just before the call
    QUIT = "quit"  # OsiriX is quit (all ROIs are saved): all uids die
    CRASH = "crash"  # OsiriX crashes (nothing is saved): all uids die


SECONDS = {FaultKind.LATENCY: 2.0, FaultKind.LATE: 15.0, FaultKind.DIALOG: 25.0}


@dataclass(frozen=True)
class Fault:
    """One planned fault.

    Attributes
    ----------
    rpc : str or None
        The call that meets it; None: any.
    nth : int
        The how-manyth such call from now on.
    """

    kind: FaultKind
    rpc: str | None = None
    nth: int = 1
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Fault:
        """`KIND[:RPC][@NTH][=SECONDS]`, for example `dialog:ViewerControllerNewROI@3=20`."""
        match = _TEXT.match(text)
        if match is None or match["kind"] not in set(FaultKind):
            raise SettingsError(
                "That is no fault.", f"Write KIND[:RPC][@NTH][=SECONDS]; kinds: {', '.join(FaultKind)}."
            )
        kind = FaultKind(match["kind"])
        seconds = float(match["seconds"] or SECONDS.get(kind, 0.0))
        return cls(kind, match["rpc"], int(match["nth"] or 1), seconds)


class Faults:
    """Planned faults of one application; each happens once.

    Attributes
    ----------
    dialog_until : float
        In virtual time: until then a dialog holds the main thread, whoever calls.
    """

    def __init__(self) -> None:
        self.dialog_until = 0.0
        self._planned: list[list[Any]] = []  # [fault, matching calls still to come]
        self.met: list[Fault] = []
        self.each_call: Callable[[str], None] | None = None  # what she does between two calls, a drag say

    def plan(self, fault: Fault) -> None:
        self._planned.append([fault, fault.nth])

    def clear(self) -> None:
        self._planned.clear()
        self.each_call = None

    def fire(self, rpc: str) -> list[Fault]:
        """The faults that this call meets."""
        if self.each_call is not None:
            self.each_call(rpc)
        fired = []
        for entry in list(self._planned):
            if entry[0].rpc in (None, rpc):
                entry[1] -= 1
                if entry[1] <= 0:
                    self._planned.remove(entry)
                    fired.append(entry[0])
        self.met += fired
        return fired


def strike(app: VirtualOsirix, fault: Fault) -> None:
    """What a fault does to the application itself, just before the call."""
    with app.main_thread:
        if fault.kind == FaultKind.CLOSED and app.viewers:
            app.close_viewer(app.viewers[0])
        elif fault.kind == FaultKind.QUIT:
            app.quit()
        elif fault.kind == FaultKind.CRASH:
            app.crash()
    if app.crashed or fault.kind == FaultKind.UNAVAILABLE:
        raise Unavailable


def install(app: VirtualOsirix, faults: Faults, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Let every call of a served application meet its faults, in real time."""
    lost = threading.local()

    def before(rpc: str) -> None:
        lost.answer = False
        for fault in faults.fire(rpc):
            if fault.kind in (FaultKind.LATENCY, FaultKind.LATE):
                sleep(fault.seconds)
            elif fault.kind == FaultKind.DIALOG:
                _open_dialog(app, fault.seconds, sleep)
            lost.answer |= fault.kind == FaultKind.LOST_ANSWER
            strike(app, fault)

    def after(rpc: str) -> None:
        del rpc
        if lost.answer:
            raise Unavailable

    app.before_rpc, app.after_rpc = before, after


def _open_dialog(app: VirtualOsirix, seconds: float, sleep: Callable[[float], None]) -> None:
    opened = threading.Event()

    def hold() -> None:
        with app.main_thread:
            opened.set()
            sleep(seconds)

    threading.Thread(target=hold, daemon=True).start()
    opened.wait()


class VirtualClock:
    """Time that passes only when somebody waits; what is due meanwhile happens in between."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    @property
    def busy(self) -> bool:
        """Is something due?"""
        return bool(self._due)

    def at(self, moment: float, act: Callable[[], None]) -> None:
        self._count += 1
        self._due.append((moment, self._count, act))
        self._due.sort(key=lambda one: one[:2])

    def sleep(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            moment, _, act = self._due.pop(0)
            self.now = max(self.now, moment)
            act()
        self.now = max(self.now, end)


class DirectError(grpc.RpcError):
    """What a client without a network sees of a failed call."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code)
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class FaultyChannel(DirectChannel):
    """Calls in place, which meet faults and deadlines in virtual time."""

    def __init__(self, app: VirtualOsirix, faults: Faults, clock: VirtualClock) -> None:
        super().__init__(app)
        self._app, self._faults, self._clock = app, faults, clock

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any) -> Any:
        call = super().unary_unary(method, request_serializer, response_deserializer, **options)
        return _FaultyCall(self, method.rsplit("/", 1)[-1], call)

    def deliver(self, rpc: str, act: Callable[[], Any], timeout_s: float) -> Any:
        """The call's answer, if it comes in time."""
        clock, launch = self._clock, self._app.launches
        began = clock.now
        delay = RPC_S
        fired = self._faults.fire(rpc)
        try:
            if self._app.crashed:
                raise Unavailable
            for fault in fired:
                if fault.kind in (FaultKind.LATENCY, FaultKind.LATE):
                    delay = fault.seconds
                elif fault.kind == FaultKind.DIALOG:
                    self._faults.dialog_until = began + fault.seconds
                elif fault.kind in (FaultKind.QUIT, FaultKind.CRASH):
                    self._faults.dialog_until = 0.0  # it goes with the application
                strike(self._app, fault)
            starts = max(began + delay, self._faults.dialog_until)
            if starts - began > timeout_s:  # the handler waits for the main thread; the client does not
                clock.at(starts, lambda: self._late(act, launch))
                clock.sleep(timeout_s)
                raise DirectError(grpc.StatusCode.DEADLINE_EXCEEDED)
            clock.sleep(starts - began)
            if self._app.crashed or self._app.launches != launch:
                raise Unavailable
            answer = act()
            if any(fault.kind == FaultKind.LOST_ANSWER for fault in fired):
                raise Unavailable
        except Unavailable:
            clock.sleep(RPC_S)
            raise DirectError(grpc.StatusCode.UNAVAILABLE) from None
        return answer

    def _late(self, act: Callable[[], Any], launch: int) -> None:
        if not self._app.crashed and self._app.launches == launch:
            act()


class _FaultyCall:
    def __init__(self, channel: FaultyChannel, rpc: str, call: Any) -> None:
        self._channel, self._rpc, self._call = channel, rpc, call

    def __call__(self, request: Any, timeout: float | None = None) -> Any:
        return self._channel.deliver(self._rpc, lambda: self._call(request), timeout or float("inf"))

    def future(self, request: Any, timeout: float | None = None) -> futures.Future[Any]:
        done: futures.Future[Any] = futures.Future()
        try:
            done.set_result(self(request, timeout))
        except DirectError as error:
            done.set_exception(error)
        return done

"""A server put together, started and stopped: `osirix-agent serve`."""

from __future__ import annotations

import ctypes
import math
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from osirix_agent.errors import CertificateError, SettingsError
from osirix_agent.segmenter.choice import plain_segmenter
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.segmenter.server.metrics import Metrics, log_line
from osirix_agent.segmenter.server.service import LOCAL, Limits, SegmenterService, Tell
from osirix_agent.segmenter.server.tls import (
    NEEDED,
    Identity,
    clients,
    days_left,
    fingerprint,
    identity,
    init_tls,
    pair,
)
from osirix_agent.segmenter.server.unit import launchd_agent, systemd_unit
from osirix_agent.segmenter.server.unreadable import Reader
from osirix_agent.segmenter.wire import PROTOCOL
from osirix_agent.segmenter.wire.dialling import is_loopback
from osirix_agent.segmenter.wire.pairing import WARN_DAYS
from osirix_agent.segmenter.wire.segmenter_pb2_grpc import add_SegmenterServicer_to_server
from osirix_agent.settings import Settings

THREADS = 64
M_ARENA_MAX, HEAPS = -8, 2  # <malloc.h>
SERVICE = "osirix_agent.segmenter.v1.Segmenter"
PATHS = ("--tls", "--model-dir")
GB = 1e9

STOP_S = 5.0  # gRPC may miss that a broken call has ended, and then never says that it has stopped


class SegmenterServer:
    """A gRPC server round a segmenter; a context manager in tests.

    Parameters
    ----------
    tls : folder of `tls.init_tls`, or None: no TLS, which loopback alone may do
    port : 0 takes a free one

    Raises
    ------
    SettingsError
        Beyond loopback without TLS, or the port is taken.
    CertificateError
        The folder's certificate is missing, has ended or can be read by others.
    """

    def __init__(
        self, segmenter: Segmenter, limits: Limits, tls: Path | None, host: str = "127.0.0.1", port: int = 0,
        tell: Tell = log_line, clock: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        if tls is None and not is_loopback(host):
            raise SettingsError(
                f"Without TLS the segmenter is served on this machine only, not on {host}.",
                "Make certificates with 'osirix-agent serve --init-tls FOLDER', and serve with --tls FOLDER.",
            )
        shown = identity(tls) if tls is not None else None
        known = _paired(tls) if tls is not None else (lambda client: client == LOCAL)
        options = {} if clock is None else {"clock": clock}
        self.service = SegmenterService(segmenter, limits, known, tell, **options)
        self._tell, self._stop = tell, threading.Event()
        self._grpc = grpc.server(
            ThreadPoolExecutor(THREADS, thread_name_prefix="rpc"), maximum_concurrent_rpcs=THREADS,
            interceptors=(Reader(SERVICE),),
            options=[
                ("grpc.max_receive_message_length", limits.longest_message),
                ("grpc.so_reuseport", 0),  # two servers on one port would share its callers
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ],
        )  # fmt: skip
        add_SegmenterServicer_to_server(self.service, self._grpc)
        self._health = _add_health(self._grpc)
        where = f"{host}:{port}"
        try:
            if shown is None:
                self.port = self._grpc.add_insecure_port(where)
            else:
                self.port = self._grpc.add_secure_port(where, _credentials(shown))
        except RuntimeError:
            self.service.queue.close(0)
            raise SettingsError(f"Nothing can be served at {where}.", "Choose a free port with --port.") from None
        self.address = f"{'grpc' if shown is None else 'grpcs'}://{host}:{self.port}"

    def start(self) -> None:
        self._grpc.start()
        threading.Thread(target=self._tidy, daemon=True, name="tidy").start()
        self._tell("started", protocol=PROTOCOL, tls=self.address.startswith("grpcs"))

    def drain(self, grace_s: float) -> bool:
        """Take nothing new, finish what is there, stop; says whether all was finished."""
        self.service.stopping = True
        self._health(False)
        finished = self.service.queue.close(grace_s)
        self._grpc.stop(1.0).wait(1.0 + STOP_S)
        self._stop.set()
        self._tell("stopped", finished=finished)
        return finished

    def kill(self) -> None:
        """Stop as a crash would: whoever waits is cut off."""
        self._stop.set()
        stopping = threading.Thread(target=self._grpc.stop, args=(None,), daemon=True)  # it can wait for ever
        stopping.start()
        stopping.join(STOP_S)

    def _tidy(self) -> None:
        while not self._stop.wait(1.0):
            self.service.tidy()

    def __enter__(self) -> SegmenterServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.service.queue.close(0)


def serve(
    settings: Settings, host: str, port: int, tls: Path | None, metrics_port: int | None,
    nninteractive_port: int | None = None, ray: str | None = None, replicas: str | None = None,
    ready: Callable[[str], None] = lambda line: print(line, flush=True),
) -> None:  # fmt: skip
    """Serve the settings' segmenter until SIGTERM or Ctrl-C, then finish what is being worked on.

    Parameters
    ----------
    ray, replicas : as of `cluster.clustered`; None: the segmenter runs in this process
    """
    if settings.segmenter.startswith(("grpc://", "grpcs://")):
        raise SettingsError("A server's segmenter runs on its own machine.", "Choose --segmenter auto or model.")
    if tls is not None:
        _warn_of_expiry(identity(tls), tls)
    few_heaps()
    metrics = _metrics()

    def tell(event: str, **fields: Any) -> None:
        log_line(event, **fields)
        metrics.tell(event, **fields)

    with ExitStack() as stack:
        limits = limits_of(settings)
        if ray is None:
            segmenter = plain_segmenter(settings)
        else:
            from osirix_agent.segmenter.server.cluster import clustered

            segmenter = cluster = stack.enter_context(clustered(settings, ray, replicas))
            limits = replace(limits, at_once=2 * cluster.most)  # one at work and one at hand for each device
        server = SegmenterServer(segmenter, limits, tls, host, port, tell)
        left = (lambda: days_left(identity(tls).expires_at)) if tls is not None else (lambda: math.inf)
        metrics.watch(server.service, left)
        if metrics_port is not None:
            try:
                metrics.serve(metrics_port)
            except OSError:
                raise SettingsError(f"Port {metrics_port} is taken.", "Choose another with --metrics-port.") from None
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        door = None
        if nninteractive_port is not None:
            from osirix_agent.segmenter.server.nninteractive import NnInteractiveDoor

            door = NnInteractiveDoor(server.service, settings.structure, nninteractive_port)
        server.start()
        if door is not None:
            ready(f"nnInteractive's clients on this machine: {door.address}")
        ready(f"Serving at {server.address}; Ctrl-C finishes what is being worked on and stops.")
        while not stop.wait(24 * 3600):
            if tls is not None:
                _warn_of_expiry(identity(tls), tls)
        server.drain(settings.serve_grace_s)
        if door is not None:
            door.close()


def few_heaps() -> None:
    """Keep glibc from giving gRPC's threads heaps of their own: each would hold on to the most it ever needed."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, HEAPS)


def make_certificates(folder: Path, ready: Callable[[str], None] = print) -> None:
    """`serve --init-tls FOLDER`."""
    first = init_tls(folder, datetime.now(UTC))
    if first is None:
        ready(f"The server's certificate in {folder} is new; pairings stay as they are. Start the server again.")
    else:
        ready(
            f"Serve with: osirix-agent serve --host HOST --tls '{folder}'\n"
            f"Carry {first} to the agent's machine, and delete it here. It is a key: send it by no open mail."
        )


def make_pairing(folder: Path, name: str, ready: Callable[[str], None] = print) -> None:
    """`serve --tls FOLDER --pair NAME`."""
    ready(f"Carry {pair(folder, name, datetime.now(UTC))} to that machine, and delete it here.")


def print_unit(kind: str, given: list[str], settings: Settings, ready: Callable[[str], None] = print) -> None:
    """`serve ... --unit KIND`: what keeps that command running, without the last two words."""
    at = given.index("--unit") if "--unit" in given else next(n for n, w in enumerate(given) if w[:7] == "--unit=")
    kept = given[:at] + given[at + (2 if given[at] == "--unit" else 1) :]
    program = shutil.which("osirix-agent") or sys.argv[0]
    make = {"systemd": systemd_unit, "launchd": launchd_agent}[kind]
    paths = [str(Path(word).expanduser().absolute()) if before in PATHS else word
             for before, word in zip(["", *kept], kept, strict=False)]  # fmt: skip
    ready(make([str(Path(program).absolute()), *paths], settings.serve_grace_s).rstrip())


def limits_of(settings: Settings) -> Limits:
    return Limits(
        each_client=int(settings.serve_client_gb * GB), all_clients=int(settings.serve_memory_gb * GB),
        sessions=settings.serve_sessions, waiting=settings.serve_waiting, idle_s=settings.serve_idle_s,
    )  # fmt: skip


def _paired(folder: Path) -> Callable[[str], bool]:
    """Is a fingerprint among the folder's clients? Read anew whenever the file has changed."""
    seen: dict[str, Any] = {"at": None, "clients": {}}

    def known(client: str) -> bool:
        try:
            at = (folder / "clients.txt").stat().st_mtime_ns
        except OSError:
            return False
        if at != seen["at"]:
            seen.update(at=at, clients=clients(folder))
        return client in seen["clients"]

    return known


def _credentials(shown: Identity) -> Any:
    if days_left(shown.expires_at) <= 0:
        raise CertificateError("The server's certificate has ended.", "Renew it: osirix-agent serve --init-tls FOLDER")
    return grpc.ssl_server_credentials(
        [(shown.key, shown.certificate)], root_certificates=shown.authority, require_client_auth=True
    )


def _warn_of_expiry(shown: Identity, folder: Path) -> None:
    left = days_left(shown.expires_at)
    if left < WARN_DAYS:
        log_line("certificate", client=fingerprint(shown.certificate)[:12], days_left=left,
                 cure=f"osirix-agent serve --init-tls '{folder}'")  # fmt: skip


def _add_health(server: Any) -> Callable[[bool], None]:
    """grpc.health.v1, for whoever watches over servers; gives a function that says whether we serve."""
    try:
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    except ImportError:
        raise SettingsError("Serving needs packages that are not installed.", NEEDED) from None
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)

    def serving(yes: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if yes else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            servicer.set(name, status)

    serving(True)
    return serving


def _metrics() -> Metrics:
    try:
        return Metrics()
    except ImportError:
        raise SettingsError("Serving needs packages that are not installed.", NEEDED) from None

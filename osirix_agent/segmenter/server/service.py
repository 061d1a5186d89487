"""The service around any segmenter: leases, volumes, the queue, and one line of log for each thing that happens.

Handlers run on gRPC's threads; the segmenter runs on the queue's one thread. Logs name a client by the beginning of
its certificate's fingerprint and a session by a name of its own: no structure, no digest, nothing of the image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np

from osirix_agent.errors import (
    CertificateError,
    DamagedError,
    OsirixAgentError,
    SupersededError,
    UnreachableError,
    VersionError,
)
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.protocol import LooksAhead, Segmenter
from osirix_agent.segmenter.server.leases import Leases, Session
from osirix_agent.segmenter.server.queue import FairQueue
from osirix_agent.segmenter.server.tls import fingerprint
from osirix_agent.segmenter.server.volumes import VolumeStore
from osirix_agent.segmenter.wire import OLDEST_PROTOCOL, PROTOCOL
from osirix_agent.segmenter.wire import segmenter_pb2 as pb
from osirix_agent.segmenter.wire.belief import events_of
from osirix_agent.segmenter.wire.block import unpack
from osirix_agent.segmenter.wire.refusal import KEY, LeaseEndedError, VolumeMissingError, write_refusal
from osirix_agent.segmenter.wire.request import read_geometry, read_request
from osirix_agent.segmenter.wire.segmenter_pb2_grpc import SegmenterServicer

PROGRESS_S = 0.5  # the agent takes three times that without a word for a dead line
LOCAL = "loopback"  # the client's name where there is no TLS

Tell = Callable[..., None]  # (event, **fields)


@dataclass(frozen=True)
class Limits:
    """What the server gives to whom. Bytes are of volumes as float32, wherever nothing else is said."""

    longest_volume: int = 2 * 10**9
    each_client: int = 4 * 10**9
    all_clients: int = 8 * 10**9
    longest_message: int = 16 * 2**20
    sessions_each: int = 4
    sessions: int = 16
    waiting: int = 8
    at_once: int = 1
    idle_s: float = 600.0
    liveness_s: float = 60.0


class SegmenterService(SegmenterServicer):
    """Answers for a segmenter.

    Parameters
    ----------
    known : says whether the client of a fingerprint may come
    tell : is told what happens: event, fields
    clock : s
    """

    def __init__(
        self, segmenter: Segmenter, limits: Limits, known: Callable[[str], bool], tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.segmenter, self.limits, self._known, self.tell = segmenter, limits, known, tell
        self.queue = FairQueue(limits.waiting, limits.at_once)
        self.volumes = VolumeStore(limits.longest_volume, limits.each_client, limits.all_clients)
        self.leases = Leases(limits.idle_s, limits.liveness_s, limits.sessions_each, limits.sessions, clock)
        self.stopping = False

    # -- who is there --------------------------------------------------------------------------------------------
    def GetCapabilities(self, request: pb.Hello, context: Any) -> pb.Capabilities:
        with self._refusing(context):
            self._client(context)
            able = self.segmenter.capabilities
            return pb.Capabilities(
                protocol=PROTOCOL, oldest_protocol=OLDEST_PROTOCOL, segmenter=self.segmenter.name, text=able.text,
                clicks=able.clicks, structures=able.structures, longest_volume=self.limits.longest_volume,
                longest_message=self.limits.longest_message,
            )  # fmt: skip

    def Open(self, request: pb.Hello, context: Any) -> pb.Lease:
        with self._refusing(context):
            client = self._client(context)
            if not OLDEST_PROTOCOL <= request.protocol <= PROTOCOL:
                side = "the segmenter's server" if request.protocol > PROTOCOL else "this machine"
                raise VersionError(
                    f"The agent speaks version {request.protocol} of the protocol, the segmenter's server "
                    f"{OLDEST_PROTOCOL} to {PROTOCOL}.",
                    f"Update osirix-agent on {side}.",
                )
            session = self.open_lease(client)
            return pb.Lease(key=session.key, idle_s=self.leases.idle_s, liveness_s=self.leases.liveness_s)

    def KeepAlive(self, request: pb.LeaseKey, context: Any) -> pb.Empty:
        with self._refusing(context):
            self._session(request.lease, context, used=False)
            return pb.Empty()

    def Close(self, request: pb.LeaseKey, context: Any) -> pb.Empty:
        with self._refusing(context):
            self.end_lease(self._session(request.lease, context))
            return pb.Empty()

    # -- volumes -------------------------------------------------------------------------------------------------
    def FindVolume(self, request: pb.VolumeKey, context: Any) -> pb.VolumeState:
        with self._refusing(context):
            session = self._session(request.lease, context)
            voxels, complete = self.volumes.state(session.client, request.digest)
            return pb.VolumeState(voxels=voxels, complete=complete)

    def Upload(self, parts: Iterator[pb.UploadPart], context: Any) -> pb.VolumeState:
        with self._refusing(context):
            start = next(parts, pb.UploadPart()).start
            session = self._session(start.lease, context)
            header, began, received = start.volume, time.perf_counter(), 0
            self.volumes.begin(session.client, header.digest, read_geometry(header), header.modality)
            for part in parts:
                values = unpack(part.chunk.values, self.limits.longest_message)
                received += values.nbytes
                if values.dtype not in (np.int16, np.float32):
                    raise DamagedError("The volume's values are of no kind that travels.", "Update osirix-agent.")
                self.volumes.append(session.client, header.digest, part.chunk.first_voxel, values)
                self.leases.find(session.key, session.client, used=True)
            voxels, complete = self.volumes.state(session.client, header.digest)
            self.tell(
                "uploaded", client=session.client[:12], session=session.name, seconds=time.perf_counter() - began,
                bytes=received, complete=complete, held=self.volumes.bytes_held,
            )  # fmt: skip
            return pb.VolumeState(voxels=voxels, complete=complete)

    # -- what it is for ------------------------------------------------------------------------------------------
    def Look(self, request: pb.VolumeKey, context: Any) -> pb.Empty:
        with self._refusing(context):
            session = self._session(request.lease, context)
            if not self.volumes.state(session.client, request.digest)[1]:
                raise _missing()
            ahead = self.segmenter
            if isinstance(ahead, LooksAhead):
                self.queue.put(session.name, lambda: ahead.look(self._volume(session, request.digest)))
            return pb.Empty()

    def Propose(self, request: pb.Request, context: Any) -> Iterator[pb.Event]:
        with self._refusing(context):
            session = self._session(request.lease, context)
            yield pb.Event(progress=pb.Progress())  # the line is alive
            asked = read_request(request, self._volume(session, request.volume))
            began = time.perf_counter()
            job = self.queue.put(session.name, partial(self.segmenter.propose, asked), asked.digest)
            context.add_callback(lambda: self.queue.drop(job))
            outcome = "failed"
            try:
                while not job.wait(PROGRESS_S):
                    yield pb.Event(progress=pb.Progress(running=job.running, ahead=self.queue.ahead_of(job)))
                belief = job.result()
                outcome = "answered"
                yield from events_of(belief)
            except SupersededError:
                outcome = "superseded"
                raise
            except OsirixAgentError:
                outcome = "refused"
                raise
            finally:
                self.tell(
                    "proposed", client=session.client[:12], session=session.name, outcome=outcome,
                    seconds=time.perf_counter() - began, waiting=self.queue.waiting,
                )  # fmt: skip

    def Cancel(self, request: pb.LeaseKey, context: Any) -> pb.Empty:
        with self._refusing(context):
            self.queue.cancel(self._session(request.lease, context).name)
            return pb.Empty()

    # -- keeping house -------------------------------------------------------------------------------------------
    def tidy(self) -> None:
        """End what is over; to be called every second or so."""
        for session in self.leases.ended(self.queue.busy):
            self.end_lease(session, "expired")

    def open_lease(self, client: str) -> Session:
        """Raises UnreachableError where the server is about to stop, BusyError where there are too many."""
        if self.stopping:
            raise UnreachableError("The segmenter's server is being stopped.", "Try again in a minute.")
        session = self.leases.open(client)
        self.tell("opened", client=client[:12], session=session.name)
        return session

    def end_lease(self, session: Session, how: str = "closed") -> None:
        self.queue.cancel(session.name)
        if self.leases.close(session):
            self.volumes.forget(session.client)  # nobody of that client is left to ask about them
        self.tell(how, client=session.client[:12], session=session.name, held=self.volumes.bytes_held)

    def _client(self, context: Any) -> str:
        """Fingerprint of the caller's certificate; gRPC has checked that our authority signed it."""
        shown = context.auth_context().get("x509_pem_cert")
        client = fingerprint(shown[0]) if shown else LOCAL
        if not self._known(client):
            raise CertificateError(
                "The segmenter's server no longer takes this pairing.", "Ask whoever runs it for a new pairing file."
            )
        return client

    def _session(self, key: bytes, context: Any, *, used: bool = True) -> Session:
        session = self.leases.find(key, self._client(context), used=used)
        if session is None:
            raise LeaseEndedError("The session with the segmenter's server has ended.", "Ask again.")
        return session

    def _volume(self, session: Session, digest: str) -> Volume:
        volume = self.volumes.get(session.client, digest)
        if volume is None:
            raise _missing()
        return volume

    @contextmanager
    def _refusing(self, context: Any) -> Iterator[None]:
        """What is raised inside becomes the call's answer."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, OsirixAgentError):
                if context.is_active():
                    self.tell("fault", kind=type(error).__name__)
                else:
                    return  # the caller is gone; nobody reads an answer
            context.set_trailing_metadata(((KEY, write_refusal(error).SerializeToString()),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "refused; see the trailing metadata")


def _missing() -> VolumeMissingError:
    return VolumeMissingError("The segmenter's server does not hold the image.", "Ask again.")

"""A segmenter on another machine, asked as if it were here. Needs neither torch nor anything of the extra `serve`.

A lost server costs nothing: the connection is made anew, the volume sent again if the server forgot it, and the same
request asked again, for `remote_retry_s`. Only then is she told, and why: a dead host, or a certificate.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import (
    BusyError,
    CertificateError,
    DamagedError,
    OsirixAgentError,
    RemoteError,
    UnreachableError,
    VersionError,
)
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.wire import PROTOCOL
from osirix_agent.segmenter.wire import segmenter_pb2 as pb
from osirix_agent.segmenter.wire.belief import read_belief
from osirix_agent.segmenter.wire.block import fill, narrowed
from osirix_agent.segmenter.wire.dialling import START, Address, open_channel, pairing_for, why_not
from osirix_agent.segmenter.wire.refusal import LeaseEndedError, VolumeMissingError, read_refusal
from osirix_agent.segmenter.wire.request import write_header, write_request
from osirix_agent.segmenter.wire.segmenter_pb2_grpc import SegmenterStub
from osirix_agent.settings import Settings

CHUNK_VOXELS = 1 << 20
FAST_LINK = 50e6  # bytes/s: nothing here is squeezed so quickly
SLOWEST_UPLOAD = 500_000  # bytes/s: below it an upload is given up, to be gone on with by the next try
MOST_DAMAGED = 3  # tries, before what arrives damaged is no accident
PAUSES_S = (0.1, 0.5)  # first and longest between tries
SILENT_S = 1.5  # a working server says something every 0.5 s; a line may be dead without TCP noticing
AGAIN_S = 0.7  # a connection that takes longer may never come: another is begun beside it
LOOK_S = 1.0  # at why there is none

Answer = TypeVar("Answer")


class _LostError(UnreachableError):
    """The connection broke, or could not be made."""


class RemoteSegmenter:
    """The segmenter behind an address.

    Parameters
    ----------
    settings : `segmenter` is the address, grpcs://host:port
    progress : is told in words what is being waited for

    Raises
    ------
    SettingsError
        The address is none.
    CertificateError
        The pairing file cannot be used.
    """

    def __init__(self, settings: Settings, progress: Callable[[str], None] | None = None) -> None:
        self._settings, self._tell = settings, progress or (lambda _: None)
        self._address = Address(settings.segmenter)
        self._pairing = pairing_for(self._address, settings.pairing)
        self._one_at_a_time = threading.RLock()  # accept may ask while the executor waits for an answer
        self._link: _Link | None = None
        self._lease: pb.Lease | None = None  # outlives a connection
        self._met: pb.Capabilities | None = None
        atexit.register(self.close)

    @property
    def name(self) -> str:
        return self._described().segmenter

    @property
    def capabilities(self) -> Capabilities:
        able = self._described()
        return Capabilities(able.text, able.clicks, tuple(able.structures))

    def look(self, volume: Volume) -> None:
        """Send the volume ahead of the first prompt, and let the server prepare."""
        self._persist(lambda link: link.look(volume))

    def propose(self, request: SegmentationRequest) -> Belief:
        return self._persist(lambda link: link.propose(request, self._tell))

    def cancel(self) -> None:
        """Let go what is being waited for (from another thread): it ends with SupersededError."""
        link = self._link
        if link is not None:
            link.cancel()

    def close(self) -> None:
        """Give the lease back; the next request opens another."""
        atexit.unregister(self.close)
        link, self._link, self._lease = self._link, None, None
        if link is not None:
            link.close(politely=True)

    def _described(self) -> pb.Capabilities:
        if self._met is None:
            self._persist(lambda _: None)
        assert self._met is not None
        return self._met

    def _persist(self, act: Callable[[_Link], Answer]) -> Answer:
        longest = self._settings.remote_deadline_s + self._settings.remote_retry_s
        with self._one_at_a_time:
            began, pause, damaged, lost_at, misfits = time.monotonic(), PAUSES_S[0], 0, 0.0, 0
            while True:
                try:
                    return act(self._connected())
                except VolumeMissingError:  # given up for another's, or the server is a new one
                    failure: RemoteError = UnreachableError(
                        "The segmenter's server forgets the image as soon as it is sent.",
                        "Ask whoever runs it to raise serve_memory_gb.",
                    )
                except DamagedError as error:
                    failure, damaged = error, damaged + 1
                    if damaged == MOST_DAMAGED:
                        raise
                except LeaseEndedError as error:
                    failure, self._lease = error, None
                    self._hang_up()
                except UnreachableError as error:
                    failure = error
                    if self._link is not None and self._link.heard_at > lost_at:  # it was there meanwhile
                        lost_at, pause = time.monotonic(), PAUSES_S[0]
                    else:
                        failure = self._explained(error)
                    self._hang_up()
                    misfits = misfits + 1 if isinstance(failure, CertificateError) else 0
                    if misfits == 2:  # once may be a line that damages what it carries
                        raise failure from None
                patience = self._settings.remote_retry_s if self._met is not None else 0  # never there: said at once
                now = time.monotonic()
                if now + pause - max(lost_at, began) > patience or now - began > longest:
                    raise failure
                self._tell("the segmenter's server is away; trying again")
                time.sleep(pause)
                pause = min(2 * pause, PAUSES_S[1])

    def _connected(self) -> _Link:
        if self._link is None:
            self._link = link = _Link(self._address, self._pairing, self._settings)
            try:
                described, self._lease = link.open(self._lease)
            except RemoteError as error:
                if not isinstance(error, UnreachableError):
                    self._hang_up()
                raise
            if self._met is not None and described.segmenter != self._met.segmenter:
                self._hang_up()
                raise RemoteError(
                    f"The server now runs another segmenter ({described.segmenter}) than this session began with.",
                    "Quit and run again; the session's contours stay.",
                )
            self._met = described
        return self._link

    def _explained(self, error: RemoteError) -> RemoteError:
        """What lies behind a connection that cannot be made."""
        if not isinstance(error, _LostError):
            return error
        return why_not(self._address, self._pairing, min(LOOK_S, self._settings.remote_connect_s)) or error

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close(politely=False)


class _Link:
    """One connection.

    Attributes
    ----------
    heard_at : s
        When the server last said something.
    """

    def __init__(self, address: Address, pairing: Any, settings: Settings) -> None:
        self._settings, self._where = settings, f"{address.host}:{address.port}"
        self._dial = partial(open_channel, address, pairing)
        self._channel: Any = None
        self._lease = b""
        self._soon_s = min(SILENT_S, settings.remote_connect_s)  # for what needs no thinking
        self.heard_at = 0.0
        self._sent: set[str] = set()
        self._closed = threading.Event()

    def open(self, lease: pb.Lease | None) -> tuple[pb.Capabilities, pb.Lease]:
        """Connect, and go on with a lease if it still holds, else with a new one."""
        connect_s = self._settings.remote_connect_s
        with self._translated(connect_s, lost=True):
            described = self._first_to_answer(connect_s)
            if not described.oldest_protocol <= PROTOCOL <= described.protocol:
                side = "on this machine" if described.oldest_protocol > PROTOCOL else "there"
                raise VersionError(
                    f"The segmenter's server speaks versions {described.oldest_protocol} to {described.protocol} of "
                    f"the protocol, this agent {PROTOCOL}.",
                    f"Update osirix-agent {side}.",
                )
            if lease is None or not self._holds(lease):
                lease = self._stub.Open(pb.Hello(protocol=PROTOCOL), timeout=self._soon_s)
        self._lease, self.heard_at = lease.key, time.monotonic()
        threading.Thread(target=self._stay_alive, args=(lease.liveness_s / 3,), daemon=True).start()
        return described, lease

    def _first_to_answer(self, connect_s: float) -> pb.Capabilities:
        """Dial again every now and then until one of the connections answers, or the first is given up."""
        tries: list[tuple[Any, Any]] = []
        done = threading.Event()
        try:
            while not done.is_set():
                channel = self._dial()
                stub = SegmenterStub(channel)
                tries.append((channel, stub.GetCapabilities.future(pb.Hello(protocol=PROTOCOL), timeout=connect_s)))
                tries[-1][1].add_done_callback(lambda _: done.set())
                done.wait(AGAIN_S)
            self._channel, answer = next(pair for pair in tries if pair[1].done())
            self._stub = SegmenterStub(self._channel)
            return answer.result()
        finally:
            for channel, _ in tries:
                if channel is not self._channel:
                    channel.close()

    def _holds(self, lease: pb.Lease) -> bool:
        try:
            self._stub.KeepAlive(pb.LeaseKey(lease=lease.key), timeout=self._soon_s)
        except grpc.RpcError as error:
            if isinstance(read_refusal(error.trailing_metadata()), LeaseEndedError):
                return False
            raise
        return True

    def look(self, volume: Volume) -> None:
        self._send(volume)
        with self._about(volume), self._translated(self._soon_s, lost=True):
            self._stub.Look(self._key(volume), timeout=self._soon_s)

    def propose(self, request: SegmentationRequest, tell: Callable[[str], None]) -> Belief:
        self._send(request.volume)
        parts: list[bytes] = []
        length = -1
        deadline_s = self._settings.remote_deadline_s
        message = write_request(request, self._lease)
        silent_s = SILENT_S + message.ByteSize() / SLOWEST_UPLOAD
        with self._about(request.volume), self._translated(deadline_s):
            for event in _said(self._stub.Propose(message, timeout=deadline_s), silent_s):
                self.heard_at = time.monotonic()
                match event.WhichOneof("event"):
                    case "progress" if event.progress.ahead and not event.progress.running:
                        tell(f"waiting for the segmenter; {event.progress.ahead} before")
                    case "length":
                        length = event.length
                    case "part":
                        parts.append(event.part)
        whole = b"".join(parts)
        if len(whole) != length:
            raise _LostError("The segmenter's answer broke off.", "Ask again.")
        try:
            belief = read_belief(pb.Belief.FromString(whole))
        except (DecodeError, ValueError):
            raise DamagedError("The segmenter's answer arrived damaged.", "Ask again; check the network.") from None
        if belief.shape_kji != request.volume.geometry.shape_kji:
            raise DamagedError("The segmenter's answer is about another image.", "Update osirix-agent there.")
        return belief

    def cancel(self) -> None:
        with suppress(grpc.RpcError, ValueError):
            self._stub.Cancel(pb.LeaseKey(lease=self._lease), timeout=self._settings.remote_connect_s)

    def close(self, *, politely: bool) -> None:
        self._closed.set()
        if self._channel is None:
            return
        if politely and self._lease:
            with suppress(grpc.RpcError, ValueError):
                self._stub.Close(pb.LeaseKey(lease=self._lease), timeout=1.0)
        self._channel.close()

    def _key(self, volume: Volume) -> pb.VolumeKey:
        return pb.VolumeKey(lease=self._lease, digest=volume.digest)

    def _send(self, volume: Volume) -> None:
        """Make sure that the server holds the volume; what it has of it is not sent again."""
        if volume.digest in self._sent:
            return
        with self._translated(self._soon_s, lost=True):
            state = self._stub.FindVolume(self._key(volume), timeout=self._soon_s)
        if not state.complete:
            deadline_s = self._settings.remote_deadline_s + volume.array.nbytes / SLOWEST_UPLOAD
            silent_s = SILENT_S + 4 * min(CHUNK_VOXELS, volume.array.size) / SLOWEST_UPLOAD
            with self._translated(deadline_s, lost=True):
                parts = _Timed(_parts(self._lease, volume, int(state.voxels)))
                state = _answer(self._stub.Upload.future(parts, timeout=deadline_s), parts, silent_s)
                self.heard_at = time.monotonic()
            if not state.complete:
                raise _LostError("The image arrived only in part.", "Ask again.")
        self._sent.add(volume.digest)

    @contextmanager
    def _about(self, volume: Volume) -> Iterator[None]:
        """What the server turns out not to hold, or to hold damaged, is sent again by the next try."""
        try:
            yield
        except (VolumeMissingError, DamagedError):
            self._sent.discard(volume.digest)
            raise

    def _stay_alive(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            try:
                self._stub.KeepAlive(pb.LeaseKey(lease=self._lease), timeout=every_s)
            except grpc.RpcError as error:
                if read_refusal(error.trailing_metadata()) is not None:
                    return  # the lease is over; the next request finds out and opens another
            except ValueError:  # the channel was closed meanwhile
                return

    @contextmanager
    def _translated(self, deadline_s: float, *, lost: bool = False) -> Iterator[None]:
        """gRPC's errors as ours; `lost`: a late answer means that nobody is there."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._error(error, deadline_s, lost) from None
        except grpc.FutureCancelledError:
            raise _LostError(f"The segmenter's server at {self._where} went silent.", START) from None
        except ValueError as error:  # "Cannot invoke RPC on closed channel": close() came from another thread
            raise _LostError(f"The connection to {self._where} was closed.", "Ask again.") from error

    def _error(self, error: Any, deadline_s: float, lost: bool) -> OsirixAgentError:
        refusal = read_refusal(error.trailing_metadata())
        if refusal is not None:
            return refusal
        match error.code():
            case grpc.StatusCode.DEADLINE_EXCEEDED if not lost:
                self.cancel()
                return RemoteError(
                    f"The segmenter at {self._where} did not answer within {deadline_s:.0f} s.",
                    "Undo the last prompt and try again; where answers take so long, raise remote_deadline_s.",
                )
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return BusyError(
                    f"The segmenter's server at {self._where} takes no more at the moment, or nothing so large.",
                    "Try again in a minute, with fewer prompts or locked structures.",
                )
            case grpc.StatusCode.UNIMPLEMENTED:
                return VersionError(
                    f"What answers at {self._where} is no segmenter's server, or a newer one.",
                    "Check the address, and update osirix-agent on both machines.",
                )
        return _LostError(f"The segmenter's server at {self._where} does not answer.", START)


def _said(call: Any, silent_s: float) -> Iterator[Any]:
    """What a streaming call says, given up when nothing has come of it for so long: its line is dead, whatever TCP
    believes. It is read by a thread of its own, since gRPC does not end every call that is cancelled or late."""
    told: SimpleQueue[Any] = SimpleQueue()

    def read() -> None:
        try:
            for event in call:
                told.put(event)
            told.put(None)
        except Exception as error:  # raised where it is waited for
            told.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (event := told.get(timeout=silent_s)) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
    except Empty:
        raise grpc.FutureCancelledError from None
    finally:
        call.cancel()


class _Timed:
    """Parts of an upload, and when the newest was asked for: those before it are on their way."""

    def __init__(self, parts: Iterator[pb.UploadPart]) -> None:
        self._parts, self.asked_at = parts, time.monotonic()

    def __iter__(self) -> Iterator[pb.UploadPart]:
        return self

    def __next__(self) -> pb.UploadPart:
        self.asked_at = time.monotonic()
        return next(self._parts)


def _answer(call: Any, parts: _Timed, silent_s: float) -> Any:
    """The answer to an upload, given up when nothing was taken and nothing came for so long."""
    while (left := parts.asked_at + silent_s - time.monotonic()) > 0:
        with suppress(grpc.FutureTimeoutError):
            return call.result(timeout=left)
    call.cancel()
    raise grpc.FutureCancelledError


class _Pace:
    """Is it quicker to squeeze, or to send as it is? Learnt from what was sent so far."""

    def __init__(self) -> None:
        self._squeeze_s = self._share = 0.0  # s per byte; what is left of a byte
        self._link_s = 0.0  # s per byte
        self._tried = False

    def squeezes(self) -> bool:
        if not self._tried:
            return self._link_s > 1 / FAST_LINK
        return self._squeeze_s + self._share * self._link_s < self._link_s

    def squeezed(self, size: int, sent: int, seconds: float) -> None:
        self._squeeze_s, self._share, self._tried = seconds / size, sent / size, True

    def took(self, sent: int, seconds: float) -> None:
        self._link_s += 0.3 * (seconds / sent - self._link_s)


def _parts(lease: bytes, volume: Volume, first: int) -> Iterator[pb.UploadPart]:
    """Header, then the values from `first` on: as int16 where that is all they are, squeezed where the line is slow."""
    yield pb.UploadPart(start=pb.UploadStart(lease=lease, volume=write_header(volume)))
    flat, pace = volume.array.reshape(-1), _Pace()
    for at in range(first, flat.size, CHUNK_VOXELS):
        values = narrowed(flat[at : at + CHUNK_VOXELS])
        part = pb.UploadPart(chunk=pb.Chunk(first_voxel=at))
        began, squeeze = time.perf_counter(), pace.squeezes()
        size = fill(part.chunk.values, values, squeeze=squeeze, checked=False)  # the whole has a digest
        if squeeze:
            pace.squeezed(values.nbytes, size, time.perf_counter() - began)
        began = time.perf_counter()
        yield part  # comes back when the line takes more
        pace.took(size, time.perf_counter() - began)

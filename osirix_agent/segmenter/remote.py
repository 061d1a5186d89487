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
PAUSES_S = (0.2, 2.0)  # first and longest between tries

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
        link, self._link = self._link, None
        if link is not None:
            link.close(politely=True)

    def _described(self) -> pb.Capabilities:
        if self._met is None:
            self._persist(lambda _: None)
        assert self._met is not None
        return self._met

    def _persist(self, act: Callable[[_Link], Answer]) -> Answer:
        with self._one_at_a_time:
            began, pause, damaged = time.monotonic(), PAUSES_S[0], 0
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
                except (LeaseEndedError, UnreachableError) as error:
                    failure = self._explained(error)
                    self._hang_up()
                patience = self._settings.remote_retry_s if self._met is not None else 0  # never there: said at once
                if time.monotonic() + pause - began > patience:
                    raise failure
                self._tell("the segmenter's server is away; trying again")
                time.sleep(pause)
                pause = min(2 * pause, PAUSES_S[1])

    def _connected(self) -> _Link:
        if self._link is None:
            link = _Link(self._address, self._pairing, self._settings)
            self._link = link
            described = link.open()
            if self._met is not None and described.segmenter != self._met.segmenter:
                self._hang_up()
                raise RemoteError(
                    f"The server now runs another segmenter ({described.segmenter}) than this session began with.",
                    "Quit and run again; the session's contours stay.",
                )
            self._met = described
        return self._link

    def _explained(self, error: RemoteError) -> RemoteError:
        """What lies behind a lost connection; a certificate that does not fit is no matter of patience."""
        if not isinstance(error, _LostError):
            return error
        found = why_not(self._address, self._pairing, self._settings.remote_connect_s)
        if isinstance(found, CertificateError):
            self._hang_up()
            raise found from None
        return found or error

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close(politely=False)


class _Link:
    """One connection with one lease."""

    def __init__(self, address: Address, pairing: Any, settings: Settings) -> None:
        self._settings, self._where = settings, f"{address.host}:{address.port}"
        self._channel = open_channel(address, pairing)
        self._stub = SegmenterStub(self._channel)
        self._lease = b""
        self._sent: set[str] = set()
        self._closed = threading.Event()

    def open(self) -> pb.Capabilities:
        connect_s = self._settings.remote_connect_s
        with self._translated(connect_s, lost=True):
            described = self._stub.GetCapabilities(pb.Hello(protocol=PROTOCOL), timeout=connect_s)
            if not described.oldest_protocol <= PROTOCOL <= described.protocol:
                side = "on this machine" if described.oldest_protocol > PROTOCOL else "there"
                raise VersionError(
                    f"The segmenter's server speaks versions {described.oldest_protocol} to {described.protocol} of "
                    f"the protocol, this agent {PROTOCOL}.",
                    f"Update osirix-agent {side}.",
                )
            lease = self._stub.Open(pb.Hello(protocol=PROTOCOL), timeout=connect_s)
        self._lease = lease.key
        threading.Thread(target=self._stay_alive, args=(lease.liveness_s / 3,), daemon=True).start()
        return described

    def look(self, volume: Volume) -> None:
        self._send(volume)
        with self._about(volume), self._translated(self._settings.remote_deadline_s):
            self._stub.Look(self._key(volume), timeout=self._settings.remote_deadline_s)

    def propose(self, request: SegmentationRequest, tell: Callable[[str], None]) -> Belief:
        self._send(request.volume)
        parts: list[bytes] = []
        length = -1
        deadline_s = self._settings.remote_deadline_s
        with self._about(request.volume), self._translated(deadline_s):
            for event in self._stub.Propose(write_request(request, self._lease), timeout=deadline_s):
                match event.WhichOneof("event"):
                    case "progress" if not event.progress.running:
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
        with self._translated(self._settings.remote_deadline_s):
            state = self._stub.FindVolume(self._key(volume), timeout=self._settings.remote_deadline_s)
        if not state.complete:
            deadline_s = self._settings.remote_deadline_s + volume.array.nbytes / SLOWEST_UPLOAD
            with self._translated(deadline_s):
                state = self._stub.Upload(_parts(self._lease, volume, int(state.voxels)), timeout=deadline_s)
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

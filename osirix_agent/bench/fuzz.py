"""wire.fuzz: what a server does with messages that nobody meant to send.

Valid messages of a small session are spoilt (bits turned, pieces cut, doubled and exchanged, fields set to sizes,
shapes, counts and numbers that lie, text and keys that are none) and sent as bytes to a real server, over a real
connection without TLS (behind it anyone paired could do the same), in any order; the same is done to what an agent
reads. Nothing may crash, hang (`HANGS_S`), end in anything but an answer or a refusal, nor take more memory than
`ROOM_MB` beyond what the server took after the first rounds. After every round the server must still answer rightly.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError, Message

from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import OsirixAgentError
from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import BoxPrompt, LassoPrompt, MaskPrompt, PointPrompt, ScribblePrompt
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest
from osirix_agent.segmenter.remote import CHUNK_VOXELS
from osirix_agent.segmenter.wire import PROTOCOL
from osirix_agent.segmenter.wire import segmenter_pb2 as pb
from osirix_agent.segmenter.wire.belief import read_belief, write_belief
from osirix_agent.segmenter.wire.block import fill, narrowed
from osirix_agent.segmenter.wire.refusal import read_refusal
from osirix_agent.segmenter.wire.request import write_header, write_request

REACH = "0 crashes, 0 hangs, memory bounded"
HANGS_S = 30.0
ROOM_MB = 200.0
ROUND = 100  # messages
LIES = (0, 1, 2, 3, -1, 7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, -(2**31), -(2**63))
NUMBERS = (0.0, -0.0, 1e-320, 1e308, -1e308, float("inf"), float("nan"), 1e9, 0.5)
WORDS = ("", "\x00", "<f4", "<i2", "|u1", "<i8", "object", "<U4", "a" * 5000, "ü\U0001f600", "deadbeef" * 8)
AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
SERVICE = "/osirix_agent.segmenter.v1.Segmenter/"
CALLS = {"GetCapabilities": "Hello", "Open": "Hello", "KeepAlive": "LeaseKey", "FindVolume": "VolumeKey",
         "Upload": "UploadPart", "Look": "VolumeKey", "Propose": "Request", "Cancel": "LeaseKey"}  # fmt: skip


def spoil(message: Message, rng: np.random.Generator) -> bytes:
    """A message as bytes, spoilt in one to four ways."""
    spoilt = type(message)()
    spoilt.CopyFrom(message)
    for _ in range(int(rng.integers(0, 4))):
        _lie(spoilt, rng)
    data = bytearray(spoilt.SerializeToString())
    for _ in range(int(rng.integers(1, 3)) if rng.random() < 0.3 else 0):  # most of these no longer parse
        _damage(data, rng)
    return bytes(data)


def _lie(message: Any, rng: np.random.Generator) -> None:
    """Set some field, perhaps far inside, to what it should not be."""
    fields = message.DESCRIPTOR.fields
    field = fields[int(rng.integers(len(fields)))]
    inner = field.message_type is not None
    if field.is_repeated:
        held = getattr(message, field.name)
        if len(held) and inner and rng.random() < 0.7:
            _lie(held[int(rng.integers(len(held)))], rng)
        elif len(held) and rng.random() < 0.3:
            del held[int(rng.integers(len(held))) :]
        elif inner:
            for _ in range(int(rng.choice([1, 3, 300]))):
                held.add()
        else:
            held.extend([_value(field, rng)] * int(rng.choice([1, 2, 9, 3000])))
    elif inner:
        _lie(getattr(message, field.name), rng)
    else:
        setattr(message, field.name, _value(field, rng))


def _value(field: Any, rng: np.random.Generator) -> Any:
    kind = field.cpp_type
    if kind in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return NUMBERS[int(rng.integers(len(NUMBERS)))]
    if kind == field.CPPTYPE_BOOL:
        return bool(rng.integers(2))
    if kind == field.CPPTYPE_ENUM:
        return int(rng.integers(0, 20))
    if kind == field.CPPTYPE_STRING:
        word = WORDS[int(rng.integers(len(WORDS)))]
        return word.encode() if field.type == field.TYPE_BYTES else word
    bits = 32 if kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 64
    signed = kind in (field.CPPTYPE_INT32, field.CPPTYPE_INT64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    fitting = [lie for lie in LIES if low <= lie <= high]
    return fitting[int(rng.integers(len(fitting)))]


def _damage(data: bytearray, rng: np.random.Generator) -> None:
    if not data:
        data += rng.bytes(int(rng.integers(1, 30)))
        return
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    b = min(b, a + 64)
    match int(rng.integers(4)):
        case 0:
            data[min(a, len(data) - 1)] ^= 1 << int(rng.integers(8))
        case 1:
            del data[a:b]
        case 2:
            data[a:a] = data[a:b]
        case _:
            data[a:b] = rng.bytes(b - a)


class Fuzz:
    """Rounds against one server.

    Attributes
    ----------
    violations : what should not have happened
    met : how calls ended
    """

    def __init__(self, seed: int) -> None:
        from osirix_agent.segmenter.server.run import SegmenterServer
        from osirix_agent.segmenter.server.service import Limits

        self.rng = np.random.default_rng(seed)
        self.violations: list[str] = []
        self.met: Counter[str] = Counter()
        limits = Limits(longest_volume=4 * 10**6, each_client=10**7, all_clients=2 * 10**7, sessions_each=8)
        self.server = SegmenterServer(BallSegmenter(), limits, None, tell=self._tell)
        self.server.start()
        self._channel = grpc.insecure_channel(self.server.address.removeprefix("grpc://"))
        shape = (4, 16, 18)
        values = np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.float32)
        self.image = Volume(values, Geometry(shape, (0.0, 0.0, 0.0), (3.0, 2.0, 2.0), AXES), "CT")
        self.request = _request(self.image)
        self.belief = write_belief(BallSegmenter().propose(self.request))
        self._restore()

    def round(self, messages: int = ROUND) -> None:
        """Send so many; then the server must still be what it was."""
        names = list(CALLS)
        for _ in range(messages):
            name = names[int(self.rng.integers(len(names)))]
            self._call(name, [spoil(m, self.rng) for m in self._valid(name)])
            self._read(spoil(self.belief, self.rng))
        self._restore()
        answer = b"".join(
            event.part for event in self._call("Propose", [self._valid("Propose")[0].SerializeToString()])
        )
        try:
            right = read_belief(pb.Belief.FromString(answer)).mean_logit.tobytes()
            if right != BallSegmenter().propose(self.request).mean_logit.tobytes():
                self.violations.append("the server answers wrongly after a round")
        except Exception as error:
            self.violations.append(f"the server does not answer after a round: {type(error).__name__}")

    def close(self) -> None:
        self._channel.close()
        self.server.kill()
        self.server.service.queue.close(0)

    def _tell(self, event: str, **fields: Any) -> None:
        if event == "fault":
            self.violations.append(f"the server met an error that nobody raised on purpose: {fields['kind']}")

    def _restore(self) -> None:
        """A lease and the image, as they are needed for valid messages."""
        for session in list(self.server.service.leases.all()):
            self.server.service.end_lease(session)
        opened = self._call("Open", [pb.Hello(protocol=PROTOCOL).SerializeToString()])
        self.lease = opened[0].key if opened else b""
        self._call("Upload", [part.SerializeToString() for part in self._valid("Upload")])

    def _valid(self, name: str) -> list[Message]:
        match CALLS[name]:
            case "Hello":
                return [pb.Hello(protocol=PROTOCOL)]
            case "LeaseKey":
                return [pb.LeaseKey(lease=self.lease)]
            case "VolumeKey":
                return [pb.VolumeKey(lease=self.lease, digest=self.image.digest)]
            case "Request":
                return [write_request(self.request, self.lease)]
        start = pb.UploadPart(start=pb.UploadStart(lease=self.lease, volume=write_header(self.image)))
        return [start, *self._chunks()]

    def _chunks(self) -> Iterator[pb.UploadPart]:
        flat = self.image.array.reshape(-1)
        for at in range(0, flat.size, min(CHUNK_VOXELS, 500)):
            part = pb.UploadPart(chunk=pb.Chunk(first_voxel=at))
            fill(part.chunk.values, narrowed(flat[at : at + 500]), squeeze=at > 0, checked=at > 0)
            yield part

    def _call(self, name: str, sent: list[bytes]) -> list[Any]:
        """What came back; how it ended is counted."""
        kind: Any = {"Open": pb.Lease, "Propose": pb.Event}.get(name, pb.Empty)
        style = {"Upload": "stream_unary", "Propose": "unary_stream"}.get(name, "unary_unary")
        call = getattr(self._channel, style)(SERVICE + name, bytes, kind.FromString)
        began = time.monotonic()
        try:
            found = call(iter(sent) if name == "Upload" else sent[0], timeout=HANGS_S)
            answers = list(found) if name == "Propose" else [found]
            self.met["answered"] += 1
            return answers
        except grpc.RpcError as error:
            code = error.code()
            refusal = read_refusal(error.trailing_metadata())
            self.met["refused" if refusal is not None else code.name] += 1
            if code is grpc.StatusCode.DEADLINE_EXCEEDED or time.monotonic() - began > HANGS_S:
                self.violations.append(f"{name} hangs")
            elif code is grpc.StatusCode.UNAVAILABLE:
                self.violations.append(f"{name}: the server is away")
            elif code is grpc.StatusCode.UNKNOWN:
                self.violations.append(f"{name}: {error.details()}")
            return []

    def _read(self, data: bytes) -> None:
        """As an agent does with an answer."""
        try:
            read_belief(pb.Belief.FromString(data))
            self.met["read"] += 1
        except (DecodeError, ValueError, OsirixAgentError):
            self.met["not read"] += 1
        except Exception as error:
            self.violations.append(f"an agent fails on an answer: {type(error).__name__}: {error}")


def measure(seed: int, minutes: float, advance: Callable[[int], object] = int) -> list[Figure]:
    """So many minutes of processor time, in this process."""
    import psutil

    from osirix_agent.segmenter.server.run import few_heaps

    began, rounds, base_mb, peak_mb = time.process_time(), 0, 0.0, 0.0
    process = psutil.Process(os.getpid())
    few_heaps()  # as a server does
    try:
        fuzz = Fuzz(seed)
        while (spent_s := time.process_time() - began) < 60 * minutes:
            fuzz.round()
            rounds += 1
            now_mb = process.memory_info().rss / 1e6
            base_mb = now_mb if rounds <= 3 else base_mb
            peak_mb = max(peak_mb, now_mb - base_mb)
            advance(int(spent_s))
        fuzz.close()
    except Exception as error:
        return [failed("wire.fuzz", "violations", REACH, f"{type(error).__name__}: {error}")]
    if peak_mb > ROOM_MB:
        fuzz.violations.append(f"memory grew by {peak_mb:.0f} MB")
    found = Counter(fuzz.violations)
    note = f"{spent_s / 60:.1f} CPU-minutes, {rounds} rounds; memory grew by {peak_mb:.0f} MB; calls: "
    note += ", ".join(f"{how} {n}" for how, n in sorted(fuzz.met.items()))
    return [
        Figure(
            id="wire.fuzz", value=float(sum(found.values())), unit="violations", n=rounds * ROUND, reach=REACH,
            holds=not found, note="; ".join([*(f"{what} ({n} x)" for what, n in found.most_common(5)), note]),
        )
    ]  # fmt: skip


def _request(image: Volume) -> SegmentationRequest:
    def at(k: float, j: float, i: float) -> tuple[float, float, float]:
        x, y, z = (float(v) for v in image.geometry.to_lps((k, j, i)))
        return x, y, z

    ring = (at(1, 3, 3), at(1, 9, 3), at(1, 9, 9))
    lasso = LassoPrompt(rings_lps=(ring,))
    prompts = (
        PointPrompt(position_lps=at(2, 8, 8)), lasso, MaskPrompt(slices=(lasso,)),
        BoxPrompt(corners_lps=(at(2, 4, 4), at(2, 9, 4), at(2, 9, 9), at(2, 4, 9))),
        ScribblePrompt(points_lps=(at(2, 5, 5), at(2, 9, 9))),
    )  # fmt: skip
    locked = BallSegmenter().propose(SegmentationRequest(image, "Cord", prompts[:1]))
    return SegmentationRequest(image, "GTV", prompts, (FixedSlice(k=3, rings_lps=(ring,)),), (locked,))

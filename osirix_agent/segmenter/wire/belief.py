"""A belief on the wire: its crop and its spread, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.belief.spread import Spread
from osirix_agent.errors import DamagedError
from osirix_agent.segmenter.wire import segmenter_pb2 as pb
from osirix_agent.segmenter.wire.block import pack, unpack

LONGEST = 2**31  # bytes of one array
PART = 1 << 20


def write_belief(belief: Belief) -> pb.Belief:
    message = pb.Belief(
        mean_logit=pack(belief.mean_logit), corner_kji=belief.corner_kji, shape_kji=belief.shape_kji,
        source=belief.source, calibration_id=belief.calibration_id,
    )  # fmt: skip
    if belief.spread is not None:
        steps = np.diff(belief.spread.band, prepend=np.int64(0))
        message.spread.CopyFrom(
            pb.Spread(band_steps=pack(steps), factor=pack(belief.spread.factor), diagonal=pack(belief.spread.diagonal))
        )
    return message


def read_belief(message: pb.Belief) -> Belief:
    """The belief of a message.

    Raises
    ------
    DamagedError
    """
    spread = None
    if message.HasField("spread"):
        sent = message.spread
        spread = Spread(
            np.cumsum(unpack(sent.band_steps, LONGEST)), unpack(sent.factor, LONGEST), unpack(sent.diagonal, LONGEST)
        )
    k, j, i = message.corner_kji
    a, b, c = message.shape_kji
    calibration = message.calibration_id if message.HasField("calibration_id") else None
    return Belief(
        unpack(message.mean_logit, LONGEST), (k, j, i), (a, b, c), message.source, calibration_id=calibration,
        spread=spread,
    )  # fmt: skip


def write_excluded(belief: Belief) -> pb.Excluded:
    """A locked structure: the mask on its crop."""
    mask = belief.crop_mask
    return pb.Excluded(corner_kji=belief.corner_kji, crop_kji=mask.shape, bits=pack(np.packbits(mask)))


def read_excluded(message: pb.Excluded, shape_kji: tuple[int, int, int]) -> Belief:
    """A belief of the same mask.

    Raises
    ------
    DamagedError
        The crop does not lie in the volume, or has not as many bits as it has voxels.
    """
    crop, corner = tuple(message.crop_kji), tuple(message.corner_kji)
    fits = len(crop) == len(corner) == 3 and all(
        c >= 0 and c + n <= s for c, n, s in zip(corner, crop, shape_kji, strict=True)
    )
    count = int(np.prod(crop, dtype=np.int64)) if fits else 0
    bits = unpack(message.bits, count // 8 + 1)
    if not fits or bits.dtype != np.uint8 or bits.shape != ((count + 7) // 8,):
        raise DamagedError("A locked structure does not fit the image.", "Update osirix-agent on both machines.")
    mask = np.unpackbits(bits, count=count).astype(bool).reshape(crop)
    logit = np.where(mask, -OUTSIDE_LOGIT, OUTSIDE_LOGIT).astype(np.float32)
    return Belief(logit, (corner[0], corner[1], corner[2]), shape_kji, "locked")


def events_of(belief: Belief) -> Iterator[pb.Event]:
    """Its length, then its bytes in parts, so that no message is long."""
    whole = write_belief(belief).SerializeToString()
    yield pb.Event(length=len(whole))
    for start in range(0, len(whole), PART):
        yield pb.Event(part=whole[start : start + PART])

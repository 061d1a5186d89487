"""Arrays on the wire: bit by bit what they were, smaller where that pays."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import DamagedError
from osirix_agent.segmenter.wire import segmenter_pb2 as pb

LEVEL = 1  # zlib's fastest: twice as slow a level saves a twentieth
SAMPLE = 16_384  # bytes of a plane tried before all of it is deflated
WORTH = 0.85  # mantissas hardly shrink, and are sent as they are
DTYPES = {"|u1", "<i2", "<f4", "<i8"}

Array = npt.NDArray[Any]


def pack(array: Array) -> pb.Block:
    """An array as a message."""
    block = pb.Block()
    fill(block, array)
    return block


def fill(block: pb.Block, array: Array, *, squeeze: bool = True, checked: bool = True) -> int:
    """Write an array into a message, without a copy of the message; gives its length in bytes.

    Parameters
    ----------
    array : of uint8, int16, float32 or int64
    squeeze : deflate what shrinks; otherwise bytes go as they are
    checked : with a checksum of its own; a volume has its digest
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    width = little.dtype.itemsize
    planes = [little.tobytes()]
    if squeeze and width > 1:  # high bytes repeat themselves, low ones are noise: apart, the first all but vanish
        planes = [p.tobytes() for p in little.reshape(-1).view(np.uint8).reshape(-1, width).T]
    sent, deflated = [], []
    for plane in planes:
        small = _deflated(plane) if squeeze else None
        sent.append(plane if small is None else small)
        deflated.append(small is not None)
    block.dtype = little.dtype.str
    block.shape.extend(array.shape)
    block.planes.extend(sent)
    block.deflated.extend(deflated)
    if checked:
        block.crc32 = _crc(sent)
    return sum(map(len, sent))


def unpack(block: pb.Block, longest: int) -> Array:
    """The array of a message.

    Parameters
    ----------
    longest : bytes that it may take; a small message cannot ask for all the memory

    Raises
    ------
    DamagedError
    """
    sent = list(block.planes)
    if block.dtype not in DTYPES or len(sent) != len(block.deflated):
        raise _damaged()
    if block.crc32 and _crc(sent) != block.crc32:
        raise _damaged()
    dtype, count = np.dtype(block.dtype), math.prod(block.shape)
    if count * dtype.itemsize > longest or len(sent) not in (1, dtype.itemsize):
        raise _damaged()
    each = count * dtype.itemsize // len(sent)
    planes = [_inflated(p, each) if small else p for p, small in zip(sent, block.deflated, strict=True)]
    if any(len(plane) != each for plane in planes):
        raise _damaged()
    if len(planes) == 1:
        flat = np.frombuffer(planes[0], dtype)
    else:
        flat = np.stack([np.frombuffer(p, np.uint8) for p in planes], 1).reshape(-1).view(dtype)
    try:
        return flat.reshape(tuple(block.shape))
    except (ValueError, OverflowError):  # more axes than numpy has, or a length that is none
        raise _damaged() from None


def narrowed(values: npt.NDArray[np.float32]) -> Array:
    """The same values as int16 where they come back bit by bit (HU do), otherwise as they are."""
    with np.errstate(invalid="ignore"):
        small = values.astype(np.int16)
    same = np.array_equal(small.astype(np.float32).view(np.uint32), values.view(np.uint32))  # -0.0 and NaN included
    return small if same else values


def _deflated(plane: bytes) -> bytes | None:
    """None: it does not shrink."""
    middle = max(0, len(plane) // 2 - SAMPLE // 2)
    sample = plane[middle : middle + SAMPLE]
    if len(zlib.compress(sample, LEVEL)) > WORTH * len(sample):
        return None
    return zlib.compress(plane, LEVEL)


def _inflated(data: bytes, length: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, length + 1)  # one more tells that there is too much
    except zlib.error:
        raise _damaged() from None


def _crc(planes: Any) -> int:
    found = 0
    for plane in planes:
        found = zlib.crc32(plane, found)
    return found


def _damaged() -> DamagedError:
    return DamagedError("A message arrived damaged.", "Try again; if it goes on, check the network between the two.")

"""Arrays as nnInteractive's HTTP clients send and expect them: "NNIA" version 1, blosc2 inside.

magic "NNIA", version, codec (1 ZSTD, 2 LZ4), dimensions, length of the dtype's name: a byte each
dtype's numpy name; shape: int64 each; number of chunks: uint32
each chunk: its bytes, its compressed bytes: uint64 each; a blosc2 frame
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import DamagedError, SettingsError

NAMES = {"bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "float16", "float32", "float64"}
CHUNK = 1 << 30  # bytes; blosc2 takes less than 2 GiB at once
ZSTD = 1


def pack_nnia(array: npt.NDArray[Any]) -> bytes:
    """An array as bytes."""
    blosc2 = library()
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    name = array.dtype.name.encode()
    raw = array.data.cast("B")
    parts = [struct.pack(f"<4sBBBB{len(name)}s", b"NNIA", 1, ZSTD, array.ndim, len(name), name)]
    parts.append(struct.pack(f"<{array.ndim}qI", *array.shape, -(-raw.nbytes // CHUNK)))
    for start in range(0, raw.nbytes, CHUNK):
        piece = raw[start : start + CHUNK]
        frame = blosc2.compress2(piece, typesize=array.itemsize, clevel=1, filters=[blosc2.Filter.NOFILTER])
        parts += [struct.pack("<QQ", piece.nbytes, len(frame)), frame]
    return b"".join(parts)


def unpack_nnia(data: bytes, longest: int) -> npt.NDArray[Any]:
    """The array of bytes.

    Parameters
    ----------
    longest : bytes that it may take

    Raises
    ------
    DamagedError
    """
    blosc2 = library()
    try:
        magic, version, codec, dimensions, length = struct.unpack_from("<4sBBBB", data, 0)
        name = data[8 : 8 + length].decode("ascii")
        at = 8 + length
        shape = struct.unpack_from(f"<{dimensions}q", data, at)
        (chunks,) = struct.unpack_from("<I", data, at + 8 * dimensions)
        at += 8 * dimensions + 4
        known = (magic, version) == (b"NNIA", 1) and codec in (1, 2) and name in NAMES and min(shape, default=1) >= 0
        if not known or math.prod(shape) * np.dtype(name).itemsize > longest:
            raise ValueError("not what is spoken here, or too long")
        flat = np.empty(math.prod(shape), name)
        room, filled = flat.data.cast("B") if flat.size else memoryview(b""), 0
        for _ in range(chunks):
            size, packed = struct.unpack_from("<QQ", data, at)
            frame = data[at + 16 : at + 16 + packed]
            if (
                len(frame) != packed
                or filled + size > len(room)
                or blosc2.get_cbuffer_sizes(frame)[:2] != (size, packed)
            ):
                raise ValueError("a chunk is not as long as it says")
            if size:
                blosc2.decompress2(frame, dst=room[filled : filled + size])
            filled, at = filled + size, at + 16 + packed
        if filled != flat.nbytes or at != len(data):
            raise ValueError("too little, or too much")
    except (ValueError, struct.error, RuntimeError, UnicodeDecodeError, TypeError):
        raise DamagedError(
            "An array arrived damaged.", "Send it again, as an nnInteractive client of 2.x does."
        ) from None
    return flat.reshape(shape)


def library() -> Any:
    """blosc2, loaded when it is needed."""
    try:
        import blosc2
    except ImportError:
        raise SettingsError(
            "The nnInteractive interface needs a package that is not installed.",
            "pip install 'osirix-agent[serve-nninteractive]'",
        ) from None
    return blosc2

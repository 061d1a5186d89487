"""A slice straight from the wire: the packed floats of a DCMPixImage answer seen in place, without a copy.

Parsing the answer as a message copies the pixels twice more than moving them does. Only the outer fields are walked
here; whatever looks unusual is left to protobuf.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from osirixgrpc import dcmpix_pb2

_FIELDS = {name: f.number for name, f in dcmpix_pb2.DCMPixImageResponse.DESCRIPTOR.fields_by_name.items()}
_VARINT, _LENGTH = 0, 2


def read_image(data: bytes) -> tuple[Any, npt.NDArray[np.float32]]:
    """(answer without its floats, floats) of a serialised DCMPixImageResponse; the floats are a view of `data`."""
    at, small = 0, bytearray()
    values: npt.NDArray[np.float32] | None = None
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        kind, field = tag & 7, tag >> 3
        if kind == _LENGTH:
            length, at = _varint(data, at)
            if field == _FIELDS["image_data_float"] and values is None:
                values = np.frombuffer(data, "<f4", length // 4, at)
                at += length
                continue
            at += length
        elif kind == _VARINT:
            _, at = _varint(data, at)
        else:
            return _parsed(data)
        small += data[start:at]
    answer = dcmpix_pb2.DCMPixImageResponse.FromString(bytes(small))
    if values is None or len(answer.image_data_float):
        return _parsed(data)
    return answer, values


def _parsed(data: bytes) -> tuple[Any, npt.NDArray[np.float32]]:
    answer = dcmpix_pb2.DCMPixImageResponse.FromString(data)
    return answer, np.asarray(answer.image_data_float, dtype=np.float32)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7

"""Whisper's weights in CTranslate2's file, and low-rank changes of them, folded in where they lie.

`model.bin` is, in little-endian order: version, the name of the architecture, revision, number of variables; of each
its name, rank, dimensions, type, size in bytes and the bytes; then names of variables that equal one of these
(CTranslate2, `python/ctranslate2/specs/model_spec.py`).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import ModelError

_TYPES: dict[int, np.dtype[np.generic]] = {
    0: np.dtype(np.float32), 2: np.dtype(np.int16), 4: np.dtype(np.float16)
}  # fmt: skip  # weights of other types, or of int16, are quantised, and cannot be changed so
_VERSION = 6
# linear layers by their names in `transformers`: the variable, and which of its equal parts along the outputs
LINEAR = {
    "self_attn.q_proj": ("self_attention/linear_0", 0, 3), "self_attn.k_proj": ("self_attention/linear_0", 1, 3),
    "self_attn.v_proj": ("self_attention/linear_0", 2, 3), "self_attn.out_proj": ("self_attention/linear_1", 0, 1),
    "encoder_attn.q_proj": ("attention/linear_0", 0, 1), "encoder_attn.k_proj": ("attention/linear_1", 0, 2),
    "encoder_attn.v_proj": ("attention/linear_1", 1, 2), "encoder_attn.out_proj": ("attention/linear_2", 0, 1),
    "fc1": ("ffn/linear_0", 0, 1), "fc2": ("ffn/linear_1", 0, 1),
}  # fmt: skip
_LAYER = re.compile(r"^model\.(encoder|decoder)\.layers\.(\d+)\.(.+)$")


@dataclass(frozen=True)
class Place:
    """Where a variable lies in the file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


def places(content: bytes | bytearray) -> dict[str, Place]:
    """Variables by name, those that are quantised left out.

    Raises
    ------
    ModelError
        It is no such file, is cut short, or of another version.
    """
    at = 0

    def take(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, content, at)
        at += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal at
        size = take("H")
        at += size
        return bytes(content[at - size : at - 1]).decode()

    found: dict[str, Place] = {}
    try:
        if take("I") != _VERSION or text() != "WhisperSpec":
            raise ValueError
        take("I")
        for _ in range(take("I")):
            name = text()
            shape = tuple(take("I") for _ in range(take("B")))
            kind, size = take("B"), take("I")
            if kind in _TYPES:
                if size != int(np.prod(shape, dtype=np.int64)) * _TYPES[kind].itemsize or at + size > len(content):
                    raise ValueError
                found[name] = Place(at, shape, _TYPES[kind])
            at += size
        for _ in range(take("I")):  # variables that equal another are kept once
            name, same = text(), text()
            if same in found:
                found[name] = found[same]
    except (struct.error, ValueError):
        raise ModelError(
            "model.bin is no Whisper model of CTranslate2 that can be read.", "Convert it again with CTranslate2 4."
        ) from None
    return found


def read(content: bytes | bytearray, place: Place) -> npt.NDArray[Any]:
    """A view of the variable; what is written into it is written into a bytearray."""
    count = int(np.prod(place.shape, dtype=np.int64))
    return np.frombuffer(content, place.dtype, count, place.start).reshape(place.shape)


def digest_of(content: bytes | bytearray, known: Mapping[str, Place]) -> str:
    """SHA-256 of the weights in half precision, in the order of their names: the same however they were converted."""
    digest = hashlib.sha256()
    for name in sorted(known):
        if np.issubdtype(known[name].dtype, np.floating):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(read(content, known[name]), np.float16).tobytes())
    return digest.hexdigest()


def variable_of(layer: str) -> tuple[str, int, int]:
    """Of a linear layer as `transformers` calls it: the variable, which of its parts it is, and of how many.

    Raises
    ------
    KeyError
        Whisper has no such layer.
    """
    found = _LAYER.match(layer)
    if found is None or found[3] not in LINEAR:
        raise KeyError(layer)
    name, part, parts = LINEAR[found[3]]
    return f"{found[1]}/layer_{found[2]}/{name}", part, parts


def folded(content: bytes, factors: Mapping[str, npt.NDArray[np.generic]], scale: float) -> bytes:
    """The file with `scale * B @ A` added to each layer that has factors.

    Parameters
    ----------
    factors : LAYER.lora_A (rank, inputs) and LAYER.lora_B (outputs, rank), layers as `transformers` calls them

    Raises
    ------
    ModelError
        The factors do not fit the model.
    """
    changed = bytearray(content)
    known = places(content)
    try:
        for layer in dict.fromkeys(name.rpartition(".")[0] for name in factors):
            variable, part, parts = variable_of(layer)
            weight = read(changed, known[f"{variable}/weight"])
            rows = weight.shape[0] // parts
            down, up = (factors[f"{layer}.{one}"].astype(np.float32) for one in ("lora_A", "lora_B"))
            change = scale * (up @ down)
            if change.shape != (rows, weight.shape[1]) or not np.isfinite(change).all():
                raise ValueError
            weight[part * rows : (part + 1) * rows] += change.astype(weight.dtype)
    except (KeyError, ValueError):
        raise ModelError(
            "The changes do not fit this speech model.", "Use them with the one they were made for."
        ) from None
    return bytes(changed)

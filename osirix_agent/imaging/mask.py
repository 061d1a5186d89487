"""A mask as bytes: the same ones whatever crop it was held on, so that their SHA-256 names the mask."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
_TRIPLE = rb"(\d+), (\d+), (\d+)"
_HEADER = re.compile(rb"\(" + _TRIPLE + rb"\)(?:\[" + _TRIPLE + rb"\]\(" + _TRIPLE + rb"\))?")


def tight(mask: BoolArray) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds a mask; None for an empty one."""
    along = (mask.any((1, 2)), mask.any((0, 2)), mask.any((0, 1)))
    if not along[0].any():
        return None
    k, j, i = (np.flatnonzero(one) for one in along)
    return slice(int(k[0]), int(k[-1]) + 1), slice(int(j[0]), int(j[-1]) + 1), slice(int(i[0]), int(i[-1]) + 1)


def mask_bytes(crop: BoolArray, corner_kji: tuple[int, int, int], shape_kji: tuple[int, int, int]) -> bytes:
    """Shape of the volume, box of the mask, and its voxels in the box, eight a byte.

    Parameters
    ----------
    crop : (k, j, i) bool
    corner_kji : volume index of crop[0, 0, 0]
    shape_kji : of the whole volume
    """
    box, whole = tight(crop), tuple(int(n) for n in shape_kji)
    if box is None:
        return repr(whole).encode()
    low = [int(s.start + c) for s, c in zip(box, corner_kji, strict=True)]
    inside = crop[box]
    return f"{whole!r}{low!r}{inside.shape!r}".encode() + np.packbits(inside).tobytes()


def mask_from_bytes(data: bytes) -> BoolArray:
    """(k, j, i) bool on the whole volume.

    Raises
    ------
    ValueError
        No mask.
    """
    shape, low, inside = box_from_bytes(data)
    mask = np.zeros(shape, np.bool_)
    mask[tuple(slice(a, a + n) for a, n in zip(low, inside.shape, strict=True))] = inside
    return mask


def box_from_bytes(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...], BoolArray]:
    """Shape of the volume; first voxel of the box that holds the mask, and the mask in it (empty, of none).

    Raises
    ------
    ValueError
        No mask.
    """
    found = _HEADER.match(data)
    if found is None:
        raise ValueError("not a mask")
    numbers = tuple(int(n) for n in found.groups() if n is not None)
    if len(numbers) == 3:
        return numbers, (0, 0, 0), np.zeros((0, 0, 0), np.bool_)
    shape, low, size = numbers[:3], numbers[3:6], numbers[6:9]
    bits = np.unpackbits(np.frombuffer(data[found.end() :], np.uint8), count=int(np.prod(size)))
    return shape, low, bits.reshape(size).astype(np.bool_)


def dice_of_bytes(a: bytes, b: bytes) -> float:
    """`dice` of two masks as they are stored, without laying out their volume. Raises ValueError: no mask."""
    (_, low_a, in_a), (_, low_b, in_b) = box_from_bytes(a), box_from_bytes(b)
    low = np.maximum(low_a, low_b)
    high = np.minimum(np.add(low_a, in_a.shape), np.add(low_b, in_b.shape))
    both = 0
    if (high > low).all():
        cut = [
            one[tuple(slice(p - q, r - q) for p, q, r in zip(low, first, high, strict=True))]
            for first, one in ((low_a, in_a), (low_b, in_b))
        ]
        both = int((cut[0] & cut[1]).sum())
    total = int(in_a.sum()) + int(in_b.sum())
    return 2.0 * both / total if total else 1.0


def dice(a: BoolArray, b: BoolArray) -> float:
    """2 |A and B| / (|A| + |B|); 1 when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0

"""Coarser grids for a crop: block means down, linear interpolation up, balls in millimetres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


def strides(shape: tuple[int, ...], spacing: npt.NDArray[np.float64], limit: int) -> npt.NDArray[np.int_]:
    """Whole-number block size per axis that brings the crop below `limit` voxels, as isotropic as it can be."""
    stride = np.ones(3, int)
    while np.prod(np.ceil(np.array(shape) / stride)) > limit:
        able = np.array(shape) // stride > 4
        finest = np.where(able, spacing * stride, np.inf)
        stride[int(np.argmin(finest))] += 1
        if not able.any():
            break
    return stride


def block_mean(image: Float32Array, stride: npt.NDArray[np.int_]) -> Float32Array:
    """Mean over blocks; the last block of an axis is filled up with the edge value."""
    if (stride == 1).all():
        return np.ascontiguousarray(image)
    counts = -(-np.array(image.shape) // stride)
    pad = [(0, int(c * s - n)) for c, s, n in zip(counts, stride, image.shape, strict=True)]
    padded = np.pad(image, pad, mode="edge")
    a, b, c = (int(v) for v in counts)
    p, q, r = (int(v) for v in stride)
    return np.asarray(padded.reshape(a, p, b, q, c, r).mean(axis=(1, 3, 5), dtype=np.float32))


def upsample(coarse: Float32Array, stride: npt.NDArray[np.int_], shape: tuple[int, ...]) -> Float32Array:
    """Linear interpolation from block centres back to voxels, axis by axis."""
    out = coarse
    for axis, (s, n) in enumerate(zip(stride, shape, strict=True)):
        if s == 1:
            continue
        at = (np.arange(n) + 0.5) / s - 0.5
        low = np.clip(np.floor(at).astype(int), 0, out.shape[axis] - 1)
        high = np.minimum(low + 1, out.shape[axis] - 1)
        weight = np.clip(at - low, 0, 1).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        out = np.take(out, low, axis) * (1 - weight) + np.take(out, high, axis) * weight
    return np.ascontiguousarray(out, np.float32)


def ball(radius_mm: float, step_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.int_]:
    """(n, 3) voxel offsets within a radius; always holds the centre."""
    reach = np.floor(radius_mm / step_mm).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)
    return grid[((grid * step_mm) ** 2).sum(1) <= radius_mm**2]


def stamp(shape: tuple[int, ...], centres: npt.NDArray[np.int_], offsets: npt.NDArray[np.int_]) -> BoolArray:
    out = np.zeros(shape, np.bool_)
    at = (centres[:, None] + offsets[None]).reshape(-1, 3)
    at = at[((at >= 0) & (at < shape)).all(1)]
    out[tuple(at.T)] = True
    return out

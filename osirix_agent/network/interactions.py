"""Prompts as channels beside the image: one code for the simulated clinician of the training and for the real one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from osirix_agent.network.prompt import CHANNELS

FloatArray = npt.NDArray[np.float64]
Mark = tuple[str, FloatArray]  # channel, and (n, 3) grid index of what it holds

POINT_RADIUS_VOXELS = 3.0
RECENCY = 0.95  # an older prompt's mark is this much weaker for each newer one


def interactions(
    shape_kji: tuple[int, ...], prompts: Sequence[Sequence[Mark]], previous: Tensor | None, words: Tensor | None
) -> Tensor:
    """(8, k, j, i) float32 channels, in the order of `CHANNELS`.

    Parameters
    ----------
    prompts : the marks of each prompt, oldest first
    previous, words : (k, j, i) probabilities of the last answer and of the words alone
    """
    made = torch.zeros(len(CHANNELS), *shape_kji)
    if previous is not None:
        made[CHANNELS.index("previous")] = previous
    if words is not None:
        made[CHANNELS.index("words")] = words
    for age, marks in enumerate(reversed(prompts)):
        for name, at_kji in marks:
            write = stamp_points if name.startswith("point") else _paint
            write(made[CHANNELS.index(name)], at_kji, RECENCY**age)
    return made


def stamp_points(channel: Tensor, points_kji: FloatArray, strength: float) -> None:
    """Write cones of radius 3 voxels into a channel (k, j, i), each 1 at the point's exact place; maximum wins."""
    r = int(np.ceil(POINT_RADIUS_VOXELS))
    for point in np.atleast_2d(points_kji):
        centre = np.round(point).astype(int)
        low = np.maximum(centre - r, 0)
        high = np.minimum(centre + r + 1, channel.shape)
        if (high <= low).any():
            continue
        k, j, i = (
            torch.arange(int(a), int(b), dtype=torch.float32) - float(p)
            for a, b, p in zip(low, high, point, strict=True)
        )
        distance = (k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None, :] ** 2).sqrt()
        cone = (1 - distance / POINT_RADIUS_VOXELS).clamp(min=0) * strength
        window = channel[int(low[0]) : int(high[0]), int(low[1]) : int(high[1]), int(low[2]) : int(high[2])]
        torch.maximum(window, cone.to(channel), out=window)


def _paint(channel: Tensor, at_kji: FloatArray, strength: float) -> None:
    """Fill the voxels nearest to (n, 3) points; what lies outside is left out, and the stronger wins."""
    index = np.round(at_kji).astype(int)
    index = index[((index >= 0) & (index < np.array(channel.shape))).all(1)]
    k, j, i = torch.from_numpy(index.T.copy())
    channel[k, j, i] = channel[k, j, i].clamp(min=strength)

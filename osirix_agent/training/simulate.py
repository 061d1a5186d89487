"""A simulated clinician for training: boxes, clicks, scribbles and lassos on the network's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from osirix_agent.network.interactions import Mark, interactions
from osirix_agent.training.clicks import next_click

BoolArray = npt.NDArray[np.bool_]


@dataclass(eq=False)
class Session:
    """One structure being contoured: the interaction channels as they grow.

    Attributes
    ----------
    truth : (k, j, i) bool
    marks : one a prompt, oldest first
    """

    truth: BoolArray
    marks: list[Mark] = field(default_factory=list)

    def channels(self, previous: Tensor | None, words: Tensor | None) -> Tensor:
        """(8, k, j, i) float32."""
        return interactions(self.truth.shape, [[mark] for mark in self.marks], previous, words)

    def box(self, random: np.random.Generator) -> None:
        """A loose rectangle round the truth on a slice near its middle."""
        held = np.flatnonzero(self.truth.any(axis=(1, 2)))
        k = int(held[np.clip(len(held) // 2 + random.integers(-1, 2), 0, len(held) - 1)])
        rows, columns = np.flatnonzero(self.truth[k].any(1)), np.flatnonzero(self.truth[k].any(0))
        loose = random.integers(0, 2, 4)
        block = np.zeros(self.truth.shape, np.bool_)
        block[k, max(0, rows[0] - loose[0]) : rows[-1] + 1 + loose[1],
              max(0, columns[0] - loose[2]) : columns[-1] + 1 + loose[3]] = True  # fmt: skip
        self.marks.append(("region+", np.argwhere(block).astype(float)))

    def recorded(self, prompts: Sequence[Mark]) -> None:
        """What a clinician gave: boxes by their corners, points and strokes; what lies outside the grid is left out."""
        for kind, at in prompts:
            inside = at[((at > -0.5) & (at < np.array(self.truth.shape) - 0.5)).all(1)]
            if kind != "box":
                self.marks += [(kind, inside)] if len(inside) else []
                continue
            low, high = np.clip(np.round([at.min(0), at.max(0)]).astype(int), 0, np.array(self.truth.shape) - 1)
            k = int(np.round(at[:, 0].mean()))
            if 0 <= k < len(self.truth):
                block = np.zeros(self.truth.shape, np.bool_)
                block[k, low[1] : high[1] + 1, low[2] : high[2] + 1] = True
                self.marks.append(("region+", np.argwhere(block).astype(float)))

    def lasso(self, random: np.random.Generator) -> None:
        """The truth on one slice, filled; a little off."""
        held = np.flatnonzero(self.truth.any(axis=(1, 2)))
        k = int(held[random.integers(len(held))])
        drawn = self.truth[k]
        if random.random() < 0.5:
            drawn = (ndimage.binary_dilation if random.random() < 0.5 else ndimage.binary_erosion)(drawn)
        if not drawn.any():
            drawn = self.truth[k]
        block = np.zeros(self.truth.shape, np.bool_)
        block[k] = drawn
        self.marks.append(("region+", np.argwhere(block).astype(float)))

    def scribble(self, random: np.random.Generator, proposal: BoolArray) -> None:
        """A stroke through the deepest part of an error on one slice."""
        error = self.truth != proposal
        if not error.any():
            return
        amounts = error.sum(axis=(1, 2))
        k = int(random.choice(np.flatnonzero(amounts >= max(1, amounts.max() // 2))))
        depth = ndimage.distance_transform_edt(error[k])
        at = np.unravel_index(int(depth.argmax()), depth.shape)
        include = bool(self.truth[k][at])
        same = error[k] & (self.truth[k] == include)
        direction = random.standard_normal(2)
        direction /= np.linalg.norm(direction)
        points = []
        for sign in (1, -1):
            here = np.array(at, float)
            for _ in range(12):
                row, column = np.round(here).astype(int)
                if not (0 <= row < same.shape[0] and 0 <= column < same.shape[1] and same[row, column]):
                    break
                points.append((k, row, column))
                here += sign * direction
        self.marks.append(("scribble+" if include else "scribble-", np.array(points, float)))

    def click(self, random: np.random.Generator, proposal: BoolArray, jitter: float, wrong: float) -> bool:
        """The benchmark's click, or somewhere about it; False when nothing is wrong."""
        click = next_click(self.truth, proposal, seed=int(random.integers(1 << 30)))
        if click is None:
            return False
        at = np.array(click.kji)
        if random.random() < jitter:
            moved = np.clip(at + np.round(random.normal(0, 1.5, 3)).astype(int), 0, np.array(self.truth.shape) - 1)
            if self.truth[tuple(moved)] == click.include:
                at = moved
        include = click.include if random.random() >= wrong else not click.include
        exact = at[None].astype(float) + random.uniform(-0.5, 0.5, (1, 3))
        self.marks.append(("point+" if include else "point-", exact))
        return True


def rough(truth: BoolArray, random: np.random.Generator) -> Tensor:
    """A proposal such as a coarser level would give: shifted, grown or shrunk, blurred."""
    mask = truth
    if random.random() < 0.5:
        grow = ndimage.binary_dilation if random.random() < 0.5 else ndimage.binary_erosion
        mask = grow(mask, iterations=int(random.integers(1, 3)))
    mask = np.roll(mask, tuple(random.integers(-2, 3, 3)), (0, 1, 2))
    soft = ndimage.gaussian_filter(mask.astype(np.float32), random.uniform(0.5, 1.5))
    if random.random() < 0.3:  # a part is missing
        low = [int(random.integers(0, n)) for n in soft.shape]
        soft[tuple(slice(a, a + int(n // 3)) for a, n in zip(low, soft.shape, strict=True))] = 0
    return torch.from_numpy(soft)

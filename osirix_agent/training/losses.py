"""Losses that do not starve small organs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

INSIDE_WEIGHT = 0.5  # of the mean cross-entropy inside a structure
OUTSIDE_WEIGHT = 40.0  # of that outside, at most


def segmentation_loss(logits: Tensor, truths: Tensor, emphasis: Tensor | None = None) -> Tensor:
    """Dice over the structures that are present, plus cross-entropy inside and outside each; mean over structures.

    The cross-entropy is averaged inside and outside apart, so that a cord of 300 voxels counts like a lung. A voxel
    outside never weighs more than one inside: where a tumour fills a fifth of the grid, a fixed weight outside
    teaches to leave it out.

    Parameters
    ----------
    logits, truths : (n, k, j, i); truths bool
    emphasis : (n, k, j, i) or None
        Extra weight of a voxel in the cross-entropy (about prompts).
    """
    flat, goal = logits.flatten(1), truths.flatten(1).float()
    probability = flat.sigmoid()
    count = goal.sum(1)
    overlap = (2 * (probability * goal).sum(1) + 1) / (probability.sum(1) + count + 1)
    missed = torch.where(count > 0, 1 - overlap, torch.zeros_like(overlap))
    entropy = F.binary_cross_entropy_with_logits(flat, goal, reduction="none")
    if emphasis is not None:
        entropy = entropy * (1 + emphasis.flatten(1))
    inside = (entropy * goal).sum(1) / count.clamp(min=1)
    outside = (entropy * (1 - goal)).mean(1)
    weight = (INSIDE_WEIGHT * flat.shape[1] / count.clamp(min=1)).clamp(max=OUTSIDE_WEIGHT)
    return (missed + INSIDE_WEIGHT * inside + weight * outside).mean()

"""The image encoder: a residual U-Net run once per volume and level; all prompts and words share what it found."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from osirix_agent.network.blocks import Join, Residual, norm, shuffle, unshuffle

IMAGE_CHANNELS = 2  # soft-tissue window and wide window; see `preprocess`
STRIDE = 16  # grids are multiples of this


class ImageFeatures(NamedTuple):
    """What the encoder found, from full resolution down to a sixteenth; (B, C, k, j, i) each."""

    full: Tensor
    half: Tensor
    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor


class ImageEncoder(nn.Module):
    """(B, 2, k, j, i), sizes multiples of 16, to `ImageFeatures`.

    Parameters
    ----------
    widths : channels at 1/2, 1/4, 1/8 and 1/16
    full_width : channels at full resolution
    context_width : length of the context vector (modality, spacing) that shifts and scales every level
    """

    def __init__(self, widths: tuple[int, int, int, int], full_width: int, context_width: int) -> None:
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Conv3d(8 * IMAGE_CHANNELS, a, 3, 1, 1, bias=False)
        self.e2 = Residual(a, a)
        self.d4, self.e4 = Residual(a, b, 2), Residual(b, b)
        self.d8, self.e8 = Residual(b, c, 2), Residual(c, c)
        self.d16, self.e16 = Residual(c, d, 2), Residual(d, d)
        self.u8, self.u4, self.u2 = Join(d, c), Join(c, b), Join(b, a)
        self.film = nn.Linear(context_width, 2 * (b + c + d))
        self.to_full = nn.Conv3d(a, 8 * full_width, 1)
        self.image_full = nn.Conv3d(IMAGE_CHANNELS, full_width, 3, 1, 1)
        self.norm_full = norm(full_width)
        self.mix_full = nn.Conv3d(full_width, full_width, 3, 1, 1)
        self._split = [2 * b, 2 * c, 2 * d]

    def forward(self, image: Tensor, context: Tensor) -> ImageFeatures:
        """`image` (B, 2, k, j, i); `context` (B, context_width)."""
        f4, f8, f16 = self.film(context).split(self._split, dim=1)
        x2 = self.e2(self.stem(unshuffle(image)))
        x4 = self.e4(self.d4(x2), f4)
        x8 = self.e8(self.d8(x4), f8)
        x16 = self.e16(self.d16(x8), f16)
        y8 = self.u8(x16, x8)
        y4 = self.u4(y8, x4)
        y2 = self.u2(y4, x2)
        full = shuffle(self.to_full(y2)) + self.image_full(image)
        full = F.leaky_relu(self.mix_full(F.leaky_relu(self.norm_full(full), 0.01)), 0.01)
        return ImageFeatures(full, y2, y4, y8, x16)

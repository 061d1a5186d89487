"""The prompt decoder: a light U-Net over image features and interaction channels, re-run at every prompt."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from osirix_agent.network.blocks import Join, Residual, norm, shuffle, unshuffle
from osirix_agent.network.image import ImageFeatures

# interaction channels, in order; each include/exclude pair apart; values 0..1, newest strongest
CHANNELS = ("previous", "region+", "region-", "point+", "point-", "scribble+", "scribble-", "words")


class PromptDecoder(nn.Module):
    """`ImageFeatures` of one image and (B, 8, k, j, i) interactions to (B, 1, k, j, i) logits.

    Parameters
    ----------
    image_widths, full_width : as the image encoder's
    widths : channels at 1/2, 1/4, 1/8 and 1/16
    context_width : length of the context vector (words, structure type, modality, spacing)
    """

    def __init__(
        self, image_widths: tuple[int, int, int, int], full_width: int, widths: tuple[int, int, int, int],
        context_width: int,
    ) -> None:  # fmt: skip
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Conv3d(8 * len(CHANNELS), a, 3, 1, 1, bias=False)
        self.p2, self.p4, self.p8, self.p16 = (nn.Conv3d(i, o, 1) for i, o in zip(image_widths, widths, strict=True))
        self.e2 = Residual(a, a)
        self.d4, self.e4 = Residual(a, b, 2), Residual(b, b)
        self.d8, self.e8 = Residual(b, c, 2), Residual(c, c)
        self.d16, self.e16 = Residual(c, d, 2), Residual(d, d)
        self.u8, self.u4, self.u2 = Join(d, c), Join(c, b), Join(b, a)
        self._split = [2 * n for n in (a, b, c, d, c, b, a)]
        self.film = nn.Linear(context_width, sum(self._split))
        self.to_full = nn.Conv3d(a, 8 * 8, 1)
        self.prompts_full = nn.Conv3d(len(CHANNELS), 8, 1)
        self.image_full = nn.Conv3d(full_width, 8, 1)
        self.norm_full = norm(8)
        self.mix_full = nn.Conv3d(8, 8, 3, 1, 1)
        self.seg_head = nn.Conv3d(8, 1, 1)

    def forward(self, features: ImageFeatures, interactions: Tensor, context: Tensor) -> Tensor:
        """`features` may hold one image for a whole batch of interactions."""
        f2, f4, f8, f16, g8, g4, g2 = self.film(context).split(self._split, dim=1)
        x2 = self.e2(self.stem(unshuffle(interactions)) + self.p2(features.half), f2)
        x4 = self.e4(self.d4(x2) + self.p4(features.quarter), f4)
        x8 = self.e8(self.d8(x4) + self.p8(features.eighth), f8)
        x16 = self.e16(self.d16(x8) + self.p16(features.sixteenth), f16)
        y8 = self.u8(x16, x8, g8)
        y4 = self.u4(y8, x4, g4)
        y2 = self.u2(y4, x2, g2)
        full = shuffle(self.to_full(y2)) + self.prompts_full(interactions) + self.image_full(features.full)
        full = F.leaky_relu(self.mix_full(F.leaky_relu(self.norm_full(full), 0.01)), 0.01)
        return self.seg_head(full)

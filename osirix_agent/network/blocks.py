"""Building blocks: residual convolution, conditioning, and changes of resolution without transposed convolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def norm(channels: int) -> nn.GroupNorm:
    """Groups of eight channels: independent of the batch, and fast in channels-last order on a CPU."""
    return nn.GroupNorm(channels // 8, channels)


class Residual(nn.Module):
    """conv - norm - act - conv - norm, plus the input; He et al. 2016 with group norm (Wu and He 2018).

    Shapes: (B, in, k, j, i) to (B, out, k / stride, j / stride, i / stride).
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.c1 = nn.Conv3d(in_channels, channels, 3, stride, 1, bias=False)
        self.n1 = norm(channels)
        self.c2 = nn.Conv3d(channels, channels, 3, 1, 1, bias=False)
        self.n2 = norm(channels)
        same = in_channels == channels and stride == 1
        self.skip = nn.Identity() if same else nn.Conv3d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        """`film` is (B, 2 * channels): scale and shift of the second norm's output."""
        y = F.leaky_relu(self.n1(self.c1(x)), 0.01)
        y = self.n2(self.c2(y))
        if film is not None:
            scale, shift = film.to(y.dtype)[:, :, None, None, None].chunk(2, dim=1)
            y = y * (1 + scale) + shift
        return F.leaky_relu(y + self.skip(x), 0.01)


def unshuffle(x: Tensor) -> Tensor:
    """(B, C, k, j, i) to (B, 8 C, k / 2, j / 2, i / 2): nothing is lost, and the convolution after it is cheap."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c, k // 2, 2, j // 2, 2, i // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, k // 2, j // 2, i // 2)


def shuffle(x: Tensor) -> Tensor:
    """The inverse of `unshuffle`."""
    b, c, k, j, i = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, k, j, i)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * k, 2 * j, 2 * i)


def upsample(x: Tensor) -> Tensor:
    """Twice the size along each axis, trilinear."""
    return F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)


class Join(nn.Module):
    """A coarser level (B, low, k, j, i) brought to a finer one (B, high, 2 k, 2 j, 2 i), added, and mixed.

    Widths are matched before the upsampling and added rather than concatenated: a third of the work.
    """

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.narrow = nn.Conv3d(low, high, 1)
        self.mix = Residual(high, high)

    def forward(self, coarse: Tensor, skip: Tensor, film: Tensor | None = None) -> Tensor:
        mixed: Tensor = self.mix(upsample(self.narrow(coarse)) + skip, film)
        return mixed

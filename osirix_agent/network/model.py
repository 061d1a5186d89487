"""The promptable network: one image encoder, one text tower, one prompt decoder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osirix_agent.network.image import ImageEncoder, ImageFeatures
from osirix_agent.network.prompt import PromptDecoder
from osirix_agent.network.text import Phrase, TextTower

MODALITIES = ("CT", "MR", "PT")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of everything; stored with the weights."""

    image_widths: tuple[int, int, int, int] = (32, 64, 128, 160)
    full_width: int = 8
    prompt_widths: tuple[int, int, int, int] = (24, 48, 64, 96)
    image_context: int = 32
    query_width: int = 128
    prompt_context: int = 160
    text: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkConfig:
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**sizes)


class Encoded(NamedTuple):
    """An image at one level, seen once: features and context (B, image_context)."""

    features: ImageFeatures
    context: Tensor


def cpu_has_bf16() -> bool:
    """Does the processor's convolution library compute in bfloat16?"""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class PromptableNetwork(nn.Module):
    """Image, interactions and words in; logits out.

    Grids are (k, j, i) in patient order: k to superior, j to posterior, i to the patient's left, cubic voxels.
    """

    def __init__(self, config: NetworkConfig, vocabulary: list[str]) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(config.image_widths, config.full_width, config.image_context)
        self.text = TextTower(config.text, vocabulary, config.query_width)
        self.image_context = nn.Sequential(
            nn.Linear(len(MODALITIES) + 1, config.image_context), nn.SiLU(),
            nn.Linear(config.image_context, config.image_context),
        )  # fmt: skip
        self.decoder = PromptDecoder(
            config.image_widths, config.full_width, config.prompt_widths, config.prompt_context
        )
        self.prompt_context = nn.Sequential(
            nn.Linear(config.query_width + 1 + config.image_context, config.prompt_context), nn.SiLU(),
            nn.Linear(config.prompt_context, config.prompt_context), nn.SiLU(),
        )  # fmt: skip
        a, b = config.image_widths[:2]
        self.mask_embedding = nn.Linear(config.query_width, config.full_width + a + b + 1)

    def encode(self, image: Tensor, modality: str, spacing_mm: float) -> Encoded:
        """`image` (B, 2, k, j, i) as `preprocess.normalise` gives it; sizes multiples of 16."""
        code = torch.zeros(len(image), len(MODALITIES) + 1, device=image.device)
        if modality in MODALITIES:
            code[:, MODALITIES.index(modality)] = 1
        code[:, -1] = float(torch.log2(torch.tensor(spacing_mm / 3.0)))
        context = self.image_context(code)
        return Encoded(self.image(image, context), context)

    def queries(self, phrases: list[Phrase]) -> Tensor:
        """(K, query_width)."""
        queries: Tensor = self.text(phrases)
        return queries

    def words(self, encoded: Encoded, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Logits from words alone: (K, k, j, i), and (K, k / 4, j / 4, i / 4) for deep supervision.

        The query's mask embedding meets the features at full, half and quarter resolution (as VoxTell's does).
        """
        config, features = self.config, encoded.features
        a, b = config.image_widths[:2]
        full, half, quarter, bias = self.mask_embedding(queries).split([config.full_width, a, b, 1], dim=1)
        at_half = torch.einsum("ckji,nc->nkji", features.half[0], half.to(features.half.dtype))
        at_full = torch.einsum("ckji,nc->nkji", features.full[0], full.to(features.full.dtype))
        up = F.interpolate(at_half[None], scale_factor=2, mode="trilinear", align_corners=False)[0]
        coarse = torch.einsum("ckji,nc->nkji", features.quarter[0], quarter.to(features.quarter.dtype))
        shift = bias[:, :, None, None]
        return (at_full + up).float() + shift, coarse.float() + shift

    def decode(self, encoded: Encoded, interactions: Tensor, queries: Tensor | None, named: Tensor) -> Tensor:
        """Logits (B, k, j, i) of B sets of interactions (B, 8, k, j, i) on one image.

        `queries` (B, query_width); `named` (B,) bool: rows without words see a zero query.
        """
        count, width = len(interactions), self.config.query_width
        present = named.to(interactions.device)[:, None].float()
        query = torch.zeros(count, width, device=interactions.device) if queries is None else queries.float()
        context = self.prompt_context(
            torch.cat([query * present, present, encoded.context.float().expand(count, -1)], dim=1)
        )
        logits: Tensor = self.decoder(encoded.features, interactions, context)
        return logits[:, 0].float()

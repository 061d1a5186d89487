"""The peer of words: a plain 3D U-Net that takes neither clicks nor words, with one output an organ.

It is what `words` of the model are measured beside: as large as the part of the base that answers them from the image
(5.9 M parameters), given as many steps on the same patients, drawn the same way but for the synthetic lesions and the
disguises, which it has no use for. The network is MONAI's DynUNet, nnU-Net's shape (Isensee et al. 2021) with residual
blocks, at half resolution behind the same lossless stem as ours; it answers on the same two levels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import ModelError, PromptError
from osirix_agent.imaging.volume import Volume
from osirix_agent.model_folder import FORMAT, WEIGHTS, FolderDescription, check_sums, read_description
from osirix_agent.network.blocks import shuffle, unshuffle
from osirix_agent.network.checkpoint import read_tensors, write_folder
from osirix_agent.network.image import IMAGE_CHANNELS
from osirix_agent.network.model import cpu_has_bf16
from osirix_agent.network.preprocess import AIR, Grid, normalise, sample_image
from osirix_agent.prompting.prompt import TextPrompt
from osirix_agent.segmenter.certain import trimmed
from osirix_agent.segmenter.levels import box_of, coarse_grid, fine_grid, index_to_lps, on_volume
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.seeds import Marks
from osirix_agent.training.cases import Case, train_cases
from osirix_agent.training.contouring import spelt
from osirix_agent.training.examples import DrawRecipe, Example
from osirix_agent.training.loop import first_process, on_cases, run
from osirix_agent.training.losses import segmentation_loss
from osirix_agent.training.phrases import ORGANS
from osirix_agent.training.step import Recipe


class PeerRecipe(Recipe):
    """Everything that decides the peer's weights; what only prompts need is not used."""

    structures: tuple[str, ...] = tuple(ORGANS)
    widths: tuple[int, ...] = (40, 80, 144, 192)
    prompted_share: float = 0.0
    draw: DrawRecipe = DrawRecipe(lesion_share=0.0, disguise_share=0.0)


class PeerDescription(FolderDescription):
    """What `unet.json` says; structures in TG-263 spelling, in the order of the outputs."""

    kind: Literal["unet"] = "unet"
    widths: tuple[int, ...]
    structures: tuple[str, ...]


class PlainUnet(nn.Module):
    """(B, 2, k, j, i) normalised CT, sizes multiples of 16, to (B, structures, k, j, i) logits.

    Parameters
    ----------
    widths : channels at 1/2, 1/4, 1/8 and 1/16
    """

    def __init__(self, widths: tuple[int, ...], structures: int) -> None:
        super().__init__()
        try:
            from monai.networks.nets import DynUNet
        except ImportError:
            raise ModelError(
                "The peer's network needs MONAI.", "Install it: pip install 'osirix-agent[train]'"
            ) from None
        self.unet = DynUNet(
            3, 8 * IMAGE_CHANNELS + 1, 8 * structures, kernel_size=[3] * len(widths),
            strides=[1, *[2] * (len(widths) - 1)], upsample_kernel_size=[2] * (len(widths) - 1), filters=widths,
            norm_name=("INSTANCE", {"affine": True}), res_block=True,
        )  # fmt: skip
        with torch.no_grad():  # structures fill about a hundredth of an image
            self.unet.output_block.conv.conv.bias.fill_(-4.0)

    def forward(self, image: Tensor, spacing_mm: float) -> Tensor:
        halved = unshuffle(image)
        scale = torch.full_like(halved[:, :1], float(np.log2(spacing_mm / 3.0)))  # the model is told it as well
        return shuffle(self.unet(torch.cat([halved, scale], dim=1))).float()


def plain_losses(
    network: PlainUnet, example: Example, recipe: PeerRecipe, rounds: int | None, random: np.random.Generator
) -> dict[str, Tensor]:
    """The loss over the organs that are known of the example's patient."""
    del rounds, random
    logits = network(example.image, example.spacing_mm)[0]
    known = [s for s in recipe.structures if s in example.truths]
    if not known:
        return {"words": 0.0 * logits.sum()}
    chosen = logits[[recipe.structures.index(s) for s in known]]
    return {"words": segmentation_loss(chosen, torch.stack([example.truths[s] for s in known]).to(chosen.device))}


def train_peer(recipe: PeerRecipe, work: Path, out: Path, version: str, cases: list[Case] | None = None) -> None:
    """Train, or go on where `work` says training stopped, and write the folder `out`."""
    torch.manual_seed(recipe.seed)
    network = PlainUnet(recipe.widths, len(recipe.structures))
    cases = train_cases("openkbp") if cases is None else cases
    turn = on_cases(recipe, network, cases, recipe.structures, plain_losses)
    averaged = run(recipe, network, list(network.parameters()), turn, work)
    if not first_process():
        return
    description = PeerDescription(
        format=FORMAT, name="unet", version=version, licence="Apache-2.0", widths=recipe.widths,
        structures=tuple(spelt(s) for s in recipe.structures),
    )  # fmt: skip
    write_folder(out, _once(averaged), "unet.json", description, recipe.model_dump())


def _once(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DynUNet holds its layers twice, once as they are chained by skips."""
    return {name: value for name, value in state.items() if ".skip_layers." not in name}


class UnetSegmenter:
    """A trained peer, to be evaluated: it is asked for an organ by name and takes no other prompt."""

    capabilities = Capabilities(text=True, clicks=False)

    def __init__(self, folder: Path) -> None:
        described = read_description(folder, "unet.json", PeerDescription)
        self._digest = check_sums(folder)[WEIGHTS]
        self._structures = described.structures
        self.name = f"{described.name} {described.version} ({self._digest[:12]})"
        self._network = PlainUnet(described.widths, len(described.structures))
        held = {name: value.float() for name, value in read_tensors(folder / WEIGHTS).items()}
        if held.keys() != _once(self._network.state_dict()).keys():
            raise ModelError(f"The weights in {folder} do not fit their own description.", "Train the peer again.")
        self._network.load_state_dict(held, strict=False)
        self._network = self._network.eval().requires_grad_(False).to(memory_format=torch.channels_last_3d)
        self._logits: dict[tuple[str, Grid], Tensor] = {}

    def propose(self, request: SegmentationRequest) -> Belief:
        said = [p for p in request.prompts if isinstance(p, TextPrompt)]
        asked = said[-1].phrase if said else request.structure
        if asked not in self._structures or len(said) != len(request.prompts):
            raise PromptError(
                "The plain network answers only the names that it was trained on.",
                f"Ask for one of: {', '.join(self._structures)}.",
            )
        channel, volume = self._structures.index(asked), request.volume
        grid = coarse_grid(volume)
        logits = self._answer(volume, grid)[channel]
        closer = fine_grid(logits, grid, [], volume)
        if closer is not None:
            grid, logits = closer, self._answer(volume, closer)[channel]
        box = box_of(logits, grid, volume, Marks((), ()), {})
        return trimmed(on_volume(logits, grid, index_to_lps(volume), box), box, volume.geometry.shape_kji, self.name)

    @torch.inference_mode()
    def _answer(self, volume: Volume, grid: Grid) -> Tensor:
        """(structures, k, j, i) logits on a grid."""
        key = volume.digest, grid
        if key not in self._logits:
            self._logits = {k: v for k, v in self._logits.items() if k[0] == volume.digest}
            image = sample_image(torch.from_numpy(volume.array), index_to_lps(volume), grid, AIR)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
                made = normalise(image, "CT", (0.0, 1.0))[None].to(memory_format=torch.channels_last_3d)
                self._logits[key] = self._network(made, grid.spacing_mm)[0]
        return self._logits[key]

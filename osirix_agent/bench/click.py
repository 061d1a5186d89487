"""click: from request to belief, the shipped model on a large CT, beside the shape of nnInteractive's network.

Each is measured in a process of its own, one after the other, with the same threads and the same precision. The peer
is the architecture alone (a residual-encoder U-Net of nnU-Net's "L" plan, Isensee et al. 2024, from MONAI's blocks)
with random weights, at its native patch of 192 x 192 x 192: what one forward pass costs, which is the least a click
costs there. It says nothing of how well either contours. `click.compiled` is what `torch.compile` would gain.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from osirix_agent.bench.study import BIG_SPACING_KJI_MM, big_image
from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt, Polarity, Prompt
from osirix_agent.segmenter.protocol import LooksAhead, SegmentationRequest
from osirix_agent.settings import load_settings
from osirix_agent.training.clicks import Click, next_click
from osirix_agent.training.contouring import UNNAMED, point

SLICES, ROUNDS, CLICKS = 150, 5, 5
PATCH, FORWARDS = 192, 2
REACH_P50_S, REACH_P95_S, REACH_ENCODE_S, REACH_GB, REACH_PEER = 0.6, 1.2, 6.0, 2.5, 1 / 30
GRID_KJI, PASSES = (48, 64, 64), 15  # as a fine crop has
# nnU-Net's plan: channels and residual blocks from full resolution down
WIDTHS, BLOCKS = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)
PEER_CHANNELS = 8  # image, previous mask, and three kinds of prompts for and against
IDS = {"click": "s", "click.p95": "s", "click.encode": "s", "click.memory": "GB", "click.peer": "s",
       "click.compiled": "s"}  # fmt: skip


Found = TypeVar("Found")


@dataclass(frozen=True)
class Measured:
    """What one process found.

    Attributes
    ----------
    name : what ran
    seconds : of each click, or of each forward pass
    first_s : of what comes before (encoding the volume once); 0 for the peer
    memory_gb : the process's largest resident memory, Python and image included
    """

    name: str
    seconds: tuple[float, ...]
    first_s: float
    memory_gb: float
    threads: int


def measure(folder: Path, seed: int) -> list[Figure]:
    del folder
    try:
        ours = _alone(run_model, seed, SLICES)
    except Exception as error:  # the table is whole whatever happens; the reason stands in it
        return [failed(id_, unit, "", f"{type(error).__name__}: {error}") for id_, unit in IDS.items()]
    try:
        rows = figures(ours, _alone(run_peer, PATCH, WIDTHS, BLOCKS))
    except Exception as error:
        rows = [*figures(ours, None), failed("click.peer", "s", "at most 1/30", f"{type(error).__name__}: {error}")]
    try:
        return [*rows, _alone(run_compiled)]
    except Exception as error:  # such as no C++ compiler
        return [*rows, failed("click.compiled", "s", "", f"{type(error).__name__}: {error}")]


def _alone(act: Callable[..., Found], *arguments: object) -> Found:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(act, *arguments).result()


def figures(ours: Measured, peer: Measured | None) -> list[Figure]:
    p50, p95 = (float(np.percentile(ours.seconds, q)) for q in (50, 95))
    n, ends = len(ours.seconds), (min(ours.seconds), max(ours.seconds))
    note = f"{ours.name}, 512 x 512 x {SLICES} CT, {ours.threads} threads; clicks without a name; interval: min and max"
    rows = [
        Figure(id="click", value=p50, unit="s", interval=ends, n=n, reach=f"p50 {REACH_P50_S:g} s",
               holds=p50 <= REACH_P50_S, note=note),
        Figure(id="click.p95", value=p95, unit="s", n=n, reach=f"p95 {REACH_P95_S:g} s", holds=p95 <= REACH_P95_S),
        Figure(id="click.encode", value=ours.first_s, unit="s", reach=f"{REACH_ENCODE_S:g} s",
               holds=ours.first_s <= REACH_ENCODE_S, note="once a volume, in a process just started"),
        Figure(id="click.memory", value=ours.memory_gb, unit="GB", reach=f"{REACH_GB:g} GB",
               holds=ours.memory_gb <= REACH_GB, note="largest resident memory of the process"),
    ]  # fmt: skip
    if peer is not None:
        forward = min(peer.seconds)
        rows.append(
            Figure(
                id="click.peer", value=p50, unit="s", n=n, peer=peer.name, ratio=p50 / forward, reach="at most 1/30",
                holds=p50 <= REACH_PEER * forward,
                note=f"one forward pass of the peer takes {forward:.3g} s (the faster of {len(peer.seconds)}) and "
                f"{peer.memory_gb:.2g} GB on {peer.threads} threads; random weights, architecture only",
            )
        )  # fmt: skip
    return rows


def run_model(seed: int, slices: int) -> Measured:
    """`ROUNDS` structures are begun with a random click inside the phantom's tumour, and clicked on by the
    benchmark's rule."""
    import torch

    from osirix_agent.segmenter.choice import make_segmenter

    image, truth = big_image(slices)
    geometry = Geometry(
        (slices, 512, 512), (0.0, 0.0, 0.0), BIG_SPACING_KJI_MM, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    )
    volume = Volume(image.astype(np.float32), geometry, "CT")
    segmenter = make_segmenter(load_settings(segmenter="model"))
    assert isinstance(segmenter, LooksAhead)
    first_s = _timed(lambda: segmenter.look(volume))
    random, inside = np.random.default_rng(seed), np.argwhere(truth)
    seconds: list[float] = []
    for _ in range(ROUNDS):
        k, j, i = (int(v) for v in inside[random.integers(len(inside))])
        click: Click | None = Click((k, j, i), True)
        prompts: list[Prompt] = []
        for _ in range(CLICKS):
            if click is None:
                break
            polarity = Polarity.INCLUDE if click.include else Polarity.EXCLUDE
            prompts.append(PointPrompt(position_lps=point(geometry.to_lps(click.kji)), polarity=polarity))
            request = SegmentationRequest(volume, UNNAMED, tuple(prompts))
            began = time.perf_counter()
            belief = segmenter.propose(request)
            seconds.append(time.perf_counter() - began)
            click = _next(truth, belief.mask(), seed)
    return Measured(segmenter.name, tuple(seconds), first_s, _memory_gb(), torch.get_num_threads())


def run_peer(patch: int, widths: Sequence[int], blocks: Sequence[int]) -> Measured:
    """Forward passes of nnInteractive's shape on one patch."""
    import torch

    from osirix_agent.network.model import cpu_has_bf16

    torch.manual_seed(0)
    network = residual_encoder_unet(widths, blocks).eval()
    patches = torch.randn(1, PEER_CHANNELS, patch, patch, patch)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
        seconds = tuple(_timed(lambda: network(patches)) for _ in range(FORWARDS))
    size = sum(p.numel() for p in network.parameters()) / 1e6
    name = f"nnInteractive's shape, {size:.1f} M, {patch}^3"
    return Measured(name, seconds, 0.0, _memory_gb(), torch.get_num_threads())


def run_compiled() -> Figure:
    """One answer of the shipped model's decoder on a grid of its own, compiled beside as it is."""
    import torch

    from osirix_agent.model_folder import shipped_models
    from osirix_agent.network.model import cpu_has_bf16
    from osirix_agent.network.weights import load_weights
    from osirix_agent.segmenter.choice import model_folders

    folder = load_settings().model_dir or shipped_models()
    assert folder is not None
    network = load_weights(model_folders(folder)[0], (), "cpu")[0].network
    torch.manual_seed(0)
    image, marks = torch.randn(1, 2, *GRID_KJI), torch.zeros(1, 8, *GRID_KJI)
    last = {"memory_format": torch.channels_last_3d}
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=cpu_has_bf16()):
        encoded = network.encode(image.to(**last), "CT", 3.0)
        compiled = torch.compile(network.decode, dynamic=False)

        def passes(act: Callable[..., Any]) -> list[float]:
            return [_timed(lambda: act(encoded, marks.to(**last), None, torch.tensor([False]))) for _ in range(PASSES)]

        plain, first = passes(network.decode), passes(compiled)[0]
        ours, theirs = float(np.median(passes(compiled))), float(np.median([*plain, *passes(network.decode)]))
    return Figure(
        id="click.compiled",
        value=ours,
        unit="s",
        n=PASSES,
        peer=f"not compiled, {theirs:.3g} s",
        ratio=ours / theirs,
        note=f"the decoder on {' x '.join(map(str, GRID_KJI))} voxels; the first pass on a new shape takes {first:.3g} "
        "s; not in use",
    )


def residual_encoder_unet(widths: Sequence[int], blocks: Sequence[int]) -> Any:
    """(1, 8, n, n, n) to (1, 2, n, n, n); n a multiple of 2 to the number of stages less one.

    nnInteractive's has 102.4 M parameters; so has this, but for the shape of its normalisation and shortcuts.
    """
    from monai.networks.blocks.dynunet_block import UnetResBlock, get_conv_layer
    from torch import Tensor, cat, nn

    affine = ("INSTANCE", {"affine": True})

    def convolve(channels: int, wanted: int) -> nn.Module:
        layer: nn.Module = get_conv_layer(3, channels, wanted, 3, 1, norm=affine, act="leakyrelu", conv_only=False)
        return layer

    class Shape(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = convolve(PEER_CHANNELS, widths[0])
            self.down, self.up, self.join = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
            before = widths[0]
            for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
                strides = [2 if stage else 1, *[1] * (count - 1)]
                channels = [before, *[width] * (count - 1)]
                self.down.append(nn.Sequential(
                    *(UnetResBlock(3, c, width, 3, s, affine) for c, s in zip(channels, strides, strict=True))
                ))  # fmt: skip
                before = width
            for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True):
                self.up.append(get_conv_layer(3, low, high, 2, 2, is_transposed=True))
                self.join.append(convolve(2 * high, high))
            self.head = nn.Conv3d(widths[0], 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x, skips = self.stem(x), []
            for stage in self.down:
                x = stage(x)
                skips.append(x)
            skips.pop()
            for up, join in zip(self.up, self.join, strict=True):
                x = join(cat([up(x), skips.pop()], dim=1))
            logits: Tensor = self.head(x)
            return logits

    return Shape()


def _next(truth: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_], seed: int) -> Click | None:
    """The benchmark's next click, looked for where there is something."""
    held = np.argwhere(truth | mask)
    low, high = np.maximum(held.min(0) - 1, 0), held.max(0) + 2
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    click = next_click(truth[part], mask[part], seed)
    if click is None:
        return None
    k, j, i = (int(v) for v in np.array(click.kji) + low)
    return Click((k, j, i), click.include)


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _memory_gb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9

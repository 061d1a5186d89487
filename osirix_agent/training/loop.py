"""The training loop that all networks here share: resumes, logs, averages the weights."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from osirix_agent.network.model import cpu_has_bf16
from osirix_agent.training.cases import Case
from osirix_agent.training.examples import Example, draw
from osirix_agent.training.step import Recipe, Schedule, losses_of, rounds_of

# a step, its generator and the device to the losses by name, each with its gradients
Turn = Callable[[int, np.random.Generator, torch.device], dict[str, torch.Tensor]]
# network, example, recipe, rounds and generator to the losses by name
Losses = Callable[[Any, Example, Any, int | None, np.random.Generator], dict[str, torch.Tensor]]


def rate(step: int, recipe: Schedule) -> float:
    """Share of the learning rate: warm up, stay, cool down to nothing at the end."""
    left = recipe.steps - step
    return min(1.0, (step + 1) / recipe.warm_up, left / recipe.cool_down if recipe.cool_down else 1.0)


def on_cases(
    recipe: Recipe, network: torch.nn.Module, cases: list[Case], structures: tuple[str, ...],
    losses_of: Losses = losses_of,
) -> Turn:  # fmt: skip
    """A step on one case drawn by weight. All processes simulate as many prompts: none waits for another."""

    def turn(step: int, random: np.random.Generator, device: torch.device) -> dict[str, torch.Tensor]:
        rounds = rounds_of(recipe, np.random.default_rng([recipe.seed, step]))
        with torch.autocast(device.type, enabled=False):  # images are sampled in full precision
            example = draw(_one_of(cases, random), structures, recipe.draw, random)
        return losses_of(network, replace(example, image=example.image.to(device)), recipe, rounds, random)

    return turn


def run(
    recipe: Schedule, network: torch.nn.Module, trained: list[torch.nn.Parameter], turn: Turn, folder: Path
) -> dict[str, torch.Tensor]:
    """Train, or go on where `folder` says training stopped; returns the averaged state of the network.

    `folder` holds `state.pt` (to resume), `average.safetensors` and TensorBoard logs. Under `torchrun` every process
    draws its own examples, and the gradients are averaged.
    """
    from accelerate import Accelerator
    from safetensors.torch import load_file, save_file
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    none = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    accelerator = Accelerator(  # without `cpu`, processes on a machine without a GPU would not know of each other
        cpu=none, mixed_precision="bf16" if recipe.half and _has_bf16() else "no"
    )
    torch.manual_seed(recipe.seed)
    network = network.to(memory_format=torch.channels_last_3d).train()
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    first = 0
    if (folder / "state.pt").is_file():
        held: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
        network.load_state_dict(held["network"])
        optimiser.load_state_dict(held["optimiser"])
        average, first = load_file(folder / "average.safetensors"), int(held["step"])
    network, optimiser = network.to(accelerator.device), accelerator.prepare(optimiser)
    writer = SummaryWriter(str(folder / "tensorboard")) if accelerator.is_main_process else None
    started, seen = time.monotonic(), defaultdict[str, float](float)
    for step, random in _steps(first, recipe, accelerator.process_index):
        torch.manual_seed(int(random.integers(1 << 62)))  # for dropout: a resumed run sees the same
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate(step, recipe)
        with accelerator.autocast():
            losses = turn(step, random, accelerator.device)
        accelerator.backward(sum(losses.values()))
        if accelerator.num_processes > 1:
            taught = [p for p in trained if p.grad is not None]  # the same ones in every process
            mean = accelerator.reduce(torch.cat([p.grad.flatten() for p in taught]), "mean")
            for p, grad in zip(taught, mean.split([p.numel() for p in taught]), strict=True):
                p.grad = grad.view_as(p)
        accelerator.clip_grad_norm_(trained, recipe.clip)
        optimiser.step()
        optimiser.zero_grad()
        keep = min(recipe.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value.cpu(), 1 - keep)
        for name, loss in losses.items():
            seen[name] += 0.02 * (float(loss.detach()) - seen[name])
            if writer is not None:
                writer.add_scalar(f"loss/{name}", float(loss.detach()), step)
        if accelerator.is_main_process and (step + 1) % 50 == 0:
            pace = (time.monotonic() - started) / (step + 1 - first)
            left = (recipe.steps - step - 1) * pace / 60
            means = "  ".join(f"{name} {mean:.3f}" for name, mean in seen.items())
            print(f"step {step + 1}/{recipe.steps}  {means}  {pace:.2f} s a step, {left:.0f} min left", flush=True)
        if accelerator.is_main_process and ((step + 1) % 250 == 0 or step + 1 == recipe.steps):
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(state, folder / "state.tmp")
            save_file({n: v.contiguous() for n, v in average.items()}, folder / "average.tmp")
            (folder / "recipe.json").write_text(json.dumps(recipe.model_dump(), indent=1), encoding="utf-8")
            (folder / "average.tmp").replace(folder / "average.safetensors")
            (folder / "state.tmp").replace(folder / "state.pt")
    return average


def first_process() -> bool:
    """Is it this process that writes what was made? Under `torchrun` all hold the same."""
    return int(os.environ.get("RANK", "0")) == 0


def _steps(first: int, recipe: Schedule, process: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Steps with a generator each, so that a resumed run draws what an uninterrupted one would."""
    for step in range(first, recipe.steps):
        yield step, np.random.default_rng([recipe.seed, step, process])


def _one_of(cases: list[Case], random: np.random.Generator) -> Case:
    """By weight."""
    while True:
        case = cases[random.integers(len(cases))]
        if case.weight >= 1 or random.random() < case.weight:
            return case


def _has_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return cpu_has_bf16()

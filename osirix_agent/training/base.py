"""Train the base network: anatomy, synthetic shapes, disguised modalities. Read it from top to bottom.

One step is one image on one random grid. The image is encoded once; words are answered for everything that is known
on it, and for things that are not there; then a few structures are contoured by a simulated clinician, without
gradients until the last answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from osirix_agent.network.model import Encoded, NetworkConfig, PromptableNetwork
from osirix_agent.network.text import Phrase, prune
from osirix_agent.training.cases import Case, data_folder, read_openkbp, split
from osirix_agent.training.examples import LESION, MIN_VOXELS, DrawRecipe, Example, draw
from osirix_agent.training.losses import segmentation_loss
from osirix_agent.training.phrases import BOTH, ELSEWHERE, LESIONS, ORGANS, every_word, framed, spoken
from osirix_agent.training.simulate import Session, rough

BASE_STRUCTURES = tuple(ORGANS)


class BaseRecipe(BaseModel):
    """Everything that decides the weights, stored beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 20260
    steps: int = 20_000
    learning_rate: float = 1e-3
    warm_up: int = 200
    cool_down: int = 2_000
    weight_decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.998
    text_layers: int = 3
    text_lora_rank: int = 8
    prompted_share: float = 0.6
    prompted: int = 2
    absent: int = 2
    rounds: tuple[float, ...] = (0.25, 0.25, 0.2, 0.12, 0.1, 0.08)
    jitter: float = 0.4
    wrong: float = 0.01
    draw: DrawRecipe = Field(default_factory=DrawRecipe)


def new_network(recipe: BaseRecipe, encoder: Path) -> PromptableNetwork:
    """A network with random vision and pretrained language weights.

    `encoder`: folder of a BERT-like sentence encoder (config.json, vocab.txt, model.safetensors).
    """
    torch.manual_seed(recipe.seed)
    config, vocabulary, state = prune(encoder, every_word(), recipe.text_layers)
    network = PromptableNetwork(NetworkConfig(text=config), vocabulary)
    network.text.bert.load_state_dict(state)
    with torch.no_grad():  # structures fill about a hundredth of an image
        network.decoder.seg_head.bias.fill_(-2.0)
        network.mask_embedding.bias[-1] = -4.0
    return network


def add_text_lora(network: PromptableNetwork, rank: int) -> None:
    """LoRA on the sentence encoder's queries and values; everything else of it stays frozen."""
    from peft import LoraConfig, inject_adapter_in_model

    network.text.bert.requires_grad_(False)
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"]), network.text.bert
    )


def losses_of(
    network: PromptableNetwork, example: Example, recipe: BaseRecipe, random: np.random.Generator
) -> dict[str, Tensor]:
    """The loss of words and the loss of prompts on one example."""
    encoded = network.encode(example.image, example.modality, example.spacing_mm)
    asked, truths = _questions(example, recipe, random)
    queries = network.queries([Phrase.read(phrase) for phrase in asked])
    logits, coarse = network.words(encoded, queries)
    goal = torch.stack(truths)
    small = torch.nn.functional.max_pool3d(goal[None].float(), 4)[0] > 0.5
    found = {"words": segmentation_loss(logits, goal) + 0.3 * segmentation_loss(coarse, small)}
    if random.random() < recipe.prompted_share:
        found["prompts"] = _contour(network, encoded, example, truths, queries, logits, recipe, random)
    return found


def _questions(example: Example, recipe: BaseRecipe, random: np.random.Generator) -> tuple[list[str], list[Tensor]]:
    """Phrases and what they should give: all that is known, both of a pair, and what is elsewhere."""
    asked, truths = [], []
    for structure, truth in example.truths.items():
        asked.append(
            framed(LESIONS[random.integers(len(LESIONS))], random) if structure == LESION else spoken(structure, random)
        )
        truths.append(truth)
    for pair, forms in BOTH.items():
        if all(s in example.truths for s in pair) and random.random() < 0.3:
            asked.append(framed(forms[random.integers(len(forms))], random))
            truths.append(torch.stack([example.truths[s] for s in pair]).any(0))
    for phrase in random.choice(ELSEWHERE, recipe.absent, replace=False):
        asked.append(framed(str(phrase), random))
        truths.append(torch.zeros(example.image.shape[2:], dtype=torch.bool))
    return asked, truths


def _contour(
    network: PromptableNetwork, encoded: Encoded, example: Example, truths: list[Tensor],
    queries: Tensor, logits: Tensor, recipe: BaseRecipe, random: np.random.Generator,
) -> Tensor:  # fmt: skip
    """Loss of the prompt decoder after a random number of a simulated clinician's prompts."""
    present = [n for n, truth in enumerate(truths) if int(truth.sum()) >= MIN_VOXELS]
    lesions = [n for n in present if n < len(example.truths) and list(example.truths)[n] == LESION]
    chosen = lesions[:1]
    others = [n for n in present if n not in chosen]
    chosen += [int(n) for n in random.permutation(others)[: recipe.prompted - len(chosen)]]
    if len(chosen) < recipe.prompted:  # a question whose answer is: nothing
        chosen.append(len(truths) - 1)
    sessions = [Session(truths[n].numpy()) for n in chosen]
    named = torch.tensor([n not in present or bool(random.random() < 0.5) for n in chosen])
    words = [logits[n].detach().sigmoid() if name else None for n, name in zip(chosen, named, strict=True)]
    chosen_queries = queries[chosen]
    previous: list[Tensor | None] = [None] * len(chosen)
    for n, session in enumerate(sessions):
        if not session.truth.any():
            continue
        kind = random.random()
        if kind < 0.3:
            session.box(random)
        elif kind < 0.4:
            session.lasso(random)
        if random.random() < 0.25:
            previous[n] = rough(session.truth, random)
    rounds = int(random.choice(len(recipe.rounds), p=recipe.rounds))
    for step in range(rounds + 1):
        for n, session in enumerate(sessions):
            last = previous[n]
            if step == 0 and (session.marks or bool(named[n])):
                continue  # a box or words may stand alone
            proposal = np.zeros(session.truth.shape, np.bool_) if last is None else last.numpy() > 0.5
            if random.random() < 0.12:
                session.scribble(random, proposal)
            else:
                session.click(random, proposal, recipe.jitter, recipe.wrong if step else 0.0)
        channels = torch.stack([s.channels(p, w) for s, p, w in zip(sessions, previous, words, strict=True)])
        channels = channels.contiguous(memory_format=torch.channels_last_3d)
        if step < rounds:
            with torch.no_grad():
                out = network.decode(encoded, channels, chosen_queries, named)
            previous = list(out.sigmoid())
    out = network.decode(encoded, channels, chosen_queries, named)
    emphasis = 4 * (channels[:, 3] + channels[:, 4])
    return segmentation_loss(out, torch.stack([truths[n] for n in chosen]), emphasis)


def rate(step: int, recipe: BaseRecipe) -> float:
    """Share of the learning rate: warm up, stay, cool down to nothing at the end."""
    left = recipe.steps - step
    return min(1.0, (step + 1) / recipe.warm_up, max(left, 0) / recipe.cool_down)


def train_base(recipe: BaseRecipe, encoder: Path, folder: Path, cases: list[Case] | None = None) -> Path:
    """Train, or go on where `folder` says training stopped; returns the file of averaged weights.

    `folder` holds checkpoints, TensorBoard logs and `average.safetensors`; it can be deleted afterwards.
    """
    from accelerate import Accelerator
    from safetensors.torch import load_file, save_file
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="bf16")
    torch.manual_seed(recipe.seed)
    network = new_network(recipe, encoder)
    add_text_lora(network, recipe.text_lora_rank)
    network = network.to(memory_format=torch.channels_last_3d)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    first = 0
    if (folder / "state.pt").is_file():
        held: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
        network.load_state_dict(held["network"])
        optimiser.load_state_dict(held["optimiser"])
        average, first = load_file(folder / "average.safetensors"), int(held["step"])
    network, optimiser = accelerator.prepare(network, optimiser)
    bare: PromptableNetwork = accelerator.unwrap_model(network)
    if cases is None:
        root = data_folder()
        cases = read_openkbp(root, split(root, "openkbp", "train"))
    writer = SummaryWriter(str(folder / "tensorboard")) if accelerator.is_main_process else None
    started, seen = time.monotonic(), {"words": 0.0, "prompts": 0.0}
    for step, random in _steps(first, recipe, accelerator.process_index):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate(step, recipe)
        example = draw(cases[random.integers(len(cases))], BASE_STRUCTURES, recipe.draw, random)
        with accelerator.autocast():
            losses = losses_of(bare, example, recipe, random)
        accelerator.backward(sum(losses.values()))
        accelerator.clip_grad_norm_(trained, recipe.clip)
        optimiser.step()
        optimiser.zero_grad()
        keep = min(recipe.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in bare.state_dict().items():
                if value.is_floating_point():
                    average[name].lerp_(value.to(average[name].device), 1 - keep)
        for name, loss in losses.items():
            seen[name] += 0.02 * (float(loss.detach()) - seen[name])
            if writer is not None:
                writer.add_scalar(f"loss/{name}", float(loss.detach()), step)
        if accelerator.is_main_process and (step + 1) % 50 == 0:
            pace = (time.monotonic() - started) / (step + 1 - first)
            left = (recipe.steps - step - 1) * pace / 60
            print(
                f"step {step + 1}/{recipe.steps}  words {seen['words']:.3f}  prompts {seen['prompts']:.3f}  "
                f"{pace:.2f} s a step, {left:.0f} min left", flush=True,
            )  # fmt: skip
        if accelerator.is_main_process and ((step + 1) % 250 == 0 or step + 1 == recipe.steps):
            state = {"network": bare.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(state, folder / "state.tmp")
            save_file({n: v.contiguous() for n, v in average.items()}, folder / "average.tmp")
            (folder / "recipe.json").write_text(json.dumps(recipe.model_dump(), indent=1), encoding="utf-8")
            (folder / "average.tmp").replace(folder / "average.safetensors")
            (folder / "state.tmp").replace(folder / "state.pt")
    return folder / "average.safetensors"


def _steps(first: int, recipe: BaseRecipe, process: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Steps with a generator each, so that a resumed run draws what an uninterrupted one would."""
    for step in range(first, recipe.steps):
        yield step, np.random.default_rng([recipe.seed, step, process])

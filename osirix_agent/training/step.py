"""One training step: an image encoded once, words for everything known on it, a few structures contoured.

The simulated clinician works without gradients until the last answer.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from osirix_agent.network.model import Encoded, PromptableNetwork
from osirix_agent.network.text import Phrase
from osirix_agent.training.examples import LESION, MIN_VOXELS, DrawRecipe, Example
from osirix_agent.training.losses import segmentation_loss
from osirix_agent.training.phrases import BOTH, ELSEWHERE, LESIONS, framed, spoken
from osirix_agent.training.simulate import Session, rough


class Schedule(BaseModel):
    """What all training has in common.

    Attributes
    ----------
    average : of the weights kept from step to step
    half : bfloat16 where the device has it (oneDNN's 3D gradients are wrong in it on grids of a few voxels)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 20260
    steps: int = 20_000
    learning_rate: float = 1e-3
    warm_up: int = 200
    cool_down: int = 2_000
    weight_decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.998
    half: bool = True


class Recipe(Schedule):
    """What the training of bases and of adapters has in common.

    Attributes
    ----------
    prompted_share, prompted : share of steps with a simulated clinician, and structures contoured then
    absent : phrases a step for things that are not there
    rounds : probabilities of 0, 1, 2, ... prompts after the first
    jitter, wrong : share of clicks that are off the deepest point; that say the opposite
    recorded_share : of the structures whose clinician's own prompts are known, those that begin with them
    """

    prompted_share: float = 0.75
    prompted: int = 2
    absent: int = 2
    rounds: tuple[float, ...] = (0.25, 0.25, 0.2, 0.12, 0.1, 0.08)
    jitter: float = 0.4
    wrong: float = 0.01
    recorded_share: float = 0.5
    draw: DrawRecipe = Field(default_factory=DrawRecipe)


def rounds_of(recipe: Recipe, random: np.random.Generator) -> int | None:
    """Prompts after the first that a step simulates; None: words alone."""
    prompted = random.random() < recipe.prompted_share
    return int(random.choice(len(recipe.rounds), p=recipe.rounds)) if prompted else None


def losses_of(
    network: PromptableNetwork, example: Example, recipe: Recipe, rounds: int | None, random: np.random.Generator
) -> dict[str, Tensor]:
    """The loss of words and the loss of prompts on one example; `rounds` from `rounds_of`."""
    encoded = network.encode(example.image, example.modality, example.spacing_mm)
    asked, truths = _questions(example, recipe, random)
    queries = network.queries([Phrase.read(phrase) for phrase in asked])
    logits, coarse = network.words(encoded, queries)
    goal = torch.stack(truths).to(logits.device)
    small = torch.nn.functional.max_pool3d(goal[None].float(), 4)[0] > 0.5
    found = {"words": segmentation_loss(logits, goal) + 0.3 * segmentation_loss(coarse, small)}
    if rounds is not None:
        found["prompts"] = _contour(network, encoded, example, truths, queries, logits, recipe, rounds, random)
    return found


def _questions(example: Example, recipe: Recipe, random: np.random.Generator) -> tuple[list[str], list[Tensor]]:
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
    queries: Tensor, logits: Tensor, recipe: Recipe, rounds: int, random: np.random.Generator,
) -> Tensor:  # fmt: skip
    """Loss of the prompt decoder after a simulated clinician's first prompt and `rounds` more."""
    present = [n for n, truth in enumerate(truths) if int(truth.sum()) >= MIN_VOXELS]
    lesions = [n for n in present if n < len(example.truths) and list(example.truths)[n] == LESION]
    chosen = lesions[:1]
    others = [n for n in present if n not in chosen]
    chosen += [int(n) for n in random.permutation(others)[: recipe.prompted - len(chosen)]]
    if len(chosen) < recipe.prompted:  # a question whose answer is: nothing
        chosen.append(len(truths) - 1)
    sessions = [Session(truths[n].numpy()) for n in chosen]
    named = torch.tensor([n not in present or bool(random.random() < 0.5) for n in chosen])
    words = [logits[n].detach().sigmoid().cpu() if name else None for n, name in zip(chosen, named, strict=True)]
    chosen_queries = queries[chosen]
    previous: list[Tensor | None] = [None] * len(chosen)
    names = list(example.truths)
    for n, (question, session) in enumerate(zip(chosen, sessions, strict=True)):
        if not session.truth.any():
            continue
        hers = example.prompts.get(names[question], ()) if question < len(names) else ()
        if hers and random.random() < recipe.recorded_share:
            session.recorded(hers[: int(random.integers(1, len(hers) + 1))])
            continue
        kind = random.random()
        if kind < 0.3:
            session.box(random)
        elif kind < 0.4:
            session.lasso(random)
        if random.random() < 0.25:
            previous[n] = rough(session.truth, random)
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
        channels = channels.to(logits.device, memory_format=torch.channels_last_3d)
        if step < rounds:
            with torch.no_grad():
                out = network.decode(encoded, channels, chosen_queries, named)
            previous = list(out.sigmoid().cpu())
    out = network.decode(encoded, channels, chosen_queries, named)
    emphasis = 4 * (channels[:, 3] + channels[:, 4])
    return segmentation_loss(out, torch.stack([truths[n] for n in chosen]).to(out.device), emphasis)

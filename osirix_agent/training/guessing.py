"""Learn what orders that the grammar does not understand most likely mean, from sentences with their intents.

Multinomial logistic regression over what `prompting.guessing` reads of a sentence. The grammar understands most of the
sentences itself: they teach how people speak, and only what it misses will be asked of the result.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional as F

from osirix_agent.errors import SettingsError
from osirix_agent.model_folder import FORMAT, write_sums
from osirix_agent.network.checkpoint import write_folder
from osirix_agent.prompting.guesser import DESCRIPTION, Guesser, GuesserDescription
from osirix_agent.prompting.guessing import KINDS, NOTHING, features, kind_of, reading
from osirix_agent.prompting.intent import Intent

Meant = tuple[str, tuple[Intent, ...]]  # a sentence, and what it asks for


class GuesserRecipe(BaseModel):
    """How it is learnt.

    Attributes
    ----------
    seed : of the sentences that are drawn from tables
    drawn : how many of them
    fewest : features in fewer sentences are left out
    penalty : on the squared weights, beside the mean cross-entropy
    least, surely : probability from which an order is offered; in place of a particular question of the grammar's
    folds : for the measurement: parts of the sets that are left out in turn
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 20260
    drawn: int = Field(600, ge=0)
    fewest: int = Field(2, ge=1)
    penalty: float = Field(1e-5, gt=0)
    least: float = Field(0.3, gt=0, le=1)
    surely: float = Field(0.8, gt=0, le=1)
    steps: int = Field(200, gt=0)
    folds: int = Field(5, ge=2)


def train_guesser(
    recipe: GuesserRecipe, sets: Mapping[str, Sequence[Meant]], drawn: Sequence[Meant], known: Collection[str],
    out: Path, version: str, tell: Callable[[str], object] = str,
) -> dict[str, Any]:  # fmt: skip
    """Learn from every set, measure on parts of the sets left out in turn, write a model folder; gives the measurement.

    Parameters
    ----------
    sets : sentences that people wrote, by the set that they came in
    drawn : sentences from tables, which teach and are not measured
    known : names of the session that the sentences are said in

    Raises
    ------
    SettingsError
        There is nothing to learn from, or fewer sets than parts.
    """
    if len(sets) < recipe.folds:
        raise SettingsError(f"{len(sets)} sets are too few to leave parts out.", f"Give {recipe.folds} or more.")
    names = sorted(sets)
    parts = [names[n :: recipe.folds] for n in range(recipe.folds)]
    tally: Counter[str] = Counter()
    for n, part in enumerate(parts, 1):
        tell(f"leaving out part {n} of {len(parts)}")
        rest = [one for name in names if name not in part for one in sets[name]]
        tally += _tallied(_learnt(recipe, [*rest, *drawn], known, version), [x for s in part for x in sets[s]], known)
    tell("learning from all")
    description, weights, bias = _weights(recipe, [*(x for s in names for x in sets[s]), *drawn], known, version)
    write_folder(
        out, {"weights": torch.from_numpy(weights), "bias": torch.from_numpy(bias)}, DESCRIPTION, description,
        recipe.model_dump(),
    )  # fmt: skip
    measured = {"sets": names, "left out in turn": dict(sorted(tally.items()))}
    (out / "metrics.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    write_sums(out)
    return measured


def _tallied(guesser: Guesser, sentences: Sequence[Meant], known: Collection[str]) -> Counter[str]:
    """How often the guess alone is what was meant, the grammar not being asked for the whole of a sentence."""
    tally: Counter[str] = Counter()
    for say, meant in sentences:
        guessed = guesser.choose(say, known)
        what = "orders" if meant else "no orders"
        tally[what] += 1
        if guessed:
            tally[f"{what}: {'guessed' if guessed == meant else 'something else offered'}"] += 1
    return tally


def _learnt(recipe: GuesserRecipe, sentences: Sequence[Meant], known: Collection[str], version: str) -> Guesser:
    return Guesser(*_weights(recipe, sentences, known, version))


def _weights(
    recipe: GuesserRecipe, sentences: Sequence[Meant], known: Collection[str], version: str
) -> tuple[GuesserDescription, Any, Any]:
    rows: list[tuple[list[str], int]] = []
    for say, meant in sentences:
        read = reading(say, known)
        kind = kind_of(meant, read)
        if kind is not None:  # several orders in one sentence teach nothing: their parts are guessed one by one
            rows.append((features(read), KINDS.index(kind)))
    if not rows or all(KINDS[kind] == NOTHING for _, kind in rows):
        raise SettingsError("There is no order among the sentences.", "Give sentences with their intents.")
    seen = Counter(name for names, _ in rows for name in names)
    index = {name: n for n, name in enumerate(sorted(name for name, times in seen.items() if times >= recipe.fewest))}
    there = torch.zeros(len(rows), len(index))
    for n, (names, _) in enumerate(rows):
        columns = [index[name] for name in names if name in index]
        there[n, columns] = 1 / max(len(columns), 1) ** 0.5
    kinds = torch.tensor([kind for _, kind in rows])
    weights = torch.zeros(len(index), len(KINDS), requires_grad=True)
    bias = torch.zeros(len(KINDS), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=recipe.steps, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        found = F.cross_entropy(there @ weights + bias, kinds) + recipe.penalty * weights.square().sum()
        found.backward()
        return found

    optimiser.step(loss)
    description = GuesserDescription(
        format=FORMAT, name="guesses", version=version, licence="Apache-2.0", least=recipe.least,
        surely=recipe.surely, kinds=KINDS, features=tuple(index),
    )  # fmt: skip
    return description, weights.detach().numpy().astype(np.float16), bias.detach().numpy().astype(np.float16)

"""What a sentence that the grammar does not understand most likely asks for: learnt from sentences, always confirmed.

guesser = find_guesser(settings)             # None: not shipped, or turned off
found = else_guessed(understand(text, known), guesser, known)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from osirix_agent.errors import ModelError
from osirix_agent.model_folder import (
    GET_IT_AGAIN,
    WEIGHTS,
    FolderDescription,
    check_sums,
    read_description,
    shipped_models,
)
from osirix_agent.prompting.clauses import NOT_UNDERSTOOD
from osirix_agent.prompting.command import ALONE, Understanding, understand
from osirix_agent.prompting.doubts import WHAT, WHICH
from osirix_agent.prompting.guessing import KINDS, NOTHING, Reading, barred, features, made, reading
from osirix_agent.prompting.intent import Intent, Reply
from osirix_agent.prompting.items import items_of
from osirix_agent.prompting.meanings import SEVERAL
from osirix_agent.prompting.moods import SEPARATORS
from osirix_agent.prompting.references import tentative
from osirix_agent.settings import Settings

FOLDER = "guesses"
DESCRIPTION = "guesses.json"
_MOST_HALVES, _LONGEST = 6, 200  # parts that are tried, of a sentence of so many characters
_SAYS_NOTHING = frozenset([NOT_UNDERSTOOD, WHAT, WHICH, SEVERAL, ALONE])  # other questions tell her what is missing


class Chooser(Protocol):
    """What may guess where the grammar does not understand: it chooses among typed intents, and is always confirmed."""

    def choose(self, sentence: str, known: Collection[str], *, surely: bool = False) -> tuple[Intent, ...]:
        """The orders that the sentence most likely means; () where there is likelier none.

        Parameters
        ----------
        surely : the grammar would ask for something in particular instead
        """


class GuesserDescription(FolderDescription):
    """What `guesses.json` says.

    Attributes
    ----------
    least, surely : probability from which an order is offered; in place of a particular question of the grammar's
    kinds, features : what the weights' columns and rows are
    """

    kind: Literal["guesses"] = "guesses"
    least: float = Field(gt=0, le=1)
    surely: float = Field(gt=0, le=1)
    kinds: tuple[str, ...]
    features: tuple[str, ...]


class Guesser:
    """Chooses among kinds of orders (multinomial logistic regression).

    Parameters
    ----------
    weights, bias : (features, kinds) and (kinds,)
    """

    def __init__(
        self, description: GuesserDescription, weights: npt.NDArray[np.floating[Any]],
        bias: npt.NDArray[np.floating[Any]],
    ) -> None:  # fmt: skip
        self._index = {name: n for n, name in enumerate(description.features)}
        self._kinds, self._least, self._surely = description.kinds, description.least, description.surely
        self._weights, self._bias = np.asarray(weights, np.float32), np.asarray(bias, np.float32)

    def choose(self, sentence: str, known: Collection[str], *, surely: bool = False) -> tuple[Intent, ...]:
        """The likeliest orders of a sentence that was not understood; () where there is likelier none."""
        chance, intents = self.likeliest(reading(sentence, known))
        for halves in _halves(sentence) if len(sentence) <= _LONGEST else ():
            (a, first), (b, last) = (self._half(half, known) for half in halves)
            if a * b > chance:
                chance, intents = a * b, (*first, *last)
        return intents if chance >= (self._surely if surely else self._least) else ()

    def likeliest(self, read: Reading) -> tuple[float, tuple[Intent, ...]]:
        """Probability and order, or no order, of what can be made of a sentence as one."""
        rows = [self._index[name] for name in features(read) if name in self._index]
        logits = self._weights[rows].sum(0) / max(len(rows), 1) ** 0.5 + self._bias
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        for chance, kind in sorted(zip(chances.tolist(), self._kinds, strict=True), reverse=True):
            intents = () if kind == NOTHING or barred(kind, read) else made(kind, read)
            if intents is not None:
                return chance, intents
        return 0.0, ()

    def _half(self, sentence: str, known: Collection[str]) -> tuple[float, tuple[Intent, ...]]:
        """As the grammar understands it, else as it is guessed; improbable where it is half of one order."""
        found, read = understand(sentence, known), reading(sentence, known)
        if _is_particular(found) or read.tells or (read.denies and not read.states):
            return 0.0, ()  # "lock the cord and make the GTV a bit larger", "if it fits, accept it", "never, lock it"
        if found.intents and not found.questions and not any(isinstance(one, Reply) for one in found.intents):
            return min(one.confidence for one in found.intents), found.intents
        chance, intents = self.likeliest(read)
        return (0.0, ()) if not intents and read.amounts and not read.states else (chance, intents)


def _halves(sentence: str) -> Iterator[tuple[str, str]]:
    """Where a pause or an "and" may part two orders, or an order and a remark."""
    items = items_of(sentence, ())
    at = [n for n, item in enumerate(items[:-1]) if n and item.is_a(*SEPARATORS)]
    for n in at[:_MOST_HALVES]:
        yield sentence[: items[n - 1].end], sentence[items[n + 1].start :]


def _is_particular(found: Understanding) -> bool:
    """Does the grammar know what is missing?"""
    return any(one.text not in _SAYS_NOTHING for one in found.questions)


def else_guessed(found: Understanding, chooser: Chooser | None, known: Collection[str]) -> Understanding:
    """What was understood, or else what is guessed, to be confirmed."""
    if chooser is None or not found.questions:
        return found
    intents = chooser.choose(found.sentence, known, surely=_is_particular(found))
    return replace(found, intents=tuple(map(tentative, intents)), questions=()) if intents else found


def find_guesser(settings: Settings) -> Guesser | None:
    """That of the model folder, else the shipped one; None: there is none that can be read, or the settings want none.

    Raises
    ------
    ModelError
        As `load_guesser`.
    """
    try:
        import safetensors  # noqa: F401
    except ImportError:
        return None  # of an installation without models
    places = [folder / FOLDER for folder in (settings.model_dir, shipped_models()) if folder is not None]
    there = [folder for folder in places if (folder / DESCRIPTION).is_file()]
    return load_guesser(there[0]) if settings.guess_orders and there else None


def load_guesser(folder: Path) -> Guesser:
    """What a folder holds, checking every byte.

    Raises
    ------
    ModelError
        Missing, cut short, altered, newer than this program, or of other kinds of orders.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    description = read_description(folder, DESCRIPTION, GuesserDescription)
    check_sums(folder)
    try:
        arrays = load_file(folder / WEIGHTS)
        weights, bias = arrays["weights"], arrays["bias"]
    except (SafetensorError, OSError, KeyError):
        raise ModelError(f"{folder / WEIGHTS} cannot be read as safetensors.", GET_IT_AGAIN) from None
    sizes = len(description.features), len(description.kinds)
    if weights.shape != sizes or bias.shape != sizes[1:] or not set(description.kinds) <= set(KINDS):
        raise ModelError(f"{folder / WEIGHTS} does not fit {DESCRIPTION}.", GET_IT_AGAIN)
    return Guesser(description, weights, bias)

"""Two recognisers, one sentence: what both mean is acted on; where they differ, she is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from osirix_agent.prompting.command import understand
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.voice.free import Hypothesis, Words
from osirix_agent.prompting.voice.spoken import RESPELT

AGREED = 0.95  # both mean the same
ALONE_SURE = 0.85  # one of them, surely: enough for what undo takes back, not for what accepts or deletes
ALONE = 0.6  # one of them, unsurely; or they differ: asked back
TRIED = 5  # hypotheses of each that are read

SURE_FREE = -0.35  # mean log-likelihood of a token
ENGLISH = 0.5
NO_SPEECH = 0.6
ALIKE = 0.6  # letters in common of what both heard, where only one of them is understood

NO_COMMAND = "That was not understood. Say it in other words, or type it."
NOT_ENGLISH = "Only English is understood so far. Say it in English, or draw."
NO_VOICE = "No speech was heard, only noise. Hold the button while you speak."


@dataclass(frozen=True)
class Choice:
    """The sentence that is taken to have been said; without a text, why there is none."""

    text: str = ""
    confidence: float = 0.0
    by: Literal["command", "free", "both", "none"] = "none"
    why: str = ""


@dataclass(frozen=True)
class _Read:
    text: str
    intents: tuple[Intent, ...]
    rank: int
    score: float


def fused(guesses: Sequence[Hypothesis], words: Words | None, known: Collection[str]) -> Choice:
    """The sentence of both recognisers.

    Parameters
    ----------
    guesses : of the command recogniser, the best first
    words : of the free one; None: there is none
    """
    command = _read(guesses, known)
    if words is None:
        if command is None or command.rank > 0:
            return Choice(why=NO_COMMAND)
        return Choice(command.text, ALONE, "command")
    if words.no_speech > NO_SPEECH:
        return Choice(why=NO_VOICE)
    free = _read(words.hypotheses, known)
    if free is not None:
        if command is not None and command.intents == free.intents:
            return Choice(free.text, AGREED, "both")
        sure = free.rank == 0 and free.score > SURE_FREE
        if command is None and sure:
            return Choice(free.text, ALONE_SURE, "free")
        return Choice(free.text, ALONE, "free")
    if words.english < ENGLISH and command is None:
        return Choice(why=NOT_ENGLISH)
    heard = words.hypotheses[0].text if words.hypotheses else ""
    if command is not None and _alike(command.text, heard) > ALIKE:
        return Choice(command.text, ALONE, "command")
    return Choice(why=NO_COMMAND)


def _read(hypotheses: Sequence[Hypothesis], known: Collection[str]) -> _Read | None:
    """The best hypothesis that is a whole sentence to the dictation."""
    for rank, one in enumerate(hypotheses[:TRIED]):
        found = understand(one.text, known)
        if found.intents and not found.questions:
            return _Read(one.text, found.intents, rank, one.score)
    return None


def _alike(a: str, b: str) -> float:
    """Share of letters in common, spelt alike."""

    def spelt(text: str) -> str:
        return " ".join(RESPELT.get(word, word) for word in re.findall(r"[a-z']+|\d+", text.lower()))

    return SequenceMatcher(None, spelt(a), spelt(b), autojunk=False).ratio()

"""Two recognisers, one sentence: what both mean is acted on; where they differ, she is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from typing import Literal

from osirix_agent.prompting.command import understand
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.items import VOCABULARY
from osirix_agent.prompting.voice.free import Hypothesis, Words
from osirix_agent.prompting.voice.spoken import RESPELT

AGREED = 0.95  # both mean the same
ALONE_SURE = 0.85  # one of them, surely: enough for what undo takes back, not for what accepts or deletes
ALONE = 0.6  # one of them, unsurely; or they differ: asked back
TRIED = 5  # hypotheses of each that are read

SURE_FREE = -0.35  # mean log-likelihood of a token
LEAST_FREE = -0.9  # below, it has made it up, often from what it was told to expect
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
        if command is None:
            return Choice(why=NO_COMMAND)
        return Choice(command.text, ALONE, "command")
    if words.no_speech > NO_SPEECH:
        return Choice(why=NO_VOICE)
    free = _read([one for one in words.hypotheses if one.score > LEAST_FREE], known)
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
    """The best hypothesis that is a whole sentence to the dictation; else the best that nearly is one."""
    for mend, unsure in ((_homophones, 0), (_near, TRIED)):
        for rank, one in enumerate(hypotheses[:TRIED]):
            text = mend(one.text)
            found = understand(text, known)
            if found.intents and not found.questions and (unsure == 0 or text != one.text):
                return _Read(text, found.intents, rank + unsure, one.score)
    return None


_UNIT = r"(?=\s*(?:mm|cm|milli|centi|mils?\b))"
_SOUND_ALIKE = (
    (re.compile(rf"\b(?:to|too) {_UNIT}", re.IGNORECASE), "two "),
    (re.compile(rf"\bfor {_UNIT}", re.IGNORECASE), "four "),
    (re.compile(r"(?<=\d) ?ml\b", re.IGNORECASE), " mm"),  # nothing here is measured in millilitres
)
_MISHEARD = (
    (re.compile(r"\b(?:and|end) do\b", re.IGNORECASE), "undo"),
    (re.compile(r"\b(?:explode|explore)\b", re.IGNORECASE), "exclude"),
    (re.compile(r"\b(?:roll|row|broad)\b", re.IGNORECASE), "grow"),
    (re.compile(r"\bre-?do\w*\b", re.IGNORECASE), "redo"),
)
_TWICE = re.compile(r"^(\w+ \w+ \w+ .+?[.!?]) *\1$")  # Whisper sometimes says a whole sentence again
NEAR = 0.75  # share of letters in common of a word that is not known with one that is


def _homophones(text: str) -> str:
    """`to millimetres` is said like `two millimetres`: what sounds the same and can only be one."""
    for pattern, meant in _SOUND_ALIKE:
        text = pattern.sub(meant, text)
    return _TWICE.sub(r"\1", text)


def _near(text: str) -> str:
    """Words that mean nothing here as the words of the dictation that they resemble: a guess, to be confirmed."""
    text = _homophones(text)
    for pattern, meant in _MISHEARD:
        text = pattern.sub(meant, text)
    return re.sub(r"[A-Za-z][a-z]{3,}", lambda match: _nearest(match[0].lower()), text)


@lru_cache(maxsize=4096)
def _nearest(word: str) -> str:
    return word if word in VOCABULARY else next(iter(get_close_matches(word, _LONG_WORDS, 1, NEAR)), word)


_LONG_WORDS = sorted(word for word in VOCABULARY if len(word) > 3)


def _alike(a: str, b: str) -> float:
    """Share of letters in common of what both heard, spelt alike."""

    def spelt(text: str) -> str:
        return " ".join(RESPELT.get(word, word) for word in re.findall(r"[a-z']+|\d+", text.lower()))

    return SequenceMatcher(None, spelt(a), spelt(b), autojunk=False).ratio()

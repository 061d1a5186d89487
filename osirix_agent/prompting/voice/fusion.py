"""Two recognisers, one sentence: what both mean is acted on; where they differ, she is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import product
from typing import Literal

from osirix_agent.prompting.command import understand
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.items import SPOKEN
from osirix_agent.prompting.voice.alike import SoundAlike
from osirix_agent.prompting.voice.free import Hypothesis, Words
from osirix_agent.prompting.voice.spoken import RESPELT
from osirix_agent.prompting.words import words_of

AGREED = 0.95  # both mean the same
ALONE_SURE = 0.85  # one of them, surely: enough for what undo takes back, not for what accepts or deletes
ALONE = 0.6  # one of them, unsurely; or they differ: asked back
TRIED = 5  # hypotheses of the command recogniser that are read

SURE_FREE = -0.35  # mean log-likelihood of a token
APART = 0.15  # so much likelier must it be than what means something else
LEAST_FREE = -0.9  # below, it has made it up, often from what it was told to expect
FALLEN = 0.2  # what the dictation's own words may cost beside any words; more, and something else was said
ENGLISH = 0.5
NO_SPEECH = 0.6
MENDING = 0.1  # what a mended word costs beside its distance, in mean log-likelihood of a token
MOST_STRANGE, WAYS = 3, 12  # words to be mended, and ways of mending them that are tried
ALIKE = 0.6  # letters in common of what both heard, where only one of them is understood

NO_COMMAND = "That was not understood. Say it in other words, or type it."
NOT_ENGLISH = "Only English is understood so far. Say it in English, or draw."
NO_VOICE = "No speech was heard, only noise. Hold the button while you speak."


LETTERS = SoundAlike()  # without pronunciations


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


def fused(
    guesses: Sequence[Hypothesis], words: Words | None, known: Collection[str], alike: SoundAlike = LETTERS,
    again: Callable[[], Sequence[Hypothesis]] = tuple, *, quiet: bool = True,
) -> Choice:  # fmt: skip
    """The sentence of both recognisers.

    Parameters
    ----------
    guesses : of the command recogniser, the best first
    words : of the free one; None: there is none
    alike : words that sound alike
    again : what the free one hears in the dictation's own words; asked where the rest leaves it open, and asked back
    quiet : else nothing that only one of them heard is sure
    """
    command = _read(guesses[:TRIED], known, alike)
    if words is None:
        if command is None:
            return Choice(why=NO_COMMAND)
        return Choice(command.text, ALONE, "command")
    if words.no_speech > NO_SPEECH:
        return Choice(why=NO_VOICE)
    heard_first = [one for one in words.hypotheses if one.score > LEAST_FREE]
    free = _read(heard_first, known, alike)
    if free is not None:
        if command is not None and command.intents == free.intents:
            return Choice(free.text, AGREED, "both")
        sure = quiet and free.rank == 0 and free.score > SURE_FREE
        if command is None and sure and not _contested(free, heard_first, known):
            return Choice(free.text, ALONE_SURE, "free")
    elif command is None and words.english < ENGLISH:
        return Choice(why=NOT_ENGLISH)
    elif command is not None and words.hypotheses and _alike(command.text, words.hypotheses[0].text) > ALIKE:
        return Choice(command.text, ALONE, "command")
    least = max(LEAST_FREE, words.hypotheses[0].score - FALLEN) if words.hypotheses else LEAST_FREE
    own = [one for one in again() if one.score > least]
    if own:
        every = {one.text: one for one in (*own, *heard_first)}
        free = _read(sorted(every.values(), key=lambda one: -one.score), known, alike)
    if free is not None:
        return Choice(free.text, ALONE, "free")
    if heard_first and heard_first[0].text and words.english >= ENGLISH:  # the dictation guesses, or says what it lacks
        return Choice(_homophones(heard_first[0].text), ALONE, "free")
    return Choice(why=NO_COMMAND)


def _contested(free: _Read, hypotheses: Sequence[Hypothesis], known: Collection[str]) -> bool:
    """Does a sentence that is nearly as likely mean something else?"""
    for one in hypotheses:
        if one.score > free.score - APART:
            found = understand(_homophones(one.text), known)
            if found.intents and not found.questions and found.intents != free.intents:
                return True
    return False


def _read(hypotheses: Sequence[Hypothesis], known: Collection[str], alike: SoundAlike) -> _Read | None:
    """The likeliest hypothesis that is a whole sentence to the dictation; mended words count against it."""
    best: tuple[float, _Read] | None = None
    for rank, one in enumerate(hypotheses):
        lost = hypotheses[0].score - one.score
        opened = _UNDONE.sub("un", one.text)
        asis = ((_homophones(one.text), 0.0),) if opened == one.text else ()
        for text, changed in (*asis, *_mended(opened, known, alike)):
            if best is not None and best[0] <= lost + changed:
                continue
            found = understand(text, known)
            if found.intents and not found.questions:
                best = lost + changed, _Read(text, found.intents, rank if not changed else len(hypotheses), one.score)
    return None if best is None else best[1]


_UNIT = r"(?=\s*(?:mm|cm|milli|centi|mils?\b))"
_SOUND_ALIKE = (
    (re.compile(rf"\b(?:to|too) {_UNIT}", re.IGNORECASE), "two "),
    (re.compile(rf"\bfor {_UNIT}", re.IGNORECASE), "four "),
    (re.compile(r"(?<=\d) ?ml\b", re.IGNORECASE), " mm"),  # nothing here is measured in millilitres
)
_MISHEARD = (
    (re.compile(r"\b(?:(?:and|end) do|ando|undue)\b", re.IGNORECASE), "undo"),
    (re.compile(r"\bcord(?:ily|ially|ally)\b", re.IGNORECASE), "caudally"),
    (re.compile(r"\b(?:to|too) (?=slices\W*$)", re.IGNORECASE), "two "),
    (re.compile(r"\bslice well\b", re.IGNORECASE), "slice twelve"),
    (re.compile(r"\bclick it (?=to\b)", re.IGNORECASE), "clip it "),
    (re.compile(r"\b(?:explode|explore)\b", re.IGNORECASE), "exclude"),
    (re.compile(r"\b(?:roll|row|broad)\b", re.IGNORECASE), "grow"),
    (re.compile(r"\bre-?do\w*\b", re.IGNORECASE), "redo"),
)
_UNDONE = re.compile(r"^(?:and|end) (?=lock|freeze)", re.IGNORECASE)  # no sentence begins with "and"
_TWICE = re.compile(r"^(\w+ \w+ \w+ .+?[.!?]) *\1$")  # Whisper sometimes says a whole sentence again


def _homophones(text: str) -> str:
    """`to millimetres` is said like `two millimetres`: what sounds the same and can only be one."""
    for pattern, meant in _SOUND_ALIKE:
        text = pattern.sub(meant, text)
    return _TWICE.sub(r"\1", text)


def _mended(text: str, known: Collection[str], alike: SoundAlike) -> Iterator[tuple[str, float]]:
    """(sentence, cost): words that mean nothing here as words of the dictation that sound like them, the nearest first:
    a guess, to be confirmed."""
    text = _homophones(text)
    for pattern, meant in _MISHEARD:
        text = pattern.sub(meant, text)
    names = {word.text for name in known for word in words_of(name)}
    strange = [w for w in words_of(text) if w.text.isalpha() and w.text not in SPOKEN and w.text not in names]
    if len(strange) > MOST_STRANGE:
        return
    choices = [[(other, far) for other, far in alike.like(one.text)] for one in strange]
    ways = sorted(product(*choices), key=lambda way: sum(far for _, far in way))[:WAYS]
    for way in ways:
        mended = text
        for one, (other, _) in reversed(list(zip(strange, way, strict=True))):
            mended = mended[: one.start] + other + mended[one.end :]
        yield mended, MENDING + sum(far for _, far in way)


def _alike(a: str, b: str) -> float:
    """Share of letters in common of what both heard, spelt alike."""

    def spelt(text: str) -> str:
        return " ".join(RESPELT.get(word, word) for word in re.findall(r"[a-z']+|\d+", text.lower()))

    return SequenceMatcher(None, spelt(a), spelt(b), autojunk=False).ratio()

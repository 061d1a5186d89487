"""Sentences said by synthetic voices, in quiet and in babble: how many are understood, and how many wrongly."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from osirix_agent.bench.sentences import (
    HEARD,
    KNOWN,
    PARAPHRASES,
    UNSEEN,
    Sentence,
    read_sentences,
    recipe,
)
from osirix_agent.bench.voice import confirmed, interval, upper_bound
from osirix_agent.errors import VoiceError
from osirix_agent.figures import Figure
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.guesser import Chooser, else_guessed
from osirix_agent.prompting.intent import Command, Intent, Rename
from osirix_agent.prompting.voice.detection import spoken
from osirix_agent.prompting.voice.free import FreeRecogniser
from osirix_agent.prompting.voice.listener import Heard, Listener
from osirix_agent.prompting.voice.sound import RATE_HZ, Samples, samples_of
from osirix_agent.prompting.voice.spoken import RESPELT
from osirix_agent.prompting.voice.synthetic import Voice, as_pcm, babble, in_noise, said_aloud, speak

INTELLIGIBLE = 0.20  # word error of the free recogniser on the clean voice, at most
FEWEST_VOICES = 6
CONDITIONS: tuple[tuple[str, float | None], ...] = (("clean", None), ("15dB", 15.0), ("5dB", 5.0))
_BABBLE_S = 12.0
_SENTENCES = 300


@dataclass(frozen=True)
class Spoken:
    """One sentence in one voice and condition.

    Attributes
    ----------
    said, heard : the sentence, and what was made of it
    errors, words : of the free recogniser's best hypothesis; clean only
    waits : an order, understood as meant, that a yes is asked for; None: none was meant, or not understood
    wall_s, cpu_s : from the end of speech to the sentence
    """

    voice: str
    condition: str
    right: bool
    wrong_action: bool
    by: str
    wall_s: float
    cpu_s: float
    said: str = ""
    heard: str = ""
    errors: int = 0
    words: int = 0
    waits: bool | None = None


def corpus_of(seed: int, corpus: Path | None) -> list[Sentence]:
    """The sentences of a file; or at least 300, a third of them or more from sets that the grammar was never improved
    on, and none that the speech recogniser was tuned with."""
    if corpus is not None:
        return read_sentences(corpus)
    random = np.random.default_rng(seed)
    taught = {_aloud(s.say) for name in HEARD for s in read_sentences(PARAPHRASES[name])}
    unseen = [s for name in UNSEEN for s in read_sentences(PARAPHRASES[name])]
    other = [s for name, path in PARAPHRASES.items() if name not in (*UNSEEN, *HEARD) for s in read_sentences(path)]
    unseen, other = ([s for s in ss if _aloud(s.say) not in taught] for ss in (unseen, [*other, *recipe(seed, 100)]))
    picked = [other[n] for n in random.permutation(len(other))[: max(_SENTENCES - len(unseen), 2 * len(unseen))]]
    both = [*unseen, *picked]
    return [both[n] for n in random.permutation(len(both))]


def measure_speech(
    seed: int, corpus: Path | None, sample: int | None, listener: Listener, free: FreeRecogniser | None,
    voices: Sequence[Voice], tell: Callable[[str], object] = str, tuned: str = "", chooser: Chooser | None = None,
) -> list[Figure]:  # fmt: skip
    """Every sentence in every voice and condition, or a sample.

    Parameters
    ----------
    sample : so many sentences in all, each in one voice and all three conditions; None: all
    free : by which voices are called intelligible, untuned; None: none is
    tuned : what the listener's own is tuned by
    chooser : guesses, to be confirmed, what the grammar does not understand; None: the grammar alone

    Raises
    ------
    VoiceError
        Fewer than six voices are installed.
    """
    if len(voices) < FEWEST_VOICES:
        raise VoiceError(
            f"Only {len(voices)} synthetic voices are installed: {FEWEST_VOICES} are needed.",
            "Install espeak-ng, flite, festival and festvox-us-slt-hts (Debian: apt-get).",
        )
    sentences = corpus_of(seed, corpus)
    if sample is None:
        pairs = [(sentence, voice) for sentence in sentences for voice in voices]
    else:
        pairs = [(sentences[n % len(sentences)], voices[n % len(voices)]) for n in range(sample)]
    noise = babble(voices, [s.say for s in sentences[:30]], _BABBLE_S, seed)
    listener.hear(as_pcm(speak(voices[0], "undo")), RATE_HZ, KNOWN)  # its language model is made at the first sentence
    found: list[Spoken] = []
    for n, (sentence, voice) in enumerate(pairs):
        tell(f"{n + 1} of {len(pairs)}: {voice.name}")
        said = speak(voice, sentence.say)
        for name, snr_db in CONDITIONS:
            sound = said if snr_db is None else in_noise(said, noise, snr_db, seed + n)
            found.append(_heard(sentence, voice, name, sound, listener, free, chooser))
    return spoken_figures(found, sample, len(sentences), tuned)


def _heard(
    sentence: Sentence, voice: Voice, condition: str, sound: Samples, listener: Listener, free: FreeRecogniser | None,
    chooser: Chooser | None,
) -> Spoken:  # fmt: skip
    pcm = as_pcm(sound)
    wall, cpu = time.monotonic(), time.process_time()
    heard = listener.hear(pcm, RATE_HZ, KNOWN)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    right, wrong = judged(sentence, heard, chooser)
    errors = words = 0
    if condition == "clean" and free is not None:
        stretch = spoken(samples_of(pcm, RATE_HZ))
        best = "" if stretch is None else free.hypotheses(stretch, KNOWN).hypotheses[0].text
        errors, words = word_errors(said_aloud(sentence.say), best)
    waits = not understand(heard.text, KNOWN, heard.confidence).to_be_done if right and sentence.intents else None
    return Spoken(
        voice.name, condition, right, wrong, heard.by, wall, cpu, sentence.say, heard.text, errors, words, waits
    )


def judged(sentence: Sentence, heard: Heard, chooser: Chooser | None = None) -> tuple[bool, bool]:
    """Right: as meant (a confirmation may be asked for), or nothing where nothing was meant; wrong: something else
    would be carried out unasked. Capitals and figures in a new name are not heard, so they do not count."""
    read = understand(heard.text, KNOWN, heard.confidence) if heard.text else None
    found = else_guessed(read, chooser, KNOWN) if read else None
    done = _as_heard(found.to_be_done) if found else ()
    meant = _as_heard(sentence.intents)
    if meant:
        right = found is not None and not found.questions and _as_heard(found.intents) == meant
    else:
        right = not done
    return right, bool(done) and done != meant


def _as_heard(intents: Sequence[Intent]) -> tuple[Intent, ...]:
    return tuple(
        replace(one, name=" ".join(_spelt(one.name or "")))
        if isinstance(one, Rename) or (isinstance(one, Command) and one.verb == "new")
        else one
        for one in intents
    )


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Words wrong, missing or too many, and words said; numbers count as they are spoken."""
    a, b = _spelt(said), _spelt(heard)
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1], len(a)


def _aloud(text: str) -> str:
    """What two sentences have in common that sound the same."""
    return " ".join(_spelt(said_aloud(text)))


_SAME = RESPELT | {"millimeter": "millimeters", "millimetre": "millimeters"}
_DIGITS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "ten": "10"}


def _spelt(text: str) -> list[str]:
    joined = re.sub(r"\b(g|c|p|i) ?t ?v\b", r"\1tv", text.lower())
    words = re.findall(r"[a-z']+|\d+", joined)
    return [_SAME.get(word, _DIGITS.get(word, word)) for word in words]


# -- rows --------------------------------------------------------------------------------------------------------
def spoken_figures(found: Sequence[Spoken], sample: int | None, sentences: int, tuned: str) -> list[Figure]:
    """The rows of what was said."""
    names = list(dict.fromkeys(one.voice for one in found))
    errors = {name: _word_error([one for one in found if one.voice == name]) for name in names}
    clear = {name for name, error in errors.items() if error is not None and error <= INTELLIGIBLE}
    how = f"A sample of {sample} sentences" if sample is not None else f"{sentences} sentences in every voice"
    how += f", by Whisper tuned with {tuned}" if tuned else ""
    how += f", {len(names)} synthetic voices; intelligible: {', '.join(sorted(clear)) or 'none'}."

    def share(id_: str, chosen: Sequence[Spoken], reach: float | None, note: str | None = None) -> Figure:
        right, n = sum(one.right for one in chosen), len(chosen)
        low, high = interval(right, n)
        return Figure(id=id_, value=100 * right / n if n else None, unit="%", interval=(100 * low, 100 * high), n=n,
                      reach=None if reach is None else f"at least {reach:g} %",
                      holds=None if reach is None else n > 0 and 100 * right / n >= reach, note=note)  # fmt: skip

    def of(condition: str, voices: set[str] | list[str]) -> list[Spoken]:
        return [one for one in found if one.condition == condition and one.voice in voices]

    rows = [
        share("intent.clean", of("clean", clear), 95, how + " Intervals of shares: 95 %, exact."),
        share("intent.clean.all", of("clean", names), 70),
        share("intent.noise.15dB", of("15dB", clear), 80),
        share("intent.noise.5dB", of("5dB", clear), 55),
    ]
    rows += [confirmed(f"intent.{name}.confirmed", [o.waits for o in of(name, clear) if o.waits is not None])
             for name, _ in CONDITIONS]  # fmt: skip
    wrong, n = sum(one.wrong_action for one in found), len(found)
    bound = upper_bound(wrong, n)
    rows.append(Figure(id="intent.wrong", value=100 * wrong / n, unit="%", interval=(0.0, 100 * bound), n=n,
                       reach="upper 95 % bound at most 0.5 %", holds=bound <= 0.005,
                       note=f"Of everything said, all voices and conditions.{_amiss(found)}"))  # fmt: skip
    load = f"Load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores meanwhile."
    for id_, chosen, reach in (
        ("voice.time.command", [one for one in found if one.by in ("command", "both")], 0.7),
        ("voice.time.free", [one for one in found if one.by == "free"], 2.0),
    ):
        if chosen:
            wall, cpu = (np.percentile([getattr(o, k) for o in chosen], 95) for k in ("wall_s", "cpu_s"))
            rows.append(Figure(id=id_, value=float(wall), unit="s", n=len(chosen), reach=f"at most {reach:g} s",
                               holds=bool(wall <= reach),
                               note=f"95th percentile; of processor time it is {cpu:.2f} s. {load}"))  # fmt: skip
    for name in names:
        error = errors[name]
        about = None if error is None else f"word error of the free recogniser, clean: {error:.2f}"
        rows += [share(f"intent.{c}/{name}", of(c, [name]), None, about if c == "clean" else None)
                 for c, _ in CONDITIONS]  # fmt: skip
    return rows


def _amiss(found: Sequence[Spoken]) -> str:
    """What was carried out wrongly: said, and heard."""
    told = [f" '{one.said}' as '{one.heard}' ({one.voice}, {one.condition})." for one in found if one.wrong_action]
    return " Heard amiss:" + "".join(told) if told else ""


def _word_error(of_voice: Sequence[Spoken]) -> float | None:
    words = sum(one.words for one in of_voice)
    return sum(one.errors for one in of_voice) / words if words else None

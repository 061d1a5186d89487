"""The free recogniser: Whisper from a local folder, for sentences that nobody foresaw."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import ModelError, VoiceError
from osirix_agent.prompting.items import SPOKEN
from osirix_agent.prompting.voice.sound import RATE_HZ, Samples
from osirix_agent.prompting.voice.spoken import EXAMPLES
from osirix_agent.prompting.voice.tuning import Tuning, tuned
from osirix_agent.prompting.words import words_of

BEAMS, BEAMS_AGAIN = 5, 10
_MOST_TOKENS, _MOST_NAMES = 60, 15
_NUMBERS, _SIGNS = 400, (",", ".", "?", "-", "'s", "'t", ".5")
_FFT, _HOP = 400, 160
_POSITION = 2 * _HOP  # samples that the encoder makes one place of
_LONGEST_WINDOW_S, _SHORTEST_WINDOW_S, _PAUSE_S = 30.0, 10.0, 1.5


@dataclass(frozen=True)
class Hypothesis:
    """A sentence that may have been said.

    Attributes
    ----------
    score : mean log-likelihood of a token (free) or of a frame (commands); comparable within one recogniser only
    """

    text: str
    score: float


@dataclass(frozen=True)
class Words:
    """What a free recogniser heard.

    Attributes
    ----------
    hypotheses : the best first
    english : probability that it was English; 1 where the recogniser knows only that
    no_speech : probability that nobody spoke
    """

    hypotheses: tuple[Hypothesis, ...]
    english: float = 1.0
    no_speech: float = 0.0


class FreeRecogniser(Protocol):
    """Hears any sentence; or `again`, where that was not understood, the same sound in the dictation's own words."""

    def hypotheses(self, samples: Samples, known: Collection[str]) -> Words: ...

    def again(self, samples: Samples, known: Collection[str]) -> tuple[Hypothesis, ...]: ...


def prompt_of(known: Collection[str]) -> str:
    """What is said beforehand to the recogniser, so that it expects the field's words."""
    names = " ".join(f"{name}." for name in sorted(known)[:_MOST_NAMES])
    return f" {names} {EXAMPLES}" if names else f" {EXAMPLES}"


def own_words(known: Collection[str]) -> list[str]:
    """The dictation's words and the session's names, as a recogniser may write them."""
    said = sorted({*SPOKEN, *(word.raw for name in known for word in words_of(name)), *EXAMPLES.split()})
    written = {form for word in said for form in (word, word.capitalize(), word.upper() if len(word) < 5 else word)}
    return [*sorted(written), *map(str, range(_NUMBERS)), *_SIGNS]


def log_mel(samples: Samples, bands: int, seconds: float) -> npt.NDArray[np.float32]:
    """(bands, frames) as Whisper was taught (Radford et al. 2022): 25 ms windows every 10 ms, Slaney's mel bands,
    log10, 80 dB deep, padded with silence to so many seconds."""
    sound = np.zeros(round(seconds * RATE_HZ / _POSITION) * _POSITION, np.float32)
    sound[: len(samples)] = samples[: len(sound)]
    padded = np.pad(sound, _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP][:-1]
    window = np.hanning(_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    mel = np.log10(np.maximum(_mel_bands(bands) @ power.T, 1e-10))
    return ((np.maximum(mel, mel.max() - 8) + 4) / 4).astype(np.float32)


def window_s(samples: Samples, shortest_s: float, pause_s: float) -> float:
    """Not Whisper's own 30 s, but long enough to hear the same, much sooner."""
    return min(max(len(samples) / RATE_HZ + pause_s, shortest_s), _LONGEST_WINDOW_S)


def _mel_bands(bands: int) -> npt.NDArray[np.float64]:
    """(bands, frequencies) triangles of equal area on Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    step, at_1k, ratio = 200 / 3, 15.0, np.log(6.4) / 27

    def hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(mel < at_1k, step * mel, 1000 * np.exp(ratio * (mel - at_1k)))

    edges = hz(np.linspace(0, at_1k + np.log(RATE_HZ / 2 / 1000) / ratio, bands + 2))
    at = np.fft.rfftfreq(_FFT, 1 / RATE_HZ)
    up = (at[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - at[None]) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(up, down)) * (2 / (edges[2:] - edges[:-2]))[:, None]


class Whisper:
    """Whisper in the format of CTranslate2: `model.bin`, `config.json`, `tokenizer.json`.

    Parameters
    ----------
    folder : nothing is downloaded
    tuning : what was learnt about dictation; used where it is for this model
    threads : of the processor

    Attributes
    ----------
    tuned : what it was tuned by; "" where it was not

    Raises
    ------
    VoiceError
        CTranslate2 is not installed.
    ModelError
        The folder cannot be used.
    """

    def __init__(self, folder: Path, tuning: Tuning | None = None, *, threads: int = 2) -> None:
        try:
            import ctranslate2
            from tokenizers import Tokenizer
        except ImportError:
            raise VoiceError("CTranslate2 is not installed.", "Run: pip install 'osirix-agent[voice]'") from None
        try:
            files = None if tuning is None else tuned(folder, tuning)
            self._model: Any = ctranslate2.models.Whisper(
                str(folder), device="cpu", compute_type="int8", intra_threads=threads, files=files
            )
            self._tokens: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._bands = int(self._model.n_mels)
        except ModelError:
            raise
        except Exception as error:  # tokenizers raises plain exceptions
            raise ModelError(
                f"The speech model cannot be used ({type(error).__name__}).",
                "Give a folder with model.bin, config.json, tokenizer.json and vocabulary.json.",
            ) from None
        self._ct2 = ctranslate2
        learnt = tuning.description if tuning is not None and files is not None else None
        self.tuned = "" if learnt is None else f"{learnt.name} {learnt.version}"
        self._shortest_s, self._pause_s = (_SHORTEST_WINDOW_S, _PAUSE_S) if learnt is None else (
            learnt.shortest_s, learnt.pause_s
        )  # fmt: skip
        self._last: tuple[Samples, Any] | None = None  # a sound and what the encoder made of it
        self._others: tuple[frozenset[str], list[int]] | None = None  # names, and what is written in no word of theirs

    def hypotheses(self, samples: Samples, known: Collection[str]) -> Words:
        encoded = self._encoded(samples)
        english = 1.0
        if self._model.is_multilingual:
            english = dict(self._model.detect_language(encoded)[0]).get("<|en|>", 0.0)
        said, no_speech = self._said(encoded, known, BEAMS, [])
        return Words(said, float(english), no_speech)

    def again(self, samples: Samples, known: Collection[str]) -> tuple[Hypothesis, ...]:
        """What the same sound may be in the dictation's own words alone, the best first."""
        names = frozenset(known)
        if self._others is None or self._others[0] != names:
            forms = (form for word in own_words(known) for form in (word, f" {word}"))
            own = {token for form in forms for token in self._tokens.encode(form, add_special_tokens=False).ids}
            written = range(self._tokens.token_to_id("<|endoftext|>"))
            self._others = names, [token for token in written if token not in own]
        return self._said(self._encoded(samples), known, BEAMS_AGAIN, self._others[1])[0]

    def _encoded(self, samples: Samples) -> Any:
        if self._last is None or self._last[0] is not samples:
            mel = log_mel(samples, self._bands, window_s(samples, self._shortest_s, self._pause_s))[None]
            sound = self._ct2.StorageView.from_array(np.ascontiguousarray(mel))
            self._last = samples, self._model.encode(sound)
        return self._last[1]

    def _said(
        self, encoded: Any, known: Collection[str], beams: int, never: list[int]
    ) -> tuple[tuple[Hypothesis, ...], float]:
        """Sentences, the best first, and the probability that nobody spoke."""
        start = ["<|startoftranscript|>", *(["<|en|>", "<|transcribe|>"] if self._model.is_multilingual else [])]
        before = self._tokens.encode(prompt_of(known), add_special_tokens=False).tokens
        (found,) = self._model.generate(
            encoded, [["<|startofprev|>", *before, *start, "<|notimestamps|>"]], beam_size=beams, num_hypotheses=beams,
            max_length=len(before) + _MOST_TOKENS, return_scores=True, return_no_speech_prob=True,
            suppress_tokens=[-1, *never],
        )  # fmt: skip
        texts = [self._tokens.decode(ids).strip() for ids in found.sequences_ids]
        said = (Hypothesis(text, float(score)) for text, score in zip(texts, found.scores, strict=True))
        return tuple(said), float(found.no_speech_prob)


def open_free(folder: Path, tuning: Tuning | None = None) -> Whisper:
    """The recogniser of a folder; with what was learnt about dictation, where that is for this model.

    Raises
    ------
    VoiceError
        The package it needs is not installed.
    ModelError
        There is no speech model in it.
    """
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError("There is no speech model in that folder.", "Give a folder with Whisper's files.") from None
    return Whisper(folder, tuning)

"""The command recogniser: pocketsphinx with a language model of the sentences that the dictation understands."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from osirix_agent.errors import VoiceError
from osirix_agent.prompting.voice.free import Hypothesis
from osirix_agent.prompting.voice.ngram import arpa
from osirix_agent.prompting.voice.sound import Samples, as_int16
from osirix_agent.prompting.voice.spoken import PHONES, sentences

SENTENCES = 20_000
GUESSES = 20


class CommandRecogniser:
    """Hears the sentences of the tables, in a few tenths of a second.

    Raises
    ------
    VoiceError
        pocketsphinx is not installed.
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise VoiceError("pocketsphinx is not installed.", "Run: pip install 'osirix-agent[voice]'") from None
        self._decoder: Any = Decoder(lm=None, loglevel="FATAL")
        _teach(self._decoder)
        self._searches: dict[frozenset[str], str] = {}

    def hypotheses(self, samples: Samples, known: Collection[str]) -> tuple[Hypothesis, ...]:
        """What may have been said, the best first; each sentence once."""
        decoder = self._decoder
        decoder.activate_search(self._search(frozenset(known)))
        decoder.start_utt()
        decoder.process_raw(as_int16(samples).tobytes(), full_utt=True)
        decoder.end_utt()
        frames = max(1, decoder.n_frames())
        found: dict[str, float] = {}
        best = decoder.hyp()
        if best is None:
            return ()
        found[best.hypstr] = best.score
        for one, _ in zip(decoder.nbest(), range(GUESSES), strict=False):
            if one is not None and one.hypstr:
                found.setdefault(" ".join(one.hypstr.split()), one.score)
        return tuple(Hypothesis(text, score / frames) for text, score in found.items())

    def _search(self, known: frozenset[str]) -> str:
        """The search that knows these names; made when they are first asked for."""
        if known not in self._searches:
            name = f"names {len(self._searches)}"
            said = sentences(known, self._can_say, SENTENCES)
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "sentences.arpa"
                model.write_text(arpa(said), encoding="utf-8")
                self._decoder.add_lm_file(name, str(model))
            self._searches[known] = name
        return self._searches[known]

    def phones_of(self, word: str) -> str | None:
        """Its first pronunciation; None: there is none."""
        phones: str | None = self._decoder.lookup_word(word)
        return phones

    def _can_say(self, word: str) -> bool:
        return self.phones_of(word) is not None


def _teach(decoder: Any) -> None:
    """Pronunciations of the field's words, beside those of the dictionary."""
    for word, ways in PHONES.items():
        for phones in ways:
            spelling, n = word, 2
            while decoder.lookup_word(spelling) is not None:
                spelling, n = f"{word}({n})", n + 1
            decoder.add_word(spelling, phones, False)

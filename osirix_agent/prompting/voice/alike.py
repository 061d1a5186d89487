"""Words that sound alike: what a recogniser wrote for a word of the field, by the pronunciations of both."""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import SequenceMatcher
from functools import lru_cache

from osirix_agent.prompting.items import MEANING

FARTHEST = 0.4  # mean cost of a phone
FEW = 4
_SPOKEN = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_VOWELS = frozenset(_SPOKEN.split())
_GROUPS = ("P B", "T D", "K G", "F V TH DH", "S Z SH ZH", "M N NG", "L R W", "CH JH SH")
_NEAR = frozenset((a, b) for group in _GROUPS for a in group.split() for b in group.split())
_VOWEL, _CONSONANT = 0.5, 0.6  # cost of one for another like it; 1 for any other


class SoundAlike:
    """Finds the dictation's words that sound like a given one.

    Parameters
    ----------
    phones_of : callable
        Pronunciation of a word as CMU phones, or None where none is known; then letters decide.
    words : those that may have been meant
    """

    def __init__(
        self, phones_of: Callable[[str], str | None] = lambda _: None, words: Collection[str] = MEANING
    ) -> None:
        self._phones_of, self._words = phones_of, sorted(word for word in words if word.isalpha())
        self._phones = {word: tuple((phones_of(word) or "").split()) for word in self._words}
        self.like = lru_cache(maxsize=4096)(self._like)

    def _like(self, word: str) -> tuple[tuple[str, float], ...]:
        """(word, distance) of the nearest few, the nearest first; distances from 0 to `FARTHEST`."""
        said = tuple((self._phones_of(word) or "").split())
        found = []
        for other in self._words:
            held = self._phones[other]
            far = distance(said, held) if said and held else 1 - SequenceMatcher(None, word, other).ratio()
            if far <= FARTHEST:
                found.append((other, far))
        return tuple(sorted(found, key=lambda one: one[1])[:FEW])


def distance(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """Weighted edits from one pronunciation to the other, per phone of the longer one."""
    row = [float(n) for n in range(len(b) + 1)]
    for x in a:
        before, row[0] = row[0], row[0] + 1
        for n, y in enumerate(b, 1):
            before, row[n] = row[n], min(row[n] + 1, row[n - 1] + 1, before + _cost(x, y))
    return row[-1] / max(len(a), len(b))


def _cost(x: str, y: str) -> float:
    if x == y:
        return 0.0
    if x in _VOWELS and y in _VOWELS:
        return _VOWEL
    return _CONSONANT if (x, y) in _NEAR else 1.0

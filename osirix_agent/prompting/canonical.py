"""What may be written down of a sentence: what it asked for, in canonical words, and a screened text for studies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from osirix_agent.prompting import lexicon, naming
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.words import NUMBER_WORDS, words_of

LEFT_OUT = "_"
_NAMES = {"name", "structure", "part"}  # slots that hold a structure's name
_KNOWN = frozenset(word for words in lexicon.table() for word in words) | naming.WORDS | NUMBER_WORDS
_SHORT_NUMBER = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?")


def canonical(intents: Iterable[Intent], public: Callable[[str], str]) -> str:
    """Kinds and slots, one intent after the other.

    Parameters
    ----------
    public : a structure's name as it may be written down
    """
    return "; ".join(" ".join(_words(intent, public)) for intent in intents)


def _words(intent: Intent, public: Callable[[str], str]) -> Iterable[str]:
    for slot, value in intent.as_json().items():
        is_name = slot in _NAMES or (slot == "to" and intent.kind == "crop")
        values = value if isinstance(value, list) else [value]
        if slot == "but":
            values = ["but" if part == 0 else one for way, mm in value for part, one in enumerate((0, mm, way))]
        for one in values:
            yield public(str(one)) if is_name else f"{one:g}" if isinstance(one, float) else str(one)


def screened(sentence: str) -> str:
    """The words that the grammar knows and short numbers; anything else could be a name and is left out."""
    kept = (w.text if w.text in _KNOWN or _SHORT_NUMBER.fullmatch(w.text) else LEFT_OUT for w in words_of(sentence))
    return " ".join(kept)

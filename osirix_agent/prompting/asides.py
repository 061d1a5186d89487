"""Reasons and remarks that hang on an order (`..., because the PET shows uptake there`), for when the order is not
understood with them: in whatever words they are, they order nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from osirix_agent.prompting.items import SPOKEN
from osirix_agent.prompting.words import words_of

_BECAUSE = (
    "because|since|given that|given how|seeing that|seeing as|considering that|considering how|inasmuch as|"
    "in view of|on account of|owing to|due to|so that|now that"
)
_WHICH = "which|where|who|whose|some of which|none of which|although|though|even though"
_REST = r"\b(?P<said>[^,;.!?]*)"
_AFTER = re.compile(
    rf"(?:\s*,\s*(?:and )?(?:(?P<plain>{_BECAUSE}|{_WHICH})|as|for|so|being)|\s+(?P<because>{_BECAUSE})){_REST}"
    r"(?:,(?=.)|(?=[;.!?])|$)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"^\W*(?:(?P<plain>{_BECAUSE}|although|though|given|in order to|to (?!the |my )\w+)|as|while|after|for|having)"
    rf"{_REST},",
    re.IGNORECASE,
)
_LEAST = 2  # words of a remark: "as before" and "for now" are none
_TELLING = """i we you he she it they this that these those there is are was were isn't aren't has have had does do did
will would can could may might must should neither none nothing nobody both"""
_UNITS = "mm cm millimetre millimetres millimeter millimeters centimetre centimetres centimeter centimeters"
_TURNING = f"unless until except but not slice instead if {_UNITS}"
_TELLS, _TURNS = frozenset(_TELLING.split()), frozenset(_TURNING.split())


def without_asides(sentence: str) -> Iterator[str]:
    """The sentence with remarks blanked out, so that what stays keeps its place: without each, then without all."""
    found = (*_BEFORE.finditer(sentence), *_AFTER.finditer(sentence))
    spans = [match.span() for match in found if _remarks(match)]
    for chosen in [[one] for one in spans] + ([spans] if len(spans) > 1 else []):
        left = sentence
        for start, end in chosen:
            left = left[:start] + " " * (end - start) + left[end:]
        yield left


_SO = re.compile(r"[,;:.]\s+(?:(?P<hence>so|hence|therefore)|and|but)\b|[,;:.]\s", re.IGNORECASE)
_OBJECTS = frozenset(["it", "this", "that", "these", "those", "nothing", "nobody", "none", "both"])
_HANGS = frozenset(f"if unless until when whenever once after {_UNITS}".split())
_FEWEST = 3  # words of a statement
_FINITE = re.compile(r"(i|you|we|they|he|she|it|that|there|\w+)'(m|re|ve|ll|d|s)$|\w+n't$").match


def after_statements(sentence: str) -> Iterator[tuple[str, str, bool]]:
    """(statement, what follows it, at its place, is it plainly a statement?): `Endoscopy was clean, so exclude the
    trachea`, the last first."""
    for match in reversed([*_SO.finditer(sentence)]):
        said = [word.text for word in words_of(sentence[: match.start()])]
        states = (
            match["hence"] or (_TELLS - _OBJECTS) & set(said) or set(said[:1]) & _OBJECTS or any(map(_FINITE, said))
        )
        if len(said) >= _FEWEST and not _HANGS & set(said) and not any(word[0].isdigit() for word in said):
            yield sentence[: match.start()], " " * match.end() + sentence[match.end() :], bool(states)


_REMARK = re.compile(
    r"(?:and |but |as |since )?(?!i mean|i'm sorry|i am sorry)(?:it|he|she|they|i|we|you|there|that|this|these|nothing|"
    r"our|his|her|their|(?:above|below) that)(?:'\w+)?\b",
    re.IGNORECASE,
)


def before_remark(sentence: str) -> tuple[str, str] | None:
    """What is said before a remark at the end, and the remark: `Copy it to the slice below, they look the same`."""
    for match in re.finditer(r"[,;.!]\s+", sentence):
        remark = sentence[match.end() :]
        said = [word.text for word in words_of(remark)]
        if _REMARK.match(remark) and len(said) >= _FEWEST and not _TURNS & set(said):
            return sentence[: match.start()], remark
    return None


def _remarks(found: re.Match[str]) -> bool:
    """Does it say something of its own, and neither how much nor that it is to be otherwise?"""
    words = [word.text for word in words_of(found["said"])]
    if len(words) < _LEAST or _TURNS & set(words) or any(word[0].isdigit() for word in words):
        return False
    plain = any(found.groupdict().get(name) for name in ("plain", "because"))
    strange = len(words) > _LEAST and not all(word in SPOKEN for word in words)
    return plain or strange or bool(_TELLS & set(words))  # "for the left parotid", "as GTVn" are no remarks

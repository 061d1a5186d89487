"""A sentence as words with their places, and numbers as they are spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"\d+[.,]\d+|\d+|[^\W\d_][\w+~^']*(?:[.\-][\w+~^']+)*|\S")
_SLURRED = {"gimme": "give me", "lemme": "let me", "wanna": "want to", "gonna": "going to", "gotta": "have to"}
_DASHES = ("-", "\N{EN DASH}", "\N{EM DASH}")
_SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
ONES = {word: n for n, word in enumerate(_SMALL.split())} | {"oh": 0, "nought": 0, "naught": 0, "nil": 0}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
TENS = {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
TENS["fourty"] = 40
NUMBER_WORDS = frozenset((*ONES, *TENS, "hundred", "point", "dot", "half", "quarter", "quarters", "couple", "double"))


@dataclass(frozen=True)
class Word:
    """One word: lower case, as written, and where it stands in the sentence."""

    text: str
    raw: str
    start: int
    end: int


def words_of(sentence: str) -> list[Word]:
    """Words, numbers and signs in order; hyphens part words, but not the names of structures (`GTV-T`)."""
    found: list[Word] = []
    for match in _WORD.finditer(sentence.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")):
        raw, at = match.group(), match.start()
        if raw in _DASHES and sentence[match.end() : match.end() + 1] in ("", " "):
            raw = ","  # "by 3 mm - no, 2 mm"; not the sign of a number
        if raw.lower() in _SLURRED:
            found += (Word(part, part, at, match.end()) for part in _SLURRED[raw.lower()].split())
        elif len(raw) > 1 and "-" in raw and not any(letter.isupper() or letter.isdigit() for letter in raw[1:]):
            for part in re.finditer(r"[^-]+", raw):
                found.append(Word(part.group().lower(), part.group(), at + part.start(), at + part.end()))
        else:
            found.append(Word(raw.lower(), raw, at, match.end()))
    return found


def number_at(words: list[str], at: int) -> tuple[float, int] | None:
    """A spoken or written number that begins at a word: its value and how many words it takes.

    "two and a half", "two point five", "forty-two", "a hundred and four", "half a", "a couple of", "2.5".
    """
    fraction = _fraction(words, at)
    if fraction:
        return fraction
    whole = _whole(words, at)
    if whole is None:
        if words[at : at + 1] in (["point"], ["dot"]):
            return _decimals(words, at, 0.0, 0)
        return None
    value, taken = whole
    if words[at + taken : at + taken + 1] in (["point"], ["dot"]):
        return _decimals(words, at, value, taken) or whole
    rest = words[at + taken : at + taken + 3]
    if rest == ["and", "a", "half"]:
        return value + 0.5, taken + 3
    if rest == ["and", "a", "quarter"]:
        return value + 0.25, taken + 3
    return whole


def _fraction(words: list[str], at: int) -> tuple[float, int] | None:
    for phrase, value in _FRACTIONS:
        if tuple(words[at : at + len(phrase)]) == phrase:
            return value, len(phrase)
    return None


_FRACTIONS = sorted(
    (
        (tuple(phrase.split()), value)
        for value, phrases in {
            0.5: "half a|half an|a half|one half|half|half of a",
            0.25: "a quarter of a|quarter of a|a quarter|quarter of an",
            0.75: "three quarters of a|three quarters",
            1.0: "a single|one single|a full|one full",
            2.0: "a couple of|a couple|couple of|couple|a pair of",
        }.items()
        for phrase in phrases.split("|")
    ),
    key=lambda one: -len(one[0]),
)


def _whole(words: list[str], at: int) -> tuple[float, int] | None:
    word = words[at]
    if re.fullmatch(r"\d{1,6}(?:\.\d+)?", word):
        return float(word), 1
    if words[at : at + 2] == ["a", "hundred"]:
        return _after_hundred(words, at, 100, 2)
    if word in TENS:
        ones = ONES.get(words[at + 1], 0) if at + 1 < len(words) else 0
        return (TENS[word] + ones, 2) if 0 < ones < 10 else (TENS[word], 1)
    if word in ONES and words[at + 1 : at + 2] == ["oh"] and 0 < ONES[word] < 10:  # "one oh four"
        last = ONES.get(words[at + 2], 0) if at + 2 < len(words) else 0
        if 0 < last < 10:
            return 100 * ONES[word] + last, 3
    if word in ONES:
        if words[at + 1 : at + 2] == ["hundred"] and 0 < ONES[word] < 10:
            return _after_hundred(words, at, 100 * ONES[word], 2)
        return ONES[word], 1
    return None


def _after_hundred(words: list[str], at: int, value: float, taken: int) -> tuple[float, int]:
    skip = taken + (words[at + taken : at + taken + 1] == ["and"])
    rest = _whole(words, at + skip) if at + skip < len(words) and not words[at + skip].isdigit() else None
    if rest and 0 < rest[0] < 100:
        return value + rest[0], skip + rest[1]
    return value, taken


def _decimals(words: list[str], at: int, value: float, taken: int) -> tuple[float, int] | None:
    digits, n = "", taken + 1
    while at + n < len(words) and (words[at + n] in ONES or words[at + n].isdigit()):
        digit = str(ONES[words[at + n]]) if words[at + n] in ONES else words[at + n]
        if len(digit) > 1 and digits:
            break
        digits, n = digits + digit, n + 1
    return (float(f"{int(value)}.{digits}"), n) if digits else None

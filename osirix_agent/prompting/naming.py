"""Names of structures in a sentence: TG-263 spellings, spoken names, targets, neck levels, sides."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from osirix_agent.imaging.anatomy import NECK_LEVELS, PAIRED, PLURALS, SIDES, SINGLE
from osirix_agent.imaging.structure import is_target, structure_name
from osirix_agent.prompting.words import Word, number_at, words_of

_BEFORE = {"left": "L", "right": "R", "lt": "L", "rt": "R", "both": "LR", "bilateral": "LR", "l": "L", "r": "R"}
_AFTER: dict[tuple[str, ...], str] = {("l",): "L", ("r",): "R", ("lt",): "L", ("rt",): "R"}
_AFTER |= {
    tuple(f"{start} {word}{end}".split()): side
    for word, side in SIDES.items() for start in ("on the", "at the", "on") for end in (" hand side", " side", "")
}  # fmt: skip
_AFTER |= {tuple(text.split()): "LR" for text in ("on both sides", "on either side", "both sides", "bilaterally")}
_BASES = {
    "gtv": "GTV", "ctv": "CTV", "itv": "ITV", "ptv": "PTV", "igtv": "iGTV", "gross tumour volume": "GTV",
    "gross tumor volume": "GTV", "clinical target volume": "CTV", "planning target volume": "PTV",
    "internal target volume": "ITV", "tumour": "GTV", "tumor": "GTV", "tumour volume": "GTV", "g t v": "GTV",
    "c t v": "CTV", "p t v": "PTV", "gross disease": "GTV", "primary": "GTVp", "primary site": "GTVp",
}  # fmt: skip
_TYPES = {
    "primary": "p", "p": "p", "nodal": "n", "node": "n", "nodes": "n", "n": "n", "lymph node": "n", "lymph nodes": "n",
    "high": "_High", "high dose": "_High", "high risk": "_High", "mid": "_Mid", "intermediate": "_Mid", "low": "_Low",
    "intermediate dose": "_Mid", "intermediate risk": "_Mid", "low dose": "_Low", "low risk": "_Low", "boost": "_Boost",
    "elective": "_Low",
}  # fmt: skip
_BOTH = ("LR", "RL")
_LEVEL_BEFORE = (
    *(
        f"{nodes} {at}level"
        for nodes in ("neck nodes", "neck node", "lymph nodes", "nodes", "nodal", "neck")
        for at in ("at ", "in ", "")
    ),
    "lymph nodes at level",
    "nodes at level",
    "lymph node at level",
    "node at level",
    "nodes in level",
    "neck level",
    "nodal level",
    "lymph node level",
    "node level",
    "neck node level",
    "level",
)
_LEVEL_AFTER = ("lymph nodes", "lymph node", "nodes", "node", "neck", "neck node", "neck nodes", "nodal group")
_ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}


@dataclass(frozen=True)
class Named:
    """A structure as it was named.

    Attributes
    ----------
    base : TG-263 name, without the side where that is still open
    also : further ones that were named with it: `levels two to four`
    side : "L", "R", "LR" or "RL" (both, as they were named) or None
    sided : does the organ come in two?
    """

    base: str
    side: str | None = None
    sided: bool = False
    also: tuple[str, ...] = ()

    def names(self, known: Collection[str]) -> tuple[str, ...]:
        """The structures meant; () when the side is open and the known structures do not settle it."""
        if self.side:
            return tuple(f"{base}_{one}" for one in self.side for base in (self.base, *self.also))
        if not self.sided:
            return (self.base,)
        there = tuple(f"{self.base}_{side}" for side in "LR" if f"{self.base}_{side}" in known)
        return there if len(there) == 1 else ()

    @property
    def may_take_side(self) -> bool:
        return self.side is None and (self.sided or is_target(self.base))


class Names:
    """Finds structures' names.

    Parameters
    ----------
    known : names of the session: recognised as they are spelt there
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = {tuple(w.text for w in words_of(name)): name for name in known if name.strip()}
        # "Thyroid" is what this session calls Glnd_Thyroid
        self._own = {(structure_name(name) or name).casefold(): name for name in self._known.values()}
        self._own |= {name.casefold(): name for name in self._known.values()}

    def at(self, words: list[Word], at: int) -> tuple[Named, int] | None:
        """The structure that is named from this word on, and how many words that takes."""
        texts = [w.text for w in words]
        read = (_level(words, at), _levels(words, at), _organ(texts, at), _target(words, at), _spelt(words, at))
        found = [one for one in (self._hers(texts, at), *read) if one]
        if not found:
            return None
        named, taken = max(found, key=lambda one: one[1])
        return replace(named, base=self._own.get(named.base.casefold(), named.base)), taken

    def _hers(self, texts: list[str], at: int) -> tuple[Named, int] | None:
        for n in range(min(8, len(texts) - at), 0, -1):
            name = self._known.get(tuple(texts[at : at + n]))
            if name is not None:
                return Named(name), n
        return None


def _spelt(words: list[Word], at: int) -> tuple[Named, int] | None:
    """One word in TG-263 spelling or a target's own (`Parotid_L`, `GTVp`, `PTV_7000`)."""
    raw = words[at].raw
    name = structure_name(raw)
    if name is None or (name == raw.lower() and len(raw) <= 4):
        return None
    if is_target(name):
        return Named(re.sub(r"^(i?)(gtv|ctv|itv|ptv)", lambda m: m[1] + m[2].upper(), name)), 1
    return (Named(name), 1) if "_" in raw or raw.lower() == name.lower() else None


def _organ(texts: list[str], at: int) -> tuple[Named, int] | None:
    side = _BEFORE.get(texts[at])
    n = 1 if side else 0
    if texts[at : at + 3] in (["left", "and", "right"], ["right", "and", "left"]):
        side, n = ("LR" if texts[at] == "left" else "RL"), 3
    if side and texts[at + 1 : at + 2] == ["sided"]:
        n += 1
    if side in _BOTH and texts[at + n : at + n + 1] == ["the"]:
        n += 1
    read = [(longest, forms) for forms in (_PAIRED, _SINGLE, _PLURAL) if (longest := _longest(forms, texts, at + n))]
    for (base, taken), forms in sorted(read, key=lambda one: -one[0][1]):
        paired = forms is not _SINGLE
        if not paired:
            return (Named(base), taken) if side is None else None
        if forms is _PLURAL:
            side = side or "LR"
        taken += n
        if side is None:
            for after, which in _AFTER.items():
                if tuple(texts[at + taken : at + taken + len(after)]) == after:
                    return Named(base, which, True), taken + len(after)
        return Named(base, side, True), taken
    return None


def _target(words: list[Word], at: int) -> tuple[Named, int] | None:
    """`GTV primary`, `nodal GTV`, `left nodal GTV`, `PTV seventy`, `high dose PTV`."""
    texts = [w.text for w in words]
    side = {"left": "L", "right": "R"}.get(texts[at])
    n = 1 if side else 0
    before = _longest(_KIND_WORDS, texts, at + n)
    n += before[1] if before else 0
    base = _longest(_BASE_WORDS, texts, at + n)
    if base is None and before and at + n > 0:  # "the primary"
        n -= before[1]
        before, base = None, _longest(_BASE_WORDS, texts, at + n)
    if base is None:
        return None
    name, taken = base
    n += taken
    kind = before[0] if before else ""
    if not kind:
        after = _longest(_KIND_WORDS, texts, at + n)
        if after:
            kind, n = after[0], n + after[1]
    number = number_at(texts, at + n) if at + n < len(texts) and name != "GTVp" else None
    if number and number[0] == int(number[0]) and texts[at + n] not in ("a", "half", "couple") and not (
        texts[at + n + number[1] : at + n + number[1] + 1] and _starts_amount(texts[at + n + number[1]])
    ):  # fmt: skip
        kind += f"_{int(number[0])}" if number[0] >= 10 else str(int(number[0]))
        n += number[1]
        n += texts[at + n : at + n + 1] in (["gy"], ["gray"], ["grays"])
    if not kind and texts[at + n - 1] == "primary" and taken == 1 and name == "GTVp" and before:
        return None
    return Named(name + kind, side), n


def _starts_amount(text: str) -> bool:
    return text in ("mm", "cm", "m", "mil", "mils", "times", "slices") or text.startswith(("milli", "centi", "met"))


def _level(words: list[Word], at: int) -> tuple[Named, int] | None:
    """`level two node on the right`, `left neck level IIb`."""
    texts = [w.text for w in words]
    side = {"left": "L", "right": "R", "bilateral": "LR"}.get(texts[at])
    n = 1 if side else 0
    n += texts[at + n : at + n + 1] == ["sided"]
    start = _longest({tuple(p.split()): p for p in _LEVEL_BEFORE}, texts, at + n)
    if start is None or at + n + start[1] >= len(texts):
        return None
    n += start[1]
    word = words[at + n]
    number = number_at(texts, at + n)
    level = _ROMAN.get(int(number[0])) if number and number[0] == int(number[0]) else None
    if level is not None and number is not None:
        n += number[1]
        letter = texts[at + n] if at + n < len(texts) else ""
        following = texts[at + n + 1] if at + n + 1 < len(texts) else ""
        glued = at + n < len(words) and words[at + n].start == words[at + n - 1].end
        if letter in ("a", "b") and (glued or following in ("", "node", "nodes", "on", "left", "right", "lymph", ",")):
            level, n = level + letter.upper(), n + 1
    elif word.raw.upper() in NECK_LEVELS:
        level, n = word.raw.upper(), n + 1
    if level is None or (level not in NECK_LEVELS and level != "I"):
        return None
    after = _longest({tuple(p.split()): p for p in _LEVEL_AFTER}, texts, at + n)
    n += after[1] if after else 0
    if side is None:
        for phrase, which in [*_AFTER.items(), (("left",), "L"), (("right",), "R")]:
            if tuple(texts[at + n : at + n + len(phrase)]) == phrase:
                side, n = which, n + len(phrase)
                break
    return Named(f"LN_Neck_{level}", side, True), n


def _levels(words: list[Word], at: int) -> tuple[Named, int] | None:
    """`levels two and three on the right`, `left neck levels two to four`."""
    texts = [w.text for w in words]
    side = {"left": "L", "right": "R", "bilateral": "LR"}.get(texts[at])
    n = 1 if side else 0
    n += texts[at + n : at + n + 1] in (["neck"], ["nodal"])
    if texts[at + n : at + n + 1] != ["levels"]:
        return None
    n += 1
    numbers: list[int] = []
    while at + n < len(texts):
        joint = texts[at + n] if numbers else ""
        first = at + n + (joint in ("and", "to", ",")) + (texts[at + n : at + n + 2] == [",", "and"])
        number = (
            number_at(texts, first) if first < len(texts) and (joint in ("and", "to", ",") or not numbers) else None
        )
        if number is None or number[0] not in _ROMAN or (numbers and number[0] <= numbers[-1]):
            break
        numbers += range(numbers[-1] + 1 if joint == "to" else int(number[0]), int(number[0]) + 1)
        n = first - at + number[1]
    levels = [_ROMAN[one] for one in numbers]
    if len(levels) < 2 or any(level not in NECK_LEVELS for level in levels):
        return None
    for phrase, which in _AFTER.items() if side is None else ():
        if tuple(texts[at + n : at + n + len(phrase)]) == phrase:
            side, n = which, n + len(phrase)
            break
    bases = [f"LN_Neck_{level}" for level in levels]
    return Named(bases[0], side, True, tuple(bases[1:])), n


def _longest(table: dict[tuple[str, ...], str], texts: list[str], at: int) -> tuple[str, int] | None:
    for n in range(min(5, len(texts) - at), 0, -1):
        value = table.get(tuple(texts[at : at + n]))
        if value is not None:
            return value, n
    return None


def _by_words(table: dict[str, tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    return {tuple(form.split()): base for base, forms in table.items() for form in forms}


_SINGLE, _PAIRED, _PLURAL = _by_words(SINGLE), _by_words(PAIRED), _by_words(PLURALS)
_PLURAL |= {(*form[:-1], f"{form[-1]}s"): base for form, base in _PAIRED.items() if form[-1].isalpha()} | _PLURAL
_BASE_WORDS = {tuple(form.split()): base for form, base in _BASES.items()}
_KIND_WORDS = {tuple(form.split()): kind for form, kind in _TYPES.items()}

WORDS = frozenset(
    word
    for table in (_SINGLE, _PAIRED, _PLURAL, _BASE_WORDS, _KIND_WORDS)
    for form in table
    for word in form
) | {"level", "neck", "left", "right", "bilateral", "sided", "lymph", "node", "nodes"}  # fmt: skip

"""From words to items: phrases of the tables, amounts, slices, names."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from osirix_agent.imaging.structure import ascii_name
from osirix_agent.prompting import lexicon, naming
from osirix_agent.prompting.moods import SEPARATORS, STARTS, asked_where, settled
from osirix_agent.prompting.naming import Named, Names
from osirix_agent.prompting.words import NUMBER_WORDS, Word, number_at, words_of
from osirix_agent.settings import MAX_NAME_LENGTH

MISSPELT = 0.6  # confidence of a word that is one slip away from a known one
UNSAID = 0.7  # of what stands beside a word that is passed over though it may mean something

_TABLE = lexicon.table()
_LONGEST = max(len(words) for words in _TABLE)
_IDLE = {words[0] for words, senses in _TABLE.items() if len(words) == 1 and senses == [("filler", True)]}
VOCABULARY = frozenset(word for words in _TABLE for word in words) | naming.WORDS | NUMBER_WORDS
SPOKEN = frozenset(word for words in lexicon.table(more=False) for word in words) | naming.WORDS | NUMBER_WORDS
MEANING = SPOKEN - _IDLE  # words that are not passed over


@dataclass(frozen=True)
class Item:
    """Words that belong together, and what they may be: (kind, value) pairs."""

    senses: tuple[tuple[str, Any], ...]
    start: int
    end: int
    text: str
    sure: float = 1.0

    def is_a(self, *kinds: str) -> bool:
        return any(kind in kinds for kind, _ in self.senses)

    def value(self, kind: str) -> Any:
        return next(value for name, value in self.senses if name == kind)


def items_of(sentence: str, known: Collection[str], *, reasons: bool = True) -> list[Item]:
    """Words that belong together, in order.

    Parameters
    ----------
    reasons : keep clauses that only seem to say why
    """
    words, names = _fluent(_unjoined(words_of(sentence))), Names(known)
    spelt = [_spelt(word) for word in words]
    texts = [word.text for word in spelt]
    structures: dict[int, tuple[Named, int]] = {}
    at = 0
    while at < len(words):
        found = names.at(spelt, at)
        if found:
            structures[at] = found
        at += found[1] if found else 1
    items: list[Item] = []
    at = 0
    while at < len(words):
        covering = _phrase(texts, at)
        # "is part of the tumour" names no structure; "to the left parotid" is no direction
        inside = [one for one in structures if at < one < at + covering[1]]
        if inside and all(one + structures[one][1] <= at + covering[1] for one in inside):
            for one in inside:
                del structures[one]
        stop = min((one for one in structures if one > at), default=len(words))
        if at in structures:
            named, taken = structures[at]
            senses: tuple[tuple[str, Any], ...] = (("structure", named),)
        else:
            senses, taken = _phrase(texts[:stop], at)
            if texts[at] == "not" and taken == 1 and at and texts[at - 1] in _HELPING:
                senses = (("unknown", None),)  # "do not outline the larynx" takes nothing out
        part = words[at : at + taken]
        sure = 1.0 if all(a.text == b.text for a, b in zip(part, spelt[at : at + taken], strict=True)) else MISSPELT
        items.append(Item(senses, part[0].start, part[-1].end, sentence[part[0].start : part[-1].end], sure))
        at += taken
    return _joined(settled(_unit_first(_without_particles(_other_amounts(items))), UNSAID, reasons), sentence)


def _other_amounts(items: list[Item]) -> list[Item]:
    """`5 mm all round but 3 mm posteriorly`, `except 3 mm posteriorly`: what follows excludes nothing."""
    found = list(items)
    for n, item in enumerate(items):
        if item.text.lower() not in _BUT or not any(one.is_a("amount", "unit") for one in items[:n]):
            continue
        at = next((k for k in range(n + 1, len(items)) if items[k].text.lower() not in ("only", "just", "by")), None)
        if at is not None and items[at].is_a("amount", "number"):
            found[n] = replace(item, senses=(("and", True),))
            found[at] = replace(items[at], sure=min(items[at].sure, UNSAID))
    return found


_BUT = ("but", "except", "except for", "apart from", "other than")


def _without_particles(items: list[Item]) -> list[Item]:
    """`blow the GTV up`, `lock the cord down`, `open it back up`: the end of the verb is no direction."""
    found: list[Item] = []
    ends: tuple[str, ...] = ()
    for item in items:
        if item.text.lower() in ends:
            continue
        if item.is_a(*STARTS):
            ends = _PARTICLES.get(item.text.lower(), ())
        elif not item.is_a("structure", "it", "filler", "edge", "direction", "everything"):
            ends = ()
        found.append(item)
    return found


_PARTICLES = {
    **dict.fromkeys(("blow", "beef", "bulk", "fatten", "loosen", "tighten", "thicken", "tidy"), ("up",)),
    **dict.fromkeys(("slim", "narrow", "shrink", "trim", "shave", "cut", "whittle", "lock", "lock it"), ("down",)),
    "pare": ("down", "back"), "puff": ("out", "up"),
    **dict.fromkeys(("scooch", "slide", "shift", "move", "nudge"), ("over", "across")), "open": ("up", "back up"),
}  # fmt: skip


def _unit_first(items: list[Item]) -> list[Item]:
    """`three more millimetres` as "three millimetres more"."""
    found = list(items)
    for n in range(1, len(found) - 1):
        if (
            found[n - 1].is_a("number", "filler")
            and found[n + 1].is_a("unit")
            and found[n].text.lower() in _BESIDE_UNIT
        ):
            found[n], found[n + 1] = found[n + 1], found[n]
    return found


_AXES = {
    **dict.fromkeys(("craniocaudal", "caudocranial", "superoinferior"), ("superior", "and", "inferior")),
    **dict.fromkeys(("anteroposterior", "dorsoventral", "ventrodorsal"), ("anterior", "and", "posterior")),
}


def _unjoined(words: list[Word]) -> list[Word]:
    """`the GTV's too large`: "is" on its own; `cranio-caudally` as "superior and inferior"."""
    found: list[Word] = []
    for word in words:
        if found and found[-1].text + word.text.removesuffix("ly") in _AXES:
            word = replace(word, text=found[-1].text + word.text, start=found.pop().start)
        axis = _AXES.get(word.text.removesuffix("ly"))
        if axis:
            found += (replace(word, text=part, raw=part) for part in axis)
            continue
        if word.text.endswith("'s") and len(word.text) > 3 and word.text not in VOCABULARY:
            middle = word.end - 2
            found.append(Word(word.text[:-2], word.raw[:-2], word.start, middle))
            word = Word("is", word.raw[-1:], middle, word.end)
        found.append(word)
    return found


def _fluent(words: list[Word]) -> list[Word]:
    """`by, er, three millimetres`: no pause parts a sentence after a word that cannot end a clause, nor beside the
    hesitation that is made there."""
    found: list[Word] = []
    for word in words:
        hesitates = len(found) > 1 and found[-1].text in _HESITATING and found[-2].text in (*_ARTICLES, "by", "of")
        if word.text == "," and found and (found[-1].text in _ARTICLES or hesitates):
            continue
        unit = any(kind == "unit" for kind, _ in _TABLE.get((word.text,), ()))
        if unit and len(found) > 1 and found[-1].text == "," and number_at([found[-2].text], 0):
            found.pop()  # "by three, make that two, millimetres"
        found.append(word)
    return found


_HESITATING = ("um", "uh", "er", "erm", "ah", "hm", "hmm")
_ARTICLES = ("the", "a", "an", "my")
_BESIDE_UNIT = ("more", "extra", "less", "additional", "further", "fewer")


def _phrase(texts: list[str], at: int) -> tuple[tuple[tuple[str, Any], ...], int]:
    """The longest phrase or number from here on; a number wins over a phrase of its length."""
    longest = next((n for n in range(min(_LONGEST, len(texts) - at), 0, -1) if tuple(texts[at : at + n]) in _TABLE), 0)
    where = asked_where(texts, at)
    if where > longest:
        return (("command", "next"),), where
    if texts[at : at + longest] == ["please", "do"] and at + 2 < len(texts) and texts[at + 2] not in _PAUSES:
        longest = 1  # "please do not touch it"
    number = number_at(texts, at)
    if number and number[1] >= longest:
        return (("number", number[0]),), number[1]
    if longest:
        return tuple(_TABLE[tuple(texts[at : at + longest])]), longest
    return (("unknown", None),), 1


_HELPING = ("do", "does", "did", "must", "should", "would", "could", "can", "may", "might", "will", "shall")
_PAUSES = (",", ".", "!", ";", "that", "so", "it", "this")


def _spelt(word: Word) -> Word:
    """A long word that no table holds, one slip away from exactly one that some table does, is read as that."""
    if word.text in VOCABULARY or len(word.text) < 6 or not word.text.isalpha():
        return word
    if word.text[-1:] == "s" and word.text[:-1] in VOCABULARY:
        return word
    near = {other for other in VOCABULARY if len(other) >= 5 and _one_slip(word.text, other)}
    return replace(word, text=near.pop()) if len(near) == 1 else word


def _one_slip(a: str, b: str) -> bool:
    """Is one letter wrong, missing, too many, or are two neighbours swapped?"""
    if abs(len(a) - len(b)) > 1:
        return False
    n = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[n + 1 :] == b[n + 1 :] or a[n:] == b[n + 1 :] or a[n + 1 :] == b[n:] or (
        a[n : n + 2] == b[n : n + 2][::-1] and a[n + 2 :] == b[n + 2 :]
    )  # fmt: skip


def _joined(items: list[Item], sentence: str) -> list[Item]:
    """Amounts, slices, counts, names after `called`, structures after `from`, `to` or `in`; fillers go."""
    found: list[Item] = []
    at, passed_over = 0, False
    while at < len(items):
        taken, item = _compound(items, at, found, sentence)
        if item is None and items[at].text.lower() in lexicon.TELLING:
            passed_over |= not (items[at].is_a("from") and items[at + 1 : at + 2] and items[at + 1].is_a(*_PLACES))
        if item is not None:
            found.append(replace(item, sure=min(item.sure, UNSAID)) if passed_over else item)
            passed_over = False
        at += taken
    if passed_over and found:
        found[-1] = replace(found[-1], sure=min(found[-1].sure, UNSAID))
    return found


def _compound(items: list[Item], at: int, before: list[Item], sentence: str) -> tuple[int, Item | None]:
    item = items[at]
    following = items[at + 1 :]
    if item.text.lower() == "both" and _pair_follows(following):
        return 1, None
    if item.text.lower() == "oh" and at == 0 and not (following and following[0].is_a("number")):
        return 1, None
    told = any(one.is_a("amount", "all_round") for one in before) and not any(one.is_a("direction") for one in before)
    if item.text.lower() in _EXCEPT and told:
        taken, ways = _listed_ways(following)
        if ways and not {"medial", "lateral"} & set(ways):
            return 1 + taken, _merged(items[at : at + 1 + taken], "all_but", ways)
    if item.senses == (("filler", True),):
        if not (item.text.lower() in ("a", "an") and following and following[0].is_a("unit")):
            return 1, None
        item = replace(item, senses=(("number", 1.0),))  # "a millimetre"
    if item.is_a("number") and following and following[0].is_a("unit"):
        value, taken = item.value("number"), 2
        if len(following) > 2 and following[1].text.lower() == "and" and following[2].senses == (("number", 0.5),):
            value, taken = value + 0.5, 4  # "a centimetre and a half"
        return taken, _merged(items[at : at + taken], "amount", value * following[0].value("unit"))
    if item.text.lower() == "one more" and following and following[0].is_a("unit"):
        return 2, _merged(items[at : at + 2], "amount", following[0].value("unit"))
    if item.text.lower() == "no" and following and _unwanted_in(following):
        return 1, replace(item, senses=(("verb", "unwanted"),))
    if item.is_a("vague") and following and following[0].is_a("unit"):
        return 2, _merged(items[at : at + 2], "vague", True)
    if item.is_a("number") and following and following[0].text.lower() in ("slice", "slices"):
        return 2, _merged(items[at : at + 2], "slices", item.value("number"))
    if item.is_a("number") and following and following[0].is_a("step"):
        return 2, _merged(items[at : at + 2], "times", item.value("number"))
    if item.is_a("number") and before and before[-1].is_a("side"):
        return 1, replace(item, senses=(("slice", item.value("number")),))  # "everything above forty"
    if item.is_a("number") and following and following[0].is_a("direction", "edge", "trim"):
        unit = _unit_before(before)  # "three millimetres up and two down"
        if unit is not None:
            return 1, replace(item, senses=(("amount", item.value("number") * unit),), sure=MISSPELT)
    if item.is_a("slice_word") and following and following[0].is_a("number"):
        if len(following) > 1 and following[1].is_a("number") and _run_together(following[0], following[1]):
            number = 100 * following[0].value("number") + following[1].value("number")
            return 3, _merged(items[at : at + 3], "slice", number)  # "slice one twelve"
        of_all = len(following) > 2 and following[1].text.lower() == "of" and following[2].is_a("number")
        taken = 4 if of_all else 2  # "slice 31 of 120"
        return taken, _merged(items[at : at + taken], "slice", following[0].value("number"))
    copied = before and before[-1].text.lower() in _COPYING and items[at - 1].start == before[-1].start
    if copied and item.is_a("beside") and item.text.lower().split()[0] not in ("up", "down"):
        return 1, replace(item, senses=(("unknown", None),))  # "copy the previous slice": from it, or to it?
    if (
        item.is_a("beside")
        and at
        and items[at - 1].text.lower() == "of"
        and any(("verb", "copy") in b.senses for b in before)
    ):
        return 1, replace(item, senses=(("unknown", None),))  # "copy the contour of the slice above to this one"
    if item.is_a("named"):
        return _free_name(items, at, sentence)
    if item.is_a("structure") and before and _a_landmark(items, at, before):
        return 1, replace(item, senses=(("unknown", None),))  # "3 mm to the left of the cord", "2 mm off at the cord"
    if (
        item.text.lower() == "right"
        and len(before) > 1
        and not before[-2].is_a("correction")
        and before[-1].text == ","
        and not any(one.senses != (("filler", True),) and not one.is_a("question") for one in following)
        and any(one.is_a("amount") for one in before)
    ):
        return 1, replace(item, senses=(("unknown", None),))  # "grow it by 3 mm, right?"
    if item.text.lower() in ("or", "nor") and any(map(_denies, before)):
        return 1, replace(item, senses=(("and", True),))  # "do not touch the cord or the parotid"
    if item.is_a("direction") and following and following[0].text.lower() == "one":
        sided = _other_side(item.value("direction"), before)  # "the left parotid, then the right one"
        if sided is not None:
            return 2, _merged(items[at : at + 2], "structure", sided)
    if item.is_a("unknown") and _awaits_name(before):
        taken, found = _free_name(items, at - 1, sentence)
        return taken - 1, found and replace(found, senses=(("guess", found.senses[0][1]),), sure=MISSPELT)
    if item.is_a("outside"):
        after = next((n for n, one in enumerate(following) if one.senses != (("filler", True),)), None)
        if after is not None and following[after].is_a("structure"):
            value = following[after].value("structure")
            return after + 2, _merged(items[at : at + after + 2], "outside_of", value)
    if item.is_a("verb") and item.is_a("to") and not any(one.is_a(*STARTS) for one in before):
        return 1, item  # "back to the GTV", not "cut it back to the body"
    if item.is_a("from", "to", "inside"):
        after = next((n for n, one in enumerate(following) if one.senses != (("filler", True),)), None)
        if after is not None and following[after].is_a("structure"):
            merged = _merged(items[at : at + after + 2], "of", following[after].value("structure"))
            if item.text.lower().startswith(("away", "off")) and item.is_a("from"):
                return after + 2, replace(merged, senses=(("clear_of", merged.value("of")), *merged.senses))
            if item.is_a("from"):
                merged = replace(merged, senses=(("out_of", merged.value("of")), *merged.senses))
            if item.is_a("to") and item.text.lower() not in ("into", "onto", "with"):
                merged = replace(merged, senses=(("to_of", merged.value("of")), *merged.senses))
            return after + 2, merged
        if item.text.lower() == "out of":
            of_edge = after is not None and following[after].is_a("edge")  # "take 2 mm out of the left border"
            return 1, replace(item, senses=(("off", "away" if of_edge else "out"),))  # "carve the rectum out of it"
        edge = bool(before) and before[-1].is_a("edge")  # "front edge in 2 mm"
        if item.text.lower() == "in" and (edge or any(v in one.senses for one in before for v in _WITH_IN)):
            return 1, replace(item, senses=(("off", "in"),))  # "pull it in"
        if item.is_a("to") and any(("verb", "rename") in one.senses for one in before[-3:]):
            return _free_name(items, at, sentence)
        if item.text.lower().startswith("away") or (item.is_a("to") and _to_an_amount(following)):
            return 1, replace(item, senses=(("unknown", None),))  # "3 mm away from the left", "grow it to 5 mm"
        return 1, None
    return 1, item


def _listed_ways(items: list[Item]) -> tuple[int, tuple[str, ...]]:
    """`posteriorly and on the left`: how many items, and which directions."""
    taken, ways = 0, list[str]()
    for n, item in enumerate(items):
        if item.is_a("direction"):
            ways.append(item.value("direction"))
            taken = n + 1
        elif not item.is_a("and", "filler") or item.text == ",":
            break
    return taken, tuple(ways)


def _a_landmark(items: list[Item], at: int, before: list[Item]) -> bool:
    """Is a structure where something is to be done, not what it is done to?"""
    beside = [one.text.lower() for one in items[max(0, at - 3) : at]]
    if beside[-1:] == ["the"]:
        beside.pop()
    changing = any(one.is_a("amount", "verb") for one in before)
    if changing and beside and beside[-1] in ("at", "near", "along"):
        return not any(("verb", "contour") in one.senses for one in before)
    way = before[-1].text.lower() if before[-1].is_a("direction", "edge") else ""
    amounts = any(one.is_a("amount") for one in before)
    ends_of = beside[-1:] == ["of"] and way.startswith(("to the", "left", "right", "in front", "on the"))
    return amounts and (ends_of or way in ("above", "below", "behind", "in front", "over", "under"))


def _to_an_amount(following: list[Item]) -> bool:
    return len(following) > 1 and following[0].is_a("number") and following[1].is_a("unit")


def _unwanted_in(following: list[Item]) -> bool:
    """`no oesophagus in the GTV`."""
    said = [one for one in following if one.senses != (("filler", True),)][:3]
    return len(said) == 3 and said[0].is_a("structure") and said[1].is_a("inside") and said[2].is_a("structure")


def _run_together(hundreds: Item, rest: Item) -> bool:
    spoken = not any(letter.isdigit() for letter in hundreds.text + rest.text)
    return spoken and 1 <= hundreds.value("number") <= 9 and 10 <= rest.value("number") <= 99


def _pair_follows(items: list[Item]) -> bool:
    """`the mandible and the oral cavity`, `cranially and caudally`."""
    told = [one for one in items if one.senses != (("filler", True),)][:3]
    pair = len(told) == 3 and told[1].is_a("and")
    return pair and any(told[0].is_a(kind) and told[2].is_a(kind) for kind in ("structure", "direction"))


def _other_side(way: str, before: list[Item]) -> Named | None:
    """The structure that was named last, on this side, where it comes in two and was named in this sentence."""
    last = next((one for one in reversed(before) if one.is_a("structure")), None)
    correcting = before and before[-1].is_a("correction")
    if last is None or correcting or way not in ("left", "right") or last.value("structure").side not in ("L", "R"):
        return None
    return replace(last.value("structure"), side=way[0].upper())


def _unit_before(before: list[Item]) -> float | None:
    """Of the amount in the clause that `and` goes on with."""
    if len(before) < 3 or not before[-1].is_a("and") or not before[-2].is_a("direction", "edge", "trim"):
        return None
    amount = next((one for one in reversed(before) if one.is_a("amount")), None)
    return None if amount is None else unit_of(amount)


def unit_of(amount: Item) -> float | None:
    senses = [sense for word in words_of(amount.text) for sense in _TABLE.get((word.text,), [])]
    return next((float(str(value)) for kind, value in senses if kind == "unit"), None)


def _awaits_name(before: list[Item]) -> bool:
    """`new structure boost`, `call it hot spot`: a name without `called` is a guess, to be confirmed."""
    if before and before[-1].is_a("structure", "it", "this") and len(before) > 1:
        return ("verb", "rename") in before[-2].senses and before[-2].text.lower() in ("call", "name")
    return bool(before) and ("verb", "new") in before[-1].senses and before[-1].text.lower() != "new"


def _free_name(items: list[Item], at: int, sentence: str) -> tuple[int, Item | None]:
    """What follows `called`: a structure, or the words as they stand up to a pause."""
    following = items[at + 1 :]
    longer = len(following) > 1 and following[1].is_a("unknown")  # "called tumour bed"
    if (
        len(following) > 2
        and following[0].is_a("structure")
        and following[1].is_a("and")
        and following[2].is_a("structure")
    ):
        return 2, _merged(items[at : at + 2], "unknown", None)  # "called cord and parotid"
    if following and following[0].is_a("structure") and not longer:
        return 2, _merged(items[at : at + 2], "of", following[0].value("structure"))
    ends = (*SEPARATORS, "correction", "question")
    n = next((n for n, one in enumerate(following) if one.is_a(*ends)), len(following))
    while n and following[n - 1].text.lower() in _POLITE:
        n -= 1
    if n == 0:
        return 1, None
    text = sentence[following[0].start : following[n - 1].end]
    if not text.isascii() or len(text) > MAX_NAME_LENGTH or n > 4:
        return n + 1, _merged(items[at : at + n + 1], "unknown", None)
    return n + 1, _merged(items[at : at + n + 1], "free_name", _target(ascii_name(text)))


def _target(name: str) -> str:
    """`gtvn` as a recogniser of speech writes it: GTVn."""
    found = _TARGET.fullmatch(name)
    return found[1].upper() + found[2] if found else name


_TARGET = re.compile(r"(i?gtv|ctv|ptv|itv)([a-z]?[_ ]?\d*)")
_DENYING = (("verb", "exclude"), ("verb", "hold_out"), ("verb", "part_out"), ("command", "lock"))


def _denies(item: Item) -> bool:
    said = item.text.lower()
    denied = "not" in said or "n't" in said or said.startswith(("no", "never", "without", "hands off"))
    return denied and any(sense in item.senses for sense in _DENYING)


_EXCEPT = (
    "all but",
    "all except",
    "except",
    "except for",
    "but",
    "but not",
    "not",
    "excluding",
    "apart from",
    "other than",
)
_COPYING = ("copy", "duplicate", "clone", "replicate", "repeat", "paste")
_POLITE = ("please", "thanks", "thank you", "for me", "now", "cheers")
_PLACES = ("direction", "edge", "filler")  # "two millimetres from the top"
_WITH_IN = tuple(("verb", verb) for verb in ("bring", "put", "take", "leave", "keep", "contour", "unwanted", "include"))


def _merged(items: list[Item], kind: str, value: Any) -> Item:
    text = " ".join(item.text for item in items)
    return Item(((kind, value),), items[0].start, items[-1].end, text, min(item.sure for item in items))

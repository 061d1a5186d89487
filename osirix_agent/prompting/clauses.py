"""From items to clauses: the cheapest way to part a sentence such that every clause fits one of the rules."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise, product
from math import prod
from typing import Any

from osirix_agent.prompting import lexicon
from osirix_agent.prompting.doubts import (
    JOINING,
    TENTATIVE,
    WHAT,
    WHICH,
    check_pauses,
    check_turns,
    confidence,
    does,
    may_be_meant_otherwise,
    measures,
    runs_on,
)
from osirix_agent.prompting.intent import Edit, Intent
from osirix_agent.prompting.items import MISSPELT, Item
from osirix_agent.prompting.meanings import MENTIONED, NAMED_COMMANDS, Asked, Clause
from osirix_agent.prompting.moods import SEPARATORS, STARTS, without_pauses
from osirix_agent.prompting.rules import rules_for, with_side

GRAVE = frozenset({"accept", "reject", "release", "quit"})


@dataclass(frozen=True)
class Question:
    """What is asked back, and about which characters of the sentence."""

    text: str
    span: tuple[int, int]


@dataclass
class _Reading:
    """A way to part the items up to some place."""

    cost: float = 0.0
    intents: list[Intent] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    last: list[Item] = field(default_factory=list)


NOT_UNDERSTOOD = "Part of that was not understood: say it in other words ('help' lists what can be said)."
_MOST_ITEMS, _MOST_WAYS = 12, 1000  # of a clause, and of reading it
_PER_CLAUSE, _PER_PAUSE, _LACKING, _PASSED, _STRANGE = 1.0, 1.5, 10.0, 20.0, 100.0
_MOST_STRANGE = 3  # words that are passed over in a clause
_COMPLETE = ("amount", "slice", "this_slice", "structure", "of", "here", "isolines", "gap", "my_slices", "outside_of")


def parted(items: list[Item], known: Collection[str]) -> tuple[list[Intent], list[Question]]:
    best: list[_Reading | None] = [_Reading(), *([None] * len(items))]
    for start in range(len(items)):
        before = best[start]
        if before is None:
            continue
        if items[start].is_a(*SEPARATORS) and not items[start].is_a(*STARTS):
            _improve(best, start + 1, replace(before))
            continue
        if start and not (items[start - 1].is_a(*SEPARATORS) or items[start].is_a(*STARTS)):
            continue
        if start and not items[start - 1].is_a(*SEPARATORS) and items[start].text.lower() == "next":
            continue  # "the thyroid next" asks for no uncertain slice
        for end in range(start + 1, len(items) + 1):
            inner = items[start:end]
            if inner[-1].is_a(*SEPARATORS) and end < len(items):
                continue
            _improve(best, end, _read(before, inner, items[start - 1] if start else None, known))
    reading = best[-1]
    assert reading is not None  # a clause that fits nothing is a question
    return reading.intents, reading.questions


def _improve(best: list[_Reading | None], at: int, reading: _Reading) -> None:
    held = best[at]
    if held is None or reading.cost < held.cost:
        best[at] = reading


def _read(before: _Reading, inner: list[Item], separator: Item | None, known: Collection[str]) -> _Reading:
    """The reading with one more clause."""
    span = (inner[0].start, inner[-1].end)
    said = without_pauses(inner)
    cost = before.cost + _PER_CLAUSE + _PER_PAUSE * (len(inner) - len(said))
    if _lists_subjects(before.last, inner, separator):
        cost += _PER_PAUSE
    try:
        if all(item.is_a(*STARTS) for item in inner if item.is_a("then")):
            check_pauses(inner)
            carried = _carried(before.last, said, separator)
            check_turns(said, pauses=len(inner) > len(said))
            cost += _steals_a_direction(before.last, said)
            intents = _intents([*carried, *said], known)
            if intents is not None:
                sure = min(confidence(said, carried), *(item.sure for item in said))
                if carried and separator and not _goes_on(carried, separator):
                    sure = min(sure, TENTATIVE)
                if all(map(measures, said)) and not carried and any(map(does, before.last)):
                    sure = min(sure, TENTATIVE)  # "take off 3 mm up and 2 mm down": of the verb, or to be added?
                if may_be_meant_otherwise(said, carried, intents, before.last, before.intents):
                    sure = min(sure, TENTATIVE)
                if separator and separator.text.lower().startswith(("but", "except", "apart")):
                    sure = min(sure, TENTATIVE)  # "grow the GTV by 5 mm but only 3 mm off the cord"
                if before.last and runs_on(before.last, inner[0], separator):
                    sure = min(sure, TENTATIVE)  # "undo the lock": two clauses, or one that is not known?
                placed = [replace(one, span=span, confidence=min(one.confidence, sure)) for one in intents]
                if separator and not separator.is_a("then") and separator.text.lower() not in ADDING:
                    all_round = _with_other_amounts(before.intents, placed, said)
                    if all_round is not None:
                        return _Reading(cost, all_round, before.questions, [*carried, *said])
                return _Reading(cost, [*before.intents, *placed], before.questions, [*carried, *said])
            intents = _without_strange([*carried, *said], known)
            if intents is not None:
                placed = [replace(one, span=span, confidence=min(one.confidence, MISSPELT)) for one in intents]
                return _Reading(cost + _PASSED, [*before.intents, *placed], before.questions, said)
        text, cost = NOT_UNDERSTOOD, cost + _STRANGE + sum(item.is_a("unknown") for item in inner)
    except Asked as asked:
        text, cost = str(asked), cost + _LACKING
    return _Reading(cost, before.intents, [*before.questions, Question(text, span)], said)


# "grow by 5 mm and also 3 mm posteriorly": 8 mm there
ADDING = ("also", "and also", "as well as", "together with", "along with", "plus", "besides", "in addition to", "+")


def _with_other_amounts(before: list[Intent], found: list[Intent], said: list[Item]) -> list[Intent] | None:
    """`grow it by 5 mm, 3 mm posteriorly`: one margin, to be confirmed; None: it is something else.

    Raises
    ------
    Asked
        The same direction twice.
    """
    whole = before[-1] if before else None
    others = [one for one in found if isinstance(one, Edit)]
    if not isinstance(whole, Edit) or whole.directions or whole.how not in ("grow", "shrink"):
        return None
    if not all(map(measures, said)) or not others or not all(one.directions for one in others):
        return None
    if len(others) != len(found) or any(one.how != whole.how for one in others):
        return None
    but = (*whole.but, *((way, one.mm) for one in others for way in one.directions))
    if len({way for way, _ in but}) < len(but):
        raise Asked("By how many millimetres in each direction?")
    end = max(one.span[1] for one in others)
    sure = min(whole.confidence, MENTIONED)
    return [*before[:-1], replace(whole, but=but, span=(whole.span[0], end), confidence=sure)]


def _steals_a_direction(last: list[Item], said: list[Item]) -> float:
    """`5 mm up and down and 3 mm left`: "down" belongs to the amount before it."""
    both = bool(last) and last[-1].is_a("direction") and any(item.is_a("amount") for item in last)
    return 0.5 if both and said[0].is_a("direction") and any(item.is_a("amount") for item in said) else 0.0


def _lists_subjects(last: list[Item], inner: list[Item], separator: Item | None) -> bool:
    """`the trachea and the larynx are not part of it`: no clause ends at the "and"."""
    listed = last and separator and separator.is_a("and") and all(item.is_a("structure") for item in last)
    return bool(listed) and inner[0].is_a("structure") and any(item.is_a(*STARTS) for item in inner)


def _goes_on(carried: list[Item], separator: Item) -> bool:
    """Not surely: `lock the cord, the brainstem`, `Shift it 2 mm left. 3 mm up.`"""
    return separator.text not in (".", ";", "!") and not (separator.text == "," and carried[0].is_a("command"))


def _carried(last: list[Item], said: list[Item], separator: Item | None) -> list[Item]:
    """`lock the cord and the brainstem`, `shrink 2 mm left and 3 mm right`: what of the clause before goes on.

    Raises
    ------
    Asked
        A structure follows, and it is open whether the verb means it too.
    """
    if separator is None or not separator.is_a(*SEPARATORS):
        return []
    if not separator.is_a("and") and not all(item.is_a("amount", "direction", "all_round") for item in said):
        return []
    verbs = [item for item in last if does(item)] or [item for item in last if item.is_a(*STARTS)]
    structures = all(item.is_a("structure") for item in said)
    amounts = all(map(measures, said))

    def both(*kinds: str) -> bool:
        return all(any(item.is_a(kind) for item in one) for kind in kinds for one in (said, last))

    # "grow the GTV by 3 mm and the GTVp by 5 mm", "... above slice 40 and below slice 20"
    alike = both("amount", "structure") or (separator.text != "," and any(map(both, ("side", "beside", "here"))))
    if len(verbs) == 1 and alike:
        return [] if any(item.is_a(*STARTS) for item in said) else verbs
    if len(verbs) != 1 or not (structures or amounts):
        return []
    if structures and (
        any(i.is_a("of", "out_of", "clear_of") for i in last) or verbs[0].text.lower() in ("not", "but not")
    ):
        raise Asked(WHICH)  # "keep the cord out of the GTV and the GTVp", "not the cord, the GTV"
    if structures and verbs[0].text.lower().split()[0] in JOINING:
        raise Asked("Into which structure?")  # "merge the GTV and the GTVp"
    if amounts:
        kept = ("structure", "it", "this", "off")
        return [*verbs, *(i for i in last if i.is_a(*kept))] if any(i.is_a("amount") for i in last) else []
    own = verbs[0].is_a("verb") and verbs[0].value("verb") in ("contour", "use", "go", "new", "show", "hide")
    if own and not verbs[0].is_a("command"):
        return verbs if verbs[0].value("verb") == "contour" else []
    if not any(item.is_a("structure") for item in last):
        named = verbs[0].is_a("command") and verbs[0].value("command") in NAMED_COMMANDS and len(last) > 1
        parts = ("verb", "include") in verbs[0].senses or ("verb", "exclude") in verbs[0].senses
        if separator.text != "," and parts and len(last) == 2 and last[1].is_a("here", "this"):
            return verbs  # "exclude this and the trachea"
        if separator.text != "," and (verbs[0].is_a("verb") or named):
            raise Asked(WHAT)  # "accept it and the GTVp"
        return []
    if separator.text == "," and any(kind != "verb" and value in GRAVE for kind, value in verbs[0].senses):
        raise Asked(WHICH)
    subject = (
        last[: last.index(verbs[0])] if verbs[0].is_a("verb") else []
    )  # "the GTV must not include the larynx or ..."
    return [*(item for item in subject if item.is_a("structure")), *verbs, *(item for item in last if item.is_a("of"))]


def _without_strange(said: list[Item], known: Collection[str]) -> list[Intent] | None:
    """What a clause means without the words that no table holds: to be confirmed. None: they may turn its meaning, or
    there is no order without them."""
    strange = [item for item in said if item.is_a("unknown")]
    rest = [item for item in said if not item.is_a("unknown")]
    turning = any(word in lexicon.TURNING for item in strange for word in item.text.lower().split())
    if not 0 < len(strange) <= min(_MOST_STRANGE, len(rest)) or turning:
        return None
    if not any(item.is_a(*STARTS) for item in rest) or not any(item.is_a(*_COMPLETE) for item in rest):
        return None
    return _intents(rest, known)


def _with_subject(senses: tuple[tuple[str, Any], ...], slots: dict[str, list[Any]]) -> None:
    """Structures before the verb, where others follow it, are what the clause is about: `GTV without the trachea`."""
    verb = next((n for n, (kind, _) in enumerate(senses) if kind in STARTS), 0)
    before = [value for kind, value in senses[:verb] if kind == "structure"]
    after = [value for kind, value in senses[verb:] if kind == "structure"]
    if before and after:
        slots["subject"], slots["structure"] = before, after


def _more(said: list[Item]) -> bool:
    return any(item.text.lower() in ("more", "extra") for item in said)


def _intents(said: list[Item], known: Collection[str]) -> list[Intent] | None:
    """What a clause means; None when it fits no rule. The first of its senses that fits is taken."""
    doing = sum(map(does, said))
    ways = prod(len(item.senses) for item in said)
    if len(said) > _MOST_ITEMS or doing > 3 or ways > _MOST_WAYS or any(item.is_a("unknown") for item in said):
        return None
    asked: Asked | None = None
    for senses in product(*(item.senses for item in said)):
        if _denied_twice(said, senses):
            continue
        slots: dict[str, list[Any]] = {}
        if sum(kind == "command" for kind, _ in senses) > 1:
            continue  # "undo, undo"
        for kind, value in senses:
            if kind == "filler":
                continue
            held = slots.setdefault("command" if kind == "tentative" else kind, [])
            if value not in held:
                held.append(value)
        if len(slots.get("verb", ())) == 2 and "put" in slots["verb"] and "amount" in slots:
            slots["verb"] = [verb for verb in slots["verb"] if verb == "put" or not _more(said)]  # "put 3 mm more on"
        if len(slots.get("verb", ())) > 1 or len(slots.get("command", ())) > 1:
            continue
        _with_subject(senses, slots)
        turns = [kind for kind, _ in senses if kind in ("amount", "direction")]
        apart = _moves(said) or slots.get("verb") == ["rename"]  # a direction beside a structure is not its side
        clause = Clause(
            slots if apart else with_side(slots), known, all(a != b for a, b in pairwise(turns)),
            leaving=any(item.is_a("out_of") and kind == "of" for item, (kind, _) in zip(said, senses, strict=True)),
            called=any(kind == "of" and _CALLED & set(item.text.lower().split())
                       for item, (kind, _) in zip(said, senses, strict=True)),
            on=any(a.text.lower() == "on" and b.is_a("structure") for a, b in pairwise(said)),
            into=any(kind == "of" and item.text.lower().startswith(_INTO)
                     for item, (kind, _) in zip(said, senses, strict=True)),
        )  # fmt: skip
        for rule in rules_for(clause.slots):
            try:
                found = rule.build(clause)
            except Asked as question:
                asked = asked or question
                continue
            if "structure" in slots and any(isinstance(one, Edit) for one in found) and _two_objects(said):
                return None  # "shrink it by 3 mm off the cord"
            return found
    if asked:
        raise asked
    return None


_INTO = ("in ", "into ", "inside ", "within ", "onto ", "to ", "with ")
_CALLED = frozenset(
    ["as", "call", "called", "calling", "label", "labelled", "labeled", "name", "named", "titled", "entitled"]
)
_DENYING = ("not", "never", "avoid", "less", "without", "minus", "but not")


def _denied_twice(said: list[Item], senses: tuple[tuple[str, Any], ...]) -> bool:
    """`do not exclude it`, `less narrow`: the same verb twice, of which one denies the other."""
    verbs = [(item.text.lower(), value) for item, (kind, value) in zip(said, senses, strict=True) if kind == "verb"]
    return any(
        a == b and first != second and (first in _DENYING or second in _DENYING)
        for (first, a), (second, b) in combinations(verbs, 2)
    )


def _moves(said: list[Item]) -> bool:
    """Is a direction a way to go, not the side of a structure?"""
    return any(
        ("verb", "shift") in item.senses or (item.is_a("direction") and item.text.lower().startswith("to"))
        for item in said
    )


def _two_objects(said: list[Item]) -> bool:
    return any(item.text.lower() == "it" for item in said)

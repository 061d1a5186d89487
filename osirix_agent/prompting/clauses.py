"""From items to clauses: the cheapest way to part a sentence such that every clause fits one of the rules."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise, product
from math import prod
from typing import Any

from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting import lexicon
from osirix_agent.prompting.intent import Command, Copy, Edit, Go, Here, Intent, Part, Slab
from osirix_agent.prompting.items import MISSPELT, Item
from osirix_agent.prompting.meanings import NAMED_COMMANDS, Asked, Clause
from osirix_agent.prompting.moods import SEPARATORS, STARTS, without_pauses
from osirix_agent.prompting.prompt import Polarity
from osirix_agent.prompting.rules import rules_for, with_side

GRAVE = frozenset({"accept", "reject", "release", "quit"})
BARE, TENTATIVE = 0.85, 0.7  # confidence of an amount without a verb, of praise


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


_WHICH = "The same for that structure too, or is it the next one? Say one after the other."
_WHAT = "What is to be done with that structure?"
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
            _check_pauses(inner)
            carried = _carried(before.last, said, separator)
            _check_turns(said, pauses=len(inner) > len(said))
            cost += _steals_a_direction(before.last, said)
            intents = _intents([*carried, *said], known)
            if intents is not None:
                sure = min(_confidence(said, carried), *(item.sure for item in said))
                if carried and separator and not _goes_on(carried, separator):
                    sure = min(sure, TENTATIVE)
                if all(map(_measures, said)) and not carried and any(map(_does, before.last)):
                    sure = min(sure, TENTATIVE)  # "take off 3 mm up and 2 mm down": of the verb, or to be added?
                if _may_be_meant_otherwise(said, carried, before, intents):
                    sure = min(sure, TENTATIVE)
                if before.last and _runs_on(before.last, inner[0], separator):
                    sure = min(sure, TENTATIVE)  # "undo the lock": two clauses, or one that is not known?
                placed = [replace(one, span=span, confidence=min(one.confidence, sure)) for one in intents]
                return _Reading(cost, [*before.intents, *placed], before.questions, [*carried, *said])
            intents = _without_strange([*carried, *said], known)
            if intents is not None:
                placed = [replace(one, span=span, confidence=min(one.confidence, MISSPELT)) for one in intents]
                return _Reading(cost + _PASSED, [*before.intents, *placed], before.questions, said)
        text, cost = NOT_UNDERSTOOD, cost + _STRANGE + sum(item.is_a("unknown") for item in inner)
    except Asked as asked:
        text, cost = str(asked), cost + _LACKING
    return _Reading(cost, before.intents, [*before.questions, Question(text, span)], said)


def _steals_a_direction(last: list[Item], said: list[Item]) -> float:
    """`5 mm up and down and 3 mm left`: "down" belongs to the amount before it."""
    both = bool(last) and last[-1].is_a("direction") and any(item.is_a("amount") for item in last)
    return 0.5 if both and said[0].is_a("direction") and any(item.is_a("amount") for item in said) else 0.0


def _check_turns(said: list[Item], *, pauses: bool) -> None:
    """Refuse what can be read in two ways.

    Raises
    ------
    Asked
        It is one of those.
    """
    texts = [item.text.lower() for item in said]
    verbs = {item.value("verb") for item in said if item.is_a("verb")}
    ways = [item.text.lower() for item in said if item.is_a("direction")]
    edges = [item.text.lower() for item in said if item.is_a("edge", "trim")]
    backs = [item.text.lower() for item in said if ("off", "back") in item.senses]
    if pauses and edges and len({*ways, *edges, *backs}) > 1 and (ways or backs):
        raise Asked("On which sides? Say one after the other.")  # "2 mm off the left and the right"
    if any(item.is_a("margin") for item in said) and (verbs & {"raise", "lower", "shift"} or set(texts) & _COMPARED):
        raise Asked("By how much is it to grow or to shrink?")  # "lower the margin", "a tighter margin of 3 mm"
    if "put" in verbs and any(way.startswith("to ") for way in ways):
        raise Asked("Grow it, or shift it?")
    slabs = [n for n, item in enumerate(said) if item.is_a("side")]
    slices = [n for n, item in enumerate(said) if item.is_a("slice", "this_slice")]
    if pauses and slabs and slices and slices[0] < slabs[0]:
        raise Asked("With that slice, or without it?")  # "slice 40 and above"
    clicks = any(item.is_a("here") and _CLICKS & set(item.text.lower().split()) for item in said)
    if clicks and verbs & {"delete", "remove"}:
        raise Asked("Take the click back, or exclude that place?")
    others = [item for item in said if item.is_a("of", "outside_of", "out_of", "clear_of")]
    if verbs & {"exclude", "include"} and any(item.text.lower().startswith("with") for item in others):
        raise Asked("Of which structure?")  # "exclude the trachea with the oesophagus"
    if texts[0] in _JOINING and sum(item.is_a("structure") for item in said) > 1 and not others:
        raise Asked("Into which structure?")
    if "crop" in verbs and not any(item.is_a("of", "outside_of") for item in said):
        staying = next(n for n, item in enumerate(said) if item.is_a("verb"))
        if _STAYING & set(texts[staying].split()) and not any(i.is_a("structure") for i in said[staying + 1 :]):
            raise Asked("Inside which structure?")  # "the larynx must stay in"


_JOINING = {"merge", "intersect", "unite", "join", "combine", "fuse"}
_COMPARED = {"tighter", "smaller", "bigger", "larger", "wider", "narrower", "thinner", "thicker"}
_CLICKS = {"click", "point", "clicked", "seed"}
_STAYING = {"stay", "stays", "remain", "remains", "lie", "fit", "must", "should"}


def _may_be_meant_otherwise(said: list[Item], carried: list[Item], before: _Reading, intents: list[Intent]) -> bool:
    """What is understood in one way, and may be meant in another beside what was said before."""
    texts = [item.text.lower() for item in said]
    if before.last and (_contrasts(before.last, said) or _ends_alone(said)):
        return True  # "grow the GTV by 3 mm, not the GTVp", "3 mm on the left, off"
    if carried and all(map(_measures, said)) and not any(i.is_a("direction", "edge", "trim") for i in before.last):
        return True  # "grow by 5 mm, 3 mm posteriorly": there less, or besides?
    edits = any(isinstance(one, Edit) for one in intents)
    last = before.intents[-1] if before.intents else None
    whole = isinstance(last, Edit) and not last.directions and last.how in ("grow", "shrink")
    if edits and whole and any(isinstance(one, Edit) and one.directions for one in intents):
        return True  # "5 mm all round, 3 mm posteriorly": likewise
    verbs = [item for item in said if _does(item) and item.text.lower() not in ("plus", "add", "more", "less")]
    if edits and last is not None and not isinstance(last, Edit) and not verbs and not carried:
        return True  # "subtract the cord, 3 mm margin"
    if edits and any(isinstance(one, Go | Copy) for one in before.intents):
        return True  # "slice 40, take 2 mm off the left": on that slice alone?
    if edits and not verbs and any(t.startswith(("to the", "toward")) for t in texts):
        return True  # "it needs to go 2 mm to the left": shift, or grow?
    inwards = any(item.is_a("direction") and item.text.lower().startswith(("toward", "up", "down")) for item in said)
    if edits and {"plus", "growth", "expansion", "enlargement"} & set(texts) and any(i.is_a("structure") for i in said):
        return True  # "cord plus 3 mm", "tumour growth of 5 mm": another structure, a report?
    edges = any(item.is_a("edge", "trim") for item in said)
    if inwards and not edges and any(isinstance(one, Edit) and one.how == "shrink" for one in intents):
        return True  # "shrink it towards the midline"
    named = any(item.is_a("structure", "side", "everything", "of") for item in said)
    joins = any(isinstance(one, Part | Here) and one.polarity is Polarity.INCLUDE for one in intents)
    joins |= any(isinstance(one, Slab) and one.how == "include" for one in intents)
    if (
        named
        and joins
        and any(item.is_a("verb", "verdict") and item.text.lower().split()[0] in _REPORTING for item in said)
    ):
        return True  # "the cord is in it"
    listed = all(item.is_a("structure") for item in said) and not carried
    if listed and (isinstance(last, Part) or (isinstance(last, Command) and last.verb in ("lock", "unlock"))):
        return True  # "lock the cord, then the parotid"
    keeps = any(isinstance(one, Slab) and one.how == "keep" for one in intents)
    return keeps and (texts[-1] in ("stays", "stay") or texts[0].startswith(("preserve", "hold")))


_REPORTING = ("is", "are", "there", "goes", "it's")
_CONTRASTING = ("except", "except for", "plus", "not", "but not", "never", "minus", "without", "no more")


def _contrasts(last: list[Item], said: list[Item]) -> bool:
    """`grow the GTV by 3 mm, not the GTVp`; but "use the GTV, not the trachea" takes an organ out of a target."""
    kinds = [
        {kind_of(item.value("structure").base) for item in items if item.is_a("structure")} for items in (last, said)
    ]
    apart = all(kinds) and kinds[0].isdisjoint(kinds[1]) and not any(item.is_a("command") for item in last)
    return said[0].text.lower() in _CONTRASTING and not apart


def _ends_alone(said: list[Item]) -> bool:
    return len(said) == 1 and said[0].text.lower() in ("off", "on", "away", "lose")


def _lists_subjects(last: list[Item], inner: list[Item], separator: Item | None) -> bool:
    """`the trachea and the larynx are not part of it`: no clause ends at the "and"."""
    listed = last and separator and separator.is_a("and") and all(item.is_a("structure") for item in last)
    return bool(listed) and inner[0].is_a("structure") and any(item.is_a(*STARTS) for item in inner)


def _measures(item: Item) -> bool:
    return item.is_a("amount", "direction", "edge", "trim", "all_round", "all_but")


def _does(item: Item) -> bool:
    """Is it a verb or a command, whatever its sense?"""
    return all(kind in STARTS for kind, _ in item.senses)


def _goes_on(carried: list[Item], separator: Item) -> bool:
    """Not surely: `lock the cord, the brainstem`, `Shift it 2 mm left. 3 mm up.`"""
    return separator.text not in (".", ";", "!") and not (separator.text == "," and carried[0].is_a("command"))


def _runs_on(last: list[Item], first: Item, separator: Item | None) -> bool:
    """Words without a pause between two clauses (not `undo redo`, but `undo the lock`, `accept all`), or a structure or
    a verb alone and an order: one clause, that is not known?"""
    if separator is not None and separator.is_a(*SEPARATORS):
        return False
    ends = ("command", "tentative", "amount", "slice", "isolines")
    alone = first.is_a("filler") or not any(item.is_a(*ends) for item in last)
    return (
        alone
        or last[-1].is_a("last")
        or last[-1].text.lower().endswith("last")
        or first.text.lower() == "all"
        or first.start - last[-1].end > 1
    )


def _confidence(said: list[Item], carried: list[Item]) -> float:
    if any(item.is_a("tentative") for item in said):
        return TENTATIVE
    if sum(item.is_a("verb") for item in said) > 1 and said[0].text.lower() == "next":
        return TENTATIVE  # "next segment the trachea"
    if any(item.is_a("verb") and item.text.lower() == "next" for item in said[1:]):
        return TENTATIVE  # "the thyroid next"
    bare = not carried and all(item.is_a("amount", "direction", "all_round", "edge") for item in said)
    return BARE if bare else 1.0


def _check_pauses(inner: list[Item]) -> None:
    """Within a clause, a structure after a pause must go on a list of structures.

    Raises
    ------
    Asked
        It may belong to the clause, or be a clause of its own.
    """
    verb = next((item.value("verb") for item in inner if item.is_a("verb")), None)
    if any(a.is_a("structure") and b.is_a("structure") for a, b in pairwise(inner)) and verb != "rename":
        raise Asked("One structure after the other: say 'and' between them.")
    named = [n for n, item in enumerate(inner) if item.is_a("structure")]
    if verb != "rename" and any(not any(_parts(i) for i in inner[a:b]) for a, b in pairwise(named)):
        raise Asked(_WHICH)
    for a, pause, c in zip(inner, inner[1:], inner[2:], strict=False):
        if pause.is_a(*SEPARATORS) and c.is_a("structure"):
            if not a.is_a("structure") and verb != "new":
                raise Asked(_WHAT)
            if pause.text == "," and verb not in ("contour", "new") and not _list_ends(inner):
                raise Asked(_WHICH)


def _list_ends(inner: list[Item]) -> bool:
    """`subtract the mandible, the larynx and the oral cavity from it`: is the last of the listed joined by a word?"""
    last = max((n for n, item in enumerate(inner) if item.is_a("structure")), default=0)
    return last > 0 and inner[last - 1].is_a("and") and inner[last - 1].text != ","


def _parts(item: Item) -> bool:
    """A pause or a verb."""
    return item.is_a(*SEPARATORS) or all(kind in STARTS for kind, _ in item.senses)


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
    verbs = [item for item in last if _does(item)] or [item for item in last if item.is_a(*STARTS)]
    structures = all(item.is_a("structure") for item in said)
    amounts = all(map(_measures, said))

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
        raise Asked(_WHICH)  # "keep the cord out of the GTV and the GTVp", "not the cord, the GTV"
    if structures and verbs[0].text.lower().split()[0] in _JOINING:
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
            raise Asked(_WHAT)  # "accept it and the GTVp"
        return []
    if separator.text == "," and not verbs[0].is_a("verb") and verbs[0].value("command") in GRAVE:
        raise Asked(_WHICH)
    return [*verbs, *(item for item in last if item.is_a("of"))]


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
    doing = sum(map(_does, said))
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
        clause = Clause(
            slots if _moves(said) else with_side(slots), known, all(a != b for a, b in pairwise(turns)),
            leaving=any(item.is_a("out_of") and kind == "of" for item, (kind, _) in zip(said, senses, strict=True)),
            called=any(kind == "of" and _CALLED & set(item.text.lower().split())
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

"""A dictated or typed sentence becomes typed intents; what is not understood is asked back, never guessed.

Words become items (a verb, an amount, a direction, a structure, ...) by the tables of `lexicon` and `naming`; spoken
corrections are taken out; then the cheapest way to part the items into clauses is looked for, such that every clause
fits one of the `rules`. A word that fits nowhere makes its clause a question; a sentence with a question does nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Any

from osirix_agent.prompting import lexicon
from osirix_agent.prompting.intent import Command, Contour, Here, Intent, Reply, Slab
from osirix_agent.prompting.items import MISSPELT, Item, corrected, items_of
from osirix_agent.prompting.moods import SEPARATORS, STARTS
from osirix_agent.prompting.rules import NAMED_COMMANDS as NAMED_COMMANDS
from osirix_agent.prompting.rules import Asked, Clause, rules_for, with_side
from osirix_agent.prompting.words import words_of

MAX_SENTENCE = 400
SURE = 0.75  # below, what was understood is asked back
SURE_OF_DELETING = 0.9  # below, what deletes or accepts is
GRAVE = frozenset({"accept", "reject", "release", "quit"})

ASKED, BARE, TENTATIVE = 0.8, 0.85, 0.7  # confidence of a question, of an amount without a verb, of praise


@dataclass(frozen=True)
class Question:
    """What is asked back, and about which characters of the sentence."""

    text: str
    span: tuple[int, int]


@dataclass(frozen=True)
class Understanding:
    """What a sentence means.

    Attributes
    ----------
    intents : in the order in which they were said
    questions : not empty: nothing of the sentence may be done
    """

    sentence: str
    intents: tuple[Intent, ...] = ()
    questions: tuple[Question, ...] = ()

    @property
    def doubtful(self) -> tuple[Intent, ...]:
        """Intents to be confirmed before anything is done."""
        return tuple(one for one in self.intents if one.confidence < needed(one))

    @property
    def to_be_done(self) -> tuple[Intent, ...]:
        """The intents, where nothing has to be asked back first."""
        return () if self.questions or self.doubtful else self.intents


def needed(intent: Intent) -> float:
    """The confidence with which an intent is carried out unasked."""
    grave = isinstance(intent, Command) and intent.verb in GRAVE
    whole = isinstance(intent, Slab) and intent.how == "include"  # every slice beyond, whole
    return SURE_OF_DELETING if grave or whole else SURE


def understand(sentence: str, known: Collection[str] = (), heard: float = 1.0) -> Understanding:
    """The typed intents of a sentence.

    Parameters
    ----------
    known : names of the session's structures
    heard : confidence of the speech recogniser, 0 to 1; 1 for typed text
    """
    whole = (0, len(sentence))
    if len(sentence) > MAX_SENTENCE:
        return Understanding(sentence, (), (Question("That is too long. Say it in shorter sentences.", whole),))
    understood = _understood(sentence, known, heard, reasons=True)
    if understood.questions:  # "it sticks out, so crop it to the body"
        without = _understood(sentence, known, heard, reasons=False)
        understood = understood if without.questions else without
    return understood


def _understood(sentence: str, known: Collection[str], heard: float, *, reasons: bool) -> Understanding:
    whole = (0, len(sentence))
    read = items_of(sentence, known, reasons=reasons)
    left = corrected(read)
    if left is None:
        return Understanding(sentence, (), (Question("What is it to be instead? Say the whole of it again.", whole),))
    items = _without_idle_separators(_without_praise(left))
    if not items:
        return Understanding(sentence, (), (Question("Nothing was said.", whole),))
    intents, questions = _parted(items, known)
    asked = ASKED if any(item.is_a("question") for item in items) else 1.0
    if len(read) > 1 and read[0].is_a("correction") and not read[1].is_a(*SEPARATORS, "correction"):
        asked = TENTATIVE  # "no left lung": a correction, or none is there?
    intents = [replace(one, confidence=round(min(one.confidence, asked) * heard, 4)) for one in intents]
    intents = [
        one
        for n, one in enumerate(intents)
        if not (isinstance(one, Reply | Here) and one in intents[max(0, n - 1) : n])
    ]
    intents = _said_once(intents)
    if not intents and not questions:
        questions = [Question(_NOT_UNDERSTOOD, whole)]
    if len(intents) > 1 and any(isinstance(one, Reply) for one in intents):
        questions = [*questions, Question("Say 'yes' or 'no' alone.", whole)]
    strange = any(item.is_a("unknown") for item in items)
    if questions and strange and {w.text for w in words_of(sentence)} & lexicon.FOREIGN:
        questions = [Question("Only English is understood so far. Say it in English, or draw.", whole)]
    return Understanding(sentence, tuple(intents), tuple(questions))


def _without_praise(items: list[Item]) -> list[Item]:
    """`right, accept it`, `great, next`: a word and a pause before what is asked say nothing."""
    while items and items[0].is_a(*SEPARATORS) and not items[0].is_a(*STARTS):
        items = items[1:]
    if len(items) > 2 and items[0].text.lower() in _INTERJECTIONS and items[1].is_a(*SEPARATORS):
        return _without_praise(items[2:])
    return items


_INTERJECTIONS = {"right", "great", "good", "fine", "perfect", "brilliant", "lovely", "nice", "excellent", "super",
                  "let's see", "let us see", "let me see", "let me think", "look", "listen", "right then"}  # fmt: skip


def _said_once(intents: list[Intent]) -> list[Intent]:
    """`looks good, accept it`: praise before the command that it might have meant; and `I want to change the GTV again,
    reopen it`: the name was said before."""
    found: list[Intent] = []
    for n, one in enumerate(intents):
        later = [other for other in intents[n + 1 :] if isinstance(other, Command)]
        if isinstance(one, Command) and one.confidence <= TENTATIVE and not one.name:
            if any(other.verb == one.verb for other in later):
                continue
        before = found[-1] if found else None
        if isinstance(one, Contour) and before == Command("next"):
            found[-1] = replace(before, confidence=TENTATIVE)  # "next, the larynx": the next structure, or slice?
        if isinstance(one, Command) and isinstance(before, Command) and before.verb == one.verb in NAMED_COMMANDS:
            if before.name and not one.name:
                found[-1] = replace(before, confidence=one.confidence)
                continue
        found.append(one)
    return found


def candidates(sentence: str, known: Collection[str] = ()) -> list[tuple[str, Intent]]:
    """What a sentence that was not understood could ask for, with all its amounts, directions and names as they were
    read: what a language model may choose among. Each with the words it stands for."""
    items = [item for item in items_of(sentence, known) if item.is_a(*_KEPT)]
    found: list[tuple[str, Intent]] = []
    for words in _TRIED if not any(item.is_a("amount") for item in items) else _TRIED_WITH_AMOUNT:
        text = " ".join([words, *(item.text for item in items)])
        understood = understand(text, known)
        if len(understood.intents) == 1 and not understood.questions:
            found.append((text, understood.intents[0]))
    return found


_KEPT = ("amount", "direction", "all_round", "structure", "slice", "this_slice", "beside", "side", "here", "isolines")
_TRIED_WITH_AMOUNT = ("grow", "shrink", "shift", "smooth")
_TRIED = ("undo", "redo", "accept", "reject", "next", "contour", "exclude", "include", "lock", "unlock", "release",
          "show", "hide", "go to", "fill in between", "copy", "crop to", "status", "help")  # fmt: skip


def _without_idle_separators(items: list[Item]) -> list[Item]:
    """Pauses at the ends and in a row say nothing; the strongest of a row stays."""
    found: list[Item] = []
    asked = 1.0
    for item in items:
        if item.senses == (("question", True),):
            asked = ASKED  # "would you accept it": of all that it holds
            if found:
                found[-1] = replace(found[-1], sure=min(found[-1].sure, ASKED))
            continue
        item = replace(item, sure=min(item.sure, asked))
        if item.is_a(*SEPARATORS) and not item.is_a(*STARTS):
            if found and found[-1].is_a(*SEPARATORS):
                if item.is_a("then"):
                    found[-1] = item
                continue
            if not found:
                continue
        found.append(item)
    while found and found[-1].is_a(*SEPARATORS):
        found.pop()
    return found


# -- from items to clauses -------------------------------------------------------------------------------------
@dataclass
class _Reading:
    """A way to part the items up to some place."""

    cost: float = 0.0
    intents: list[Intent] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    last: list[Item] = field(default_factory=list)


_WHICH = "The same for that structure too, or is it the next one? Say one after the other."
_WHAT = "What is to be done with that structure?"
_NOT_UNDERSTOOD = "Part of that was not understood: say it in other words ('help' lists what can be said)."
_MOST_ITEMS = 12  # of a clause
_PER_CLAUSE, _PER_PAUSE, _LACKING, _PASSED, _STRANGE = 1.0, 1.5, 10.0, 20.0, 100.0
_MOST_STRANGE = 3  # words that are passed over in a clause
_COMPLETE = ("amount", "slice", "this_slice", "structure", "of", "here", "isolines", "gap", "my_slices", "outside_of")


def _parted(items: list[Item], known: Collection[str]) -> tuple[list[Intent], list[Question]]:
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
    said = [item for item in inner if not item.is_a(*SEPARATORS)]
    cost = before.cost + _PER_CLAUSE + _PER_PAUSE * (len(inner) - len(said))
    if separator and separator.is_a("and") and inner[0].is_a("structure") and any(item.is_a(*STARTS) for item in inner):
        if before.last and all(item.is_a("structure") for item in before.last):
            cost += _PER_PAUSE  # "the trachea and the larynx are not part of it"
    try:
        if all(item.is_a(*STARTS) for item in inner if item.is_a("then")):
            _check_pauses(inner)
            carried = _carried(before.last, said, separator)
            intents = _intents([*carried, *said], known)
            if intents is not None:
                sure = min(_confidence(said, carried), *(item.sure for item in said))
                if carried and separator and not _goes_on(carried, separator):
                    sure = min(sure, TENTATIVE)
                if before.last and not (separator and separator.is_a(*SEPARATORS)):
                    if not any(
                        item.is_a("command", "tentative", "amount", "slice", "isolines") for item in before.last
                    ):
                        sure = min(sure, TENTATIVE)  # a structure, and an order without a pause: one clause, not known?
                if before.last and _runs_on(before.last[-1], inner[0], separator):
                    sure = min(sure, TENTATIVE)  # "undo the lock": two clauses, or one that is not known?
                placed = [replace(one, span=span, confidence=min(one.confidence, sure)) for one in intents]
                return _Reading(cost, [*before.intents, *placed], before.questions, [*carried, *said])
            intents = _without_strange([*carried, *said], known)
            if intents is not None:
                placed = [replace(one, span=span, confidence=min(one.confidence, MISSPELT)) for one in intents]
                return _Reading(cost + _PASSED, [*before.intents, *placed], before.questions, said)
        text, cost = _NOT_UNDERSTOOD, cost + _STRANGE + sum(item.is_a("unknown") for item in inner)
    except Asked as asked:
        text, cost = str(asked), cost + _LACKING
    return _Reading(cost, before.intents, [*before.questions, Question(text, span)], said)


def _goes_on(carried: list[Item], separator: Item) -> bool:
    """Not surely: `lock the cord, the brainstem`, `Shift it 2 mm left. 3 mm up.`"""
    return separator.text not in (".", ";", "!") and not (separator.text == "," and carried[0].is_a("command"))


def _runs_on(last: Item, first: Item, separator: Item | None) -> bool:
    """Words without a pause between two clauses (not `undo redo`, but `undo the lock`, `accept all`)?"""
    parted = separator is not None and separator.is_a(*SEPARATORS)
    return not parted and (last.is_a("last") or first.text.lower() == "all" or first.start - last.end > 1)


def _confidence(said: list[Item], carried: list[Item]) -> float:
    if any(item.is_a("tentative") for item in said):
        return TENTATIVE
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
    if verb != "rename" and any(not any(i.is_a(*SEPARATORS, *STARTS) for i in inner[a:b]) for a, b in pairwise(named)):
        raise Asked(_WHICH)
    for a, pause, c in zip(inner, inner[1:], inner[2:], strict=False):
        if pause.is_a(*SEPARATORS) and c.is_a("structure"):
            if not a.is_a("structure") and verb != "new":
                raise Asked(_WHAT)
            if pause.text == "," and verb not in ("contour", "new"):
                raise Asked(_WHICH)


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
    verbs = [item for item in last if item.is_a(*STARTS)]
    structures = all(item.is_a("structure") for item in said)
    amounts = all(item.is_a("amount", "direction", "edge", "trim", "all_round") for item in said)
    if len(verbs) == 1 and all(
        any(item.is_a(kind) for item in one) for kind in ("amount", "structure") for one in (said, last)
    ):
        return [] if any(item.is_a(*STARTS) for item in said) else verbs  # "grow the GTV by 3 mm and the GTVp by 5 mm"
    for kind in ("side", "beside", "here"):
        if (
            separator.text != ","
            and len(verbs) == 1
            and all(any(item.is_a(kind) for item in one) for one in (said, last))
        ):
            return [] if any(item.is_a(*STARTS) for item in said) else verbs  # "... above slice 40 and below slice 20"
    if len(verbs) != 1 or not (structures or amounts):
        return []
    if amounts:
        kept = ("structure", "it", "this")
        return [*verbs, *(i for i in last if i.is_a(*kept))] if any(i.is_a("amount") for i in last) else []
    own = verbs[0].is_a("verb") and verbs[0].value("verb") in ("contour", "use", "go", "new", "show", "hide")
    if own and not verbs[0].is_a("command"):
        return verbs if verbs[0].value("verb") == "contour" else []
    if not any(item.is_a("structure") for item in last):
        if separator.text != "," and verbs[0].is_a("verb"):
            raise Asked(_WHAT)
        return []
    if separator.text == "," and not verbs[0].is_a("verb") and verbs[0].value("command") in GRAVE:
        raise Asked(_WHICH)
    return [*verbs, *(item for item in last if item.is_a("of"))]


def _without_strange(said: list[Item], known: Collection[str]) -> list[Intent] | None:
    """What a clause means without the words that no table holds: to be confirmed. None: they may turn its meaning, or
    there is no order without them."""
    strange = [item for item in said if item.is_a("unknown")]
    rest = [item for item in said if not item.is_a("unknown")]
    turning = any(word.text in lexicon.TURNING for item in strange for word in words_of(item.text))
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


def _intents(said: list[Item], known: Collection[str]) -> list[Intent] | None:
    """What a clause means; None when it fits no rule. The first of its senses that fits is taken."""
    doing = sum(all(kind in STARTS for kind, _ in item.senses) for item in said)
    if len(said) > _MOST_ITEMS or doing > 3 or any(item.is_a("unknown") for item in said):
        return None
    asked: Asked | None = None
    for senses in product(*(item.senses for item in said)):
        slots: dict[str, list[Any]] = {}
        for kind, value in senses:
            if kind == "filler":
                continue
            held = slots.setdefault("command" if kind == "tentative" else kind, [])
            if value not in held:
                held.append(value)
        if len(slots.get("verb", ())) > 1 or len(slots.get("command", ())) > 1:
            continue
        _with_subject(senses, slots)
        turns = [kind for kind, _ in senses if kind in ("amount", "direction")]
        clause = Clause(with_side(slots), known, all(a != b for a, b in pairwise(turns)))
        for rule in rules_for(clause.slots):
            try:
                return rule.build(clause)
            except Asked as question:
                asked = asked or question
    if asked:
        raise asked
    return None

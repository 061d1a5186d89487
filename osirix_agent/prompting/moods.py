"""How a clause is meant: wishes and passives become orders, denials their opposite, and reasons are passed over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osirix_agent.prompting import lexicon

if TYPE_CHECKING:
    from osirix_agent.prompting.items import Item

SEPARATORS = ("and", "then")
STARTS = ("verb", "command", "tentative")
ASKED = 0.8  # confidence of a question
_ASKING = ("can", "could", "may")
_DENIED = {("verb", "include"): ("verb", "exclude"), ("verb", "add"): ("verb", "exclude")}
_DENIED |= {
    ("verb", "part_in"): ("verb", "part_out"),
    ("verb", "show"): ("verb", "hide"),
    ("command", "touch"): ("command", "lock"),
}
_LEADS = lexicon.words("lead")
_WHERE, _UNSURE, _ATTEND = lexicon.words("where"), lexicon.words("unsure"), lexicon.words("attend")


def settled(items: list[Item], unsaid: float, reasons: bool) -> list[Item]:
    """The items with `I'd like it expanded`, `it should be expanded` as `expand`, and without `so that it ...`.

    Parameters
    ----------
    unsaid : confidence of what stands beside a reason that was passed over
    reasons : keep whole clauses that only seem to give one
    """
    clauses: list[list[Item]] = [[]]  # each with the separator before it
    for n, item in enumerate(items):
        beside = [one for one in (_telling(items[:n][::-1]), _telling(items[n + 1 :])) if one is not None]
        listed = item.is_a("and") and len(beside) == 2 and all(one.is_a("structure") for one in beside)
        if item.is_a(*SEPARATORS) and not item.is_a(*STARTS) and not listed:
            clauses.append([])
        clauses[-1].append(item)
    kept: list[list[Item]] = []
    for n, clause in enumerate(clauses):
        said = without_pauses(clause)
        because = kept and said and said[0].text.lower() == "so"
        if reasons:
            pass
        elif because and _states(kept[-1]):  # "it sticks out, so please crop it to the body"
            kept.pop()
            clause[-1] = replace(clause[-1], sure=min(clause[-1].sure, unsaid))
        elif not because and kept and n == 1 and _says_nothing(kept[0]) and said:
            kept.pop()  # "I am a little lost, help me"
            clause[-1] = replace(clause[-1], sure=min(clause[-1].sure, unsaid))
        kept.append(clause)
    found: list[Item] = []
    wished: list[Item] | None = None  # what the wish so far is about
    for clause in kept:
        at = next((n for n, item in enumerate(clause) if item.is_a("wish")), None)
        if at is not None:
            wished = [item for item in clause[:at] if item.is_a("structure", "it", "this")]
        elif wished is not None and (first := _participle(clause)) is not None:  # "... and cropped to the body"
            subject = [replace(item, start=clause[first].start, end=clause[first].start) for item in wished]
            clause = [*clause[:first], *subject, *clause[first:]]
        else:
            wished = None
        found += _settled(clause, unsaid, wished is not None)
    return found


def _participle(clause: list[Item]) -> int | None:
    """Where the participle is that a clause begins with."""
    at = next((n for n, item in enumerate(clause) if not item.is_a(*SEPARATORS, "filler")), None)
    return at if at is not None and clause[at].is_a("done") else None


def _telling(items: list[Item]) -> Item | None:
    """The first that is no filler."""
    return next((item for item in items if item.senses != (("filler", True),)), None)


def without_pauses(clause: list[Item]) -> list[Item]:
    return [item for item in clause if not item.is_a(*SEPARATORS)]


_STATING = "too was edges i i'm i've it it's this that that's there there's the we we've my"
STATING = frozenset(_STATING.split())


def _states(clause: list[Item]) -> bool:
    """Does it begin as a statement, and say no amount?"""
    said = without_pauses(clause)
    first = said[0].text.lower().split()[0] if said else ""
    return first in STATING and not any(one.is_a("amount", "number") for one in said)


def _says_nothing(clause: list[Item]) -> bool:
    """A statement in which no word is one of an order."""
    orders = (*STARTS, "structure", "side", "unit", "direction", "yes", "cancel", "correction")
    return (
        _states(clause) and any(one.is_a("unknown") for one in clause) and not any(one.is_a(*orders) for one in clause)
    )


def _settled(clause: list[Item], unsaid: float, carried: bool) -> list[Item]:
    clause = _without_reason(clause, unsaid)
    found: list[Item] = []
    for n, item in enumerate(clause):
        done = next((value for kind, value in item.senses if kind == "done"), None)
        later = clause[n + 1 :]
        orders = (*STARTS, "done") if item.text.lower().endswith("be") else (*STARTS, "done", "margin", "unit")
        if item.is_a("wish") and any(one.is_a(*orders) and not one.is_a("wish") for one in later):
            continue
        if done is None:
            found.append(item)
            continue
        wished = any(one.is_a("wish") for one in clause[:n]) or carried
        denied = any(one.is_a("wish_not") for one in clause[:n])
        meant = _DENIED.get(done) if denied else done if wished and done != ("command", "touch") else None
        others: tuple[tuple[str, Any], ...] = tuple(sense for sense in item.senses if sense[0] != "done")
        if meant:
            found = [one for one in found if not one.is_a("wish_not")]
            others = (meant, *others) if wished or denied else others
            if any(one.is_a("wish") and one.text.lower().split()[0] in _ASKING for one in clause[:n]):
                item = replace(item, sure=min(item.sure, ASKED))
        found.append(replace(item, senses=others or (("unknown", None),)))
    return found


def _without_reason(clause: list[Item], unsaid: float) -> list[Item]:
    """`grow it by 3 mm so that it covers the node`: what follows is no order."""
    for n, item in enumerate(clause):
        if item.is_a("purpose") and any(one.is_a(*STARTS, "amount", "unit") for one in clause[:n]):
            kept = clause[:n]
            return [*kept[:-1], replace(kept[-1], sure=min(kept[-1].sure, unsaid))]
    return clause


_TRAILING = ("next", "most", "least", "first", "now", "in", "about", "of", "at", "for")


def asked_where(texts: list[str], at: int) -> int:
    """How many words from here on ask for the slice that needs a look: `take me to where you are least sure`, `which
    slices need checking`; 0: none do."""
    n, last, place, why = at, at, False, False
    while n < len(texts):
        for table in (_UNSURE, _ATTEND, _WHERE, _LEADS):
            taken = next((k for k in range(min(6, len(texts) - n), 0, -1) if tuple(texts[n : n + k]) in table), 0)
            if taken:
                break
        else:
            break
        place |= table is _WHERE
        why |= table is _UNSURE or (place and table is _ATTEND)
        n += taken
        if table is not _LEADS or texts[n - 1] in _TRAILING:
            last = n
    return last - at if place and why else 0

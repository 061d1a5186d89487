"""Spoken corrections taken out: `two, no, three millimetres`, `left, no, right parotid`."""

from __future__ import annotations

from dataclasses import replace

from osirix_agent.prompting.items import Item, unit_of
from osirix_agent.prompting.moods import SEPARATORS, STARTS

_ALIKE = {
    "number": ("number", "amount", "slice", "times"),
    "slices": ("slices", "number"), "amount": ("amount", "number"), "slice": ("slice", "this_slice"),
    "direction": ("direction", "all_round", "trim", "edge"), "structure": ("structure", "of"),
    "times": ("times", "number"),
    "of": ("of", "structure"), "this_slice": ("slice", "this_slice"), "all_round": ("direction", "all_round"),
    "trim": ("trim", "edge", "direction"), "edge": ("edge", "trim", "direction"),
    "beside": ("beside",), "side": ("side",), "free_name": ("free_name", "of"),
}  # fmt: skip


def corrected(items: list[Item]) -> list[Item] | None:
    """The items without what was taken back; None when it is open what a correction puts right."""
    done: list[Item] = []
    at = 0
    while at < len(items):
        item = items[at]
        if item.is_a("correction"):
            while at + 1 < len(items) and items[at + 1].is_a("correction", *SEPARATORS):
                at += 1
            at += 1
            while done and done[-1].is_a(*SEPARATORS):
                done.pop()
            if at == len(items) and done and all(one.is_a("cancel") for one in done):
                return done  # "no, not that, sorry"
            if at == len(items):
                return [item] if not done and item.text.lower().startswith("no") else None
            several = any(one.text.lower() == "and" for one in done)
            if not done:
                continue  # "no, undo": what was asked before is answered by what follows
            if items[at].text.lower() in ("not", "but not"):
                return None  # "lock the cord, sorry, not the cord"
            if items[at].is_a(*STARTS):
                del done[_clause_start(done) :]
            else:
                replaced = _replaced(done, items[at])
                if replaced is None:
                    return None
                done = replaced
                at += 2 if items[at + 1 : at + 2] and items[at + 1].text.lower() == "one" else 1  # "the right one"
                while at < len(items) and items[at].is_a(*_SLOTS):  # "3 mm superiorly, no, 5 mm inferiorly"
                    replaced = _replaced(done, items[at])
                    done = [*done, items[at]] if replaced is None else replaced
                    at += 1
                listed = items[at : at + 2] if several else []
                if len(listed) == 2 and listed[0].text.lower() == "and" and listed[1].is_a(*_SLOTS, "structure"):
                    return None  # "left and right, no, up and down"
            continue
        if item.is_a("cancel") and item.text.lower().endswith(_DENYING) and not _ends_clause(items, at):
            return None  # "no, don't accept it"
        if item.is_a("cancel") and done:
            del done[_clause_start(done) :]
            if at + 1 == len(items) and not done:
                return [item]
            at += 1
            continue
        done.append(item)
        at += 1
    return done


_SLOTS = ("amount", "direction", "edge", "trim")
_DENYING = ("don't", "do not", " not")


def _ends_clause(items: list[Item], at: int) -> bool:
    return at + 1 == len(items) or items[at + 1].is_a(*SEPARATORS)


def _clause_start(done: list[Item]) -> int:
    """Where the last clause begins: at its verb, or after the pause before it."""
    for n in range(len(done) - 1, -1, -1):
        if done[n].is_a(*STARTS):
            return n
    return max((n + 1 for n, one in enumerate(done[:-1]) if one.is_a(*SEPARATORS)), default=0)


def _replaced(done: list[Item], new: Item) -> list[Item] | None:
    """The new item in the place of the last one of its sort."""
    first = _clause_start(done)
    for kind, _ in new.senses:
        for n in range(len(done) - 1, first - 1, -1):
            old = done[n]
            if kind == "structure" and old.is_a("direction") and old.value("direction") in ("left", "right"):
                if old.text.lower().startswith("to "):  # "crop it to the left, no, the right lung"
                    new = replace(new, senses=(("to_of", new.value(kind)), ("of", new.value(kind))))
                return [*done[:n], new, *done[n + 1 :]]  # "left, no, right parotid"
            if kind == "direction" and old.is_a("structure", "of") and new.value("direction") in ("left", "right"):
                which = "structure" if old.is_a("structure") else "of"
                named = old.value(which)
                if named.side in ("L", "R"):  # "left parotid, no, right"
                    side = new.value("direction")[0].upper()
                    return [*done[:n], replace(old, senses=((which, replace(named, side=side)),)), *done[n + 1 :]]
            if kind == "side" and old.is_a("beside") and old.value("beside") in ("above", "below"):
                return [*done[:n], replace(new, senses=(("beside", new.value("side")),)), *done[n + 1 :]]
            if not old.is_a(*_ALIKE.get(kind, ())):
                continue
            return [*done[:n], _put(old, new), *done[n + 1 :]]
    return None


def _put(old: Item, new: Item) -> Item:
    """A bare number keeps the unit, the slice or the count of what it corrects; a structure keeps its role."""
    if new.is_a("number"):
        value = new.value("number")
        if old.is_a("amount"):
            return replace(new, senses=(("amount", value * (unit_of(old) or 1.0)),))
        return replace(new, senses=((old.senses[0][0], value),))
    if new.is_a("structure") and old.is_a("of"):
        return replace(new, senses=(("of", new.value("structure")),))
    return new

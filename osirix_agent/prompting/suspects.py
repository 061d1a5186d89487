"""Ways of saying it that the grammar reads in one way and that are often meant in another: they wait for a yes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting.intent import Command, Contour, Crop, Edit, Fill, Here, Intent, Part, Rename, Slab
from osirix_agent.prompting.items import Item
from osirix_agent.prompting.moods import SEPARATORS
from osirix_agent.prompting.prompt import Polarity

_AMOUNT = r"(?:mm|cm|milli\w+|centi\w+)"


@cache
def _patterns() -> list[tuple[frozenset[str], re.Pattern[str]]]:
    """Of `suspects.txt`: kinds of intents, and what makes them doubtful."""
    found: list[tuple[frozenset[str], re.Pattern[str]]] = []
    kinds: frozenset[str] = frozenset()
    for line in Path(__file__).with_name("suspects.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            kinds = frozenset(line[2:].split())
        elif line.startswith("  "):
            found.append((kinds, re.compile(line.strip().replace("AMOUNT", _AMOUNT), re.IGNORECASE)))
    return found


def suspect(sentence: str, items: Sequence[Item], intents: Sequence[Intent], known: Collection[str]) -> bool:
    """Is any of it said in a way that is often meant otherwise?"""
    edits, kinds = [one for one in intents if isinstance(one, Edit)], _kinds(intents)
    if any(kinds & of and pattern.search(sentence) for of, pattern in _patterns()):
        return True
    return (
        _amounts_astray(items, sentence)
        or any(a.how == b.how and a.directions and not b.directions and a.structure == b.structure
               for a, b in pairwise(edits))  # "5 mm up and 3 mm in all directions": at most 5 mm up, or 8?
        or _mixed(items, edits)
        or _of_the_other_side(sentence, intents)
        or _sided_target(intents, known)
        or _whose(sentence, intents)
    )  # fmt: skip


def _kinds(intents: Sequence[Intent]) -> set[str]:
    """The headings of `suspects.txt` that the intents come under."""
    kinds = {"*", *(one.kind for one in intents)}
    kinds |= {f"command:{one.verb}" for one in intents if isinstance(one, Command)}
    edits = [one for one in intents if isinstance(one, Edit)]
    kinds |= {f"edit:{one.how}" for one in edits}
    kinds |= {"several"} if len(intents) > 1 else set()
    for a, b in combinations(intents, 2):
        if isinstance(a, Edit) and isinstance(b, Command) and b.verb == "lock":
            kinds.add("edit>lock")
        if isinstance(a, Command) and a.verb == "new" and isinstance(b, Edit) and b.structure:
            kinds.add("new>edit")
    kinds |= {"edits"} if len(edits) > 1 else set()
    kinds |= {"edit:round"} if any(not one.directions for one in edits) else set()
    parts = [one for one in intents if isinstance(one, Part) and one.structure]
    kinds |= {"part:organ"} if any(kind_of(one.structure or "") == "organ" for one in parts) else set()
    return kinds


def _amounts_astray(items: Sequence[Item], sentence: str) -> bool:
    """`5 mm superiorly and inferiorly 3 mm laterally`: a direction between two amounts, that may be of either."""
    amounts = [n for n, item in enumerate(items) if item.is_a("amount")]
    for a, b in pairwise(amounts):
        between = items[a + 1 : b]
        ways = sum(item.is_a("direction") for item in between)
        led = between and between[-1].is_a(*SEPARATORS)
        by = ways == 2 and sentence[: items[b].start].rstrip().lower().endswith("by")  # "3 mm left and up by 2 mm"
        if ways > 1 and not led and not by and not any(item.is_a("verb", "structure", "it") for item in between):
            return True
    return False


def _mixed(items: Sequence[Item], edits: Sequence[Edit]) -> bool:
    """`move the top edge down by 3 mm and left by 2 mm`: one verb, of which an edge moves, then all of it."""
    verbs = sum(item.is_a("verb") for item in items)
    return verbs == 1 and len({one.how == "shift" for one in edits}) == 2


def _of_the_other_side(sentence: str, intents: Sequence[Intent]) -> bool:
    """`lock the left parotid and shrink the right by 3 mm`: the right parotid, or the right of what is active?"""
    for a, b in pairwise(intents):
        name = _name(a)
        if name and name[-2:] in ("_L", "_R") and isinstance(b, Edit) and not b.structure:
            other = "right" if name.endswith("_L") else "left"
            if re.search(rf"\bthe {other}\b(?! (edge|side|border|margin|wall|aspect|hand))", sentence, re.IGNORECASE):
                return True
    return False


def _sided_target(intents: Sequence[Intent], known: Collection[str]) -> bool:
    """`crop the GTV on the left`: a GTV_L that nobody has drawn?"""
    names = [name for one in intents if not isinstance(one, Contour | Rename) for name in _names(one)]
    names += [one.to for one in intents if isinstance(one, Crop)]
    return any(name[-2:] in ("_L", "_R") and name not in known and kind_of(name[:-2]) != "organ" for name in names)


def _whose(sentence: str, intents: Sequence[Intent]) -> bool:
    """`exclude the cord and grow it`, `shrink the cord and accept it`: which of those that were named?"""
    if isinstance(intents[0], Here) and len(intents) > 1 and isinstance(intents[1], Contour):
        return True  # "exclude this, the trachea"
    if sum(isinstance(one, Fill) for one in intents) > 1:
        return True
    slabs = [one for one in intents if isinstance(one, Slab)]
    if any((a.structure is None) != (b.structure is None) for a, b in pairwise(slabs)):
        return True  # "delete everything above slice 90 and below slice 20 in the GTVp"
    for n, one in enumerate(intents[1:], 1):
        before = intents[n - 1]
        several = n > 1 and all(isinstance(other, Contour) for other in intents[:n])
        if several and isinstance(one, Edit) and not one.structure:
            return True  # "contour both parotids and grow by 3 mm"
        if not re.search(r"\b(it|that|them)\b", sentence[slice(*one.span)], re.IGNORECASE):
            continue
        cut = isinstance(before, Part) and before.polarity is Polarity.EXCLUDE
        if isinstance(one, Command) and one.verb in ("accept", "lock") and one.name:
            about = {getattr(other, "structure", None) or getattr(other, "name", None) for other in intents[:n]}
            if len(about) > 1 or (cut and one.verb == "lock"):
                return True
        if isinstance(before, Part) and cut and isinstance(one, Edit) and one.how != "smooth":
            others = {name for other in intents[: n - 1] for name in _names(other)}
            if not before.structure or before.part in others:
                return True
    return False


def _name(one: Intent) -> str | None:
    return next(iter(_names(one)), None)


def _names(one: Intent) -> list[str]:
    if isinstance(one, Crop | Rename):
        return [one.structure] if one.structure else []
    if isinstance(one, Part):
        return [name for name in (one.part, one.structure) if name]
    return [name for name in (getattr(one, "structure", None), getattr(one, "name", None)) if name]

"""What orders a sentence could be about: kinds of orders, and what the grammar reads of a sentence that it does not
understand.

What an order is about (amounts, names, directions, slices) is what was read, never learnt; an order that lacks one of
them or leaves one over is not made. `guesser` chooses among the kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

from osirix_agent.prompting.corrections import corrected
from osirix_agent.prompting.intent import (
    Command,
    Contour,
    Copy,
    Crop,
    Direction,
    Edit,
    Fill,
    Go,
    Here,
    Intent,
    Part,
    Slab,
)
from osirix_agent.prompting.items import Item, items_of
from osirix_agent.prompting.meanings import LEAST_MM, MOST_MM, MOST_TIMES
from osirix_agent.prompting.prompt import Polarity
from osirix_agent.prompting.rephrasing import fluent
from osirix_agent.prompting.words import words_of

NOTHING = "nothing"  # the kind of what is no order
_NAMED = ("out_of", "to_of", "clear_of", "outside_of", "of", "structure")
_SLOTS = ("amount", "vague", "all_but", *_NAMED, "direction", "edge", "trim", "all_round", "slices", "slice",
          "this_slice", "beside", "side", "times", "number")  # fmt: skip
_SIDES = {"superior": "above", "inferior": "below"}


@dataclass(frozen=True)
class Reading:
    """What the grammar read of a sentence.

    Attributes
    ----------
    words : in order; what fills a slot stands as the slot, `<amount>`
    senses : what the grammar's tables say of the rest
    names : in order, each once
    slices : numbers as OsiriX shows them; None: the displayed one
    edges : ways that are an edge's; `ways`: other ways, each once
    joined : two names and nothing but an "and" between them
    apart : a name is what something is to keep away from, or "it" stands beside a name that the session does not have
    open : something is vague: an amount, a side, a slice between two
    denies : something is not to be; `leaves_out`: something is left out, or commanded, in words of its own
    tells : it asks for an answer, tells of something, or says on what condition
    states : it begins as a statement does
    """

    words: tuple[str, ...]
    senses: frozenset[str]
    asks: bool
    amounts: tuple[float, ...]
    edges: tuple[Direction, ...]
    ways: tuple[Direction, ...]
    all_but: tuple[Direction, ...]
    names: tuple[str, ...]
    slices: tuple[int | None, ...]
    sides: tuple[Any, ...]
    besides: tuple[Any, ...]
    counts: tuple[int, ...]
    times: tuple[int, ...]
    here: bool
    joined: bool
    apart: bool
    open: bool
    denies: bool
    leaves_out: bool
    tells: bool
    states: bool


def reading(sentence: str, known: Collection[str]) -> Reading:
    """What the grammar reads in a sentence, its corrections and hesitations taken out."""
    sentence = fluent(sentence)
    every = items_of(sentence, known)
    items = corrected(every) or every
    named = [item.value(_first(item, _NAMED)) for item in items if item.is_a(*_NAMED)]

    def values(*kinds: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item.value(_first(item, kinds)) for item in items if item.is_a(*kinds)))

    words, senses = _words(sentence, items)
    names = tuple(dict.fromkeys(name for one in named for name in one.names(known)))
    it = any(item.is_a("it") for item in items)
    return Reading(
        words=words, senses=senses, asks=sentence.strip().endswith("?"),
        amounts=tuple(float(item.value("amount")) for item in items if item.is_a("amount")),
        edges=values("edge", "trim"), ways=values("direction"), all_but=next(iter(values("all_but")), ()),
        names=names, joined=" ".join(words).count("<structure> and <structure>") == 1 and len(names) == 2,
        apart=any(item.is_a(*_APART) for item in items) or (it and any(name not in known for name in names)),
        slices=(*map(int, values("slice")), *(None,) * any(item.is_a("this_slice") for item in items)),
        sides=values("side"), besides=values("beside"), counts=tuple(map(int, values("slices"))),
        times=tuple(map(int, values("times"))), here=any(item.is_a("here", "this") for item in items),
        open=any(not one.names(known) for one in named) or any(item.is_a("vague") for item in items)
        or any(value % 1 for value in values("slice", "slices", "times")),
        denies=any(_denies(item.text) for item in items),
        leaves_out=any(item.is_a("command") or {*item.senses} & _LEFT_OUT for item in items if not _denies(item.text)),
        tells=_TELLING.match(sentence) is not None or _QUOTING.search(sentence) is not None,
        states=bool(items) and (items[0].is_a("structure") or sentence.lower().split()[0] in _STATING),
    )  # fmt: skip


_APART = ("out_of", "to_of", "clear_of", "outside_of")
_DENIALS = """not no never nobody none nor neither cannot without stop wait hold don't dont avoid refuse forbid hardly
rather instead doubt against nope nah"""
_SUBJECTS = """i i'm i'd i've it it's that that's this there there's the these those my our we we're we've he he's she
she's they you you've his her their"""
_DENYING, _STATING = frozenset(_DENIALS.split()), frozenset(_SUBJECTS.split())
_TELLING = re.compile(
    r"\W*((?:no|nope|nah)(?=,)|who|whose|why|when|whenever|whether|suppose|imagine|should|had|has|was|were|is|are|am"
    r"|have (?:you|we|i|they|he|she)|how(?! about)|what(?!ever|(?:'s| is| lies) (?:above|below))|which|did|does"
    r"|do (?:you|we|i|they)|(?:would|will|could) it|might|shall i|may i|(?:i|we|he|she|they|you) (?!need)\w+ed"
    r"|there(?:'s| is| are| was))\b",
    re.IGNORECASE,
)
_QUOTING = re.compile(
    r"\b(if(?! (?:you|we) (?:could|would|can|may|please|don't mind|wouldn't mind))|unless|until|whenever|provided|"
    r"said|says|told|asked|asks|mistake|wrong to|tomorrow|yesterday)\b",
    re.IGNORECASE,
)
_LEFT_OUT = frozenset(("verb", one) for one in ("exclude", "remove", "delete", "subtract", "crop"))


def _denies(text: str) -> bool:
    return any(word.text in _DENYING or word.text.endswith("n't") for word in words_of(text))


def _first(item: Item, kinds: Collection[str]) -> str:
    return next(kind for kind in kinds if item.is_a(kind))


def _words(sentence: str, items: list[Item]) -> tuple[tuple[str, ...], frozenset[str]]:
    slots = {item.start: (item.end, _first(item, _SLOTS)) for item in items if item.is_a(*_SLOTS)}
    kept = [(item.start, item.end) for item in items]
    words: list[str] = []
    end = -1
    for word in words_of(sentence):
        if word.start in slots:
            end, slot = slots[word.start]
            words.append(f"<{slot}>")
        elif word.start >= end and any(a <= word.start < b for a, b in kept):
            words.append(word.text)
    senses = (f"={kind} {value}" for item in items for kind, value in item.senses
              if kind not in _SLOTS and isinstance(value, str | bool))  # fmt: skip
    return tuple(word for word in words if word not in ",.;!?"), frozenset(senses)


def features(read: Reading) -> list[str]:
    """What the choice is made by."""
    said = ("^", *read.words, "$")
    many = (f"#{what} {min(len(getattr(read, what)), 3)}"
            for what in ("amounts", "edges", "ways", "names", "slices", "sides", "besides", "counts"))  # fmt: skip
    found = {*read.words, *(f"{a} {b}" for a, b in pairwise(said)), *read.senses, *many}
    return sorted(found | {f"#here {read.here}", f"#asks {read.asks}"})


# -- from a kind of order and what was read to an order ----------------------------------------------------------
def _edit(how: Any) -> Callable[[Reading], tuple[Intent, ...] | None]:
    def made(read: Reading) -> tuple[Intent, ...] | None:
        ways = read.ways if how == "shift" or not read.edges else read.edges
        ways = ways or read.edges
        if len(read.amounts) != 1 or (how == "shift" and len(ways) != 1) or (how == "smooth" and ways):
            return None
        if read.apart or (len(read.names) > 1 and not read.joined) or (read.leaves_out and how != "shrink"):
            return None  # "pull the GTV 2 mm away from the cord": which of them?
        if read.all_but:
            ways = tuple(way for way in get_args(Direction)[:6] if way not in read.all_but)
        return tuple(Edit(how, read.amounts[0], ways, name) for name in read.names or (None,))

    return made


def _edit_but(how: Any) -> Callable[[Reading], tuple[Intent, ...] | None]:
    """`5 mm all round but 2 mm at the back`"""

    def made(read: Reading) -> tuple[Intent, ...] | None:
        ways = tuple(dict.fromkeys((*read.edges, *read.ways)))
        if len(read.amounts) != 2 or len(ways) != 1 or len(read.names) > 1:
            return None
        return (Edit(how, read.amounts[0], (), _only(read.names), ((ways[0], read.amounts[1]),)),)

    return made


def _edit_except(how: Any) -> Callable[[Reading], tuple[Intent, ...] | None]:
    """`5 mm everywhere bar the back`"""

    def made(read: Reading) -> tuple[Intent, ...] | None:
        but = {*read.edges, *read.ways}
        if len(read.amounts) != 1 or not but or len(read.names) > 1:
            return None
        ways = tuple(way for way in get_args(Direction)[:6] if way not in but)
        return (Edit(how, read.amounts[0], ways, _only(read.names)),)

    return made


def _part(polarity: Polarity, of: int | None) -> Callable[[Reading], tuple[Intent, ...] | None]:
    """`of`: which of the names is the structure that the others are parts of; None: the active one."""

    def made(read: Reading) -> tuple[Intent, ...] | None:
        names = list(read.names)
        if of is not None and len(names) < 2:
            return None
        structure = None if of is None else names.pop(of)
        return tuple(Part(polarity, name, structure) for name in names)

    return made


def _slab(how: Any) -> Callable[[Reading], tuple[Intent, ...] | None]:
    def made(read: Reading) -> tuple[Intent, ...] | None:
        sides = read.sides or tuple(_SIDES[way] for way in (*read.edges, *read.ways) if way in _SIDES)
        if len(sides) != 1 or len(read.slices) != 1 or len(read.names) > 1:
            return None
        return (Slab(how, sides[0], read.slices[0], _only(read.names)),)

    return made


def _here(polarity: Polarity, *, named: bool) -> Callable[[Reading], tuple[Intent, ...] | None]:
    def made(read: Reading) -> tuple[Intent, ...] | None:
        if not (read.here or read.slices) or len(read.names) != named:
            return None
        return (Here(polarity, _only(read.names)),)

    return made


def _here_said(polarity: Polarity) -> Callable[[Reading], tuple[Intent, ...] | None]:
    """`this is tumour`: of the active structure."""
    return lambda read: (Here(polarity),) if read.here and len(read.names) == 1 else None


def _command(verb: str) -> Callable[[Reading], tuple[Intent, ...] | None]:
    if verb in ("undo", "redo"):
        return lambda read: None if len(read.times) > 1 else (Command(verb, None, _only(read.times) or 1),)
    if verb in ("next", "show", "hide", "status", "help"):
        return lambda read: None if read.names else (Command(verb),)
    if verb == "use":
        return lambda read: (Command(verb, read.names[0]),) if len(read.names) == 1 else None
    return lambda read: tuple(Command(verb, name) for name in read.names or (None,))


def _crop(read: Reading) -> tuple[Intent, ...] | None:
    if not 1 <= len(read.names) <= 2:
        return None
    return (Crop(read.names[-1], read.names[0] if len(read.names) == 2 else None),)


def _copy(read: Reading) -> tuple[Intent, ...] | None:
    return (Copy(read.besides[0], _only(read.names)),) if len(read.besides) == 1 and len(read.names) < 2 else None


def _fill(read: Reading) -> tuple[Intent, ...] | None:
    return (Fill(_only(read.names)),) if len(read.names) < 2 else None


def _go_to(read: Reading) -> tuple[Intent, ...] | None:
    there = read.slices[0] if len(read.slices) == 1 and not read.names else None
    return None if there is None else (Go(there),)


def _go(sign: int) -> Callable[[Reading], tuple[Intent, ...] | None]:
    def made(read: Reading) -> tuple[Intent, ...] | None:
        return (
            None if read.slices or read.names or len(read.counts) > 1 else (Go(step=sign * (_only(read.counts) or 1)),)
        )

    return made


def _only(values: tuple[Any, ...]) -> Any:
    return values[0] if values else None


_VERBS = ("accept", "reject", "lock", "unlock", "release", "reopen", "use", "undo", "redo", "next", "show",
          "hide", "status", "help")  # fmt: skip
_MADE: dict[str, Callable[[Reading], tuple[Intent, ...] | None]] = {
    **{how: _edit(how) for how in MOST_MM},
    **{f"{how} but": _edit_but(how) for how in ("grow", "shrink")},
    "grow except": _edit_except("grow"),
    **{f"{one.value} the part": _part(one, None) for one in Polarity},
    **{f"{one.value} the part of the last": _part(one, -1) for one in Polarity},
    **{f"{one.value} the part of the first": _part(one, 0) for one in Polarity},
    **{f"slab {how}": _slab(how) for how in ("exclude", "keep", "include")},
    **{f"{one.value} here": _here(one, named=False) for one in Polarity},
    **{f"{one.value} here of it": _here(one, named=True) for one in Polarity},
    **{f"{one.value} what is it": _here_said(one) for one in Polarity},
    "contour": lambda read: None if "<of>" in read.words else tuple(Contour(name) for name in read.names),
    **{verb: _command(verb) for verb in _VERBS},
    "fill": _fill, "copy": _copy, "crop": _crop, "go to": _go_to, "go on": _go(1), "go back": _go(-1),
}  # fmt: skip
KINDS = (*_MADE, NOTHING)
# what may be said beside the names, by the kind's first word; anything else would be left over
_OF_AN_EDIT = ("amounts", "edges", "ways", "all_but")
_TAKEN = {
    **dict.fromkeys(MOST_MM, _OF_AN_EDIT), "slab": ("edges", "ways", "sides", "slices"), "copy": ("besides", "ways"),
    "go": ("slices", "counts", "besides", "ways"), "undo": ("times",), "redo": ("times",), "next": ("besides",),
    "fill": ("counts",),
}  # fmt: skip
_SAID = ("amounts", "edges", "ways", "all_but", "sides", "besides", "counts", "times")
_ANSWERED = ("next", "status", "help")
_NEGATIVE = ("exclude", "slab exclude", "crop", "grow except", "grow but", "shrink but")


def barred(kind: str, read: Reading) -> bool:
    """Is that what is not to be done, or what is only spoken of? "never lock the cord", "do not exclude the trachea",
    "did you accept it"; but "I don't want any trachea in it"."""
    denied = read.denies and (read.leaves_out or not kind.startswith(_NEGATIVE))
    return denied or (read.tells and kind not in _ANSWERED)


def made(kind: str, read: Reading) -> tuple[Intent, ...] | None:
    """The order of that kind about what was read; None: something is missing, open, or left over."""
    what = kind.split()[0]
    if kind == NOTHING or read.open or bool(read.amounts) is not (what in MOST_MM):
        return None
    if any(getattr(read, slot) for slot in _SAID if slot not in _TAKEN.get(what, ())):
        return None
    if any(not LEAST_MM <= mm <= MOST_MM[what] for mm in read.amounts) or any(n > MOST_TIMES for n in read.times):
        return None
    if any(one is not None for one in read.slices) and "slices" not in _TAKEN.get(what, ()):
        return None
    return _MADE[kind](read) or None


def kind_of(intents: tuple[Intent, ...], read: Reading) -> str | None:
    """The kind whose order these intents are; None: there is none."""
    if not intents:
        return NOTHING
    return next((kind for kind in _MADE if made(kind, read) == intents), None)

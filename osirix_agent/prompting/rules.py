"""What each kind of clause becomes: one table of rules, and the intent each builds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

from osirix_agent.prompting.intent import (
    Command,
    Contour,
    Copy,
    Crop,
    Edit,
    Fill,
    Go,
    Here,
    Intent,
    Part,
    Rename,
    Reply,
    Slab,
)
from osirix_agent.prompting.prompt import Polarity

MOST_MM = {"grow": 50.0, "shrink": 50.0, "shift": 50.0, "smooth": 10.0}
LEAST_MM = 0.1
MOST_TIMES = 100
MENTIONED = 0.7  # confidence of what may be meant otherwise
NAMED_COMMANDS = frozenset({"accept", "reject", "lock", "unlock", "release", "reopen", "refine"})


class Asked(Exception):
    """A clause that is understood so far, but lacks or exceeds something."""


@dataclass
class Clause:
    """The items of one clause by kind."""

    slots: dict[str, list[Any]]
    known: Collection[str]
    alternating: bool = False  # amounts and directions take turns

    def one(self, kind: str) -> Any:
        values = self.slots.get(kind, [])
        if len(values) > 1:
            raise Asked(f"More than one {_SPOKEN.get(kind, kind)} in one go. Say one after the other.")
        return values[0] if values else None

    def structures(self, kind: str = "structure") -> tuple[str, ...]:
        names: list[str] = []
        for named in self.slots.get(kind, []):
            found = named.names(self.known)
            if not found:
                raise Asked(f"Left or right {named.base}?")
            names += found
        return tuple(names)

    def structure(self, kind: str = "structure") -> str | None:
        names = self.structures(kind)
        if len(names) > 1:
            raise Asked("More than one structure in one go. Say one after the other.")
        return names[0] if names else None

    def mm(self, how: str) -> float:
        value = self.one("amount")
        if value is None:
            raise Asked("By how many millimetres?")
        if value > MOST_MM[how]:
            raise Asked(f"{value:g} mm is too much: at most {MOST_MM[how]:g} mm in one go. By how many millimetres?")
        if value < LEAST_MM:
            raise Asked(f"{value:g} mm changes nothing. By how many millimetres?")
        return float(round(value, 3))

    @property
    def pairs(self) -> list[tuple[float, Any]]:
        """`3 mm superiorly 2 mm inferiorly`: several amounts, each beside its own direction; else ()."""
        amounts, ways = self.slots.get("amount", []), self.slots.get("direction", [])
        if len(amounts) < 2 or len(amounts) != len(ways) or not self.alternating:
            return []
        return list(zip(amounts, ways, strict=True))

    @property
    def directions(self) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(way for kind in ("direction", "edge", "trim") for way in self.slots.get(kind, [])))


_SPOKEN = {"amount": "amount", "number": "number", "slice": "slice", "beside": "slice"}


# -- what each kind of clause becomes --------------------------------------------------------------------------
def _edit(how: Any) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        if "amount" not in clause.slots:
            raise Asked("By how many millimetres?")
        if how == "shift" and "edge" in clause.slots:
            return _edge(clause)
        pairs = clause.pairs
        if pairs and how != "smooth":
            each = [Clause({**clause.slots, "amount": [mm], "direction": [way]}, clause.known) for mm, way in pairs]
            return [one for part in each for one in build(part)]
        if how == "shift" and len(clause.directions) != 1:
            raise Asked(
                "In which one direction: superior, inferior, left, right, anterior, posterior, medial or lateral?"
            )
        if clause.directions and "all_round" in clause.slots:
            raise Asked("All round, or in one direction?")
        ways = clause.directions
        sure = MENTIONED if {"left", "right"} <= set(ways) else 1.0  # each by so much, or one of them a slip?
        return [Edit(how, clause.mm(how), ways, clause.structure() or clause.structure("of"), confidence=sure)]

    return build


_PAIRS = (("superior", "inferior"), ("left", "right"), ("anterior", "posterior"), ("medial", "lateral"))
_OPPOSITE = {way: other for pair in _PAIRS for way, other in (pair, pair[::-1])}


def _edge(clause: Clause) -> list[Intent]:
    """`push the superior border up by 3 mm`: outwards it grows on that side, inwards it shrinks."""
    edge, off = clause.one("edge"), clause.one("off")
    way = {"out": edge, "in": _OPPOSITE[edge], "back": _OPPOSITE[edge]}.get(off, clause.one("direction"))
    if way not in (edge, _OPPOSITE[edge]):
        raise Asked("Shift all of it, or grow or shrink it on that side?")
    return [Edit("grow" if way == edge else "shrink", clause.mm("grow"), (edge,), clause.structure())]


def _raise(way: str) -> Callable[[Clause], list[Intent]]:
    """`raise it by 3 mm` shifts; `raise the top edge` grows, `raise the bottom` shrinks."""

    def build(clause: Clause) -> list[Intent]:
        if "direction" in clause.slots:
            raise Asked("Up or down?")
        return _edit("shift")(Clause({**clause.slots, "direction": [way]}, clause.known))

    return build


def _bring(clause: Clause) -> list[Intent]:
    """`bring it out by 2 mm`, `pull it in`: which way tells whether it grows."""
    way = clause.one("off")
    if "edge" in clause.slots and (way or "direction" in clause.slots):
        return _edge(clause)
    if way is None:
        raise Asked("Out or in?")
    return _edit("grow" if way == "out" else "shrink")(clause)


def _off(clause: Clause) -> list[Intent]:
    """`take two millimetres off`: without "off" it may mean anything."""
    if "edge" in clause.slots and "off" in clause.slots:
        return _edge(clause)
    if "trim" not in clause.slots and clause.slots.get("off") not in (["out"], ["in"]):
        raise Asked("Grow it, shrink it or shift it?")
    return _edit("shrink")(clause)


def _put(clause: Clause) -> list[Intent]:
    """`put this in`, `leave the trachea out`."""
    way = clause.one("off")
    if way == "back" or (way is None and not clause.slots.get("of")):
        raise Asked("In or out?")
    polarity = Polarity.EXCLUDE if way == "out" else Polarity.INCLUDE
    return (_part if "structure" in clause.slots else _here)(polarity)(clause)


def _steps(clause: Clause) -> list[Intent]:
    """`three slices on`, `go back five slices`."""
    count = clause.one("slices")
    if count != int(count) or not 1 <= count <= MOST_TIMES:
        raise Asked(f"How many slices? From 1 to {MOST_TIMES}.")
    return [Go(step=int(count) * int(clause.one("heading")))]


def _back(clause: Clause) -> list[Intent]:
    """`two steps back`."""
    if clause.slots.get("off", ["back"]) != ["back"]:
        raise Asked("Undo?")
    return [Command("undo", None, int(clause.one("times")))]


def _bare_amount(clause: Clause) -> list[Intent]:
    return _edit("grow")(clause)


def _part(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        of = clause.structure("of")
        return [Part(polarity, part, of) for part in clause.structures()]

    return build


def _held(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    """`the CTV must not include the cord`."""
    return lambda clause: [Part(polarity, part, clause.structure("subject")) for part in clause.structures()]


def _belongs(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    """`the cord is not part of the CTV`."""
    return lambda clause: [Part(polarity, part, clause.structure()) for part in clause.structures("subject")]


def _out_of(clause: Clause) -> list[Intent]:
    """`keep the cord out of the CTV`."""
    return [Part(Polarity.EXCLUDE, part, clause.structure("out_of")) for part in clause.structures()]


def _here(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    return lambda clause: [Here(polarity, clause.structure("of") or clause.structure())]


def _slab(how: Any) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        if how is None:
            raise Asked("Take that away, or keep only that?")
        return [Slab(how, clause.one("side"), _slice(clause))]

    return build


def _slice(clause: Clause) -> int | None:
    number = clause.one("slice")
    if number is not None and (number != int(number) or number < 1):
        raise Asked("Which slice? They are numbered from 1, as OsiriX shows them.")
    return None if number is None else int(number)


def _copy(clause: Clause) -> list[Intent]:
    """`copy it up one`, `copy it down to the slice below`: where it goes, said once or twice alike."""
    sides: dict[str, Literal["above", "below"]] = {"superior": "above", "inferior": "below"}
    side = sides.get(clause.one("direction"))
    if side is None or clause.one("beside") not in (None, side) or clause.one("number") not in (None, 1):
        raise Asked("Copy it to the next slice, or to the one before?")
    return [Copy(side, clause.structure())]


def _given_back(clause: Clause) -> list[Intent]:
    """`you can have my slices back`."""
    if clause.one("off") != "back":
        raise Asked("Release your slices?")
    return [Command("release", clause.structure() or clause.structure("of"), confidence=MENTIONED)]


def _locked(clause: Clause) -> list[Intent]:
    """`keep the cord as it is`."""
    return [Command("lock", name) for name in clause.structures()] or [Command("lock")]


def _crop(clause: Clause) -> list[Intent]:
    to, structure = clause.structures("of"), clause.structures()
    if "subject" in clause.slots:
        to, structure = structure, clause.structures("subject")
    if not to and len(structure) == 1:
        to, structure = structure, ()
    if len(to) != 1 or len(structure) > 1:
        raise Asked("Crop to which structure?")
    return [Crop(to[0], structure[0] if structure else None)]


def _outside(clause: Clause) -> list[Intent]:
    """`remove the part of the GTV that is outside the body`."""
    return [Crop(clause.structure("outside_of") or "", clause.structure() or clause.structure("of"))]


def _cut_to(clause: Clause) -> list[Intent]:
    """`trim the GTV to the body`."""
    (to, *more) = clause.structures("to_of")
    if more:
        raise Asked("Crop to which structure?")
    return [Crop(to, clause.structure())]


def _named(clause: Clause) -> list[Intent]:
    verb = clause.one("command")
    names = (*clause.structures(), *clause.structures("of"))
    return [Command(verb, name) for name in names] or [Command(verb)]


def _repeated(clause: Clause) -> list[Intent]:
    times = clause.one("times" if "times" in clause.slots else "number")
    times = 1 if times is None else times
    if times != int(times) or not 1 <= times <= MOST_TIMES:
        raise Asked(f"How many steps? From 1 to {MOST_TIMES}.")
    return [Command(clause.one("command"), None, int(times))]


def _go(clause: Clause) -> list[Intent]:
    return [Go(_slice(clause))]


def _beside(clause: Clause) -> list[Intent]:
    where = clause.one("beside")
    if where in ("above", "below"):
        raise Asked("Say 'next slice', 'previous slice' or a slice's number.")
    return [Go(step=1 if where == "next" else -1)]


def _final(clause: Clause) -> list[Intent]:
    """`mark it as final`."""
    return [Command("accept", clause.structure() or clause.structure("of"), confidence=MENTIONED)]


def _used(clause: Clause) -> list[Intent]:
    """`make the GTVp the active one`."""
    return [Command("use", clause.structure() or clause.structure("of"))]


def _new_name(clause: Clause) -> str:
    name = clause.structure("of") or clause.structure()
    free = clause.one("free_name")
    if name is None and free is None:
        raise Asked("What is it to be called?")
    return str(name or free)


def _rename(clause: Clause) -> list[Intent]:
    structures, free = clause.structures(), clause.one("free_name")
    of = clause.structures("of")
    if len(structures) == 1 and "subject" in clause.slots:
        return [Rename(structures[0], clause.structure("subject"))]
    if len(structures) == 2 and not free and not of:
        return [Rename(structures[1], structures[0])]  # "call the GTV GTVn"
    if free or of:
        if len(of) > 1 or len(structures) > 1:
            raise Asked("Rename which structure, and to what?")
        return [Rename(of[0] if of else free, structures[0] if structures else None)]
    if len(structures) == 1 and ("it" in clause.slots or "this" in clause.slots):
        return [Rename(structures[0])]
    raise Asked("Rename which structure, and to what?")


def _isolines(clause: Clause) -> list[Intent]:
    return [Command(clause.slots["verb"][0])] if "verb" in clause.slots else [Command("isolines")]


def _sure_as(confidence: float, build: Callable[[Clause], list[Intent]]) -> Callable[[Clause], list[Intent]]:
    return lambda clause: [replace(one, confidence=min(one.confidence, confidence)) for one in build(clause)]


def _ask(text: str) -> Callable[[Clause], list[Intent]]:
    def build(_: Clause) -> list[Intent]:
        raise Asked(text)

    return build


def _is(intent: Intent) -> Callable[[Clause], list[Intent]]:
    return lambda _: [intent]


@dataclass(frozen=True)
class Rule:
    """A clause: its verb (None: it has none), what it must and may hold, and what it becomes."""

    verb: str | None
    needs: frozenset[str]
    may: frozenset[str]
    build: Callable[[Clause], list[Intent]]


def _rule(verb: str | None, needs: str, may: str, build: Callable[[Clause], list[Intent]]) -> Rule:
    return Rule(verb, frozenset(needs.split()), frozenset(may.split()), build)


_AMOUNT = "amount vague direction all_round structure it this margin edge everything"
_OFF = _AMOUNT + " off from of trim"
_FILLED = "structure of it this inside gap everything slice_word"
_IN, _OUT = Polarity.INCLUDE, Polarity.EXCLUDE
_SLICES = ("slice", "this_slice", "here", "this")
_SLABS = (("exclude", "exclude"), ("remove", "exclude"), ("take", "exclude"), ("delete", "exclude"), ("keep", "keep"),
          ("include", "include"),
          ("add", "include"), (None, None))  # fmt: skip
RULES = (
    _rule("grow", "", _AMOUNT, _edit("grow")),
    _rule("shrink", "", _AMOUNT + " off trim", _edit("shrink")),
    _rule("shift", "", _AMOUNT, _edit("shift")),
    _rule("shift", "amount edge off", "structure of it this", _edge),
    _rule("bring", "", _AMOUNT + " off", _bring),
    *(_rule(verb, "", _AMOUNT + " off", _raise(way)) for verb, way in (("raise", "superior"), ("lower", "inferior"))),
    _rule("go", "times", "off", _back),
    _rule(None, "times off", "", _back),
    _rule("add", "amount", _AMOUNT + " of", _edit("grow")),
    _rule("take", "amount edge direction", "structure of it", _edge),
    *(_rule(None, f"structure amount {way}", "", _sure_as(MENTIONED, _edit("grow"))) for way in ("direction", "all_round")),
    _rule("remove", "amount", _OFF, _edit("shrink")),
    _rule("take", "amount", _OFF, _off),
    _rule(None, "amount trim", "structure it of", _edit("shrink")),
    _rule("put", "amount margin", "structure it this direction all_round of edge", _edit("grow")),
    *(_rule(verb, f"{what} off", "it to", _put) for verb in ("put", "leave") for what in ("structure", "this", "here")),
    _rule("leave", "it off", "", lambda c: _put(Clause({**c.slots, "here": [True]}, c.known))),
    *(_rule("put", f"{what} of", "it off", _put) for what in ("structure", "this", "here")),
    *(_rule(verb, "to_of", "structure it this off", _cut_to) for verb in ("remove", "shrink")),
    _rule(None, "verdict", "here this it switch", lambda c: [Here(c.one("verdict"))]),
    *(_rule(verb, "slices heading", "", _steps) for verb in (None, "go", "shift")),
    _rule("open", "", "structure it this", lambda c: [Command("reopen", c.structure())]),
    _rule("put", "isolines", "", _is(Command("show"))),
    *(_rule(verb, "isolines heading", "off", _is(Command("show"))) for verb in ("put", "bring", "go", "contour")),
    _rule(None, "amount direction", "", _bare_amount),
    _rule(None, "amount all_round", "", _bare_amount),
    _rule(None, "amount edge", "", _bare_amount),
    _rule(None, "amount margin", "structure it this direction all_round of edge", _edit("grow")),
    _rule("smooth", "", "amount vague structure it this all_round off everything", _edit("smooth")),
    *(_rule(verb, "structure", "of it off from", _part(how))
      for verb, how in (("add", _IN), ("include", _IN), ("exclude", _OUT))),
    *(_rule(verb, "structure of", "it off from", _part(_OUT)) for verb in ("remove", "delete", "take")),
    *(_rule(verb, "structure off", "it from", _put) for verb in ("remove", "take", "delete", "bring")),
    _rule("unwanted", "structure off", "it", _part(_OUT)),
    *(_rule(verb, "subject structure", "", _held(how)) for verb, how in (("hold_in", _IN), ("hold_out", _OUT))),
    *(_rule(verb, "structure", "it", _part(how)) for verb, how in (("hold_in", _IN), ("hold_out", _OUT))),
    *(_rule(verb, "subject structure", "", _belongs(how)) for verb, how in (("part_in", _IN), ("part_out", _OUT))),
    *(_rule(verb, where, "structure it", _here(how))
      for verb, how in (("part_in", _IN), ("part_out", _OUT)) for where in ("here", "this")),
    *(_rule(verb, "structure out_of", "it", _out_of) for verb in ("keep", "crop", "leave", "put", "bring")),
    *(_rule("not_in", what, "of it", _sure_as(MENTIONED, _part(_OUT) if what == "structure" else _here(_OUT)))
      for what in ("structure", "here", "this")),
    *(_rule(verb, f"{what} off", "it", _put) for verb in ("contour", "keep") for what in ("this", "here", "structure")),
    _rule("contour", "structure out_of", "it", _out_of),
    *(_rule(verb, "it", "off", _sure_as(MENTIONED, _here(how)))
      for verb, how in (("include", _IN), ("exclude", _OUT), ("take", _OUT), ("add", _IN))),
    *(_rule(None, f"{what} off", "it", _sure_as(MENTIONED, _put)) for what in ("this", "here")),
    *(_rule("unwanted", f"{what} of", "it", _part(_OUT) if what == "structure" else _here(_OUT))
      for what in ("structure", "here", "this")),
    *(_rule("unwanted", f"{what} off", "it", _here(_OUT)) for what in ("here", "this")),
    *(_rule(verb, "structure", "it", _ask("Take it out of which structure? Or say 'reject' to drop its proposal."))
      for verb in ("remove", "take")),
    _rule("delete", "structure", "it", _ask("Subtract it from another structure, or reject its proposal?")),
    *(_rule(verb, where, "this it of off to from inside", _here(how))
      for verb, how in (("add", _IN), ("include", _IN), *((v, _OUT) for v in ("exclude", "remove", "take", "delete")))
      for where in ("here", "this")),
    *(_rule(verb, f"side {where}", "everything off it", _slab(how))
      for verb, how in _SLABS for where in _SLICES),
    *(_rule(verb, f"nothing side {where}", "", _slab("exclude")) for verb in (None, "keep") for where in _SLICES),
    *(_rule(verb, "side it", "everything off", _sure_as(MENTIONED, _slab(how))) for verb, how in _SLABS if verb),
    _rule("crop", "", "structure of it this inside to", _crop),
    _rule("crop", "subject structure", "it inside", _crop),
    _rule("keep", "of", "structure it this everything", _crop),
    *(_rule(verb, "outside_of", "everything it off from structure of", _outside)
      for verb in ("exclude", "remove", "delete", "take", "crop", "shrink")),
    _rule(None, "nothing outside_of", "", lambda c: [Crop(c.structure("outside_of") or "")]),
    *(_rule(verb, f"{what} as_is", "", _locked)
      for verb in ("keep", "leave") for what in ("structure", "it", "this")),
    *(_rule(verb, "my_slices off", "structure of it this", _given_back) for verb in (None, "take")),
    *(_rule(verb, needs, _FILLED, lambda c: [Fill(c.structure() or c.structure("of"))])
      for verb, needs in (("fill", ""), ("complete", "gap"))),
    _rule("copy", "beside", "structure it this to this_slice off", lambda c: [Copy(c.one("beside"), c.structure())]),
    _rule("copy", "direction", "beside number structure it this to this_slice off", _copy),
    _rule("copy", "", "structure it this to off", _ask("Copy it to the next slice, or to the one before?")),
    _rule("go", "slice", "to direction heading off", _go),
    _rule("go", "number", "to it", lambda c: [Go(_slice(Clause({"slice": c.slots["number"]}, c.known)), confidence=MENTIONED)]),
    *(_rule(verb, "active structure", "it this to named", _used) for verb in (None, "use", "mark")),
    *(_rule(verb, "active of", "it this to named", _used) for verb in (None, "use", "mark")),
    _rule("mark", "final", "structure of it this", _final),
    _rule(None, "final structure", "it this",
          _final),
    _rule(None, "remark", "it this", lambda _: []),
    _rule("show", "slice", "to", _go),
    _rule("shift", "slice", "to", _go),
    _rule(None, "slice", "", _go),
    _rule("go", "beside", "to", _beside),
    _rule("show", "beside", "to", _beside),
    _rule("shift", "beside", "to", _beside),
    _rule(None, "beside", "", _beside),
    _rule("contour", "structure", "here", lambda c: [Contour(s) for s in c.structures()]),
    _rule("contour", "of", "", lambda c: [Contour(s) for s in c.structures("of")]),
    _rule(None, "structure", "", lambda c: [Contour(s) for s in c.structures()]),
    *(_rule(verb, needs, "to", lambda c: [Command("use", _new_name(c))])
      for verb in ("use", "go") for needs in ("structure", "of")),
    _rule("use", "free_name", "", lambda c: [Command("use", _new_name(c))]),
    _rule("new", "", "structure of free_name it", lambda c: [Command("new", _new_name(c))]),
    _rule("rename", "", "structure of free_name it this to subject", _rename),
    *(_rule("contour", f"{what} {name}", "", lambda c: [Rename(_new_name(c))])
      for what in ("this", "it") for name in ("of", "free_name")),
    _rule("rename_it", "", "structure free_name", lambda c: [Rename(_new_name(c))]),
    _rule("rename", "guess", "structure it this", lambda c: [Rename(c.one("guess"), c.structure())]),
    _rule("new", "guess", "it", lambda c: [Command("new", c.one("guess"))]),
    *(_rule(verb, "", "isolines switch", _isolines) for verb in ("show", "hide")),
    *(_rule(verb, "it", "", _sure_as(MENTIONED, _isolines)) for verb in ("show", "hide")),
    *(_rule(verb, "isolines", "off", _is(Command("hide"))) for verb in ("remove", "delete", "take")),
    _rule("toggle", "isolines", "", _is(Command("isolines"))),
    _rule(None, "isolines", "", _is(Command("isolines"))),
    _rule(None, "yes", "", _is(Reply(True))),
    _rule(None, "cancel", "", _is(Reply(False))),
    _rule(None, "correction", "", _is(Reply(False))),
)  # fmt: skip
# commands by what else their clause may hold
_COMMAND_RULES = {
    **{verb: _rule(None, "command", "structure of it this as_is", _named) for verb in NAMED_COMMANDS},
    "accept": _rule(None, "command", "structure of it this final off", _named),
    "reject": _rule(None, "command", "structure of it this off", _named),
    "release": _rule(None, "command", "structure of it this my_slices off", _named),
    **{
        verb: _rule(None, "command", "times number last it this step off heading", _repeated)
        for verb in ("undo", "redo")
    },
    "next": _rule(None, "command", "it", _named),
    "all": _rule(None, "command", "isolines", _named),
}
_PLAIN_COMMAND = _rule(None, "command", "", _named)


def rules_for(slots: dict[str, list[Any]]) -> list[Rule]:
    kinds = frozenset(slots)
    if "command" in kinds:
        if "verb" in kinds:
            return []
        rule = _COMMAND_RULES.get(slots["command"][0], _PLAIN_COMMAND)
        return [rule] if kinds <= rule.needs | rule.may else []
    verb = slots["verb"][0] if "verb" in kinds else None
    rest = kinds - {"verb"}
    return [rule for rule in RULES if rule.verb == verb and rule.needs <= rest <= rule.needs | rule.may]


def with_side(slots: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """`parotid left`: without an amount, left and right say which one, not which way."""
    ways = slots.get("direction", [])
    if "amount" in slots or len(ways) != 1 or ways[0] not in ("left", "right"):
        return slots
    for kind in ("structure", "of", "to_of"):
        named = slots.get(kind, [])
        if len(named) == 1 and named[0].may_take_side:
            sided = replace(named[0], side=ways[0][0].upper())
            return {k: [sided] if k == kind else v for k, v in slots.items() if k != "direction"}
    return slots

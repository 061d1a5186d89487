"""What a clause becomes: the slots of its items, and the intents that they are built into."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting.intent import (
    Command,
    Copy,
    Crop,
    Edit,
    Go,
    Here,
    Intent,
    Part,
    Rename,
    Slab,
)
from osirix_agent.prompting.prompt import Polarity

MOST_MM = {"grow": 50.0, "shrink": 50.0, "shift": 50.0, "smooth": 10.0}
LEAST_MM = 0.1
MOST_TIMES = 100
MENTIONED = 0.7  # confidence of what may be meant otherwise
NAMED_COMMANDS = frozenset({"accept", "reject", "lock", "unlock", "release", "reopen", "refine"})


WHICH_SLICE = "Say 'next slice', 'previous slice' or a slice's number."
SEVERAL = "More than one structure in one go. Say one after the other."
IT = ""  # a part that was named before


class Asked(Exception):
    """A clause that is understood so far, but lacks or exceeds something."""


@dataclass
class Clause:
    """The items of one clause by kind."""

    slots: dict[str, list[Any]]
    known: Collection[str]
    alternating: bool = False  # amounts and directions take turns
    leaving: bool = False  # its "of" was a "from" or "out of"
    called: bool = False  # its "of" was a "called" or "as"
    into: bool = False  # its "of" was an "in" or "into"
    on: bool = False  # "on", then a structure

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
            raise Asked(SEVERAL)
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


_AWAY = ("out", "away")
_SPOKEN = {"amount": "amount", "number": "number", "slice": "slice", "beside": "slice"}


# -- what each kind of clause becomes --------------------------------------------------------------------------
def edited(how: Any) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        if "amount" not in clause.slots:
            raise Asked("By how many millimetres?")
        if how == "shift" and "edge" in clause.slots:
            return edge_moved(clause)
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
        if "all_but" in clause.slots:
            if ways or how not in ("grow", "shrink"):
                raise Asked("In which directions?")
            ways = tuple(way for pair in _PAIRS[:3] for way in pair if way not in clause.one("all_but"))
        edges = {way for kind in ("edge", "trim") for way in clause.slots.get(kind, [])}
        if edges and "direction" in clause.slots and set(clause.slots["direction"]) != edges:
            if how != "shrink" or {_OPPOSITE[way] for way in clause.slots["direction"]} != edges:
                raise Asked("On which side?")
            ways = tuple(edges)  # "trim the top down by 3 mm"
        if clause.leaving and how == "grow":
            raise Asked("By how much is which structure to change?")  # "a margin of 3 mm from the cord"
        sides = {"left", "right"} <= set(ways) and "all_but" not in clause.slots
        sure = MENTIONED if sides else 1.0  # each by so much, or one of them a slip?
        return [Edit(how, clause.mm(how), ways, clause.structure() or clause.structure("of"), confidence=sure)]

    return build


_PAIRS = (("superior", "inferior"), ("left", "right"), ("anterior", "posterior"), ("medial", "lateral"))
_OPPOSITE = {way: other for pair in _PAIRS for way, other in (pair, pair[::-1])}


def edge_moved(clause: Clause) -> list[Intent]:
    """`push the superior border up by 3 mm`: outwards it grows on that side, inwards it shrinks."""
    edge, off = clause.one("edge"), clause.one("off")
    if edge == "posterior" and off == "back":
        raise Asked("Posteriorly, or back inwards?")
    way = {"out": edge, "in": _OPPOSITE[edge], "back": _OPPOSITE[edge]}.get(off, clause.one("direction"))
    if way not in (edge, _OPPOSITE[edge]):
        raise Asked("Shift all of it, or grow or shrink it on that side?")
    return [Edit("grow" if way == edge else "shrink", clause.mm("grow"), (edge,), clause.structure())]


def added_beside(clause: Clause) -> list[Intent]:
    """`add 5 mm superiorly to the GTV`."""
    way = {"above": "superior", "below": "inferior"}[clause.one("side")]
    return edited("grow")(Clause({"amount": clause.slots["amount"], "direction": [way],
                                  "structure": clause.slots["structure"]}, clause.known))  # fmt: skip


def put_on(clause: Clause) -> list[Intent]:
    """`put 5 mm on the GTV`."""
    if clause.one("heading") != 1 or not clause.on:
        raise Asked("Grow it, shrink it or shift it?")
    return edited("grow")(clause)


def unit_missing(clause: Clause) -> list[Intent]:
    """`grow by 3`."""
    raise Asked(f"{clause.one('number'):g} what? Say millimetres or centimetres.")


def raised(way: str) -> Callable[[Clause], list[Intent]]:
    """`raise it by 3 mm` shifts; `raise the top edge` grows, `raise the bottom` shrinks."""

    def build(clause: Clause) -> list[Intent]:
        if clause.slots.get("direction", [way]) != [way]:
            raise Asked("Up or down?")
        return edited("shift")(Clause({**clause.slots, "direction": [way]}, clause.known))

    return build


def bring(clause: Clause) -> list[Intent]:
    """`bring it out by 2 mm`, `pull it in`: which way tells whether it grows."""
    way = clause.one("off")
    if "edge" in clause.slots and (way or "direction" in clause.slots):
        return edge_moved(clause)
    if way in (None, "away"):
        raise Asked("Out or in?")
    if way == "back" and not clause.directions:
        raise Asked("Backwards, or back in?")
    return edited("grow" if way == "out" else "shrink")(clause)


def taken_off(clause: Clause) -> list[Intent]:
    """`take two millimetres off`: without "off" it may mean anything."""
    if "edge" in clause.slots and clause.slots.get("off") in (["out"], ["in"], ["back"]):
        return edge_moved(clause)  # "take the left border out by 2 mm", but "take 2 mm off the left border"
    if "trim" not in clause.slots and clause.slots.get("off") not in (["out"], ["in"], ["away"]):
        raise Asked("Grow it, shrink it or shift it?")
    return edited("shrink")(clause)


def put(clause: Clause) -> list[Intent]:
    """`put this in`, `leave the trachea out`."""
    way = clause.one("off")
    if clause.leaving or way == "back" or (way is None and not clause.slots.get("of")):
        raise Asked("In or out?")
    polarity = Polarity.EXCLUDE if way in _AWAY else Polarity.INCLUDE
    found = (part_of if "structure" in clause.slots else here_is)(polarity)(clause)
    stays = polarity is Polarity.INCLUDE and clause.slots.get("verb") == ["leave"]  # "leave the cord in": as it is?
    return [replace(one, confidence=MENTIONED) for one in found] if stays else found


def taken_in(clause: Clause) -> list[Intent]:
    """`take this in as well`."""
    if clause.one("off") != "in":
        raise Asked("In or out?")
    return here_is(Polarity.INCLUDE)(clause)


def isolines_put(clause: Clause) -> list[Intent]:
    """`put the uncertainty up`."""
    verb = {("superior",): "show", ("inferior",): "hide"}.get(tuple(clause.slots["direction"]))
    if verb is None:
        raise Asked("Show or hide the isolines?")
    return [Command(verb)]


def slices_on(clause: Clause) -> list[Intent]:
    """`three slices on`, `go back five slices`."""
    count = clause.one("slices")
    if count != int(count) or not 1 <= count <= MOST_TIMES:
        raise Asked(f"How many slices? From 1 to {MOST_TIMES}.")
    return [Go(step=int(count) * int(clause.one("heading")))]


def steps_back(clause: Clause) -> list[Intent]:
    """`two steps back`."""
    if clause.slots.get("off", ["back"]) != ["back"]:
        raise Asked("Undo?")
    return [Command("undo", None, int(clause.one("times")))]


def part_of(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        if polarity is Polarity.INCLUDE and clause.one("off") in _AWAY:
            raise Asked("In or out?")
        of = clause.structure("of")
        if clause.called:
            raise Asked("Take it out, or rename it? Say one after the other.")
        return [Part(polarity, part, of) for part in clause.structures()]

    return build


def part_taken(clause: Clause) -> list[Intent]:
    """`take the cord out of the GTV`; but "take the GTVp into the GTV" means the opposite."""
    if clause.slots.get("off") == ["in"] or (clause.into and "off" not in clause.slots):
        return sure_as(MENTIONED, part_of(Polarity.INCLUDE))(clause)
    return part_of(Polarity.EXCLUDE)(clause)


def held(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    """`the CTV must not include the cord`."""
    return lambda clause: [Part(polarity, part, clause.structure("subject")) for part in clause.structures()]


def belongs(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    """`the cord is not part of the CTV`."""
    return lambda clause: _parts_of(polarity, clause.structures("subject"), clause.structure())


def _parts_of(polarity: Polarity, parts: tuple[str, ...], whole: str | None) -> list[Intent]:
    if whole and any(turned_round(whole, part) for part in parts):
        raise Asked("Which of the two is to be changed?")
    return [Part(polarity, part, whole) for part in parts]


def turned_round(whole: str, part: str) -> bool:
    """No target is a part of an organ: `the GTV must not be in the cord`, `keep the GTV out of the cord`."""
    return kind_of(whole) == "organ" and kind_of(part) != "organ"


def here_out_of(clause: Clause) -> list[Intent]:
    """`bring this out of the GTV`."""
    return [Here(Polarity.EXCLUDE, clause.structure("out_of"))]


def it_as_part(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    """`contour the mandible and subtract it from the GTV`: a part that `references` knows."""

    def build(clause: Clause) -> list[Intent]:
        if polarity is Polarity.EXCLUDE and not clause.leaving:
            raise Asked("In or out?")
        return [Part(polarity, IT, clause.structure("of") or clause.structure("to_of"))]

    return build


def here_clear_of(clause: Clause) -> list[Intent]:
    """`take this away from the GTV`."""
    return [Here(Polarity.EXCLUDE, clause.structure("clear_of"))]


def part_inside(clause: Clause) -> list[Intent]:
    """`remove the part of the GTV that lies in the trachea`."""
    if clause.leaving or clause.called:
        raise Asked("Which of the two is to be changed?")
    return _parts_of(Polarity.EXCLUDE, clause.structures("of"), clause.structure())


def kept_off(place: str) -> Callable[[Clause], list[Intent]]:
    """`keep it out of the cord`, `crop the GTV away from the cord`: what is kept off loses what it has there."""
    return lambda clause: [Part(Polarity.EXCLUDE, part, clause.structure()) for part in clause.structures(place)]


def unwanted_in(clause: Clause) -> list[Intent]:
    """`I don't want this in`."""
    if clause.one("off") != "in":
        raise Asked("In or out?")
    return [Here(Polarity.EXCLUDE)]


def thrown(clause: Clause) -> list[Intent]:
    """`throw it out`; "throw it in" rejects nothing."""
    if clause.one("off") in ("in", "back"):
        raise Asked("In or out?")
    return named_command(clause)


def off_by(clause: Clause) -> list[Intent]:
    """`3 mm off superiorly`, `front edge in 2 mm`, `GTV out by 4 mm`."""
    way = clause.one("off")
    if way == "away":
        return edited("shrink")(clause)
    if way == "back" or "direction" in clause.slots:
        raise Asked("Grow it, or shrink it?")
    return edge_moved(clause) if "edge" in clause.slots else edited("grow" if way == "out" else "shrink")(clause)


def out_of(clause: Clause) -> list[Intent]:
    """`keep the cord out of the CTV`."""
    return _parts_of(Polarity.EXCLUDE, clause.structures(), clause.structure("out_of"))


def here_is(polarity: Polarity) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        if polarity is Polarity.EXCLUDE and clause.one("off") == "in":  # "take this in as well"
            raise Asked("In or out?")
        subject = clause.structure()  # "the larynx isn't in there"
        return [Here(polarity, clause.structure("of") or subject, confidence=MENTIONED if subject else 1.0)]

    return build


def here_taken(clause: Clause) -> list[Intent]:
    """`take this out of the GTV`, not "take this into the GTV"."""
    if "of" in clause.slots and not clause.leaving:
        raise Asked("In or out?")
    return here_is(Polarity.EXCLUDE)(clause)


def slab_of(how: Any) -> Callable[[Clause], list[Intent]]:
    def build(clause: Clause) -> list[Intent]:
        if how is None:
            raise Asked("Take that away, or keep only that?")
        name = clause.structure() or clause.structure("of")
        sure = MENTIONED if clause.structure() else 1.0  # "cut the GTV above slice 40": or take the GTV out there?
        return [Slab(how, clause.one("side"), slice_number(clause), name, confidence=sure)]

    return build


def slice_number(clause: Clause) -> int | None:
    number = clause.one("slice")
    if number is not None and (number != int(number) or number < 1):
        raise Asked("Which slice? They are numbered from 1, as OsiriX shows them.")
    return None if number is None else int(number)


def copied(clause: Clause) -> list[Intent]:
    """`copy it up one`, `copy it down to the slice below`: where it goes, said once or twice alike."""
    sides: dict[str, Literal["above", "below"]] = {"superior": "above", "inferior": "below"}
    side = sides.get(clause.one("direction"))
    if side is None or clause.one("beside") not in (None, side) or clause.one("number") not in (None, 1):
        raise Asked("Copy it to the next slice, or to the one before?")
    return [Copy(side, clause.structure())]


def given_back(clause: Clause) -> list[Intent]:
    """`you can have my slices back`."""
    if clause.one("off") != "back":
        raise Asked("Release your slices?")
    return [Command("release", clause.structure() or clause.structure("of"), confidence=MENTIONED)]


def locked(clause: Clause) -> list[Intent]:
    """`keep the cord as it is`."""
    return [Command("lock", name) for name in clause.structures()] or [Command("lock")]


def cropped(clause: Clause) -> list[Intent]:
    if clause.leaving or clause.called:
        raise Asked("Crop to which structure?")
    to, structure = clause.structures("of"), clause.structures()
    if not to and {"it", "this"} & clause.slots.keys():
        raise Asked("Crop to which structure?")  # "crop the GTV to it"
    if "subject" in clause.slots:
        to, structure = structure, clause.structures("subject")
    if not to and len(structure) == 1:
        to, structure = structure, ()
    if len(to) != 1 or len(structure) > 1:
        raise Asked("Crop to which structure?")
    if structure and turned_round(structure[0], to[0]):
        raise Asked("Crop which of the two?")  # "keep the trachea in the GTV"
    return [Crop(to[0], structure[0] if structure else None)]


def outside(clause: Clause) -> list[Intent]:
    """`remove the part of the GTV that is outside the body`."""
    return [Crop(clause.structure("outside_of") or "", clause.structure() or clause.structure("of"))]


def cut_to(clause: Clause) -> list[Intent]:
    """`trim the GTV to the body`."""
    (to, *more) = clause.structures("to_of")
    if more:
        raise Asked("Crop to which structure?")
    return [Crop(to, clause.structure())]


def named_command(clause: Clause) -> list[Intent]:
    verb = clause.one("command")
    if clause.leaving:
        raise Asked("Which structure?")  # "free the GTV from the cord"
    names = (*clause.structures(), *clause.structures("of"))
    return [Command(verb, name) for name in names] or [Command(verb)]


def repeated(clause: Clause) -> list[Intent]:
    if "times" in clause.slots and "number" in clause.slots:
        raise Asked("How many steps?")  # "undo two of the last three steps"
    times = clause.one("times" if "times" in clause.slots else "number")
    times = 1 if times is None else times
    if times != int(times) or not 1 <= times <= MOST_TIMES:
        raise Asked(f"How many steps? From 1 to {MOST_TIMES}.")
    return [Command(clause.one("command"), None, int(times))]


def go_to(clause: Clause) -> list[Intent]:
    return [Go(slice_number(clause))]


def go_to_number(clause: Clause) -> list[Intent]:
    """`go to 40`."""
    return sure_as(MENTIONED, go_to)(Clause({"slice": clause.slots["number"]}, clause.known))


def go_beside(clause: Clause) -> list[Intent]:
    where = clause.one("beside")
    if where in ("above", "below"):
        raise Asked(WHICH_SLICE)
    return [Go(step=1 if where == "next" else -1)]


def final(clause: Clause) -> list[Intent]:
    """`mark it as final`."""
    return [Command("accept", clause.structure() or clause.structure("of"), confidence=MENTIONED)]


def used(clause: Clause) -> list[Intent]:
    """`make the GTVp the active one`."""
    return [Command("use", clause.structure() or clause.structure("of"))]


def new_name(clause: Clause) -> str:
    name = clause.structure("of") or clause.structure()
    free = clause.one("free_name")
    if name is None and free is None:
        raise Asked("What is it to be called?")
    return str(name or free)


def renamed(clause: Clause) -> list[Intent]:
    structures, free = clause.structures(), clause.one("free_name")
    of = clause.structures("of")
    if of and set(of) & {*structures, *clause.structures("subject")}:
        raise Asked("It is called that already. Rename it to what?")  # "change the name of the GTV to tumour"
    if len(structures) == 1 and "subject" in clause.slots:
        return [Rename(structures[0], clause.structure("subject"))]
    if len(structures) == 2 and len(clause.slots["structure"]) == 2 and not free and not of:
        return [Rename(structures[1], structures[0])]  # "call the GTV GTVn"
    if free or of:
        if len(of) > 1 or len(structures) > 1:
            raise Asked("Rename which structure, and to what?")
        return [Rename(of[0] if of else free, structures[0] if structures else None)]
    if len(structures) == 1 and ("it" in clause.slots or "this" in clause.slots):
        return [Rename(structures[0])]
    raise Asked("Rename which structure, and to what?")


def isolines_switched(clause: Clause) -> list[Intent]:
    return [Command(clause.slots["verb"][0])] if "verb" in clause.slots else [Command("isolines")]


def sure_as(confidence: float, build: Callable[[Clause], list[Intent]]) -> Callable[[Clause], list[Intent]]:
    return lambda clause: [replace(one, confidence=min(one.confidence, confidence)) for one in build(clause)]


def ask(text: str) -> Callable[[Clause], list[Intent]]:
    def build(_: Clause) -> list[Intent]:
        raise Asked(text)

    return build


def constant(intent: Intent) -> Callable[[Clause], list[Intent]]:
    return lambda _: [intent]

"""Which clauses there are: one table of rules, each with what its clause must and may hold and what it becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from osirix_agent.prompting import meanings as m
from osirix_agent.prompting.intent import Command, Contour, Copy, Crop, Fill, Here, Intent, Rename, Reply
from osirix_agent.prompting.meanings import MENTIONED, NAMED_COMMANDS, Clause
from osirix_agent.prompting.prompt import Polarity


@dataclass(frozen=True)
class Rule:
    """A clause: its verb (None: it has none), what it must and may hold, and what it becomes."""

    verb: str | None
    needs: frozenset[str]
    may: frozenset[str]
    build: Callable[[Clause], list[Intent]]


def _rule(verb: str | None, needs: str, may: str, build: Callable[[Clause], list[Intent]]) -> Rule:
    return Rule(verb, frozenset(needs.split()), frozenset(may.split()), build)


_AMOUNT = "amount vague direction all_round all_but structure it this margin edge everything"
_OFF = _AMOUNT + " off from of trim"
_FILLED = "structure of it this inside gap everything slice_word"
_IN, _OUT = Polarity.INCLUDE, Polarity.EXCLUDE
_SLICES = ("slice", "this_slice", "here", "this")
_SLABS = (("exclude", "exclude"), ("remove", "exclude"), ("take", "exclude"), ("delete", "exclude"), ("keep", "keep"),
          ("include", "include"), ("add", "include"), (None, None))  # fmt: skip
RULES = (
    _rule("grow", "", _AMOUNT, m.edited("grow")),
    _rule("shrink", "", _AMOUNT + " off trim", m.edited("shrink")),
    _rule("shift", "", _AMOUNT, m.edited("shift")),
    _rule("shift", "everything of", _AMOUNT, m.edited("shift")),
    _rule("shift", "amount edge off", "structure of it this", m.edge_moved),
    _rule("bring", "", _AMOUNT + " off", m.bring),
    *(_rule(verb, "", _AMOUNT + " off", m.raised(way)) for verb, way in (("raise", "superior"), ("lower", "inferior"))),
    _rule("go", "times", "off", m.steps_back),
    _rule(None, "times off", "", m.steps_back),
    _rule("add", "amount", _AMOUNT + " of", m.edited("grow")),
    _rule("add", "amount side structure", "", m.sure_as(MENTIONED, m.added_beside)),
    _rule("put", "amount heading structure", "direction all_round", m.sure_as(MENTIONED, m.put_on)),
    *(_rule(verb, "number", "direction all_round structure it this", m.unit_missing)
      for verb in ("grow", "shrink", "shift", "smooth")),
    _rule("take", "amount edge direction", "structure of it", m.edge_moved),
    *(_rule(None, f"structure amount {way}", "", m.sure_as(MENTIONED, m.edited("grow")))
      for way in ("direction", "all_round")),
    _rule("remove", "amount", _OFF, m.edited("shrink")),
    _rule("take", "amount", _OFF, m.taken_off),
    _rule(None, "amount trim", "structure it of", m.edited("shrink")),
    *(_rule(None, f"amount {what} off", "structure it all_round", m.off_by)
      for what in ("direction", "edge", "structure")),
    _rule("put", "amount margin", "structure it this direction all_round of edge", m.edited("grow")),
    *(_rule(verb, f"{what} off", "it to", m.put) for verb in ("put", "leave")
      for what in ("structure", "this", "here")),
    _rule("leave", "it off", "", lambda c: m.put(Clause({**c.slots, "here": [True]}, c.known))),
    *(_rule(verb, f"{what} of", "it off", m.put)
      for verb in ("put", "bring") for what in ("structure", "this", "here")),
    _rule("mark", "verdict", "here this it", lambda c: [Here(c.one("verdict"))]),
    *(_rule(verb, "to_of", "structure it this off", m.cut_to) for verb in ("remove", "shrink")),
    _rule(None, "verdict", "here this it switch", lambda c: [Here(c.one("verdict"))]),
    *(_rule(verb, "slices heading", "", m.slices_on) for verb in (None, "go", "shift")),
    *(_rule(verb, "slices direction", "", m.ask(m.WHICH_SLICE)) for verb in (None, "go", "shift")),
    _rule("open", "", "structure it this", lambda c: [Command("reopen", c.structure())]),
    *(_rule("put", f"amount {way}", "structure it this", m.edited("grow")) for way in ("direction", "edge")),
    _rule("put", "isolines", "", m.constant(Command("show"))),
    *(_rule(verb, "isolines direction", "", m.isolines_put) for verb in ("put", "bring")),
    *(_rule("take", f"{what} off", "it", m.taken_in) for what in ("this", "here")),
    *(_rule(verb, "isolines heading", "off", m.constant(Command("show")))
      for verb in ("put", "bring", "go", "contour")),
    _rule(None, "amount direction", "", m.edited("grow")),
    _rule(None, "amount all_round", "all_but", m.edited("grow")),
    _rule(None, "amount all_but", "all_round", m.edited("grow")),
    _rule(None, "amount edge", "", m.edited("grow")),
    _rule(None, "amount margin", "structure it this direction all_round of edge", m.edited("grow")),
    _rule("smooth", "", "amount vague structure it this all_round off everything of", m.edited("smooth")),
    *(_rule(verb, "structure", "of it off from", m.part_of(how))
      for verb, how in (("add", _IN), ("include", _IN), ("exclude", _OUT))),
    *(_rule(verb, "structure of", "it off from", m.part_of(_OUT)) for verb in ("remove", "delete")),
    _rule("take", "structure of", "it off from", m.part_taken),
    *(_rule(verb, "structure off", "it from", m.put) for verb in ("remove", "take", "delete", "bring")),
    _rule("unwanted", "structure off", "it", m.part_of(_OUT)),
    *(_rule(verb, "subject structure", "", m.held(how)) for verb, how in (("hold_in", _IN), ("hold_out", _OUT))),
    *(_rule(verb, "structure", "it", m.part_of(how)) for verb, how in (("hold_in", _IN), ("hold_out", _OUT))),
    _rule("part_in", "subject structure", "", m.sure_as(MENTIONED, m.belongs(_IN))),  # an order, or a report?
    _rule("part_out", "subject structure", "", m.belongs(_OUT)),
    *(_rule(verb, where, "structure it", m.here_is(how))
      for verb, how in (("part_in", _IN), ("part_out", _OUT)) for where in ("here", "this")),
    *(_rule(verb, "structure out_of", "it", m.out_of) for verb in ("keep", "crop", "leave", "put", "bring")),
    *(_rule(verb, f"{what} out_of", "", m.here_out_of) for verb in ("keep", "leave", "put", "bring", "take", "remove")
      for what in ("this", "here")),
    *(_rule(verb, "it of", "off", m.it_as_part(_OUT)) for verb in ("exclude", "remove", "take", "delete")),
    _rule("add", "it to_of", "", m.it_as_part(_IN)),
    *(_rule(verb, f"{what} clear_of", "", m.here_clear_of) for verb in ("take", "remove") for what in ("this", "here")),
    *(_rule(verb, "everything structure of", "", m.part_inside) for verb in ("remove", "delete", "exclude", "take")),
    *(_rule(verb, place, "structure it", m.kept_off(place))
      for verb in ("keep", "crop", "leave", "bring", "remove", "shrink")
      for place in (("clear_of", "out_of") if verb in ("keep", "crop") else ("clear_of",))),
    *(_rule("not_in", what, "of it", m.sure_as(MENTIONED, (m.part_of if what == "structure" else m.here_is)(_OUT)))
      for what in ("structure", "here", "this")),
    *(_rule(verb, f"{what} off", "it", m.put) for verb in ("contour", "keep")
      for what in ("this", "here", "structure")),
    _rule("contour", "structure out_of", "it", m.out_of),
    *(_rule(verb, "it", "off", m.sure_as(MENTIONED, m.here_is(how)))
      for verb, how in (("include", _IN), ("exclude", _OUT), ("take", _OUT), ("add", _IN))),
    *(_rule(None, f"{what} off", "it", m.sure_as(MENTIONED, m.put)) for what in ("this", "here", "structure")),
    *(_rule("unwanted", f"{what} of", "it", m.part_of(_OUT) if what == "structure" else m.here_is(_OUT))
      for what in ("structure", "here", "this")),
    *(_rule("unwanted", f"{what} off", "it", m.unwanted_in) for what in ("here", "this")),
    *(_rule(verb, "structure", "it", m.ask("Take it out of which structure? Or say 'reject' to drop its proposal."))
      for verb in ("remove", "take")),
    _rule("delete", "structure", "it", m.ask("Subtract it from another structure, or reject its proposal?")),
    *(_rule(verb, where, "this it of off to from inside", m.here_is(how))
      for verb, how in (("add", _IN), ("include", _IN), ("exclude", _OUT)) for where in ("here", "this")),
    *(_rule(verb, where, "this it of off to from inside", m.here_taken)
      for verb in ("remove", "take", "delete") for where in ("here", "this")),
    *(_rule(verb, f"side {where}", "everything off it", m.slab_of(how))
      for verb, how in _SLABS for where in _SLICES),
    *(_rule(verb, f"side {where} of", "everything off it", m.slab_of(how))
      for verb, how in _SLABS if verb and how != "include" for where in _SLICES),
    *(_rule(verb, f"side {where} structure", "off", m.slab_of("exclude"))
      for verb in ("remove", "delete") for where in _SLICES),
    *(_rule("keep", f"side {where} structure", "off everything", m.slab_of("keep")) for where in _SLICES),
    *(_rule(verb, f"nothing side {where}", "", m.slab_of("exclude"))
      for verb in (None, "keep", "include") for where in _SLICES),
    *(_rule(verb, "side it", "everything off", m.sure_as(MENTIONED, m.slab_of(how)))
      for verb, how in _SLABS if verb),
    _rule("crop", "", "structure of it this inside to", m.cropped),
    _rule("crop", "subject structure", "it inside", m.cropped),
    _rule("keep", "of", "structure it everything", m.cropped),
    *(_rule(verb, "outside_of", "everything it off from structure of", m.outside)
      for verb in ("exclude", "remove", "delete", "take", "shrink")),
    _rule("crop", "everything outside_of", "it off from structure of", m.outside),
    _rule(None, "nothing outside_of", "", lambda c: [Crop(c.structure("outside_of") or "")]),
    *(_rule(verb, f"{what} as_is", "", m.locked)
      for verb in ("keep", "leave") for what in ("structure", "it", "this")),
    *(_rule(verb, "my_slices off", "structure of it this", m.given_back) for verb in (None, "take")),
    *(_rule(verb, needs, _FILLED, lambda c: [Fill(c.structure() or c.structure("of"))])
      for verb, needs in (("fill", ""), ("complete", "gap"))),
    _rule("copy", "beside", "structure it this to this_slice off", lambda c: [Copy(c.one("beside"), c.structure())]),
    _rule("copy", "direction", "beside number structure it this to this_slice off", m.copied),
    _rule("copy", "", "structure it this to off", m.ask("Copy it to the next slice, or to the one before?")),
    _rule("go", "slice", "to direction heading off", m.go_to),
    _rule("go", "number", "to it", m.go_to_number),
    *(_rule(verb, "active structure", "it this to named", m.used) for verb in (None, "use", "mark")),
    *(_rule(verb, "active of", "it this to named", m.used) for verb in (None, "use", "mark")),
    _rule("mark", "final", "structure of it this", m.final),
    _rule(None, "final structure", "it this", m.final),
    _rule(None, "remark", "it this", lambda _: []),
    _rule("show", "slice", "to", m.go_to),
    _rule("shift", "slice", "to", m.go_to),
    _rule(None, "slice", "", m.go_to),
    _rule("go", "beside", "to", m.go_beside),
    _rule("show", "beside", "to", m.go_beside),
    _rule("shift", "beside", "to", m.go_beside),
    _rule(None, "beside", "", m.go_beside),
    _rule("contour", "it", "", m.constant(Contour(m.IT))),
    _rule("contour", "structure", "here", lambda c: [Contour(s) for s in c.structures()]),
    _rule("contour", "of", "", lambda c: [Contour(s) for s in c.structures("of")]),
    _rule(None, "structure", "", lambda c: [Contour(s) for s in c.structures()]),
    *(_rule(verb, needs, "to it", lambda c: [Command("use", m.new_name(c))])
      for verb in ("use", "go") for needs in ("structure", "of")),
    _rule("use", "free_name", "", lambda c: [Command("use", m.new_name(c))]),
    _rule("new", "", "structure of free_name it", lambda c: [Command("new", m.new_name(c))]),
    _rule("rename", "", "structure of free_name it this to subject", m.renamed),
    *(_rule("contour", f"{what} of", "", m.sure_as(MENTIONED, m.here_is(_IN))) for what in ("this", "here")),
    _rule("rename_it", "", "structure free_name", lambda c: [Rename(m.new_name(c))]),
    _rule("rename", "guess", "structure it this", lambda c: [Rename(c.one("guess"), c.structure())]),
    _rule("new", "guess", "it", lambda c: [Command("new", c.one("guess"))]),
    *(_rule(verb, "", "isolines switch", m.isolines_switched) for verb in ("show", "hide")),
    *(_rule(verb, "it", "switch", m.sure_as(MENTIONED, m.isolines_switched)) for verb in ("show", "hide")),
    *(_rule(verb, "isolines", "off", m.constant(Command("hide"))) for verb in ("remove", "delete", "take")),
    _rule("toggle", "isolines", "", m.constant(Command("isolines"))),
    _rule(None, "isolines", "", m.constant(Command("isolines"))),
    _rule(None, "yes", "", m.constant(Reply(True))),
    _rule(None, "cancel", "", m.constant(Reply(False))),
    _rule(None, "correction", "", m.constant(Reply(False))),
)  # fmt: skip
# commands by what else their clause may hold
_COMMAND_RULES = {
    **{verb: _rule(None, "command", "structure it this as_is", m.named_command) for verb in NAMED_COMMANDS},
    "accept": _rule(None, "command", "structure it this final off", m.named_command),
    "reject": _rule(None, "command", "structure it this off", m.thrown),
    "release": _rule(None, "command", "structure of it this my_slices off", m.named_command),
    **{
        verb: _rule(None, "command", "times number last it this step off heading", m.repeated)
        for verb in ("undo", "redo")
    },
    "next": _rule(None, "command", "it", m.named_command),
    "all": _rule(None, "command", "isolines", m.named_command),
}
_PLAIN_COMMAND = _rule(None, "command", "", m.named_command)


def rules_for(slots: dict[str, list[Any]]) -> list[Rule]:
    kinds = frozenset(slots)
    if "command" in kinds:
        if slots["command"] == ["next"] and slots.get("verb") == ["go"]:
            kinds -= {"verb"}  # "navigate to the region of greatest uncertainty"
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

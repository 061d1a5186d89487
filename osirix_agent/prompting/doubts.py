"""What can be read in two ways: refused with a question, or understood with doubt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from osirix_agent.imaging.structure import kind_of
from osirix_agent.prompting.intent import Command, Copy, Edit, Go, Here, Intent, Part, Slab
from osirix_agent.prompting.items import Item
from osirix_agent.prompting.meanings import Asked
from osirix_agent.prompting.moods import SEPARATORS, STARTS
from osirix_agent.prompting.prompt import Polarity

BARE, TENTATIVE = 0.85, 0.7  # confidence of an amount without a verb, of praise

WHICH = "The same for that structure too, or is it the next one? Say one after the other."
WHAT = "What is to be done with that structure?"
JOINING = {"merge", "intersect", "unite", "join", "combine", "fuse"}


def check_turns(said: list[Item], *, pauses: bool) -> None:
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
    margin = any(item.is_a("margin") for item in said)
    turned = verbs & {"raise", "lower", "shift"} or set(texts) & _COMPARED or texts[0] in ("up", "down")
    if margin and turned:
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
    if texts[0] in JOINING and sum(item.is_a("structure") for item in said) > 1 and not others:
        raise Asked("Into which structure?")
    named = [n for n, item in enumerate(said) if item.is_a("structure")]
    amounts = any(item.is_a("amount") for item in said)
    sided = any(item.is_a("off", "trim", "direction", "edge") for item in said)
    if named and amounts and "remove" in verbs and (pauses or not sided):
        raise Asked("Take that structure out, or make it smaller?")  # "remove the cord with a 3 mm margin"
    if amounts and margin and texts[0].split()[0] in _DRAWING:
        raise Asked("Contour it, or grow the contour that is there?")  # "contour the cord with a 5 mm margin"
    doing = [n for n, item in enumerate(said) if item.is_a("verb")]
    if len(named) > 1 and doing and "overlap" in texts[doing[-1]] and named[-1] < doing[-1]:
        raise Asked("Which of them is to be changed?")  # "the GTV and the cord must not overlap"
    if "crop" in verbs and named and texts[0].startswith("keep") and any(item.is_a("out_of") for item in said):
        raise Asked("In which, and out of which? Say one after the other.")  # "keep it in the body and out of the cord"
    if "crop" in verbs and texts[0] in _CROPPING and all(item.is_a("verb", "structure") for item in said):
        raise Asked("Crop to which structure?")  # "crop the GTVp"
    if "crop" in verbs and not any(item.is_a("of", "outside_of") for item in said):
        staying = next(n for n, item in enumerate(said) if item.is_a("verb"))
        if _STAYING & set(texts[staying].split()) and not any(i.is_a("structure") for i in said[staying + 1 :]):
            raise Asked("Inside which structure?")  # "the larynx must stay in"


_COMPARED = {"tighter", "smaller", "bigger", "larger", "wider", "narrower", "thinner", "thicker"}
_CLICKS = {"click", "point", "clicked", "seed"}
_DRAWING = {"contour", "outline", "segment", "delineate", "draw"}
_CROPPING = {"crop", "clip", "mask", "intersect", "bound", "limit", "restrict"}
_STAYING = {"stay", "stays", "remain", "remains", "lie", "fit", "must", "should"}


def may_be_meant_otherwise(
    said: list[Item], carried: list[Item], intents: list[Intent], last_said: list[Item], earlier: Sequence[Intent]
) -> bool:
    """What is understood in one way, and may be meant in another beside what was said before.

    Parameters
    ----------
    carried : of the clause before, what goes on
    last_said : that clause
    earlier : the intents so far
    """
    texts = [item.text.lower() for item in said]
    if last_said and (_contrasts(last_said, said) or _ends_alone(said)):
        return True  # "grow the GTV by 3 mm, not the GTVp", "3 mm on the left, off"
    if carried and all(map(measures, said)) and not any(i.is_a("direction", "edge", "trim") for i in last_said):
        return True  # "grow by 5 mm, 3 mm posteriorly": there less, or besides?
    edits = any(isinstance(one, Edit) for one in intents)
    last = earlier[-1] if earlier else None
    whole = isinstance(last, Edit) and not last.directions and last.how in ("grow", "shrink")
    if edits and whole and any(isinstance(one, Edit) and one.directions for one in intents):
        return True  # "5 mm all round, 3 mm posteriorly": likewise
    verbs = [item for item in said if does(item) and item.text.lower() not in ("plus", "add", "more", "less")]
    if edits and last is not None and not isinstance(last, Edit) and not verbs and not carried:
        return True  # "subtract the cord, 3 mm margin"
    if edits and any(isinstance(one, Go | Copy) for one in earlier):
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
    return keeps and (
        texts[-1].endswith(("stays", "stay", "kept", "preserved")) or texts[0].startswith(("preserve", "hold"))
    )


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


def runs_on(last: list[Item], first: Item, separator: Item | None) -> bool:
    """Words without a pause between two clauses (not `undo redo`, but `undo the lock`, `accept all`), or a structure or
    a verb alone and an order, or words without a verb and then one: one clause, that is not known?"""
    if separator is not None and separator.is_a(*SEPARATORS):
        return False
    ends = ("command", "tentative", "amount", "slice", "isolines")
    alone = first.is_a("filler") or not any(item.is_a(*ends) for item in last)
    bare = first.is_a("verb") and not any(
        item.is_a(*STARTS) for item in last
    )  # "a uniform 2 mm | contraction to the GTVp"
    return (
        alone
        or bare
        or last[-1].is_a("last")
        or last[-1].text.lower().endswith("last")
        or first.text.lower() == "all"
        or first.start - last[-1].end > 1
    )


def confidence(said: list[Item], carried: list[Item]) -> float:
    if said[0].text.lower().startswith(_LOOSELY) and any(item.is_a("structure", "this") for item in said):
        return TENTATIVE  # "I don't need the GTVp", "label this tumour"
    found = any(item.is_a("verb", "verdict") and "no tumo" in item.text.lower() for item in said)
    if found and any(item.is_a("structure", "of") for item in said):
        return TENTATIVE  # "there is no tumour in the left parotid"
    if any(item.is_a("tentative") for item in said):
        return TENTATIVE
    if sum(item.is_a("verb") for item in said) > 1 and said[0].text.lower() == "next":
        return TENTATIVE  # "next segment the trachea"
    if any(item.is_a("verb") and item.text.lower() == "next" for item in said[1:]):
        return TENTATIVE  # "the thyroid next"
    bare = not carried and all(item.is_a("amount", "direction", "all_round", "edge") for item in said)
    return BARE if bare else 1.0


_LOOSELY = ("i don't need", "i do not need", "we don't need", "we do not need", "label", "tag")


def check_pauses(inner: list[Item]) -> None:
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
        raise Asked(WHICH)
    for a, pause, c in zip(inner, inner[1:], inner[2:], strict=False):
        if pause.is_a(*SEPARATORS) and c.is_a("structure"):
            if not a.is_a("structure") and verb != "new":
                raise Asked(WHAT)
            if pause.text == "," and verb not in ("contour", "new") and not _list_ends(inner):
                raise Asked(WHICH)


def _list_ends(inner: list[Item]) -> bool:
    """`subtract the mandible, the larynx and the oral cavity from it`: is the last of the listed joined by a word?"""
    last = max((n for n, item in enumerate(inner) if item.is_a("structure")), default=0)
    return last > 0 and inner[last - 1].is_a("and") and inner[last - 1].text != ","


def _parts(item: Item) -> bool:
    """A pause or a verb."""
    return item.is_a(*SEPARATORS) or all(kind in STARTS for kind, _ in item.senses)


def measures(item: Item) -> bool:
    return item.is_a("amount", "direction", "edge", "trim", "all_round", "all_but")


def does(item: Item) -> bool:
    """Is it a verb or a command, whatever its sense?"""
    return all(kind in STARTS for kind, _ in item.senses)

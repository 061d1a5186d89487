"""What "it" stands for, and what was said twice: the intents of a sentence beside one another."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from osirix_agent.prompting.doubts import TENTATIVE
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
    Slab,
)
from osirix_agent.prompting.items import items_of
from osirix_agent.prompting.meanings import IT, NAMED_COMMANDS, turned_round
from osirix_agent.prompting.moods import STARTS
from osirix_agent.prompting.prompt import Polarity
from osirix_agent.prompting.words import words_of

_TWICE = {"help", "status", "use", "show", "hide", "lock", "unlock", "accept", "reject", "reopen", "release"}
_STEPS = ("undo", "redo", "next")
_PUT_AWAY = ("lock", "accept", "reject", "release")
_OBJECTS = {"it", "this", "that", "them", "contour", "proposal", "outline", "structure", "one", "everything", "all"}


def said_once(intents: list[Intent], sentence: str) -> list[Intent]:
    """`looks good, accept it`: praise before the command that it might have meant; `I want to change the GTV again,
    reopen it`: the name was said before; `the trachea is not part of it, leave it out`."""
    found: list[Intent] = []
    for n, one in enumerate(intents):
        later = [other for other in intents[n + 1 :] if isinstance(other, Command)]
        before = found[-1] if found else None
        if isinstance(one, Contour) and isinstance(before, Command) and before == Command("next"):
            found[-1] = replace(before, confidence=TENTATIVE)  # "next, the larynx": the next structure, or slice?
        words = sentence[slice(*one.span)].lower().split()
        if before is not None and _again(before, one, words):
            found[-1] = replace(before, confidence=max(before.confidence, one.confidence))
            continue
        if isinstance(before, Command) and isinstance(one, Command) and _only_unlocks(before, one, sentence):
            found[-1] = replace(one, name=before.name)  # "I need to edit the cord again, so unlock it"
            continue
        out = isinstance(before, Part) and before.polarity is Polarity.EXCLUDE
        if out and one == Here(Polarity.EXCLUDE) and "it" in words and not {"this", "that", "here"} & set(words):
            continue
        if isinstance(one, Command) and one == before and one.verb in _STEPS and _otherwise(before, words, sentence):
            found[-1] = replace(before, confidence=min(before.confidence, TENTATIVE))  # "go back one step, undo"
            continue
        again = isinstance(one, Copy) and isinstance(before, Copy)  # "to the next slice and the one after"
        if again or (isinstance(before, Copy) and one == Command("next")):
            one = replace(one, confidence=TENTATIVE)
        if isinstance(one, Go) and one == before and _otherwise(before, words, sentence):
            one = replace(one, confidence=TENTATIVE)  # "the slice before, one slice back": once, or twice?
        tentative = isinstance(one, Command) and not one.name and one.confidence <= TENTATIVE
        if tentative and any(other.verb == one.verb for other in later if isinstance(one, Command)):
            continue
        found.append(one)
    return found


def of_the_named(intents: list[Intent], sentence: str, known: Collection[str]) -> list[Intent]:
    """`GTVp, 3 mm anteriorly`: a structure of the session and what is to be done to it; to be confirmed."""
    if len(intents) < 2:
        return intents
    first, *rest = intents
    if not isinstance(first, Contour) or first.structure not in known:
        return intents
    alone = all(item.is_a("structure", "filler") for item in items_of(sentence[slice(*first.span)], known))
    bare = all(
        isinstance(one, Edit)
        and not one.structure
        and not any(item.is_a(*STARTS, "it") for item in items_of(sentence[slice(*one.span)], known))
        for one in rest
    )
    if not alone or not bare:
        return intents
    named = [replace(one, structure=first.structure) for one in rest if isinstance(one, Edit)]
    return [tentative(one) for one in named]


def _again(before: Intent | None, one: Intent, words: Collection[str]) -> bool:
    """`the GTV must stay in the body, crop it to the body`: what would do the same once more, perhaps by a pronoun.

    Parameters
    ----------
    words : that it was read from
    """
    refers = not {"this", "that", "here", "there"} & set(words)
    if isinstance(one, Command) and isinstance(before, Command):
        return before.verb == one.verb in _TWICE and (one.name == before.name or (one.name is None and refers))
    if isinstance(one, Crop | Part) and isinstance(before, Crop | Part) and one.structure is None and refers:
        return one == replace(before, structure=None)
    return isinstance(one, Contour | Crop | Part) and one == before


_CHANGED = frozenset({"change", "edit", "editable", "adjust", "alter", "modify", "correct"})


def _only_unlocks(before: Command, one: Command, sentence: str) -> bool:
    changed = before.verb == "reopen" and _CHANGED & {word.text for word in words_of(sentence[slice(*before.span)])}
    return bool(changed) and one.verb == "unlock" and one.name in (None, before.name)


def _otherwise(before: Intent, words: list[str], sentence: str) -> bool:
    """Was it said in other words? `undo, undo` is said twice because it is meant twice."""
    return sentence[slice(*before.span)].lower().strip(" ,.").split() != words


def referred(intents: list[Intent], sentence: str, name: str | None = None) -> list[Intent]:
    """`accept the GTV and lock it`: what "it" stands for, where the sentence has just named it; whichever structure
    is active, it is not meant.

    Parameters
    ----------
    name : of the structure that was spoken of before
    """
    found: list[Intent] = []
    changed = frozenset[str]()  # what was named to be worked on, and may be meant by what comes after
    for one, following in zip(intents, [*intents[1:], None], strict=False):
        said = sentence[slice(*one.span)]
        words = {w.text for w in words_of(said)}
        last = found[-1] if found else None
        if words & _REFERRING and isinstance(last, Contour):
            if _bare(sentence[slice(*last.span)]):
                found[-1] = last = tentative(last)  # "the left parotid, expand it": to be contoured anew?
            elif sum(isinstance(before, Contour) for before in found) == 1:
                name = last.structure  # "outline the brainstem and lock it"
        if isinstance(one, Contour) and last is not None and _bare(said) and isinstance(last, Edit):
            found[-1] = last = tentative(last)  # "3 mm laterally, left parotid": of that one?
        stated = _stated(one, last, said)
        one = _named(one, last, name, said, words)
        if stated or _unsure(one, last, following, changed, words):
            one = tentative(one)
        if last is not None and _says_more(last, one, said, sentence):
            one, found[-1] = tentative(one), tentative(last)
        changed = _changed(one, changed)
        made = isinstance(one, Contour) or (isinstance(one, Command) and one.verb == "new")
        name = None if made else name_of(one)  # what is made is the active one from now on
        found.append(one)
    return found


_REFERRING = frozenset({"it", "them"})


def _named(one: Intent, last: Intent | None, name: str | None, said: str, words: Collection[str]) -> Intent:
    """With what "it", or saying nothing, stands for.

    Parameters
    ----------
    name : of the structure that was named last
    words : of what was said
    """
    refers = bool(_REFERRING & set(words))
    if isinstance(one, Slab) and one.slice is None and refers and isinstance(last, Go):
        return replace(one, slice=last.slice)  # "go to slice 36 and exclude everything below it"
    if name is None:
        return one
    if isinstance(one, Part) and one.part == IT and "them" not in words:
        one = replace(one, part=name)
    if isinstance(one, Contour) and one.structure == IT and "it" in words:
        return replace(one, structure=name)
    if isinstance(one, Edit | Copy) and not one.structure and not _OBJECTS & set(words):
        return replace(one, structure=name) if isinstance(last, type(one)) else one  # "grow the GTV and smooth by 2 mm"
    if refers and isinstance(one, Edit | Crop | Fill | Copy | Part | Here | Slab | Rename) and not one.structure:
        put_away = isinstance(last, Command) and last.verb in _PUT_AWAY  # what is locked is not edited
        doubt = put_away or "them" in words or (isinstance(one, Crop) and said.lower().endswith(" it"))
        return replace(one, structure=name, confidence=min(one.confidence, TENTATIVE if doubt else 1.0))
    if refers and isinstance(one, Command) and _awaits_name(one) and not (last is not None and _takes_part(last)):
        return replace(one, name=name, confidence=min(one.confidence, TENTATIVE if "them" in words else 1.0))
    return one


def _unsure(
    one: Intent, last: Intent | None, following: Intent | None, changed: frozenset[str], words: Collection[str]
) -> bool:
    """May it be meant otherwise beside what was said before and after?"""
    said = set(words)
    if isinstance(one, Command) and said & _REFERRING and last is not None and _takes_part(last):
        return True  # "exclude the cord and lock it", "add the GTVp to the GTV, then reject it"
    if said & {"them", "these"} and isinstance(one, Edit | Command):
        return True  # of several, this is said of one
    if _awaits_name(one) and not said & _OBJECTS and following is not None and name_of(following):
        return True  # "accept and lock the GTV": which is accepted?
    if isinstance(one, Slab) and isinstance(last, Slab) and not _leave_some(one, last):
        return True
    pointed = said & {"this", "that", "here", "there"} and not said & _REFERRING
    return (not pointed and _may_belong_elsewhere(one, last, changed, bool(said & _REFERRING))) or _turned_round(one)


def _stated(one: Intent, last: Intent | None, said: str) -> bool:
    """`accept it, it comes out of the tongue`, `grow it 3 mm along the tongue`: told of it, or asked for?"""
    words = [word.text for word in words_of(said)]
    if isinstance(one, Part) and last is not None and words[:1] in (["it"], ["it's"]):
        return True
    if isinstance(one, _DONE_TO) and last == Command("accept"):
        return True  # what is accepted is not changed next
    return isinstance(one, Edit) and one.structure is not None and "it" in words


_DONE_TO = Edit | Crop | Fill | Copy | Part | Here | Slab


def _changed(one: Intent, before: frozenset[str]) -> frozenset[str]:
    """The structures that the sentence has named as what is worked on; what is made active is what is meant anyway."""
    if isinstance(one, Contour) or (isinstance(one, Command) and one.verb in ("new", "use")):
        return frozenset()
    put_off = isinstance(one, Command) and one.verb == "lock"  # a bystander
    name = None if put_off else one.structure if isinstance(one, Rename) else name_of(one)
    return before | {name} if name else before


def _may_belong_elsewhere(one: Intent, last: Intent | None, changed: frozenset[str], refers: bool) -> bool:
    """`grow the GTV by 3 mm and exclude the cord`: from the GTV, or from the active one? `grow the GTV by 3 mm, lock
    the cord and accept it`: which?"""
    if not changed:
        return False
    command = _awaits_name(one) and one not in (Command("new"), Command("use"))
    nameless = command or (isinstance(one, _DONE_TO) and name_of(one) is None)
    bystander = refers and isinstance(last, Command) and last.verb == "lock" and last.name not in changed
    return nameless or bystander


def _turned_round(one: Intent) -> bool:
    """`contour the larynx and keep it out of the GTV`, `the GTV may go into the tongue`: a target and an organ."""
    if not isinstance(one, Part) or one.structure is None:
        return False
    return turned_round(one.structure, one.part)


def _says_more(last: Intent, one: Intent, said: str, sentence: str) -> bool:
    """`accept the GTV, then the GTVp`, `undo the last click and the one before`, `GTV, accept`: is it what it seems?"""
    if isinstance(one, Contour) and _bare(said):
        graver = isinstance(last, Command) and last.verb in ("accept", "reject", "reopen", "unlock", "release")
        return graver or isinstance(last, Crop | Fill | Copy | Slab)
    if (isinstance(one, Go) and one.slice is None) or one == Command("next"):
        return last == Command("undo") or isinstance(last, Copy)
    if last == Command("next"):
        return isinstance(one, _DONE_TO)  # "next, remove everything above slice 40"
    alone = isinstance(last, Contour) and _bare(sentence[slice(*last.span)]) and name_of(one) is None
    command = isinstance(one, Command) and one.verb in (*NAMED_COMMANDS, "undo", "redo")
    return alone and (command or isinstance(one, Edit | Part))


def _takes_part(one: Intent) -> bool:
    """May "it" be the part as well as the whole?"""
    return isinstance(one, Part) and (one.structure is None or one.polarity is Polarity.INCLUDE)


def tentative(one: Intent) -> Intent:
    """To be confirmed."""
    return replace(one, confidence=min(one.confidence, TENTATIVE))


def _leave_some(a: Slab, b: Slab) -> bool:
    """Is anything left, once what is above one slice and below another is taken away?"""
    if (a.how, b.how) != ("exclude", "exclude") or a.side == b.side:
        return True
    above, below = (a, b) if a.side == "above" else (b, a)
    return above.slice is None or below.slice is None or above.slice > below.slice


def _bare(said: str) -> bool:
    """Is it a structure's name alone?"""
    first = next(iter(items_of(said, ())), None)
    return first is not None and first.is_a("structure")


def _awaits_name(one: Intent) -> bool:
    """Is it a command that may name a structure, and does not?"""
    return isinstance(one, Command) and one.name is None and one.verb in NAMED_COMMANDS


def name_of(one: Intent) -> str | None:
    """The structure that an intent is about, where it was named."""
    if isinstance(one, Command | Rename):
        return one.name
    return one.structure if isinstance(one, Contour | Edit | Crop | Fill | Copy | Part | Here | Slab) else None

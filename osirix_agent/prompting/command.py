"""A dictated or typed sentence becomes typed intents; what is not understood is asked back, never guessed.

Words become items (a verb, an amount, a direction, a structure, ...) by the tables of `lexicon` and `naming`; spoken
corrections are taken out; then the cheapest way to part the items into clauses is looked for, such that every clause
fits one of the `rules`. A word that fits nowhere makes its clause a question; a sentence with a question does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from osirix_agent.prompting import lexicon
from osirix_agent.prompting.clauses import GRAVE, NOT_UNDERSTOOD, TENTATIVE, Question, parted
from osirix_agent.prompting.corrections import corrected
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
from osirix_agent.prompting.items import Item, items_of
from osirix_agent.prompting.meanings import NAMED_COMMANDS as NAMED_COMMANDS
from osirix_agent.prompting.moods import ASKED, SEPARATORS, STARTS, STATING
from osirix_agent.prompting.prompt import Polarity
from osirix_agent.prompting.words import words_of

MAX_SENTENCE = 400
SURE = 0.75  # below, what was understood is asked back
SURE_OF_DELETING = 0.9  # below, what deletes or accepts is


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
    if understood.questions:
        understood = _stated_and_ordered(sentence, known, heard) or understood
    return understood


def _stated_and_ordered(sentence: str, known: Collection[str], heard: float) -> Understanding | None:
    """`the tumour stops here, delete everything above this slice`, `redo it, that was fine`: a statement that is not
    understood beside an order that is; to be confirmed. None: it is not so."""
    head, pause, tail = sentence.rpartition(",")
    if not pause:
        return None
    for start, order, statement in ((len(sentence) - len(tail), tail, head), (0, head, tail)):
        stated = items_of(statement, known)
        ordered = [item for item in items_of(order, known) if item.text.lower() != "please"]
        said = [word.text for word in words_of(statement)]
        while said and said[0] in _LEADING:
            said = said[1:]
        stated = stated[1:] if stated and stated[0].is_a("yes", "cancel") else stated  # "yeah, this is disease, ..."
        while stated and stated[0].is_a(*SEPARATORS):
            stated = stated[1:]
        states = said[:1] and (said[0] in STATING or (start and stated and stated[0].is_a(*_SUBJECTS)))
        turned = any(item.is_a(*_TURNS) or (item.is_a("and") and item.text != ",") for item in stated)
        if not states or turned or not ordered or not (ordered[0].is_a(*STARTS) or not start):
            continue
        understood = _understood(order, known, heard, reasons=True)
        intents = understood.intents
        named = [item.value(kind) for item in stated for kind in ("structure", "of") if item.is_a(kind)]
        refers = any(item.is_a("it") and item.text.lower() in _PRONOUNS for item in ordered)
        if refers and (len(named) > 1 or any(item.is_a("edge", "direction") for item in stated)):
            intents = ()  # "I'm not happy with the back edge, push it out"
        elif refers and named:
            names = named[0].names(known)
            intents = _drawn_or_used(ordered, names)
            if not intents and not understood.questions and len(names) == 1:
                intents = tuple(_referred(list(understood.intents), order, names[0]))
        elif understood.questions:
            intents = ()
        if intents:
            return Understanding(sentence, tuple(
                replace(one, span=(one.span[0] + start, one.span[1] + start),
                        confidence=min(one.confidence, TENTATIVE))
                for one in intents
            ))  # fmt: skip
    return None


def _drawn_or_used(ordered: list[Item], names: Collection[str]) -> tuple[Intent, ...]:
    """`we still need the larynx, draw it`, `I want to work on the cord, switch to it`."""
    span = (ordered[0].start, ordered[-1].end)
    if len(ordered) != 2 or not ordered[1].is_a("it"):
        return ()
    if ("verb", "contour") in ordered[0].senses:
        return tuple(Contour(name, span=span) for name in names)
    return tuple(Command("use", name, span=span) for name in names if ("verb", "use") in ordered[0].senses)


_LEADING = {
    "so",
    "okay",
    "ok",
    "hmm",
    "um",
    "uh",
    "yeah",
    "nope",
    "nah",
    "right",
    "righto",
    "well",
    "look",
    "now",
    "and",
    ",",
    "oh",
}
_TURNS = ("correction", "cancel", "yes", "amount", "number", "limit")
_PRONOUNS = ("it", "them", "these")
_SUBJECTS = ("structure", "isolines", "it")


def _understood(sentence: str, known: Collection[str], heard: float, *, reasons: bool) -> Understanding:
    whole = (0, len(sentence))
    read = items_of(sentence, known, reasons=reasons)
    left = corrected(read)
    if left is None:
        return Understanding(sentence, (), (Question("What is it to be instead? Say the whole of it again.", whole),))
    items = _without_idle_separators(_without_praise(left))
    if not items:
        return Understanding(sentence, (), (Question("Nothing was said.", whole),))
    intents, questions = parted(items, known)
    asked = ASKED if any(item.is_a("question") for item in items) else 1.0
    if _enquires(sentence, items):
        asked = TENTATIVE  # "should the cord be locked?"
    if read[0].text.lower() == "right" and len(read) > 1 and read[1].is_a(*STARTS, "amount"):
        asked = TENTATIVE  # "right contour the parotid": the right one, or: now then?
    gone = any(item.is_a("structure") and item not in left for item in read)
    if gone and any(item.is_a("it") and item.text.lower() == "it" for item in left):
        asked = TENTATIVE  # "accept the GTV, no, lock it": is it the GTV?
    if len(read) > 1 and read[0].is_a("correction") and not read[1].is_a(*SEPARATORS, "correction"):
        asked = TENTATIVE  # "no left lung": a correction, or none is there?
    intents = [replace(one, confidence=round(min(one.confidence, asked) * heard, 4)) for one in intents]
    intents = [
        one
        for n, one in enumerate(intents)
        if not (isinstance(one, Reply | Here) and one in intents[max(0, n - 1) : n])
    ]
    intents = _referred(_said_once(intents, sentence), sentence)
    last = intents[-1] if len(intents) > 1 else None
    if last is not None and sentence[slice(*last.span)].lower() in ("scrap that", "bin that"):
        questions = [*questions, Question("Is all of it to be left, or is its proposal to be rejected?", whole)]
    if not intents and not questions:
        questions = [Question(NOT_UNDERSTOOD, whole)]
    if len(intents) > 1 and any(isinstance(one, Reply) for one in intents):
        questions = [*questions, Question("Say 'yes' or 'no' alone.", whole)]
    texts = {w.text for w in words_of(sentence)}
    if texts & {"nothing", "nobody", "none"} and texts & _EXCEPTING and not questions:
        questions = [Question(NOT_UNDERSTOOD, whole)]  # "nobody is to touch it but me"
    strange = any(item.is_a("unknown") for item in items)
    if questions and strange and texts & lexicon.FOREIGN:
        questions = [Question("Only English is understood so far. Say it in English, or draw.", whole)]
    return Understanding(sentence, tuple(intents), tuple(questions))


_INVERTED = re.compile(r"(should|must|is|are|was|were|did|does|has|have|do (we|i|you|they)) ")
_OPENLY = frozenset(["can", "could", "would", "will", "where", "what", "which", "how", "may", "might", "please"])


def _enquires(sentence: str, items: list[Item]) -> bool:
    """Is it a question for an answer, not for something to be done?"""
    said = sentence.lower().strip()
    if said.endswith("?") and not items[0].is_a(*STARTS):
        return said.split()[0] not in _OPENLY
    return _INVERTED.match(said) is not None


_EXCEPTING = frozenset({"except", "but", "unless", "besides", "apart"})


def _without_praise(items: list[Item]) -> list[Item]:
    """`right, accept it`, `great, next`: a word and a pause before what is asked say nothing."""
    while items and items[0].is_a(*SEPARATORS) and not items[0].is_a(*STARTS):
        items = items[1:]
    if len(items) > 2 and items[0].text.lower() in _INTERJECTIONS and items[1].is_a(*SEPARATORS):
        return _without_praise(items[2:])
    return items


_INTERJECTIONS = {"right", "great", "good", "fine", "perfect", "brilliant", "lovely", "nice", "excellent", "super",
                  "let's see", "let us see", "let me see", "let me think", "look", "listen", "right then"}  # fmt: skip


_TWICE = {"help", "status", "use", "show", "hide", "lock", "unlock", "accept", "reject", "reopen", "release"}


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


_STEPS = ("undo", "redo", "next")
_PUT_AWAY = ("lock", "accept", "reject", "release")


def _otherwise(before: Intent, words: list[str], sentence: str) -> bool:
    """Was it said in other words? `undo, undo` is said twice because it is meant twice."""
    return sentence[slice(*before.span)].lower().strip(" ,.").split() != words


def _referred(intents: list[Intent], sentence: str, name: str | None = None) -> list[Intent]:
    """`accept the GTV and lock it`: what "it" stands for, where the sentence has just named it; whichever structure
    is active, it is not meant.

    Parameters
    ----------
    name : of the structure that was spoken of before
    """
    found: list[Intent] = []
    for n, one in enumerate(intents):
        said = sentence[slice(*one.span)]
        words = {w.text for w in words_of(said)}
        refers = bool(words & {"it", "them"})
        if isinstance(one, Slab) and one.slice is None and refers and found and isinstance(found[-1], Go):
            one = replace(one, slice=found[-1].slice)  # "go to slice 36 and exclude everything below it"
        if refers and found and isinstance(found[-1], Contour):
            if _bare(sentence[slice(*found[-1].span)]):
                found[-1] = replace(found[-1], confidence=TENTATIVE)  # "the left parotid, expand it": contoured anew?
            elif sum(isinstance(before, Contour) for before in found) == 1:
                name = found[-1].structure  # "outline the brainstem and lock it"
        if isinstance(one, Edit) and name and not one.structure and not words & _OBJECTS and found:
            one = _implied(one, found[-1], name)
        if refers and name and isinstance(one, Edit | Crop | Fill | Copy | Part | Here | Rename) and not one.structure:
            last = found[-1] if found else None
            put_away = isinstance(last, Command) and last.verb in _PUT_AWAY  # what is locked is not edited
            doubt = put_away or "them" in words or (isinstance(one, Crop) and said.lower().endswith(" it"))
            one = replace(one, structure=name, confidence=min(one.confidence, TENTATIVE if doubt else 1.0))
        elif refers and isinstance(one, Command) and found and _takes_part(found[-1]):
            one = _tentative(one)  # "exclude the cord and lock it", "add the GTVp to the GTV, then reject it"
        elif refers and name and isinstance(one, Command) and one.name is None and one.verb in NAMED_COMMANDS:
            one = replace(one, name=name, confidence=min(one.confidence, TENTATIVE if "them" in words else 1.0))
        elif words & {"them", "these"} and isinstance(one, Edit | Command):
            one = _tentative(one)  # of several, this is said of one
        elif isinstance(one, Command) and one.name is None and one.verb in NAMED_COMMANDS and not words & _OBJECTS:
            follows = n + 1 < len(intents) and _name_of(intents[n + 1])  # "accept and lock the GTV": which is accepted?
            one = _tentative(one) if follows else one
        last = found[-1] if found else None
        if isinstance(one, Slab) and isinstance(last, Slab) and not _leave_some(one, last):
            one = _tentative(one)
        made = isinstance(one, Contour) or (isinstance(one, Command) and one.verb == "new")
        name = None if made else _name_of(one)  # what is made is the active one from now on
        found.append(one)
    return found


def _takes_part(one: Intent) -> bool:
    """May "it" be the part as well as the whole?"""
    return isinstance(one, Part) and (one.structure is None or one.polarity is Polarity.INCLUDE)


def _implied(one: Edit, last: Intent, name: str) -> Edit:
    """`grow the GTV by 3 mm and smooth by 2 mm`: an edit goes on with the structure of the edit before it; "unlock the
    cord and expand by 2 mm" may mean the active one.

    Parameters
    ----------
    name : of the structure that was named last
    """
    if isinstance(last, Edit):
        return replace(one, structure=name)
    freed = isinstance(last, Command) and last.verb in ("unlock", "reopen")
    return replace(one, confidence=min(one.confidence, TENTATIVE)) if freed else one


_OBJECTS = {"it", "this", "that", "them", "contour", "proposal", "outline", "structure", "one", "everything", "all"}


def _tentative(one: Intent) -> Intent:
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


def _name_of(one: Intent) -> str | None:
    """The structure that an intent is about, where it was named."""
    if isinstance(one, Command | Rename):
        return one.name
    return one.structure if isinstance(one, Contour | Edit | Crop | Fill | Copy | Part | Here | Rename) else None


def _said_once(intents: list[Intent], sentence: str) -> list[Intent]:
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
                if item.is_a("then") or found[-1].text == ",":
                    found[-1] = item
                continue
            if not found:
                continue
        found.append(item)
    while found and found[-1].is_a(*SEPARATORS):
        found.pop()
    return found

"""A dictated or typed sentence becomes typed intents; what is not understood is asked back, never guessed.

Words become items (a verb, an amount, a direction, a structure, ...) by the tables of `lexicon` and `naming`; spoken
corrections are taken out; then the cheapest way to part the items into clauses is looked for, such that every clause
fits one of the `rules`. A word that fits nowhere makes its clause a question; a sentence with a question does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise

from osirix_agent.prompting import lexicon
from osirix_agent.prompting.asides import after_statements, before_remark, without_asides
from osirix_agent.prompting.clauses import GRAVE, NOT_UNDERSTOOD, Question, parted
from osirix_agent.prompting.corrections import corrected
from osirix_agent.prompting.doubts import TENTATIVE
from osirix_agent.prompting.intent import (
    Command,
    Contour,
    Copy,
    Edit,
    Here,
    Intent,
    Reply,
    Slab,
)
from osirix_agent.prompting.items import Item, items_of
from osirix_agent.prompting.meanings import IT
from osirix_agent.prompting.meanings import NAMED_COMMANDS as NAMED_COMMANDS
from osirix_agent.prompting.moods import ASKED, SEPARATORS, STARTS, STATING
from osirix_agent.prompting.references import name_of, of_the_named, referred, said_once, tentative
from osirix_agent.prompting.rephrasing import fluent, likelier, rephrased
from osirix_agent.prompting.suspects import suspect
from osirix_agent.prompting.words import words_of

MAX_SENTENCE = 400
ALONE = "Say 'yes' or 'no' alone."
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
    fluently = fluent(sentence)
    said = likelier(fluently)
    understood = _read(said, known, heard)
    without = _without_remark(said, known, heard)
    if without is not None and (understood.questions or understood.intents != without.intents):
        understood = without
    if said != fluently:
        understood = replace(understood, intents=tuple(map(tentative, understood.intents)))
    if understood.questions and (otherwise := rephrased(said)) != said:
        found = _read(otherwise, known, heard)
        if found.intents and not found.questions:
            said, understood = otherwise, replace(found, intents=tuple(map(tentative, found.intents)))
    if said == sentence:
        return understood
    return Understanding(  # what was rewritten has its words elsewhere
        sentence,
        tuple(replace(one, span=whole) for one in understood.intents),
        tuple(replace(one, span=whole) for one in understood.questions),
    )


def _without_remark(sentence: str, known: Collection[str], heard: float) -> Understanding | None:
    """`Pull the right edge in by 2 mm, it's on the carotid`: to be confirmed. None: nothing is ordered before a remark
    at the end, or what looks like a remark is an order itself."""
    parts = before_remark(sentence)
    if parts is None:
        return None
    order, remark = _understood(parts[0], known, heard, reasons=True), _understood(parts[1], known, 1.0, reasons=True)
    if order.questions or not order.intents or any(isinstance(one, Reply) for one in order.intents):
        return None
    if any(not isinstance(one, Contour) or one.confidence >= SURE for one in remark.intents):
        return None  # "include this, it belongs to the GTV"; not "it's sat on the carotid"
    told = items_of(parts[1], known)
    joined = any(a.is_a(*SEPARATORS) and b.is_a(*STARTS, "structure") for a, b in pairwise(told))
    if joined or (
        parts[1].lower().startswith(_POINTING) and any(i.is_a("structure", "edge", "direction") for i in told)
    ):
        return None  # "it's too tight, and lock it", "that edge on the left"
    return Understanding(sentence, tuple(map(tentative, order.intents)))


_POINTING = ("this", "that ", "these", "his", "her", "our", "their")


def _read(sentence: str, known: Collection[str], heard: float) -> Understanding:
    """As it stands, else without reasons and remarks."""
    understood = _understood(sentence, known, heard, reasons=True)
    if understood.questions:  # "it sticks out, so crop it to the body"
        without = _understood(sentence, known, heard, reasons=False)
        understood = understood if without.questions else _with_the_name_dropped(without, known)
    if understood.questions:
        understood = _stated_and_ordered(sentence, known, heard) or understood
    if understood.questions or understood.doubtful:
        understood = _beside_remarks(sentence, known, heard) or understood
    return understood


def _with_the_name_dropped(understood: Understanding, known: Collection[str]) -> Understanding:
    """`we have planned with the cord, so lock it`: what "it" is was said in what was passed over."""
    sentence = understood.sentence
    names = _names_said(items_of(sentence, known), known)
    names -= {getattr(one, slot, None) for one in understood.intents for slot in ("to", "part")}
    if len(names) != 1 or any(map(name_of, understood.intents)):
        return understood
    return replace(understood, intents=tuple(referred(list(understood.intents), sentence, *names)))


def _names_said(items: Collection[Item], known: Collection[str]) -> set[str]:
    """The structures that are named, also as what something is of."""
    named = (item.value(kind) for item in items for kind in ("structure", "of") if item.is_a(kind))
    return {name for one in named for name in one.names(known)}


def _beside_remarks(sentence: str, known: Collection[str], heard: float, within: int = 0) -> Understanding | None:
    """`lock the GTV, for it has been agreed in the conference`: to be confirmed. None: there is no order beside it, or
    it is a monologue, of which each pause would double what is tried."""
    if len(re.findall(r"[,;.] ", sentence)) > _PAUSES:
        return None
    for left in without_asides(sentence):
        for reasons in (True, False):
            understood = _understood(left, known, heard, reasons=reasons)
            if understood.intents and not understood.questions:
                return Understanding(sentence, tuple(map(tentative, understood.intents)))
    return _after_a_statement(sentence, known, heard, within)


def _after_a_statement(sentence: str, known: Collection[str], heard: float, within: int) -> Understanding | None:
    """`Endoscopy was clean, so exclude the trachea`: to be confirmed. None: there is no order, or more than one."""
    for statement, order, states in after_statements(sentence):
        ordered = items_of(order, known)
        stated, before = items_of(statement, known), _understood(statement, known, heard, reasons=True)
        plain = ordered and ordered[0].is_a(*STARTS) and not any(item.is_a(*_PLACING) for item in stated)
        plain = plain and not _DENYING & {word.text for word in words_of(statement)}
        if not states and not plain:
            continue  # "avoiding the cord, grow the GTV by 3 mm", "under no circumstances, accept it"
        if not stated or stated[0].is_a(*STARTS) or (before.intents and not before.questions):
            continue  # nothing but fillers, or an order of its own
        understood = _understood(order, known, heard, reasons=True)
        if understood.questions and within < _REMARKS:
            understood = _beside_remarks(order, known, heard, within + 1) or understood
        intents = list(understood.intents)
        if not intents or understood.questions:
            continue
        if _PRONOUNS_OF_A_STRUCTURE & {word.text for word in words_of(order)}:
            where = ("edge", "direction") if any(item.is_a("amount") for item in ordered) else ("edge",)
            if any(item.is_a(*where) for item in stated) and not any(item.is_a(*where, "trim") for item in ordered):
                continue  # "I'm not happy with the back edge, push it out 5 mm"
            names = _names_said(stated, known)
            intents = referred(intents, order, *names) if len(names) == 1 else intents
            if names and not all(name in names for name in map(name_of, intents)):
                continue  # "the GTVp looks thin, so give it 3 mm": of which?
        return Understanding(sentence, tuple(map(tentative, intents)))
    return None


def _stated_and_ordered(sentence: str, known: Collection[str], heard: float) -> Understanding | None:
    """`the tumour stops here, delete everything above this slice`, `redo it, that was fine`: a statement that is not
    understood beside an order that is; to be confirmed. None: it is not so."""
    parted_at = [[*re.finditer(pause, sentence)] for pause in (",", r"[;.](?=\s)")]
    halves = [(sentence[: at[-1].start()], sentence[at[-1].end() :]) for at in parted_at if at]
    for start, order, statement in (
        way for head, tail in halves for way in ((len(sentence) - len(tail), tail, head), (0, head, tail))
    ):
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
                intents = tuple(referred(list(understood.intents), order, names[0]))
        elif understood.questions:
            intents = ()
        if intents:
            return Understanding(sentence, tuple(
                replace(tentative(one), span=(one.span[0] + start, one.span[1] + start)) for one in intents
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


_REMARKS, _PAUSES = 2, 6  # one before the other, that are passed over; in a sentence
_OPENING = ("not", "except", "except for", "without")  # "not the GTV, accept the GTVp"
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
    "actually",
}
_TURNS = ("correction", "cancel", "yes", "amount", "number", "limit")
_PRONOUNS_OF_A_STRUCTURE = frozenset(["it", "them", "that", "these"])
_PRONOUNS = ("it", "them", "these")
_DENYING = frozenset(["no", "not", "never", "nobody", "none", "hold", "stop", "wait"])
_PLACING = ("structure", "of", "slice", "slices", "number", "heading", "direction", "edge", "correction", "cancel")
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
    if _lost_in_correcting(read, left, intents, sentence):
        asked = TENTATIVE
    if len(read) > 1 and read[0].is_a("correction") and not read[1].is_a(*SEPARATORS, "correction"):
        asked = TENTATIVE  # "no left lung": a correction, or none is there?
    intents = [replace(one, confidence=round(min(one.confidence, asked) * heard, 4)) for one in intents]
    intents = [
        one
        for n, one in enumerate(intents)
        if not (isinstance(one, Reply | Here) and one in intents[max(0, n - 1) : n])
    ]
    intents = of_the_named(referred(said_once(intents, sentence), sentence), sentence, known)
    if intents and suspect(sentence, left, intents, known):
        intents = [tentative(one) for one in intents]
    named = [item.value("structure") for item in left if item.is_a("structure")]
    unsided = {name for one in named if one.sided and one.side is None for name in one.names(known)}
    intents = [  # "contour the parotid": the one that is there, or the other one?
        tentative(one) if isinstance(one, Contour) and one.structure in unsided else one for one in intents
    ]
    if (len(intents) > 1 and read[0].text.lower() in _OPENING) or re.search(r"\band again\W*$", sentence.lower()):
        intents = [tentative(one) for one in intents]
    last = intents[-1] if len(intents) > 1 else None
    if last is not None and sentence[slice(*last.span)].lower() in ("scrap that", "bin that"):
        questions = [*questions, Question("Is all of it to be left, or is its proposal to be rejected?", whole)]
    if any(IT in (getattr(one, "part", None), getattr(one, "structure", None)) for one in intents):
        intents, questions = [], [*questions, Question("Which structure is meant?", whole)]
    if any(isinstance(one, Copy) for one in intents) and _COPIED_FROM.search(sentence.lower()):
        here = "What is shown is copied: go to the slice that it is to come from first, then copy it."
        intents, questions = [], [Question(here, whole)]
    accepted, rejected = ({one.name for one in intents if isinstance(one, Command) and one.verb == verb}
                          for verb in ("accept", "reject"))  # fmt: skip
    if accepted & rejected:
        intents, questions = [], [*questions, Question("Accept it, or reject it?", whole)]
    if any(isinstance(one, Edit) and one.but for one in intents) and _ADDED.search(sentence.lower()):
        intents, questions = [], [*questions, Question("Instead of the first amount there, or on top of it?", whole)]
    if not intents and not questions:
        questions = [Question(NOT_UNDERSTOOD, whole)]
    if len(intents) > 1 and any(isinstance(one, Reply) for one in intents):
        questions = [*questions, Question(ALONE, whole)]
    texts = {w.text for w in words_of(sentence)}
    if texts & {"nothing", "nobody", "none"} and texts & _EXCEPTING and not questions:
        questions = [Question(NOT_UNDERSTOOD, whole)]  # "nobody is to touch it but me"
    strange = any(item.is_a("unknown") for item in items)
    if questions and strange and texts & lexicon.FOREIGN:
        questions = [Question("Only English is understood so far. Say it in English, or draw.", whole)]
    return Understanding(sentence, tuple(intents), tuple(questions))


_ADDED = re.compile(r"\b(another|additional(ly)?|further|extra|more|as well|too|besides|on top)\b")
_COPIED_FROM = re.compile(r"\bfrom (the |my )?(slice|next|previous|last|one)\b(?!.*\b(to|onto)\b)")


def _lost_in_correcting(read: list[Item], left: list[Item], intents: list[Intent], sentence: str) -> bool:
    """`accept the GTV, no, lock it`, `grow the GTV by 3 mm, no, shrink by 2 mm`, `exclude the cord from the GTV, sorry,
    the trachea`: does what was taken back hold a name, or one of several, that what stays may mean?"""
    at = next((n for n, item in enumerate(read) if item.is_a("correction", "cancel") and n), None)
    if at is None or len(left) == len(read):
        return False
    named = [item for item in read[:at] if item.is_a("structure", "of", "out_of", "to_of")]
    gone = any(item not in left for item in named)
    nameless = any(not isinstance(one, Contour | Reply) and not name_of(one) for one in intents)
    several = len(named) > 1 or sum(item.is_a("amount") for item in read[:at]) > 1
    return (gone and (nameless or "it" in {word.text for word in words_of(sentence)})) or several


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

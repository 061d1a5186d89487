"""Sentences with the intents expected of them: a recipe of templates and seeds, and files of JSON lines.

A line is {"say": sentence, "intents": [...]}, each intent as `Intent.as_json` writes it; an empty list means that the
sentence must be asked back. Spans and confidences are not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.errors import SettingsError
from osirix_agent.prompting.intent import Command, Contour, Copy, Crop, Edit, Fill, Go, Here, Intent, Part, Rename, Slab
from osirix_agent.prompting.intent import from_json as intent_from_json
from osirix_agent.prompting.prompt import Polarity

# written by hand while the grammar was frozen, and measured once before it was changed: see docs/reference/dictation.md
SETS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth", "twentieth", "twenty-first", "twenty-second",
    "twenty-third", "twenty-fourth", "twenty-fifth", "twenty-sixth", "twenty-seventh",
    "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first", "thirty-second", "thirty-third", "thirty-fourth",
    "thirty-fifth", "thirty-sixth", "thirty-seventh",
)  # fmt: skip
PARAPHRASES = {name: Path(__file__).with_name(f"paraphrases-{n}.jsonl") for n, name in enumerate(SETS, 1)}
# neither was the grammar ever improved on these, nor did they teach the guesser
UNSEEN = ("fifth", "ninth", "twenty-first", "twenty-fourth", "thirty-fifth", "thirty-sixth", "thirty-seventh")
# what `train dictation` says to the speech recogniser: the benchmark says none of these aloud
HEARD = tuple(name for name in SETS[:19] if name not in UNSEEN)
KNOWN = ("GTV", "GTVp", "Parotid_L", "SpinalCord")  # the structures of the session that they are said in


@dataclass(frozen=True)
class Sentence:
    """One sentence; no intents: it must be asked back."""

    say: str
    intents: tuple[Intent, ...]


def read_sentences(path: Path) -> list[Sentence]:
    """Sentences of a JSON-lines file.

    Raises
    ------
    SettingsError
        It cannot be read; the line is named.
    """
    found: list[Sentence] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The corpus cannot be read ({type(error).__name__}).", "Give a JSON-lines file.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
            intents = tuple(intent_from_json(intent) for intent in one["intents"])
            found.append(Sentence(str(one["say"]), intents))
        except (ValueError, KeyError, TypeError):
            raise SettingsError(
                f"Line {number} of the corpus is no sentence with intents.",
                'Write {"say": "undo twice", "intents": [{"kind": "command", "verb": "undo", "times": 2}]}.',
            ) from None
    return found


def teaching_sets() -> dict[str, list[Sentence]]:
    """The sets that `train guesses` learns from: those that the grammar was improved on too."""
    return {name: read_sentences(path) for name, path in PARAPHRASES.items() if name not in UNSEEN}


# -- the recipe --------------------------------------------------------------------------------------------------
_NUMBERS: dict[float, tuple[str, ...]] = {
    1: ("one millimetre", "1 mm", "a millimetre"), 2: ("two millimetres", "2 mm", "a couple of mm", "two mil"),
    2.5: ("two point five millimetres", "two and a half millimeters", "2.5mm"), 3: ("three millimetres", "3 mm"),
    5: ("five millimetres", "half a centimetre", "0.5 cm", "5 millimeters"), 10: ("one centimetre", "ten mm", "1 cm"),
    15: ("one and a half centimetres", "fifteen millimetres"),
}  # fmt: skip
_WAYS: dict[Any, tuple[str, ...]] = {
    "superior": ("superiorly", "cranially", "upwards"), "inferior": ("inferiorly", "caudally", "towards the feet"),
    "left": ("to the left", "to the patient's left"), "right": ("to the right", "rightwards"),
    "anterior": ("anteriorly", "ventrally"), "posterior": ("posteriorly", "backwards"), "medial": ("medially",),
    "lateral": ("laterally",),
}  # fmt: skip
_EDITS: dict[Any, tuple[str, ...]] = {
    "grow": ("grow by {mm} {way}", "expand it {mm} {way}", "extend {way} by {mm}", "add {mm} {way}",
             "{mm} bigger {way}"),
    "shrink": ("shrink by {mm} {way}", "reduce the contour by {mm} {way}", "make it {mm} smaller {way}",
               "pull in {mm} {way}"),
    "shift": ("shift it {mm} {way}", "move the contour {way} by {mm}", "nudge it {mm} {way}"),
}  # fmt: skip
_SMOOTH = ("smooth by {mm}", "smooth the contour by {mm}", "smooth it out with {mm}")
_STRUCTURES = {
    "Parotid_L": ("left parotid", "the parotid on the left", "lt parotid gland", "Parotid_L"),
    "Parotid_R": ("right parotid", "parotid gland on the right"), "SpinalCord": ("spinal cord", "the cord", "myelon"),
    "Esophagus": ("oesophagus", "esophagus", "the gullet"), "GTVp": ("GTV primary", "GTVp", "the primary GTV"),
    "GTVn": ("GTV nodal", "nodal GTV", "GTVn"), "PTV_70": ("PTV 70", "ptv seventy"), "Lung_R": ("right lung",),
    "LN_Neck_II_R": ("level two node on the right", "right level 2 nodes"), "Trachea": ("trachea", "the trachea"),
    "Bone_Mandible": ("mandible", "lower jaw"), "Body": ("the body", "the external"),
}  # fmt: skip
_OF_A_STRUCTURE: tuple[tuple[str, Any], ...] = (
    ("{s}", Contour), ("contour the {s}", Contour), ("please segment {s}", Contour),
    ("not the {s}", lambda s: Part(Polarity.EXCLUDE, s)), ("subtract the {s}", lambda s: Part(Polarity.EXCLUDE, s)),
    ("include the {s}", lambda s: Part(Polarity.INCLUDE, s)), ("crop to {s}", Crop),
    ("lock {s}", lambda s: Command("lock", s)), ("unlock the {s}", lambda s: Command("unlock", s)),
    ("accept the {s}", lambda s: Command("accept", s)), ("reopen {s}", lambda s: Command("reopen", s)),
    ("release the slices of the {s}", lambda s: Command("release", s)), ("switch to {s}", lambda s: Command("use", s)),
    ("rename it to {s}", Rename), ("new structure {s}", lambda s: Command("new", s)),
)  # fmt: skip
_PLAIN: tuple[tuple[str, Intent], ...] = (
    ("undo", Command("undo")), ("undo twice", Command("undo", None, 2)), ("undo three times", Command("undo", None, 3)),
    ("redo", Command("redo")), ("accept", Command("accept")), ("reject it", Command("reject")),
    ("next", Command("next")), ("where should I look", Command("next")), ("show the uncertainty", Command("show")),
    ("hide isolines", Command("hide")), ("help", Command("help")), ("status", Command("status")),
    ("fill between slices", Fill()),
    ("copy to the next slice", Copy("next")), ("copy it to the previous slice", Copy("previous")),
    ("include this", Here(Polarity.INCLUDE)), ("exclude here", Here(Polarity.EXCLUDE)), ("next slice", Go(step=1)),
    ("exclude everything above this slice", Slab("exclude", "above")), ("go to slice forty-two", Go(42)),
    ("nothing below slice 12", Slab("exclude", "below", 12)), ("jump to slice 108", Go(108)),
)  # fmt: skip
_ASKED_BACK = (
    "grow by two metres", "grow", "shift by 3 mm", "grow a bit", "lock the thing", "do not accept", "don't undo",
    "make tea", "und bitte zurück", "delete the GTVp", "parotid gland right left", "grow by 3", "shrink by 0 mm",
)  # fmt: skip
_BEFORE, _AFTER = ("", "", "", "um, ", "please ", "could you ", "okay, "), ("", "", "", " please", ", thanks")


def recipe(seed: int, count: int) -> list[Sentence]:
    """Sentences filled in at random; the same seed gives the same ones."""
    random = np.random.default_rng(seed)

    def pick(options: Any) -> Any:
        return options[int(random.integers(len(options)))]

    def amount() -> tuple[float, str]:
        mm = pick(tuple(_NUMBERS))
        return mm, pick(_NUMBERS[mm])

    def one() -> tuple[str, Intent]:
        match int(random.integers(5)):
            case 0 | 1:
                how, (mm, said), way = pick(tuple(_EDITS)), amount(), pick(tuple(_WAYS))
                wayless = how != "shift" and random.random() < 0.25
                text = pick(_EDITS[how]).format(mm=said, way="" if wayless else pick(_WAYS[way]))
                return " ".join(text.split()), Edit(how, mm, () if wayless else (way,))
            case 2:
                mm, said = amount()
                return (pick(_SMOOTH).format(mm=said), Edit("smooth", mm)) if mm <= 10 else pick(_PLAIN)
            case 3:
                (text, make), name = pick(_OF_A_STRUCTURE), pick(tuple(_STRUCTURES))
                return text.format(s=pick(_STRUCTURES[name])).replace("the the", "the"), make(name)
        return pick(_PLAIN)

    found: list[Sentence] = []
    while len(found) < count:
        if random.random() < 0.08:
            found.append(Sentence(pick(_ASKED_BACK), ()))
            continue
        parts = [one() for _ in range(pick((1, 1, 1, 2, 3)))]
        # orders put together by chance: "it" would be the structure that the one before happens to name
        texts = [text if n == 0 else re.sub(r"\bit\b", "the contour", text) for n, (text, _) in enumerate(parts)]
        said = pick((", ", " then ", ", then ")).join(texts)
        found.append(Sentence(pick(_BEFORE) + said + pick(_AFTER), tuple(intent for _, intent in parts)))
    return found


def sentences_as_lines(sentences: Iterable[Sentence]) -> str:
    """The JSON lines that `read_sentences` reads."""
    return "".join(
        json.dumps({"say": s.say, "intents": [one.as_json() for one in s.intents]}, ensure_ascii=False) + "\n"
        for s in sentences
    )

"""What the command recogniser expects to be said: sentences drawn from the dictation's own tables.

The tables say which phrases there are; the shapes below say how they follow each other in speech. What is heard goes
through `command.understand` like a typed sentence, so a shape only has to be sayable, not to mean anything. As one
finite grammar this takes pocketsphinx minutes to compile; so sentences are drawn from it for a language model.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from osirix_agent.imaging.anatomy import PAIRED, PLURALS, SINGLE
from osirix_agent.prompting.lexicon import PHRASES, alternatives
from osirix_agent.prompting.words import ONES, TENS, words_of

_MOST_WORDS = 5  # of a phrase of the tables; longer ones are for the free recogniser

# how the dictionary spells what the tables spell in several ways, and what it lacks (CMU phones)
RESPELT = {
    "millimetre": "millimeter", "millimetres": "millimeters", "centimetre": "centimeter", "centimetres": "centimeters",
    "metre": "meter", "metres": "meters", "mm": "millimeters", "mms": "millimeters", "cm": "centimeters",
    "cms": "centimeters", "tumour": "tumor", "oesophagus": "esophagus", "lachrymal": "lacrimal", "finalise": "finalize",
    "finalised": "finalized", "labelled": "labeled", "chiasma": "chiasm", "organise": "organize",
}  # fmt: skip
PHONES: dict[str, tuple[str, ...]] = {
    "anteriorly": ("AE N T IH R IY ER L IY",),
    "brachial": ("B R EY K IY AH L",),
    "brainstem": ("B R EY N S T EH M",),
    "caudally": ("K AO D AH L IY",),
    "chiasm": ("K AY AE Z AH M", "K IY AE Z AH M"),
    "cochleas": ("K AA K L IY AH Z", "K OW K L IY AH Z"),
    "cochlea": ("K OW K L IY AH",),
    "contouring": ("K AA N T UH R IH NG",),
    "cranially": ("K R EY N IY AH L IY",),
    "ctv": ("S IY T IY V IY",),
    "erm": ("ER M",),
    "esophagus": ("AH S AA F AH G AH S", "IY S AA F AH G AH S"),
    "gtv": ("JH IY T IY V IY",),
    "igtv": ("AY JH IY T IY V IY",),
    "inferiorly": ("IH N F IH R IY ER L IY",),
    "inwards": ("IH N W ER D Z",),
    "isolines": ("AY S OW L AY N Z",),
    "isotropically": ("AY S AH T R AA P IH K L IY", "AY S OW T R OW P IH K L IY"),
    "itv": ("AY T IY V IY",),
    "lacrimal": ("L AE K R AH M AH L",),
    "medially": ("M IY D IY AH L IY",),
    "mils": ("M IH L Z",),
    "nodal": ("N OW D AH L",),
    "parotid": ("P ER AA T AH D", "P AH R AA T IH D"),
    "parotids": ("P ER AA T AH D Z", "P AH R AA T IH D Z"),
    "pharyngeal": ("F AH R IH N JH IY AH L", "F AE R IH N JH IY AH L"),
    "posteriorly": ("P AO S T IH R IY ER L IY", "P AA S T IH R IY ER L IY"),
    "ptv": ("P IY T IY V IY",),
    "submandibular": ("S AH B M AE N D IH B Y AH L ER",),
    "submandibulars": ("S AH B M AE N D IH B Y AH L ER Z",),
    "superiorly": ("S UW P IH R IY ER L IY", "S AH P IH R IY ER L IY"),
    "trachea": ("T R EY K IY AH", "T R AH K IY AH"),
    "unaccept": ("AH N AE K S EH P T",),
    "unfreeze": ("AH N F R IY Z",),
    "windpipe": ("W IH N D P AY P",),
}  # fmt: skip

# shapes of clauses: {kind} or {kind:value} stands for the phrases of the tables, <rule> for a rule below
SHAPES: dict[str, str] = {
    "way": "{direction} | {all_round}",
    "what": "{it} | [the] <structure>",
    "edit": """{verb:grow} [<what>] [by] <amount> [<way>] | {verb:shrink} [<what>] [by] <amount> [<way>]
        | {verb:shift} [<what>] [by] <amount> {direction} | {verb:shift} [<what>] {direction} [by] <amount>
        | ({verb:grow} | {verb:shrink}) [<what>] <way> [by] <amount> | {verb:smooth} [<what>] [by | with] <amount>
        | make <what> <amount> (bigger | larger | wider | smaller | tighter) [<way>] | <amount> <way>
        | <amount> (bigger | larger | smaller | tighter | more) [<way>] | add <amount> [<way>]
        | (add | put) a <amount> margin [(to | on) <what>] | take <amount> off [{edge} | {direction} | {all_round}]
        | (pull | bring) [<what>] (in | out) [by] <amount>""",
    "part": """({verb:exclude} | {verb:include} | {verb:add}) [the] <structure> [{from} [the] <structure>]
        | ({verb:remove} | {verb:delete}) [the] <structure> {from} ([the] <structure> | {it})
        | {verb:add} [the] <structure> (to | with | into) [the] <structure>""",
    "here": """({verb:include} | {verb:exclude} | add | remove) ({here} | {this}) | ({this} | {here}) is [not] tumor
        | ({this} | {here}) ({verb:include} | {verb:exclude})""",
    "slab": """({verb:exclude} | {verb:remove} | {verb:delete} | {verb:keep} | {verb:include} | add) {everything} {side}
        <where> | {nothing} {side} <where>""",
    "where": "{this_slice} | slice [number] <slices> | here",
    "shape": """{verb:crop} [<what>] [to] [the] <structure> | {verb:fill} [[of] [the] <structure>]
        | {verb:copy} [<what>] [to | onto] {beside}""",
    "go": "({verb:go} | show me) (slice [number] <slices> | {beside}) | slice [number] <slices> | {beside}",
    "contour": """[{verb:contour} | {verb:use}] [the] <structure> [and [the] <structure>]
        | go to [the] <structure> | {verb:new} [called] <structure> | {verb:rename} <what> [to | as] <structure>""",
    "session": """({command:undo} | {command:redo}) [<times>] | {command:accept} [<what>] | {command:reject} [<what>]
        | {tentative:accept} | {command:reopen} [<what>] | ({command:lock} | {command:unlock}) [<what>] [and <what>]
        | {command:release} ({my_slices} | <what>) | {command:next} | {command:status} | {command:help}
        | {command:propose} | ({verb:show} | {verb:hide}) {isolines} | {isolines} | turn {isolines} (on | off)
        | {command:quit} | {command:all}""",
    "reply": "{yes} | no | {cancel}",
    "times": "twice | three times | once | <small> (times | steps)",
    "usual": "undo | {command:undo} | redo | accept | {command:accept} | next | {command:next} | {yes} | no",
    "clause": """<usual> | <usual> | <edit> | <part> | <here> | <slab> | <shape> | <go> | <contour>
        | <session> | <reply>""",
    "lead": "please | okay | now | um | could you | can you | just",
    "sentence": "[<lead>] <clause> [[and] then <clause> | and <clause>] [then <clause>] [please | thanks | thank you]",
}
_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_TOKEN = re.compile(r"<\w+>|[\w']+|[\[\]()|]")


@dataclass(frozen=True)
class Shape:
    """Alternatives of sequences; a part is a word, another rule's name in `<>`, or a shape (maybe left out)."""

    alternatives: tuple[tuple[str | Shape, ...], ...]
    optional: bool = False
    weights: tuple[float, ...] | None = None


def sentences(known: Collection[str], can_say: Callable[[str], bool], count: int, seed: int = 1) -> list[list[str]]:
    """Sentences drawn at random, in words that can be pronounced.

    Parameters
    ----------
    known : names of the session's structures
    can_say : is there a pronunciation of the word?
    """
    rules = _rules(known, can_say)
    draw = random.Random(seed)
    whole = rules["sentence"]
    return [_drawn(whole, rules, draw) for _ in range(count)]


def _drawn(shape: Shape, rules: dict[str, Shape], draw: random.Random) -> list[str]:
    if shape.optional and draw.random() < 0.5:
        return []
    said: list[str] = []
    (chosen,) = draw.choices(shape.alternatives, shape.weights)
    for part in chosen:
        if isinstance(part, Shape):
            said += _drawn(part, rules, draw)
        elif part.startswith("<"):
            said += _drawn(rules[part[1:-1]], rules, draw)
        else:
            said += part.split()
    return said


def _rules(known: Collection[str], can_say: Callable[[str], bool]) -> dict[str, Shape]:
    rules: dict[str, Shape] = {"structure": _either(names_said(known), can_say)}

    def slot(match: re.Match[str]) -> str:
        kind, value = match[1], match[2]
        name = kind if value is None else f"{kind}_{value}"
        values = PHRASES[kind]
        phrases = [p for v, text in values.items() if value is None or v == value for p in text.split("|")]
        said = (" ".join(words) for phrase in phrases for words in alternatives(phrase) if words)
        if name not in rules:
            rules[name] = _either(said, can_say)
        return f"<{name}>"

    for name, text in (SHAPES | _numbers()).items():
        rules[name] = _parsed(_TOKEN.findall(_SLOT.sub(slot, text)))
    return rules


def _parsed(tokens: list[str]) -> Shape:
    """The shape of a text with `|`, `[ ]` and `( )`; takes the tokens up to its end or closing bracket."""
    alternatives_: list[list[str | Shape]] = [[]]
    while tokens:
        token = tokens.pop(0)
        if token in ("]", ")"):
            return Shape(tuple(tuple(one) for one in alternatives_), optional=token == "]")
        if token == "|":
            alternatives_.append([])
        else:
            alternatives_[-1].append(_parsed(tokens) if token in ("[", "(") else token)
    return Shape(tuple(tuple(one) for one in alternatives_))


# what a general recogniser is told was said just before: it goes on in these words and this spelling
EXAMPLES = (
    "Grow the GTV by three millimetres superiorly. Shrink it 2.5 mm medially. Exclude the trachea. Not the larynx. "
    "Left parotid. PTV seventy. CTV primary. Nudge it 5 mm posteriorly. Undo twice, accept. Go to slice forty. "
    "Crop to the body. Hide the isolines. Level two nodes on the right. Lock the cord, then redo. "
    "Fill between the slices. Oesophagus, mandible."
)


def names_said(known: Collection[str]) -> list[str]:
    """How structures are said: organs with their side, targets with kind or dose, neck levels, the session's own."""
    said = [form for forms in SINGLE.values() for form in forms]
    said += [f"{side} {form}" for forms in PAIRED.values() for form in forms for side in ("left", "right")]
    said += [f"{form} on the {side}" for forms in PAIRED.values() for form in forms for side in ("left", "right")]
    said += [form for forms in PAIRED.values() for form in forms]
    said += [f"{both}{form}" for forms in PLURALS.values() for form in forms for both in ("both ", "")]
    kinds = ("primary", "nodal", "boost", "high risk", "low risk", "high dose", "low dose", "p", "n")
    said += [" ".join((base, kind)).strip() for base in ("gtv", "ctv", "ptv", "itv") for kind in ("", *kinds)]
    said += [f"{kind} {base}" for base in ("gtv", "ctv", "ptv") for kind in kinds[:-2]]
    doses = ("fifty", "fifty four", "fifty six", "sixty", "sixty six", "seventy")
    said += [f"{base} {dose}" for base in ("ctv", "ptv") for dose in doses]
    levels = ("one a", "one b", "two", "two a", "two b", "three", "four", "five", "five a", "five b", "six", "seven")
    said += [f"{side} {before}level {level}{after}" for side in ("left", "right") for before in ("", "neck ")
             for level in levels for after in ("", " nodes")]  # fmt: skip
    said += [f"level {level} {node} on the {side}" for side in ("left", "right") for level in levels
             for node in ("node", "nodes")]  # fmt: skip
    return [*said, *(_own(name) for name in sorted(known))]


_DIGITS = {str(value): word for word, value in ONES.items() if word not in ("oh", "nought", "naught", "nil")}
_TARGET = re.compile(r"^(i?gtv|ctv|itv|ptv)([a-z])?(\d{1,2})?$")


def _own(name: str) -> str:
    """A name of the session as it is said: `GTVp` is "gtv p", `node 4` is "node four"."""
    words: list[str] = []
    for word in words_of(re.sub(r"[_+~^.\-]", " ", name)):
        target = _TARGET.match(word.text)
        parts = [part for part in target.groups() if part] if target else [word.text]
        words += [_number_said(int(part)) if part.isdigit() and len(part) < 3 else part for part in parts]
    return " ".join(words)


def _number_said(n: int) -> str:
    if n < 20:
        return _DIGITS[str(n)]
    tens = next(word for word, value in TENS.items() if value == n // 10 * 10)
    return f"{tens} {_DIGITS[str(n % 10)]}" if n % 10 else tens


def _numbers() -> dict[str, str]:
    ones = " | ".join(_number_said(n) for n in range(1, 10))
    teens = " | ".join(_number_said(n) for n in range(10, 20))
    tens = " | ".join(dict.fromkeys(_number_said(n) for n in range(20, 100, 10)))
    return {
        "ones": ones,
        "small": f"{ones} | ten | twelve | fifteen | twenty",
        "tens": f"{teens} | ({tens}) [<ones>]",
        "slices": "<ones> | <tens> | (a | one | two | three) hundred [and] [<ones> | <tens>]",
        "unit": "millimeters | millimeter | mils | mil | centimeters | centimeter",
        "amount": "(<small> [point <ones>] | <ones> and a half | a | half a | a couple of | <tens>) <unit>",
    }


def _either(said: Iterable[str], can_say: Callable[[str], bool]) -> Shape:
    """Alternatives, each once, those with a word that cannot be said left out; the tables begin with the usual ones."""
    kept: dict[tuple[str, ...], None] = {}
    for phrase in said:
        words = tuple(RESPELT.get(word, word) for word in phrase.split())
        if 0 < len(words) <= _MOST_WORDS and all(can_say(word) for word in words):
            kept[words] = None
    return Shape(tuple(kept), weights=tuple(1 / (n + 1) ** 0.5 for n in range(len(kept))))

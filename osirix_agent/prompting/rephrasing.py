"""Other ways to say what the grammar reads, rewritten into the way that it reads.

Unlike the phrases of `turns.txt` these move words about: `take 2 mm off the front and 4 mm off the back of the GTV`
says the structure once, at the end. The table is `rephrasings.txt`.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path

_BARE = {
    "contoured": "contour", "unlocked": "unlock", "locked": "lock", "moved": "move", "shifted": "shift", "took": "take",
    "drew": "draw", "shrank": "shrink", "shrunk": "shrink", "reduced": "reduce", "grew": "grow", "grown": "grow",
    "enlarged": "enlarge", "expanded": "expand", "extended": "extend", "smoothed": "smooth", "accepted": "accept",
    "rejected": "reject", "renamed": "rename", "cropped": "crop", "copied": "copy", "filled": "fill", "went": "go",
    "removed": "remove", "excluded": "exclude", "subtracted": "subtract", "included": "include", "added": "add",
    "undid": "undo", "released": "release", "reopened": "reopen", "outlined": "outline", "segmented": "segment",
    "grows": "grow", "shrinks": "shrink", "moves": "move", "pushing": "push", "pulling": "pull", "bringing": "bring",
    "moving": "move", "shifting": "shift", "growing": "grow", "shrinking": "shrink", "smoothing": "smooth",
    "taking": "take", "adding": "add", "removing": "remove", "copying": "copy", "filling": "fill", "locking": "lock",
    "unlocking": "unlock", "contouring": "contour", "excluding": "exclude", "including": "include", "going": "go",
    "showing": "show", "hiding": "hide", "undoing": "undo", "accepting": "accept", "trimming": "trim",
    "extending": "extend", "expanding": "expand", "cropping": "crop", "renaming": "rename",
    "contracted": "contract", "contraction": "contract", "expansion": "expand",
}  # fmt: skip


def fluent(sentence: str) -> str:
    """The sentence without hesitations and a yes at its end."""
    return _rewritten(sentence, "always")


def likelier(sentence: str) -> str:
    """The sentence as it is likelier to be meant than as the grammar reads it: what comes of it waits for a yes."""
    return _rewritten(sentence, "doubtful")


def rephrased(sentence: str) -> str:
    """The sentence in words that the grammar may read, for where it does not read these."""
    return _rewritten(sentence, "otherwise")


def _rewritten(sentence: str, heading: str) -> str:
    for pattern, to in _table()[heading]:
        sentence = pattern.sub(partial(_put, to), sentence)
    return sentence


def _put(to: str, said: re.Match[str]) -> str:
    """What it is rewritten to; groups that stand in braces there become bare verbs."""
    bare = re.sub(r"\{\\(\d)\}", lambda group: re.sub(r"\w+", _bare, said[int(group[1])]), to)
    return said.expand(bare)


def _bare(word: re.Match[str]) -> str:
    return _BARE.get(word[0].lower(), word[0])


@cache
def _table() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """By heading: patterns, and what they are rewritten to."""
    fragments: dict[str, str] = {}
    found: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    heading = said = ""
    for line in Path(__file__).with_name("rephrasings.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            heading = line[2:]
            found[heading] = []
        elif line.startswith("  >") and heading == "fragments":
            fragments[said] = line[4:]
        elif line.startswith("  >"):
            for name, text in fragments.items():
                said = said.replace(f"<{name}>", text)
            found[heading].append((re.compile(said, re.IGNORECASE), line[4:] or " "))
        elif not line.startswith("#"):
            said = line
    return found

"""What the name of an ROI says: polarity, words, command, structure.

+anything       include, whatever the position says        -anything    exclude
?left parotid   words for the segmenter                    !undo        a command, or any sentence
GTVp            a structure: made if new, and addressed    other        the active structure
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from osirix_agent.imaging.structure import MAX_NAME_LENGTH, structure_name
from osirix_agent.prompting.command import NAMED_COMMANDS, understand
from osirix_agent.prompting.intent import Command
from osirix_agent.prompting.prompt import Polarity

__all__ = ["COMMANDS", "TAKES_NAME", "Command", "RoiName", "parse_command", "parse_roi_name"]

COMMANDS = {
    "start": "say that the agent is there",
    "propose": "read what is drawn now, without waiting for it to rest, and propose",
    "undo": "take the last step back",
    "redo": "do it again",
    "accept": "make the active structure's contour final",
    "reopen": "let an accepted structure be changed again",
    "reject": "drop the active structure's proposal and prompts",
    "lock": "protect a structure: nothing will overlap it",
    "unlock": "let it be changed again",
    "release": "give the edited slices of a structure back to the agent",
    "isolines": "show or hide the isolines",
    "all": "show isolines on every slice, or only around the displayed one",
    "next": "show the slice on which the active structure's outline is least sure",
    "refine": "take ROIs of that name that were there before as the contour to start from",
    "use": "make a structure the active one",
    "new": "begin a structure that is not there yet",
    "show": "show the isolines",
    "hide": "hide the isolines",
    "status": "say what the active structure has",
    "help": "list the commands",
    "quit": "leave without accepting",
}
TAKES_NAME = NAMED_COMMANDS | {"use", "new", "rename"}


@dataclass(frozen=True)
class RoiName:
    """A parsed ROI name.

    Attributes
    ----------
    polarity : Polarity or None
        None: the position decides.
    structure : str or None
        None: the active structure.
    text : str or None
        Words of a `?` name.
    command : str or None
        The sentence of a `!` name.
    """

    polarity: Polarity | None = None
    structure: str | None = None
    text: str | None = None
    command: str | None = None


def parse_roi_name(name: str, known: Collection[str] = ()) -> RoiName:
    """Read an ROI name; never fails (a name that says nothing addresses the active structure).

    Parameters
    ----------
    known : collection of str
        Structures of the session: these names address them even if they are in no vocabulary.
    """
    text = name.strip()
    if text.startswith("?"):
        return RoiName(text=text[1:].strip())
    if text.startswith("!"):
        return RoiName(command=text[1:].strip())
    polarity = None
    if text[:1] in {"+", "-"}:
        polarity = Polarity.INCLUDE if text[0] == "+" else Polarity.EXCLUDE
        text = text[1:].strip()
    if len(text) > MAX_NAME_LENGTH:
        return RoiName(polarity)
    return RoiName(polarity, text if text in known else structure_name(text))


def parse_command(text: str) -> Command | None:
    """`undo`, `lock GTVp`, ...; None when it is not exactly one command, understood without a doubt."""
    done = understand(text.strip().lstrip("!")).to_be_done
    return done[0] if len(done) == 1 and isinstance(done[0], Command) else None

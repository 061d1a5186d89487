"""Sentences to acts: what was understood is carried out on the session, the rest is asked back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from osirix_agent.agent.acts import Acts
from osirix_agent.agent.commands import Commands
from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.request import Sentence
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.shapes import Rings, beside, edited, shape_prompt
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.prompting.command import NAMED_COMMANDS, understand
from osirix_agent.prompting.guesser import Chooser, else_guessed
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
from osirix_agent.prompting.prompt import PointPrompt, Polarity, Prompt, TextPrompt
from osirix_agent.segmenter.protocol import Capabilities

_EDITED = "Edited; undo takes it back."


class Dictation:
    """Carries out sentences.

    Parameters
    ----------
    shown : mapping of structure to the belief the clinician sees (live)
    do : callable
        Carries out a command; says what happened.
    settle : callable
        Brings the proposals up to date.
    chooser : Chooser or None
    """

    def __init__(
        self, session: ContouringSession, main: Window, shown: Mapping[str, Belief], can: Capabilities, log: SessionLog,
        feedback: Feedback, commands: Commands, acts: Acts, do: Callable[[Command], str], settle: Callable[[], None],
        chooser: Chooser | None = None,
    ) -> None:  # fmt: skip
        self._session, self._main, self._shown, self._can = session, main, shown, can
        self._log, self._feedback, self._commands, self._acts = log, feedback, commands, acts
        self._do, self._settle, self._chooser = do, settle, chooser
        self._pending: tuple[Intent, ...] = ()

    def hear(self, sentence: Sentence) -> str:
        """Understand a sentence and carry it out, or go on with one that OsiriX interrupted.

        Raises
        ------
        PromptError
            It is asked back, and nothing was done; or an intent cannot be carried out: those before it were.
        """
        self.understand(sentence)
        assert sentence.left is not None
        while sentence.left:
            try:
                sentence.said.append(self._act(sentence.left[0]))
            except PromptError as error:
                done = f" Done before it: {len(sentence.said)} of {len(sentence.said) + len(sentence.left)}."
                sentence.left.clear()
                raise PromptError(error.what, error.cure + (done if sentence.said else "")) from None
            sentence.left.popleft()
        return " ".join(dict.fromkeys(one for one in sentence.said if one))

    def understand(self, sentence: Sentence) -> None:
        """What a sentence asks for, once; nothing is done yet.

        Raises
        ------
        PromptError
            It is asked back.
        """
        if sentence.left is None:
            sentence.left = deque(self._understood(sentence))
            self._log.said(sentence.left, sentence.heard, sentence.text)

    def known(self) -> set[str]:
        """Names that a sentence may call structures by."""
        state = self._session.state
        return {*state.structures, state.active, *self._commands.baseline_names()}

    def _understood(self, sentence: Sentence) -> tuple[Intent, ...]:
        known = self.known()
        found = else_guessed(understand(sentence.text, known, sentence.heard), self._chooser, known)
        pending, self._pending = self._pending, ()
        if not found.questions and len(found.intents) == 1 and isinstance(found.intents[0], Reply):
            if not pending:
                raise PromptError("Nothing was asked.", "Say what is to be done.")
            if not found.intents[0].yes:
                raise PromptError("Nothing was done.", "Say what is to be done.")
            return pending
        if found.questions:
            raise PromptError(" ".join(dict.fromkeys(q.text for q in found.questions)), "Nothing was done.")
        if found.doubtful:
            self._pending = found.intents
            raise _confirmation(found.intents)
        return found.intents

    # -- each kind of intent ---------------------------------------------------------------------------------
    def _act(self, intent: Intent) -> str:
        match intent:
            case Command():
                return self._command(intent)
            case Contour():
                return self._contour(intent)
            case Here():
                return self._here(intent)
            case Part():
                return self._part(intent)
            case Edit() | Crop() | Fill() | Copy() | Slab():
                return self._edit(intent)
            case Go():
                return self._go(intent)
            case Rename():
                return self._rename(intent)
            case Reply():
                raise PromptError("'Yes' and 'no' are answers of their own.", "Say them alone.")

    def _command(self, command: Command) -> str:
        verb, session = command.verb, self._session
        if verb == "new":
            if command.name in self.known() and session.state.structure(str(command.name)).is_asked:
                raise PromptError(
                    "There is a structure of that name already.", "Say 'use' and its name to go on with it."
                )
            self._do(Command("use", command.name))
            return "A new structure is the active one. Click or draw in it."
        if verb in NAMED_COMMANDS and command.name is not None and command.name not in self.known():
            raise PromptError("There is no structure of that name.", "Say the name of one that is there.")
        if verb == "undo" and command.times > session.history.depth:
            raise PromptError(f"Only {session.history.depth} steps can be undone.", "Nothing was undone.")
        said = ""
        for _ in range(command.times):
            said = self._do(replace(command, times=1))
        return said

    def _contour(self, intent: Contour) -> str:
        name, state = intent.structure, self._session.state.structure(intent.structure)
        self._do(Command("use", name))
        asked = any(isinstance(record.prompt, TextPrompt) for record in state.prompts)
        if name not in self._can.structures or asked or state.is_closed:
            return "That structure is the active one. Click or draw in it."
        self._add(name, TextPrompt(phrase=name))
        return "Contouring it by name."

    def _rename(self, intent: Rename) -> str:
        session = self._session
        old = intent.structure or session.state.active
        if intent.name in self.known():
            raise PromptError("There is a structure of that name already.", "Choose another name.")
        if not session.state.structure(old).is_asked and old in self._commands.baseline_names():
            raise PromptError("That contour was there before.", "Rename its ROIs in OsiriX, or say 'refine' first.")
        active = session.state.active
        self._do(Command("use", old))
        try:
            return self._do(Command("rename", intent.name))
        except PromptError:
            self._do(Command("use", active))
            raise

    def _here(self, intent: Here) -> str:
        target = intent.structure or self._session.state.active
        held = self._session.state.structure(self._session.state.active)
        records = [r for r in held.prompts if isinstance(r.prompt, PointPrompt) and not r.consumed]
        if not records:
            raise PromptError("There is no click to go by.", "Click first, then say whether it is in or out.")
        last = max(records, key=lambda record: record.number)
        if last.prompt.polarity is intent.polarity and target == held.name:
            return "The last click says so already."
        prompt = last.prompt.model_copy(update={"polarity": intent.polarity})
        self._session.change_prompt(last.number, prompt, last.roi, target)
        self._log.prompt("changed", replace(last, prompt=prompt), target, self._acts.displayed_k)
        return "The last click is " + ("included." if intent.polarity is Polarity.INCLUDE else "excluded.")

    def _part(self, intent: Part) -> str:
        name = intent.structure or self._session.state.active
        if intent.part == name:
            raise PromptError("A structure is no part of itself.", "Name another structure.")
        if self._seen(intent.part):
            return self._edit(intent)
        if intent.polarity is Polarity.EXCLUDE and intent.part in self._can.structures:
            self._add(name, TextPrompt(phrase=intent.part, polarity=Polarity.EXCLUDE))
            return "Excluded by name."
        raise PromptError(
            "That structure has no contour, and the segmenter has not learnt to find it.", "Contour it first, or draw."
        )

    def _edit(self, intent: Edit | Crop | Part | Slab | Fill | Copy) -> str:
        self._settle()
        session, volume = self._session, self._session.volume
        name = getattr(intent, "structure", None) or session.state.active
        shown_as, at = self._main.viewer.slice_shown_as, self._acts.displayed_k
        session.check_open(name)
        seen, other = self._seen(name), {}
        if not seen and not (isinstance(intent, Slab) and intent.how == "include"):
            raise PromptError(
                "That structure has no contour yet.", "Click, draw or name it first ('refine' takes yours)."
            )
        if isinstance(intent, Crop | Part):
            other = self._seen(intent.to if isinstance(intent, Crop) else intent.part)
            if not other:
                raise PromptError("The other structure has no contour.", "Contour it first.")
        hers = set(session.state.structure(name).edits)
        if isinstance(intent, Copy) and beside(intent, at, volume, shown_as) in hers:
            raise PromptError("That slice is yours: you edited it.", "Say 'release' first to give it back.")
        if hers >= set(seen) and isinstance(intent, Edit):
            raise PromptError("Every slice of it is yours.", "Say 'release' first to give them back.")
        made = edited(intent, seen, other, volume, name, at, shown_as)
        self._add(name, shape_prompt(made, volume, _words(intent)))
        self._acts.click_at = None
        kept = f" {len(hers)} slices that you edited stay as they are." if hers else ""
        return f"{_EDITED}{kept}"

    def _go(self, intent: Go) -> str:
        if self._main.watcher.drawing:
            raise PromptError("A shape is still being drawn.", "Finish it first.")
        viewer, count = self._main.viewer, self._session.volume.geometry.shape_kji[0]
        if intent.slice is not None:
            k = viewer.slice_shown_as(intent.slice)
        else:
            k = self._acts.displayed_k + intent.step * (viewer.slice_shown_as(2) - viewer.slice_shown_as(1))
        if not 0 <= k < count:
            raise PromptError(f"There is no such slice: they are numbered 1 to {count}.", "Say another number.")
        viewer.show_slice(k)
        self._acts.displayed_k = k
        return ""

    # -- helpers of these ------------------------------------------------------------------------------------
    def _add(self, name: str, prompt: Prompt) -> None:
        record = self._session.add_prompt(name, prompt)
        self._log.prompt("added", record, name, self._acts.displayed_k)

    def _seen(self, name: str) -> Rings:
        """A structure's contour as she sees it, slice by slice."""
        geometry = self._session.volume.geometry
        slices = self._commands.seen(name, self._shown)
        return {k: tuple(geometry.to_kji(ring)[:, 1:] for ring in rings) for k, rings in slices.items() if rings}


def _words(intent: Intent) -> str:
    """The edit in canonical words, without any structure's name: it goes into the journal."""
    match intent:
        case Edit():
            return " ".join([intent.how, f"{intent.mm:g} mm", *intent.directions, *_other_amounts(intent)])
        case Slab():
            return f"{intent.how} {intent.side}"
        case Part():
            return f"{intent.polarity.value} part"
        case _:
            return intent.kind


def _other_amounts(intent: Edit) -> list[str]:
    return [f"but {mm:g} mm {way}" for way, mm in intent.but]


def _confirmation(intents: tuple[Intent, ...]) -> PromptError:
    return PromptError(f"Did you mean: {', '.join(map(_told, intents))}?", "Say 'yes' or 'no'.")


def _told(intent: Intent) -> str:
    """An intent with what it is of, so that she knows to what she says yes."""
    name = getattr(intent, "structure", None)
    match intent:
        case Command():
            times = f"{intent.times} times" if intent.times > 1 else ""
            return " ".join(filter(None, (intent.verb, intent.name, times)))
        case Contour():
            return f"contour {intent.structure}"
        case Part():
            return f"{intent.polarity.value} {intent.part}{_of(name)}"
        case Here():
            return f"{intent.polarity.value} the last click{_of(name)}"
        case Slab():
            where = "this slice" if intent.slice is None else f"slice {intent.slice}"
            return f"{intent.how} everything {intent.side} {where}{_of(name)}"
        case Crop():
            return f"crop {name or ''} to {intent.to}".replace("  ", " ")
        case Rename():
            return f"rename {name or ''} to {intent.name}".replace("  ", " ")
        case Go():
            return f"go to slice {intent.slice}" if intent.slice is not None else f"go {intent.step:+d} slices"
        case Edit():
            ways = ", ".join(intent.directions)
            return " ".join(filter(None, (intent.how, name, f"{intent.mm:g} mm", ways, *_other_amounts(intent))))
        case Copy():
            return (
                f"copy{_of(name)} to the slice {intent.to}"
                if intent.to in ("above", "below")
                else (f"copy{_of(name)} to the {intent.to} slice")
            )
        case _:
            return f"{_words(intent)}{_of(name)}"


def _of(name: str | None) -> str:
    return f" of {name}" if name else ""

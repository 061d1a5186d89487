"""What the clinician does with ROIs, turned into steps of the session: prompts, edits, commands, rejections."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.interpret import PROMPT_TYPES, interpret, rings_lps
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.outline import added_path
from osirix_agent.agent.request import Draw, Sentence
from osirix_agent.agent.scene import CONTOUR_ROLE, PROMPT_ROLE, STALE_ROLE, prompt_key
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.state import PAGE
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import EditedMeanwhileError, OsirixAgentError, PromptError
from osirix_agent.imaging.structure import structure_name
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.grammar import Command, RoiName, parse_roi_name
from osirix_agent.prompting.intent import Contour, Part
from osirix_agent.prompting.prompt import Polarity, Prompt, TextPrompt
from osirix_agent.segmenter.seeds import check_prompt
from osirix_agent.viewer.paint import RoiKey
from osirix_agent.viewer.roi import RoiSpec, RoiState, RoiType, parse_agent_name
from osirix_agent.viewer.watch import RoiAppeared, RoiChange, RoiChanged, RoiVanished


class Acts:
    """Reads changes of ROIs.

    Parameters
    ----------
    shown : mapping of structure to the belief the clinician sees (live)
    reads_text : bool
        Can the segmenter take words?
    do : callable
        Carries out a command or a sentence; says what happened.
    outline : callable
        The outline of a structure as she sees it.
    wrote : callable
        Is it a draft that this agent announced, exactly so?
    understand : callable
        Reads a sentence, or raises what is asked back.
    clock : callable
        Monotonic seconds.

    Attributes
    ----------
    displayed_k : int
    click_at : float or None
        When the oldest act that is not yet answered was seen.
    dismissed : set of RoiKey
        Isolines that she took away.
    disturbances : int
        How often she changed what is in a viewer: an undo may bring back the state that was painted before she did.
    """

    def __init__(
        self, session: ContouringSession, shown: Mapping[str, Belief], reads_text: bool, log: SessionLog,
        feedback: Feedback, do: Callable[[Command | Sentence], str], outline: Callable[[str], Belief | None],
        wrote: Callable[[RoiSpec], bool], understand: Callable[[Sentence], None], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._wrote, self._understand = wrote, understand
        self._session, self._shown, self._reads_text = session, shown, reads_text
        self._log, self._feedback, self._do, self._outline, self._clock = log, feedback, do, outline, clock
        self.displayed_k = 0
        self.click_at: float | None = None
        self.dismissed: set[RoiKey] = set()
        self.disturbances = 0

    def act_on_all(self, window: Window) -> None:
        """Everything that waits, commands last: a correction seen together with an accept belongs before it."""
        gone = [change for change in window.waiting if isinstance(change, RoiVanished)]
        window.waiting = deque(sorted((c for c in window.waiting if c not in gone), key=_is_command))
        self._contours_vanished(window, gone)
        for one in gone:
            self._act(window, one)
        while window.waiting:
            change = window.waiting.popleft()
            try:
                self._act(window, change)
            except OsirixAgentError:  # OsiriX is busy, say: what she did is acted on when it answers again
                window.waiting.appendleft(change)
                raise

    def drawn(self, draw: Draw) -> None:
        """A prompt from the companion page: it has no ROI.

        Raises
        ------
        PromptError
            It means nothing on this image, or the structure takes no prompts; nothing was changed.
        """
        structure = draw.structure or self._session.state.active
        check_prompt(self._session.volume, draw.prompt)
        record = self._session.add_prompt(structure, draw.prompt, viewer=PAGE)
        self.click_at = self.click_at or self._clock()
        self._log.prompt("added", record, structure, self.displayed_k)

    def take_out(self, number: int) -> None:
        """An earlier prompt goes, with its ROI if that is the session's; what it did is worked out without it.

        Raises
        ------
        PromptError
            There is none of that number, or its structure is locked or accepted.
        """
        found = self._session.state.find_prompt(number)
        if found is None:
            raise PromptError("That prompt is no longer part of the session.", "Nothing was changed.")
        self._session.remove_prompt(number)
        self.click_at = self.click_at or self._clock()
        self._log.prompt("removed", found[1], found[0].name, self.displayed_k)

    def _act(self, window: Window, change: RoiChange) -> None:
        self.disturbances += 1
        try:
            match change:
                case RoiAppeared():
                    self._appeared(window, change.state)
                case RoiChanged():
                    self._changed(window, change.state, change.before)
                case RoiVanished():
                    self._vanished(window, change.before)
        except PromptError as error:
            state = change.before if isinstance(change, RoiVanished) else change.state
            window.refused.add(state.uid)
            known = state.spec.itype in PROMPT_TYPES
            self._log.refused(RoiType(state.spec.itype).name.lower() if known else "roi", error.what)
            self._feedback.notice(f"Not used: {error}")

    def _appeared(self, window: Window, state: RoiState, *, permanent: bool = False) -> None:
        spec = state.spec
        window.refused.discard(state.uid)
        if parse_agent_name(spec.name):
            if window.number == 0 and self._wrote(spec):  # a write of a killed agent that OsiriX carried out late
                window.held[RoiKey(state.uid, STALE_ROLE, spec.k)] = state
            else:  # a copy of a draft, or one brought back by OsiriX's own undo: not a prompt
                window.hers[state.uid] = None
            return
        name = parse_roi_name(spec.name, self._session.state.structures)
        if name.command is not None or (name.text is not None and self._asked(name.text) is None):
            self._command_roi(window, state, name.command or name.text or "", permanent)
            return
        if spec.itype not in PROMPT_TYPES:
            window.hers[state.uid] = None
            return
        # OsiriX would read the name back wrongly if the ROI had to be drawn anew: such a one is never taken away
        permanent = permanent or not spec.name.isascii()
        structure = name.structure or self._session.state.active
        prompt = self._read(window, state, name, structure)
        record = self._session.add_prompt(structure, prompt, viewer=window.number, roi=spec, permanent=permanent)
        if permanent:
            window.hers.pop(state.uid, None)
            window.promoted[state.uid] = record.number
        else:
            window.held[prompt_key(record.number, spec.k)] = state
        self.click_at = self.click_at or self._clock()
        self._log.prompt("added", record, structure, self.displayed_k)

    def _read(self, window: Window, state: RoiState, name: RoiName, structure: str) -> Prompt:
        if window.refusal is not None:
            raise PromptError(window.refusal, "Draw the prompt in the viewer of the series being contoured.")
        if name.text is not None:
            return self._read_text(name.text)
        shown, geometry = self._shown.get(structure), self._session.volume.geometry
        prompt = interpret(state.spec, window.viewer.pixels, name.polarity, shown, geometry)
        check_prompt(self._session.volume, prompt)
        return prompt

    def _read_text(self, text: str) -> TextPrompt:
        if not self._reads_text:
            raise PromptError(
                "This segmenter cannot read words.",
                "Click or draw instead, or choose a segmenter that reads text.",
            )
        prompt = self._asked(text)
        if prompt is None:
            raise PromptError("The words name no known structure.", "Use a TG-263 name such as 'Parotid_L'.")
        return prompt

    def _asked(self, text: str) -> TextPrompt | None:
        """The words of a `?` name as a prompt, when they name a structure and nothing else.

        Only its canonical name goes on, since typed words can hold a patient's.
        """
        found = understand(text, self._session.state.structures).to_be_done
        match found:
            case (Contour(structure=name) | Part(polarity=Polarity.EXCLUDE, part=name, structure=None),) if (
                structure_name(name) is None
            ):
                return None  # a name of the session alone may be anything
            case (Contour(structure=name),):
                return TextPrompt(phrase=name)
            case (Part(polarity=Polarity.EXCLUDE, part=name, structure=None),):
                return TextPrompt(phrase=name, polarity=Polarity.EXCLUDE)
        return None

    def _command_roi(self, window: Window, state: RoiState, text: str, permanent: bool) -> None:
        sentence = Sentence(text)
        with self._log.by("typed"):
            self._understand(sentence)
        if not permanent:  # it has done its work
            try:
                window.remove(state)
            except EditedMeanwhileError:  # gone already, or hers to keep
                window.watcher.expect({state.uid: None})
        with self._log.by("typed"):
            said = self._do(sentence)
        if said:
            self._feedback.notice(said)

    def _changed(self, window: Window, state: RoiState, before: RoiState) -> None:
        key = window.key_of(state.uid)
        number = window.promoted.get(state.uid)
        if key is not None:
            window.held[key] = state
            if key.role == CONTOUR_ROLE:
                self.edited(window, key.owner, {key.k})
                return
            if key.role == STALE_ROLE:  # she has just made it hers
                del window.held[key]
                window.hers[state.uid] = None
                return
            number = int(key.owner) if key.role == PROMPT_ROLE else None
        if number is not None:
            self._prompt_changed(window, number, state)
        elif key is None and state.uid in window.hers:
            renamed = state.spec.name != before.spec.name
            if renamed and state.spec.name[:1] in {"+", "-", "?", "!"}:
                self._appeared(window, state, permanent=True)
        elif key is None:
            self._appeared(window, state)

    def _prompt_changed(self, window: Window, number: int, state: RoiState) -> None:
        found = self._session.state.find_prompt(number)
        if found is None:
            return
        structure, record = found
        name = parse_roi_name(state.spec.name, self._session.state.structures)
        target = name.structure or structure.name
        if structure.is_closed:
            self._let_go(window, number, state)
            raise PromptError(
                "Prompts no longer change a locked or accepted structure.",
                "Unlock or reopen it, then draw the prompt again.",
            )
        if name.command is not None:  # named after it was drawn: it was never meant as a prompt
            self._drop_prompt(window, number)
            self._command_roi(window, state, name.command, permanent=state.uid in window.promoted)
            return
        kept = replace(name, polarity=name.polarity or (record.prompt.polarity if target == structure.name else None))
        try:
            if self._session.state.structure(target).is_closed:
                raise PromptError("That structure is locked or accepted.", "Unlock or reopen it first.")
            prompt = self._read(window, state, kept, target)
        except PromptError:
            self._drop_prompt(window, number)  # it no longer says anything usable; its ROI stays hers
            raise
        self._session.change_prompt(number, prompt, state.spec, target)
        self.click_at = self.click_at or self._clock()
        changed = replace(record, prompt=prompt, roi=state.spec)
        self._log.prompt("changed", changed, target, self.displayed_k)

    def _drop_prompt(self, window: Window, number: int) -> None:
        found = self._session.state.find_prompt(number)
        if found is None:
            return
        self._forget(window, number)
        if found[0].is_closed:
            self._session.let_go(number)
            self._log.prompt("let_go", found[1], found[0].name, self.displayed_k)
            return
        self._session.remove_prompt(number)
        self._log.prompt("removed", found[1], found[0].name, self.displayed_k)

    def _let_go(self, window: Window, number: int, state: RoiState) -> None:
        """The prompt's ROI is hers alone from now on; what it once said stays."""
        self._forget(window, number)
        window.hers[state.uid] = None
        found = self._session.state.find_prompt(number)
        self._session.let_go(number)
        if found is not None:
            self._log.prompt("let_go", found[1], found[0].name, self.displayed_k)

    @staticmethod
    def _forget(window: Window, number: int) -> None:
        for key in [key for key in window.held if key.role == PROMPT_ROLE and key.owner == str(number)]:
            del window.held[key]

    def edited(self, window: Window, structure: str, slices: set[int]) -> None:
        """What the window holds of the structure on these slices is hers from now on."""
        edits, before = {k: window.contour_rois(structure, k) for k in slices}, self._shown.get(structure)
        self._session.edit_slices(structure, edits)
        held = self._session.state.structure(structure)
        if held.locked:  # what she made of a locked structure is what nothing may overlap
            self._session.history.amend(
                self._session.state.with_structure(replace(held, outline=self._outline(structure) or held.outline))
            )
        self.click_at = self.click_at or self._clock()
        for n, (k, rois) in enumerate(edits.items()):
            rings = rings_lps(tuple(roi for _, roi in rois), window.viewer.pixels)
            added = added_path(before, rings, k, self._session.volume.geometry)
            self._log.edited(structure, k, rings, rois, joined=n > 0, added_path_mm=added)

    def _contours_vanished(self, window: Window, gone: list[RoiVanished]) -> None:
        """Contour ROIs she deleted, all at once: some slices are an edit, all of them a rejection."""
        keys = [key for change in gone if (key := window.key_of(change.before.uid)) and key.role == CONTOUR_ROLE]
        for key in keys:
            del window.held[key]
        for structure in dict.fromkeys(key.owner for key in keys):
            if window.has_contour(structure):
                self.edited(window, structure, {key.k for key in keys if key.owner == structure})
            elif self._session.state.structure(structure).is_asked:
                try:
                    self._do(Command("reject", structure))
                except PromptError:  # locked: it is painted again
                    self._feedback.notice("is locked: its contour comes back.", structure)

    def _vanished(self, window: Window, before: RoiState) -> None:
        uid, key = before.uid, window.key_of(before.uid)
        window.hers.pop(uid, None)
        window.refused.discard(uid)
        if uid in window.promoted:
            self._drop_prompt(window, window.promoted.pop(uid))
        elif key is not None and key.role == PROMPT_ROLE:
            self._drop_prompt(window, int(key.owner))
        elif key is not None:
            del window.held[key]
            if key.role == STALE_ROLE:
                return
            self.dismissed.add(key)  # an isoline she does not want to see


def _is_command(change: RoiChange) -> bool:
    return not isinstance(change, RoiVanished) and change.state.spec.name.startswith("!")

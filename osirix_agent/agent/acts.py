"""What the clinician does with ROIs, turned into steps of the session: prompts, edits, commands, rejections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.interpret import PROMPT_TYPES, interpret, rings_lps
from osirix_agent.agent.leftovers import SessionLedger
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.scene import CONTOUR_ROLE, PROMPT_ROLE, prompt_key
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.structure import structure_name
from osirix_agent.prompting.grammar import COMMANDS, Command, RoiName, parse_command, parse_roi_name
from osirix_agent.prompting.prompt import Prompt, TextPrompt
from osirix_agent.segmenter.seeds import check_prompt
from osirix_agent.viewer.paint import RoiKey
from osirix_agent.viewer.roi import RoiState, RoiType
from osirix_agent.viewer.watch import RoiAppeared, RoiChange, RoiChanged, RoiVanished


class Acts:
    """Reads changes of ROIs.

    Parameters
    ----------
    shown : mapping of structure to the belief the clinician sees (live)
    reads_text : bool
        Can the segmenter take words?
    do : callable
        Carries out a command.
    clock : callable
        Monotonic seconds.

    Attributes
    ----------
    displayed_k : int
    click_at : float or None
        When the oldest act that is not yet answered was seen.
    dismissed : set of RoiKey
        Isolines that she took away.
    """

    def __init__(
        self, session: ContouringSession, shown: Mapping[str, Belief], reads_text: bool, ledger: SessionLedger,
        log: SessionLog, feedback: Feedback, do: Callable[[Command], None], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._session, self._shown, self._reads_text = session, shown, reads_text
        self._ledger, self._log, self._feedback, self._do, self._clock = ledger, log, feedback, do, clock
        self.displayed_k = 0
        self.click_at: float | None = None
        self.dismissed: set[RoiKey] = set()

    def act(self, window: Window, change: RoiChange) -> None:
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
        if window.number == 0 and self._ledger.wrote(spec):
            window.remove(state)  # a write of ours that landed after its deadline
            return
        name = parse_roi_name(spec.name, self._session.state.structures)
        if name.command is not None:
            self._command_roi(window, state, name.command, permanent)
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
        phrase = structure_name(text)
        if phrase is None:  # only a canonical phrase may go on: typed words can hold a name
            raise PromptError("The words name no known structure.", "Use a TG-263 name such as 'Parotid_L'.")
        return TextPrompt(phrase=phrase)

    def _command_roi(self, window: Window, state: RoiState, text: str, permanent: bool) -> None:
        command = parse_command(text)
        if command is None:
            raise PromptError(f"'{text[:20]}' is no command.", f"Commands: {', '.join(COMMANDS)}.")
        if not permanent:  # it has done its work
            window.remove(state)
        self._do(command)

    def _changed(self, window: Window, state: RoiState, before: RoiState) -> None:
        key = window.key_of(state.uid)
        number = window.promoted.get(state.uid)
        if key is not None:
            window.held[key] = state
            if key.role == CONTOUR_ROLE:
                self._edited(window, key.owner, key.k)
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
        kept = replace(
            name, polarity=name.polarity or record.prompt.polarity, structure=name.structure or structure.name
        )
        try:
            prompt = self._read(window, state, kept, structure.name)
        except PromptError:
            self._drop_prompt(window, number)  # it no longer says anything usable; its ROI stays hers
            raise
        self._session.change_prompt(number, prompt, state.spec, kept.structure)
        self.click_at = self.click_at or self._clock()
        self._log.prompt("changed", replace(record, prompt=prompt), kept.structure or structure.name, self.displayed_k)

    def _drop_prompt(self, window: Window, number: int) -> None:
        found = self._session.state.find_prompt(number)
        if found is None:
            return
        self._session.remove_prompt(number)
        for key in [key for key in window.held if key.role == PROMPT_ROLE and key.owner == str(number)]:
            del window.held[key]
        self._log.prompt("removed", found[1], found[0].name, self.displayed_k)

    def _edited(self, window: Window, structure: str, k: int) -> None:
        rois = window.contour_rois(structure, k)
        self._session.edit_slice(structure, k, rois)
        self.click_at = self.click_at or self._clock()
        self._log.edited(structure, k, rings_lps(rois, window.viewer.pixels))

    def _vanished(self, window: Window, before: RoiState) -> None:
        uid, key = before.uid, window.key_of(before.uid)
        window.hers.pop(uid, None)
        window.refused.discard(uid)
        if uid in window.promoted:
            self._drop_prompt(window, window.promoted.pop(uid))
        if key is None:
            return
        del window.held[key]
        if key.role == PROMPT_ROLE:
            self._drop_prompt(window, int(key.owner))
        elif key.role != CONTOUR_ROLE:
            self.dismissed.add(key)  # an isoline she does not want to see
        elif window.has_contour(key.owner):
            self._edited(window, key.owner, key.k)
        elif self._session.state.structure(key.owner).is_asked:
            self._do(Command("reject", key.owner))

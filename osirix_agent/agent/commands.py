"""Commands of the session: undo, accept, lock and the like, by whatever way they come."""

from __future__ import annotations

from collections.abc import Mapping

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.outline import RingsLps, lps_rings, outline_belief, structure_outline
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import FloatArray
from osirix_agent.prompting.grammar import COMMANDS, TAKES_NAME, Command, parse_roi_name
from osirix_agent.prompting.prompt import LassoPrompt, MaskPrompt
from osirix_agent.segmenter.seeds import check_prompt
from osirix_agent.settings import Settings
from osirix_agent.viewer.roi import RoiType


class Commands:
    """Carries out commands on a session; holds the display switches.

    Attributes
    ----------
    isolines_on, isolines_everywhere : bool
    stopped : bool
        `quit` was given.
    """

    def __init__(
        self, session: ContouringSession, main: Window, log: SessionLog, feedback: Feedback, settings: Settings
    ) -> None:
        self._session, self._main, self._log, self._feedback = session, main, log, feedback
        self._consume = settings.remove_prompts_on_accept
        self.isolines_on = settings.isolines_shown
        self.isolines_everywhere = False
        self.stopped = False

    def do(self, command: Command, shown: Mapping[str, Belief]) -> None:
        """One command.

        Raises
        ------
        PromptError
            It cannot be done now; nothing was changed.
        """
        session, name = self._session, command.name or self._session.state.active
        match command.verb:
            case "undo" | "redo":
                step = session.history.undo if command.verb == "undo" else session.history.redo
                if not step():
                    raise PromptError(f"There is nothing to {command.verb}.", "Nothing was changed.")
            case "accept":
                session.accept(name, shown.get(name), consume_prompts=self._consume)
                self._feedback.notice("accepted.", name)
            case "reopen":
                session.reopen(name)
            case "reject":
                session.reject(name)
            case "lock":
                session.set_locked(name, shown.get(name), self.outline(name, shown))
            case "unlock":
                session.unlock(name)
            case "release":
                session.release(name)
            case "refine":
                self._refine(name)
            case "use":
                session.use(name)
            case "isolines":
                self.isolines_on = not self.isolines_on
            case "all":
                self.isolines_everywhere, self.isolines_on = not self.isolines_everywhere, True
            case "help":
                self._feedback.notice("\n".join(f"{verb:10s}{text}" for verb, text in COMMANDS.items()))
            case "quit":
                self.stopped = True
        self._log.command(command.verb, name if command.verb in TAKES_NAME else None)

    def outline(self, name: str, shown: Mapping[str, Belief]) -> Belief | None:
        """What nothing may overlap once the structure is locked; written to the journal for replay."""
        structure, pixels = self._session.state.structure(name), self._main.viewer.pixels
        if structure.is_asked:
            slices = structure_outline(structure, shown.get(name), pixels)
        else:
            slices = self._baseline(name)
        belief = outline_belief(slices, self._session.volume.geometry)
        if belief is not None:
            self._log.locked(name, belief.mask_digest, slices)
        return belief

    def _refine(self, name: str) -> None:
        slices = self._baseline(name)
        if not slices:
            raise PromptError("No closed outline of that name was there before.", "Draw one, or name one that exists.")
        lassos = tuple(LassoPrompt(rings_lps=rings) for _, rings in sorted(slices.items()))
        prompt = MaskPrompt(slices=lassos)
        check_prompt(self._session.volume, prompt)
        record = self._session.add_prompt(name, prompt)
        self._log.prompt("added", record, name, -1)

    def _baseline(self, name: str) -> dict[int, RingsLps]:
        """Closed outlines of her ROIs of that name, by slice."""
        found: dict[int, list[FloatArray]] = {}
        for uid in self._main.hers:
            state = self._main.watcher.reported.get(uid)
            if state is None or state.spec.itype == RoiType.BOX:
                continue
            named = parse_roi_name(state.spec.name, {name}).structure or state.spec.name
            if named == name:
                rings = [ring for ring in self._main.viewer.pixels.rings_of(state.spec) if len(ring) >= 3]
                if rings:
                    found.setdefault(state.spec.k, []).extend(rings)
        return {k: lps_rings(rings, k, self._main.viewer.pixels) for k, rings in found.items()}

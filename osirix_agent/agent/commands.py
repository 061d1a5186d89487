"""Commands of the session: undo, accept, lock and the like, by whatever way they come."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import FloatArray, fill
from osirix_agent.prompting.grammar import COMMANDS, TAKES_NAME, Command, parse_roi_name
from osirix_agent.prompting.prompt import LassoPrompt, MaskPrompt
from osirix_agent.settings import Settings
from osirix_agent.viewer.roi import RoiType

CERTAIN_LOGIT = 10.0


class Commands:
    """Carries out commands on a session; holds the display switches.

    Attributes
    ----------
    isolines_on, isolines_everywhere : bool
    stopped : bool
        `quit` was given.
    """

    def __init__(
        self,
        session: ContouringSession,
        main: Window,
        log: SessionLog,
        feedback: Feedback,
        settings: Settings,
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
                self._feedback.notice(f"{name} accepted.")
            case "reject":
                session.reject(name)
            case "lock":
                session.set_locked(name, True, None if session.state.structure(name).is_asked else self._given(name))
            case "unlock":
                session.set_locked(name, False)
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

    def _given(self, name: str) -> Belief | None:
        """Outline of her ROIs of that name, as a certain belief."""
        slices = self._baseline(name)
        if not slices:
            return None
        shape = self._session.volume.geometry.shape_kji
        low, high = min(slices), max(slices) + 1
        logit = np.full((high - low, *shape[1:]), -CERTAIN_LOGIT, np.float32)
        for k, rings in slices.items():
            logit[k - low][fill(rings, shape[1:])] = CERTAIN_LOGIT
        belief = Belief(logit, (low, 0, 0), shape, "clinician")
        pixels = self._main.viewer.pixels
        placed = {k: [pixels.ring_lps(k, ring) for ring in rings] for k, rings in slices.items()}
        self._log.locked(name, belief.mask_digest, placed)
        return belief

    def _refine(self, name: str) -> None:
        pixels = self._main.viewer.pixels
        slices = self._baseline(name)
        if not slices:
            raise PromptError(f"No ROI named '{name}' was there before.", "Draw an outline, or name one that exists.")
        lassos = []
        for k, rings in sorted(slices.items()):
            placed = [[(float(x), float(y), float(z)) for x, y, z in pixels.ring_lps(k, ring)] for ring in rings]
            lassos.append(LassoPrompt(rings_lps=tuple(tuple(ring) for ring in placed)))
        record = self._session.add_prompt(name, MaskPrompt(slices=tuple(lassos)))
        self._log.prompt("added", record, name, -1)

    def _baseline(self, name: str) -> dict[int, list[FloatArray]]:
        """Closed outlines of her ROIs of that name, by slice."""
        slices: dict[int, list[FloatArray]] = {}
        for uid in self._main.hers:
            state = self._main.watcher.reported.get(uid)
            if state is None or state.spec.itype == RoiType.BOX:
                continue
            named = parse_roi_name(state.spec.name, {name}).structure or state.spec.name
            rings = self._main.viewer.pixels.rings_of(state.spec)
            if named == name and rings:
                slices.setdefault(state.spec.k, []).extend(rings)
        return slices

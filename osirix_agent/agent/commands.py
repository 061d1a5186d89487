"""Commands of the session: undo, accept, lock and the like, by whatever way they come."""

from __future__ import annotations

from collections.abc import Mapping

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.look import Looks
from osirix_agent.agent.outline import RingsLps, lps_rings, outline_belief, structure_outline
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.sight import Seen
from osirix_agent.agent.verdict import verdict_said, volume_said
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import FloatArray
from osirix_agent.prompting.grammar import COMMANDS, TAKES_NAME, Command, parse_roi_name
from osirix_agent.prompting.prompt import LassoPrompt, MaskPrompt
from osirix_agent.segmenter.seeds import check_prompt
from osirix_agent.settings import Settings
from osirix_agent.viewer.roi import RoiType

# what the one who pressed a button reads: never a structure's name, which is the clinician's own text
SAID = {
    "start": "The agent is already running.",
    "undo": "The last step is taken back.",
    "redo": "The step is done again.",
    "accept": "Accepted.",
    "reopen": "Open again.",
    "reject": "Rejected; undo brings it back.",
    "lock": "Locked.",
    "unlock": "Unlocked.",
    "release": "The edited slices are the agent's again.",
    "refine": "The outline that was there is taken to start from.",
    "use": "That structure is the active one.",
    "rename": "Renamed; undo takes it back.",
    "help": "The commands are listed in the terminal.",
    "quit": "Leaving.",
}


class Commands:
    """Carries out commands on a session; holds the display switches.

    Attributes
    ----------
    isolines_on, isolines_everywhere : bool
    stopped : bool
        `quit` was given.
    eyes : Seen or None
        What she has looked at, as far as her eyes are watched.
    plain : frozenset of structure
        Those of which a study does not show the uncertainty.
    """

    def __init__(
        self, session: ContouringSession, main: Window, log: SessionLog, feedback: Feedback, settings: Settings
    ) -> None:
        self._session, self._main, self._log, self._feedback = session, main, log, feedback
        self._consume = settings.remove_prompts_on_accept
        self.isolines_on = settings.isolines_shown
        self.isolines_everywhere = False
        self.stopped = False
        self.eyes: Seen | None = None
        self.plain: frozenset[str] = frozenset()
        self._looks = Looks()

    def do(self, command: Command, shown: Mapping[str, Belief]) -> str:
        """One command; says what happened.

        Raises
        ------
        PromptError
            It cannot be done now; nothing was changed.
        """
        session, name = self._session, command.name or self._session.state.active
        said = SAID.get(command.verb, "")
        match command.verb:
            case "propose":
                said = self._proposed(name, shown)
            case "next":
                said = self._next_look(name, shown)
            case "status":
                said = self._status(name, shown)
            case "undo" | "redo":
                step = session.history.undo if command.verb == "undo" else session.history.redo
                if not step():
                    raise PromptError(f"There is nothing to {command.verb}.", "Nothing was changed.")
            case "accept":
                held, seen = session.state.structure(name), self._seen_belief(name, shown)
                session.accept(name, shown.get(name), consume_prompts=self._consume)
                self._log.decided("accepted", held, seen)
                self._feedback.notice("accepted.", name)
            case "reopen":
                session.reopen(name)
            case "reject":
                held = session.state.structure(name)
                session.reject(name)
                self._log.decided("rejected", held, shown.get(name))
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
            case "rename":
                session.rename(session.state.active, name)
            case "isolines":
                self.isolines_on = not self.isolines_on
                said = "Isolines are shown." if self.isolines_on else "Isolines are hidden."
            case "show" | "hide":
                if self.isolines_on != (command.verb == "show"):
                    return self.do(Command("isolines"), shown)
                return "Isolines are shown." if self.isolines_on else "Isolines are hidden."
            case "new":
                return self.do(Command("use", name), shown)
            case "all":
                self.isolines_everywhere, self.isolines_on = not self.isolines_everywhere, True
                where = "on every slice" if self.isolines_everywhere else "around the displayed slice"
                said = f"Isolines are shown {where}."
            case "help":
                self._feedback.notice("\n".join(f"{verb:10s}{text}" for verb, text in COMMANDS.items()))
            case "quit":
                self.stopped = True
        self._log.command(command.verb, name if command.verb in TAKES_NAME else None)
        return said

    def _proposed(self, name: str, shown: Mapping[str, Belief]) -> str:
        structure = self._session.state.structure(name)
        if name not in shown and not structure.edits:
            raise PromptError("There is nothing to propose from.", "Click or draw on the structure first.")
        return "The proposal is up to date."

    def _next_look(self, name: str, shown: Mapping[str, Belief]) -> str:
        if self._main.watcher.drawing:
            raise PromptError("A shape is still being drawn.", "Finish it first.")  # scrolling would end it
        belief = shown.get(name)
        geometry = self._session.volume.geometry
        hers, look = self._session.state.structure(name).edits, None
        if belief is not None:  # what her eyes rested on comes last
            if self.eyes is not None:
                look = self._looks.next(belief, {*hers, *self.eyes.reviewed}, geometry, name, self.eyes.places)
            look = look or self._looks.next(belief, hers, geometry, name)
        if look is None:
            raise PromptError("There is no uncertain slice to show.", "Click or draw on the structure first.")
        self._main.viewer.show_slice(look.k)
        return look.reason

    def _status(self, name: str, shown: Mapping[str, Belief]) -> str:
        structure, belief = self._session.state.structure(name), shown.get(name)
        words = [f"{len(structure.prompts)} prompts", f"{len(structure.edits)} edited slices"]
        words.append("no contour yet" if belief is None else f"contour on {len(belief.slices())} slices")
        words += [word for word, holds in (("locked", structure.locked), ("accepted", structure.accepted)) if holds]
        said = f"The active structure has {', '.join(words)}."
        if belief is not None:
            geometry = self._session.volume.geometry
            if name in self.plain:
                said = f"{said} It is {belief.volume_mm3(geometry) / 1000:.1f} cm3."
            else:
                said = f"{said} It is {volume_said(belief, geometry)}; {verdict_said(belief)}."
        return said

    def outline(self, name: str, shown: Mapping[str, Belief]) -> Belief | None:
        """What nothing may overlap once the structure is locked; written to the journal for replay."""
        slices = self.seen(name, shown)
        belief = outline_belief(slices, self._session.volume.geometry)
        if belief is not None:
            self._log.locked(name, belief.mask_digest, slices)
        return belief

    def _seen_belief(self, name: str, shown: Mapping[str, Belief]) -> Belief | None:
        """A structure as she sees it, voxel by voxel."""
        if not self._session.state.structure(name).is_asked:
            return None
        return outline_belief(self.seen(name, shown), self._session.volume.geometry)

    def seen(self, name: str, shown: Mapping[str, Belief]) -> dict[int, RingsLps]:
        """A structure's contour by slice: what the session shows of it, else her ROIs of that name."""
        structure = self._session.state.structure(name)
        if structure.is_asked:
            return structure_outline(structure, shown.get(name), self._main.viewer.pixels)
        return self._baseline(name)

    def baseline_names(self) -> set[str]:
        """Names of the ROIs that are hers."""
        held = (self._main.watcher.reported.get(uid) for uid in self._main.hers)
        return {parse_roi_name(state.spec.name).structure or state.spec.name for state in held if state is not None}

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

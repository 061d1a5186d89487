"""The running session: one thread owns the state, everything that changes it comes through here.

A step polls the viewers, turns changes into prompts, edits and commands, computes what is missing, and paints the
difference between what should be in the viewer and what is. It never paints while a shape is being drawn.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.interpret import PROMPT_TYPES, interpret, rings_lps
from osirix_agent.agent.leftovers import SessionLedger, clear_leftovers
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.scene import (
    CONTOUR_ROLE,
    PROMPT_ROLE,
    Look,
    prompt_key,
    wanted_at_exit,
    wanted_prompts,
    wanted_rois,
)
from osirix_agent.agent.session import ContouringSession
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import (
    EditedMeanwhileError,
    OsirixAgentError,
    PromptError,
    ViewerClosedError,
    ViewerRefusedError,
    ViewerTimeoutError,
)
from osirix_agent.imaging.contour import fill
from osirix_agent.imaging.structure import structure_name
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.grammar import COMMANDS, Command, parse_command, parse_roi_name
from osirix_agent.prompting.prompt import TextPrompt
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest, Segmenter
from osirix_agent.settings import Settings
from osirix_agent.viewer.paint import DeleteRoi, NoLedger, PaintPlan, RoiKey, make_plan
from osirix_agent.viewer.protocol import Viewer
from osirix_agent.viewer.roi import RoiState, RoiType
from osirix_agent.viewer.watch import RoiAppeared, RoiChange, RoiChanged, RoiVanished, Watcher

CACHED_BELIEFS = 48
_BACKGROUND_LOGIT = 10.0


@dataclass(eq=False)
class Window:
    """One viewer the engine watches.

    Attributes
    ----------
    held : mapping of key to ROI
        What is known to be there because of the session: contours, isolines, her prompts.
    hers : list of uid
        Her other ROIs, oldest first: never touched.
    refused : uids of ROIs that were refused, until they change
    """

    number: int
    viewer: Viewer
    watcher: Watcher
    refusal: str | None = None
    held: dict[RoiKey, RoiState] = field(default_factory=dict)
    hers: dict[str, None] = field(default_factory=dict)

    def key_of(self, uid: str) -> RoiKey | None:
        return next((key for key, state in self.held.items() if state.uid == uid), None)

    def prompt_uids(self) -> list[str]:
        return [state.uid for key, state in self.held.items() if key.role == PROMPT_ROLE]


@dataclass(frozen=True, eq=False)
class _Answer:
    request: SegmentationRequest
    belief: Belief | None
    error: PromptError | None
    segment_ms: float


@dataclass(frozen=True)
class Timing:
    """Milliseconds of the last click, by stage."""

    segment_ms: float = 0.0
    plan_ms: float = 0.0
    paint_ms: float = 0.0
    total_ms: float = 0.0
    writes: int = 0


class Engine:
    """Runs a session on a bound viewer.

    Parameters
    ----------
    viewer : Viewer
    volume : Volume
    segmenter : Segmenter
    log : SessionLog
    ledger : SessionLedger
    feedback : Feedback
    settings : Settings
    run : str
        Six hexadecimal digits that mark this run's drafts.
    executor : Executor or None
        Where proposals are computed; None: in the step itself.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, viewer: Viewer, volume: Volume, segmenter: Segmenter, log: SessionLog, ledger: SessionLedger,
        feedback: Feedback, settings: Settings, run: str, *, executor: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.session = ContouringSession(volume, settings.structure)
        self.settings = settings
        self.run = run
        self.last_timing = Timing()
        self.rpc_polls = 0
        self._segmenter, self._log, self._ledger, self._feedback = segmenter, log, ledger, feedback
        self._executor, self._clock = executor, clock
        self._windows = [Window(0, viewer, Watcher(clock, settings.polygon_settle_s))]
        self._inbox: SimpleQueue[Command | _Answer] = SimpleQueue()
        self._beliefs: OrderedDict[str, Belief | PromptError] = OrderedDict()
        self._shown: dict[str, Belief] = {}
        self._wanted_digest: dict[str, str] = {}
        self._in_flight: set[str] = set()
        self._look_on = settings.isolines_shown
        self._look_all = False
        self._dismissed: set[RoiKey] = set()
        self._displayed_k = 0
        self._click_at: float | None = None
        self._active_at = clock()
        self._needs_paint = False
        self._said: str | None = None
        self._stop = False

    # -- beginning and end -----------------------------------------------------------------------------------
    def start(self) -> None:
        """Clear leftovers of killed runs and take what is there as the baseline."""
        window = self._windows[0]
        snapshot = window.viewer.snapshot(full=True)
        removed, kept = clear_leftovers(window.viewer, self._ledger, snapshot)
        if removed:
            self._feedback.notice(f"Cleared {removed} draft ROIs that an earlier run left behind.")
            snapshot = window.viewer.snapshot(full=True)
        if kept:
            self._feedback.notice(f"{kept} ROIs look like drafts of an earlier run but were edited since: they stay.")
        self._adopt_baseline(window, snapshot.rois)
        self._displayed_k = snapshot.displayed_k

    def finish(self, reason: str = "quit") -> None:
        """Take drafts and isolines away; accepted contours, edited slices and her ROIs stay."""
        window = self._windows[0]
        for attempt in range(3):
            try:
                self._observe(window, at_once=True, full=True)
                self._paint_window(
                    window, wanted_at_exit(self.session.state, self._shown, window.viewer.pixels, self.run)
                )
                break
            except EditedMeanwhileError:
                if attempt == 2:
                    raise
        self._ledger.clear()
        self._log.ended(reason, tuple(s.name for s in self.session.state.structures.values() if s.accepted))

    def run_until_stopped(self) -> None:
        """Poll and act until `quit`: fast after activity, slower otherwise, at once when an answer arrives."""
        while not self._stop:
            self.step()
            idle = self._clock() - self._active_at > self.settings.watch_idle_after_s
            period = 1.0 / (self.settings.watch_idle_hz if idle else self.settings.watch_active_hz)
            try:
                self._inbox.put(self._inbox.get(timeout=period))
            except Empty:
                continue

    def command(self, command: Command) -> None:
        """Queue a command from outside (terminal, script); safe from any thread."""
        self._inbox.put(command)

    @property
    def stopped(self) -> bool:
        return self._stop

    @property
    def pending(self) -> bool:
        """Is an answer or a painting still to come?"""
        return bool(self._in_flight) or self._needs_paint or any(w.watcher.drawing for w in self._windows)

    def belief(self, structure: str) -> Belief | None:
        """What is shown for a structure."""
        return self._shown.get(structure)

    def add_companion(self, viewer: Viewer, reason: str | None) -> None:
        """Watch a second viewer; with a reason, its prompts are refused with it."""
        window = Window(
            len(self._windows), viewer, Watcher(self._clock, self.settings.polygon_settle_s), refusal=reason
        )
        self._windows.append(window)
        self._adopt_baseline(window, viewer.snapshot(full=True).rois)

    # -- a step ----------------------------------------------------------------------------------------------
    def step(self) -> None:
        """One turn of the loop.

        Raises
        ------
        ViewerClosedError, SeriesChangedError, NoServerError, JournalError
            The session cannot go on; `finish` may still clean up where there is a viewer.
        """
        self.rpc_polls += 1
        try:
            for window in list(self._windows):
                self._poll(window)
            self._drain()
            self._compute()
            self._drain()
            self._paint()
            self._said = None
        except ViewerTimeoutError as error:  # a dialog is open in OsiriX: wait, say so once
            self._say_once(str(error))
        except EditedMeanwhileError:
            self._needs_paint = True  # the next poll sees her edit; then paint what is still to be painted

    def _poll(self, window: Window) -> None:
        try:
            self._observe(window)
        except ViewerClosedError:
            if window.number == 0:
                raise
            self._windows.remove(window)
            self._feedback.notice("A second viewer was closed; its prompts stay part of the session.")

    def _observe(self, window: Window, *, at_once: bool = False, full: bool = False) -> None:
        skip = frozenset(
            state.uid for key, state in window.held.items() if key.role not in (CONTOUR_ROLE, PROMPT_ROLE)
        )
        snapshot = window.viewer.snapshot(full=full, skip=skip)
        if window.number == 0 and snapshot.displayed_k != self._displayed_k:
            self._displayed_k = snapshot.displayed_k
            self._needs_paint = self._needs_paint or (self._look_on and not self._look_all and bool(self._shown))
            self._active_at = self._clock()
        changes = window.watcher.observe(snapshot, at_once=at_once)
        if changes or window.watcher.drawing:
            self._active_at = self._clock()
        for change in changes:
            self._act(window, change)

    def _act(self, window: Window, change: RoiChange) -> None:
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
            window.hers[state.uid] = None
            self._log.refused(RoiType(state.spec.itype).name.lower() if state.spec.itype in PROMPT_TYPES else "roi", error.what)
            self._feedback.notice(f"Not used: {error}")

    # -- what she does ---------------------------------------------------------------------------------------
    def _appeared(self, window: Window, state: RoiState, *, permanent: bool = False) -> None:
        spec = state.spec
        if window.number == 0 and self._ledger.wrote(spec):
            # a write of ours that landed after its deadline
            window.viewer.apply(PaintPlan((DeleteRoi(RoiKey("", "stray", spec.k), state),)), NoLedger())
            window.watcher.expect({state.uid: None})
            return
        name = parse_roi_name(spec.name, self.session.state.structures)
        if name.command is not None:
            self._command_roi(window, state, name.command, permanent)
            return
        if spec.itype not in PROMPT_TYPES:
            window.hers[state.uid] = None
            return
        if window.refusal is not None:
            raise PromptError(window.refusal, "Draw the prompt in the viewer of the series being contoured.")
        structure = name.structure or self.session.state.active
        if name.text is not None:
            prompt: Any = self._read_text(name.text)
        else:
            prompt = interpret(
                spec, window.viewer.pixels, name.polarity, self._shown.get(structure), self.session.volume.geometry
            )
            self._check(prompt)
        record = self.session.add_prompt(
            structure, prompt, viewer=window.number, roi=spec, permanent=permanent
        )
        window.held[prompt_key(record.number, spec.k)] = state
        window.hers.pop(state.uid, None)
        self._click_at = self._click_at or self._clock()
        self._log.prompt("added", record, structure, self._displayed_k)

    def _read_text(self, text: str) -> TextPrompt:
        if not self._segmenter.capabilities.text:
            raise PromptError(
                "This segmenter cannot read words.", "Click or draw instead, or choose a segmenter that reads text."
            )
        phrase = structure_name(text)
        if phrase is None:  # only a canonical phrase may go on: typed words can hold a name
            raise PromptError("The words name no known structure.", "Use a TG-263 name such as 'Parotid_L'.")
        return TextPrompt(phrase=phrase)

    def _check(self, prompt: Any) -> None:
        """Refuse at once what no segmenter could use: positions outside the image."""
        from osirix_agent.segmenter.seeds import check_prompt

        check_prompt(self.session.volume, prompt)

    def _command_roi(self, window: Window, state: RoiState, text: str, permanent: bool) -> None:
        command = parse_command(text)
        if command is None:
            raise PromptError(f"'{text[:20]}' is no command.", f"Commands: {', '.join(COMMANDS)}.")
        if not permanent:  # it has done its work
            window.viewer.apply(PaintPlan((DeleteRoi(RoiKey("", "command", state.spec.k), state),)), NoLedger())
            window.watcher.expect({state.uid: None})
        self._do(command)

    def _changed(self, window: Window, state: RoiState, before: RoiState) -> None:
        key = window.key_of(state.uid)
        if key is None:
            renamed = state.spec.name != before.spec.name
            was_baseline = state.uid in window.hers
            marked = state.spec.name[:1] in {"+", "-", "?", "!"}
            if not was_baseline or (renamed and marked):
                self._appeared(window, state, permanent=was_baseline)
            return
        window.held[key] = state
        if key.role == CONTOUR_ROLE:
            self._edited(window, key.owner, key.k)
        elif key.role == PROMPT_ROLE:
            self._prompt_changed(window, int(key.owner), state)

    def _prompt_changed(self, window: Window, number: int, state: RoiState) -> None:
        found = self.session.state.find_prompt(number)
        if found is None:
            return
        structure, record = found
        name = parse_roi_name(state.spec.name, self.session.state.structures)
        prompt = interpret(
            state.spec, window.viewer.pixels, name.polarity or record.prompt.polarity, None, self.session.volume.geometry
        )
        self._check(prompt)
        self.session.change_prompt(number, prompt, state.spec, name.structure)
        changed = self.session.state.find_prompt(number)
        if changed is not None:
            self._log.prompt("changed", changed[1], changed[0].name, self._displayed_k)
        self._click_at = self._click_at or self._clock()
        del structure

    def _edited(self, window: Window, structure: str, k: int) -> None:
        rois = tuple(
            state.spec
            for key, state in sorted(window.held.items(), key=lambda item: item[0].ordinal)
            if key.owner == structure and key.role == CONTOUR_ROLE and key.k == k
        )
        self.session.edit_slice(structure, k, rois)
        self._click_at = self._click_at or self._clock()
        self._log.edited(structure, k, rings_lps(rois, window.viewer.pixels))

    def _vanished(self, window: Window, before: RoiState) -> None:
        key = window.key_of(before.uid)
        window.hers.pop(before.uid, None)
        if key is None:
            return
        del window.held[key]
        if key.role == PROMPT_ROLE:
            found = self.session.state.find_prompt(int(key.owner))
            if found is not None:
                self.session.remove_prompt(int(key.owner))
                self._log.prompt("removed", found[1], found[0].name, self._displayed_k)
        elif key.role == CONTOUR_ROLE:
            left = any(other.owner == key.owner and other.role == CONTOUR_ROLE for other in window.held)
            if left:
                self._edited(window, key.owner, key.k)
            elif self.session.state.structure(key.owner).is_asked:
                self._do(Command("reject", key.owner))
        else:
            self._dismissed.add(key)

    # -- commands --------------------------------------------------------------------------------------------
    def _drain(self) -> None:
        while True:
            try:
                item = self._inbox.get_nowait()
            except Empty:
                return
            if isinstance(item, _Answer):
                self._answered(item)
                continue
            try:
                self._do(item)
            except PromptError as error:
                self._feedback.notice(f"Not done: {error}")

    def _do(self, command: Command) -> None:
        session, name = self.session, command.name or self.session.state.active
        self._active_at = self._clock()
        match command.verb:
            case "undo" | "redo":
                moved = session.history.undo() if command.verb == "undo" else session.history.redo()
                if not moved:
                    raise PromptError(f"There is nothing to {command.verb}.", "Nothing was changed.")
            case "accept":
                self._accept(name)
            case "reject":
                session.reject(name)
            case "lock":
                session.set_locked(name, True, self._given_outline(name))
            case "unlock":
                session.set_locked(name, False)
            case "release":
                session.release(name)
            case "refine":
                self._refine(name)
            case "use":
                session.use(name)
            case "isolines":
                self._look_on = not self._look_on
                self._dismissed.clear()
            case "all":
                self._look_all, self._look_on = not self._look_all, True
            case "help":
                self._feedback.notice("\n".join(f"!{verb:9s}{text}" for verb, text in COMMANDS.items()))
            case "quit":
                self._stop = True
        self._needs_paint = True
        self._log.command(command.verb, name if command.verb not in ("undo", "redo", "help", "quit") else None)

    def _accept(self, name: str) -> None:
        self._observe(self._windows[0], at_once=True, full=True)  # her very last edit counts
        self._compute(wait=True)
        self.session.accept(name, consume_prompts=self.settings.remove_prompts_on_accept)
        self._feedback.notice(f"{name} accepted.")

    def _given_outline(self, name: str) -> Belief | None:
        """Outline of ROIs of that name that were there before, as a certain belief."""
        slices = self._baseline_slices(name)
        if not slices:
            return None
        shape = self.session.volume.geometry.shape_kji
        logit = np.full(shape, -_BACKGROUND_LOGIT, np.float32)
        for k, rings in slices.items():
            logit[k][fill(rings, shape[1:])] = _BACKGROUND_LOGIT
        low = min(slices)
        cut = np.ascontiguousarray(logit[low : max(slices) + 1])
        belief = Belief(cut, (low, 0, 0), shape, "clinician")
        pixels = self._windows[0].viewer.pixels
        self._log.locked(name, belief.mask_digest, {k: [pixels.ring_lps(k, r) for r in rings] for k, rings in slices.items()})
        return belief

    def _baseline_slices(self, name: str) -> dict[int, list[Any]]:
        window = self._windows[0]
        slices: dict[int, list[Any]] = {}
        for uid in window.hers:
            state = window.watcher.reported.get(uid)
            if state is None:
                continue
            named = parse_roi_name(state.spec.name, {name}).structure or state.spec.name
            rings = window.viewer.pixels.rings_of(state.spec)
            if named == name and rings and state.spec.itype != RoiType.BOX:
                slices.setdefault(state.spec.k, []).extend(rings)
        return slices

    def _refine(self, name: str) -> None:
        from osirix_agent.prompting.prompt import LassoPrompt, MaskPrompt

        pixels = self._windows[0].viewer.pixels
        slices = self._baseline_slices(name)
        if not slices:
            raise PromptError(f"No ROI named '{name}' was there before.", "Draw an outline, or name one that exists.")
        lassos = tuple(
            LassoPrompt(rings_lps=tuple(tuple(map(tuple, pixels.ring_lps(k, ring).tolist())) for ring in rings))
            for k, rings in sorted(slices.items())
        )
        record = self.session.add_prompt(name, MaskPrompt(slices=lassos))
        self._log.prompt("added", record, name, self._displayed_k)

    # -- proposals -------------------------------------------------------------------------------------------
    def _fixed(self) -> dict[str, tuple[FixedSlice, ...]]:
        pixels = self._windows[0].viewer.pixels
        return {
            name: tuple(
                FixedSlice(k=k, rings_lps=rings_lps(rois, pixels)) for k, rois in sorted(structure.edits.items())
            )
            for name, structure in self.session.state.structures.items()
        }

    def _compute(self, *, wait: bool = False) -> None:
        """Bring every structure's belief up to its request: locked ones first, since others depend on them."""
        state = self.session.state
        for name in [n for n in self._shown if n not in state.structures]:
            del self._shown[name]
            self._wanted_digest.pop(name, None)
            self._needs_paint = True
        fixed = self._fixed()
        order = sorted(state.structures.values(), key=lambda s: not s.locked)
        for structure in order:
            request = self.session.request(structure.name, self._shown, fixed)
            if request is None:
                if self._shown.pop(structure.name, None) is not None:
                    self._needs_paint = True
                self._wanted_digest.pop(structure.name, None)
                continue
            if structure.accepted and structure.name in self._shown and self._is_current(structure.name, request):
                continue
            self._wanted_digest[structure.name] = request.digest
            known = self._beliefs.get(request.digest)
            if known is not None:
                self._beliefs.move_to_end(request.digest)
                self._show(structure.name, known)
            elif self._executor is None or wait:
                answer = _segment(self._segmenter, request)
                self._answered(answer)
            elif not self._in_flight:  # one at a time: what is newest when it ends goes next
                self._in_flight.add(request.digest)
                future = self._executor.submit(_segment, self._segmenter, request)
                future.add_done_callback(self._deliver)

    def _is_current(self, name: str, request: SegmentationRequest) -> bool:
        return self._wanted_digest.get(name) == request.digest

    def _deliver(self, future: Future[_Answer]) -> None:
        if future.cancelled():
            return
        self._inbox.put(future.result())

    def _answered(self, answer: _Answer) -> None:
        digest, name = answer.request.digest, answer.request.structure
        self._in_flight.discard(digest)
        self._beliefs[digest] = answer.belief if answer.belief is not None else answer.error or _unknown()
        while len(self._beliefs) > CACHED_BELIEFS:
            self._beliefs.popitem(last=False)
        self._log.proposed(answer.request, answer.belief, answer.error, answer.segment_ms)
        self.last_timing = replace(self.last_timing, segment_ms=answer.segment_ms)
        if self._wanted_digest.get(name) == digest:
            self._show(name, self._beliefs[digest])
        self._needs_paint = True

    def _show(self, name: str, found: Belief | PromptError) -> None:
        if isinstance(found, PromptError):
            if self._shown.pop(name, None) is not None:
                self._needs_paint = True
            self._say_once(f"{name}: {found}")
        elif self._shown.get(name) is not found:
            self._shown[name] = found
            self._dismissed = {key for key in self._dismissed if key.owner != name}
            self._needs_paint = True

    # -- painting --------------------------------------------------------------------------------------------
    def _look(self) -> Look:
        if not self._look_on:
            return Look((50,), range(0))
        near = self.settings.isoline_slices
        around = range(self._displayed_k - near, self._displayed_k + near + 1)
        return Look(self.settings.isoline_levels, None if self._look_all else around)

    def _paint(self) -> None:
        if not self._needs_paint and not self._state_differs():
            return
        if any(window.watcher.drawing for window in self._windows) or self._in_flight:
            return
        began = time.perf_counter()
        state = self.session.state
        total, slices = 0, set()
        plan_s = 0.0
        for window in self._windows:
            start = time.perf_counter()
            if window.number == 0:
                wanted = wanted_rois(state, self._shown, window.viewer.pixels, self.run, self._look())
                wanted = {key: spec for key, spec in wanted.items() if key not in self._dismissed}
            else:
                wanted = wanted_prompts(state, window.number)
            plan_s += time.perf_counter() - start
            plan = self._paint_window(window, wanted)
            total += len(plan.writes)
            slices |= plan.slices
        self._needs_paint = False
        paint_ms = (time.perf_counter() - began - plan_s) * 1e3
        clicked, self._click_at = self._click_at, None
        waited = None if clicked is None else (self._clock() - clicked) * 1e3
        self.last_timing = Timing(self.last_timing.segment_ms, plan_s * 1e3, paint_ms, waited or 0.0, total)
        if total:
            self._log.painted(total, len(slices), plan_s * 1e3, paint_ms, waited)

    def _state_differs(self) -> bool:
        """Are her prompts in the viewers other than the state has them (after undo and the like)?"""
        for window in self._windows:
            held = {key for key in window.held if key.role == PROMPT_ROLE}
            if held != set(wanted_prompts(self.session.state, window.number)) | self._permanent_keys(window):
                return True
        return False

    def _permanent_keys(self, window: Window) -> set[RoiKey]:
        return {key for key in window.held if key.role == PROMPT_ROLE and self._is_permanent(key)}

    def _is_permanent(self, key: RoiKey) -> bool:
        return int(key.owner) in self._permanent_numbers()

    def _permanent_numbers(self) -> set[int]:
        return {
            record.number
            for structure in self.session.state.structures.values()
            for record in structure.prompts
            if record.permanent
        }

    def _paint_window(self, window: Window, wanted: Mapping[RoiKey, Any]) -> PaintPlan:
        held = {key: state for key, state in window.held.items() if state.uid not in window.hers and not (
            key.role == PROMPT_ROLE and self._is_permanent(key)
        )}  # fmt: skip
        plan = make_plan(wanted, held)
        if not plan.writes:
            return plan
        try:
            receipt = window.viewer.apply(plan, self._ledger if window.number == 0 else NoLedger())
        except ViewerRefusedError:
            self._rebind(window)
            raise
        window.watcher.expect({w.before.uid: None for w in plan.writes if isinstance(w, DeleteRoi)})
        for key, state in receipt.held.items():
            if state is None:
                window.held.pop(key, None)
            else:
                window.held[key] = state
                window.watcher.expect({state.uid: state})
        window.viewer.restore_pens([*window.hers, *window.prompt_uids()])
        return plan

    def _rebind(self, window: Window) -> None:
        """After a plan was rolled back, find again what it deleted and drew anew (same ROI, other uid)."""
        snapshot = window.viewer.snapshot(full=True)
        lost = {key: state for key, state in window.held.items() if state.uid not in snapshot.rois}
        known = {state.uid for state in window.held.values()}
        for key, state in lost.items():
            for uid, found in snapshot.rois.items():
                if uid not in known and found.spec.name == state.spec.name and found.spec.same_shape(state.spec):
                    window.held[key] = found
                    window.watcher.expect({state.uid: None, uid: found})
                    known.add(uid)
                    break

    def _adopt_baseline(self, window: Window, rois: Mapping[str, RoiState]) -> None:
        window.watcher.expect(dict(rois))
        window.hers.update(dict.fromkeys(rois))

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._feedback.notice(text)


def _segment(segmenter: Segmenter, request: SegmentationRequest) -> _Answer:
    began = time.perf_counter()
    try:
        belief, error = segmenter.propose(request), None
    except PromptError as refusal:
        belief, error = None, refusal
    except OsirixAgentError as failure:
        belief, error = None, PromptError(failure.what, failure.cure)
    return _Answer(request, belief, error, (time.perf_counter() - began) * 1e3)


def _unknown() -> PromptError:
    return PromptError("The segmenter gave no answer.", "Undo the last prompt and try another one.")

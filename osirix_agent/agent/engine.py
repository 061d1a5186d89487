"""The running session: one thread owns the state, and everything that changes it comes through here.

A step looks at the viewers, turns what changed into prompts, edits and commands, brings the proposals up to date, and
paints the difference between what should be in the viewer and what is. It never paints while a shape is being drawn.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue

from osirix_agent.agent.acts import Acts
from osirix_agent.agent.commands import Commands
from osirix_agent.agent.dictation import Dictation
from osirix_agent.agent.eyes import Eyes
from osirix_agent.agent.feedback import Feedback
from osirix_agent.agent.interpret import fixed_slices
from osirix_agent.agent.leftovers import SessionLedger, clear_leftovers
from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.proposals import Answer, Proposals
from osirix_agent.agent.recognition import Hers, known_from, recognise
from osirix_agent.agent.request import Calibrate, Draw, Request, Sentence, Show, TakeOut, Turn, Wish
from osirix_agent.agent.resuming import Resumption, names_in
from osirix_agent.agent.scene import (
    Look,
    wanted_at_exit,
    wanted_prompts,
    wanted_rois,
)
from osirix_agent.agent.session import ContouringSession
from osirix_agent.agent.sight import Sight, Timing
from osirix_agent.agent.state import SessionState
from osirix_agent.agent.study import Study
from osirix_agent.agent.verdict import verdict_said, volume_said
from osirix_agent.agent.window import Window
from osirix_agent.belief.belief import Belief
from osirix_agent.belief.gate import Judgement
from osirix_agent.errors import (
    EditedMeanwhileError,
    JournalError,
    NoServerError,
    OsirixAgentError,
    PromptError,
    SeriesChangedError,
    UnsupportedSeriesError,
    ViewerClosedError,
    ViewerError,
    ViewerRefusedError,
    ViewerTimeoutError,
)
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.gaze.sample import Tracker
from osirix_agent.prompting.grammar import Command
from osirix_agent.prompting.guesser import Chooser
from osirix_agent.prompting.prompt import ShapePrompt
from osirix_agent.record.events import Event, Proposed
from osirix_agent.segmenter.protocol import FixedSlice, Segmenter
from osirix_agent.settings import Settings
from osirix_agent.viewer.paint import NoLedger, RoiKey
from osirix_agent.viewer.protocol import Viewer
from osirix_agent.viewer.roi import RoiSpec

COMPANION_PERIOD_S = 3.0
FIRST_LOOK_S, LONGEST_WAIT_S = 0.5, 10.0  # between two looks for an OsiriX or a series that is away
LOST = (NoServerError, ViewerClosedError, SeriesChangedError)


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
    chooser : Chooser or None
        Guesses, to be confirmed, what a sentence means that the grammar does not understand.

    Attributes
    ----------
    on_accept : callable
        Told of the state after every accept, and at the end.
    """

    def __init__(
        self, viewer: Viewer, volume: Volume, segmenter: Segmenter, log: SessionLog, ledger: SessionLedger,
        feedback: Feedback, settings: Settings, run: str, *, executor: Executor | None = None,
        clock: Callable[[], float] = time.monotonic, chooser: Chooser | None = None,
    ) -> None:  # fmt: skip
        self.session = ContouringSession(volume, settings.structure)
        self.settings, self.run, self.last_timing = settings, run, Timing()
        self._log, self._ledger, self._feedback = log, ledger, feedback
        log.geometry = volume.geometry
        self._clock = clock
        self._windows = [Window(0, viewer, clock, settings.polygon_settle_s)]
        self._gone: list[Window] = []  # companions that were closed: they may be opened again
        self._numbers = count(1)  # a number is never given twice: prompts keep theirs when a viewer goes
        self._inbox: SimpleQueue[Request | Answer] = SimpleQueue()
        self._arrived: deque[Request | Answer] = deque()
        self._proposals = Proposals(segmenter, executor, self._inbox.put, self._log_answer, self._tell_error)
        self._commands = Commands(self.session, self._windows[0], log, feedback, settings)
        self._study = Study(settings, log)
        self._acts = Acts(
            self.session, self._proposals.seen, segmenter.capabilities.text, log, feedback, self._do,
            lambda name: self._commands.outline(name, self._proposals.shown), ledger.wrote,
            lambda sentence: self._dictation.understand(sentence), clock,
        )  # fmt: skip
        self._dictation = Dictation(
            self.session, self._windows[0], self._proposals.shown, segmenter.capabilities, log, feedback,
            self._commands, self._acts, self._do, self._settle, chooser,
        )  # fmt: skip
        self.on_accept: Callable[[SessionState], object] = lambda _: None
        self._painted: tuple[object, ...] = ()
        self._look_closely = False
        self._active_at = clock()
        self._said: str | None = None
        self._judged: dict[str, Judgement] = {}
        self._find_companions: Callable[[], None] | None = None
        self._found_at = 0.0
        self._find_again: Callable[[], Viewer] | None = None
        self._wait_s: float | None = None  # while the viewer is away: how long until the next look
        self._look_at_s = 0.0
        self._show: Callable[[Sight], None] | None = None
        self._shown_last: tuple[object, ...] = ()
        self._flipped = False
        self._eyes: Eyes | None = None

    # -- beginning and end -----------------------------------------------------------------------------------
    def start(self) -> None:
        """Clear leftovers of killed runs and take what is there as the baseline."""
        main = self._windows[0]
        snapshot = main.viewer.snapshot(full=True)
        removed, kept = clear_leftovers(main.viewer, self._ledger, snapshot)
        if removed:
            self._feedback.notice(f"Cleared {removed} draft ROIs that an earlier run left behind.")
            snapshot = main.viewer.snapshot(full=True)
        if kept:
            self._feedback.notice(f"{kept} ROIs look like drafts of an earlier run but were edited since: they stay.")
        main.adopt_baseline(snapshot.rois)
        self._log.baseline(state.spec for state in snapshot.rois.values())
        self._acts.displayed_k = snapshot.displayed_k
        self._painted = self._picture()

    def start_from(self, shapes: Sequence[tuple[str, ShapePrompt]]) -> None:
        """Propose these shapes; each is a step that can be undone."""
        for name, shape in shapes:
            record = self.session.add_prompt(name, shape)
            self._log.prompt("added", record, name, self._acts.displayed_k)

    def resume(self, events: Sequence[Event]) -> None:
        """Go on with a session that was cut short, instead of `start`.

        Raises
        ------
        JournalError
            It does not come out as it was; this engine must not be used.
        """
        main = self._windows[0]
        rois = main.viewer.snapshot(full=True).rois
        specs = [state.spec for state in rois.values()]

        def beliefs() -> Mapping[str, Belief]:
            self._proposals.update(self.session, self._fixed_slices, wait=True)
            return self._proposals.shown

        with self._log.muted():
            hers = Resumption(
                self.session, list(rois.values()), main.viewer.pixels, self._log,
                names_in(specs, {self.settings.structure, *self._ledger.structures}), self._ledger.drew, beliefs,
                lambda name: self.session.request(name, self._fixed_slices()),
                lambda verb: self._commands.do(Command(verb), self._proposals.shown),
            ).replay(events)  # fmt: skip
            self._commands.stopped = False
            beliefs()
        recorded = {event.request_digest for event in events if isinstance(event, Proposed)}
        for answer in self._proposals.current:  # it was being worked out when the agent was killed
            if answer.request.digest not in recorded:
                self._log_answer(answer)
        self._log.resumed("agent")
        self.rebind(main.viewer, hers)
        self._feedback.notice("The session that was cut short goes on.")

    def finish(self, reason: str = "quit") -> None:
        """Take drafts and isolines away; accepted contours, edited slices and her ROIs stay."""
        main = self._windows[0]
        failure: JournalError | None = None
        for attempt in range(3):
            try:
                self._look_at(main, at_once=True, full=True)
            except JournalError as error:  # a full disk is no reason to leave drafts behind
                failure = error
            except EditedMeanwhileError:
                main.waiting.clear()
            try:
                main.paint(wanted_at_exit(self.session.state, main.viewer.pixels, self.run), self._ledger)
                break
            except EditedMeanwhileError:
                if attempt == 2:
                    raise
        self._ledger.clear()
        if failure is not None:
            raise failure
        self.on_accept(self.session.state)
        accepted = tuple(s.name for s in self.session.state.structures.values() if s.accepted)
        self._log.ended(reason, accepted)

    def run_until_stopped(self) -> None:
        """Poll and act until `quit`: fast after activity, slower otherwise, at once when an answer arrives."""
        while not self.stopped:
            self.turn()
            idle = self._clock() - self._active_at > self.settings.watch_idle_after_s
            period = 1.0 / (self.settings.watch_idle_hz if idle else self.settings.watch_active_hz)
            with suppress(Empty):
                self._arrived.append(self._inbox.get(timeout=period))
        if self._wait_s is None:
            self.step()  # what was said before the quit still counts

    def command(self, command: Command) -> None:
        """Queue a command from the terminal; safe from any thread. `quit` counts at once."""
        self.ask(Request(command))

    def ask(self, request: Request) -> None:
        """Queue a command whose answer somebody may wait for; safe from any thread."""
        command = request.command
        if (
            isinstance(command, Command) and command.verb == "quit" and not request.from_button
        ):  # leaving does not wait for a busy OsiriX
            self._commands.stopped = True
        self._inbox.put(request)

    def names(self) -> set[str]:
        """What a sentence may call structures by; on the session's thread (elsewhere ask `Command("names")`)."""
        return self._dictation.known()

    @property
    def stopped(self) -> bool:
        return self._commands.stopped

    @property
    def pending(self) -> bool:
        """Is an answer, a painting, or the end of a drawing still to come?"""
        drawing = any(window.watcher.drawing for window in self._windows)
        return bool(self._proposals.in_flight) or drawing or self._painted != self._picture()

    def belief(self, structure: str) -> Belief | None:
        """What is shown for a structure."""
        return self._proposals.seen.get(structure)

    def show_to(self, show: Callable[[Sight], None]) -> None:
        """Give `show` what the session looks like, now and whenever that changes, on the session's thread."""
        self._show, self._shown_last = show, ()

    def watch_eyes(self, tracker: Tracker) -> None:
        """From now on take note of how long she looks at each slice, and where on a page that is calibrated."""
        self._eyes = Eyes(tracker, self._log, self.session.volume.geometry)

    def add_companion(self, viewer: Viewer, refusal: str | None) -> None:
        """Watch a second viewer; with a reason, its prompts are refused with it."""
        former = next((one for one in self._gone if _same_series(one.viewer, viewer)), None)
        if former is not None:
            self._rebind(former, viewer, {})
            self._gone.remove(former)
        else:
            former = Window(next(self._numbers), viewer, self._clock, self.settings.polygon_settle_s, refusal)
            former.adopt_baseline(viewer.snapshot(full=True).rois)
        self._windows.append(former)

    def look_for_companions(self, find: Callable[[], None]) -> None:
        """Call `find` now and every few seconds while stepping: it adds viewers that were opened since."""
        self._find_companions = find
        self._found_at = self._clock()
        find()

    # -- when OsiriX or the series goes away -----------------------------------------------------------------
    def wait_for(self, find_again: Callable[[], Viewer]) -> None:
        """From now on a lost viewer is waited for: `find_again` gives the session's series, or raises why not."""
        self._find_again = find_again

    @property
    def lost(self) -> bool:
        """Is the viewer away?"""
        return self._wait_s is not None

    def turn(self) -> None:
        """A step; or, while the viewer is away, a look for it when it is time for one."""
        if self._wait_s is None:
            try:
                self.step()
                return
            except LOST as error:
                if self._find_again is None:
                    raise
                self._wait_s, self._look_at_s = FIRST_LOOK_S, self._clock()
                self._publish()
                self._say_once(f"{error} Waiting; nothing is lost.")
        if self._find_again is not None and self._clock() >= self._look_at_s:
            try:
                self._come_back(self._find_again())
            except (ViewerError, UnsupportedSeriesError) as error:
                self._say_once(f"{error} Waiting; nothing is lost.")
                self._look_at_s = self._clock() + self._wait_s
                self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _come_back(self, viewer: Viewer) -> None:
        if viewer is not self._windows[0].viewer:
            self.rebind(viewer)
            self._log.resumed("viewer")
        self._wait_s, self._said, self._painted = None, None, ()
        self._active_at = self._clock()
        self._feedback.notice("OsiriX is back: the session goes on.")

    def rebind(self, viewer: Viewer, hers: Hers | None = None) -> None:
        """Go on with the session where the same series has been opened again: the same slices under other uids."""
        main, shown, twins = self._windows[0], self._study.visible(self._proposals.seen), self._twins_in(viewer)
        numbers = {twin.number for twin in twins}
        self.session.bring_home(lambda record: record.viewer in numbers)
        wanted = wanted_rois(self.session.state, shown, viewer.pixels, self.run, self._look())
        self._rebind(main, viewer, wanted, hers, twins)
        self._windows = [one for one in self._windows if one not in twins]
        self._gone = [one for one in self._gone if one not in twins]

    def _twins_in(self, viewer: Viewer) -> list[Window]:
        """Companions that showed the same series, in the viewer to be bound now or in one that is closed: what was
        drawn in them is there, or was saved with the series."""
        twins = [one for one in [*self._windows[1:], *self._gone] if _same_series(one.viewer, viewer)]
        return [one for one in twins if one.viewer.uid == viewer.uid or not _is_open(one.viewer)]

    def _rebind(
        self, window: Window, viewer: Viewer, wanted: dict[RoiKey, RoiSpec], hers: Hers | None = None,
        twins: Sequence[Window] = (),
    ) -> None:  # fmt: skip
        snapshot = viewer.snapshot(full=True)
        states = self.session.history.states
        hers = hers or window.hers_now()
        known = window.known()
        for twin in twins:
            hers, known = hers.joined(twin.hers_now()), [*known, *twin.known()]
        found = recognise(
            snapshot.rois, [*known, *wanted.items(), *known_from(states, window.number)], wanted,
            hers, self._ledger.drew, self.run, {name for one in states for name in one.structures},
            self.session.state.structures,
        )  # fmt: skip
        window.rebind(viewer, snapshot.rois, found)
        self._look_closely = True  # what she drew meanwhile is read by the next poll, wherever it is
        if window.number == 0:
            self._acts.displayed_k = snapshot.displayed_k
        for structure, k in sorted(found.edited):
            self._acts.edited(window, structure, {k})

    # -- a step ----------------------------------------------------------------------------------------------
    def step(self) -> None:
        """One turn of the loop.

        Raises
        ------
        ViewerClosedError, SeriesChangedError, NoServerError, JournalError
            The session cannot go on; `finish` may still clean up where there is a viewer.
        """
        try:
            if self._find_companions is not None and self._clock() - self._found_at > COMPANION_PERIOD_S:
                self._found_at = self._clock()
                self._find_companions()
            for window in list(self._windows):
                self._poll(window, full=self._look_closely)
            self._look_closely = False
            if self._eyes is not None:
                self._eyes.read(self._acts.displayed_k)
                self._commands.eyes = self._eyes.seen
            self._drain()
            if self._eyes is not None:
                self._eyes.rest()
            self._proposals.update(self.session, self._fixed_slices)
            self._study.reveal_answered(self._proposals.shown)
            self._publish()
            self._paint()
            self._publish()
            self._log.settle(wait=False)
            self._said = None
        except ViewerTimeoutError as error:  # a dialog is open in OsiriX: wait, say so once
            self._say_once(str(error))
        except EditedMeanwhileError:
            self._painted, self._look_closely = (), True  # the next poll sees her edit; then the rest is painted
        except ViewerRefusedError as error:
            self._painted = self._picture()  # rolled back; the same picture is not tried again
            self._say_once(str(error))

    def _poll(self, window: Window, *, at_once: bool = False, full: bool = False) -> None:
        try:
            self._look_at(window, at_once=at_once, full=full)
        except (ViewerClosedError, SeriesChangedError):
            if window.number == 0:
                raise
            self._windows.remove(window)
            self._gone.append(window)
            self._feedback.notice("A second viewer was closed or changed; its prompts stay part of the session.")

    def _look_at(self, window: Window, *, at_once: bool = False, full: bool = False) -> None:
        snapshot, changes = window.observe(at_once=at_once, full=full)
        if window.number == 0:
            self._log.looking_at(snapshot.displayed_k, snapshot.level_width)
        if window.number == 0 and snapshot.displayed_k != self._acts.displayed_k:
            self._acts.displayed_k = snapshot.displayed_k
            self._active_at = self._clock()
        if changes or window.watcher.drawing:
            self._active_at = self._clock()
        window.waiting.extend(changes)
        self._acts.act_on_all(window)

    def _drain(self) -> None:
        while not self._inbox.empty():
            self._arrived.append(self._inbox.get())
        while self._arrived:
            item = self._arrived.popleft()
            if isinstance(item, Answer):
                self._proposals.take(item)
            elif item.begin():
                self._carry_out(item)

    def _carry_out(self, request: Request) -> None:
        try:
            # a button is pressed in OsiriX, where she may have turned to another patient's viewer meanwhile
            if request.from_button and not any(w.refusal is None and w.viewer.in_front() for w in self._windows):
                request.answer(
                    False, "Not done: the viewer in front is not the one being contoured. Click on that one, then "
                    "press again.", elsewhere=True,
                )  # fmt: skip
                return
            with self._log.by(request.modality):
                said = self._do(request.command)
            if isinstance(request.command, Sentence) and said and not request.from_button:
                self._feedback.notice(said)  # typed in the terminal: nobody waits for the answer
            request.answer(True, said)
        except PromptError as error:
            self._feedback.notice(f"Not done: {error}")
            request.answer(False, f"Not done: {error}")
        except (ViewerTimeoutError, EditedMeanwhileError, *LOST):
            request.put_off()
            self._arrived.appendleft(request)  # done when OsiriX answers again
            raise
        except OsirixAgentError as error:
            request.answer(False, str(error))
            raise

    def _settle(self) -> None:
        """Her very last edit counts, and is answered."""
        for window in list(self._windows):
            self._poll(window, at_once=True, full=True)
        self._proposals.update(self.session, self._fixed_slices, wait=True)

    def _do(self, command: Wish) -> str:
        self._active_at = self._clock()
        match command:
            case Sentence():
                return self._dictation.hear(command)
            case Draw():
                self._acts.drawn(command)
                return ""
            case TakeOut():
                self._acts.take_out(command.number)
                return "That prompt is taken out; undo brings it back."
            case Turn():
                return self._turn_to(command.k)
            case Calibrate() | Show():
                return self._watch(command)
        if command.verb == "names":  # asked by a speech recogniser, never said
            return json.dumps(sorted(self.names()))
        if command.verb in ("accept", "propose", "lock"):  # what is kept is an answer, not what was expected of it
            self._settle()
        if command.verb in ("isolines", "show"):
            self._acts.dismissed.clear()
        self._study.reveal_answered(self._proposals.shown)
        self._study.before(command.verb, command.name or self.session.state.active, self.session.state)
        shown = self._study.visible(self._proposals.shown)
        self._commands.plain = self._study.plain(shown)
        said = self._commands.do(command, shown)
        if command.verb == "accept":
            self.on_accept(self.session.state)
        return said

    def _watch(self, asked: Calibrate | Show) -> str:
        if self._eyes is None:
            raise PromptError("No eye tracker is watched.", "Start the session with --gaze.")
        if isinstance(asked, Calibrate):
            return self._eyes.calibrate(asked)
        self._eyes.show(asked.view)
        return ""

    def _turn_to(self, k: int) -> str:
        if self._windows[0].watcher.drawing:
            raise PromptError("A shape is still being drawn in OsiriX.", "Finish it first.")
        if not 0 <= k < self.session.volume.geometry.shape_kji[0]:
            raise PromptError("There is no such slice.", "Nothing was changed.")
        self._windows[0].viewer.show_slice(k)
        self._acts.displayed_k = k
        return ""

    # -- proposals and painting ------------------------------------------------------------------------------
    def _fixed_slices(self) -> dict[str, tuple[FixedSlice, ...]]:
        return fixed_slices(self.session.state, self._windows[0].viewer.pixels)

    def _log_answer(self, answer: Answer) -> None:
        self._log.proposed(answer.request, answer.belief, answer.error, answer.segment_ms)
        self.last_timing = replace(self.last_timing, segment_ms=answer.segment_ms)
        self._acts.dismissed = {key for key in self._acts.dismissed if key.owner != answer.request.structure}

    def _tell_error(self, name: str, error: PromptError) -> None:
        self._feedback.notice(str(error), name)

    def _look(self) -> Look:
        if not self._commands.isolines_on:
            return Look((50,), range(0), self._study.plain(self._proposals.shown))
        near, plain = self.settings.isoline_slices, self._study.plain(self._proposals.shown)
        around = range(self._acts.displayed_k - near, self._acts.displayed_k + near + 1)
        return Look(self.settings.isoline_levels, None if self._commands.isolines_everywhere else around, plain)

    def _picture(self) -> tuple[object, ...]:
        """What the viewers' content follows from; equal pictures need no painting."""
        disturbed = self._acts.disturbances + self._windows[0].late_writes
        answered = self._proposals.version + self._study.version  # both only grow
        return self.session.state, answered, self._look(), disturbed

    def _paint(self) -> None:
        picture = self._picture()
        drawing = any(window.watcher.drawing for window in self._windows)
        if picture == self._painted or drawing or (self._proposals.in_flight and not self._proposals.ahead):
            return
        began = time.perf_counter()
        main, state = self._windows[0], self.session.state
        shown = self._study.visible(self._proposals.seen)
        wanted = wanted_rois(state, shown, main.viewer.pixels, self.run, self._look())
        wanted = {key: spec for key, spec in wanted.items() if key not in self._acts.dismissed}
        planned = time.perf_counter()
        plan = main.paint(wanted, self._ledger)
        for companion in self._windows[1:]:
            with suppress(ViewerClosedError, SeriesChangedError):  # the next poll tells that it is gone
                companion.paint(wanted_prompts(state, companion.number), NoLedger())
        self._painted = picture
        plan_ms, paint_ms = (planned - began) * 1e3, (time.perf_counter() - planned) * 1e3
        clicked, self._acts.click_at = self._acts.click_at, None
        waited = None if clicked is None else (self._clock() - clicked) * 1e3
        self.last_timing = Timing(self.last_timing.segment_ms, plan_ms, paint_ms, waited or 0.0, len(plan.writes))
        if plan.writes:
            self._log.painted(len(plan.writes), len(plan.slices), plan_ms, paint_ms, waited)
        self._tell_verdicts()

    def _tell_verdicts(self) -> None:
        """Once for each that is new: a click that changes no verdict says nothing."""
        shown = self._proposals.shown
        for name, belief in self._study.visible(shown).items():
            if name in self._study.plain(shown):
                continue
            if belief.judgement is not None and self._judged.get(name) != belief.judgement:
                self._judged[name] = belief.judgement
                size = volume_said(belief, self.session.volume.geometry)
                self._feedback.notice(f"{size}; {verdict_said(belief)}.", name)

    def _publish(self) -> None:
        """Show those who look on what has changed."""
        if self._show is None:
            return
        main, history, k = self._windows[0], self.session.history, self._acts.displayed_k
        busy = bool(self._proposals.in_flight)
        eyes = None if self._eyes is None else self._eyes.seen
        now = (*self._picture()[:3], k, busy, self.lost, self.last_timing, history.depth, history.undone, eyes)
        if now == self._shown_last:
            return
        self._shown_last = now
        with suppress(ViewerError):  # it may be away just now
            self._flipped = main.viewer.slice_shown_as(1) != 0
        hers = tuple(state.spec for uid in main.hers if (state := main.watcher.reported.get(uid)) is not None)
        self._show(Sight(
            self.session.state, self._study.visible(self._proposals.seen), hers, k, main.viewer.pixels, self._look(),
            history.depth, history.undone, busy, self.lost, self.last_timing, eyes, self._flipped,
        ))  # fmt: skip

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._feedback.notice(text)


def _is_open(viewer: Viewer) -> bool:
    try:
        viewer.snapshot()
    except (ViewerClosedError, SeriesChangedError):
        return False
    return True


def _same_series(one: Viewer, other: Viewer) -> bool:
    return (one.identity.series_uid, one.identity.sop_uids) == (other.identity.series_uid, other.identity.sop_uids)

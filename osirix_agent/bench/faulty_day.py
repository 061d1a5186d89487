"""One random day with faults, in virtual time: the soak's clinician, calls that fail, and what must hold afterwards."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.agent.engine import LONGEST_WAIT_S, Engine
from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import OpenSession, open_session
from osirix_agent.agent.scene import PROMPT_ROLE, wanted_rois
from osirix_agent.agent.waiting import PASSING
from osirix_agent.bench.soak import SHAPE, BallSegmenter, Sequence, _signature
from osirix_agent.prompting.grammar import Command
from osirix_agent.settings import load_settings
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.roi import RoiSpec, parse_agent_name
from osirix_agent.virtual_osirix.app import Viewer, VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.faults import Fault, FaultKind, Faults, FaultyChannel, VirtualClock
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.roi import Roi, ToolMode

RPC_DEADLINE_S = 10.0
TURN_S = 4 * RPC_DEADLINE_S  # no turn of the session takes longer, whatever OsiriX does
RECOVERY_S = LONGEST_WAIT_S + 5.0  # from the series being open again to the session going on
RUN_WALL_S = 60.0  # of real time, on a busy machine
CALLS = (
    None, "ViewerControllerNewROI", "ViewerControllerNewROI", "ROISetPoints", "ROISetName", "ROIDelete", "ROIDelete",
    "ViewerControllerROIList", "ViewerControllerPixList", "ROIPoints", "ViewerControllerNeedsDisplayUpdate",
    "ViewerControllerCurDCM", "ROISetColor", "OsirixVersion", "OsirixDisplayed2DViewers",
)  # fmt: skip
KINDS = (*FaultKind, "drag", "kill")
HER_WORD = "Smith"  # part of a name she gives: no error may quote it
REMOVING = {"do_undo", "do_redo", "do_command", "do_delete_contour", "do_delete_prompt", "do_move_prompt"}
UNEDITING = REMOVING | {"do_edit_contour", "do_rename_contour"}
PLAIN_ACTS = (
    "do_point", "do_point", "do_box", "do_pencil", "do_polygon", "do_brush", "do_measure", "do_move_prompt",
    "do_delete_prompt", "do_move_hers", "do_recolour_hers", "do_edit_contour", "do_edit_contour", "do_delete_contour",
    "do_scroll", "do_command", "do_undo", "do_redo", "do_accept", "do_named",
)  # fmt: skip
GAP_ACTS = ("do_point", "do_box", "do_move_hers", "do_edit_contour", "do_measure", "do_named")


class Killed(BaseException):
    """The agent's process ends here and now."""


class WatchedOsirix(VirtualOsirix):
    """Tells when something is saved."""

    on_close: Callable[[], None] | None = None

    def close_viewer(self, viewer: Viewer) -> None:
        super().close_viewer(viewer)
        if self.on_close is not None:
            self.on_close()


@dataclass
class FaultBench:
    """One virtual OsiriX that all runs of a process share."""

    folder: Path
    app: WatchedOsirix = field(default_factory=WatchedOsirix)

    def __post_init__(self) -> None:
        write_phantom(self.folder / "study", PhantomRecipe(shape_kji=SHAPE, spacing_kji_mm=(3.0, 2.0, 2.0)))
        (study,) = self.app.import_folder(self.folder / "study")
        self.series = study.series[0]
        for image in self.series.images:  # opened again and again: decoded once
            image.frames = image.frames().copy  # type: ignore[method-assign]


class FaultRun(Sequence):
    """One random day; `violations` says what did not hold."""

    def __init__(self, bench: FaultBench, seed: int) -> None:
        self.clock, self.faults, self.feedback = VirtualClock(), Faults(), RecordedFeedback()
        self.settings = load_settings(
            state_dir=bench.folder / f"state-{seed}",
            rpc_deadline_s=RPC_DEADLINE_S,
            notify=False,
            server="virtual",
            isoline_levels=(50, 95),
            isoline_slices=1,
        )
        self.opened: OpenSession | None = None
        self._starts = count()  # agents started within one second need journals of different names
        self.truth: dict[str, Any] = {}
        self.saved: dict[str, Any] = {}
        self.tags = 0
        self.edit: tuple[int, Any] | None = None
        self.unread: list[tuple[int, Any]] = []  # edits she replaced by others before it was seen that they are read
        self.given_back: list[tuple[int, Any]] = []  # those of them that a crash has brought back
        self.edit_known = self.commanded = self.asked = False
        self.expected: dict[int, str] = {}
        self.restored: set[str] = set()
        self.away_until: float | None = None
        self.back_at: float | None = None
        self.met_before = 0
        self.kill_in = 0
        bench.app.on_close = lambda: None
        bench.app.relaunch()
        super().__init__(bench, seed)  # type: ignore[arg-type]

    @property
    def now(self) -> float:
        return self.clock.now

    @now.setter
    def now(self, value: float) -> None:
        del value  # the clock's own

    def run(self, length: int = 7) -> list[str]:
        began = time.monotonic()
        for _ in range(length):
            name = str(self.rng.choice(PLAIN_ACTS))
            self.trace.append(name)
            if self.rng.random() < 0.8:
                self._plan(name)
            self._act(name)
            self._settle()
            self._check_all(name)
        self.faults.clear()
        self.kill_in = 0
        self._settle()
        self._check_all("the faults")
        self.end_exit()
        if time.monotonic() - began > RUN_WALL_S:
            self._violate(f"took {time.monotonic() - began:.0f} s of real time")
        return self.violations

    def close(self) -> None:
        self._let_agent_die()
        shutil.rmtree(self.settings.state_dir, ignore_errors=True)

    # -- her -------------------------------------------------------------------------------------------------
    def do_accept(self) -> None:
        self.engine.command(Command("accept"))

    def do_named(self) -> None:
        self.drawn.append(self.clinician.point(self._xy(), k=self._k(), name=f"GTV_{HER_WORD}"))

    def do_edit_contour(self) -> None:
        before = {id(roi): _shape(roi) for roi in self.clinician.rois()}
        super().do_edit_contour()
        if self.edited and before.get(id(self.edited[-1])) == _shape(self.edited[-1]):
            del self.edited[-1]  # painted where paint was

    def _act(self, name: str) -> None:
        if self.app.crashed or not self.app.viewers:
            return
        if name in UNEDITING:
            self._edited(None)
        drawn = len(self.drawn)
        edited = len(self.edited)
        getattr(self, name)()
        for roi in self.drawn[drawn:]:
            self._tag(roi, "prompt")
            if roi.name.startswith("!"):
                self.commanded = True
        if len(self.edited) > edited:
            self._edited(self.edited[-1])
        if name in REMOVING:
            self.expected, self.asked = {}, True

    def _edited(self, roi: Roi | None) -> None:
        """Her newest edit is this one; or there is none any more that must stand."""
        if self.edit is not None and not self.edit_known:
            self.unread.append(self.edit)
        self.edit = None if roi is None else (self._slice(roi), _shape(roi))
        self.edit_known, self.given_back = False, []

    def _keep(self, roi: Roi) -> None:
        self._tag(roi, "hers")
        self.truth[roi.comment] = _signature(roi)
        self.hers[id(roi)] = (roi, _signature(roi))

    def _tag(self, roi: Roi, kind: str) -> None:
        if not roi.comment:
            self.tags += 1
            roi.comment = f"{kind} {self.tags}"

    # -- what happens ----------------------------------------------------------------------------------------
    def _plan(self, act: str) -> None:
        kind = str(self.rng.choice(KINDS))
        self.trace.append(f"[{kind}]")
        if kind == "kill":
            self.kill_in = int(self.rng.integers(1, 40))
        elif kind == "drag":
            self._drag(act)
        else:
            seconds = float(self.rng.uniform(1, 30))
            self.faults.plan(
                Fault(FaultKind(kind), CALLS[self.rng.integers(len(CALLS))], int(self.rng.integers(1, 6)), seconds)
            )

    def _drag(self, act: str) -> None:
        """An ROI moves with her mouse for a while, whatever the agent reads and writes meanwhile."""
        drafts = [roi for roi in self.clinician.rois() if parse_agent_name(roi.name) and "~draft" in roi.name]
        ours = self._alive(drafts) if act not in UNEDITING and self.rng.random() < 0.7 else None
        roi = ours or self._alive([roi for roi, _ in self.hers.values()])
        if roi is not None and roi.itype != ToolMode.BRUSH:
            self.faults.each_call = _Drag(self, roi, int(self.rng.integers(5, 80)), hers=ours is None)

    def _count_down(self, _rpc: str) -> None:
        self.kill_in -= 1
        if self.kill_in <= 0:
            self.faults.each_call = None
            raise Killed

    def _come_back(self) -> None:
        """She starts OsiriX again, opens the series, and may go on drawing before the agent sees it."""
        if self.app.crashed:
            self.app.relaunch()
        self.truth = dict(self.saved)
        rois = self._open_series()
        self.drawn = [roi for roi in rois if roi.comment.startswith("prompt")]
        self.restored = {roi.comment for roi in self.drawn}
        if self.edit is not None and not self.edit_known and not self._edit_stands():
            self.edit = None  # OsiriX lost it before anybody saw it
        # an edit that only OsiriX ever had looks like one made just now: it may count as the newest
        self.given_back = [one for one in self.unread if self.edit and one[0] == self.edit[0] and self._stands(one)]
        self.back_at = max(self.clock.now, self.faults.dialog_until)  # while a dialog is open OsiriX is not back
        self.met_before = len(self.faults.met)
        for _ in range(int(self.rng.integers(0, 3))):
            name = str(self.rng.choice(GAP_ACTS))
            self.trace.append(f"({name})")
            edited = len(self.edited)
            self._act(name)
            for roi in self.edited[edited:]:
                self._tag(roi, "edited")  # if the session no longer wants that contour, it is hers for good
        if self.asked and self.opened is not None and (self.engine._arrived or not self.engine._inbox.empty()):
            self._edited(None)  # an undo that waits is carried out after what she did meanwhile: it may undo just that

    # -- the agent -------------------------------------------------------------------------------------------
    @property
    def app(self) -> WatchedOsirix:
        return self.bench.app  # type: ignore[return-value]

    def _engine(self) -> Engine:
        """The first start; what was there before has been saved with the study."""
        self.app.on_close = lambda: setattr(self, "saved", dict(self.truth))
        self.app.close_viewer(self.window)
        self._open_series()
        return self._start_agent()

    def _open_series(self) -> list[Roi]:
        self.window = self.app.open_series(self.bench.series)
        self.clinician = Clinician(self.app, self.window)
        rois = self.clinician.rois()
        self.hers = {id(roi): (roi, _signature(roi)) for roi in rois if roi.comment.startswith("hers")}
        return rois

    def _start_agent(self) -> Engine:
        self.opened = open_session(
            self.settings, self.feedback, connect=self._connect, segmenter=BallSegmenter(), clock=self.clock,
            companions=False, run=f"{(16 * self.seed + next(self._starts)) % (1 << 24):06x}",
        )  # fmt: skip
        return self.opened.engine

    def _connect(self) -> OsirixConnection:
        channel = FaultyChannel(self.app, self.faults, self.clock)
        connection = OsirixConnection("virtual", self.settings, channel=channel)
        connection.ping()
        return connection

    def _let_agent_die(self) -> None:
        if self.opened is not None:
            self.opened.close()
        self.opened = None

    def _turn(self) -> None:
        began = self.clock.now
        if self.faults.each_call is None and self.kill_in:
            self.faults.each_call = self._count_down
        try:
            if self.opened is None:
                self.engine = self._start_agent()
            else:
                self.engine.turn()
        except Killed:
            self.trace.append("KILLED")
            self._let_agent_die()
        except PASSING:
            if self.opened is not None:
                raise
        if self.clock.now - began > TURN_S:
            self._violate(f"a turn took {self.clock.now - began:.0f} s")

    def _settle(self) -> None:
        """Turn until nothing is pending and nothing went wrong for a while."""
        calm, met = 0, -1
        for _ in range(400):
            self.clock.sleep(0.5)
            away = self.app.crashed or self.window not in self.app.viewers
            if away and self.away_until is None:
                self.away_until = self.clock.now + float(self.rng.uniform(0, 40))
            if away and self.away_until is not None and self.clock.now >= self.away_until:
                self.away_until, away = None, False
                self._come_back()
            self._turn()
            resting = self.opened is not None and not self.engine.lost and not self.engine.pending
            resting = resting and not away and self.faults.each_call is None and not self.clock.busy
            calm = calm + 1 if resting and len(self.faults.met) == met else 0
            met = len(self.faults.met)
            if calm == 1:
                self.engine._look_closely = True  # otherwise slices that are not displayed are read by turns
            if self.opened is not None and not self.engine.lost:
                self.back_at = None
            elif not away and met == self.met_before and self.back_at and self.clock.now - self.back_at > RECOVERY_S:
                self._violate(f"not back {self.clock.now - self.back_at:.0f} s after the series was opened again")
                return
            if calm >= 3:
                return
        self._violate("the session does not come to rest")

    # -- what must hold --------------------------------------------------------------------------------------
    def _check_all(self, after: str) -> None:
        if self.opened is None or self.engine.lost:
            return
        rois = self.clinician.rois()
        there = {roi.comment: _signature(roi) for roi in rois if roi.comment}
        for tag, signature in self.truth.items():
            if there.get(tag) != signature:
                self._violate(f"after {after}: her ROI '{tag}' changed or vanished")
        main = self.engine._windows[0]
        read = main.refused | set(main.promoted) | {s.uid for key, s in main.held.items() if key.role == PROMPT_ROLE}
        past = {self.app.uid(roi) for roi in rois if roi.comment in self.restored} & set(main.hers)
        for roi in rois:
            if roi.comment.startswith("prompt") and self.app.uid(roi) not in read | past:
                self._violate(f"after {after}: the prompt ROI '{roi.name}' ({roi.comment}) was not read")
        prompts = {
            record.number: record.prompt.model_dump_json()
            for structure in self.engine.session.state.structures.values()
            for record in structure.prompts
        }
        lost = [] if self.commanded else [number for number in self.expected if number not in prompts]
        if lost:
            self._violate(f"after {after}: prompts {lost} are lost")
        self.expected = prompts
        self._check_scene(after, rois)
        if self.commanded:
            self.edit, self.commanded = None, False
        self.asked = False
        if self.edit is not None:
            if not self._edit_stands():
                self._violate(f"after {after}: the slice {self.edit[0]} that she edited is not as she left it")
            self.edit_known = True

    def _check_scene(self, after: str, rois: list[Roi]) -> None:
        engine, main = self.engine, self.engine._windows[0]
        wanted = wanted_rois(
            engine.session.state, engine._proposals.shown, main.viewer.pixels, engine.run, engine._look()
        )
        left = [(self._slice(roi), roi) for roi in rois]
        for key, spec in wanted.items():
            if key in engine._acts.dismissed:
                continue
            at = next((n for n, (k, roi) in enumerate(left) if k == spec.k and _is(roi, spec)), None)
            if at is None:
                self._violate(f"after {after}: {key} is missing")
            else:
                del left[at]
        for k, roi in left:
            if not roi.comment:
                self._violate(f"after {after}: '{roi.name}' is left over on slice {k}")

    def _edit_stands(self) -> bool:
        assert self.edit is not None
        return any(self._stands(one) for one in (self.edit, *self.given_back))

    def _stands(self, edit: tuple[int, Any]) -> bool:
        k, shape = edit
        return any(_shape(roi) == shape for roi in self.clinician.rois(k))

    def _slice(self, roi: Roi) -> int:
        return next(k for _, k, one in self.window.all_rois() if one is roi)

    def end_exit(self) -> None:
        if self.opened is None or self.engine.lost:  # said already: it did not come to rest, or not in time
            return
        self.engine.finish()
        if any(parse_agent_name(roi.name) and not roi.comment for roi in self.clinician.rois()):
            self._violate("drafts are left after exit")


class _Drag:
    """Her mouse moves an ROI between any two calls, and then lets go."""

    def __init__(self, run: FaultRun, roi: Roi, calls: int, *, hers: bool) -> None:
        self._run, self._roi, self._calls, self._hers = run, roi, calls, hers
        roi.drawing = True

    def __call__(self, rpc: str) -> None:
        del rpc
        run, roi = self._run, self._roi
        self._calls -= 1
        if run._alive([roi]) is None:
            run.faults.each_call = None
            return
        if self._hers:
            roi.move(0.25, -0.125)
            run._keep(roi)
        else:
            x, y = roi.points[0]
            run.clinician.move_vertex(roi, 0, (x + 0.25, y - 0.125))
            run._edited(roi)
        if self._calls <= 0:
            roi.drawing = False
            run.faults.each_call = None


def _shape(roi: Roi) -> Any:
    return _signature(roi)[2:4]


def _is(roi: Roi, spec: RoiSpec) -> bool:
    if roi.itype != spec.itype or roi.name != spec.name:
        return False
    if spec.brush is not None:
        full = roi.map(*SHAPE[1:])
        return bool(np.array_equal(full, spec.brush.to_full(*SHAPE[1:])))
    points = roi.service_points()
    return points.shape == spec.points_xy.shape and bool(np.allclose(points, spec.points_xy, atol=2e-3))

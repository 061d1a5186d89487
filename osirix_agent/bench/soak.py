"""Random sequences of what clinician and agent may do, and what must hold after each of them.

After every act: no ROI of hers has changed, and every ROI with an agent's name is one the session knows. At the end,
by turns: undo-all restores the starting ROIs exactly; accept and exit leave no draft and no isoline; exit alone leaves
none; a kill without exit leaves some, and the next start clears them and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.agent.engine import Engine
from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.leftovers import SessionLedger
from osirix_agent.agent.log import SessionLog
from osirix_agent.belief.belief import Belief
from osirix_agent.bench.seeds import on_all_cores, violations_figure
from osirix_agent.errors import PromptError
from osirix_agent.figures import Figure
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.journal import Journal
from osirix_agent.record.ledger import Ledger
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest
from osirix_agent.segmenter.seeds import read_marks
from osirix_agent.settings import load_settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.roi import parse_agent_name
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.roi import Roi, ToolMode
from osirix_agent.virtual_osirix.server import DirectChannel, VirtualServer

SHAPE = (8, 40, 44)
ENDINGS = ("undo", "accept", "exit", "kill")
NAMES = (None, None, None, "GTVp", "GTVn", "+", "-", "+GTVn", "?left parotid", "!undo", "note")


class BallSegmenter:
    """Balls round what is included, minus balls round what is excluded: fast, and depends on every prompt."""

    name = "balls 1"
    capabilities = Capabilities()

    def propose(self, request: SegmentationRequest) -> Belief:
        marks = read_marks(request.volume, request.prompts)
        geometry = request.volume.geometry
        shape = geometry.shape_kji
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * geometry.spacing_kji_mm
        logit = np.full(shape, -6.0, np.float32)
        if not len(marks.positive_points_kji) and not request.fixed:
            raise PromptError("Nothing says yet where the structure is.", "Add a point inside it first.")
        for region in marks.regions:
            centre = np.array([region.k, *np.concatenate(region.rings_ji).mean(0)])
            self._ball(logit, grid, centre, geometry.spacing_kji_mm, region.sign)
        for stroke in marks.strokes:
            for centre in stroke.points_kji[:: max(1, len(stroke.points_kji) // 4)]:
                self._ball(logit, grid, centre, geometry.spacing_kji_mm, stroke.sign)
        for belief in request.excluded:
            logit[belief.region][belief.crop_mask] = -10
        return Belief(logit, (0, 0, 0), shape, self.name)

    @staticmethod
    def _ball(logit: Any, grid: Any, centre: Any, spacing: Any, sign: int) -> None:
        far = np.linalg.norm(grid - np.asarray(centre) * spacing, axis=-1)
        value = (9.0 - far) if sign > 0 else (far - 6.0)
        np.maximum(logit, value, out=logit) if sign > 0 else np.minimum(logit, np.maximum(value, -6), out=logit)


@dataclass
class Bench:
    """One virtual OsiriX that all sequences of a soak share."""

    folder: Path
    over_grpc: bool = True
    app: VirtualOsirix = field(default_factory=VirtualOsirix)

    def __post_init__(self) -> None:
        write_phantom(self.folder / "study", PhantomRecipe(shape_kji=SHAPE, spacing_kji_mm=(3.0, 2.0, 2.0)))
        (study,) = self.app.import_folder(self.folder / "study")
        self.series = study.series[0]
        self.server = VirtualServer(self.app).start()
        self.settings = load_settings(server=self.server.address, state_dir=self.folder / "state", notify=False)
        channel = None if self.over_grpc else DirectChannel(self.app)
        self.connection = OsirixConnection(self.server.address, self.settings, channel=channel)
        self.pseudonyms = Pseudonyms(b"soak soak soak soak")

    def close(self) -> None:
        self.connection.close()
        self.server.stop()


class Sequence:
    """One random sequence; `violations` says what did not hold.

    Parameters
    ----------
    seed : int
        Decides everything.
    """

    def __init__(self, bench: Bench, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed, self.bench, self.now = seed, bench, 0.0
        app = bench.app
        app.persisted.clear()
        for viewer in list(app.viewers):
            app.close_viewer(viewer)
        app.persisted.clear()
        self.window = app.open_series(bench.series)
        self.clinician = Clinician(app, self.window)
        self.hers: dict[int, tuple[Roi, Any]] = {}
        self.drawn: list[Roi] = []
        self.edited: list[Roi] = []
        self.violations: list[str] = []
        self.trace: list[str] = []
        for _ in range(int(self.rng.integers(0, 4))):
            self._keep(self._baseline())
        self.start = sorted(_signature(roi) for roi in self.clinician.rois())
        self.engine = self._engine()

    def run(self, length: int = 14) -> list[str]:
        """Play, end, check."""
        acts = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        for _ in range(length):
            act = acts[int(self.rng.integers(len(acts)))]
            self.trace.append(act.__name__)
            act()
            self._settle()
            self._check(act.__name__)
        ending = ENDINGS[self.seed % len(ENDINGS)]
        self.trace.append(ending)
        getattr(self, f"end_{ending}")()
        return self.violations

    # -- what she may do -------------------------------------------------------------------------------------
    def do_point(self) -> None:
        self.drawn.append(self.clinician.point(self._xy(), k=self._k(), name=self._name()))

    def do_point_again(self) -> None:
        self.do_point()

    def do_box(self) -> None:
        x, y = self._xy()
        self.drawn.append(
            self.clinician.box((x, y), (float(self.rng.uniform(0.3, 12)), 8.0), k=self._k(), name=self._name())
        )

    def do_pencil(self) -> None:
        points = [self._xy() for _ in range(5)]
        self.drawn.append(self.clinician.pencil(points, k=self._k(), name=self._name()))

    def do_polygon(self) -> None:
        self.drawn.append(self.clinician.polygon(self._star(), k=self._k(), name=self._name()))

    def do_polygon_slowly(self) -> None:
        points = self._star()
        roi = self.clinician.start_polygon(points[0], k=self._k())
        for point in points[1:]:
            self.clinician.add_vertex(roi, point)
            self.engine.step()
        self.clinician.finish(roi)
        self.drawn.append(roi)

    def do_brush(self) -> None:
        mask = self.rng.random((6, 7)) > 0.3
        corner = (int(self.rng.integers(3, 30)), int(self.rng.integers(3, 30)))
        self.drawn.append(self.clinician.brush(mask, corner, k=self._k(), name=self._name()))

    def do_measure(self) -> None:
        self._keep(self.clinician.measure([self._xy(), (40.0, 39.0)], k=self._k()))

    def do_move_prompt(self) -> None:
        if roi := self._alive(self.drawn):
            self.clinician.move(roi, float(self.rng.uniform(-3, 3)), float(self.rng.uniform(-3, 3)))

    def do_rename_prompt(self) -> None:
        if roi := self._alive(self.drawn):
            self.clinician.rename(roi, str(self.rng.choice(["+", "-", "GTVp", "GTVn", "x"])))

    def do_delete_prompt(self) -> None:
        if roi := self._alive(self.drawn):
            self.clinician.delete(roi)

    def do_move_hers(self) -> None:
        if held := self._alive([roi for roi, _ in self.hers.values()]):
            self.clinician.move(held, 1.0, -1.0)
            self._keep(held)

    def do_recolour_hers(self) -> None:
        if held := self._alive([roi for roi, _ in self.hers.values()]):
            self.clinician.recolour(held, (int(self.rng.integers(255)), 10, 20))
            self._keep(held)

    def do_edit_contour(self) -> None:
        if roi := self._agent_roi("draft"):
            self.edited.append(roi)
            if roi.itype == ToolMode.CLOSED_POLYGON:
                self.clinician.move_vertex(roi, 0, self._xy())
            else:
                self.clinician.paint_more(roi, slice(0, 1), slice(0, 1))

    def do_delete_contour(self) -> None:
        if roi := self._agent_roi("draft"):
            self.clinician.delete(roi)

    def do_delete_isoline(self) -> None:
        if roi := self._agent_roi("u05"):
            self.clinician.delete(roi)

    def do_rename_contour(self) -> None:
        if roi := self._agent_roi("draft"):
            self.clinician.rename(roi, "mine")

    def do_scroll(self) -> None:
        self.clinician.scroll_to(self._k())

    def do_flip(self) -> None:
        self.clinician.flip()

    def do_command(self) -> None:
        verbs = ["undo", "redo", "accept", "reject", "lock", "unlock", "isolines", "all", "release", "refine", "use"]
        verb = str(self.rng.choice(verbs))
        name = (
            str(self.rng.choice(["GTV", "GTVp", "GTVn"])) if verb not in ("undo", "redo", "isolines", "all") else None
        )
        self.trace[-1] += f" {verb} {name}"
        self.engine.command(Command(verb, name))

    def do_undo(self) -> None:
        self.engine.command(Command("undo"))

    def do_redo(self) -> None:
        self.engine.command(Command("redo"))

    # -- endings ---------------------------------------------------------------------------------------------
    def end_undo(self) -> None:
        while self.engine.session.history.depth:
            self.engine.command(Command("undo"))
            self._settle()
            self._check("undo-all")
        refused = self._refused()
        left = [roi for roi in self.clinician.rois() if id(roi) not in refused]
        expected = sorted(signature for _, signature in self.hers.values())
        if sorted(_signature(roi) for roi in left) != expected:
            self._violate("undo-all did not restore the starting ROIs")

    def end_accept(self) -> None:
        for name in list(self.engine.session.state.structures):
            self.engine.command(Command("accept", name))
            self._settle()
        self.end_exit()

    def end_exit(self) -> None:
        self.engine.finish()
        self._check("exit", leftovers=True)

    def end_kill(self) -> None:
        """Nothing is said to the old engine; a new one starts on what it left."""
        edited = {id(roi) for roi in self.clinician.rois() if self._is_edited(roi)}
        before = {id(roi) for roi in self.clinician.rois() if parse_agent_name(roi.name) is None}
        self.engine = self._engine()
        after = {id(roi) for roi in self.clinician.rois()}
        if not before <= after:
            self._violate("the start after a kill removed an ROI that was not a draft")
        left = [roi for roi in self.clinician.rois() if parse_agent_name(roi.name) and id(roi) not in edited]
        if left:
            self._violate(f"{len(left)} drafts outlived a kill and the next start")
        self._check("kill")

    def close(self) -> None:
        self.log.close()
        for path in (self.bench.folder / "journal").glob(f"{self.seed}-*.jsonl"):
            path.unlink()

    # -- machinery -------------------------------------------------------------------------------------------
    def _engine(self) -> Engine:
        bench = self.bench
        viewer = OsirixViewer(bench.connection, bench.app.uid(self.window), bench.settings)
        run = f"{int(self.rng.integers(1 << 24)):06x}"
        path = bench.folder / "journal" / f"{self.seed}-{run}.jsonl"
        path.unlink(missing_ok=True)
        self.log = SessionLog(Journal(path), bench.pseudonyms, lambda: self.now, lambda: self.now)
        volume = viewer.read_volume()
        ledger = SessionLedger(Ledger(bench.folder / "ledger.jsonl"), viewer.identity, bench.pseudonyms)
        engine = Engine(
            viewer,
            volume,
            BallSegmenter(),
            self.log,
            ledger,
            RecordedFeedback(),
            bench.settings,
            run,
            clock=self._clock,
        )
        engine.start()
        return engine

    def _clock(self) -> float:
        return self.now

    def _settle(self) -> None:
        for _ in range(12):
            self.now += 0.5
            self.engine.step()
            if not self.engine.pending:
                self.engine.step()
                if not self.engine.pending:
                    return
        self._violate("the session does not come to rest")

    def _check(self, after: str, *, leftovers: bool = False) -> None:
        there = {id(roi): _signature(roi) for roi in self.clinician.rois()}
        for key, (roi, signature) in self.hers.items():
            if there.get(key) != signature:
                self._violate(f"after {after}: her ROI '{roi.name}' changed or vanished")
        agents = [roi for roi in self.clinician.rois() if parse_agent_name(roi.name)]
        if leftovers:
            if agents:
                self._violate(f"after {after}: {len(agents)} drafts left")
            return
        known = {state.uid for state in self.engine._windows[0].held.values()}
        strays = [roi for roi in agents if self.bench.app.uid(roi) not in known]
        if strays and after != "kill":
            self._violate(f"after {after}: {len(strays)} drafts that the session does not know")

    def _refused(self) -> set[int]:
        uids = self.engine._windows[0].refused
        return {id(roi) for roi in self.clinician.rois() if self.bench.app.uid(roi) in uids}

    def _is_edited(self, roi: Roi) -> bool:
        return any(roi is other for other in self.edited)

    def _violate(self, what: str) -> None:
        self.violations.append(f"seed {self.seed}: {what} [{' > '.join(self.trace)}]")

    def _keep(self, roi: Roi) -> None:
        self.hers[id(roi)] = (roi, _signature(roi))

    def _baseline(self) -> Roi:
        kind = int(self.rng.integers(4))
        k = self._k()
        if kind == 0:
            return self.clinician.point(self._xy(), k=k, name="old")
        if kind == 1:
            return self.clinician.polygon(self._star(), k=k, name="GTVn")
        if kind == 2:
            return self.clinician.brush(np.ones((4, 5), np.bool_), (10, 12), k=k, name="Brainstem")
        return self.clinician.oval((20, 20), (6, 4), k=k, name="äöü")

    def _alive(self, rois: list[Roi]) -> Roi | None:
        alive = [roi for roi in rois if any(roi is other for other in self.clinician.rois())]
        return alive[int(self.rng.integers(len(alive)))] if alive else None

    def _agent_roi(self, role: str) -> Roi | None:
        return self._alive([r for r in self.clinician.rois() if (parse_agent_name(r.name) or ("", "", ""))[1] == role])

    def _xy(self) -> tuple[float, float]:
        return float(self.rng.uniform(1, SHAPE[2] - 1)), float(self.rng.uniform(1, SHAPE[1] - 1))

    def _k(self) -> int:
        return int(self.rng.integers(SHAPE[0]))

    def _name(self) -> str | None:
        return NAMES[int(self.rng.integers(len(NAMES)))]

    def _star(self) -> list[tuple[float, float]]:
        x, y = self.rng.uniform(14, 26, 2)
        angle = np.linspace(0, 2 * np.pi, 7, endpoint=False)
        radius = self.rng.uniform(3, 9, 7)
        return [(float(x + r * np.cos(a)), float(y + r * np.sin(a))) for a, r in zip(angle, radius, strict=True)]


def _signature(roi: Roi) -> Any:
    texture = b"" if roi.texture is None else np.packbits(roi.texture).tobytes() + bytes(str(roi.texture_xy), "ascii")
    return (
        roi.itype, roi.name, np.round(roi.service_points(), 3).tobytes(), texture, roi.color, roi.thickness,
        round(roi.opacity, 4),
    )  # fmt: skip


def soak(
    folder: Path, seeds: range, advance: Callable[[], object] = lambda: None, *, over_grpc: bool = True
) -> list[str]:
    """Run a sequence for every seed; what did not hold, by seed."""
    bench = Bench(folder, over_grpc)
    violations: list[str] = []
    try:
        for seed in seeds:
            sequence = Sequence(bench, seed)
            try:
                violations += sequence.run()
            except Exception as error:
                violations.append(f"seed {seed}: {type(error).__name__}: {error} [{' > '.join(sequence.trace)}]")
            sequence.close()
            advance()
    finally:
        bench.close()
    return violations


def measure(folder: Path, seed: int, sequences: int, advance: Callable[[int], object]) -> list[Figure]:
    """All sequences, a process a core, calls made in place (CI's five hundred go over gRPC)."""
    began = time.monotonic()
    in_place = partial(soak, over_grpc=False)
    found = on_all_cores(in_place, folder, range(seed, seed + sequences), advance)
    violations = [violation for part in found for violation in part]
    note = f"{time.monotonic() - began:.0f} s, endings: {', '.join(ENDINGS)}"
    return [violations_figure("soak", violations, sequences, note)]

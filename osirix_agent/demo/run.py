"""Run the demo on a study and leave pictures, journal, contours and a table behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.agent.engine import Engine
from osirix_agent.agent.exporting import ExportOnAccept
from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import OpenSession, open_session
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.agent.verdict import verdict_said
from osirix_agent.demo.script import Action, scripted
from osirix_agent.errors import DicomError, OsirixAgentError, VoiceError
from osirix_agent.imaging.dicom import Truth, find_truths, read_image_header
from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.nifti import write_mask
from osirix_agent.imaging.structure import ascii_name, structure_name
from osirix_agent.prompting.grammar import Command
from osirix_agent.prompting.voice.listener import Listener, open_listener
from osirix_agent.prompting.voice.sound import RATE_HZ
from osirix_agent.prompting.voice.synthetic import Voice, as_pcm, clearest, speak
from osirix_agent.record.export.files import RTSTRUCT
from osirix_agent.record.report import write_report
from osirix_agent.settings import Settings, load_settings
from osirix_agent.virtual_osirix.app import Viewer, VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.phantom import write_phantom
from osirix_agent.virtual_osirix.render import save_picture
from osirix_agent.virtual_osirix.server import VirtualServer
from osirix_agent.whole import write_whole

SETTLE_LIMIT_S = 60.0
REPORT = "report.html"


@dataclass(frozen=True)
class Step:
    """One row of the table.

    Attributes
    ----------
    watch_ms : from the ROI's creation until the agent saw it
    said : what the agent answered to a command
    """

    action: str
    dice: float | None
    watch_ms: float
    segment_ms: float
    plan_ms: float
    paint_ms: float
    total_ms: float
    writes: int
    is_click: bool = False
    said: str = ""


@dataclass(eq=False)
class DemoResult:
    """What one series gave."""

    modality: str
    structure: str
    folder: Path
    steps: list[Step] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    volume_cm3: float = 0.0
    verdict: str = "not calibrated"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}


def run_demo(
    out: Path, dicom: Path | None, overrides: dict[str, Any], tell: Callable[[str], object] = str,
    *, by_voice: bool = False,
) -> list[DemoResult]:  # fmt: skip
    """The main job; see `open_demo`."""
    with open_demo(out, dicom, overrides, tell, by_voice=by_voice) as (results, _):
        return results


@contextmanager
def open_demo(
    out: Path, dicom: Path | None, overrides: dict[str, Any], tell: Callable[[str], object] = str,
    *, by_voice: bool = False,
) -> Iterator[tuple[list[DemoResult], Settings]]:  # fmt: skip
    """The main job on the generated phantom, or on every series of a DICOM folder (those with a reference first).

    The study stays open in the virtual OsiriX, the first series that was contoured in front, until the context is left;
    the settings find it there.

    Parameters
    ----------
    out : Path
        Made if missing; an existing one gets the new files beside the old.
    dicom : Path or None
    overrides : settings given on the command line
    tell : callable
        Told what is being done, for a progress display.
    by_voice : bool
        The clinician speaks, with a synthetic voice of this machine; the agent has only the sound.

    Raises
    ------
    OsirixAgentError
        No series, or the only ones cannot be contoured (the reason is in the message); no voice to speak with.
    """
    voice = clearest() if by_voice else None
    out.mkdir(parents=True, exist_ok=True)
    if dicom is None:
        dicom = write_phantom(out / "study").folder
    app = VirtualOsirix()
    viewers = app.open_folder(dicom)
    results: list[DemoResult] = []
    refused: list[OsirixAgentError] = []
    done: list[Viewer] = []
    with VirtualServer(app) as server:
        settings = load_settings(**{**overrides, "server": server.address, "state_dir": out / "state"})
        talk = None if voice is None else Talk(voice, open_listener(settings))
        for viewer in viewers:
            app.viewers.remove(viewer)
            app.viewers.insert(0, viewer)  # in front: the one that is contoured
            label = f"{viewer.series.modality}-{len(results) + len(refused) + 1}"
            folder = out if len(viewers) == 1 else out / label
            try:
                results.append(_contour(app, viewer, dicom, folder, settings, tell, talk))
            except OsirixAgentError as error:
                refused.append(error)
            else:
                done.append(viewer)
        if not results:
            raise refused[0]
        app.viewers.remove(done[0])
        app.viewers.insert(0, done[0])
        yield results, settings


def _contour(
    app: VirtualOsirix, viewer: Viewer, dicom: Path, folder: Path, settings: Settings, tell: Callable[[str], object],
    talk: Talk | None,
) -> DemoResult:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    feedback = RecordedFeedback()
    journal = folder / "journal.jsonl"
    journal.unlink(missing_ok=True)
    opened = open_session(settings, feedback, journal_path=journal)
    try:
        truth = _truth(viewer, dicom, opened)
        name = (truth and structure_name(truth.name)) or "GTV"
        name = ascii_name(name, "GTV")
        result = DemoResult(viewer.series.modality, name, folder)
        clinician = Clinician(app, viewer)
        _play(opened.engine, clinician, truth.mask if truth else None, name, result, tell, talk)
        final = opened.engine.belief(name)
        opened.engine.finish("demo")
        if final is not None:
            result.volume_cm3 = final.volume_mm3(opened.volume.geometry) / 1000
            result.verdict = verdict_said(final)
            write_mask(folder / f"{name}.nii.gz", final.mask(), opened.volume.geometry)
        _write_contours(folder / "contours.json", opened, name)
        ExportOnAccept(opened.viewer, folder, feedback)(opened.engine.session.state)
        result.notices += feedback.texts
        write_report(journal, folder / REPORT)
        return result
    finally:
        opened.close()


def _truth(viewer: Viewer, dicom: Path, opened: OpenSession) -> Truth | None:
    """The largest reference structure drawn on this series; None if there is none."""
    try:
        header = read_image_header(viewer.pixes[0][0].source.path)
    except DicomError:
        return None
    truths = find_truths(dicom, opened.volume.geometry, header.frame_of_reference_uid, header.series_uid)
    targets = [t for t in truths if structure_name(t.name)] or truths
    return max(targets, key=lambda t: (t.name.upper().startswith("GTV_MASS"), int(t.mask.sum())), default=None)


def _play(
    engine: Engine,
    clinician: Clinician,
    truth: npt.NDArray[np.bool_] | None,
    name: str,
    result: DemoResult,
    tell: Callable[[str], object],
    talk: Talk | None,
) -> None:
    shape = engine.session.volume.geometry.shape_kji

    def proposal() -> npt.NDArray[np.bool_]:
        belief = engine.belief(name)
        return belief.mask() if belief is not None else np.zeros(shape, np.bool_)

    for number, action in enumerate(scripted(clinician, truth, proposal, name, by_voice=talk is not None), 1):
        tell(f"{result.modality}: {action.text}")
        step = _do(engine, action, None if truth is None else (lambda: dice(proposal(), truth)), talk)
        result.steps.append(step)
        shown = "" if step.dice is None else f"   Dice {step.dice:.3f}"
        if action.command == "next":
            result.notices.append(step.said)
            shown = f"   {step.said.partition(':')[2] or step.said}"
        save_picture(
            clinician.viewer,
            result.folder / f"step-{number:02d}.png",
            caption=f"{number}. {action.text}{shown}",
        )


def _do(engine: Engine, action: Action, score: Any, talk: Talk | None) -> Step:
    before = engine.last_timing
    began = time.monotonic()
    action.act()
    request = None if action.command is None else Request(Command(action.command))
    if request is not None:
        engine.ask(request)
    if action.says is not None and talk is not None:
        talk.say(engine, action.says)
    settle(engine)
    if action.command == "next":
        settle(engine)  # the isolines follow the slice it jumped to
    said = "" if request is None else request.wait(0)[1]
    total_ms = (time.monotonic() - began) * 1e3
    timing = engine.last_timing
    if timing is before:
        return Step(action.text, score() if score else None, total_ms, 0, 0, 0, total_ms, 0, action.is_click, said)
    segment_ms = timing.segment_ms if timing.segment_ms != before.segment_ms else 0.0
    watch_ms = max(0.0, total_ms - segment_ms - timing.plan_ms - timing.paint_ms)
    return Step(
        action.text, score() if score else None, watch_ms, segment_ms, timing.plan_ms, timing.paint_ms, total_ms,
        timing.writes, action.is_click, said,
    )  # fmt: skip


@dataclass(frozen=True)
class Talk:
    """The clinician's voice and the agent's ears."""

    voice: Voice
    listener: Listener

    def say(self, engine: Engine, sentence: str) -> None:
        """Say it aloud, and "yes" where it is asked back.

        Raises
        ------
        VoiceError
            It was not understood.
        """
        for said in (sentence, "yes"):
            settle(engine)
            pcm = as_pcm(speak(self.voice, said))
            heard = self.listener.hear(pcm, RATE_HZ, engine.names())
            if not heard.text:
                raise VoiceError(f"{said!r} was not understood. {heard.why}", "Run it again with another voice.")
            request = Request(Sentence(heard.text, heard.confidence))
            engine.ask(request)
            settle(engine)
            done, what, _ = request.wait(SETTLE_LIMIT_S)
            if done:
                return
            if "Did you mean" not in what:
                raise VoiceError(f"{said!r} was heard as {heard.text!r}. {what}", "Run it again with another voice.")


def settle(engine: Engine) -> None:
    """Step at the watching rate until nothing is on its way.

    Raises
    ------
    OsirixAgentError
        It does not come to rest within a minute.
    """
    period = 1.0 / engine.settings.watch_active_hz
    deadline = time.monotonic() + SETTLE_LIMIT_S
    engine.step()
    while engine.pending:
        if time.monotonic() > deadline:
            raise OsirixAgentError("The session did not come to rest.", "Run it again; report it if it happens again.")
        time.sleep(period)
        engine.step()


def _write_contours(path: Path, opened: OpenSession, name: str) -> None:
    """The ROIs as they stand in the viewer at the end, as closed polygons in LPS mm."""
    rows = []
    for state in opened.viewer.snapshot(full=True).rois.values():
        if state.spec.name != name:
            continue
        for ring in opened.viewer.pixels.rings_of(state.spec):
            points = opened.viewer.pixels.ring_lps(state.spec.k, ring)
            rows.append({"slice": state.spec.k, "points_lps_mm": np.round(points, 3).tolist()})
    rows.sort(key=lambda row: row["slice"])
    write_whole(path, json.dumps({"structure": name, "contours": rows}))


def _title(result: DemoResult) -> str:
    found = f"{result.modality}: {result.structure}, {result.volume_cm3:.1f} cm3"
    return f"{found}; times in ms; {result.verdict}"


def print_results(results: Sequence[DemoResult]) -> None:
    """The one-screen table."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for result in results:
        table = Table(title=_title(result), box=SIMPLE, padding=(0, 1))
        table.add_column("step", no_wrap=True)
        for column in ("Dice", "watch", "segment", "plan", "paint", "total", "ROIs"):
            table.add_column(column, justify="right", no_wrap=True)
        for step in result.steps:
            cells = [step.watch_ms, step.segment_ms, step.plan_ms, step.paint_ms, step.total_ms]
            score = "" if step.dice is None else f"{step.dice:.3f}"
            table.add_row(step.action, score, *(f"{cell:.0f}" for cell in cells), str(step.writes))
        console.print(table)
        for text in result.notices:
            console.print(f"  agent: {text}", markup=False)
        console.print(f"  pictures, journal and contours: {result.folder}", markup=False)
        console.print(f"  the session's report: {result.folder / REPORT}", markup=False)
        if (result.folder / RTSTRUCT).is_file():
            console.print(f"  for the clinic's systems: {result.folder / RTSTRUCT}", markup=False)

"""Shared set-up: a small phantom study, a virtual OsiriX over gRPC, an open session, the real patients' folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from osirix_agent.agent.engine import Engine
from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.leftovers import SessionLedger
from osirix_agent.agent.log import SessionLog
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.journal import Journal
from osirix_agent.record.ledger import Ledger
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.virtual_osirix.app import Viewer as VirtualViewer
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.phantom import Phantom, PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.roi import Roi
from osirix_agent.virtual_osirix.server import VirtualServer

SMALL = PhantomRecipe(shape_kji=(12, 48, 56), spacing_kji_mm=(3.0, 2.0, 2.0))
KEY = b"a key for tests only"


hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


WAIT_S = 60.0


def until(holds: Callable[[], Any]) -> None:
    """Wait for what happens a little later: what the page is told before OsiriX is painted, what a late call does."""
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, "it does not come to be"
        time.sleep(0.02)


def pytest_configure() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch, not imported yet: one process a core is enough


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's own settings, servers or state."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OSIRIX_AGENT_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("OSIRIX_AGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("OSIRIX_AGENT_NOTIFY", "false")
    monkeypatch.setenv(
        "OSIRIX_AGENT_SEGMENTER", "classical"
    )  # the model has tests of its own, and takes seconds to load


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    return write_phantom(tmp_path_factory.mktemp("phantom"), SMALL)


def data_folder() -> Path | None:
    named = os.environ.get("OSIRIX_AGENT_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture
def data() -> Path:
    folder = data_folder()
    if folder is None:
        pytest.skip("the real patients are not here (set OSIRIX_AGENT_DATA)")
    return folder


@dataclass
class Hospital:
    """A virtual OsiriX with one viewer, and a client bound to it."""

    app: VirtualOsirix
    server: VirtualServer
    window: VirtualViewer
    clinician: Clinician
    settings: Settings
    connection: OsirixConnection
    tmp: Path

    def viewer(self) -> OsirixViewer:
        return OsirixViewer.frontmost(self.connection, self.settings)


@pytest.fixture
def hospital(phantom: Phantom, tmp_path: Path) -> Iterator[Hospital]:
    app = VirtualOsirix()
    (window,) = app.open_folder(phantom.folder)
    with VirtualServer(app) as server:
        settings = Settings(server=server.address, rpc_deadline_s=5, state_dir=tmp_path / "state")
        connection = OsirixConnection.find(settings)
        yield Hospital(app, server, window, Clinician(app, window), settings, connection, tmp_path)
        connection.close()


class Practice:
    """A session on a hospital's viewer, stepped by hand under a clock of its own."""

    def __init__(self, hospital: Hospital, segmenter: Any = None, executor: Any = None, **settings: Any) -> None:
        self.hospital, self.clinician, self.now = hospital, hospital.clinician, 0.0
        self.feedback = RecordedFeedback()
        self.settings = hospital.settings.model_copy(update=settings)
        self.viewer = OsirixViewer(hospital.connection, hospital.app.uid(hospital.window), self.settings)
        self.journal = hospital.tmp / f"journal-{len(list(hospital.tmp.glob('journal-*')))}.jsonl"
        pseudonyms = Pseudonyms(KEY)
        self.log = SessionLog(Journal(self.journal), pseudonyms, lambda: self.now, lambda: self.now)
        self.segmenter = segmenter or BallSegmenter()
        volume = self.viewer.read_volume()
        self.log.started("abcdef", self.viewer.identity, volume, self.segmenter.name, self.settings)
        self.ledger_path = hospital.tmp / "ledger.jsonl"
        ledger = SessionLedger(Ledger(self.ledger_path), self.viewer.identity, pseudonyms)
        self.engine = Engine(
            self.viewer, volume, self.segmenter, self.log, ledger, self.feedback, self.settings, "abcdef",
            executor=executor, clock=lambda: self.now,
        )  # fmt: skip
        self.engine.start()

    def settle(self) -> None:
        for _ in range(20):
            self.now += 0.5
            self.engine.step()
            if not self.engine.pending:
                return
        raise AssertionError("the session does not come to rest")

    def do(self, text: str) -> None:
        verb, _, name = text.partition(" ")
        self.engine.command(Command(verb, name or None))
        self.settle()

    def names(self, k: int | None = None) -> list[str]:
        return sorted(roi.name for roi in self.clinician.rois(k))

    def mask(self, structure: str = "GTV") -> np.ndarray:
        belief = self.engine.belief(structure)
        assert belief is not None
        return belief.mask()

    def drafts(self, role: str = "draft", structure: str = "") -> list[Roi]:
        return [roi for roi in self.clinician.rois() if f"{structure} ~{role}." in roi.name]


@pytest.fixture
def practice(hospital: Hospital) -> Iterator[Practice]:
    held = Practice(hospital)
    yield held
    held.log.close()


@pytest.fixture
def open_practice(hospital: Hospital) -> Iterator[Callable[..., Practice]]:
    held: list[Practice] = []

    def make(**options: Any) -> Practice:
        held.append(Practice(hospital, **options))
        return held[-1]

    yield make
    for one in held:
        one.log.close()


def signature(roi: Roi) -> tuple[Any, ...]:
    """Everything about an ROI that a clinician could see."""
    texture = None if roi.texture is None else (roi.texture.tobytes(), roi.texture_xy)
    points = roi.service_points().tobytes()
    return roi.itype, roi.name, points, texture, roi.color, roi.thickness, roi.opacity


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import write_encoder

    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A folder of models: a base without training and an adapter for targets."""
    from tests.tiny import write_adapter, write_model

    folder = tmp_path_factory.mktemp("models")
    base = write_model(folder / "base", tiny_encoder)
    write_adapter(folder / "gtv", base, strength=0.05)
    return folder


@pytest.fixture(scope="session")
def sam_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from osirix_agent.segmenter.folder import find_model
    from osirix_agent.segmenter.sam import SamSegmenter
    from tests.public import write_sam

    return SamSegmenter(find_model("sam", write_sam(tmp_path_factory.mktemp("public") / "sam2")))


@pytest.fixture(scope="session")
def nninteractive_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """On a tiny checkpoint by the package itself where it is installed, else by a stand-in for its session."""
    from osirix_agent.segmenter.folder import KINDS, find_model, is_installed
    from osirix_agent.segmenter.nninteractive import NnInteractiveSegmenter
    from tests.public import write_nninteractive, write_plain
    from tests.stand_ins import stand_in_nninteractive

    folder = tmp_path_factory.mktemp("public") / "nninteractive"
    with pytest.MonkeyPatch.context() as patch:
        if is_installed(KINDS["nninteractive"][0]):
            write_nninteractive(folder)
        else:
            write_plain(folder)
            stand_in_nninteractive(patch)
        yield NnInteractiveSegmenter(find_model("nninteractive", folder))


@pytest.fixture(scope="session")
def voxtell_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """On a tiny checkpoint by the package itself where it is installed, else by a stand-in for its predictor."""
    from osirix_agent.segmenter.folder import KINDS, find_model, is_installed
    from osirix_agent.segmenter.voxtell import VoxTellSegmenter
    from tests.public import small_voxtell, write_bank, write_plain, write_voxtell
    from tests.stand_ins import stand_in_voxtell

    folder = tmp_path_factory.mktemp("public") / "voxtell"
    with pytest.MonkeyPatch.context() as patch:
        if is_installed(KINDS["voxtell"][0]):
            write_voxtell(folder)
            patch.setattr("voxtell.inference.predictor.VoxTellModel", small_voxtell())
        else:
            write_plain(folder)
            write_bank(folder / "text_embeddings.npz")
            stand_in_voxtell(patch)
        yield VoxTellSegmenter(find_model("voxtell", folder))


@pytest.fixture(scope="session")
def tiny_segmenter(tiny_models: Path) -> Any:
    from osirix_agent.segmenter.local import VisionLanguageSegmenter

    return VisionLanguageSegmenter(tiny_models / "base", (tiny_models / "gtv",))


@pytest.fixture(scope="session")
def joined_segmenter(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An adapter without training, joined with the classical segmenter."""
    from osirix_agent.segmenter.local import VisionLanguageSegmenter
    from tests.tiny import write_adapter

    adapter = write_adapter(tmp_path_factory.mktemp("joined"), tiny_models / "base", strength=0.02, joined=True)
    return VisionLanguageSegmenter(tiny_models / "base", (adapter,))


@pytest.fixture(scope="session")
def refined_segmenter(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A base without training, whose answers are changed at random at the volume's own voxels."""
    from osirix_agent.segmenter.local import VisionLanguageSegmenter
    from tests.tiny import write_model, write_refiner

    base = write_model(tmp_path_factory.mktemp("refined") / "base", tiny_encoder)
    write_refiner(base, strength=0.5)
    return VisionLanguageSegmenter(base)

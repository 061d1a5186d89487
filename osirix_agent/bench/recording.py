"""Simulated sessions that only record: what is in a journal after a day's work, without OsiriX and without a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.state import PromptRecord, StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.intent import Edit
from osirix_agent.prompting.prompt import PointPrompt, Polarity, Prompt
from osirix_agent.record.events import PromptChanged
from osirix_agent.record.journal import Journal, read_journal
from osirix_agent.record.keeping import Keeper
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.store import Store
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.settings import load_settings
from osirix_agent.viewer.protocol import SeriesIdentity

KEY = b"a key for simulated sessions"
NAMES = (
    "GTVp",
    "Parotid_L",
    "Parotid_R",
    "SpinalCord",
    "Brainstem",
    "Lung_L",
    "Lung_R",
    "Heart",
    "Esophagus",
    "PTV_70",
)
PROMPTS_EACH = 10  # of a structure, then it is accepted
EDIT_EVERY, SAY_EVERY = 5, 7
SMALL, BIG = (12, 48, 56), (100, 512, 512)


class Acknowledging(Journal):
    """Tells the link of every event once it has been taken."""

    told: Callable[[str], object] = len

    def append(self, event: Any, *, sync: bool = False) -> None:
        super().append(event, sync=sync)
        self.told(self.link)


def image(shape: tuple[int, int, int] = SMALL) -> Volume:
    """An empty one: nothing looks at its values."""
    axes = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    return Volume(np.zeros(shape, np.float32), Geometry(shape, (0.0, 0.0, 0.0), (3.0, 1.0, 1.0), axes), "CT")


def open_log(path: Path, volume: Volume, keeper: Keeper, told: Callable[[str], object], n: int = 0) -> SessionLog:
    """Of session `n`, begun or, if its journal is there, continued as after a kill."""
    begun = path.is_file() and b"\n" in path.read_bytes()
    events = read_journal(path) if begun else []
    if not begun:  # killed before its first event was whole
        path.unlink(missing_ok=True)
    pseudonyms = Pseudonyms(KEY)
    journal = Acknowledging(path, resume=bool(events), seal=pseudonyms.seal)
    journal.told = told
    log = SessionLog(journal, pseudonyms, time.time, time.monotonic, events, keeper=keeper)
    log.geometry = volume.geometry
    if events:
        log.resumed("agent")
    else:
        who = SeriesIdentity(f"patient {n % 150}", f"study {n}", f"series {n}", ("1", "2"), None, "CT")
        log.started(f"{n:06x}", who, volume, "simulated 1", load_settings(clinician=f"clinician {n % 4}"), n)
        log.baseline(())
    return log


def ball(rng: np.random.Generator, volume: Volume, size: tuple[int, int, int]) -> Belief:
    """A belief about something round, on a crop of that size."""
    shape = volume.geometry.shape_kji
    corner = tuple(int(rng.integers(0, n - s + 1)) for n, s in zip(shape, size, strict=True))
    grid = np.ogrid[tuple(slice(-1, 1, s * 1j) for s in size)]
    far = np.sqrt(sum(one**2 for one in grid)).astype(np.float32)
    return Belief(8 * (rng.uniform(0.4, 0.8) - far), corner, shape, "simulated 1")  # type: ignore[arg-type]


def prompt(
    log: SessionLog, rng: np.random.Generator, volume: Volume, said: list[Prompt], number: int, belief: Belief
) -> Iterator[None]:
    """Everything that one prompt leaves in the journal; paused before what is recorded, so that it can be timed."""
    structure = NAMES[(number // PROMPTS_EACH) % len(NAMES)]
    x, y, z = volume.geometry.to_lps(rng.uniform(0, volume.geometry.shape_kji)).tolist()
    polarity = Polarity.INCLUDE if rng.random() < 0.7 else Polarity.EXCLUDE
    said.append(PointPrompt(position_lps=(x, y, z), polarity=polarity))
    record = PromptRecord(number + 1, said[-1])
    request = SegmentationRequest(volume, structure, tuple(said))
    _ = request.digest  # known before, as the answers are kept by it
    k = int(rng.integers(volume.geometry.shape_kji[0]))
    log.looking_at(k)
    yield
    log.prompt("added", record, structure, k)
    log.proposed(request, belief, None, 100.0)
    log.painted(3, 3, 1.0, 20.0, float(rng.gamma(4, 200)))
    log.settle(wait=False)
    yield
    if number % SAY_EVERY == 0:
        with log.by("voice"):
            log.said([Edit(how="grow", mm=2.0, structure=structure)], 0.9, "grow it by two millimetres")
    if number % EDIT_EVERY == 0:
        ring = tuple((float(a), float(b), z) for a, b in rng.uniform(0, 40, (12, 2)))
        log.edited(structure, k, (ring,), (), joined=False, added_path_mm=float(rng.gamma(2, 20)))
    if number % PROMPTS_EACH == PROMPTS_EACH - 1:
        log.command("accept", structure)
        log.decided("accepted", StructureState(structure, prompts=(record,) * len(said)), belief)
        said.clear()


def work(path: Path, n: int, prompts: int, seed: int, acknowledge: Connection) -> None:
    """One session, in a process of its own that may be killed at any time; begun again it goes on."""
    volume, store = image(), Store.beside(path)
    store.clear_torn()
    if path.is_file() and b'"session_ended"' in path.read_bytes():  # killed after its end
        return
    with ThreadPoolExecutor(1) as executor:
        log = open_log(path, volume, Keeper(store, executor), lambda link: acknowledge.send_bytes(link.encode()), n)
        done = sum(isinstance(event, PromptChanged) for event in read_journal(path))
        rng = np.random.default_rng((seed, n, done))
        said: list[Prompt] = []
        for number in range(done, prompts):
            for _ in prompt(log, rng, volume, said, number, ball(rng, volume, (8, 24, 24))):
                pass
        log.ended("quit", ())
        log.close()

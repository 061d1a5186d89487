"""A clinic's day without OsiriX: a simulated clinician contours patients with a segmenter, and the log is kept.

She gives a box and five clicks, draws anew what is still wrong, slice by slice, and accepts. What she has in mind may
be wrong: logs that nothing should be learnt from are made so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.outline import added_path, outline_belief
from osirix_agent.agent.state import PromptRecord, StructureState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.imaging.contour import isocontour
from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointLps, Prompt, prompt_points_lps
from osirix_agent.record.journal import Journal
from osirix_agent.record.keeping import Keeper
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.store import Store
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest, Segmenter
from osirix_agent.settings import load_settings
from osirix_agent.training.clicks import next_click
from osirix_agent.training.contouring import CLICKS, Contoured, box_prompt, click_prompt, point
from osirix_agent.viewer.protocol import SeriesIdentity

BoolArray = npt.NDArray[np.bool_]

GOOD_SLICE = 0.9  # Dice from which she leaves a slice as it is


def keep_log(
    folder: Path, images: Iterable[Contoured], segmenter: Segmenter | None, pseudonyms: Pseudonyms,
    clinician: str = "one",
) -> Iterator[str]:  # fmt: skip
    """One journal an image in `folder`, with all its structures accepted; yields the names of the images.

    An image's name stands for its series UID, the first word of it for the patient. Without a segmenter she draws
    every slice herself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = load_settings(clinician=clinician)
    with ThreadPoolExecutor(1) as executor:
        for n, image in enumerate(images, 1 + len(list(folder.glob("*.jsonl")))):
            ticks = count(float(n), 1e-3)
            journal = Journal(folder / f"{n:05d}.jsonl", seal=pseudonyms.seal)
            log = SessionLog(
                journal, pseudonyms, ticks.__next__, ticks.__next__, keeper=Keeper(Store.beside(journal.path), executor)
            )
            log.geometry = image.volume.geometry
            who = SeriesIdentity(image.name.split()[0], "study", image.name, (), None, image.volume.modality)
            log.started(f"{n:06x}", who, image.volume, segmenter.name if segmenter else "none", settings, n)
            log.baseline(())
            for structure, truth in image.truths.items():
                _contour(log, segmenter, image.volume, structure, truth)
            log.ended("quit", tuple(image.truths))
            log.close()
            yield image.name


def _contour(log: SessionLog, segmenter: Segmenter | None, volume: Volume, structure: str, truth: BoolArray) -> None:
    records: list[PromptRecord] = []
    belief: Belief | None = None
    shown = np.zeros(truth.shape, np.bool_)
    prompt: Prompt | None = box_prompt(truth, volume.geometry, np.random.RandomState(42)) if segmenter else None
    while segmenter is not None and prompt is not None and len(records) <= CLICKS:
        records.append(PromptRecord(len(records) + 1, prompt))
        at = volume.geometry.to_kji(prompt_points_lps(prompt))
        log.prompt("added", records[-1], structure, round(float(at[:, 0].mean())))
        belief = _ask(log, segmenter, volume, structure, records, ()) or belief
        shown = shown if belief is None else belief.mask()
        prompt = _next_prompt(volume, truth, shown)
    fixed = []
    for k in np.flatnonzero((truth | shown).any((1, 2))):
        if dice(truth[k], shown[k]) < GOOD_SLICE:
            rings = _rings(volume, int(k), truth[k])
            path = added_path(belief, rings, int(k), volume.geometry)
            log.edited(structure, int(k), rings, (), joined=False, added_path_mm=path)
            fixed.append(FixedSlice(k=int(k), rings_lps=rings))
    if segmenter is None:
        belief = outline_belief({f.k: f.rings_lps for f in fixed}, volume.geometry)
    elif fixed:
        belief = _ask(log, segmenter, volume, structure, records, tuple(fixed)) or belief
    log.command("accept", structure)
    held = StructureState(structure, prompts=tuple(records), edits={f.k: () for f in fixed})
    log.decided("accepted", held, belief)


def _next_prompt(volume: Volume, truth: BoolArray, shown: BoolArray) -> Prompt | None:
    click = next_click(truth, shown)
    return None if click is None else click_prompt(click, volume.geometry)


def _ask(
    log: SessionLog, segmenter: Segmenter, volume: Volume, structure: str, records: list[PromptRecord],
    fixed: tuple[FixedSlice, ...],
) -> Belief | None:  # fmt: skip
    request = SegmentationRequest(volume, structure, tuple(r.prompt for r in records), fixed)
    try:
        belief = segmenter.propose(request)
    except PromptError as error:
        log.proposed(request, None, error, 0.0)
        return None
    log.proposed(request, belief, None, 0.0)
    return belief


def _rings(volume: Volume, k: int, plane: BoolArray) -> tuple[tuple[PointLps, ...], ...]:
    rings = isocontour(plane.astype(float), 0.5)
    return tuple(tuple(point(volume.geometry.to_lps((k, j, i))) for j, i in ring) for ring in rings)

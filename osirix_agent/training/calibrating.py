"""`osirix-agent calibrate`: fit a calibration card on the calibration patients, and on no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from osirix_agent.belief.calibration import (
    FEWEST,
    Calibration,
    Fit,
    Sample,
    calibrated,
    conformal_level,
    fit_calibration,
    surface_score,
)
from osirix_agent.belief.spread import probability
from osirix_agent.errors import SettingsError
from osirix_agent.segmenter.certain import fixed_masks
from osirix_agent.segmenter.evidence import evidence_of
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.training.cases import Case
from osirix_agent.training.uncertainty import Stage, sample_of, stages

LENGTH_MM = 12.0
ROUGH = {
    "slope": 0.0,
    "per_mm": 0.6,
    "shift": 0.0,
    "patients": FEWEST,
}  # before any fit
Key = tuple[str, str, int]  # kind, modality, clicks


def stages_of(
    segmenter: Segmenter, cases: Iterable[Case], structures: tuple[str, ...], starts: tuple[str, ...],
    tell: Callable[[str], object] = lambda _: None,
) -> Iterable[Stage]:  # fmt: skip
    """Every contoured structure of every case, after some of the benchmark's clicks."""
    for case in cases:
        for structure in structures:
            if structure in case.known and case.mask(structure).any():
                for start in starts:
                    tell(f"{case.name} {structure} {start}")
                    yield from stages(segmenter, case, structure, start)


def fit_card(found: Iterable[Stage], data: str, length_mm: float = LENGTH_MM, seed: int = 42) -> Calibration:
    """A card from stages of calibration patients.

    Raises
    ------
    SettingsError
        No kind of structure has ten patients.
    """
    random = np.random.default_rng(seed)
    blank = Calibration(segmenter="", data="", length_mm=length_mm, fits=())
    samples: dict[Key, list[Sample]] = defaultdict(list)
    source = ""
    for stage in found:
        request, source = stage.request, stage.belief.source
        evidence = evidence_of(request.volume, request.prompts, fixed_masks(request))
        rough = Fit(kind=stage.kind, modality=request.volume.modality, prompts=0, **ROUGH)  # type: ignore[arg-type]
        told = calibrated(stage.belief, stage.spacing, blank, rough, evidence)
        sample = sample_of(stage, told, random)
        if sample is not None:
            samples[stage.kind, request.volume.modality, stage.clicks].append(sample)
    fits = tuple(_fit(key, held) for key, held in sorted(samples.items()) if _patients(held) >= FEWEST)
    if not fits:
        most = max((_patients(held) for held in samples.values()), default=0)
        raise SettingsError(
            f"{most} calibration patients are too few: below {FEWEST} nothing can be called calibrated.",
            "Give a folder with more patients of one kind of structure.",
        )
    return Calibration(segmenter=source, data=data, length_mm=length_mm, fits=fits)


def _patients(held: Sequence[Sample]) -> int:
    return len({s.patient for s in held})


def _fit(key: Key, held: list[Sample]) -> Fit:
    """The fit on all; its conformal level from scores that each half's fit gives the other half."""
    names = sorted({s.patient for s in held})
    halves = [set(names[::2]), set(names[1::2])]
    scores = []
    for half in halves:
        slope, per_mm, shift = fit_calibration([s for s in held if s.patient not in half])
        for name in sorted(half):  # a patient's structures together are one case
            at = np.concatenate([s.surface for s in held if s.patient == name])
            scores.append(surface_score(probability(slope * at[:, 0] + per_mm * at[:, 1] + shift, at[:, 2])))
    slope, per_mm, shift = fit_calibration(held)
    kind, modality, clicks = key
    return Fit(
        kind=kind, modality=modality, prompts=clicks, slope=round(slope, 4), per_mm=round(per_mm, 4),  # type: ignore[arg-type]
        shift=round(shift, 4), patients=len(names), conformal_level=conformal_level(scores),
    )  # fmt: skip

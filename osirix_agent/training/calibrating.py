"""`osirix-agent calibrate`: fit a calibration card on the calibration patients, and on no others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from osirix_agent.belief.calibration import (
    FEWEST,
    NEAR,
    Calibration,
    Fit,
    Sample,
    calibrated,
    conformal_level,
    fit_calibration,
    fit_temperature,
    surface_score,
)
from osirix_agent.belief.gate import Gallery, Gate, fit_gallery, fit_gate
from osirix_agent.belief.spread import FloatArray, probability
from osirix_agent.errors import ModelError, SettingsError
from osirix_agent.segmenter.certain import fixed_masks
from osirix_agent.segmenter.choice import CARD, model_folders, shipped_models
from osirix_agent.segmenter.evidence import evidence_of
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.segmenter.seen import FEATURES, IMAGE, features
from osirix_agent.settings import Settings
from osirix_agent.training.benchmark import images_of, sets_in
from osirix_agent.training.staging import Stage, Staging
from osirix_agent.training.uncertainty import sample_of

LENGTH_MM = 12.0
ROUGH = {
    "slope": 0.0,
    "per_mm": 0.6,
    "shift": 0.0,
    "patients": FEWEST,
}  # before any fit
Key = tuple[str, str, int]  # kind, modality, clicks


def calibrate(
    folder: Path, segmenter: Segmenter, sets: Sequence[str] | None = None, *, limit: int | None = None,
    share: tuple[int, int] | None = None, work: Path | None = None, tell: Callable[[str], object] = lambda _: None,
) -> Calibration | None:  # fmt: skip
    """A card from a folder's calibration patients; all patients where it has no splits.json.

    Parameters
    ----------
    sets : None for all that the folder holds
    limit : only so many patients of each set
    share : (n, of): contour only the n-th of so many shares of the patients, and fit nothing
    work : where answers are kept for the next time

    Raises
    ------
    SettingsError
        No kind of structure has ten patients, or the segmenter has learnt from these patients.
    """
    staging = Staging(segmenter, work, tell)
    names = list(sets) if sets else sets_in(folder)
    found = chain.from_iterable(
        staging.of(images_of(folder, name, _part(name, segmenter), limit, share or (1, 1))) for name in names
    )
    if share is not None:
        for _ in found:
            pass
        return None
    return fit_card(found, ", ".join(names))


def card_path(segmenter: str, settings: Settings) -> Path:
    """Where a segmenter's card is looked for first: beside its model.

    Raises
    ------
    ModelError
        There is no folder of models.
    """
    folder = settings.model_dir or shipped_models()
    if folder is None:
        raise ModelError("No model is shipped with this installation.", "Say where the card should lie with --out.")
    if segmenter in ("model", "auto"):
        return model_folders(folder)[0] / CARD
    return folder / segmenter / CARD if segmenter == "classical" else folder / CARD


def print_card(card: Calibration) -> None:
    """What was fitted and what it promises."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{card.segmenter}: calibration {card.id}")
    for head in ("kind", "modality", "clicks", "n", "logit", "per mm", "shift", "centre", "in 90", "in 50", "promise"):
        table.add_column(head)
    for f in card.fits:
        held = [f"{v:.2f}" for v in f.held_out] if f.held_out else ["", ""]
        table.add_row(
            f.kind, f.modality, str(f.prompts), str(f.patients), f"{f.slope:.2f}", f"{f.per_mm:.2f}", f"{f.shift:.2f}",
            f"{f.centre:.2f}", *held, promise(f),
        )  # fmt: skip
    console.print(table)


def promise(fit: Fit) -> str:
    """The conformal guarantee in words."""
    if fit.conformal_level is None:
        return f"none: {fit.patients} patients are too few"
    level = 100 * fit.conformal_level
    return (
        f"{fit.surface:.0%} of the surface between {level:.2g} and {100 - level:.4g} % in {fit.cases:.0%} of cases "
        f"(n = {fit.patients}, slack {fit.slack:.2f})"
    )


def _part(name: str, segmenter: Segmenter) -> str:
    """Which patients a card may be fitted on: none that the weights have seen."""
    if not name.startswith("sarcoma"):
        return "calibration"
    if isinstance(segmenter, VisionLanguageSegmenter) and segmenter.serves("GTV"):
        raise SettingsError(
            f"The weights of {segmenter.name} have seen the calibration patients of {name}.",
            "Leave the set out with --set, or calibrate a model without that adapter.",
        )
    return "train"  # there are too few to keep some apart; only an adapter's weights may see them


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
    described: dict[str, dict[str, FloatArray]] = defaultdict(dict)  # modality, patient
    seen: list[_Seen] = []
    source = ""
    for stage in found:
        request, source, modality = stage.request, stage.belief.source, stage.request.volume.modality
        evidence = evidence_of(request.volume, request.prompts, fixed_masks(request))
        rough = Fit(kind=stage.kind, modality=modality, prompts=0, **ROUGH)  # type: ignore[arg-type]
        told = calibrated(stage.belief, stage.spacing, blank, rough, evidence)
        sample = sample_of(stage, told, random)
        if sample is None:
            continue
        samples[stage.kind, modality, stage.clicks].append(sample)
        held = features(stage.belief, request.volume)
        seen.append(_Seen(stage.patient, (stage.kind, stage.name), modality, held, stage.description))
        if stage.description is not None:
            described[modality][stage.patient] = stage.description
    fits = tuple(_fit(key, held) for key, held in sorted(samples.items()) if _patients(held) >= FEWEST)
    if not fits:
        most = max((_patients(held) for held in samples.values()), default=0)
        raise SettingsError(
            f"{most} calibration patients are too few: below {FEWEST} nothing can be called calibrated.",
            "Give a folder with more patients of one kind of structure.",
        )
    galleries = {m: fit_gallery(list(rows.values())) for m, rows in sorted(described.items()) if len(rows) >= FEWEST}
    places = {modality: list(rows) for modality, rows in described.items()}
    gates = _gates(seen, galleries, places)
    return Calibration(
        segmenter=source, data=data, length_mm=length_mm, fits=fits, galleries=galleries, gates=gates
    )  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    """What a gate is fitted on, of one stage."""

    patient: str
    names: tuple[str, str]
    modality: str
    features: FloatArray
    description: FloatArray | None


def _gates(seen: Sequence[_Seen], galleries: dict[str, Gallery], places: dict[str, list[str]]) -> dict[str, Gate]:
    """A gate for each kind, and for each structure that ten patients have; images are told apart from the others'."""
    groups: dict[str, list[tuple[str, FloatArray]]] = defaultdict(list)
    for one in seen:
        held, gallery = one.features, galleries.get(one.modality)
        if gallery is not None and one.description is not None:
            far = gallery.distance(one.description, places[one.modality].index(one.patient))
            held = np.append(held, np.log(far + NEAR))
        for name in one.names:
            groups[f"{name} {one.modality}"].append((one.patient, held))
    gates = {}
    for key, rows in sorted(groups.items()):
        whose, held = [patient for patient, _ in rows], np.stack([row for _, row in rows])
        if len(set(whose)) >= FEWEST:
            gates[key] = fit_gate([*FEATURES, IMAGE][: held.shape[1]], held, whose)
    return gates


def _patients(held: Sequence[Sample]) -> int:
    return len({s.patient for s in held})


def _fit(key: Key, held: list[Sample]) -> Fit:
    """The fit on all; what it promises is checked on each half of the patients with the other half's fit."""
    names = sorted({s.patient for s in held})
    scores, covers = [], []
    for half in (set(names[::2]), set(names[1::2])):
        line = fit_calibration([s for s in held if s.patient not in half])
        for name in sorted(half):  # a patient's structures together are one case
            at = np.concatenate([s.surface for s in held if s.patient == name])
            p = probability(line.at(at[:, 0], at[:, 1]), at[:, 2])
            scores.append(surface_score(p))
            covers.append([np.mean((p >= low) & (p < 1 - low)) for low in (0.05, 0.25)])
    line = fit_calibration(held)
    kind, modality, clicks = key
    wide, narrow = (round(float(v), 4) for v in np.mean(covers, 0))
    slope, per_mm, shift, centre = (round(v, 4) for v in line)
    return Fit(
        kind=kind, modality=modality, prompts=clicks, slope=slope, per_mm=per_mm, shift=shift, centre=centre,  # type: ignore[arg-type]
        patients=len(names), temperature=round(fit_temperature(held), 4), held_out=(wide, narrow),
        conformal_level=conformal_level(scores),
    )  # fmt: skip

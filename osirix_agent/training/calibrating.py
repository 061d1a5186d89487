"""`osirix-agent calibrate`: fit a calibration card on the calibration patients, and on no others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from osirix_agent.belief.calibration import (
    Line,
    Sample,
    conformal_level,
    fit_calibration,
    fit_temperature,
    line_of,
    shares,
    surface_score,
)
from osirix_agent.belief.card import FEWEST, NEAR, Calibration, Fit, read_card, write_card
from osirix_agent.belief.gate import Gallery, Gate, fit_gallery, fit_gate
from osirix_agent.belief.spread import FloatArray
from osirix_agent.belief.tissue import changed
from osirix_agent.errors import ModelError, SettingsError
from osirix_agent.model_folder import shipped_models
from osirix_agent.segmenter.believing import believed
from osirix_agent.segmenter.choice import CARD, CLASSICAL_CARD, model_folders
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.segmenter.seen import FEATURES, IMAGE, features
from osirix_agent.settings import Settings
from osirix_agent.training.benchmark import images_of, sets_in
from osirix_agent.training.staging import Stage, Staging
from osirix_agent.training.uncertainty import sample_of

LENGTH_MM = 12.0
SURE = 2.0  # standard errors by which curves must be likelier
ROUGH = {
    "slope": 0.0,
    "per_mm": 0.6,
    "shift": 0.0,
    "patients": FEWEST,
}  # before any fit
Key = tuple[str, str | None, str, int]  # kind, the one structure or None, modality, prompts drawn


def calibrate(
    folder: Path, segmenter: Segmenter, sets: Sequence[str] | None = None, *, limit: int | None = None,
    share: tuple[int, int] | None = None, work: Path | None = None, tell: Callable[[str], object] = lambda _: None,
    refuse: Callable[[str], object] = lambda _: None,
) -> tuple[Calibration, ...] | None:  # fmt: skip
    """Calibrations from a folder's calibration patients, one for the weights behind each answer; all patients where it
    has no splits.json.

    Parameters
    ----------
    sets : None for all that the folder holds
    limit : only so many patients of each set
    share : (n, of): contour only the n-th of so many shares of the patients, and fit nothing
    work : where answers are kept for the next time
    refuse : is given what was fitted and does not hold, and is left out

    Raises
    ------
    SettingsError
        No kind of structure has ten patients, or the segmenter has learnt from these patients.
    """
    staging = Staging(segmenter, work, tell)
    fitted: dict[str, Calibration] = {}
    most, refused = 0, list[str]()
    for name in sets or sets_in(folder):
        found = staging.of(images_of(folder, name, _part(name, segmenter), limit, share or (1, 1)))
        if share is not None:
            for _ in found:
                pass
            continue
        made, patients = fit_cards(found, name)
        most = max(most, patients)
        fitted = joined(fitted, sound(made, refused.append))
    for reason in refused:
        refuse(reason)
    if share is not None:
        return None
    if not fitted and refused:
        raise SettingsError(
            " ".join(refused),
            "Give more patients, or a segmenter that differs less from one to the next.",
        )
    if not fitted:
        raise SettingsError(
            f"{most} calibration patients are too few: below {FEWEST} nothing can be called calibrated.",
            "Give a folder with more patients of one kind of structure.",
        )
    return tuple(fitted.values())


def sound(made: Iterable[Calibration], refuse: Callable[[str], object]) -> list[Calibration]:
    """With only the fits that hold on patients that they had not seen; the others are told. Where a kind's does not,
    neither do those of its structures count."""
    found = []
    for one in made:
        broken = one.broken()
        for fit in broken.values():
            refuse(_refusal(fit))
        fits = tuple(
            f for f in one.fits
            if not {(f.kind, None, f.modality), (f.kind, f.structure, f.modality)} & broken.keys()
        )  # fmt: skip
        if fits:
            found.append(one.model_copy(update={"fits": fits}))
    return found


def _refusal(fit: Fit) -> str:
    share = fit.held_out[0] if fit.held_out is not None else 0.0
    return (
        f"Not calibrated: {fit.subject}, {fit.modality}. On patients that the fit had not seen, {share:.0%} of the "
        f"surface lay in the 90% band after {fit.prompts} drawn prompts."
    )


def joined(held: dict[str, Calibration], fitted: Iterable[Calibration]) -> dict[str, Calibration]:
    """By weights: what was fitted takes the place of older fits for the same structures; all else stays."""
    found = dict(held)
    for one in fitted:
        before = found.get(one.segmenter)
        found[one.segmenter] = before.refitted(one) if before is not None else one
    return found


def add_to_card(path: Path, fitted: Iterable[Calibration]) -> tuple[Calibration, ...]:
    """Write what was fitted into a card, which keeps what it held besides; returns all of it.

    A card that cannot be read is written anew: fitting again is how it is mended.
    """
    held: dict[str, Calibration] = {}
    with suppress(ModelError):
        held = {one.segmenter: one for one in read_card(path)}
    found = tuple(joined(held, fitted).values())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_card(path, found)
    return found


def card_path(segmenter: str, settings: Settings) -> Path:
    """Where a segmenter's card is looked for first: beside its model.

    Raises
    ------
    ModelError
        There is no folder of models.
    """
    if segmenter == "classical":
        return CLASSICAL_CARD
    folder = settings.model_dir or shipped_models()
    if folder is None:
        raise ModelError("No model is shipped with this installation.", "Say where the card should lie with --out.")
    if segmenter in ("model", "auto"):
        return model_folders(folder)[0] / CARD
    return folder / CARD


def print_calibration(card: Calibration) -> None:
    """What was fitted for one set of weights and what it promises."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{card.segmenter}: calibration {card.id}")
    for head in ("for", "modality", "prompts", "n", "logit", "per mm", "shift", "centre", "in 90", "in 50"):
        table.add_column(head)
    for f in card.fits:
        held = [f"{v:.2f}" for v in f.held_out] if f.held_out else ["", ""]
        table.add_row(
            f.subject, f.modality, str(f.prompts), str(f.patients),
            *(f"{v:.2f}" for v in (f.slope, f.per_mm, f.shift, f.centre)), *held,
        )  # fmt: skip
    console.print(table)
    console.print("Promised:")
    for f in card.fits:
        console.print(f"  {f.subject}, {f.modality}, {f.prompts} prompts: {promise(f)}")


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
    if isinstance(segmenter, VisionLanguageSegmenter) and segmenter.source_for("GTV") != segmenter.sources[0]:
        raise SettingsError(
            f"The weights of {segmenter.name} have seen the calibration patients of {name}.",
            "Leave the set out with --set, or calibrate a model without that adapter.",
        )
    return "train"  # there are too few to keep some apart; only an adapter's weights may see them


def fit_cards(
    found: Iterable[Stage], data: str, length_mm: float = LENGTH_MM, seed: int = 42
) -> tuple[tuple[Calibration, ...], int]:
    """Calibrations from stages of calibration patients, by the weights that answered, where ten patients or more have
    one kind of structure; and the most patients that any kind had."""
    random = np.random.default_rng(seed)
    groups: dict[str, _Gathered] = defaultdict(_Gathered)
    blank = Calibration(segmenter="", data="", length_mm=length_mm, fits=())
    for stage in found:
        request, modality = stage.request, stage.request.volume.modality
        rough = Fit(kind=stage.kind, modality=modality, prompts=0, **ROUGH)  # type: ignore[arg-type]
        told = believed(stage.belief, request, blank, rough)
        sample = sample_of(stage, told, line_of(rough), random)
        if sample is None:
            continue
        group = groups[stage.belief.source]
        for name in (None, stage.name):
            group.samples[stage.kind, name, modality, stage.drawn].append(sample)
        group.seen.append(
            _Seen(
                stage.patient, stage.kind, stage.name, modality, features(stage.belief, request.volume),
                stage.description,
            )
        )  # fmt: skip
    most = max((_patients(held) for group in groups.values() for held in group.samples.values()), default=0)
    made = (group.card(source, data, length_mm) for source, group in sorted(groups.items()))
    return tuple(card for card in made if card.fits), most


@dataclass(frozen=True)
class _Seen:
    """What a gate is fitted on, of one stage."""

    patient: str
    kind: str
    name: str
    modality: str
    features: FloatArray
    description: FloatArray | None


@dataclass
class _Gathered:
    """What calibration cases say of one set of weights."""

    samples: dict[Key, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    seen: list[_Seen] = field(default_factory=list)

    def card(self, source: str, data: str, length_mm: float) -> Calibration:
        """Without a fit where no kind of structure has ten patients."""
        several = Counter((kind, modality, clicks) for kind, name, modality, clicks in self.samples if name)
        fits = tuple(
            _fit(key, held)
            for key, held in sorted(self.samples.items(), key=lambda item: (item[0][0], item[0][1] or "", *item[0][2:]))
            if _patients(held) >= FEWEST and (key[1] is None or several[key[0], key[2], key[3]] > 1)
        )
        galleries: dict[str, Gallery] = {}
        gates: dict[str, Gate] = {}
        for kind, modality in sorted({(fit.kind, fit.modality) for fit in fits}):
            seen = [one for one in self.seen if (one.kind, one.modality) == (kind, modality)]
            described = {one.patient: one.description for one in seen if one.description is not None}
            gallery = fit_gallery(list(described.values())) if len(described) >= FEWEST else None
            if gallery is not None:
                galleries[f"{kind} {modality}"] = gallery
            gates.update(_gates(seen, gallery, list(described)))
        return Calibration(
            segmenter=source, data=data, length_mm=length_mm, fits=fits, galleries=galleries, gates=gates
        )  # fmt: skip


def _gates(seen: Sequence[_Seen], gallery: Gallery | None, patients: list[str]) -> dict[str, Gate]:
    """A gate for the kind, and for each structure that ten patients have; an image is told apart from the others'."""
    groups: dict[str, list[tuple[str, FloatArray]]] = defaultdict(list)
    for one in seen:
        held = one.features
        if gallery is not None and one.description is not None:
            held = np.append(held, np.log(gallery.distance(one.description, patients.index(one.patient)) + NEAR))
        for name in {one.kind, one.name}:
            groups[f"{name} {one.modality}"].append((one.patient, held))
    gates = {}
    for key, rows in sorted(groups.items()):
        whose, held = [patient for patient, _ in rows], np.stack([row for _, row in rows])
        if len(set(whose)) >= FEWEST:
            gates[key] = fit_gate([*FEATURES, IMAGE][: held.shape[1]], held, whose)
    return gates


def _crossed(held: list[Sample], names: list[str], curved: bool) -> dict[str, Line]:
    """By patient: the line fitted on the half of the patients that the patient is not of."""
    found: dict[str, Line] = {}
    for half in (set(names[::2]), set(names[1::2])):
        line = fit_calibration([s for s in held if s.patient not in half], curved)
        found |= dict.fromkeys(half, line)
    return found


def _likelier(held: list[Sample], curved: dict[str, Line], plain: dict[str, Line]) -> bool:
    """Are labels of patients whom neither fit had seen likelier with curves of CT numbers, beyond chance?"""
    gains: dict[str, list[float]] = defaultdict(list)
    for s in held:
        gains[s.patient].append(s.surprise(plain[s.patient]) - s.surprise(curved[s.patient]))
    each = np.array([np.mean(gain) for gain in gains.values()])
    return bool(each.mean() > SURE * each.std() / np.sqrt(len(each)))


def _patients(held: Sequence[Sample]) -> int:
    return len({s.patient for s in held})


def _fit(key: Key, held: list[Sample]) -> Fit:
    """The fit on all; what it promises is checked on each half of the patients with the other half's fit."""
    kind, structure, modality, drawn = key
    names = sorted({s.patient for s in held})
    unseen, curved = _crossed(held, names, curved=False), False
    if structure is not None and modality == "CT":  # several structures have no brightness in common
        with_curves = _crossed(held, names, curved=True)
        if curved := _likelier(held, with_curves, unseen):
            unseen = with_curves
    scores, covers = [], []
    for name in names:  # a patient's structures together are one case
        own, line = [s for s in held if s.patient == name], unseen[name]
        scores.append(surface_score(np.concatenate([s.at_surface(line) for s in own])))
        covers.append(shares(np.concatenate([s.drawn(line) for s in own])))
    line = fit_calibration(held, curved)
    wide, narrow = (round(float(v), 4) for v in np.mean(covers, 0))
    slope, per_mm, shift, centre = (round(v, 4) for v in line[:4])
    curves = changed(line.curves, lambda value: round(value, 4))
    return Fit(
        kind=kind, structure=structure, modality=modality, prompts=drawn,  # type: ignore[arg-type]
        slope=slope, per_mm=per_mm, shift=shift, centre=centre, curves=curves, patients=len(names),
        temperature=round(fit_temperature(held), 4), held_out=(wide, narrow),
        conformal_level=conformal_level(scores),
    )  # fmt: skip

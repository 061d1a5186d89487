"""`osirix-agent evaluate --uncertainty`: does the calibrated belief hold what it promises, and what do simpler ones?

Definitions: docs/concepts/uncertainty.md. Baselines are compared where all start, after the name or the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter
from scipy.special import expit

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import Calibration, calibrated
from osirix_agent.errors import SettingsError
from osirix_agent.figures import Figure
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.believing import believed
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.segmenter.seen import features
from osirix_agent.training import observers
from osirix_agent.training.benchmark import DICOM, images_of, sets_in
from osirix_agent.training.contouring import Contoured
from osirix_agent.training.staging import Stage, Staging
from osirix_agent.training.uncertainty import LEVELS, BandRow, band_row, ece, gain_curve, orders, tempered
from osirix_agent.whole import write_whole

FORMAT = 1  # of the rows that are kept
OURS = "ours"
BASELINES = ("sigmoid", "temperature", "low-rank", "dropout")
DROPPED, MEMBERS = 0.1, 6  # of the decoder's feature maps; passes
NOISE_HU, TRUSTED = 150.0, 0.8
FARTHEST = 1e6

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StageRow:
    """What was measured of one stage.

    Attributes
    ----------
    distance : of the case from those the card was fitted on, over that from which on it is withheld; None: no gate
    gains : Dice after each reviewed slice, by order; empty but at the start
    """

    bands: tuple[BandRow, ...]
    distance: float | None
    gains: dict[str, list[float]]


_ROW = TypeAdapter(StageRow)


@dataclass(frozen=True)
class Shifted:
    """A case that the card was not made for, and how far the gate puts it."""

    patient: str
    shift: str
    distance: float


class Promises:
    """Measures stages of validation patients under a card; rows are kept on disk, as stages are."""

    def __init__(self, staging: Staging, card: Calibration, tell: Callable[[str], object] = lambda _: None) -> None:
        self._staging, self._card, self._tell = staging, card, tell

    def rows(self, images: Iterable[Contoured]) -> Iterator[StageRow]:
        """Of every structure of every image that the card has a fit for, after each number of clicks."""
        for stage in self._staging.of(images):
            if self._card.fit_for(stage.kind, stage.request.volume.modality, stage.clicks) is None:
                continue
            path = self._staging.path([FORMAT, self._card.id, *stage.key])
            path = None if path is None else path.with_suffix(".json")
            if path is not None and path.is_file():
                yield _ROW.validate_json(path.read_bytes())
                continue
            self._tell(f"{stage.patient} {stage.structure}: {stage.clicks} clicks")
            found = self._measured(stage)
            if path is not None:
                write_whole(path, _ROW.dump_json(found))
            yield found

    def _measured(self, stage: Stage) -> StageRow:
        fit = self._card.fit_for(stage.kind, stage.request.volume.modality, stage.clicks)
        ours = believed(stage.belief, stage.request, self._card, fit)
        beliefs, gains = {OURS: ours}, {}
        if stage.clicks == 0:
            beliefs["sigmoid"] = stage.belief
            beliefs["temperature"] = tempered(stage.belief, fit.temperature if fit is not None else 1.0)
            beliefs["low-rank"] = calibrated(stage.belief, stage.spacing, self._card, None)
            if isinstance(self._staging.segmenter, VisionLanguageSegmenter):
                beliefs["dropout"] = dropped_out(self._staging.segmenter, stage)
            gains = {name: gain_curve(stage, ours, order) for name, order in orders(stage).items()}
        bands = tuple(band_row(stage, belief, name) for name, belief in beliefs.items())
        return StageRow(bands, self._distance(stage, stage.name, stage.kind, stage.request.volume.modality), gains)

    def _distance(self, stage: Stage, name: str, kind: str, modality: str) -> float | None:
        """By the gate of a structure or its kind, over the distance from which on it is withheld."""
        gate = self._card.gate_for(name, kind, modality)
        if gate is None:
            return None
        held = self._card.placed(modality, features(stage.belief, stage.request.volume), stage.description)
        return min(gate.distance(held) / gate.withhold, FARTHEST) if len(held) == len(gate.names) else None

    def shifted(self, images: Iterable[Contoured], others: Iterable[tuple[str, Contoured]]) -> Iterator[Shifted]:
        """Inverted and noisy images of a structure each, and images of another kind, asked for from a box."""
        random = np.random.default_rng(7)
        cases = [
            (shift, replace(image, volume=volume)) for image in images
            for shift, volume in (("inverted", inverted(image.volume)), ("noisy", noisy(image.volume, random)))
        ]  # fmt: skip
        fit = self._card.fits[0]
        for shift, image in [*cases, *others]:
            self._tell(f"{image.name} {shift}")
            stage = self._staging.first(image, next(iter(image.truths)))
            far = self._distance(stage, "", fit.kind, fit.modality) if stage is not None else None
            if stage is not None and far is not None:
                yield Shifted(stage.patient, shift, far)


def dropped_out(segmenter: VisionLanguageSegmenter, stage: Stage, seed: int = 42) -> Belief:
    """The mean probability of passes with dropped features."""
    total = np.zeros(stage.truth.shape)
    for n in range(MEMBERS):
        with segmenter.dropping(DROPPED, seed + n):
            member = segmenter.propose(stage.request)
        total += expit(-10.0)
        total[member.region] += expit(member.mean_logit.astype(float)) - expit(-10.0)
    p = np.clip(total / MEMBERS, 1e-6, 1 - 1e-6)
    return Belief(np.log(p / (1 - p)).astype(np.float32), (0, 0, 0), stage.truth.shape, "MC dropout")


def inverted(volume: Volume) -> Volume:
    """What is bright is dark; the air about the body stays."""
    low, high = np.percentile(volume.array, [50, 99.5]).astype(np.float32)
    return replace(volume, array=np.where(volume.array > low, high + low - volume.array, volume.array))


def noisy(volume: Volume, random: np.random.Generator) -> Volume:
    noise = random.normal(0, NOISE_HU, volume.array.shape).astype(np.float32)
    return replace(volume, array=volume.array + noise)


# -- what they say together ------------------------------------------------------------------------------------------
def figures_of(name: str, rows: Sequence[StageRow], shifted: Sequence[Shifted]) -> list[Figure]:
    """The table of one set: ours first, the baselines beside it; intervals are 95 %, over patients."""
    bands = [band for row in rows for band in row.bands]
    found: list[Figure] = []
    first = {m: [b for b in bands if b.method == m and b.clicks == 0] for m in (OURS, *BASELINES)}
    first = {method: held for method, held in first.items() if held}
    for id_, measure, reach in (
        ("band.90", lambda b: b.cover90, (0.87, 0.93)), ("band.50", lambda b: b.cover50, (0.45, 0.55)),
    ):  # fmt: skip
        for method, held in first.items():
            found.append(_figure(f"{name}.{id_}", method, held, _mean(measure), reach))
    goal = _mean(lambda b: b.cover90)(first[OURS])
    for method, held in first.items():
        level = level_for(held, goal)
        found.append(
            _figure(f"{name}.band.width", method, held, _mean(partial(_width, level=level)), None, unit="mm",
                    note=f"brought to a coverage of {goal:.2f}")
        )  # fmt: skip
    for method, held in first.items():
        found.append(_figure(f"{name}.band.ece", method, held, ece, (0.0, 0.02)))
    for method, held in first.items():
        wrong = [b for b in held if b.found is not None]
        found.append(_figure(f"{name}.find.errors", method, wrong, _mean(lambda b: b.found), (0.6, 1.0)))
    for clicks in sorted({b.clicks for b in bands} - {0}):
        held = [b for b in bands if b.method == OURS and b.clicks == clicks]
        found.append(_figure(f"{name}.band.clicks.{clicks}", OURS, held, _mean(lambda b: b.cover90), (0.86, 0.94)))
        found.append(_figure(f"{name}.band.clicks.{clicks}.50", OURS, held, _mean(lambda b: b.cover50), (0.46, 0.54)))
    found += _looks(name, rows)
    return found + _gate(name, rows, shifted)


def level_for(bands: Sequence[BandRow], goal: float) -> float:
    """The log-odds between which a share `goal` of the observers' surface lies, on average."""
    covers = np.array([_mean(partial(_cover, n=n))(bands) for n in range(len(LEVELS))])
    return float(np.interp(goal, covers, LEVELS))


def _width(band: BandRow, level: float) -> float:
    return band.width_at(level)


def _cover(band: BandRow, n: int) -> float:
    return band.curve[n][0]


Score = Callable[[Sequence[BandRow]], float]


def _mean(measure: Callable[[BandRow], float | None]) -> Score:
    """Mean over patients of the mean over their structures."""

    def score(rows: Sequence[BandRow]) -> float:
        held: dict[str, list[float]] = {}
        for row in rows:
            value = measure(row)
            if value is not None:
                held.setdefault(row.patient, []).append(value)
        return float(np.mean([np.mean(v) for v in held.values()])) if held else float("nan")

    return score


def _figure(
    id_: str, method: str, rows: Sequence[BandRow], score: Score, reach: tuple[float, float] | None, unit: str = "",
    note: str | None = None, rounds: int = 300,
) -> Figure:  # fmt: skip
    """One score of one method, drawn anew over patients for its interval; only ours has a reach."""
    by: dict[str, list[BandRow]] = {}
    for row in rows:
        by.setdefault(row.patient, []).append(row)
    id_ = id_ if method == OURS else f"{id_} {method}"
    if not by:
        return Figure(id=id_, value=None, unit=unit, n=0, note="nothing to measure")
    value, names, random = score(rows), sorted(by), np.random.default_rng(0)
    drawn = []
    for _ in range(rounds):
        chosen = enumerate(random.choice(names, len(names)))
        drawn.append(score([replace(row, patient=str(n)) for n, name in chosen for row in by[name]]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    asked = reach if method == OURS else None
    return Figure(
        id=id_, value=round(value, 4), unit=unit, interval=(round(float(low), 4), round(float(high), 4)), n=len(names),
        reach=f"{asked[0]} to {asked[1]}" if asked else None,
        holds=bool(asked[0] <= value <= asked[1]) if asked else None, note=note,
    )  # fmt: skip


def _looks(name: str, rows: Sequence[StageRow]) -> list[Figure]:
    """Dice gained per look by each order, and what the list gains beyond each other."""
    held = [(row.bands[0].patient, row.gains) for row in rows if row.gains]
    if not held:
        return []
    patients = sorted({patient for patient, _ in held})
    found, each = [], {}
    for order in held[0][1]:
        gained = {
            p: np.mean([np.mean(np.array(g[order][1:]) - g[order][0]) for q, g in held if q == p]) for p in patients
        }
        each[order] = np.array([gained[p] for p in patients])
        low, high = _interval(each[order])
        id_ = f"{name}.looks" if order == "list" else f"{name}.looks {order}"
        found.append(Figure(id=id_, value=round(float(each[order].mean()), 4), unit="Dice", interval=(low, high),
                            n=len(patients), note="Dice gained, mean over five looks"))  # fmt: skip
    for order in [o for o in each if o != "list"]:
        more = each["list"] - each[order]
        low, high = _interval(more)
        found.append(Figure(id=f"{name}.looks over {order}", value=round(float(more.mean()), 4), unit="Dice",
                            interval=(low, high), n=len(patients), reach="above 0", holds=low > 0))  # fmt: skip
    return found


def _interval(values: FloatArray) -> tuple[float, float]:
    random = np.random.default_rng(0)
    drawn = values[random.integers(len(values), size=(2000, len(values)))].mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _gate(name: str, rows: Sequence[StageRow], shifted: Sequence[Shifted]) -> list[Figure]:
    first = [row for row in rows if row.distance is not None and row.bands[0].clicks == 0]
    if not first:
        return []
    own = np.array([row.distance for row in first if row.distance is not None])
    found = []
    kinds = sorted({s.shift for s in shifted})
    for kind in [*kinds, "all"] if kinds else []:
        far = np.array([s.distance for s in shifted if kind in ("all", s.shift)])
        auroc = float(((far[:, None] > own) + 0.5 * (far[:, None] == own)).mean())
        id_ = f"{name}.gate" if kind == "all" else f"{name}.gate {kind}"
        found.append(Figure(id=id_, value=round(auroc, 4), unit="AUROC", n=len(far), reach="0.90 or more",
                            holds=auroc >= 0.9, note=f"withheld {np.mean(far > 1):.0%} of them"))  # fmt: skip
    accepted = [row for row, d in zip(first, own, strict=True) if d <= np.quantile(own, TRUSTED)]
    ours = [band for row in accepted for band in row.bands if band.method == OURS]
    found.append(_figure(f"{name}.gate.accepted", OURS, ours, _mean(lambda b: b.cover90), (0.87, 1.0),
                         note=f"withheld {np.mean(own > 1):.0%} of the set's own cases"))  # fmt: skip
    return found


def measure(
    folder: Path, segmenter: Segmenter, card: Calibration, sets: Sequence[str] | None, part: str, *,
    limit: int | None = None, share: tuple[int, int] | None = None, work: Path | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> list[Figure] | None:  # fmt: skip
    """The whole table.

    Parameters
    ----------
    sets : None for all of which the card holds a fit
    share : (n, of): measure only the n-th of so many shares of the patients, keep it, and say nothing yet

    Raises
    ------
    SettingsError
        The card holds no fit for any of the sets.
    """
    promises = Promises(Staging(segmenter, work, tell), card, tell)
    fitted = {(fit.kind, fit.modality) for fit in card.fits}
    names = [name for name in sets or sets_in(folder) if sets or name == DICOM or _about(name) in fitted]
    if not names:
        raise SettingsError(f"The card {card.id} holds no fit for these patients.", "Name sets that it was fitted on.")
    found: list[Figure] = []
    for name in names:
        rows = list(promises.rows(images_of(folder, name, part, limit, share or (1, 1))))
        shifted: list[Shifted] = []
        if _about(name) == (card.fits[0].kind, card.fits[0].modality):
            others = _others(folder, name, part) if share is None or share[0] == 1 else []
            shifted = list(promises.shifted(images_of(folder, name, part, limit, share or (1, 1)), others))
        if share is None:
            found += figures_of(name, rows, shifted)
    return [*found, observers.measure()] if share is None else None


def _about(name: str) -> tuple[str, str]:
    """Kind and modality of a set's structures."""
    if name in ("organs", "targets"):
        return name.removesuffix("s"), "CT"
    return "lesion", {"sarcoma-CT": "CT", "sarcoma-MR_T1": "MR", "sarcoma-PET": "PT"}.get(name, "")


def _others(folder: Path, name: str, part: str) -> Iterator[tuple[str, Contoured]]:
    """Images of another site and of other modalities, where the folder has them."""
    for other in sets_in(folder):
        if other.startswith("sarcoma") and not name.startswith("sarcoma"):
            shift = "other site" if other == "sarcoma-CT" else "other modality"
            yield from ((shift, image) for image in images_of(folder, other, part, None))

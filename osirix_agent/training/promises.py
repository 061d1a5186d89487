"""`osirix-agent evaluate --uncertainty`: does the calibrated belief hold what it promises, and what do simpler ones?

Definitions: docs/concepts/uncertainty.md. Baselines are compared where all start, after the name or the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter
from scipy.special import expit

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.belief.card import Calibration
from osirix_agent.errors import SettingsError
from osirix_agent.figures import Figure
from osirix_agent.imaging.mask import tight
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.believing import believed
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.segmenter.protocol import SegmentationRequest, Segmenter, sources_of
from osirix_agent.segmenter.seen import features
from osirix_agent.training import observers
from osirix_agent.training.benchmark import DICOM, images_of, sets_in
from osirix_agent.training.contouring import Contoured
from osirix_agent.training.staging import Stage, Staging
from osirix_agent.training.tabulated import OURS, Shifted, StageRow, figures_of
from osirix_agent.training.uncertainty import band_row, gain_curve, orders, tempered
from osirix_agent.whole import write_whole

FORMAT = 4  # of the rows that are kept
DROPPED, DROPPED_PASSES = 0.1, 6  # of the decoder's feature maps
NOISE_HU, NOISE_SHARE = 150.0, 0.5  # on CT; elsewhere a share of the image's own deviation
FARTHEST = 1e6


_ROW = TypeAdapter(StageRow)


class Promises:
    """Measures stages of validation patients under a card; rows are kept on disk, as stages are.

    Parameters
    ----------
    cards : by what an answer says it comes from
    members : of the ensemble, each a segmenter
    """

    def __init__(
        self, staging: Staging, cards: Mapping[str, Calibration], tell: Callable[[str], object] = lambda _: None,
        members: Sequence[Segmenter] = (),
    ) -> None:  # fmt: skip
        self._staging, self._cards, self._tell, self._members = staging, cards, tell, members

    def rows(self, images: Iterable[Contoured]) -> Iterator[StageRow]:
        """Of every structure of every image that a card has a fit for, after each number of clicks."""
        for stage in self._staging.of(images):
            card = self._cards.get(stage.belief.source)
            if card is None or card.fit_for(stage.name, stage.request.volume.modality, stage.drawn) is None:
                continue
            path = self._staging.path([FORMAT, card.id, *(m.name for m in self._members), *stage.key])
            path = None if path is None else path.with_suffix(".json")
            if path is not None and path.is_file():
                yield _ROW.validate_json(path.read_bytes())
                continue
            self._tell(f"{stage.patient} {stage.structure}: {stage.clicks} clicks")
            found = self._measured(stage, card)
            if path is not None:
                write_whole(path, _ROW.dump_json(found))
            yield found

    def _measured(self, stage: Stage, card: Calibration) -> StageRow:
        fit = card.fit_for(stage.name, stage.request.volume.modality, stage.drawn)
        ours = believed(stage.belief, stage.request, card, fit)
        beliefs, gains = {OURS: ours}, {}
        if stage.clicks == 0:
            beliefs["sigmoid"] = stage.belief
            beliefs["temperature"] = tempered(stage.belief, fit.temperature if fit is not None else 1.0)
            beliefs["low-rank"] = calibrated(stage.belief, stage.spacing, card, None)
            beliefs |= self._averaged(stage)
            gains = {name: gain_curve(stage, ours, order) for name, order in orders(stage).items()}
        bands = tuple(band_row(stage, belief, name) for name, belief in beliefs.items())
        return StageRow(bands, self._distance(stage, stage.name, stage.kind, stage.request.volume.modality), gains)

    def _averaged(self, stage: Stage) -> dict[str, Belief]:
        """The baselines that ask a network several times."""
        segmenter, found = self._staging.segmenter, {}
        if isinstance(segmenter, VisionLanguageSegmenter):
            passes = (_dropping(segmenter, n) for n in range(DROPPED_PASSES))
            found["dropout"] = self._staging.another(stage, "dropout", lambda: mean_of(stage, passes))
        if self._members:
            asked = (member.propose for member in self._members)
            name = " ".join(["ensemble", *(member.name for member in self._members)])
            found["ensemble"] = self._staging.another(stage, name, lambda: mean_of(stage, asked))
        return found

    def _distance(self, stage: Stage, name: str, kind: str, modality: str) -> float | None:
        """By the gate of a structure or its kind, over the distance from which on it is withheld."""
        card = self._cards.get(stage.belief.source)
        gate = card.gate_for(name, kind, modality) if card is not None else None
        if card is None or gate is None:
            return None
        held = card.placed(kind, modality, features(stage.belief, stage.request.volume), stage.description)
        return min(gate.distance(held) / gate.withhold, FARTHEST) if len(held) == len(gate.names) else None

    def shifted(
        self, kind: str, modality: str, images: Iterable[Contoured], others: Iterable[tuple[str, Contoured]]
    ) -> Iterator[Shifted]:
        """How far the gate of a kind of structure puts inverted and noisy images, and images of another kind, of a
        structure each, asked for from a box."""
        random = np.random.default_rng(7)
        cases = [
            (shift, replace(image, volume=volume)) for image in images
            for shift, volume in (("inverted", inverted(image.volume)), ("noisy", noisy(image.volume, random)))
        ]  # fmt: skip
        for shift, image in [*cases, *others]:
            self._tell(f"{image.name} {shift}")
            stage = self._staging.first(image, next(iter(image.truths)))
            far = self._distance(stage, "", kind, modality) if stage is not None else None
            if stage is not None and far is not None:
                yield Shifted(stage.patient, shift, far)


def _dropping(segmenter: VisionLanguageSegmenter, n: int) -> Callable[[SegmentationRequest], Belief]:
    """Pass n with dropped features."""

    def ask(request: SegmentationRequest) -> Belief:
        with segmenter.dropping(DROPPED, 42 + n):
            return segmenter.propose(request)

    return ask


def mean_of(stage: Stage, asked: Iterable[Callable[[SegmentationRequest], Belief]]) -> Belief:
    """The mean probability of several answers."""
    total, count = np.zeros(stage.truth.shape), 0
    for propose in asked:
        member = propose(stage.request)
        total += expit(OUTSIDE_LOGIT)
        total[member.region] += expit(member.mean_logit.astype(float)) - expit(OUTSIDE_LOGIT)
        count += 1
    p = np.clip(total / count, 1e-6, 1 - 1e-6)
    found = np.log(p / (1 - p)).astype(np.float32)
    box = tight(found > OUTSIDE_LOGIT + 0.5) or (slice(0, 1),) * 3
    corner = tuple(s.start for s in box)
    return Belief(found[box], corner, stage.truth.shape, "mean")  # type: ignore[arg-type]


def inverted(volume: Volume) -> Volume:
    """What is bright is dark; the air about the body stays."""
    low, high = np.percentile(volume.array, [50, 99.5]).astype(np.float32)
    return replace(volume, array=np.where(volume.array > low, high + low - volume.array, volume.array))


def noisy(volume: Volume, random: np.random.Generator) -> Volume:
    amount = NOISE_HU if volume.modality == "CT" else NOISE_SHARE * float(volume.array.std())
    noise = random.normal(0, amount, volume.array.shape).astype(np.float32)
    return replace(volume, array=volume.array + noise)


def measure(
    folder: Path, segmenter: Segmenter, cards: Mapping[str, Calibration], sets: Sequence[str] | None, part: str, *,
    limit: int | None = None, share: tuple[int, int] | None = None, work: Path | None = None,
    tell: Callable[[str], object] = lambda _: None, members: Sequence[Segmenter] = (),
) -> list[Figure] | None:  # fmt: skip
    """The whole table.

    Parameters
    ----------
    cards : by what the segmenter's answers say they come from
    sets : None for all of which the card holds a fit
    share : (n, of): measure only the n-th of so many shares of the patients, keep it, and say nothing yet

    Raises
    ------
    SettingsError
        The card holds no fit for any of the sets.
    """
    promises = Promises(Staging(segmenter, work, tell), cards, tell, members)
    fitted = {(fit.kind, fit.modality) for source in sources_of(segmenter) if source in cards
              for fit in cards[source].fits}  # fmt: skip
    names = [name for name in sets or sets_in(folder) if sets or name == DICOM or _about(name) in fitted]
    if not names:
        raise SettingsError(
            f"There is no calibration of {segmenter.name} for these patients.",
            "Fit one with 'osirix-agent calibrate', or name sets that it was fitted on.",
        )
    found: list[Figure] = []
    for name in names:
        rows = list(promises.rows(images_of(folder, name, part, limit, share or (1, 1))))
        others = _others(folder, name, part) if share is None or share[0] == 1 else []
        images = images_of(folder, name, part, limit, share or (1, 1))
        shifted = list(promises.shifted(*_about(name), images, others)) if name != DICOM else []
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

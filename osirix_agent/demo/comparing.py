"""`osirix-agent replay LOG --model OTHER`: what another model would have answered to the prompts that were recorded.

Every request of a log is put to the other segmenter, and its answer laid beside the recorded one and beside the contour
that was accepted in the end. Two things favour what was recorded: she corrected what she saw, so later prompts answer
its errors, and what she accepted grew out of its proposals. The first answer to a structure is free of the former.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.agent.proposals import segment
from osirix_agent.agent.recorded import open_viewers
from osirix_agent.agent.replay import recorded_requests
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import JournalError, OsirixAgentError, SettingsError
from osirix_agent.imaging.mask import BoolArray, dice
from osirix_agent.imaging.volume import Volume
from osirix_agent.record.courses import courses, stored_mask
from osirix_agent.record.sessions import Session, read_log
from osirix_agent.segmenter.choice import NAMES, adapted, make_segmenter, to_stderr
from osirix_agent.segmenter.folder import KINDS
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.segmenter.server.cluster import on_ray
from osirix_agent.settings import Settings
from osirix_agent.training.metrics import bootstrap, surface_distances
from osirix_agent.training.spreading import Share, spread

ENOUGH = 0.95  # of both surfaces within the tolerance: such an answer might have been accepted as it was
SHORT = 20  # so many answers are told one by one
_LOGIT = 10.0


@dataclass(frozen=True)
class Compared:
    """One recorded answer and the other's; None where a mask is not known, or there was no answer.

    Attributes
    ----------
    event : line of the journal, from 1
    prompts, fixed_slices : that the request held
    dice_between : recorded answer against the other's
    recorded_dice, replayed_dice, recorded_nsd, replayed_nsd : against what was accepted in the end
    """

    session: str
    patient: str
    event: int
    structure: str
    prompts: int
    fixed_slices: int
    refused: str | None
    recorded_cm3: float | None
    replayed_cm3: float | None
    dice_between: float | None
    recorded_dice: float | None
    replayed_dice: float | None
    recorded_nsd: float | None
    replayed_nsd: float | None
    recorded_ms: float
    replayed_ms: float


@dataclass(frozen=True)
class Comparison:
    """A log, replayed.

    Attributes
    ----------
    unseen : names of journals whose image was not found
    """

    segmenter: str
    tolerance_mm: float
    answers: list[Compared]
    unseen: list[str]

    def structures(self) -> dict[str, dict[str, Any]]:
        """Per structure that was accepted: over patients, means with 95 % intervals of the difference."""
        held: dict[str, dict[tuple[str, str], list[Compared]]] = defaultdict(lambda: defaultdict(list))
        for one in self.answers:
            if one.replayed_dice is not None and one.recorded_dice is not None:
                held[one.structure][one.patient, one.session].append(one)
        return {name: _summary(list(held[name].values())) for name in sorted(held)}

    def as_json(self) -> dict[str, Any]:
        return {
            "segmenter": self.segmenter, "tolerance_mm": self.tolerance_mm, "enough": ENOUGH,
            "structures": self.structures(), "answers": [asdict(one) for one in self.answers], "unseen": self.unseen,
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        refused = sum(one.refused is not None for one in self.answers)
        yield f"{self.segmenter}: {len(self.answers)} recorded prompts answered again, {refused} of them refused."
        if len(self.answers) <= SHORT:
            yield from map(_told, self.answers)
        for name, found in self.structures().items():
            yield f"{name}: {found['courses']} accepted, {found['patients']} patients"
            for part in ("first", "last"):
                one = found[part]
                yield (
                    f"  {part} answer, Dice to what was accepted: {one['recorded']:.3f} recorded, "
                    f"{one['replayed']:.3f} replayed; difference {_signed(one['difference'], one['interval'])}"
                )
            clicks = found["prompts_until_enough"]
            yield (
                f"  prompts until {ENOUGH:.0%} of the surface lies within {self.tolerance_mm:g} mm: "
                f"{clicks['recorded']:.1f} recorded ({clicks['recorded_never']} never), "
                f"{clicks['replayed']:.1f} replayed ({clicks['replayed_never']} never)"
            )
        if self.unseen:
            yield f"Not replayed, since their images were not found: {', '.join(self.unseen)}. Give them with --dicom."


def _told(one: Compared) -> str:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    size = "refused" if one.replayed_cm3 is None else f"{one.replayed_cm3:.1f} cm3"
    was = "refused" if one.recorded_cm3 is None else f"{one.recorded_cm3:.1f} cm3"
    return (
        f"  event {one.event}, {one.structure}, {one.prompts} prompts: {was} -> {size}, Dice between them "
        f"{shown(one.dice_between)}, to what was accepted {shown(one.recorded_dice)} -> {shown(one.replayed_dice)}"
    )


def _signed(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:+.3f} ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else f"{value:+.3f} (one patient)"


def _summary(held: Sequence[list[Compared]]) -> dict[str, Any]:
    """Of the courses of one structure: per patient first, then over patients."""
    patients = sorted({answers[0].patient for answers in held})

    def over_patients(values: Callable[[list[Compared]], float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        means = [np.mean([values(one) for one in held if one[0].patient == patient]) for patient in patients]
        return np.asarray(means, float)

    def side(at: int) -> dict[str, Any]:
        recorded = over_patients(lambda one: float(one[at].recorded_dice or 0.0))
        replayed = over_patients(lambda one: float(one[at].replayed_dice or 0.0))
        interval = bootstrap((replayed - recorded)[:, None]) if len(patients) > 1 else None
        return {"recorded": float(recorded.mean()), "replayed": float(replayed.mean()),
                "difference": float((replayed - recorded).mean()), "interval": interval}  # fmt: skip

    until = {
        kind: [_until(one, f"{kind}_nsd") for one in held] for kind in ("recorded", "replayed")
    }  # fmt: skip
    clicks: dict[str, Any] = {}
    for kind, numbers in until.items():
        clicks[kind] = float(np.mean([number for number, _ in numbers]))
        clicks[f"{kind}_never"] = sum(not reached for _, reached in numbers)
    between = [one.dice_between for answers in held for one in answers if one.dice_between is not None]
    return {
        "courses": len(held), "patients": len(patients), "dice_between": float(np.mean(between)) if between else None,
        "first": side(0), "last": side(-1), "prompts_until_enough": clicks,
    }  # fmt: skip


def _until(answers: Sequence[Compared], of: str) -> tuple[int, bool]:
    """Prompts of the first answer that was good enough; one more than there were, if none was."""
    for one in answers:
        if (getattr(one, of) or 0.0) >= ENOUGH:
            return one.prompts, True
    return max(one.prompts for one in answers) + 1, False


def other_segmenter(
    model: str, settings: Settings, tell: Callable[[str], object] = to_stderr
) -> Segmenter:  # fmt: skip
    """What `--model` names: a segmenter, a folder of models, or the folder of one adapter, for the shipped base.

    Raises
    ------
    SettingsError, ModelError
        It names nothing that can be used.
    """
    folder = Path(model)
    if model in NAMES or "://" in model:
        return make_segmenter(settings.model_copy(update={"segmenter": model}), tell)
    if not folder.is_dir():
        raise SettingsError(
            f"There is no segmenter '{model}', and no such folder.", f"Name one of {', '.join(NAMES)}, or a folder."
        )
    if (folder / "adapter.json").is_file():
        return adapted(folder, settings)
    named = settings.segmenter if settings.segmenter in KINDS else "model"  # whose folder it is has to be said
    return make_segmenter(settings.model_copy(update={"segmenter": named, "model_dir": folder}), tell)


def compare(
    log: Path, dicom: Path | None, make: Callable[[], Segmenter], settings: Settings, tolerance_mm: float,
    tell: Callable[[str], object] = str, ray: str | None = None,
) -> Comparison:  # fmt: skip
    """Replay every session of a log whose image is there.

    Parameters
    ----------
    dicom : folder with the images; None: 'study' beside the journals, else the viewers open in OsiriX
    make : makes the other segmenter
    tell : is told what is being done
    ray : address of a cluster over which the sessions are spread, as of `on_ray`; None: one after the other, here

    Raises
    ------
    JournalError
        No log, or none of its images was found.
    """
    sessions = list(read_log(log))
    beside = sessions[0].path.parent / "study"
    if dicom is None and beside.is_dir():
        dicom = beside
    if ray is None:
        found = _replayed(sessions, dicom, make(), settings, tolerance_mm, tell)
    else:
        dicom = None if dicom is None else dicom.absolute()
        with on_ray(ray) as cluster:
            found = list(spread(cluster, partial(_share, log.absolute(), dicom, make, settings, tolerance_mm), tell))
    if not any(one.answers for one in found) and any(not one.seen for one in found):
        raise JournalError(
            "None of the log's images was found.", "Give the folder of the series that were contoured (--dicom)."
        )
    unseen = [one.name for one in found if not one.seen]
    return Comparison(found[0].segmenter, tolerance_mm, [a for one in found for a in one.answers], unseen)


@dataclass
class _Replayed:
    """A session, asked again."""

    name: str
    segmenter: str
    answers: list[Compared] = field(default_factory=list)
    seen: bool = False


def _share(
    log: Path, dicom: Path | None, make: Callable[[], Segmenter], settings: Settings, tolerance_mm: float,
    share: Share,
) -> list[_Replayed]:  # fmt: skip
    sessions = list(read_log(log))[share[0] - 1 :: share[1]]
    return _replayed(sessions, dicom, make(), settings, tolerance_mm, str) if sessions else []


def _replayed(
    sessions: Sequence[Session], dicom: Path | None, segmenter: Segmenter, settings: Settings, tolerance_mm: float,
    tell: Callable[[str], object],
) -> list[_Replayed]:  # fmt: skip
    found = [_Replayed(session.path.name, segmenter.name) for session in sessions]
    waiting = list(zip(sessions, found, strict=True))
    shapes = {session.started.shape_kji for session in sessions}
    with open_viewers(dicom, settings) as viewers:
        for viewer in viewers:
            if viewer.pixels.geometry.shape_kji not in shapes:
                continue
            try:
                volume = viewer.read_volume()
            except OsirixAgentError:  # a series that no session could have been about
                continue
            for session, one in waiting:
                if not one.seen and session.started.volume_digest == volume.digest:
                    tell(f"replaying {one.name}")
                    one.answers += _compared(session, volume, segmenter, tolerance_mm)
                    one.seen = True
    return found


def _compared(session: Session, volume: Volume, segmenter: Segmenter, tolerance_mm: float) -> Iterator[Compared]:
    accepted_by = {
        answer.event: course.decided.mask
        for course in courses(session) if course.decided.decision == "accepted" for answer in course.answers
    }  # fmt: skip
    geometry = volume.geometry

    def known(digest: str) -> Belief | None:
        mask = stored_mask(session, digest)  # a mask's digest is its address
        if mask is None:
            return None
        return Belief(np.where(mask, np.float32(_LOGIT), np.float32(-_LOGIT)), (0, 0, 0), mask.shape, "recorded")

    def nsd(mask: BoolArray | None, accepted: BoolArray | None) -> float | None:
        if mask is None or accepted is None:
            return None
        found = surface_distances(mask, accepted, geometry.spacing_kji_mm)
        return 0.0 if found is None else found.surface_dice(tolerance_mm)

    def overlap(one: BoolArray | None, other: BoolArray | None) -> float | None:
        return None if one is None or other is None else dice(one, other)

    for number, event, request in recorded_requests(session.events, volume, known):
        answer = segment(segmenter, request)
        recorded, accepted = stored_mask(session, event.mask_digest), stored_mask(session, accepted_by.get(number))
        replayed = np.zeros(geometry.shape_kji, np.bool_) if answer.belief is None else answer.belief.mask()
        yield Compared(
            session=session.id, patient=session.started.patient, event=number, structure=event.structure,
            prompts=len(event.prompts), fixed_slices=len(event.fixed),
            refused=None if answer.error is None else answer.error.what,
            recorded_cm3=None if event.volume_mm3 is None else event.volume_mm3 / 1000,
            replayed_cm3=None if answer.belief is None else answer.belief.volume_mm3(geometry) / 1000,
            dice_between=overlap(recorded, replayed), recorded_dice=overlap(recorded, accepted),
            replayed_dice=overlap(replayed, accepted), recorded_nsd=nsd(recorded, accepted),
            replayed_nsd=nsd(replayed, accepted), recorded_ms=event.segment_ms, replayed_ms=answer.segment_ms,
        )  # fmt: skip

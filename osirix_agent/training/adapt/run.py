"""`osirix-agent adapt`: from a log to an adapter in use, or to the reasons why not."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.belief import card as cards
from osirix_agent.errors import LearningError
from osirix_agent.figures import Figure
from osirix_agent.imaging.volume import Volume
from osirix_agent.model_folder import WEIGHTS, check_sums
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.sessions import Session, journals, session_id
from osirix_agent.record.verify import verify
from osirix_agent.segmenter.choice import CARD
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.training.adapt.card import card_text
from osirix_agent.training.adapt.cases import case_of, data_name
from osirix_agent.training.adapt.doubt import Doubt, doubt_of, reasons
from osirix_agent.training.adapt.lessons import lessons_of, sessions_with
from osirix_agent.training.adapt.publish import Lineage, has_base, next_version, publish, rivals
from osirix_agent.training.adapt.trial import gain_figures, harm_figure, pairs
from osirix_agent.training.adapter import GTV_SARCOMA, AdapterRecipe, train_adapter
from osirix_agent.training.calibrating import fit_cards, sound
from osirix_agent.training.cases import Case
from osirix_agent.training.contouring import Contoured
from osirix_agent.training.loop import first_process
from osirix_agent.training.staging import Staging

Images = Callable[[Callable[[str], bool]], Iterable[tuple[str, Volume]]]
Tell = Callable[[str], object]

HELD_OUT = 3  # one patient in so many
FEWEST = 12  # patients: four held out, eight to learn from
MINUTES = 20
MAKING = ".making"  # in the folder of models, deeper than where adapters are looked for


@dataclass(frozen=True)
class Plan:
    """What is to be learnt, and how.

    Attributes
    ----------
    structure : beginning of the names that the adapter will answer for
    clinician : pseudonym; None: all of the site
    without : ids of sessions that are left out
    anchored_weight : of a contour that is the model's output on all slices, beside one drawn by hand
    """

    structure: str
    name: str
    clinician: str | None
    without: tuple[str, ...]
    anchored_weight: float
    recipe: AdapterRecipe


def recipe_for(structure: str, name: str, **changes: Any) -> AdapterRecipe:
    """As the shipped recipe for tumours, in minutes."""
    told = {"name": name, "data": "log", "structures": (data_name(structure),), "serves": (structure,)}
    alone = {"joined": False}  # else the classical segmenter's part would count as learnt
    return GTV_SARCOMA.model_copy(update={"steps": 600, "cool_down": 200, **told, **alone, **changes})


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes
    ----------
    adapter : its folder in the folder of models; None: it was not published
    refused : why not; () where it was
    notes : counts, for the card and for programs
    """

    adapter: Path | None
    refused: tuple[str, ...]
    figures: list[Figure]
    notes: dict[str, Any]


@dataclass
class Gathered:
    """What a log teaches: cases to learn from, and patients to be tried on, none of whom is among the cases."""

    cases: list[Case] = field(default_factory=list)
    tried: list[Contoured] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    anchored: list[float] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    taught_by: set[str] = field(default_factory=set)
    tried_on: set[str] = field(default_factory=set)

    def notes(self, plan: Plan) -> dict[str, Any]:
        return {
            "structure": plan.structure, "sessions": len(self.taught_by), "sessions_held_out": len(self.tried_on),
            "patients": len({c.name.split()[0] for c in self.cases}),
            "patients_held_out": len({c.name.split()[0] for c in self.tried}),
            "contours": len(self.anchored),
            "anchored": round(float(np.mean(self.anchored)), 3) if self.anchored else None,
        }  # fmt: skip


def adapt(
    log: Path, images: Images, base: Path, models: Path, work: Path, plan: Plan, pseudonyms: Pseudonyms,
    organs: Sequence[Contoured] = (), tell: Tell = lambda _: None,
) -> Outcome:  # fmt: skip
    """Learn an adapter from a log, and publish it if it proves itself.

    Parameters
    ----------
    images : gives those series (UID, image) whose UID is wanted
    base : model folder
    models : the site's folder of models, where the adapter goes
    work : for checkpoints; a run that was stopped goes on from there
    organs : patients with contours of other structures, to see that none is harmed

    Raises
    ------
    LearningError
        The log is too small, or it cannot be said which adapter would answer.
    """
    began = time.monotonic()
    models.mkdir(parents=True, exist_ok=True)
    replaced = tuple(rivals(models if has_base(models) else base.parent, plan.recipe.serves))
    held, refused = examine(log, images, base, plan, pseudonyms, tell)
    if refused:
        return Outcome(None, refused, [], held.notes(plan))
    tell("training")
    known, notes = VisionLanguageSegmenter(base).capabilities.structures, held.notes(plan)
    named = tuple(s for s in known if s in {t for c in held.tried for t in c.truths})
    recipe = plan.recipe.model_copy(update={"named": named})
    made = models / MAKING / plan.name
    shutil.rmtree(made.parent, ignore_errors=True)
    folder = work / run_id(recipe, base, plan, held)
    train_adapter(recipe, base, folder, made, next_version(models, plan.name), held.cases)
    if not first_process():
        return Outcome(None, ("another process publishes it",), [], notes)
    try:
        figures = tried(base, replaced, made, held.tried, organs, tell)
        minutes = (time.monotonic() - began) / 60
        figures.append(_time(minutes, recipe.steps))
        judged = [f for f in figures if f.id in ("adapt.gain", "adapt.harm")]
        if failed := [f"{f.id}: {f.value} ({f.interval}), wanted: {f.reach}" for f in judged if not f.holds]:
            return Outcome(None, tuple(failed), figures, notes)
        notes["calibration"] = recalibrate(base, made, held.tried, tell)
        lineage = Lineage(
            sessions=tuple(sorted(held.taught_by)), held_out=tuple(sorted(held.tried_on)), heads=held.heads,
            base=check_sums(base)[WEIGHTS], parent=check_sums((*replaced, base)[0])[WEIGHTS], seed=recipe.seed,
        )  # fmt: skip
        metrics = {"figures": [f.model_dump(mode="json") for f in figures], **notes}
        leads = bool(named) or next(f.interval[0] > 0 for f in figures if f.id == "adapt.beside" and f.interval)
        card = card_text(plan.name, notes, figures, lineage, leads=leads)
        adapter = publish(made, models, base, lineage, card, metrics, leads=leads)
    finally:
        shutil.rmtree(made.parent, ignore_errors=True)
    return Outcome(adapter, (), figures, notes)


def run_id(recipe: AdapterRecipe, base: Path, plan: Plan, held: Gathered) -> str:
    """Of all that decides the weights: a run goes on only from what the same sessions taught, never from another's."""
    taught = {session: held.heads[session] for session in sorted(held.taught_by)}
    told = [recipe.model_dump(mode="json"), check_sums(base)[WEIGHTS], plan.anchored_weight, taught]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def examine(
    log: Path, images: Images, base: Path, plan: Plan, pseudonyms: Pseudonyms, tell: Tell = lambda _: None
) -> tuple[Gathered, tuple[str, ...]]:
    """What a log teaches, and why nothing should be learnt from it; () where nothing speaks against it.

    Raises
    ------
    LearningError
        The log is too small.
    """
    sessions, altered = sound_sessions(log, plan, pseudonyms)
    if altered:
        return Gathered(), tuple(altered)
    held = gather(sessions, images, pseudonyms, plan, VisionLanguageSegmenter(base), tell)
    return held, tuple(reasons(held.doubts))


def sound_sessions(log: Path, plan: Plan, pseudonyms: Pseudonyms) -> tuple[list[Session], list[str]]:
    """The sessions that teach the structure; and which of the log's journals are not as they were written."""
    paths = [path for path in journals(log) if session_id(path) not in plan.without]
    seal = pseudonyms.seal
    faults = [f"{v.path.name}: {v.faults[0]}" for v in (verify(p, seal) for p in paths) if v.faults]
    if faults:
        return [], faults
    return sessions_with(paths, plan.structure, plan.clinician), []


def parted(patients: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Those to learn from and those held out: pseudonyms are random, so their order is.

    Raises
    ------
    LearningError
        Too few to tell whether anything was gained.
    """
    known = sorted(set(patients))
    if len(known) < FEWEST:
        raise LearningError(
            f"The log has accepted contours of {len(known)} patients; {FEWEST} are needed, a third of them to try "
            "what was learnt on.",
            "Contour more patients first, or merge the logs of several machines ('osirix-agent log merge').",
        )
    held_out = frozenset(known[: len(known) // HELD_OUT])
    return frozenset(known) - held_out, held_out


def gather(
    sessions: Sequence[Session], images: Images, pseudonyms: Pseudonyms, plan: Plan, alone: VisionLanguageSegmenter,
    tell: Tell,
) -> Gathered:  # fmt: skip
    """Every contour read, doubted, and put on its side: to learn from, or to be tried on.

    Raises
    ------
    LearningError
        Too few patients have their images in the folder.
    """
    taught, _ = parted(s.started.patient for s in sessions)
    held, seen = Gathered(), set()
    for lesson in lessons_of(sessions, images, pseudonyms, plan.structure):
        tell(f"reading session {lesson.session}")
        seen.add(lesson.patient)
        case = case_of(lesson, plan.anchored_weight)
        held.doubts.append(doubt_of(lesson, case, alone))
        held.anchored.append(lesson.anchored)
        held.heads[lesson.session] = lesson.head
        if lesson.patient in taught:
            held.cases.append(case)
            held.taught_by.add(lesson.session)
        else:
            name = f"{lesson.patient} {lesson.session}"
            held.tried.append(Contoured(name, lesson.volume, {lesson.structure: lesson.mask}))
            held.tried_on.add(lesson.session)
    parted(seen)
    if not (held.cases and held.tried):
        raise LearningError(
            "The images of all patients to learn from, or of all to try on, are missing.",
            "Give the folder of all images that were contoured (--images).",
        )
    return held


def tried(
    base: Path, replaced: tuple[Path, ...], made: Path, held_out: Sequence[Contoured], organs: Sequence[Contoured],
    tell: Tell,
) -> list[Figure]:  # fmt: skip
    """Gain on held-out patients beside the parent and the classical segmenter, and harm to other structures."""
    parent, adapted = VisionLanguageSegmenter(base, replaced), VisionLanguageSegmenter(base, (made,))
    figures = gain_figures("adapt.gain", pairs(parent, adapted, held_out, tell), parent.name)
    classical = ClassicalSegmenter()
    beside = gain_figures("adapt.beside", pairs(classical, adapted, held_out, tell), classical.name)
    figures += [f.model_copy(update={"reach": None, "holds": None}) for f in beside[:1]]
    if organs:
        note = "other structures, as they are answered with the adapter in use"
        figures.append(harm_figure("adapt.harm", pairs(parent, adapted, organs, tell), note))
    return figures


def recalibrate(base: Path, made: Path, held_out: Sequence[Contoured], tell: Tell) -> str:
    """Fit a calibration card for an adapter on patients that it has not seen, and put it into its folder; says what
    came of it, in a sentence."""
    patients = len({image.name.split()[0] for image in held_out})
    if patients < cards.FEWEST:
        return f"Not calibrated: {patients} patients were held out, and {cards.FEWEST} are needed."
    segmenter, why = VisionLanguageSegmenter(base, (made,)), list[str]()
    fitted, _ = fit_cards(Staging(segmenter, None, tell).of(held_out), "patients of the log who were held out")
    own = [one for one in sound(fitted, why.append) if one.segmenter != segmenter.sources[0]]
    if not own:
        return why[0] if why else "Not calibrated: the structure was found on too few of the patients held out."
    cards.write_card(made / CARD, own)
    return f"Calibrated on the {patients} patients who were held out, and who also decided that it is in use."


def _time(minutes: float, steps: int) -> Figure:
    return Figure(
        id="adapt.time", value=round(minutes, 1), unit="min", reach=f"{MINUTES} min", holds=minutes <= MINUTES,
        note=f"reading, doubting, {steps} steps, trying",
    )  # fmt: skip

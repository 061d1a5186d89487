"""What `osirix-agent adapt` was asked for, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from osirix_agent.errors import LearningError, ModelError
from osirix_agent.figures import report
from osirix_agent.imaging.dicom import read_series
from osirix_agent.model_folder import shipped_models
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.choice import model_folders
from osirix_agent.settings import Settings
from osirix_agent.training.adapt import publish
from osirix_agent.training.adapt.run import Outcome, Plan, adapt, recipe_for
from osirix_agent.training.benchmark import images_of, sets_in
from osirix_agent.training.contouring import Contoured


@dataclass(frozen=True)
class Asked:
    """The command's options, by their names."""

    log: Path | None
    images: Path | None
    structure: str
    out: Path | None
    base: Path | None
    name: str | None
    clinician: str | None
    without: list[str]
    anchored_weight: float
    organs: Path | None
    organ_cases: int
    steps: int | None
    seed: int | None
    work: Path | None

    def models(self) -> Path:
        if self.out is None:
            raise LearningError("It is not said where the adapter goes.", "Give the site's folder of models (--out).")
        return self.out

    def base_folder(self) -> Path:
        """The base that was named, else that in the site's folder of models, else the shipped one."""
        if self.base is not None:
            return self.base
        if self.out is not None and any(self.out.glob("*/model.json")):
            return model_folders(self.out)[0]
        shipped = shipped_models()
        if shipped is None:
            raise ModelError("No model is shipped with this installation.", "Name the base's folder (--base).")
        return model_folders(shipped)[0]

    def recipe_changes(self) -> dict[str, int]:
        given = {"steps": self.steps, "cool_down": None if self.steps is None else self.steps // 3, "seed": self.seed}
        return {name: value for name, value in given.items() if value is not None}

    def plan(self, pseudonyms: Pseudonyms) -> Plan:
        whose = "site" if self.clinician is None else "clinician"
        name = self.name or f"{self.structure.lower()}-{whose}"
        return Plan(
            self.structure, name, None if self.clinician is None else pseudonyms.of(f"clinician {self.clinician}"),
            tuple(self.without), self.anchored_weight, recipe_for(self.structure, name, **self.recipe_changes()),
        )  # fmt: skip


def learn(asked: Asked, settings: Settings, tell: Callable[[str], object]) -> Outcome:
    """From this machine's log, or another of the site, to an adapter.

    Raises
    ------
    LearningError, JournalError, ModelError
        Something is missing.
    """
    models, images = asked.models(), asked.images
    if images is None:
        raise LearningError("Images are not in the log.", "Give the folder of those that were contoured (--images).")
    pseudonyms = Pseudonyms.at(settings.state_dir)
    plan = asked.plan(pseudonyms)
    work = asked.work or models / f".{plan.name}.work"
    organs: list[Contoured] = []
    if asked.organs is not None:
        organs = list(images_of(asked.organs, sets_in(asked.organs)[0], "validation", asked.organ_cases))
    return adapt(
        asked.log or settings.state_dir, lambda wanted: read_series(images, wanted), asked.base_folder(), models, work,
        plan, pseudonyms, organs, tell,
    )  # fmt: skip


def show(outcome: Outcome, *, seed: int, versions: dict[str, str], as_json: bool) -> int:
    """Tell what came of it; returns the exit code."""
    if as_json:
        told = {"adapter": outcome.adapter and str(outcome.adapter), "refused": outcome.refused, **outcome.notes}
        print(json.dumps({**told, "figures": [f.model_dump(mode="json") for f in outcome.figures]}))
        return 0 if outcome.adapter else 1
    if outcome.figures:
        report(outcome.figures, seed=seed, versions=versions, as_json=False, title="osirix-agent adapt")
    for reason in outcome.refused:
        print(f"Refused: {reason}.")
    if outcome.adapter is None:
        print("Nothing was published, and nothing is left behind.")
        return 1
    print(f"Published: {outcome.adapter}. Use it with --model-dir {outcome.adapter.parent}.")
    print(outcome.notes["calibration"])
    return 0


def roll_back(asked: Asked, name: str) -> str:
    """Retire an adapter; says what answers now."""
    again = publish.roll_back(asked.models(), name)
    now = f"'{again}' answers again" if again else "what the base and the classical segmenter say counts again"
    return f"'{name}' is retired: {now}."

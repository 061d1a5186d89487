"""adapt.gain, adapt.harm, adapt.time, adapt.poison: the loop from log to adapter on public patients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.bench.clinic import keep_log
from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.checkpoint import (
    load_adapter,
    load_model,
    save_adapter,
)
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.training.adapt.run import Plan, adapt, examine, recipe_for
from osirix_agent.training.adapt.trial import gain_figures, harm_figure, pairs
from osirix_agent.training.adapter import train_adapter
from osirix_agent.training.cases import read_openkbp, read_sarcoma, split
from osirix_agent.training.contouring import Contoured, contoured
from osirix_agent.training.phrases import ORGANS

BoolArray = npt.NDArray[np.bool_]
Tell = Callable[[str], object]

PSEUDONYMS = Pseudonyms(b"a key for simulated sessions")
CURVE = (6, 18)  # sessions, beside all of them
ORGAN_PATIENTS, POISON_PATIENTS = 8, 12
NAME = "gtv-log"


def measure(data: Path, base: Path, work: Path, changes: dict[str, int], tell: Tell) -> list[Figure]:
    """All rows, one after the other; what is done is kept in `work`, so that a stopped run goes on.

    Parameters
    ----------
    data : folder with splits.json, openkbp and sarcoma
    base : taken without the adapters beside it, which may have learnt from these patients
    changes : of the recipe
    """
    plan = Plan("GTV", NAME, None, (), 0.5, recipe_for("GTV", NAME, **changes))
    alone = work / "base" / base.name
    if not alone.is_dir():
        shutil.copytree(base, alone)
    base, log = alone, work / "log"
    if not (work / "log.done").is_file():
        for name in keep_log(log, sarcoma(data, "train"), ClassicalSegmenter(), PSEUDONYMS):
            tell(f"contouring {name}")
        (work / "log.done").touch()
    images = Folder(data, "train")
    outcome = adapt(log, images, base, work / "models", work / "run", plan, PSEUDONYMS, tell=tell)
    figures = [f.model_copy(update={"id": f.id.replace("adapt.gain", "adapt.gate")}) for f in outcome.figures]
    figures += _poison(data, base, work, plan, tell)
    if outcome.adapter is None:
        return [*figures, failed("adapt.gain", "Dice", "interval above 0", "; ".join(outcome.refused))]
    figures += _gain(data, base, outcome.adapter, f"{outcome.notes['sessions']} sessions", tell)
    figures.append(_harm(data, base, outcome.adapter, work, tell))
    return figures + _curve(data, base, work, plan, log, images, tell)


class Folder:
    """The sarcoma images of a part of the patients, as if by series UID."""

    def __init__(self, data: Path, part: str) -> None:
        self.data, self.part = data, part

    def __call__(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Volume]]:
        return ((image.name, image.volume) for image in sarcoma(self.data, self.part) if wanted(image.name))


def sarcoma(data: Path, part: str, limit: int | None = None) -> Iterator[Contoured]:
    """An image a modality, patient by patient."""
    for patient in split(data, "sarcoma", part)[:limit]:
        yield from (contoured(case, ("GTV",)) for case in read_sarcoma(data, [patient]))


def organs(data: Path, part: str, limit: int) -> Iterator[Contoured]:
    for patient in split(data, "openkbp", part)[:limit]:
        yield from (contoured(case, tuple(ORGANS)) for case in read_openkbp(data, [patient], whole=True))


def _gain(data: Path, base: Path, adapter: Path, learnt: str, tell: Tell, id_: str = "adapt.gain") -> list[Figure]:
    parent, adapted = VisionLanguageSegmenter(base), VisionLanguageSegmenter(base, (adapter,))
    found = gain_figures(id_, pairs(parent, adapted, sarcoma(data, "validation"), tell), parent.name)
    return [f.model_copy(update={"note": f"{learnt}; {f.note}"}) for f in found]


def _harm(data: Path, base: Path, adapter: Path, work: Path, tell: Tell) -> Figure:
    """Organs, if the adapter answered for them, which it does not."""
    everywhere = work / "everywhere"
    model = load_model(base)
    described, tensors = load_adapter(adapter, model.digest)
    named = {"serves": ("",), "structures": model.description.structures}
    save_adapter(everywhere, tensors, described.model_copy(update=named), {})
    parent, adapted = VisionLanguageSegmenter(base), VisionLanguageSegmenter(base, (everywhere,))
    held = pairs(parent, adapted, organs(data, "validation", ORGAN_PATIENTS), tell)
    note = (
        f"organs of {ORGAN_PATIENTS} validation patients by name and clicks, with the adapter's weights in place of "
        "the base's; in use nothing is lost: the base's own weights answer for what the adapter does not serve"
    )
    return harm_figure("adapt.harm", held, note)


def _curve(
    data: Path, base: Path, work: Path, plan: Plan, log: Path, images: Folder, tell: Tell
) -> list[Figure]:  # fmt: skip
    """What fewer sessions would have taught, by the same recipe."""
    held, _ = examine(log, images, base, plan, PSEUDONYMS, tell)
    figures = []
    for sessions in CURVE:
        tell(f"training on {sessions} sessions")
        out = work / f"curve-{sessions}"
        train_adapter(plan.recipe, base, work / f"run-{sessions}", out, "0", held.cases[:sessions])
        figures += _gain(data, base, out, f"{sessions} sessions", tell, f"adapt.curve.{sessions}")[:1]
    return figures


POISONS: dict[str, Callable[[int, Contoured], Contoured]] = {
    "shifted 12 mm": lambda _, image: _moved(image, 2, 12.0),
    "shifted 20 mm": lambda _, image: _moved(image, 1, 20.0),
    "mirrored": lambda _, image: _mirrored(image),
    "mixed": lambda n, image: (image, _moved(image, 2, 16.0), image, _mirrored(image))[n % 4],
}
WRONG_LABELS = {
    "the other parotid": ("Parotid_L", "RightParotid"),
    "a mandible": ("GTV", "Mandible"),
    "a cord": ("Brainstem", "SpinalCord"),
}
HONEST_ORGANS = {"Parotid_L": "LeftParotid", "Brainstem": "Brainstem"}


def _poison(data: Path, base: Path, work: Path, plan: Plan, tell: Tell) -> list[Figure]:
    """Logs that nothing must be learnt from, drawn by hand so that no proposal gives them away; and honest ones."""
    refused, honest = {}, {}

    def asked(name: str, images: Sequence[Contoured], structure: str) -> bool:
        tell(f"examining a log: {name}")
        folder = work / "poison" / name.replace(" ", "-")
        done = folder.with_suffix(".done")
        if not done.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            for _ in keep_log(folder, images, None, PSEUDONYMS):
                pass
            done.touch()
        chosen = Plan(structure, "poisoned", None, (), 0.5, recipe_for(structure, "poisoned"))
        found = ((image.name, image.volume) for image in images)
        _, why = examine(folder, lambda wanted: (p for p in found if wanted(p[0])), base, chosen, PSEUDONYMS)
        return bool(why)

    part = list(sarcoma(data, "train", POISON_PATIENTS))
    patients = sorted({image.name.split()[0] for image in part})
    for name, spoil in POISONS.items():
        images = [spoil(patients.index(image.name.split()[0]), image) for image in part]
        refused[f"sarcoma {name}"] = asked(name, images, plan.structure)
    honest["sarcoma"] = asked("sarcoma", part, plan.structure)
    heads = list(organs(data, "train", 2 * POISON_PATIENTS))
    for name, (label, organ) in WRONG_LABELS.items():
        images = _labelled(heads, label, organ)
        refused[f"{label} is {name}"] = asked(name, images, label)
    for label, organ in HONEST_ORGANS.items():
        honest[label] = asked(label, _labelled(heads, label, organ), label)
    wrong = [name for name, held in refused.items() if not held] + [name for name, held in honest.items() if held]
    return [
        Figure(id="adapt.poison", value=100.0 * sum(refused.values()) / len(refused), unit="% refused", n=len(refused),
               reach="100 %", holds=all(refused.values()),
               note=f"{', '.join(refused)}; before training; not as it should be: {', '.join(wrong) or 'none'}"),
        Figure(id="adapt.honest", value=100.0 * sum(honest.values()) / len(honest), unit="% refused", n=len(honest),
               reach="0 %", holds=not any(honest.values()), note=", ".join(honest)),
    ]  # fmt: skip


def _labelled(heads: Sequence[Contoured], label: str, organ: str) -> list[Contoured]:
    return [replace(h, truths={label: h.truths[organ]}) for h in heads if organ in h.truths][:POISON_PATIENTS]


def _moved(image: Contoured, axis: int, mm: float) -> Contoured:
    voxels = round(mm / image.volume.geometry.spacing_kji_mm[axis])
    return replace(image, truths={name: np.roll(mask, voxels, axis) for name, mask in image.truths.items()})


def _mirrored(image: Contoured) -> Contoured:
    return replace(image, truths={name: mask[:, :, ::-1].copy() for name, mask in image.truths.items()})

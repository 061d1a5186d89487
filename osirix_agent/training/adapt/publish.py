"""An adapter put to use, whole or not at all, with where it comes from; and taken back.

In a site's folder of models at most one adapter answers for a structure: what a new one replaces goes to `retired/`,
from where a rollback brings it back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osirix_agent.errors import LearningError, ModelError
from osirix_agent.model_folder import read_description, write_sums
from osirix_agent.network.checkpoint import AdapterDescription
from osirix_agent.record.forget import LINEAGE

RETIRED = "retired"


@dataclass(frozen=True)
class Lineage:
    """Where an adapter comes from.

    Attributes
    ----------
    sessions : that it learnt from
    held_out : on which it was tried, of other patients
    heads : last link of each journal's chain, by session: another log has another
    base, parent : digest of the base's weights; what answered before
    replaces : the folder in `retired/` that was in its place, if there was one
    """

    sessions: tuple[str, ...]
    held_out: tuple[str, ...]
    heads: dict[str, str]
    base: str
    parent: str
    seed: int
    replaces: str | None = None

    def write(self, folder: Path) -> None:
        (folder / LINEAGE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def rivals(models: Path, serves: Sequence[str]) -> list[Path]:
    """The adapter in a folder of models that answers for exactly these structures, in a list of one, if there is one.

    Raises
    ------
    LearningError
        One answers for some of them, or for more.
    """
    found: list[Path] = []
    for path in sorted(models.glob("*/adapter.json")):
        theirs = read_description(path.parent, "adapter.json", AdapterDescription).serves
        if any(a.upper().startswith(b.upper()) or b.upper().startswith(a.upper()) for a in theirs for b in serves):
            if sorted(theirs) != sorted(serves) or found:
                raise LearningError(
                    f"{path.parent.name} answers for {', '.join(theirs)} already, so it would not be clear which "
                    f"answers for {', '.join(serves)}.",
                    "Adapt the same structures, or take that one back first (--rollback NAME).",
                )
            found.append(path.parent)
    return found


def has_base(models: Path) -> bool:
    return any(models.glob("*/model.json"))


def adapters_beside(base: Path) -> list[Path]:
    return sorted(path.parent for path in base.parent.glob("*/adapter.json"))


def next_version(models: Path, name: str) -> str:
    """One more than the highest that the adapter ever had here."""
    held = [models / name, *(models / RETIRED).glob(f"{name}-*")]
    known = [_version(folder) for folder in held if (folder / "adapter.json").is_file()]
    return str(1 + max((int(v) for v in known if v.isdigit()), default=0))


def publish(
    made: Path, models: Path, base: Path, lineage: Lineage, card: str, metrics: dict[str, Any], *, leads: bool
) -> Path:
    """Move an adapter's folder into a folder of models, where it answers from then on.

    Parameters
    ----------
    made : its folder, on the same disk
    base : copied beside it, with the adapters that lie beside it, where the folder of models has no base
    leads : `auto` asks it rather than the classical segmenter

    Raises
    ------
    LearningError
        Another adapter has its name, or answers for some of its structures.
    """
    described = read_description(made, "adapter.json", AdapterDescription)
    if not has_base(models):
        for folder in [base, *adapters_beside(base)]:
            _copied(folder, models / folder.name)
    replaced = rivals(models, described.serves)
    if (models / described.name).exists() and models / described.name not in replaced:
        raise LearningError(f"{models} holds another '{described.name}'.", "Give this adapter another name (--name).")
    place = f"{replaced[0].name}-{_version(replaced[0])}" if replaced else None
    Lineage(**{**asdict(lineage), "replaces": place}).write(made)
    (made / "adapter.json").write_text(described.model_copy(update={"leads": leads}).model_dump_json(indent=1) + "\n")
    (made / "card.md").write_text(card, encoding="utf-8")
    (made / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(base / "LICENSE", made / "LICENSE")
    write_sums(made)
    if place is not None:
        _retire(replaced[0], models / RETIRED / place)
    os.replace(made, models / described.name)
    return models / described.name


def roll_back(models: Path, name: str) -> str | None:
    """Retire an adapter; what it had replaced answers again. Returns that one's name, if there was one.

    Raises
    ------
    LearningError
        There is no such adapter.
    """
    folder = models / name
    if not (folder / "adapter.json").is_file():
        raise LearningError(f"{models} holds no adapter '{name}'.", "Give its name and its folder of models (--out).")
    try:
        before = json.loads((folder / LINEAGE).read_text(encoding="utf-8")).get("replaces")
    except (OSError, ValueError):
        before = None
    _retire(folder, models / RETIRED / f"{name}-{_version(folder)}")
    if not before or not (models / RETIRED / before).is_dir():
        return None
    again: str = read_description(models / RETIRED / before, "adapter.json", AdapterDescription).name
    os.replace(models / RETIRED / before, models / again)
    return again


def _retire(folder: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        raise ModelError(f"{place} is in the way.", "Remove it, then run this again.")
    os.replace(folder, place)


def _version(folder: Path) -> str:
    return read_description(folder, "adapter.json", AdapterDescription).version


def _copied(folder: Path, place: Path) -> None:
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(folder, part)
    os.replace(part, place)

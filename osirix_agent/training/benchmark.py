"""`osirix-agent evaluate`: the interactive benchmark over data sets and segmenters, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from osirix_agent.errors import SettingsError
from osirix_agent.segmenter.choice import make_segmenter
from osirix_agent.settings import Settings
from osirix_agent.training.cases import Case, read_openkbp, read_sarcoma, split
from osirix_agent.training.evaluate import Evaluation, evaluate
from osirix_agent.training.phrases import ORGANS, TARGETS

SETS: dict[str, tuple[str, ...]] = {
    "organs": tuple(ORGANS),
    "targets": tuple(t for t in TARGETS if t.startswith("PTV")),
    "sarcoma-CT": ("GTV",),
    "sarcoma-MR_T1": ("GTV",),
    "sarcoma-PET": ("GTV",),
}


def cases_of(folder: Path, name: str, part: str, limit: int | None) -> list[Case]:
    """The patients of one row of the benchmark.

    Raises
    ------
    SettingsError
        The folder does not hold the documented layout.
    """
    if not (folder / "splits.json").is_file():
        raise SettingsError(
            f"{folder} has no splits.json.", "Give the folder that holds splits.json, openkbp and sarcoma."
        )
    if name.startswith("sarcoma"):
        return read_sarcoma(folder, split(folder, "sarcoma", part)[:limit], (name.partition("-")[2],))
    return read_openkbp(folder, split(folder, "openkbp", part)[:limit], whole=True)


def benchmark(
    folder: Path, segmenters: list[str], sets: list[str], part: str, limit: int | None, settings: Settings,
    tell: Callable[[str], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Every set by every segmenter: summaries and rows, ready for JSON."""
    found: dict[str, Any] = {"part": part, "seed": 42, "summary": [], "rows": []}
    for name in sets:
        if name not in SETS:
            raise SettingsError(f"There is no set '{name}'.", f"Choose from: {', '.join(SETS)}.")
        cases = cases_of(folder, name, part, limit)
        for chosen in segmenters:
            segmenter = make_segmenter(settings.model_copy(update={"segmenter": chosen}))
            starts = ("clicks", "both") if segmenter.capabilities.text else ("clicks",)
            if name.startswith("sarcoma"):
                starts = ("clicks",)  # the images are cropped round the tumour, so words alone would be given away
            done: Evaluation = evaluate(segmenter, cases, SETS[name], starts, tell)
            found["summary"] += [{"set": name, "segmenter": segmenter.name, **row} for row in done.summary()]
            found["rows"] += [{"set": name, **row.as_json()} for row in done.rows]
    return found


def print_benchmark(found: dict[str, Any]) -> None:
    """A table: one line a set, segmenter, start and structure."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Dice after the box or the name, then after each of five clicks ({found['part']} patients)")
    heads = (
        "set", "segmenter", "start", "structure", "n", "first", *"12345", "AUC", "NSD 2", "NSD 4", "HD95",
    )  # fmt: skip
    for head in heads:
        table.add_column(head, justify="left" if head in heads[:4] else "right")
    for row in found["summary"]:
        numbers = [f"{v:.2f}" for v in (*row["dice"], row["auc"], row["surface_dice_2mm"], row["surface_dice_4mm"])]
        hd95 = row.get("hd95_mm")
        table.add_row(row["set"], row["segmenter"].split("(")[0].strip(), row["start"], row["structure"],
                      str(row["patients"]), *numbers, "" if hd95 is None else f"{hd95:.1f}")  # fmt: skip
    Console(width=150).print(table)

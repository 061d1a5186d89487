"""`osirix-agent evaluate`: the interactive benchmark over data sets and segmenters, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from osirix_agent.errors import SettingsError
from osirix_agent.imaging.dicom import read_contoured_series
from osirix_agent.imaging.structure import ascii_name, structure_name
from osirix_agent.segmenter.choice import make_segmenter, plain_segmenter
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.segmenter.server.cluster import on_ray
from osirix_agent.settings import Settings
from osirix_agent.training.cases import read_openkbp, read_sarcoma, split
from osirix_agent.training.contouring import CLICKS, Contoured, contoured
from osirix_agent.training.evaluate import ROWS, evaluate
from osirix_agent.training.phrases import ORGANS, TARGETS
from osirix_agent.training.spreading import evaluate_on

SETS: dict[str, tuple[str, ...]] = {
    "organs": tuple(ORGANS),
    "targets": tuple(t for t in TARGETS if t.startswith("PTV")),
    "sarcoma-CT": ("GTV",),
    "sarcoma-MR_T1": ("GTV",),
    "sarcoma-PET": ("GTV",),
}
DICOM = "dicom"  # the set of a folder that holds DICOM series with RTSTRUCT or SEG
GIVEN_AWAY = ("sarcoma",)  # images cropped round the structure: its place is no news, so words are not measured
DEFAULT_ROWS = tuple(row for row in ROWS if row != "words")  # words alone are the first score of "both"


def sets_in(folder: Path) -> list[str]:
    """Those of `SETS` whose patients the folder's splits.json names; without one, `DICOM`."""
    if not (folder / "splits.json").is_file():
        return [DICOM]
    held = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    return [name for name in SETS if ("sarcoma" if name.startswith("sarcoma") else "openkbp") in held]


def images_of(
    folder: Path, name: str, part: str, limit: int | None, share: tuple[int, int] = (1, 1)
) -> Iterable[Contoured]:
    """The patients of one set, one after the other.

    Parameters
    ----------
    part : of the patients in splits.json
    limit : only so many
    share : (n, of): of those, the n-th of so many equal shares

    Raises
    ------
    SettingsError
        There is no such set, or no such part of the patients.
    DicomError
        Nothing in the folder has contours.
    """
    if not (folder / "splits.json").is_file():
        if name != DICOM:
            raise SettingsError(
                f"{folder} has no splits.json, so there is no set '{name}' in it.",
                "Give the folder that holds splits.json, openkbp and sarcoma, or DICOM series with an RTSTRUCT.",
            )
        return islice(islice(_dicom(folder), limit), share[0] - 1, None, share[1])
    if name not in SETS:
        raise SettingsError(f"There is no set '{name}'.", f"Choose from: {', '.join(SETS)}.")
    data_set = "sarcoma" if name.startswith("sarcoma") else "openkbp"
    patients = split(folder, data_set, part)[:limit][share[0] - 1 :: share[1]]
    if data_set == "sarcoma":
        cases = read_sarcoma(folder, patients, (name.partition("-")[2],))
    else:
        cases = read_openkbp(folder, patients, whole=True)
    return (contoured(case, SETS[name]) for case in cases)


def _dicom(folder: Path) -> Iterable[Contoured]:
    """Each series with each RTSTRUCT or SEG drawn on it; patients are numbered, their names and ids stay unsaid."""
    patients: list[str] = []
    for series in read_contoured_series(folder):
        if series.patient not in patients:
            patients.append(series.patient)
        named = {structure_name(t.name) or ascii_name(t.name): t.mask for t in reversed(series.truths)}
        name = f"{patients.index(series.patient) + 1:03d} {series.volume.modality}"
        yield Contoured(name, series.volume, dict(sorted(named.items())))


def chosen_segmenter(name: str, settings: Settings, calibrated: bool = False) -> Segmenter:
    """As the settings' `segmenter`; `unet:FOLDER` is the plain network that `train peer` wrote there.

    Parameters
    ----------
    calibrated : by its card, where it has one: as she is shown it
    """
    if name.startswith("unet:"):
        from osirix_agent.training.peer import UnetSegmenter

        return UnetSegmenter(Path(name.partition(":")[2]))
    make = make_segmenter if calibrated else plain_segmenter
    return make(settings.model_copy(update={"segmenter": name}))


def benchmark(
    folder: Path, segmenters: list[str], sets: list[str] | None, part: str, limit: int | None, settings: Settings,
    rows: tuple[str, ...] = DEFAULT_ROWS, tell: Callable[[str], object] = lambda _: None, ray: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Every set by every segmenter: summaries and rows, ready for JSON.

    Parameters
    ----------
    sets : None for all that the folder holds
    part : of the patients in splits.json; without one, all are taken
    rows : from `ROWS`
    ray : address of a cluster over which the patients are spread, as of `on_ray`; None: one after the other, here
    """
    with nullcontext() if ray is None else on_ray(ray) as cluster:
        return _benchmark(folder, segmenters, sets, part, limit, settings, rows, tell, cluster)


def _benchmark(
    folder: Path, segmenters: list[str], sets: list[str] | None, part: str, limit: int | None, settings: Settings,
    rows: tuple[str, ...], tell: Callable[[str], object], cluster: Any,
) -> dict[str, Any]:  # fmt: skip
    if unknown := [row for row in rows if row not in ROWS]:
        raise SettingsError(f"There is no row '{unknown[0]}'.", f"Choose from: {', '.join(ROWS)}.")
    found: dict[str, Any] = {"part": part, "cases": limit, "seed": 42, "summary": [], "rows": [], "seconds": []}
    for name in sets or sets_in(folder):
        for chosen in segmenters:
            make = partial(chosen_segmenter, chosen, settings, calibrated=True)
            segmenter = make()
            asked = rows
            if not segmenter.capabilities.clicks and "both" in rows:
                asked = (*rows, "words")
            if name.startswith(GIVEN_AWAY):
                asked = tuple(row for row in rows if row in ("clicks", "jitter"))
            if cluster is None:
                done = evaluate(segmenter, images_of(folder, name, part, limit), asked, tell)
            else:
                images = partial(images_of, folder.absolute(), name, part, limit)
                done = evaluate_on(cluster, make, images, asked, tell)
            about = {"set": name, "segmenter": segmenter.name}
            found["summary"] += [{**about, **row} for row in done.summary()]
            found["rows"] += [{"set": name, **row.as_json()} for kind in ROWS for row in done.rows.get(kind, [])]
            found["seconds"] += [
                {**about, "row": kind, "wall_s_per_image": round(spent / done.images, 2)}
                for kind, spent in done.seconds.items()
            ]
    return found


def print_benchmark(found: dict[str, Any]) -> None:
    """One line a set, row, structure and segmenter: segmenters stand under one another."""
    from rich.console import Console
    from rich.table import Table

    order = {(t["set"], t["row"], t["structure"]): n for n, t in reversed(list(enumerate(found["summary"])))}
    tables = sorted(found["summary"], key=lambda t: order[t["set"], t["row"], t["structure"]])
    console = Console(width=160)
    clicks = Table(title="Dice after the box or the name, then after each of five clicks")
    probes = Table(title="Off by a little, the named side, and what is not there")
    heads = (
        "set", "start", "structure", "segmenter", "n", "first", *map(str, range(1, CLICKS + 1)), "AUC", "NSD 2",
        "NSD 4", "HD95", "to .85", "reach", "far", "fall", "broken",
    )  # fmt: skip
    for head in heads:
        clicks.add_column(head, justify="left" if head in heads[:4] else "right")
    for head in ("set", "row", "structure", "segmenter", "n", "figures (95 % interval over patients)"):
        probes.add_column(head)
    for t in tables:
        begins = [t["set"], t["row"], t["structure"], t["segmenter"].split("(")[0].strip(), str(t["patients"])]
        if "dice" in t and "start" in t:
            scores = [*t["dice"], *[None] * (CLICKS + 1 - len(t["dice"]))]
            numbers = [*scores, *(t.get(k) for k in ("auc", "surface_dice_2mm", "surface_dice_4mm"))]
            clicks.add_row(
                *begins, *(_shown(v) for v in numbers), _shown(t["hd95_mm"], 1), _shown(t.get("clicks_to_085"), 1),
                *(_shown(t.get(k)) for k in ("reached_085", "changed_far", "worst_fall")),
                str(t.get("broken_clicks", "")),
            )  # fmt: skip
        else:
            probes.add_row(*begins, "   ".join(_with_interval(t, key) for key in t if f"{key}_interval" in t))
    for table in (clicks, probes):
        if table.row_count:
            console.print(table)


def _shown(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _with_interval(table: dict[str, Any], key: str) -> str:
    if table[key] is None:
        return f"{key} -"
    low, high = table[f"{key}_interval"]
    return f"{key} {table[key]:.2f} ({low:.2f}-{high:.2f})"

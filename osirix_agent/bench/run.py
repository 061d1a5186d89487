"""All rows of the reach table, measured side by side in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from osirix_agent.bench import (
    capacity,
    click,
    export,
    faults,
    fuzz,
    idle,
    path,
    reading,
    record,
    serve_faults,
    serve_soak,
    serving,
    soak,
    starting,
    uncertain,
    writing,
)
from osirix_agent.figures import Figure, failed

Row = tuple[tuple[str, ...], str, str, Callable[[Path, int], list[Figure]]]

ROWS: list[Row] = [
    (("viewer.read", "viewer.read.pyosirix"), "s", reading.REACH, reading.measure),
    (("viewer.write", "viewer.write.changed"), "s", writing.REACH, writing.measure),
    (("viewer.idle", "viewer.idle.cpu"), "RPCs/poll", idle.REACH, idle.measure),
    (("path.click", "path.click.p95"), "s", path.REACH, path.measure),
    (("import.time", "import.time.help"), "s", starting.REACH, starting.measure),
]


def measure(
    what: str,
    seed: int,
    sequences: int,
    only: list[str] | None,
    *,
    quiet: bool,
    runs: int = 1000,
    kills: int = 50,
    prompts: int = 20_000,
    minutes: float | None = None,
    sessions: int | None = None,
    dicom: Path | None = None,
) -> list[Figure]:
    """Measure; a row that fails is there with the reason.

    Parameters
    ----------
    what : 'all', 'belief', 'capacity', 'click', 'export', 'soak', 'faults', 'ray', 'record', 'serve', 'serve-faults',
        'serve-soak', 'fuzz' or 'panel'
    sequences : int
        Of the soak.
    runs, kills : int
        Of the faults.
    prompts : int
        Of the log.
    minutes : of the server's soak (15), of kills on Ray (3), or of processor time for the fuzzer (10)
    sessions : of the log (200), or of the server's soak (16)
    dicom : folder of further series, of the export
    only : list of row ids, or None for all
    quiet : bool
        No progress bar.
    """
    from rich.progress import Progress

    figures: list[Figure] = []
    with Progress(transient=True, disable=quiet) as bar, tempfile.TemporaryDirectory() as folder:
        if what == "click":
            bar.add_task("click", total=None)
            return click.measure(Path(folder), seed)
        if what == "belief":
            bar.add_task("belief", total=None)
            return uncertain.measure(seed)
        if what == "soak":
            task = bar.add_task("soak", total=sequences)
            return soak.measure(Path(folder), seed, sequences, lambda n: bar.advance(task, n))
        if what == "faults":
            task = bar.add_task("faults", total=runs + kills)
            return faults.measure(Path(folder), seed, runs, kills, lambda n: bar.advance(task, n))
        if what == "panel":
            from osirix_agent.bench import panel  # its packages are an extra

            bar.add_task("panel", total=None)
            return panel.measure(Path(folder), seed)
        if what == "capacity":
            bar.add_task("capacity", total=None)
            return capacity.measure(seed)
        if what == "ray":
            from osirix_agent.bench import ray  # its packages are an extra

            bar.add_task("ray", total=None)
            return ray.measure(Path(folder), seed, 3 if minutes is None else minutes)
        if what == "serve-faults":
            task = bar.add_task("serve-faults", total=runs // serve_faults.ASKS + kills)
            return serve_faults.measure(Path(folder), seed, runs, kills, lambda n: bar.advance(task, n))
        if what == "serve-soak":
            minutes, sessions = 15 if minutes is None else minutes, sessions or 16
            task = bar.add_task("soak", total=60 * minutes / serve_soak.SAMPLE_S)
            return serve_soak.measure(Path(folder), seed, sessions, minutes, advance=lambda n: bar.advance(task, n))
        if what == "fuzz":
            bar.add_task("fuzz", total=None)
            return fuzz.measure(seed, 10 if minutes is None else minutes)
        if what == "serve":
            task = bar.add_task("serve", total=serving.PAIRS + serving.UPLOADS + 2)
            return serving.measure(seed, lambda n: bar.advance(task, n))
        if what == "export":
            task = bar.add_task("export", total=export.steps())
            return export.measure(Path(folder), seed, dicom, lambda: bar.advance(task))
        if what == "record":
            sessions = sessions or 200
            task = bar.add_task("record", total=sessions)
            return record.measure(Path(folder), seed, sessions, prompts, lambda n: bar.advance(task, n))
        rows = [row for row in ROWS if not only or set(row[0]) & set(only)]
        task = bar.add_task("bench", total=len(rows))
        for ids, unit, reach, act in rows:
            bar.update(task, description=ids[0])
            place = Path(folder) / ids[0]
            place.mkdir()
            try:
                figures += act(place, seed)
            except Exception as error:  # the table is whole whatever happens; the reason stands in it
                figures += [failed(id_, unit, reach, f"{type(error).__name__}: {error}") for id_ in ids]
            bar.advance(task)
    return figures

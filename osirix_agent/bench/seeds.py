"""Many seeded runs on all cores, and the one figure they give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from osirix_agent.figures import Figure

CHUNK = 25
T = TypeVar("T")


def on_all_cores(
    work: Callable[[Path, range], T], folder: Path, seeds: range, advance: Callable[[int], object]
) -> Iterator[T]:
    """What `work` gives for every few of the seeds, as it comes; each call has a folder of its own.

    Parameters
    ----------
    work : a function of a module, as it runs in another process
    advance : is told how many seeds are done
    """
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:  # gRPC does not survive a fork
        parts = [seeds[n : n + CHUNK] for n in range(0, len(seeds), CHUNK)]
        waiting = {pool.submit(_in_own_folder, work, folder, part): len(part) for part in parts}
        for done in as_completed(waiting):
            yield done.result()
            advance(waiting[done])


def violations_figure(name: str, violations: list[str], n: int, note: str) -> Figure:
    """One row; the note of a bad one begins with the seeds to repeat it with."""
    return Figure(
        id=name, value=float(len(violations)), unit="violations", n=n, reach="0", holds=not violations,
        note="; ".join(violations[:5]) or note,
    )  # fmt: skip


def _in_own_folder(work: Callable[[Path, range], T], folder: Path, seeds: range) -> T:
    place = folder / str(seeds.start)
    place.mkdir()
    return work(place, seeds)

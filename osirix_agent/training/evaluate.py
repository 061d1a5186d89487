"""Every structure of every patient asked for in every way, and what it says together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.training.contouring import ClickRow, Contoured, Row, contour, summarise_clicks, unsaid
from osirix_agent.training.probes import absent, jitter, sides, summarise_probe

STARTS = ("clicks", "both", "words")
ROWS = (*STARTS, "jitter", "side", "absent")


@dataclass(eq=False)
class Evaluation:
    """Rows of several images, by kind, with the wall time each kind took."""

    images: int = 0
    rows: dict[str, list[Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, kind: str, row: Row) -> None:
        self.rows.setdefault(kind, []).append(row)

    def extend(self, other: Evaluation) -> None:
        """Further images behind these."""
        self.images += other.images
        for kind, rows in other.rows.items():
            self.rows.setdefault(kind, []).extend(rows)
        for kind, spent in other.seconds.items():
            self.seconds[kind] = self.seconds.get(kind, 0.0) + spent

    def summary(self) -> list[dict[str, Any]]:
        """Tables by kind of row, structure and "all"."""
        return [
            table for kind in ROWS if kind in self.rows
            for table in (summarise_clicks if kind in STARTS else summarise_probe)(kind, self.rows[kind])
        ]  # fmt: skip


def evaluate(
    segmenter: Segmenter, images: Iterable[Contoured], rows: tuple[str, ...],
    tell: Callable[[str], object] = lambda _: None,
) -> Evaluation:  # fmt: skip
    """Ask for every contoured structure of every image.

    `rows` from `ROWS`; those that the segmenter cannot answer (words, clicks) are passed over.
    """
    done, able = Evaluation(), segmenter.capabilities
    starts = [s for s in STARTS if s in rows and (s == "clicks" or able.text) and (s == "words" or able.clicks)]

    @contextmanager
    def timed(kind: str, about: str) -> Iterator[None]:
        tell(f"{about} {kind}")
        began = time.perf_counter()
        yield
        done.seconds[kind] = done.seconds.get(kind, 0.0) + time.perf_counter() - began

    for image in images:
        done.images += 1
        for structure, truth in image.truths.items():
            about = f"{image.name} {structure}"
            clicked: ClickRow | None = None
            for start in starts:
                with timed(start, about):
                    row = contour(segmenter, image.volume, image.name, structure, truth, start)
                done.add(start, row)
                clicked = row if start == "clicks" else clicked
            if "jitter" in rows and able.clicks:
                with timed("jitter", about):
                    clicked = clicked or contour(segmenter, image.volume, image.name, structure, truth, "clicks")
                    done.add("jitter", jitter(segmenter, image, clicked, unsaid(segmenter, structure)))
            if "absent" in rows and able.text:
                with timed("absent", about):
                    found = absent(segmenter, image, structure)
                if found is not None:
                    done.add("absent", found)
        if "side" in rows and able.text:
            with timed("side", image.name):
                for side in sides(segmenter, image):
                    done.add("side", side)
    return done

"""What a log says in numbers: clicks and time to accept, latency, editing effort; per structure, per clinician."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from osirix_agent.record.events import Revealed
from osirix_agent.record.sessions import Session
from osirix_agent.record.tables import DecisionRow, EditRow, PromptRow, ProposalRow, SessionRow, rows_of


@dataclass
class Tally:
    """All that is counted of one group.

    Attributes
    ----------
    prompts_to_accept, seconds_to_accept, added_path_mm : one number an accepted structure
    click_to_redraw_ms : one a prompt that was answered
    """

    sessions: set[str] = field(default_factory=set)
    prompts: int = 0
    edits: int = 0
    accepted: int = 0
    rejected: int = 0
    prompts_to_accept: list[int] = field(default_factory=list)
    seconds_to_accept: list[float] = field(default_factory=list)
    added_path_mm: list[float] = field(default_factory=list)
    click_to_redraw_ms: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Counts, and medians with the 5th and 95th percentile."""
        made = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        spreads = {name: spread(value) for name, value in asdict(self).items() if isinstance(value, list)}
        return {"sessions": len(self.sessions), **made, **spreads}


@dataclass(frozen=True)
class Stats:
    """Of a log."""

    whole: Tally
    structures: dict[str, Tally]
    clinicians: dict[str, Tally]
    arms: dict[str, Tally]

    def as_json(self) -> dict[str, Any]:
        return {
            "whole": self.whole.as_json(),
            "structures": {name: tally.as_json() for name, tally in sorted(self.structures.items())},
            "clinicians": {name: tally.as_json() for name, tally in sorted(self.clinicians.items())},
            "arms": {name: tally.as_json() for name, tally in sorted(self.arms.items())},
        }


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median, 5th and 95th percentile, and how many; None of nothing."""
    if not values:
        return None
    p5, p50, p95 = (float(v) for v in np.percentile(values, [5, 50, 95]))
    return {"n": len(values), "p5": p5, "p50": p50, "p95": p95}


def stats_of(sessions: Iterable[Session]) -> Stats:
    """Count."""
    found = Stats(Tally(), defaultdict(Tally), defaultdict(Tally), defaultdict(Tally))
    for session in sessions:
        who = found.clinicians[session.started.clinician or "unknown"]
        arms = {one.structure: one.arm for one in session.events if isinstance(one, Revealed) and one.arm is not None}
        for row in rows_of(session):
            groups = [found.whole, who]
            if not isinstance(row, SessionRow):
                structure = getattr(row, "structure", None)
                groups += [] if structure is None else [found.structures[structure]]
                groups += [] if structure not in arms else [found.arms[arms[structure]]]
            for tally in groups:
                tally.sessions.add(session.id)
                _count(tally, row)
    return found


def _count(tally: Tally, row: object) -> None:
    match row:
        case PromptRow(change="added"):
            tally.prompts += 1
        case EditRow():
            tally.edits += 1
        case ProposalRow(click_to_redraw_ms=float(ms)):
            tally.click_to_redraw_ms.append(ms)
        case DecisionRow(decision="rejected"):
            tally.rejected += 1
        case DecisionRow():
            tally.accepted += 1
            tally.prompts_to_accept.append(row.prompts)
            tally.added_path_mm.append(row.added_path_mm)
            if row.since_first_prompt_s is not None:
                tally.seconds_to_accept.append(row.since_first_prompt_s)

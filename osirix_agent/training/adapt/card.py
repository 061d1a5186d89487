"""The card of an adapter that was learnt from a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from osirix_agent.figures import Figure
from osirix_agent.training.adapt.publish import Lineage


def card_text(name: str, notes: dict[str, Any], figures: Sequence[Figure], lineage: Lineage, *, leads: bool) -> str:
    """Markdown: what it learnt from, what it was measured on, what is not known."""
    rows = "\n".join(
        f"| {f.id} | {f.value} {f.unit} | {'' if f.interval is None else f'{f.interval[0]} to {f.interval[1]}'} "
        f"| {f.n} | {f.note or ''} |" for f in figures
    )  # fmt: skip
    auto = (
        "`--segmenter auto` asks it for these structures."
        if leads
        else "`--segmenter auto` goes on asking the classical segmenter, since the interval of `adapt.beside` does\n"
        "not lie above 0; `--segmenter model` asks the adapter."
    )
    return f"""# {name}

An adapter for {notes["structure"]}, learnt by `osirix-agent adapt` from the log of a site.
Research software, not a medical device.

**Learnt from** {notes["sessions"]} sessions on {notes["patients"]} patients; **tried on**
{notes["sessions_held_out"]} sessions on {notes["patients_held_out"]} other patients, who were held out. Which, and the
hashes of their journals, is in `lineage.json`; nobody without the site's log can tell who they are.

**Anchoring**: {notes["anchored"]:.0%} of the slices of these contours are what a segmenter proposed, looked at but not
drawn. That holds for the contours it was tried on, too: they are what was accepted, not the truth.

| figure | value | 95 % interval | patients | |
|---|---|---|---|---|
{rows}

{auto}

**Calibration.** {notes["calibration"]} Cards for other weights do not cover it: uncalibrated isolines show what it
believes and promise nothing. `osirix-agent calibrate` fits a card on other patients whom it has not seen.

Base {lineage.base[:12]}, parent {lineage.parent[:12]}, seed {lineage.seed}; recipe in `recipe.json`. Taken back by
`osirix-agent adapt --rollback {name}`.
"""

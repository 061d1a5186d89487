"""A log as one HTML page with plots, to be opened anywhere: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from osirix_agent import __version__
from osirix_agent.errors import JournalError
from osirix_agent.record.agreement import calibration_errors
from osirix_agent.record.plots import histogram, scatter
from osirix_agent.record.sessions import read_log
from osirix_agent.record.stats import Stats, Tally, spread, stats_of
from osirix_agent.whole import write_whole

_STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;width:100%}th,td{text-align:right;padding:.25em .6em;border-bottom:1px solid
#ddd}th:first-child,td:first-child{text-align:left}div{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,
1fr));gap:1em}svg{width:100%}svg text{font:11px system-ui,sans-serif;fill:#444}svg .t{font-weight:600;font-size:13px}
rect,circle{fill:#3a6ea5}.m{stroke:#c0392b;stroke-width:1.5}.a{fill:none;stroke:#888}"""


def write_report(log: Path, path: Path) -> Stats:
    """Write the page; what was there is replaced whole.

    Raises
    ------
    JournalError
        A journal cannot be read, or the page cannot be written.
    """
    sessions = list(read_log(log))
    stats = stats_of(sessions)
    errors = [(session.started.nth or 0, error) for session in sessions for error in calibration_errors(session)]
    try:
        write_whole(path, page(stats, errors))
    except OSError as error:
        raise JournalError(
            f"The report cannot be written ({error.strerror}).", "Free some disk space or choose another place."
        ) from None
    return stats


def page(stats: Stats, errors: list[tuple[int, float]]) -> str:
    """The page; `errors`: number of the session at its site, and calibration error."""
    whole = stats.whole
    plots = [
        histogram(whole.prompts_to_accept, "Prompts to accept", "prompts"),
        histogram(whole.seconds_to_accept, "Time to accept", "s since the first prompt"),
        histogram(whole.click_to_redraw_ms, "Click to redraw", "ms"),
        histogram(whole.added_path_mm, "Editing effort", "mm of added path an accepted structure"),
        scatter([n for n, _ in errors], [e for _, e in errors], "Calibration error of the first answer", "session"),
    ]
    counted = (
        f"{len(whole.sessions)} sessions, {whole.prompts} prompts, {whole.edits} edited slices, {whole.accepted} "
        f"structures accepted, {whole.rejected} rejected. Medians, with the 5th and 95th percentile. Accepted contours "
        "are no truth: calibration is measured against what was accepted."
    )
    tables = _table("Structure", stats.structures) + _table("Clinician", stats.clinicians)
    title = "Contouring sessions"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{counted}</p><div>{''.join(plots)}</div>{tables}"
        f"<p>osirix-agent {escape(__version__)}. Research software, not a medical device.</p></html>\n"
    )


def _table(title: str, groups: Mapping[str, Tally]) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in (title, "sessions", "prompts", "accepted", "rejected", "prompts to accept", "s to accept",
                     "click to redraw, ms", "added path, mm")
    )  # fmt: skip
    rows = "".join(_row(name, tally) for name, tally in sorted(groups.items()))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _row(name: str, tally: Tally) -> str:
    counts = (len(tally.sessions), tally.prompts, tally.accepted, tally.rejected)
    spreads = (tally.prompts_to_accept, tally.seconds_to_accept, tally.click_to_redraw_ms, tally.added_path_mm)
    cells = [escape(name), *map(str, counts)]
    for values in spreads:
        found = spread(values)
        cells.append("" if found is None else f"{found['p50']:.3g} ({found['p5']:.3g}, {found['p95']:.3g})")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

"""A log as one HTML page with plots, to be opened anywhere: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from osirix_agent import __version__
from osirix_agent.errors import JournalError
from osirix_agent.imaging.mask import dice_of_bytes
from osirix_agent.record.agreement import calibration_errors
from osirix_agent.record.courses import Course, courses, stored
from osirix_agent.record.events import CommandGiven, Decided, PromptChanged, Proposed, Said, SliceEdited
from osirix_agent.record.plots import Line, histogram, lines, scatter, short, timeline
from osirix_agent.record.sessions import Session, read_log
from osirix_agent.record.stats import Stats, Tally, spread, stats_of
from osirix_agent.whole import write_whole

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2.5em auto;padding:0 1.2em;color:#1d2733;
background:#fff}h1{font-size:1.7em;margin:0}h2{font-size:1.1em;margin:2em 0 .4em}p{color:#55606e;margin:.4em 0 1em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:.8em;margin:1.4em 0}.cards p{margin:0;
padding:.7em 1em;background:#f3f6fa;border-radius:8px;color:#55606e;font-size:.87em}.cards b{display:block;
font-size:1.65em;color:#1d2733;font-weight:600;line-height:1.3}.plots{display:grid;grid-template-columns:1fr 1fr;
gap:1.4em}table{border-collapse:collapse;margin:.4em 0 1em;width:100%;font-size:.87em}th{font-weight:600;color:
#55606e;vertical-align:bottom}th,td{text-align:right;padding:.4em .6em;border-bottom:1px solid #e3e8ee}th:first-child,
td:first-child{text-align:left}td small{color:#8290a0;white-space:nowrap}svg{width:100%}svg text{font:11px system-ui,
sans-serif;fill:#55606e}svg .t{font-weight:600;font-size:13px;fill:#1d2733}svg .n{font-weight:600}rect,circle{fill:
#3a6ea5}.m{stroke:#c0392b;stroke-width:1.5}.a{fill:none;stroke:#cfd6de}.l{fill:none!important;stroke-width:2}.b{opacity:
.16}.c0{fill:#3a6ea5;stroke:#3a6ea5}.c1{fill:#c8702b;stroke:#c8702b}.c2{fill:#3f8f5b;stroke:#3f8f5b}.c3{fill:#8a5aa8;
stroke:#8a5aa8}text.n{stroke:none}@media print{body{margin:0}svg{break-inside:avoid}}"""


def write_report(log: Path, path: Path) -> Stats:
    """Write the page; what was there is replaced whole. Of one session it also tells the course.

    Raises
    ------
    JournalError
        A journal cannot be read, or the page cannot be written.
    """
    sessions = list(read_log(log))
    stats = stats_of(sessions)
    try:
        write_whole(path, page(sessions, stats))
    except OSError as error:
        raise JournalError(
            f"The report cannot be written ({error.strerror}).", "Free some disk space or choose another place."
        ) from None
    return stats


def page(sessions: Sequence[Session], stats: Stats) -> str:
    """The page."""
    whole, title = stats.whole, "Contouring sessions" if len(sessions) > 1 else "A contouring session"
    found = _courses(sessions) if len(sessions) > 1 else _course(sessions[0]) + _courses(sessions)
    if len(sessions) > 1:
        found += _distributions(sessions, whole)
    said = (
        f"Structures rejected: {whole.rejected}. In tables: medians, with the 5th and 95th percentile. Accepted "
        "contours are no truth: agreement and calibration are measured against what was accepted."
    )
    tables = _table("Structure", stats.structures)
    tables += _table("Clinician", stats.clinicians) if len(sessions) > 1 else ""
    tables += _table("Study arm", stats.arms) if stats.arms else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>{_about(sessions)}{_cards(whole)}{found}{tables}"
        f"<p>{said}</p><p>osirix-agent {escape(__version__)}. Research software, not a medical device.</p></html>\n"
    )


def _about(sessions: Sequence[Session]) -> str:
    if len(sessions) > 1:
        patients = {session.started.patient for session in sessions}
        return f"<p>{len(sessions)} sessions on {len(patients)} patients.</p>"
    started = sessions[0].started
    grid = " x ".join(map(str, started.shape_kji))
    said = f"{started.modality} of {grid} voxels, patient {started.patient}; {started.segmenter}"
    return f"<p>{escape(said)}</p>"


def _cards(whole: Tally) -> str:
    def median(values: Sequence[float], unit: str = "") -> str:
        return f"{short(float(np.median(values)))}{unit}" if len(values) else "none"

    cards = {
        "prompts": str(whole.prompts), "slices edited by hand": str(whole.edits),
        "structures accepted": str(whole.accepted), "prompts to accept": median(whole.prompts_to_accept),
        "to accept": median(whole.seconds_to_accept, " s"), "click to redraw": median(whole.click_to_redraw_ms, " ms"),
    }  # fmt: skip
    shown = "".join(f"<p><b>{value}</b>{name}</p>" for name, value in cards.items())
    return f'<div class="cards">{shown}</div>'


def _course(session: Session) -> str:
    """One session: what happened when."""
    lanes: dict[str, list[tuple[float, float, str]]] = {
        "prompts": [], "answers": [], "edits": [], "commands": [], "decisions": []
    }  # fmt: skip
    for event in session.events:
        at = event.elapsed_s
        match event:
            case PromptChanged():
                lanes["prompts"].append((at, at, f"{event.structure}: {event.prompt.kind} {event.change}"))
            case Proposed():
                lanes["answers"].append((max(at - event.segment_ms / 1000, 0), at, event.structure))
            case SliceEdited():
                lanes["edits"].append((at, at, f"{event.structure}: slice {event.fixed.k + 1}"))
            case Said():
                lanes["commands"].append((at, at, event.phrase))
            case CommandGiven():
                lanes["commands"].append((at, at, event.verb))
            case Decided():
                lanes["decisions"].append((at, at, f"{event.structure}: {event.decision}"))
    return timeline({name: marks for name, marks in lanes.items() if marks}, session.events[-1].elapsed_s)


def _courses(sessions: Sequence[Session]) -> str:
    """How answers came closer to what was accepted."""
    agreed: dict[str, list[list[float]]] = defaultdict(list)
    volumes: list[Line] = []
    for session in sessions:
        for course in courses(session):
            if course.decided.decision == "accepted":
                agreed[course.structure].append(_agreement(session, course))
                volumes += _volumes(course) if len(sessions) == 1 else []
    if not any(any(one) for one in agreed.values()):
        return ""
    drawn = [_line(name, many) for name, many in sorted(agreed.items(), key=lambda kv: (-len(kv[1]), kv[0]))[:4]]
    plots = lines(drawn, "Agreement with what was accepted, Dice", "answer", top=1.0)
    plots += lines(volumes[:4], "Volume, with its 95 to 5 % band, cm3", "answer") if volumes else ""
    return f'<h2>From the first answer to the accepted contour</h2><div class="plots">{plots}</div>'


def _agreement(session: Session, course: Course) -> list[float]:
    accepted = stored(session, course.decided.mask)
    if accepted is None:
        return []
    masks = (stored(session, answer.believed.mask) for answer in course.answers if answer.believed)
    return [dice_of_bytes(mask, accepted) for mask in masks if mask is not None]


def _volumes(course: Course) -> list[Line]:
    after = [answer.believed.after for answer in course.answers if answer.believed]
    volume, inner, outer = (
        [getattr(one, name) / 1000 for one in after] for name in ("volume_mm3", "inner_mm3", "outer_mm3")
    )
    if not all(one.calibration for one in after):  # then the probabilities are nobody's promise
        return [Line(f"{course.structure}, not calibrated", volume)]
    return [Line(course.structure, volume, inner, outer)] if after else []


def _line(name: str, many: list[list[float]]) -> Line:
    """The median of several courses, with the 5th and 95th percentile; where at least half have got."""
    length = int(np.median([len(one) for one in many]))
    at = [[one[n] for one in many if len(one) > n] for n in range(length)]
    if len(many) == 1:
        return Line(name, many[0])
    low, middle, high = ([float(np.percentile(values, share)) for values in at] for share in (5, 50, 95))
    return Line(f"{name} ({len(many)})", middle, low, high)


def _distributions(sessions: Sequence[Session], whole: Tally) -> str:
    errors = [(session.started.nth or 0, error) for session in sessions for error in calibration_errors(session)]
    plots = [
        histogram(whole.prompts_to_accept, "Prompts to accept", "prompts"),
        histogram(whole.seconds_to_accept, "Time to accept", "s since the first prompt"),
        histogram(whole.click_to_redraw_ms, "Click to redraw", "ms"),
        histogram(whole.added_path_mm, "Editing effort", "mm of added path an accepted structure"),
        scatter([n for n, _ in errors], [e for _, e in errors], "Calibration error of the first answer", "session"),
    ]
    return f'<h2>All accepted structures</h2><div class="plots">{"".join(plots)}</div>'


def _table(title: str, groups: Mapping[str, Tally]) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in (title, "sessions", "prompts", "accepted", "rejected", "prompts to accept", "s to accept",
                     "click to redraw, ms", "added path, mm")
    )  # fmt: skip
    rows = "".join(_row(name, tally) for name, tally in sorted(groups.items()))
    return f"<h2>{title}s</h2><table><tr>{head}</tr>{rows}</table>"


def _row(name: str, tally: Tally) -> str:
    counts = (len(tally.sessions), tally.prompts, tally.accepted, tally.rejected)
    spreads = (tally.prompts_to_accept, tally.seconds_to_accept, tally.click_to_redraw_ms, tally.added_path_mm)
    cells = [escape(name), *map(str, counts)]
    for values in spreads:
        found = spread(values)
        if found is None:
            cells.append("")
        elif len(values) == 1:
            cells.append(short(found["p50"]))
        else:
            cells.append(f"{short(found['p50'])}<br><small>{short(found['p5'])} to {short(found['p95'])}</small>")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

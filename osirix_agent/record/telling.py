"""The `log` commands in words: what each found, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from osirix_agent.record.events import (
    Believed,
    CommandGiven,
    Decided,
    Event,
    PromptChanged,
    PromptRefused,
    Proposed,
    Resumed,
    Revealed,
    Said,
    SessionEnded,
    SessionStarted,
    SliceEdited,
)
from osirix_agent.record.sessions import read_session
from osirix_agent.record.stats import Stats, Tally, spread
from osirix_agent.record.verify import Verdict


def told(verdicts: list[Verdict]) -> Iterator[str]:
    """Lines about a log that was verified: what is not whole, and the sum."""
    for verdict in verdicts:
        for text in verdict.faults:
            yield f"{verdict.path.name}: {text}"
        for text in verdict.notes:
            yield f"{verdict.path.name}: note: {text}"
    whole = sum(not verdict.faults for verdict in verdicts)
    events = sum(verdict.events for verdict in verdicts)
    yield f"{whole} of {len(verdicts)} files are whole; {events} events."


def shown(path: Path) -> Iterator[str]:
    """One line an event of a journal.

    Raises
    ------
    JournalError
        It cannot be read.
    """
    for number, event in enumerate(read_session(path).events, 1):
        yield f"{number:5d} {event.elapsed_s:9.2f} s  {event.event:16s} {_words(event)}".rstrip()


def _words(event: Event) -> str:
    match event:
        case SessionStarted():
            return f"{event.modality} {event.shape_kji}, {event.segmenter}, patient {event.patient}"
        case PromptChanged(prompt=prompt):
            said = getattr(prompt, "phrase", None) or getattr(prompt, "how", None) or ""
            kind = f"{prompt.polarity.value} {prompt.kind}"
            return f"{event.change} {event.number}: {kind} for {event.structure} ({event.modality}) {said}"
        case PromptRefused():
            return f"{event.kind}: {event.reason}"
        case SliceEdited():
            added = "" if event.added_path_mm is None else f", {event.added_path_mm:.0f} mm of added path"
            return f"{event.structure} slice {event.fixed.k}{added}"
        case CommandGiven():
            return f"{event.verb} {event.structure or ''} ({event.modality})"
        case Said():
            return f"{event.phrase} ({event.modality})"
        case Proposed():
            volume = event.refused or f"{(event.volume_mm3 or 0) / 1000:.1f} cm3"
            return f"{event.structure} {volume}, {event.segment_ms:.0f} ms"
        case Believed(after=after):
            inner, outer = after.inner_mm3 / 1000, after.outer_mm3 / 1000
            return f"{event.structure} {after.volume_mm3 / 1000:.1f} cm3 ({inner:.1f} to {outer:.1f})"
        case Decided():
            return f"{event.structure} {event.decision}: {event.prompts} prompts, {event.edited_slices} edited slices"
        case Revealed():
            return f"{event.structure}, {event.arm or 'no lot'}{', after her own contour' if event.blind else ''}"
        case Resumed():
            return f"after the {event.after} was gone"
        case SessionEnded():
            return f"{event.reason}; accepted: {', '.join(event.accepted) or 'nothing'}"
    return ""


def counted(stats: Stats) -> Iterator[str]:
    """A line for the whole log, for each structure, each clinician and each arm of a study."""
    yield _line("all", stats.whole)
    groups_of = (("structure", stats.structures), ("clinician", stats.clinicians), ("study arm", stats.arms))
    for title, groups in groups_of:
        for name, tally in sorted(groups.items()):
            yield _line(f"{title} {name}", tally)


def _line(name: str, tally: Tally) -> str:
    parts = [f"{len(tally.sessions)} sessions", f"{tally.prompts} prompts", f"{tally.edits} edited slices"]
    parts += [f"{tally.accepted} accepted", f"{tally.rejected} rejected"]
    for what, values in (("prompts to accept", tally.prompts_to_accept), ("s to accept", tally.seconds_to_accept),
                         ("ms click to redraw", tally.click_to_redraw_ms)):  # fmt: skip
        found = spread(values)
        if found is not None:
            parts.append(f"{found['p50']:.3g} {what} (p95 {found['p95']:.3g})")
    return f"{name}: {', '.join(parts)}"

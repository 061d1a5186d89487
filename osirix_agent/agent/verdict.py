"""What the clinician is told of a belief: how large the structure is, how surely, and whether that may be relied on."""

from __future__ import annotations

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.gate import Verdict
from osirix_agent.imaging.geometry import Geometry


def volume_said(belief: Belief, geometry: Geometry) -> str:
    """The volume, with the interval that holds nine tenths of the worlds where there is a spread; or that there is
    none, and what then."""
    if not belief.crop_mask.any():
        return "nothing was found (click inside it, or draw)"
    found = f"{belief.volume_mm3(geometry) / 1000:.1f} cm3"
    if belief.spread is None:
        return found
    low, high = (v / 1000 for v in belief.volume_interval_mm3(geometry))
    return f"{found} ({low:.1f} to {high:.1f})"


def verdict_said(belief: Belief) -> str:
    """In words for her; the word calibrated only where it is meant."""
    said = belief.judgement
    if said is None:
        return "not calibrated"
    if said.verdict is Verdict.WITHHELD:
        return f"withheld, its isolines promise nothing: {said.reason}"
    if said.verdict is Verdict.REVIEW:
        return f"for review: {said.reason}"
    return "ok: calibrated against one observer's contours, so not for how observers differ"

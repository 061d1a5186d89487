"""What the page shows beside the picture: structures, history, where to look, how the agent is."""

from __future__ import annotations

from typing import Any

from osirix_agent.agent.look import ranked, side_of
from osirix_agent.agent.scene import HUES
from osirix_agent.agent.sight import Sight
from osirix_agent.agent.state import PromptRecord
from osirix_agent.agent.verdict import verdict_said
from osirix_agent.belief.belief import Belief
from osirix_agent.belief.looks import looks
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.panel.picture import slice_of
from osirix_agent.prompting.gaze.place import Place
from osirix_agent.prompting.prompt import ShapePrompt, TextPrompt

LOOKS = 5


def session(sight: Sight, geometry: Geometry) -> dict[str, Any]:
    """The session in one message."""
    state = sight.state
    names = list(state.structures) if state.active in state.structures else [*state.structures, state.active]
    return {
        "kind": "session",
        "active": state.active,
        "structures": [_structure(sight, name, geometry) for name in names],
        "prompts": [
            _prompt(name, record, held.is_closed, geometry)
            for name, held in state.structures.items()
            for record in held.prompts
        ],
        "displayed": sight.displayed_k,
        "flipped": sight.flipped,
        "undo": sight.undo,
        "redo": sight.redo,
        "busy": sight.busy,
        "lost": sight.lost,
        "bands": len(sight.look.levels) > 1,
        "eyes": None if sight.eyes is None else {"state": sight.eyes.state, "calibrated_px": sight.eyes.calibrated_px},
        "segment_ms": sight.timing.segment_ms,
        "redraw_ms": sight.timing.seen_to_redraw_ms,
    }


def where_to_look(
    belief: Belief, geometry: Geometry, hers: frozenset[int], places: tuple[Place, ...] = ()
) -> list[dict[str, Any]]:
    """Up to `LOOKS` slices, the most telling first: {k, band_mm, side}; where it is known, how wide the band is and on
    which side of the outline."""
    if belief.spread is not None:
        best = looks(belief, geometry.spacing_kji_mm, LOOKS, hers, places)
        return [{"k": look.k, "band_mm": round(look.band_mm, 1), "side": side_of(look, geometry)} for look in best]
    return [
        {"k": k, "band_mm": None, "side": ""} for k in ranked(belief, hers, geometry.spacing_kji_mm, places)[:LOOKS]
    ]


def _structure(sight: Sight, name: str, geometry: Geometry) -> dict[str, Any]:
    held, belief = sight.state.structure(name), sight.shown.get(name)
    seen = belief or held.outline
    interval, plain = None, name in sight.look.plain
    if belief is not None and belief.spread is not None and not plain:
        interval = [round(v / 1000, 1) for v in belief.volume_interval_mm3(geometry)]
    return {
        "name": name,
        "colour": list(HUES[held.hue % len(HUES)]),
        "cm3": None if seen is None else round(seen.volume_mm3(geometry) / 1000, 2),
        "interval_cm3": interval,
        "verdict": None if belief is None or belief.judgement is None or plain else belief.judgement.verdict,
        "verdict_said": None if belief is None or plain else verdict_said(belief),
        "slices": None if seen is None else len(seen.slices()),
        "edited": sorted(held.edits),
        "locked": held.locked,
        "accepted": held.accepted,
    }


def _prompt(structure: str, record: PromptRecord, closed: bool, geometry: Geometry) -> dict[str, Any]:
    prompt, words = record.prompt, None
    if isinstance(prompt, TextPrompt):
        words = prompt.phrase
    elif isinstance(prompt, ShapePrompt):
        words = prompt.how
    return {
        "number": record.number,
        "structure": structure,
        "kind": prompt.kind,
        "include": prompt.polarity.sign > 0,
        "words": words,
        "k": slice_of(prompt, geometry),
        "closed": closed,
    }

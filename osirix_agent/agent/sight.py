"""What a session looks like between two steps: values only, so that any thread may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from osirix_agent.agent.scene import Look
from osirix_agent.agent.state import SessionState
from osirix_agent.belief.belief import Belief
from osirix_agent.prompting.gaze.place import Place
from osirix_agent.prompting.gaze.sound import State
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.roi import RoiSpec


@dataclass(frozen=True)
class Timing:
    """The last click by stage, milliseconds."""

    segment_ms: float = 0.0
    plan_ms: float = 0.0
    paint_ms: float = 0.0
    seen_to_redraw_ms: float = 0.0
    writes: int = 0


@dataclass(frozen=True)
class Seen:
    """What her eyes have seen.

    Attributes
    ----------
    state : what the eye tracker is worth now
    reviewed : slices that she has looked at for long enough
    calibrated_px : standard deviation of a place on the companion page; None: not calibrated there
    places : looked at on the page
    """

    state: State
    reviewed: frozenset[int]
    calibrated_px: float | None
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False)
class Sight:
    """The session as its clinician sees it.

    Attributes
    ----------
    shown : mapping of structure to its belief
    hers : her own ROIs in the bound viewer
    displayed_k : slice that viewer shows
    undo, redo : how many steps there are either way
    busy : is a proposal being worked out?
    lost : is the viewer away?
    eyes : None: no eye tracker is watched
    flipped : does the viewer number the slices from the other end?
    """

    state: SessionState
    shown: Mapping[str, Belief]
    hers: tuple[RoiSpec, ...]
    displayed_k: int
    pixels: PixelMap
    look: Look
    undo: int
    redo: int
    busy: bool
    lost: bool
    timing: Timing
    eyes: Seen | None
    flipped: bool

"""An eye tracker in a session: dwell by displayed slice; calibrated on the companion page, places in the patient."""

from __future__ import annotations

from collections import deque
from typing import assert_never

import numpy as np

from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.request import Calibrate
from osirix_agent.agent.sight import Seen
from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.prompting.gaze.calibration import FEWEST_DOTS, Calibration, Dot, Pair, calibrate
from osirix_agent.prompting.gaze.dwell import SliceDwell
from osirix_agent.prompting.gaze.fixation import Fixation, Fixations
from osirix_agent.prompting.gaze.place import PageView, Place
from osirix_agent.prompting.gaze.sample import Sample, Tracker
from osirix_agent.prompting.gaze.sound import Soundness, State

MOST_PLACES = 4096  # the newest count
WHY = {
    State.AWAY: "The eye tracker sees no eyes.",
    State.FROZEN: "The eye tracker stands still: it repeats itself.",
    State.SOUND: "The eyes did not rest on the dots.",
}


class Eyes:
    """What the tracker says, a step at a time: `read`, then what was asked meanwhile, then `rest`.

    So a sample that came between two steps, while the page turned to another slice, counts for neither slice.

    Attributes
    ----------
    calibration : of the page; None: not calibrated, or the window has moved since
    places : looked at, as of the last change of what the page shows
    """

    def __init__(self, tracker: Tracker, log: SessionLog, geometry: Geometry) -> None:
        self._tracker, self._log, self._geometry = tracker, log, geometry
        self._dwell, self._sound, self._fixations = SliceDwell(), Soundness(), Fixations()
        self._fresh: list[Sample] = []  # of this step, not yet spoken for
        self._aimed: tuple[Pair, list[Sample]] | None = None  # the dot that is shown
        self._dots: list[Dot] = []
        self._view: PageView | None = None
        self._found: deque[Place] = deque(maxlen=MOST_PLACES)
        self.calibration: Calibration | None = None
        self.places: tuple[Place, ...] = ()

    @property
    def seen(self) -> Seen:
        calibrated_px = None if self.calibration is None else self.calibration.sd_px
        return Seen(self._dwell.state, self._dwell.reviewed(), calibrated_px, self.places)

    def read(self, displayed_k: int) -> None:
        """Take what came while the viewer displayed this slice."""
        samples = self._tracker.read()
        left = self._dwell.take(samples, displayed_k)
        if left is not None:
            self._log.dwelt(*left)
        self._fresh = self._sound.take(samples)

    def rest(self) -> None:
        """What is left of this step's samples belongs to the dot, or to what the page shows."""
        fresh, self._fresh = self._fresh, []
        if self._aimed is not None:
            self._aimed[1].extend(fresh)
        elif self._view is not None and self.calibration is not None:
            self._note(self._fixations.take(fresh))

    def show(self, view: PageView | None) -> None:
        """From now on the page shows this; None: nothing that could be looked at."""
        self._note(self._fixations.end())
        self._view, self._fresh, self.places = view, [], tuple(self._found)

    def calibrate(self, asked: Calibrate) -> str:
        """A step of the page's calibration.

        Raises
        ------
        PromptError
            The calibration came to nothing.
        """
        match asked.step:
            case "begin" | "forget":
                self.show(None)
                self._aimed, self._dots, self.calibration = None, [], None
            case "aim":
                self._fresh, self._aimed = [], (asked.at_px, [])
            case "seen":
                if self._aimed is not None:
                    at, samples = self._aimed
                    self._aimed = None
                    self._dot(at, [*samples, *self._fresh])
                self._fresh = []
            case "fit":
                dots, self._dots = self._dots, []
                if len(dots) < FEWEST_DOTS and not (dots and self._dwell.state is State.SOUND):
                    raise PromptError(
                        WHY[self._dwell.state], "See that the tracker follows your eyes, and calibrate again."
                    )
                self.calibration = calibrate(dots)
                return f"The eyes are calibrated to {self.calibration.sd_px:.0f} px."
            case _:
                assert_never(asked.step)
        return ""

    def _dot(self, at: Pair, samples: list[Sample]) -> None:
        """The longest rest while a dot was shown; without one the dot was not looked at."""
        found = Fixations()
        rests = [*found.take(samples), *found.end()]
        if rests:
            best = max(rests, key=lambda one: one.seconds)
            held = [(one.x - best.x, one.y - best.y) for one in samples if best.begin_s <= one.t_s <= best.end_s]
            self._dots.append(Dot(at, best.x, best.y, float(np.sqrt(np.mean(np.square(held))))))

    def _note(self, fixations: list[Fixation]) -> None:
        if self._view is None or self.calibration is None:
            return
        for one in fixations:
            place = self._view.place(one, self.calibration, self._geometry)
            if place is not None:
                self._found.append(place)
                self._log.looked_at(place)

"""`osirix-agent doctor --live`: draw on a throw-away study, read it back, compare, delete it, measure the half pixel.

Everything drawn has the name of a draft and stands in the ledger first, so whatever a cut-short trial leaves behind is
found and taken away by the next trial or session on that series.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import numpy as np

from osirix_agent.agent.leftovers import SessionLedger, clear_leftovers
from osirix_agent.doctor import Finding
from osirix_agent.errors import OsirixAgentError, UnsupportedSeriesError, ViewerError
from osirix_agent.half_pixel import HalfPixel
from osirix_agent.record.ledger import Ledger, SeriesLock
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.viewer.paint import CreateRoi, PaintPlan, RoiKey
from osirix_agent.viewer.probe import PROBES, RoiProbe, pixel_centre
from osirix_agent.viewer.roi import CONTOUR, Brush, RoiSpec, RoiState, RoiType, Style, agent_name, parse_agent_name

Tell = Callable[[Finding], None]

# OsiriX's own first styles: drawing sets the pen, and the service cannot tell which one she had
PEN = Style((76, 255, 76), 2.0, 1.0)
BRUSH_PEN = Style((255, 0, 0), 5.0, 0.5)

SMALLEST_PX = 32
AREA_TOLERANCE = 0.02
KNOWN_SHIFT_PX = 2.0
CLEANING_ATTEMPTS = 3
_UNSAFE = (
    "Do not contour with this set-up. Update OsiriX, the osirixgrpc plugin and osirix-agent; if it stays, report these "
    "lines."
)


def examine_live(
    settings: Settings, confirmed: Callable[[str], bool], tell: Tell, pause: Callable[[float], None] = time.sleep
) -> None:
    """Try the frontmost viewer; `tell` gets each finding as it is made.

    Parameters
    ----------
    confirmed : callable
        Gets what the viewer shows (no names); only True lets anything be drawn.
    """
    try:
        connection = OsirixConnection.find(settings)
    except OsirixAgentError as error:
        tell(Finding("live", False, error.what, error.cure))
        return
    lock: SeriesLock | None = None
    try:
        viewer = OsirixViewer.frontmost(connection, settings)
        k, rows, columns = viewer.pixels.geometry.shape_kji
        if min(rows, columns) < SMALLEST_PX:
            raise UnsupportedSeriesError(
                f"The slices are smaller than {SMALLEST_PX} pixels.", "Open another study that you can throw away."
            )
        if not confirmed(f"{viewer.identity.modality}, {k} slices of {rows} x {columns}"):
            tell(
                Finding(
                    "live", False, "nothing was drawn: the study was not said to be one to throw away",
                    "Open a study that does not matter and give --yes-throw-away, or answer the question.",
                )
            )  # fmt: skip
            return
        pseudonyms = Pseudonyms.at(settings.state_dir)
        series = pseudonyms.of(viewer.identity.series_uid)
        lock = SeriesLock(settings.state_dir / "ledger" / f"{series}.lock")
        ledger = SessionLedger(Ledger(settings.state_dir / "ledger" / f"{series}.jsonl"), viewer.identity, pseudonyms)
        removed, _ = clear_leftovers(viewer, ledger, viewer.snapshot(full=True))
        if removed:
            tell(Finding("leftovers", True, f"{removed} ROIs of an earlier trial or session taken away"))
        if viewer.snapshot(full=True).rois:
            tell(
                Finding(
                    "live", False, "nothing was drawn: the viewer holds ROIs",
                    "Open a study without ROIs, one that you can throw away.",
                )
            )  # fmt: skip
            return
        _Trial(connection, viewer, ledger, settings, tell, pause).run()
    except OsirixAgentError as error:
        tell(Finding("live", False, error.what, error.cure))
    finally:
        if lock is not None:
            lock.release()
        connection.close()


class _Trial:
    """One trial on the displayed slice."""

    def __init__(
        self, connection: OsirixConnection, viewer: OsirixViewer, ledger: SessionLedger, settings: Settings,
        tell: Tell, pause: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._connection, self._viewer, self._ledger = connection, viewer, ledger
        self._settings, self._tell, self._pause = settings, tell, pause
        self._run = secrets.token_hex(3)
        self._k = viewer.snapshot().displayed_k
        self._probe = RoiProbe(connection, viewer.uid, self._k)
        self._base = min(viewer.pixels.geometry.shape_kji[1:]) // 3  # row and column of the probed pixel

    def run(self) -> None:
        whole = False
        try:
            osirix = self._connection.ping()
            wanted = self._shapes()
            plan = PaintPlan(tuple(CreateRoi(key, spec) for key, spec in wanted.items()))
            receipt = self._viewer.apply(plan, self._ledger)
            made = {key.role: state for key, state in receipt.held.items() if state is not None}
            self._compare(wanted, made)
            self._check_brush(made["brush"])
            self._check_polygon(made["polygon"])
            self._measure(made, osirix)
            whole = True
        finally:
            self._clean_up(whole)

    def _shapes(self) -> dict[RoiKey, RoiSpec]:
        """A round polygon, an L-shaped brush with a hole, and points at every tenth of one pixel."""
        _, rows, columns = self._viewer.pixels.geometry.shape_kji
        name = partial(agent_name, role=CONTOUR, run=self._run)
        angle = np.arange(72) * 2 * np.pi / 72
        ring = (columns * 0.5 + 0.3, rows * 0.5 - 0.2) + min(rows, columns) / 4 * np.stack(
            [np.cos(angle), np.sin(angle)], 1
        )
        mask = np.zeros((9, 7), np.bool_)
        mask[:, :3] = mask[6:, :] = True
        mask[4, 1] = False
        nothing = np.zeros((0, 2), np.float32)
        shapes = {
            "polygon": RoiSpec(
                self._k, RoiType.CLOSED_POLYGON, name("Check polygon"), PEN, ring.astype(np.float32)
            ),
            "brush": RoiSpec(
                self._k, RoiType.BRUSH, name("Check brush"), BRUSH_PEN, nothing, Brush(mask, (columns // 5, rows // 6))
            ),
        }  # fmt: skip
        for n, fraction in enumerate(PROBES):
            at = np.full((1, 2), self._base + fraction, np.float32)
            shapes[f"point {n}"] = RoiSpec(self._k, RoiType.POINT, name(f"Check point {n}"), PEN, at)
        return {RoiKey("check", role, self._k): spec for role, spec in shapes.items()}

    # -- looking ---------------------------------------------------------------------------------------------
    def _compare(self, wanted: Mapping[RoiKey, RoiSpec], made: Mapping[str, RoiState]) -> None:
        """Read everything with a fresh eye: a second binding of the viewer, which knows nothing of what was sent."""
        seen = OsirixViewer(self._connection, self._viewer.uid, self._settings).snapshot(full=True).rois
        wrong: dict[str, list[str]] = {"polygon": [], "brush": [], "point": []}
        for key, spec in wanted.items():
            kind, state = key.role.split()[0], seen.get(made[key.role].uid)
            if state is None:
                wrong[kind].append("is not listed")
                continue
            wrong[kind] += [
                what
                for what, same in {
                    "comes back with another shape, kind or slice": state.spec.same_shape(spec),
                    "comes back with another name": state.spec.name == spec.name,
                    "comes back with another colour, thickness or opacity": _same_style(state.spec.style, spec.style),
                    "is tied to another slice": self._probe.is_on_this_slice(state.uid),
                }.items()
                if not same
            ]
        for kind, faults in wrong.items():
            detail = "comes back as it was drawn" if not faults else "; ".join(dict.fromkeys(faults))
            self._tell(Finding(f"live {kind}", not faults, detail, _UNSAFE))

    def _check_brush(self, brush: RoiState) -> None:
        """Values and area of the painted pixels, against the slice itself."""
        assert brush.spec.brush is not None
        image = self._probe.image()
        painted = brush.spec.brush.to_full(*image.shape)
        rows, columns, values = self._probe.values(brush.uid)
        same = set(zip(rows.tolist(), columns.tolist(), strict=True)) == set(
            zip(*(index.tolist() for index in np.nonzero(painted)), strict=True)
        )
        same = same and bool(np.allclose(image[rows, columns], values, rtol=1e-5, atol=1e-3))
        detail = "those of the painted pixels" if same else "not those of the painted pixels"
        self._tell(Finding("live values", same, detail, _UNSAFE))
        _, row_mm, column_mm = self._viewer.pixels.geometry.spacing_kji_mm
        expected = float(painted.sum()) * row_mm * column_mm / 100
        area = self._probe.area_cm2(brush.uid)
        close = math.isclose(area, expected, rel_tol=AREA_TOLERANCE)
        self._tell(Finding("live area", close, f"{area:.3g} cm2 for {expected:.3g} painted", _UNSAFE))

    def _check_polygon(self, polygon: RoiState) -> None:
        """How far OsiriX's own map of a polygon lies off: never used, and known to be about a pixel."""
        theirs, ours = self._probe.map(polygon.uid), self._viewer.pixels.mask_of([polygon.spec])
        if not theirs.any():
            self._tell(Finding("live map", False, "OsiriX's map of a polygon is empty", _UNSAFE))
            return
        down, right = (float(a.mean() - b.mean()) for a, b in zip(np.nonzero(theirs), np.nonzero(ours), strict=True))
        near = max(abs(down), abs(right)) <= KNOWN_SHIFT_PX
        detail = f"OsiriX's map of a polygon lies {right:+.2f} px right, {down:+.2f} px down of ours (never used)"
        self._tell(Finding("live map", near, detail, _UNSAFE))

    def _measure(self, made: Mapping[str, RoiState], osirix: str) -> None:
        """Which pixel does OsiriX take points to lie in?"""
        found = [self._probe.values(made[f"point {n}"].uid) for n in range(len(PROBES))]
        if any(rows.size != 1 for rows, _, _ in found):
            self._tell(
                Finding(
                    "live half pixel", False, "could not be measured: OsiriX gives no pixel for a point",
                    f"{self._settings.half_pixel_px:g} stays in use; compare a contour with the image by eye.",
                )
            )  # fmt: skip
            return
        down, right = (pixel_centre(self._base, [int(one[axis][0]) for one in found]) for axis in (0, 1))
        used = self._settings.half_pixel_px
        if not math.isclose(down, right) or not 0 <= right <= 1:
            detail = f"{right:g} across and {down:g} down: not one offset"
            self._tell(Finding("live half pixel", False, detail, _UNSAFE))
            return
        HalfPixel(right, datetime.now(UTC).isoformat(timespec="seconds"), osirix).write(self._settings.state_dir)
        if math.isclose(right, used, abs_tol=1e-6):
            self._tell(Finding("live half pixel", True, f"{right:g}, as used"))
            return
        cure = (
            f"Set half_pixel_px = {right:g} in the settings, or take it out of them."
            if "half_pixel_px" in self._settings.model_fields_set
            else f"From now on {right:g} is used; half_pixel_px in the settings overrules it."
        )
        detail = f"{right:g} measured, {used:g} used: contours drawn so far lie {abs(right - used):g} px off"
        self._tell(Finding("live half pixel", False, detail, cure))

    # -- leaving ---------------------------------------------------------------------------------------------
    def _clean_up(self, whole: bool) -> None:
        """Take away all that this trial drew, and look that it is gone; the ledger remembers what could not be.

        It also remembers all of a trial that was cut short, since a late call may still draw.
        """
        for attempt in range(CLEANING_ATTEMPTS):
            try:
                self._probe.delete([state.uid for state in self._ours()])
                left = len(self._ours())
                self._viewer.redraw()
            except ViewerError as error:
                if attempt + 1 < CLEANING_ATTEMPTS:
                    self._pause(1.0)
                    continue
                cure = f"{error.cure} Then run 'osirix-agent doctor --live' on the same study: it takes away the rest."
                self._tell(Finding("live clean-up", False, f"{error.what} What was drawn may still be there.", cure))
                return
            break
        if left == 0 and whole:
            self._ledger.clear()
        detail = "nothing of it is left" if left == 0 else f"{left} ROIs could not be deleted"
        self._tell(Finding("live clean-up", left == 0, detail, "Delete the ROIs named 'Check ...' by hand."))
        self._tell(Finding("live pen", True, "set to OsiriX's first style (the service cannot tell the one before)"))

    def _ours(self) -> list[RoiState]:
        rois = OsirixViewer(self._connection, self._viewer.uid, self._settings).snapshot(full=True).rois.values()
        return [s for s in rois if (parse_agent_name(s.spec.name) or ("", "", ""))[2] == self._run]


def _same_style(one: Style, other: Style) -> bool:
    return one.color == other.color and bool(
        np.allclose((one.thickness, one.opacity), (other.thickness, other.opacity), atol=0.01)
    )

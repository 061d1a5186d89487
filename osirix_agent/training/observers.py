"""Phantoms whose observers are known: does the band of a calibrated belief hold as many of them as it says?

No public set has several observers of one radiotherapy image. Here each observer's outline of a ball is shifted and
swollen at random by millimetres that are the same in all patients, and the segmenter is sure of the ball itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.figures import Figure
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.training.calibrating import fit_cards
from osirix_agent.training.staging import Stage
from osirix_agent.training.uncertainty import band_row

SHAPE, SPACING = (36, 64, 64), (2.0, 1.5, 1.5)  # on coarser voxels coverage is by definition more than what is drawn
RADIUS_MM, SIGMA_MM = 22.0, 2.5
PATIENTS, OBSERVERS = 30, 4
GEOMETRY = Geometry(SHAPE, (0.0, 0.0, 0.0), SPACING, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
_MIDDLE = [n // 2 for n in SHAPE]
_CENTRE = np.array(_MIDDLE) * SPACING

FloatArray = npt.NDArray[np.float64]


def depth_mm(radius_mm: float, waves: FloatArray) -> FloatArray:
    """(k, j, i) mm inside a ball whose surface is moved out by `waves` (k, j, i) along its direction."""
    at = np.indices(SHAPE) * np.array(SPACING)[:, None, None, None] - _CENTRE[:, None, None, None]
    r = np.sqrt((at**2).sum(0)) + 1e-9
    found: FloatArray = radius_mm + np.einsum("a,akji->kji", waves, at) / r - r
    return found


def observed(first: int, patients: int, observers: int, seed: int) -> Iterator[Stage]:
    """A stage for each observer of each phantom patient."""
    random = np.random.default_rng(seed)
    volume = Volume(np.zeros(SHAPE, np.float32), GEOMETRY, "CT")
    k, j, i = (float(v) for v in GEOMETRY.to_lps(_MIDDLE))
    request = SegmentationRequest(volume, "GTV", (PointPrompt(position_lps=(k, j, i)),))
    logit = (4 * depth_mm(RADIUS_MM, np.zeros(3))).astype(np.float32)
    for n in range(patients):
        for _ in range(observers):
            truth = depth_mm(RADIUS_MM + random.normal(0, SIGMA_MM), random.normal(0, SIGMA_MM, 3)) > 0
            belief = Belief(logit, (0, 0, 0), SHAPE, "ball 1")
            yield Stage(f"phantom {first + n}", "GTV", 0, request, belief, truth)


def measure(seed: int = 11) -> Figure:
    """Fitted on some phantoms' observers, measured on others'."""
    (card,), _ = fit_cards(observed(0, PATIENTS, OBSERVERS, seed), "phantoms")
    (fit,) = card.fits
    covers = [
        band_row(s, calibrated(s.belief, SPACING, card, fit), "ours").cover90
        for s in observed(PATIENTS, PATIENTS, OBSERVERS, seed + 1)
    ]
    each = np.reshape(covers, (PATIENTS, OBSERVERS)).mean(1)
    drawn = each[np.random.default_rng(0).integers(PATIENTS, size=(2000, PATIENTS))].mean(1)
    low, high = (round(float(v), 4) for v in np.percentile(drawn, [2.5, 97.5]))
    value = float(each.mean())
    return Figure(
        id="observers", value=round(value, 4), unit="", interval=(low, high), n=PATIENTS, reach="0.88 to 0.92",
        holds=0.88 <= value <= 0.92, note=f"phantoms with {OBSERVERS} observers each, {SIGMA_MM} mm apart",
    )  # fmt: skip

"""Where on a slice she is told to look: in the patient's directions, whatever the plane."""

import numpy as np
import pytest

from osirix_agent.agent.look import Looks, side_of
from osirix_agent.belief.belief import Belief
from osirix_agent.belief.looks import Look
from osirix_agent.belief.spread import smooth_spread
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.panel.report import where_to_look

UP, BACK, LEFT = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)


def geometry(k, j, i):
    return Geometry((9, 30, 30), (0.0, 0.0, 0.0), (3.0, 1.0, 1.0), (k, j, i))


AXIAL, CORONAL = geometry(UP, BACK, LEFT), geometry(BACK, (0.0, 0.0, -1.0), LEFT)
FLIPPED = geometry(UP, (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("geometry", "lean", "side"),
    [
        (AXIAL, (0.5, 0.5), "posterior left"), (AXIAL, (-0.6, 0.1), "anterior"), (AXIAL, (0.0, -0.4), "right"),
        (FLIPPED, (0.5, 0.5), "anterior right"), (CORONAL, (0.5, 0.5), "inferior left"),
        (CORONAL, (-0.9, 0.0), "superior"), (AXIAL, (0.2, 0.2), ""),
    ],
)  # fmt: skip
def test_a_side_is_named_in_the_patients_directions(geometry, lean, side):
    assert side_of(Look(3, 0.2, 4.0, lean), geometry) == side


def one_sided():
    """A cylinder that is hard to see towards growing columns."""
    _, j, i = np.indices((9, 30, 30))
    logit = ((9 - np.hypot(j - 15, i - 15)) * np.where(i > 18, 0.25, 2.0)).astype(np.float32)
    spread = smooth_spread(logit, AXIAL.spacing_kji_mm, 1.0, 3.0)
    return Belief(logit, (0, 0, 0), logit.shape, "test", spread=spread)


def test_she_and_the_page_are_told_the_side():
    said = Looks().next(one_sided(), (), AXIAL, "GTV").reason
    assert "mm wide, most of all at its left. 4 looks remain" in said
    assert {look["side"] for look in where_to_look(one_sided(), AXIAL, frozenset())} == {"left"}

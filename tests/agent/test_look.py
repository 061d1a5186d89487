"""Where on a slice she is told to look: in the patient's directions, whatever the plane."""

import pytest

from osirix_agent.agent.look import side_of
from osirix_agent.belief.looks import Look
from osirix_agent.imaging.geometry import Geometry

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

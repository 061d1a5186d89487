import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from osirix_agent.errors import UnsupportedSeriesError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.nifti import to_sitk

angles = st.floats(-3.1, 3.1).map(lambda a: round(a, 6))  # ITK cannot invert denormal cosines
sizes = st.floats(0.3, 10)


def rotation(a: float, b: float, c: float) -> np.ndarray:
    return np.array(sitk.Euler3DTransform((0, 0, 0), a, b, c).GetMatrix()).reshape(3, 3)


def stack(turn: np.ndarray, step: float, dy: float, dx: float, n: int = 5) -> Geometry:
    origins = np.array([10.0, -20.0, 30.0]) + np.arange(n)[:, None] * step * np.cross(turn[:, 0], turn[:, 1])
    return Geometry.from_slices(origins, turn[:, 0], turn[:, 1], dy, dx, 7, 9)


@given(angles, angles, angles, sizes, sizes, sizes, st.sampled_from([1, -1]))
def test_index_to_lps_and_back_is_the_identity(a, b, c, dz, dy, dx, sign):
    geometry = stack(rotation(a, b, c), sign * dz, dy, dx)
    points = np.array([[0, 0, 0], [4, 6, 8], [1.5, -2.25, 3.125]])
    assert np.allclose(geometry.to_kji(geometry.to_lps(points)), points, atol=1e-9)


@given(angles, angles, angles, sizes, sizes, sizes, st.sampled_from([1, -1]))
def test_simpleitk_puts_every_voxel_at_the_same_place(a, b, c, dz, dy, dx, sign):
    geometry = stack(rotation(a, b, c), sign * dz, dy, dx)
    values = np.arange(5 * 7 * 9, dtype=np.float32).reshape(5, 7, 9)
    image = to_sitk(values, geometry)
    for k, j, i in [(0, 0, 0), (4, 6, 8), (2, 3, 1)]:
        index = image.TransformPhysicalPointToIndex(geometry.to_lps((k, j, i)).tolist())
        assert image.GetPixel(index) == values[k, j, i]


def test_dicom_definition_by_hand():
    # PS3.3 C.7.6.2.1.1: P = S + X * dx * i + Y * dy * j, spacing[0] between rows
    geometry = Geometry.from_slices([(1, 2, 3), (1, 2, 6), (1, 2, 9)], (1, 0, 0), (0, 1, 0), 0.5, 2.0, 10, 10)
    assert geometry.to_lps((2, 4, 3)).tolist() == [1 + 3 * 2.0, 2 + 4 * 0.5, 9]


@pytest.mark.parametrize(
    ("origins", "what"),
    [
        ([(0, 0, 0), (0, 0, 3)], "at least 3"),
        ([(0, 0, 0), (0, 0, 3), (0, 0, 7), (0, 0, 10)], "not evenly spaced"),
        ([(0, 0, 0), (0, 1, 3), (0, 2, 6)], "tilted gantry"),
        ([(0, 0, 0), (0, 0, 0), (0, 0, 0)], "not evenly spaced"),
    ],
)
def test_a_geometry_that_would_be_a_guess_is_refused(origins, what):
    with pytest.raises(UnsupportedSeriesError, match=what) as caught:
        Geometry.from_slices(origins, (1, 0, 0), (0, 1, 0), 1, 1, 5, 5)
    assert caught.value.cure


def test_no_spacing_and_no_orientation_are_refused():
    origins = [(0, 0, 0), (0, 0, 1), (0, 0, 2)]
    with pytest.raises(UnsupportedSeriesError, match="pixel spacing"):
        Geometry.from_slices(origins, (1, 0, 0), (0, 1, 0), 0, 1, 5, 5)
    with pytest.raises(UnsupportedSeriesError, match="orientation"):
        Geometry.from_slices(origins, (0, 0, 0), (0, 1, 0), 1, 1, 5, 5)


def test_contains_has_half_a_voxel_of_border():
    geometry = stack(np.eye(3), 2.0, 1.0, 1.0)
    assert geometry.contains(geometry.to_lps((-0.49, 0, 0)))
    assert not geometry.contains(geometry.to_lps((-0.51, 0, 0)))
    assert not geometry.contains(geometry.to_lps((0, 0, 8.5)))

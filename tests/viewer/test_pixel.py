"""Contour -> DICOM points -> contour, on analytic shapes, oblique and anisotropic grids."""

import numpy as np
import pytest
import SimpleITK as sitk

from osirix_agent.imaging.contour import fill, isocontour
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.viewer.pixel import PixelMap
from osirix_agent.viewer.roi import Brush, RoiSpec, RoiType, Style

TURNED = np.array(sitk.Euler3DTransform((0, 0, 0), 0.4, -0.7, 1.1).GetMatrix()).reshape(3, 3)


def make(turn: np.ndarray, spacing: tuple[float, float, float], half_pixel: float = 0.5) -> PixelMap:
    origins = np.array([-211.3, 97.2, -1043.9]) + np.arange(5)[:, None] * spacing[0] * turn[:, 2]
    return PixelMap(Geometry.from_slices(origins, turn[:, 0], turn[:, 1], *spacing[1:], 90, 110), half_pixel)


GRIDS = [(np.eye(3), (3.0, 1.0, 1.0)), (TURNED, (3.0, 1.0, 1.0)), (TURNED, (5.0, 0.4, 2.3)), (np.eye(3), (0.7, 2, 0.5))]


@pytest.mark.parametrize(("turn", "spacing"), GRIDS)
def test_an_ellipse_survives_the_whole_way_to_a_tenth_of_a_pixel(turn, spacing):
    pixels = make(turn, spacing)
    j, i = np.mgrid[:90, :110]
    field = 1.0 - np.hypot((j - 41.3) / 25.0, (i - 57.8) / 33.0)
    (ring,) = isocontour(field * 25, 0.0)
    xy = pixels.to_xy(ring)  # what OsiriX is given, float32
    lps = pixels.to_lps(2, xy)  # what a DICOM file would hold
    back = pixels.geometry.to_kji(lps)
    assert np.abs(back[:, 0] - 2).max() < 1e-4
    assert np.abs(back[:, 1:] - ring).max() < 1e-3
    exact = np.abs(np.hypot((back[:, 1] - 41.3) / 25, (back[:, 2] - 57.8) / 33) - 1) * 25
    assert exact.max() < 0.1
    assert np.array_equal(fill([back[:, 1:]], (90, 110)), field >= 0)


@pytest.mark.parametrize(("turn", "spacing"), GRIDS)
def test_the_centre_of_a_pixel_is_where_dicom_says(turn, spacing):
    pixels = make(turn, spacing)
    column, row = 17, 5
    expected = (
        np.array(pixels.geometry.origin_lps)
        + 3 * spacing[0] * turn[:, 2]
        + row * spacing[1] * turn[:, 1]
        + column * spacing[2] * turn[:, 0]
    )
    assert np.allclose(pixels.to_lps(3, [(column + 0.5, row + 0.5)])[0], expected, atol=1e-9)


def test_the_half_pixel_is_a_setting():
    assert np.allclose(make(*GRIDS[0], half_pixel=0.0).to_ji([(3.0, 4.0)]), [(4.0, 3.0)])


def test_masks_of_polygons_and_brushes():
    pixels = make(*GRIDS[0])
    style = Style((0, 0, 0))
    square = np.array([(10, 10), (20, 10), (20, 20), (10, 20)], np.float32)
    polygon = RoiSpec(0, RoiType.CLOSED_POLYGON, "", style, square)
    mask = pixels.mask_of([polygon])
    assert mask[10:20, 10:20].all()
    assert mask.sum() == 100
    held = np.random.default_rng(2).random((7, 8)) > 0.4
    full = np.zeros((90, 110), bool)
    full[30:37, 40:48] = held
    brush = RoiSpec(0, RoiType.BRUSH, "", style, np.zeros((0, 2), np.float32), Brush.from_full(full))
    assert np.array_equal(pixels.mask_of([brush]), full)

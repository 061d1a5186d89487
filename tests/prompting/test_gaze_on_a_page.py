"""From shares of the screen to places in the patient: the calibration, the mapping, what counts as looked at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.panel.message import MESSAGE, wish
from osirix_agent.panel.plane import planes_of
from osirix_agent.prompting.gaze.calibration import LARGEST_PX, Calibration, Dot, calibrate
from osirix_agent.prompting.gaze.fixation import Fixation
from osirix_agent.prompting.gaze.place import Place, looked_at

DOTS = [(x, y) for x in (115.0, 720.0, 1325.0) for y in (72.0, 450.0, 828.0)]  # px
DOWN, RIGHT = np.array([0.0, 0.6, 0.8]), np.array([1.0, 0.0, 0.0])
OBLIQUE = Geometry((20, 60, 50), (12.0, -40.0, 99.0), (3.0, 1.5, 2.0),
                   tuple(tuple(map(float, axis)) for axis in (np.cross(RIGHT, DOWN), DOWN, RIGHT)))  # fmt: skip
AFFINE = Calibration(((1500.0, 0.0, -60.0), (0.0, 1000.0, -80.0)), 20.0, 15.0, 9)


def seen(matrix, offset, noise_px=0.0, rng=None, dots=DOTS):
    """Dots as eyes see them whose page is matrix @ share + offset."""
    found = []
    for at in dots:
        off = 0.0 if rng is None else rng.normal(0, noise_px, 2)
        x, y = np.linalg.solve(matrix, np.array(at) + off - offset)
        found.append(Dot(at, float(x), float(y), 0.0))
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(600, 4000), st.floats(400, 2500), st.floats(-0.15, 0.15),
    st.floats(0.5, 30), st.integers(0, 2),
)  # fmt: skip
def test_a_known_affine_is_found_again_within_its_noise_though_dots_were_missed(seed, wide, tall, turn, noise_px, bad):
    rng = np.random.default_rng(seed)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([wide, tall])
    offset = rng.uniform(-500, 100, 2)
    dots = seen(matrix, offset, noise_px, rng)
    for n in rng.choice(len(dots), bad, replace=False):  # looked elsewhere meanwhile
        dots[n] = Dot(dots[n].at_px, dots[n].x + (0.5 if dots[n].x < 0.3 else -0.5), dots[n].y, 0.0)
    found = calibrate(dots)
    off = [np.array(found.to_page(*np.linalg.solve(matrix, np.array(at) - offset))) - at for at in DOTS]
    assert np.abs(off).max() < 6 * noise_px
    assert found.sd_px < 3 * noise_px
    assert found.dots >= 7
    assert found.sharp_px == pytest.approx(0.015 * np.sqrt((wide**2 + tall**2) / 2), rel=0.2)


def test_the_residual_it_reports_is_the_noise_there_was():
    rng = np.random.default_rng(2)
    found = [calibrate(seen(np.diag([1900.0, 1100]), [-80, -120], 20, rng)).sd_px for _ in range(100)]
    assert np.median(found) == pytest.approx(20 * (1 + 1 / 3) ** 0.5, rel=0.15)
    shaky = [Dot(one.at_px, one.x, one.y, 0.01) for one in seen(np.diag([1900.0, 1900]), [0, 0])]
    assert calibrate(shaky).sd_px == pytest.approx(19)  # as broad as the samples scatter


@pytest.mark.parametrize(
    ("dots", "why"),
    [
        ([], "only 0 of the dots"),
        (seen(np.diag([1900, 1100]), [0, 0])[:5], "only 5 of the dots"),
        ([Dot(at, 0.4, 0.5, 0.001) for at in DOTS], "too poor"),  # they look at one place
        ([Dot(at, *np.random.default_rng(n).random(2), 0.0) for n, at in enumerate(DOTS)], "too poor"),
        (seen(np.diag([1900, 1100]), [0, 0], 3 * LARGEST_PX, np.random.default_rng(0)), "too poor"),
        ([Dot(one.at_px, one.x, one.y, 0.2) for one in seen(np.diag([1900, 1100]), [0, 0])], "too poor"),
    ],
)
def test_a_poor_calibration_is_refused_with_what_to_do(dots, why):
    with pytest.raises(PromptError, match=why) as refused:
        calibrate(dots)
    assert "calibrate again" in refused.value.cure


# -- to the patient ----------------------------------------------------------------------------------------------
def view(plane: int, index: int, corner, px_per_mm: float, box=(0.0, 0.0, 1440.0, 900.0)):
    """What the page would say, through the border that it passes."""
    shown = planes_of(OBLIQUE)[plane]
    size = [shown.shape[1] * shown.spacing_mm[1] * px_per_mm, shown.shape[0] * shown.spacing_mm[0] * px_per_mm]
    said = {"do": "visible", "plane": plane, "index": index, "corner": corner, "size": size, "box": list(box)}
    return shown, wish(MESSAGE.validate_python(said), planes_of(OBLIQUE)).view


def look(x_px: float, y_px: float) -> Fixation:
    """A fixation that AFFINE takes to that place of the page."""
    return Fixation(1.0, 1.4, (x_px + 60) / 1500, (y_px + 80) / 1000)


@pytest.mark.parametrize("plane", [0, 1, 2])
@pytest.mark.parametrize("px_per_mm", [2.0, 7.5])
def test_a_fixation_is_a_place_in_the_patient_in_every_plane(plane, px_per_mm):
    corner = (-35.0, 21.0)
    shown, at = view(plane, 7, corner, px_per_mm)
    row, column = 4.0, 30.0
    x = corner[0] + (column + 0.5) * shown.spacing_mm[1] * px_per_mm
    y = corner[1] + (row + 0.5) * shown.spacing_mm[0] * px_per_mm
    place = at.place(look(x, y), AFFINE, OBLIQUE)
    assert np.allclose(place.position_kji, shown.to_kji(7, [(row, column)])[0])
    assert np.allclose(place.position_lps, OBLIQUE.to_lps(place.position_kji))
    assert place.axis == plane
    assert place.position_kji[plane] == 7
    assert (place.sd_mm, place.sharp_mm) == pytest.approx((20 / px_per_mm, 15 / px_per_mm))
    assert place.seconds == pytest.approx(0.4)
    right = at.place(look(x + 10 * px_per_mm, y), AFFINE, OBLIQUE)
    assert np.linalg.norm(np.subtract(right.position_lps, place.position_lps)) == pytest.approx(10)


def test_what_is_beside_the_picture_is_no_place():
    _, at = view(0, 3, (200.0, 100.0), 4.0, box=(200.0, 100.0, 500.0, 400.0))  # the rest of it is scrolled away
    assert at.place(look(210, 110), AFFINE, OBLIQUE) is not None
    for x, y in ((190, 200), (300, 90), (510, 200), (300, 410), (-4000, 9000)):
        assert at.place(look(x, y), AFFINE, OBLIQUE) is None
    _, outside = view(0, 3, (200.0, 100.0), 4.0, box=(0.0, 0.0, 9000.0, 9000.0))  # more than there is of it
    assert outside.place(look(190, 200), AFFINE, OBLIQUE) is None
    assert outside.place(look(4000, 4000), AFFINE, OBLIQUE) is None
    assert wish(MESSAGE.validate_python({"do": "visible"}), planes_of(OBLIQUE)).view is None


# -- what counts as looked at ------------------------------------------------------------------------------------
def place(kji=(4.0, 20.0, 20.0), sd_mm=3.0, seconds=1.0, axis=0):
    return Place((0.0, 0.0, 0.0), kji, axis, sd_mm, 4.0, seconds)


def box(*places):
    return looked_at(places, (0, 0, 0), (10, 40, 40), (3.0, 1.0, 1.0))


def test_a_place_counts_on_its_slice_and_falls_off_with_the_distance():
    found = box(place())
    assert found[4, 20, 20] == found.max() > 0.3
    assert found[4, 20, 20] > found[4, 20, 26] > found[4, 20, 38]
    assert found[4, 26, 20] == pytest.approx(found[4, 20, 26])
    assert not np.delete(found, 4, axis=0).any()
    assert box(place(), place())[4, 20, 20] == pytest.approx(1 - (1 - found[4, 20, 20]) ** 2)
    across = box(place((4.0, 20.0, 20.0), axis=1))
    assert across[:, 20].any()
    assert not np.delete(across, 20, axis=1).any()


def test_the_broader_the_noise_the_less_is_known_to_have_been_seen():
    peaks = [box(place(sd_mm=sd)).max() for sd in (0.0, 2.0, 8.0, 40.0)]
    assert peaks[0] == pytest.approx(1 - np.exp(-1))
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < 0.02


def test_places_outside_the_box_do_nothing():
    far = [place((-5.0, 20.0, 20.0)), place((4.0, 300.0, 20.0)), place((4.0, 20.0, -200.0)), place((30.0, 5, 5))]
    assert not box(*far).any()
    near = box(place((4.0, -2.0, 20.0)))
    assert near[4, 0, 20] > 0

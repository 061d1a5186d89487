"""The shift of OsiriX's polygon maps, against figures measured with a port of Horos' filler."""

import numpy as np
import pytest

from osirix_agent.virtual_osirix.fill import exact_map, filled, polygon_map


def circle(radius: float, centre: float = 50.0, samples: int = 200) -> np.ndarray:
    angle = np.arange(samples) * 2 * np.pi / samples
    return centre + radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_an_exact_edge_square_is_shifted_by_one():
    square = [(10, 10), (20, 10), (20, 20), (10, 20)]
    assert extent(polygon_map(square, 40, 40)) == (11, 20, 11, 20)
    assert polygon_map(square, 40, 40).sum() == 100
    assert extent(filled(square, 40, 40)) == (10, 20, 10, 20)


@pytest.mark.parametrize(("radius", "dice"), [(5, 0.916), (10, 0.956), (20, 0.980), (40, 0.988)])
def test_circles_agree_with_the_centre_rule_as_far_as_was_measured(radius, dice):
    rows, columns = np.mgrid[:120, :120] + 0.5
    inside = (rows - 50) ** 2 + (columns - 50) ** 2 < radius**2
    shifted = polygon_map(circle(radius), 120, 120)
    assert 2 * (inside & shifted).sum() / (inside.sum() + shifted.sum()) == pytest.approx(dice, abs=0.001)


def test_the_exact_map_is_the_centre_rule():
    rows, columns = np.mgrid[:60, :60] + 0.5
    inside = (rows - 30.2) ** 2 + (columns - 30.2) ** 2 < 15**2
    assert np.array_equal(exact_map(circle(15, centre=30.2, samples=2000), 60, 60), inside)
    assert not exact_map([(3, 3), (9, 9)], 20, 20).any()


def test_direction_and_first_vertex_make_no_difference():
    ring = np.random.default_rng(3).random((7, 2)) * 30 + 5
    first = filled(ring, 50, 50)
    assert np.array_equal(filled(ring[::-1], 50, 50), first)
    assert np.array_equal(filled(np.roll(ring, 3, axis=0), 50, 50), first)


def test_what_lies_outside_the_image_is_cut_off():
    assert filled(circle(30, centre=0), 20, 20).any()
    assert filled(circle(30, centre=0), 20, 20)[0, 0]
    assert not filled(circle(3, centre=-40), 20, 20).any()


def test_level_and_single_points_fill_nothing_and_do_not_fail():
    for ring in ([], [(3, 3)], [(3, 3), (9, 3)], [(3, 3), (9, 3), (5, 3)]):
        assert not filled(ring, 20, 20).any()
        assert not polygon_map(ring, 20, 20).any()


def test_another_pixel_centre_moves_the_whole_fill():
    square = [(10.6, 10.6), (20.6, 10.6), (20.6, 20.6), (10.6, 20.6)]
    assert extent(filled(square, 40, 40)) == (10, 20, 10, 20)
    assert extent(filled(square, 40, 40, pixel_centre=0.0)) == (11, 21, 11, 21)

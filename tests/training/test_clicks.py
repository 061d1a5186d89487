import numpy as np

from osirix_agent.imaging.mask import dice
from osirix_agent.training.clicks import middle_box, next_click


def test_the_first_click_is_the_deepest_voxel_of_the_truth():
    truth = np.zeros((5, 11, 11), bool)
    truth[1:4, 2:9, 3:10] = True
    click = next_click(truth, np.zeros_like(truth))
    assert click.include
    assert truth[click.kji]
    assert click.kji[0] == 2  # depth is limited by the three slices


def test_the_largest_error_counts_and_its_kind_is_told():
    truth = np.zeros((11, 20, 20), bool)
    truth[5, 2:6, 2:6] = True
    proposal = np.zeros_like(truth)
    proposal[1:10, 10:19, 10:19] = True
    click = next_click(truth, proposal)
    assert not click.include
    assert click.kji == (5, 14, 14)


def test_components_touch_over_corners():
    truth = np.zeros((1, 8, 8), bool)
    for n in range(4):
        truth[0, n, n] = True  # one component of four under 26-connectivity
    truth[0, 6:8, 6] = True
    click = next_click(truth, np.zeros_like(truth))
    assert click.kji[1] == click.kji[2]


def test_no_error_no_click_and_ties_are_broken_the_same_way():
    truth = np.ones((2, 2, 2), bool)
    assert next_click(truth, truth) is None
    picks = {next_click(truth, np.zeros_like(truth)).kji for _ in range(5)}
    assert len(picks) == 1


def test_middle_box_and_dice_by_hand():
    truth = np.zeros((6, 9, 9), bool)
    truth[1:4, 2:5, 3:8] = True
    assert middle_box(truth) == (2, 2, 4, 3, 7)
    half = truth.copy()
    half[1] = False
    assert dice(truth, half) == 2 * 30 / (45 + 30)
    assert dice(np.zeros(3, bool), np.zeros(3, bool)) == 1.0

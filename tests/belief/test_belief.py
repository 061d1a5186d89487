import numpy as np
import pytest

from osirix_agent.belief.belief import Belief, drawable, logit
from osirix_agent.imaging.contour import fill


def make(corner=(2, 3, 4)):
    j, i = np.mgrid[:20, :20]
    plane = 6 - np.hypot(j - 9.4, i - 10.3)
    return Belief(np.stack([plane, plane - 2]).astype(np.float32), corner, (6, 30, 30), "test")


def test_mask_isoline_and_probability_say_the_same():
    belief = make()
    for k in range(6):
        assert np.array_equal(fill(belief.isoline(k), (30, 30)), belief.mask()[k])
    assert belief.probability_at(2, 12, 14) > 0.9
    assert belief.probability_at(0, 0, 0) < 1e-4
    assert list(belief.slices()) == [2, 3]
    assert belief.isoline(0) == ()


def test_between_a_sure_and_an_unsure_voxel_a_line_is_not_pushed_onto_the_unsure_one():
    logits = np.full((1, 1, 8), -10.0, np.float32)
    logits[..., 2:5] = 2.0
    ring = Belief(np.repeat(logits, 5, 1), (0, 0, 0), (1, 5, 8), "test").isoline(0)[0]
    assert ring[:, 1].max() == pytest.approx(4 + 2 / 6, abs=0.06)  # linear from 2 to -4, not to -10
    assert ring[:, 1].min() == pytest.approx(2 - 2 / 6, abs=0.06)
    assert drawable(logits, 99.5).max() == 2.0  # a line beyond the limit moves the limit
    assert drawable(logits, 0.5).min() < logit(0.5)


def test_isolines_are_nested():
    belief = make()
    areas = [fill(belief.isoline(2, level), (30, 30)).sum() for level in (5, 25, 50, 75, 95)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[-1] > 0


def test_equal_masks_have_equal_digests_whatever_the_crop():
    belief = make()
    wide = np.full((6, 30, 30), -9, np.float32)
    wide[belief.region] = belief.mean_logit
    same = Belief(wide, (0, 0, 0), (6, 30, 30), "test")
    assert same.mask_digest == belief.mask_digest
    assert make((1, 3, 4)).mask_digest != belief.mask_digest


def test_logit():
    assert logit(50) == 0
    assert logit(95) == pytest.approx(np.log(19))

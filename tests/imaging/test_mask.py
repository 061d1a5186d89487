import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from osirix_agent.imaging.mask import dice, dice_of_bytes, mask_bytes, mask_from_bytes
from osirix_agent.imaging.path_length import added_path_mm

MASKS = arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3))


@settings(deadline=None)
@given(MASKS, st.tuples(*[st.integers(0, 3)] * 3))
def test_a_mask_comes_back_and_its_bytes_do_not_depend_on_the_crop(mask, corner):
    shape = tuple(n + 2 * c for n, c in zip(mask.shape, corner, strict=True))
    full = np.zeros(shape, np.bool_)
    full[tuple(slice(c, c + n) for c, n in zip(corner, mask.shape, strict=True))] = mask
    data = mask_bytes(mask, corner, shape)
    assert data == mask_bytes(full, (0, 0, 0), shape)
    assert np.array_equal(mask_from_bytes(data), full)


@settings(deadline=None)
@given(arrays(np.bool_, (2, 4, 5, 4)))
def test_masks_overlap_alike_stored_and_laid_out(masks):
    a, b = masks
    stored = [mask_bytes(one, (0, 0, 0), one.shape) for one in masks]
    assert dice_of_bytes(*stored) == dice(a, b)
    thin = mask_bytes(a & ~a, (0, 0, 0), a.shape), mask_bytes(np.eye(5, dtype=bool)[None], (0, 0, 0), (1, 5, 5))
    assert dice_of_bytes(*thin) == 0


def test_the_bytes_are_those_that_earlier_journals_digested():
    full = np.zeros((3, 4, 5), np.bool_)
    full[1:, 1:3, 2] = True
    data = b"(3, 4, 5)[1, 1, 2](2, 2, 1)" + np.packbits(full[1:, 1:3, 2:3]).tobytes()
    assert mask_bytes(full, (0, 0, 0), (3, 4, 5)) == data


def test_what_is_no_mask_is_refused():
    with pytest.raises(ValueError, match="not a mask"):
        mask_from_bytes(b"something else")


def test_added_path_of_squares_by_hand():
    old, new = np.zeros((2, 10, 10), np.bool_)
    old[2:6, 2:6] = True
    new[2:6, 2:8] = True  # two columns wider: the outline gains 2 x 2 on rows 2 and 5, and the new end's 2 inner rows
    assert added_path_mm(new, old, (2.0, 2.0)) == (4 + 2) * 2.0
    assert added_path_mm(old, old, (2.0, 2.0)) == 0
    assert added_path_mm(old, np.zeros_like(old), (1.0, 2.0)) == 12 * 1.5

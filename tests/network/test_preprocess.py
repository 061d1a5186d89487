"""Grids in patient space and resampling, against functions known everywhere."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osirix_agent.network.interactions import stamp_points
from osirix_agent.network.preprocess import (
    Grid,
    normalise,
    resample,
    sample_image,
    value_spread,
)


@given(
    low=st.tuples(*[st.floats(-300, 300)] * 3),
    size=st.tuples(*[st.floats(1, 400)] * 3),
    spacing=st.floats(1.5, 8),
)
@settings(max_examples=40, deadline=None)
def test_a_grid_holds_its_box_and_knows_where_it_is(low, size, spacing):
    high = np.add(low, size)
    grid = Grid.around(low, high, spacing)
    assert all(n % 16 == 0 for n in grid.shape_kji)
    ends = grid.to_kji([low, high])
    assert (ends[0] >= -0.5 - 1e-6).all()
    assert (ends[1] <= np.array(grid.shape_kji) - 0.5 + 1e-6).all()
    there = grid.matrix @ [3, 5, 7, 1]
    np.testing.assert_allclose(grid.to_kji(there[:3]), [3, 5, 7], atol=1e-6)


def ramp(shape, to_lps):
    """A volume whose value is x + 10 y + 100 z in LPS mm."""
    index = np.stack([*np.meshgrid(*map(np.arange, shape), indexing="ij"), np.ones(shape)], -1)
    return torch.from_numpy(((index @ to_lps.T)[..., :3] @ [1.0, 10.0, 100.0]).astype(np.float32))


@pytest.mark.parametrize(
    "turn", [np.eye(3), np.diag([-1.0, 1.0, -1.0]), np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])]
)
@pytest.mark.parametrize("spacing", [(3.0, 1.0, 1.0), (2.0, 5.0, 5.0)])
def test_a_volume_is_sampled_where_it_lies_whatever_its_orientation(turn, spacing):
    to_lps = np.eye(4)
    axes = np.array([[0, 0, 1.0], [0, 1, 0], [1, 0, 0]]).T @ turn  # columns: steps along k, j, i
    to_lps[:3, :3] = axes * spacing
    shape = tuple(int(120 / s) for s in spacing)
    to_lps[:3, 3] = -to_lps[:3, :3] @ (np.array(shape) - 1) / 2  # centred on 0
    grid = Grid((-20.0, -20.0, -20.0), 40 / 15, (16, 16, 16))
    sampled = sample_image(ramp(shape, to_lps), to_lps, grid, fill=-1e4)
    np.testing.assert_allclose(sampled.numpy(), ramp(grid.shape_kji, grid.matrix).numpy(), atol=0.6, rtol=1e-3)


def test_outside_is_filled():
    values = torch.ones(1, 4, 4, 4)
    shift = np.eye(4)
    shift[:3, 3] = 10
    assert (resample(values, shift, (2, 2, 2), fill=-7.0) == -7).all()


def test_a_point_is_strongest_at_its_own_voxel_and_the_stronger_wins():
    channel = torch.zeros(16, 16, 16)
    stamp_points(channel, np.array([[8.0, 8.0, 8.0]]), 0.5)
    stamp_points(channel, np.array([[8.0, 8.0, 10.0], [-20.0, 0, 0]]), 1.0)
    assert float(channel[8, 8, 10]) == 1.0
    assert float(channel[8, 8, 8]) == 0.5
    assert float(channel[8, 8, 14]) == 0.0


def test_values_are_brought_to_a_common_range_whatever_the_modality():
    random = np.random.default_rng(0)
    for modality, values in (("CT", random.normal(0, 300, (20, 30, 30))), ("MR", random.gamma(2, 900, (20, 30, 30)))):
        image = torch.from_numpy(values.astype(np.float32))
        two = normalise(image, modality, value_spread(image.numpy()))
        assert two.shape == (2, 20, 30, 30)
        assert two.abs().max() <= 2
        assert two.std() > 0.2


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_constant_image_has_a_spread(value):
    centre, half = value_spread(np.full((8, 8, 8), value, np.float32))
    assert np.isfinite(centre)
    assert half > 0

"""Random sequences of clinician and agent actions: 40 by default, 500 in CI, more by `osirix-agent bench soak`."""

import pytest

from osirix_agent.bench.soak import soak


@pytest.mark.parametrize("chunk", range(2))
def test_a_few_sequences(chunk, tmp_path):
    assert soak(tmp_path, range(10_000 + 20 * chunk, 10_000 + 20 * (chunk + 1))) == []


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_five_hundred_sequences(chunk, tmp_path):
    assert soak(tmp_path, range(25 * chunk, 25 * (chunk + 1))) == []

"""What is sent arrives bit by bit, or is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.spread import Spread
from osirix_agent.errors import DamagedError
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest
from osirix_agent.segmenter.wire import segmenter_pb2 as pb
from osirix_agent.segmenter.wire.belief import events_of, read_belief, read_excluded, write_belief, write_excluded
from osirix_agent.segmenter.wire.block import fill, narrowed, pack, unpack
from osirix_agent.segmenter.wire.request import read_geometry, read_request, write_header, write_request
from tests.segmenter.test_contract import CENTRE, VOLUME, MaskPrompt, TextPrompt, box, lasso, lps, point, scribble

FLOATS = st.floats(width=32)  # infinities, -0.0 and NaN too


def bits(array):
    return array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes()


@st.composite
def beliefs(draw):
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    corner = draw(st.tuples(*[st.integers(0, 5)] * 3))
    mean = draw(arrays(np.float32, shape, elements=FLOATS))
    spread = None
    if draw(st.booleans()):
        band = np.array(sorted(draw(st.sets(st.integers(0, mean.size - 1)))), np.int64)
        rank = draw(st.integers(0, 4))
        spread = Spread(
            band,
            draw(arrays(np.float32, (len(band), rank), elements=FLOATS)),
            draw(arrays(np.float32, len(band), elements=FLOATS)),
        )
    whole = tuple(c + n for c, n in zip(corner, shape, strict=True))
    return Belief(mean, corner, whole, draw(st.text(max_size=9)), draw(st.none() | st.text(max_size=9)), spread)


@given(beliefs())
@settings(max_examples=60, deadline=None)
def test_a_belief_survives_bit_by_bit(sent):
    *_, parts = (
        [event.SerializeToString() for event in events_of(sent)],
        b"".join(event.part for event in events_of(sent)),
    )
    got = read_belief(pb.Belief.FromString(parts))
    assert bits(got.mean_logit) == bits(sent.mean_logit)
    assert (got.corner_kji, got.shape_kji, got.source) == (sent.corner_kji, sent.shape_kji, sent.source)
    assert got.calibration_id == sent.calibration_id
    assert (got.spread is None) == (sent.spread is None)
    if sent.spread is not None:
        for name in ("band", "factor", "diagonal"):
            assert bits(getattr(got.spread, name)) == bits(getattr(sent.spread, name))


def test_only_the_crop_travels_and_smooth_logits_shrink():
    z = np.mgrid[-1:1:40j, -1:1:60j, -1:1:60j]
    mean = np.clip(6 - 12 * (z**2).sum(0), -6, 6).astype(np.float32)
    sent = write_belief(Belief(mean, (50, 200, 200), (200, 512, 512), "s"))
    assert sent.ByteSize() < mean.nbytes
    assert bits(read_belief(sent).mean_logit) == bits(mean)


@given(
    arrays(np.float32, (3, 7), elements=FLOATS) | arrays(np.float32, 9, elements=st.integers(-2000, 2000).map(float))
)
@settings(max_examples=60, deadline=None)
def test_values_are_narrowed_only_where_they_come_back(values):
    small = narrowed(values)
    for squeeze in (False, True):
        block = pb.Block()
        fill(block, small, squeeze=squeeze, checked=squeeze)
        back = unpack(block, 1 << 20)
        assert back.astype(np.float32).tobytes() == values.tobytes()


def test_whole_numbers_are_narrowed_and_minus_zero_is_not():
    assert narrowed(np.array([-1000, 0, 3071], np.float32)).dtype == np.int16
    assert narrowed(np.array([-0.0, 1], np.float32)).dtype == np.float32


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_block_is_refused_or_harmless(data):
    values = np.arange(-500, 500, dtype=np.int16)
    raw = bytearray(pack(values).SerializeToString())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        block = pb.Block.FromString(bytes(raw))
    except Exception:  # protobuf's own refusal
        return
    try:
        got = unpack(block, 1 << 20)
    except DamagedError:
        return
    assert got.size == values.size  # the flip fell on the shape or on an unknown field


def test_a_small_message_cannot_ask_for_all_the_memory():
    block = pack(np.zeros(1 << 22, np.uint8))
    assert block.ByteSize() < 1 << 16
    with pytest.raises(DamagedError):
        unpack(block, 1 << 20)
    block.shape[:] = [5]
    with pytest.raises(DamagedError):
        unpack(block, 1 << 20)


@pytest.mark.parametrize("shape", [[1] * 65, [0, 1 << 63], [0, (1 << 64) - 1]])
def test_a_shape_that_no_array_has_is_refused(shape):
    block = pack(np.zeros(1 if 0 not in shape else 0, np.int16))
    del block.shape[:]
    block.shape.extend(shape)
    with pytest.raises(DamagedError):
        unpack(block, 1 << 20)


def test_a_request_arrives_as_it_was_sent():
    locked = Belief(np.random.default_rng(1).normal(size=(3, 5, 7)).astype(np.float32), (2, 3, 4), (20, 80, 84), "x")
    ring = tuple(lps(VOLUME, p) for p in [(3, 1, 1), (3, 9, 1), (3, 9, 9)])
    prompts = (point(CENTRE), point(CENTRE, "exclude"), box(), scribble(), lasso(), lasso(polarity="exclude"),
               MaskPrompt(slices=(lasso(), lasso(CENTRE[0] + 1))), TextPrompt(phrase="Parotid_L"))  # fmt: skip
    fixed = (FixedSlice(k=3, rings_lps=(ring, ring)), FixedSlice(k=4, rings_lps=()))
    sent = SegmentationRequest(VOLUME, "GTV", prompts, fixed, (locked,))
    message = pb.Request.FromString(write_request(sent, b"lease").SerializeToString())
    got = read_request(message, VOLUME)
    assert got.digest == sent.digest
    assert (got.prompts, got.fixed) == (prompts, fixed)
    message.structure = "another"
    with pytest.raises(DamagedError, match="as it was sent"):
        read_request(message, VOLUME)


@pytest.mark.parametrize("change", ["empty", "ragged", "no kind"])
def test_a_prompt_that_is_none_is_refused(change):
    message = write_request(SegmentationRequest(VOLUME, "GTV", (point(CENTRE),)), b"")
    del message.prompts[0].point.xyz_lps[{"empty": 0, "ragged": 2, "no kind": 0}[change] :]
    if change == "no kind":
        message.prompts[0].ClearField("point")
    with pytest.raises(DamagedError):
        read_request(message, VOLUME)


def test_a_locked_structure_keeps_its_mask_and_must_lie_in_the_volume():
    mean = np.random.default_rng(2).normal(size=(2, 3, 5)).astype(np.float32)
    sent = Belief(mean, (1, 2, 3), (20, 80, 84), "x")
    message = write_excluded(sent)
    assert read_excluded(message, (20, 80, 84)).mask_digest == sent.mask_digest
    with pytest.raises(DamagedError):
        read_excluded(message, (3, 4, 7))


def test_a_geometry_arrives_bit_by_bit():
    header = write_header(VOLUME)
    assert read_geometry(header) == VOLUME.geometry
    del header.axes_lps[3:]
    with pytest.raises(DamagedError):
        read_geometry(header)

import numpy as np
import pytest
from osirixgrpc import dcmpix_pb2, utilities_pb2

from osirix_agent.viewer.wire import read_image


def answer(**fields):
    return dcmpix_pb2.DCMPixImageResponse(status=utilities_pb2.Status(status=1), rows=2, columns=3, **fields)


def test_floats_are_seen_in_place_and_the_rest_is_parsed():
    values = np.arange(6, dtype=np.float32)
    data = answer(image_data_float=values.tolist()).SerializeToString()
    head, seen = read_image(data)
    assert np.array_equal(seen, values)
    assert (head.status.status, head.rows, head.columns, head.is_argb) == (1, 2, 3, False)
    assert not seen.flags.owndata


def test_a_field_in_two_pieces_is_left_to_protobuf():
    one, two = (answer(image_data_float=[v] * 3).SerializeToString() for v in (1.0, 2.0))
    _, seen = read_image(one + two)
    assert seen.tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("fields", [{}, {"is_argb": True, "image_data_argb": [1, 2, 3, 4]}])
def test_an_answer_without_floats(fields):
    head, seen = read_image(answer(**fields).SerializeToString())
    assert seen.size == 0
    assert head.is_argb == fields.get("is_argb", False)


def test_a_failure_keeps_its_message():
    data = dcmpix_pb2.DCMPixImageResponse(
        status=utilities_pb2.Status(status=0, message="No DCMPix cached")
    ).SerializeToString()
    assert read_image(data)[0].status.message == "No DCMPix cached"

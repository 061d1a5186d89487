"""nnInteractive's own client, unmodified, against our segmenters."""

import gc
import http.client
import json

import numpy as np
import pytest

from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.segmenter.server.service import Limits, SegmenterService

blosc2 = pytest.importorskip("blosc2", reason="needs pip install 'osirix-agent[serve-nninteractive]'")
httpx = pytest.importorskip("httpx", reason="needs pip install nninteractive-client")
remote = pytest.importorskip("nnInteractive.inference.remote.remote_session", reason="pip install nninteractive-client")

# their client leaves its connection open where it is refused
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SHAPE = (8, 30, 34)
IMAGE = np.random.default_rng(1).integers(-900, 900, (1, *SHAPE)).astype(np.int16)


@pytest.fixture
def door(monkeypatch):
    from osirix_agent.segmenter.server.nninteractive import NnInteractiveDoor

    monkeypatch.delenv("NN_INTERACTIVE_API_KEY", raising=False)
    now = [0.0]
    told = []
    service = SegmenterService(
        BallSegmenter(), Limits(sessions=2), lambda client: True, lambda event, **fields: told.append(event),
        clock=lambda: now[0],
    )  # fmt: skip
    opened = NnInteractiveDoor(service, "GTV", 0)
    opened.now, opened.told = now, told
    yield opened
    opened.close()
    service.queue.close(0)
    gc.collect()  # what their client left open
    assert "fault" not in told


@pytest.fixture
def client(door):
    with remote.nnInteractiveRemoteInferenceSession(door.address) as session:
        yield session


def ready(client):
    buffer = np.zeros(SHAPE, np.uint8)
    client.set_image(IMAGE, {"spacing": np.array([3.0, 2.0, 2.0])})
    client.set_target_buffer(buffer)
    return buffer


def test_a_whole_session(client, door):
    assert client.ping()
    assert client.supported_interactions["points"]
    assert client.supports_undo
    buffer = ready(client)
    assert client.original_image_shape == (1, *SHAPE)
    client.set_do_autozoom(True)

    bounds = client.add_point_interaction([4, 15, 17], True)
    first = buffer.copy()
    assert first[4, 15, 17]
    assert bounds == [[int(a.min()), int(a.max()) + 1] for a in np.nonzero(first)]
    client.add_bbox_interaction([[4, 5], [5, 12], [20, 30]], True)
    assert buffer[4, 8, 25]
    client.add_bbox_interaction([[2, 6], [15, 16], [4, 9]], True)  # flat in another plane
    assert buffer[3, 15, 6]

    stroke = np.zeros(SHAPE, np.uint8)
    stroke[4, 20:22, 5:20] = 1
    client.add_scribble_interaction(
        stroke[3:6], True, run_prediction=False, interaction_bbox=[[3, 6], [0, 30], [0, 34]]
    )
    assert not buffer[4, 20, 5]  # not yet asked for
    assert client._predict() is not None
    assert buffer[4, 20, 6]
    lasso = np.zeros(SHAPE, np.uint8)
    lasso[6, 3, 3:9] = lasso[6, 8, 3:9] = lasso[6, 3:9, 3] = lasso[6, 3:9, 8] = 1  # a closed line
    before = buffer.copy()
    client.add_lasso_interaction(lasso, True)
    assert buffer[6, 5, 5]
    assert client.undo()
    assert np.array_equal(buffer, before)

    client.add_point_interaction([4, 15, 17], False)
    assert not buffer[4, 15, 17]
    while client.undo():
        pass
    assert not buffer.any()
    client.add_point_interaction([4, 15, 17], True)
    assert np.array_equal(buffer, first)
    client.reset_interactions()
    client.add_initial_seg_interaction(first)
    assert np.array_equal(buffer, first)
    client.add_point_interaction([4, 5, 5], True)
    assert buffer[4, 5, 5]
    assert 0 < client.lease_status()["remaining_seconds"] <= client.idle_timeout_seconds
    assert client.heartbeat() > 0
    assert door.service.volumes.bytes_held
    client.close()
    assert not door.service.volumes.bytes_held


def test_what_cannot_be_acted_on_is_refused_with_a_cure_and_leaves_nothing(client):
    buffer = ready(client)
    client.add_point_interaction([4, 15, 17], True)
    before = buffer.copy()
    for act, why in [
        (lambda: client.add_point_interaction([4, 99, 17], True), "outside the image"),
        (lambda: client.add_bbox_interaction([[0, 3], [1, 5], [1, 5]], True), "flat"),
        (lambda: client.add_bbox_interaction([[0, 1], [5, 5], [1, 5]], True), "empty"),
        (lambda: client.add_scribble_interaction(np.zeros(SHAPE, np.uint8), True), "no voxel"),
        (lambda: client.add_lasso_interaction(np.ones((2, 2, 2), np.uint8), True), "does not fit"),
        (lambda: client.add_initial_seg_interaction(np.ones((2, 2, 2), np.uint8)[:1, :1, :1]), "shape"),
        (lambda: client.add_point_interaction([4], True), "not one of nnInteractive's"),
        (lambda: client.set_image(np.concatenate([IMAGE, IMAGE])), "one channel"),
    ]:  # fmt: skip
        with pytest.raises(httpx.HTTPStatusError) as caught:
            act()
        assert caught.value.response.status_code == 400
        assert why in caught.value.response.json()["detail"]
        buffer[:] = before
    client.add_point_interaction([4, 16, 17], True)
    assert buffer[4, 16, 17]


def test_sessions_are_counted_and_end(client, door):
    ready(client)
    with remote.nnInteractiveRemoteInferenceSession(door.address) as other:
        assert other.lease_status()
        with pytest.raises(remote.ServerAtCapacityError, match="as many as it takes"):
            remote.nnInteractiveRemoteInferenceSession(door.address)
    door.now[0] += 1e4
    door.service.tidy()
    assert not door.service.volumes.bytes_held
    with pytest.raises(remote.SessionExpiredError):
        client.add_point_interaction([4, 15, 17], True)


def test_a_key_is_asked_for_where_there_is_one(door):
    door.key = "secret"
    with pytest.raises(httpx.HTTPStatusError) as caught:
        remote.nnInteractiveRemoteInferenceSession(door.address)
    assert caught.value.response.status_code == 401
    with remote.nnInteractiveRemoteInferenceSession(door.address, api_key="secret") as session:
        assert session.ping()


@pytest.mark.parametrize(
    ("path", "body", "headers", "code"),
    [("/claim", b"", {"Host": "evil.example:1527"}, 401),  # a web page that took another name for this machine
     ("/nowhere", b"{}", {}, 404), ("/undo", b"{}", {}, 410), ("/set_image", b"x", {}, 410),
     ("/set_image", b"NNIA\x01\x01\x03\x05int16" + b"\xff" * 40, {"X-Lease-Token": "claimed"}, 400),
     ("/add_point_interaction", b"[", {"X-Lease-Token": "claimed"}, 400),
     ("/add_point_interaction", b"[1]", {"X-Lease-Token": "claimed"}, 400),
     ("/undo", b"", {"X-Lease-Token": "claimed", "Content-Length": "999999999999"}, 400)],
)  # fmt: skip
def test_nonsense_is_refused(door, path, body, headers, code):
    if headers.get("X-Lease-Token") == "claimed":
        headers = {**headers, "X-Lease-Token": door.claim()["lease_token"]}
    line = http.client.HTTPConnection(door.address.removeprefix("http://"), timeout=20)
    line.request("POST", path, body, headers)
    answer = line.getresponse()
    assert answer.status == code
    assert json.loads(answer.read())["detail"]
    line.close()

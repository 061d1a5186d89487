import numpy as np
import pytest

from osirix_agent.errors import BusyError, DamagedError, UnsupportedSeriesError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.server.leases import Leases
from osirix_agent.segmenter.server.volumes import VolumeStore

AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def volume(seed, voxels=100):
    geometry = Geometry((1, 1, voxels), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), AXES)
    values = np.random.default_rng(seed).normal(size=(1, 1, voxels)).astype(np.float32)
    return Volume(values, geometry, "MR")


def send(store, client, what, upto=None):
    store.begin(client, what.digest, what.geometry, what.modality)
    first, _ = store.state(client, what.digest)
    store.append(client, what.digest, first, what.array.reshape(-1)[first:upto])


def test_a_volume_arrives_in_parts_and_is_its_clients_only():
    store, sent = VolumeStore(1000, 1000, 1000), volume(1)
    send(store, "a", sent, 40)
    assert store.get("a", sent.digest) is None
    assert store.state("a", sent.digest) == (40, False)
    send(store, "a", sent)
    got = store.get("a", sent.digest)
    assert got.array.tobytes() == sent.array.tobytes()
    assert got.digest == sent.digest
    assert Volume(got.array, got.geometry, "MR").digest == sent.digest
    assert store.get("b", sent.digest) is None
    assert store.state("b", sent.digest) == (0, False)


def test_what_is_not_what_it_says_is_forgotten():
    store, sent = VolumeStore(1000, 1000, 1000), volume(1)
    store.begin("a", sent.digest, sent.geometry, "MR")
    with pytest.raises(DamagedError, match="out of order"):
        store.append("a", sent.digest, 5, np.zeros(3, np.float32))
    store.append("a", sent.digest, 0, np.zeros(100, np.float32))
    with pytest.raises(DamagedError, match="as it was sent"):
        store.get("a", sent.digest)
    assert store.bytes_held == 0
    with pytest.raises(DamagedError, match="given up"):
        store.append("a", sent.digest, 0, np.zeros(100, np.float32))


def test_the_longest_unused_goes_first_and_quotas_hold():
    store = VolumeStore(800, 1000, 1500)
    one, two, three = volume(1), volume(2), volume(3)
    send(store, "a", one)
    send(store, "a", two)
    store.get("a", one.digest)
    send(store, "a", three)  # over the client's quota: two goes
    assert store.get("a", two.digest) is None
    assert store.get("a", one.digest) is not None
    send(store, "b", one)
    send(store, "b", two)  # over everybody's: a's oldest goes
    assert store.get("a", three.digest) is None
    assert store.bytes_held <= 1500
    with pytest.raises(UnsupportedSeriesError, match="takes up to"):
        send(store, "a", volume(4, 300))
    store.forget("b")
    assert store.get("b", one.digest) is None


def test_a_quota_below_one_volume_says_so():
    with pytest.raises(BusyError, match="a client may have"):
        send(VolumeStore(800, 300, 1000), "a", volume(1))


def test_leases_end_when_unused_or_unseen_and_are_counted():
    now = [0.0]
    leases = Leases(100, 10, 2, 3, lambda: now[0])
    one, two = leases.open("a"), leases.open("a")
    with pytest.raises(BusyError, match="as many as it may"):
        leases.open("a")
    leases.open("b")
    with pytest.raises(BusyError, match="as many as it takes"):
        leases.open("c")
    assert leases.find(one.key, "b", used=True) is None  # a stolen key is no use with another certificate
    now[0] = 9
    leases.find(one.key, "a", used=False)
    now[0] = 15
    assert leases.find(two.key, "a", used=True) is None
    assert {s.key for s in leases.ended(lambda name: False)} == {s.key for s in leases._sessions.values()} - {one.key}
    for now[0] in range(18, 101, 5):
        assert leases.find(one.key, "a", used=False)
    now[0] = 101
    assert leases.find(one.key, "a", used=True) is None  # alive, but idle
    assert not leases.close(two)
    assert leases.close(one)

import threading

import pytest

from osirix_agent.errors import BusyError, SupersededError, UnreachableError
from osirix_agent.segmenter.server.queue import FairQueue


class Device:
    """Jobs that say when they ran and end when they are let go."""

    def __init__(self):
        self.ran, self.let_go, self.began = [], threading.Semaphore(0), threading.Semaphore(0)

    def job(self, name):
        def act():
            self.began.release()
            assert self.let_go.acquire(timeout=10)
            self.ran.append(name)
            return name

        return act


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def queue(device):
    held = FairQueue(3)
    yield held
    for _ in range(50):
        device.let_go.release()
    assert held.close(10)


def test_sessions_go_in_turn_however_much_one_asks(queue, device):
    first = queue.put("a", device.job("a1"))
    assert device.began.acquire(timeout=10)
    b, a = queue.put("b", device.job("b1")), queue.put("a", device.job("a2"))
    newer = queue.put("a", device.job("a3"))
    c = queue.put("c", device.job("c1"))
    assert (queue.ahead_of(b), queue.ahead_of(newer), queue.ahead_of(c)) == (1, 2, 3)
    for job in (first, a):  # superseded: the one that runs and the one that waited
        assert job.wait(10)
        with pytest.raises(SupersededError):
            job.result()
    for _ in range(4):
        device.let_go.release()
    assert c.wait(10)
    assert device.ran == ["a1", "b1", "a3", "c1"]
    assert [job.result() for job in (b, newer, c)] == ["b1", "a3", "c1"]


def test_a_full_queue_says_so_and_takes_what_replaces(queue, device):
    queue.put("x", device.job("x"))
    assert device.began.acquire(timeout=10)
    for name in "abc":
        queue.put(name, device.job(name))
    with pytest.raises(BusyError, match="3 sessions are waiting") as caught:
        queue.put("d", device.job("d"))
    assert "serve_waiting" in caught.value.cure
    queue.put("b", device.job("b2"))
    assert queue.waiting == 3


def test_cancelled_and_left_jobs_never_run(queue, device):
    running = queue.put("x", device.job("x"))
    assert device.began.acquire(timeout=10)
    cancelled, left = queue.put("a", device.job("a")), queue.put("b", device.job("b"))
    queue.cancel("a")
    queue.drop(left)
    device.let_go.release()
    assert running.wait(10)
    assert all(job.finished for job in (cancelled, left))
    assert device.ran == ["x"]
    assert not queue.busy("a")


def test_a_job_that_fails_tells_its_asker_and_the_next_runs(queue, device):
    bad = queue.put("a", lambda: 1 / 0)
    assert bad.wait(10)
    with pytest.raises(ZeroDivisionError):
        bad.result()
    device.let_go.release()
    assert queue.put("a", device.job("a")).wait(10)


def test_what_is_closed_finishes_its_jobs_and_takes_no_more(device):
    queue = FairQueue(3)
    running, waiting = queue.put("a", device.job("a")), queue.put("b", device.job("b"))
    assert not queue.close(0.05)
    with pytest.raises(UnreachableError):
        queue.put("c", device.job("c"))
    device.let_go.release()
    device.let_go.release()
    assert queue.close(10)
    assert (running.result(), waiting.result()) == ("a", "b")


def test_who_asks_for_the_same_again_joins_it_and_the_first_may_leave():
    queue, let, runs = FairQueue(4), threading.Event(), []

    def act():
        runs.append(1)
        assert let.wait(20)
        return "answer"

    first = queue.put("a", act, "key")
    while not first.running:
        pass
    again = queue.put("a", act, "key")
    assert again is first
    queue.drop(first)  # the line of the first one broke
    let.set()
    assert again.wait(20)
    assert again.result() == "answer"
    assert runs == [1]
    assert queue.put("a", lambda: 2, "other") is not first
    assert queue.close(20)

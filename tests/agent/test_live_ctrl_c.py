"""Ctrl-C while OsiriX is waited for."""

import os
import signal

import pytest

from osirix_agent.agent.live import _noticing_ctrl_c


class Swallows:
    """An exception in a destructor is printed, and lost."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_is_not_lost_with_its_exception():
    before = signal.getsignal(signal.SIGINT)
    with _noticing_ctrl_c() as sleep:
        thing = Swallows()
        del thing  # the interrupt comes here, and nobody hears of it
        with pytest.raises(KeyboardInterrupt):
            sleep(5)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_sleeps_otherwise_and_leaves_an_ignored_signal_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _noticing_ctrl_c() as sleep:
            sleep(0.01)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

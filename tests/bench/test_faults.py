"""The fault runs: a few by default, a hundred and some real kills in CI; and that they find what they are for."""

from collections import Counter

import pytest

from osirix_agent.agent.acts import Acts
from osirix_agent.agent.leftovers import SessionLedger
from osirix_agent.agent.resuming import Resumption
from osirix_agent.agent.window import Window
from osirix_agent.bench import run
from osirix_agent.bench.faults import fault_runs, watched_errors
from osirix_agent.bench.kills import kill_days
from osirix_agent.errors import PromptError, ViewerTimeoutError
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.message import new_roi_request
from osirix_agent.viewer.roi import RoiState


def test_a_few_runs(tmp_path):
    violations, met = fault_runs(tmp_path, range(11, 16))
    assert violations == []
    assert met["kill"]
    assert met["NoServerError"]


@pytest.mark.parametrize("seed", [5322, 5671, 5904, 5906, 6934, 7657, 10516])
def test_days_that_once_broke_a_promise(seed, tmp_path):
    assert fault_runs(tmp_path, range(seed, seed + 1))[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(4))
def test_a_hundred_runs(chunk, tmp_path):
    assert fault_runs(tmp_path, range(100 + 25 * chunk, 100 + 25 * (chunk + 1)))[0] == []


@pytest.mark.slow
def test_three_real_kills(tmp_path):
    assert kill_days(tmp_path, 1, 3) == []


def test_a_create_that_is_repeated_after_a_timeout_is_found(monkeypatch, tmp_path):
    def create_again(self, spec):
        for attempt in range(2):
            try:
                roi = self._rpc.call("ViewerControllerNewROI", new_roi_request(self._ref, spec)).roi
                break
            except ViewerTimeoutError:
                if attempt:
                    raise
        if spec.brush is not None:
            self._brush_hint[roi.osirixrpc_uid] = self._read_hint(roi)
        return RoiState(roi.osirixrpc_uid, spec)

    monkeypatch.setattr(OsirixViewer, "_create", create_again)
    monkeypatch.setattr(SessionLedger, "wrote", lambda self, spec: False)  # it would clear the second one away
    violations, _ = fault_runs(tmp_path, range(20, 21))
    assert any("left over" in violation for violation in violations)


def test_a_late_write_that_is_taken_for_her_act_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(Window, "_is_late_write", lambda self, change: False)
    monkeypatch.setattr(SessionLedger, "wrote", lambda self, spec: False)
    violations, _ = fault_runs(tmp_path, range(20, 21))
    assert any("left over" in violation for violation in violations)


def test_a_slice_of_hers_that_is_painted_over_is_found(monkeypatch, tmp_path):
    def paint_over(self, window, structure, slices):
        self.disturbances += 1

    monkeypatch.setattr(Acts, "edited", paint_over)
    violations, _ = fault_runs(tmp_path, range(3, 4))
    assert any("she edited is not as she left it" in violation for violation in violations)


def test_a_lost_prompt_is_found(monkeypatch, tmp_path):
    real = Resumption.replay

    def forget_the_first(self, events):
        kept = [event for event in events if getattr(event, "number", None) != 1]
        return real(self, kept)

    monkeypatch.setattr(Resumption, "replay", forget_the_first)
    violations, _ = fault_runs(tmp_path, range(11, 12))
    assert any("not read" in violation or "are lost" in violation for violation in violations)


def test_an_error_without_a_cure_or_with_her_words_is_found():
    seen, wrong = Counter(), []
    with watched_errors(seen, wrong):
        PromptError("The point is outside.", "Move it.")
        PromptError("The point is outside.", "")
        PromptError("GTV_Smith is outside.", "Move it.")
    assert seen == {"PromptError": 3}
    assert len(wrong) == 2


def test_the_figures(tmp_path):
    (figure,) = run.measure("faults", 7, 0, None, quiet=True, runs=2, kills=0)
    assert (figure.id, figure.n, figure.holds) == ("faults", 2, True)

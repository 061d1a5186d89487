import pytest

from osirix_agent.bench import capacity


def test_service_times_and_waiting_are_measured(monkeypatch):
    monkeypatch.setattr(capacity, "IMAGES", 1)
    monkeypatch.setattr(capacity, "ANSWERS", 2)
    monkeypatch.setattr(capacity, "SERVICE_S", 0.01)
    rows = {row.id: row for row in capacity.measure(1, wait_s=0.4, segmenters=("classical", "nowhere"))}
    answer, sessions = rows["capacity.classical.answer"], rows["capacity.classical.sessions"]
    assert sessions.value * answer.value == pytest.approx(0.5 * capacity.BETWEEN_S)
    assert rows["capacity.classical.first"].n == 1
    assert rows["capacity.nowhere"].holds is False
    assert rows["capacity.wait.0.8"].n > 0
    assert rows["capacity.wait.0.8"].peer == "formula, 0.02 s"

import pytest

from osirix_agent.bench import fuzz

for package in ("cryptography", "prometheus_client", "grpc_health"):
    pytest.importorskip(package, reason="serving needs pip install 'osirix-agent[serve]'")


def test_nonsense_is_answered_or_refused_and_the_server_goes_on():
    spoiling = fuzz.Fuzz(7)
    try:
        spoiling.round(60)
    finally:
        spoiling.close()
    assert not spoiling.violations
    assert spoiling.met["answered"]
    assert spoiling.met["refused"]


@pytest.mark.slow
def test_half_a_minute_of_it():
    (figure,) = fuzz.measure(11, 0.5)
    assert figure.holds, figure.note


def test_a_fault_and_a_wrong_answer_are_seen(monkeypatch):
    spoiling = fuzz.Fuzz(7)
    try:
        spoiling._tell("fault", kind="KeyError")
        monkeypatch.setattr(spoiling, "_read", lambda data: None)
        monkeypatch.setattr(spoiling, "image", fuzz.Volume(spoiling.image.array + 1, spoiling.image.geometry, "CT"))
        spoiling.round(1)
    finally:
        spoiling.close()
    assert "KeyError" in spoiling.violations[0]
    assert len(spoiling.violations) == 2

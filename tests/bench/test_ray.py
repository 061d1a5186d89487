import pytest

for package in ("cryptography", "prometheus_client", "grpc_health", "ray"):
    pytest.importorskip(package, reason="a cluster needs pip install 'osirix-agent[cluster]'")


@pytest.mark.slow
def test_no_session_is_lost_when_replicas_are_killed(tmp_path, monkeypatch):
    from osirix_agent.bench import ray

    monkeypatch.setattr(ray, "REPLICAS", 2)
    monkeypatch.setattr(ray, "SESSIONS", 3)
    (row,) = ray.measure(tmp_path, 1, minutes=0.4, every_s=10)
    assert row.value == 0, row.note
    assert "2 killed" in row.note

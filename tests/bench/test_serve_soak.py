import pytest

from osirix_agent.bench import serve_soak

for package in ("cryptography", "prometheus_client", "grpc_health"):
    pytest.importorskip(package, reason="serving needs pip install 'osirix-agent[serve]'")


@pytest.mark.slow
def test_sessions_share_a_server(tmp_path):
    rows = serve_soak.measure(tmp_path, 1, sessions=2, minutes=0.2, every_s=3)
    assert [row.id for row in rows] == ["serve.soak", "serve.soak.memory", "serve.soak.fair"]
    assert rows[0].value == 0, rows[0].note
    assert rows[0].n >= 6
    assert rows[2].ratio

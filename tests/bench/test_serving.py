import pytest

from osirix_agent.bench import serving


def test_remote_and_local_are_measured_side_by_side():
    pytest.importorskip("cryptography", reason="serving needs pip install 'osirix-agent[serve]'")
    pytest.importorskip("prometheus_client", reason="serving needs pip install 'osirix-agent[serve]'")
    pytest.importorskip("grpc_health", reason="serving needs pip install 'osirix-agent[serve]'")
    rows = serving.measure(1, pairs=1, uploads=1, shape_kji=(8, 64, 64))
    assert [row.id for row in rows] == ["remote.click", "remote.click.p95", "remote.upload"]
    assert all(row.value and row.ratio and row.peer for row in rows), rows

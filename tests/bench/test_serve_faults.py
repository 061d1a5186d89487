import pytest

from osirix_agent.bench import serve_faults

for package in ("cryptography", "prometheus_client", "grpc_health"):
    pytest.importorskip(package, reason="serving needs pip install 'osirix-agent[serve]'")


def lost_or_wrong(violations):
    """How long things take is judged by the benchmark, on a machine that does nothing else."""
    return [what for what in violations if "late" not in what and "over the answer's own" not in what]


def test_no_prompt_is_lost_and_no_mask_wrong_in_a_session_with_faults(tmp_path):
    violations, met, _ = serve_faults.fault_sessions(tmp_path, range(3, 4))
    assert sum(met[kind] for kind in serve_faults.KINDS) == serve_faults.ASKS
    assert not lost_or_wrong(violations), violations


@pytest.mark.slow
def test_nor_in_many(tmp_path):
    violations, met, _ = serve_faults.fault_sessions(tmp_path, range(100, 125))
    assert set(serve_faults.KINDS) <= set(met)
    assert not lost_or_wrong(violations), violations


@pytest.mark.slow
def test_a_killed_server_costs_nothing(tmp_path):
    violations, own_s, _ = serve_faults.server_kills(tmp_path, 1, 2, segmenter="classical")
    assert own_s > 0
    assert not lost_or_wrong(violations), violations


def test_a_wrong_mask_and_a_lost_prompt_are_seen(tmp_path, monkeypatch):
    site = serve_faults.Site(tmp_path)
    session = serve_faults.FaultySession(site, 1)
    asked = session.remote.propose
    monkeypatch.setattr(serve_faults, "LASTS_S", 0.01)
    monkeypatch.setattr(serve_faults, "KINDS", ("slow",))
    monkeypatch.setattr(session.remote, "propose", lambda request: asked(serve_faults.requests_on_phantom(1)[0]))
    session.run()
    assert len(session.violations) >= serve_faults.ASKS
    assert all("not the one" in what or "late" in what for what in session.violations)
    site.close()

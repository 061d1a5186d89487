"""`osirix-agent serve` as it is run."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from osirix_agent.cli import main
from tests.segmenter.conftest import asking
from tests.segmenter.test_remote import IMAGE, request

SERVE = [sys.executable, "-m", "osirix_agent.cli", "serve"]


def test_certificates_pairings_and_refusals(tls, tmp_path, capsys):
    folder = str(tmp_path / "serve")
    assert main(["serve", "--init-tls", folder]) == 0
    assert "agent.pairing" in capsys.readouterr().out
    assert main(["serve", "--init-tls", folder]) == 0
    assert "pairings stay" in capsys.readouterr().out
    assert main(["serve", "--tls", folder, "--pair", "anna"]) == 0
    assert (tmp_path / "serve" / "anna.pairing").stat().st_mode & 0o777 == 0o600
    for wrong, code, what in [
        (["--host", "0.0.0.0"], 2, "Without TLS"),
        (["--tls", str(tmp_path)], 9, "does not hold a server's certificate"),
        (["--pair", "x"], 2, "--tls"),
        (["--segmenter", "grpcs://a:1"], 2, "on its own machine"),
    ]:
        assert main(["serve", "--port", "0", *wrong]) == code
        assert what in capsys.readouterr().err


def test_health_metrics_logs_and_a_polite_end(tls, free_port):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from osirix_agent.segmenter.wire.dialling import Address, open_channel, pairing_for

    process = subprocess.Popen(
        [*SERVE, "--tls", str(tls), "--port", "0", "--metrics-port", str(free_port), "--segmenter", "classical"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        address = process.stdout.readline().split()[2].rstrip(";")
        remote = asking(address, tls)
        remote.propose(request(image=IMAGE))
        dialled = Address(address)
        with open_channel(dialled, pairing_for(dialled, tls / "agent.pairing")) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=10) as page:
            text = page.read().decode()
        assert 'osirix_agent_proposals_total{outcome="answered"} 1.0' in text
        assert "osirix_agent_sessions 1.0" in text
        assert "osirix_agent_certificate_days_left" in text
        remote.close()
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    events = [json.loads(line) for line in err.splitlines()]
    assert [e["event"] for e in events] == ["started", "opened", "uploaded", "proposed", "closed", "stopped"]
    assert all(len(e["client"]) == 12 for e in events if "client" in e)


@pytest.fixture
def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]

import plistlib
import shlex
import shutil
import subprocess
import sys

import pytest

from osirix_agent.cli import _parser
from osirix_agent.segmenter.server.run import print_unit
from osirix_agent.segmenter.server.unit import launchd_agent, systemd_unit
from osirix_agent.settings import Settings

GIVEN = ["serve", "--host", "0.0.0.0", "--tls", "keys of 100%", "--unit", "systemd", "--port", "0"]


def printed(kind, given=GIVEN):
    said = []
    print_unit(kind, [kind if word == "systemd" else word for word in given], Settings(serve_grace_s=40), said.append)
    return said[0]


@pytest.mark.parametrize("given", [GIVEN, [w for w in GIVEN if w not in ("--unit", "systemd")] + ["--unit=systemd"]])
def test_what_is_printed_is_the_command_that_was_given(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    line = next(line for line in printed("systemd", given).splitlines() if line.startswith("ExecStart="))
    command = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%"))
    if given is GIVEN:
        assert plistlib.loads(printed("launchd").encode())["ProgramArguments"] == command
    told = _parser().parse_args(command[1:])
    assert (told.command, told.host, told.port, told.unit) == ("serve", "0.0.0.0", 0, None)
    assert told.tls == tmp_path / "keys of 100%"
    assert command[0].startswith("/")


def test_the_launchd_agent_waits_for_the_drain_and_keeps_no_core():
    agent = plistlib.loads(launchd_agent(["/bin/true"], 40).encode())
    assert agent["ExitTimeOut"] > 40
    assert agent["KeepAlive"] == {"SuccessfulExit": False}  # a drained server is not started again
    assert agent["HardResourceLimits"] == {"Core": 0}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_the_unit(tmp_path):
    path = tmp_path / "osirix-agent-serve.service"
    path.write_text(systemd_unit([sys.executable, "-c", "pass 100% 'quoted words'"], 40))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if path.name in line]
    assert done.returncode == 0, done.stderr
    assert not ours, ours
    assert "TimeoutStopSec=55" in path.read_text()

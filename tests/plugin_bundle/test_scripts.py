"""The buttons as OsiriX presses them: a process of its own, no arguments, HOME and a broken PATH for environment."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from osirix_agent.agent import control
from osirix_agent.plugin import bundle_folder, installer
from tests.plugin_bundle.mac import SUPPORT, make_mac, tree

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def mac() -> Iterator[Path]:
    """The home folder of a Mac with the buttons in it; short, so that the socket is below it."""
    root = Path(tempfile.mkdtemp(prefix="oa-"))
    home = make_mac(root, "Zoë M")
    python = root / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    installer().Installation(root, tell=lambda line: None).install(str(python), "1.0")
    yield home
    shutil.rmtree(root)


def press(home: Path, script: str) -> tuple[int, str]:
    """What the Task Console shows, and the exit code."""
    scripts = home / SUPPORT / "osirix-agent" / "plugin"
    ran = subprocess.run(
        [sys.executable, "-u", str(scripts / f"{script}.py")], cwd=scripts, capture_output=True, text=True, timeout=90,
        env={"HOME": str(home), "PATH": "file:///usr/bin:/usr/local/bin"},
    )  # fmt: skip
    assert ran.stderr == ""
    return ran.returncode, ran.stdout.strip()


def agent_socket() -> ModuleType:
    path = bundle_folder() / "scripts" / "agent_socket.py"
    spec = importlib.util.spec_from_file_location("agent_socket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_an_agent_every_button_says_what_to_do(mac):
    before = tree(mac)
    for script in sorted(
        {path.stem for path in (bundle_folder() / "scripts").glob("*.py")} - {"start", "agent_socket"}
    ):
        code, said = press(mac, script)
        assert (code, "start agent" in said) == (1, True)
    assert tree(mac) == before


def test_a_stale_or_foreign_socket_is_no_agent(mac):
    folder = mac / ".local" / "state" / "osirix-agent" / "control"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(folder / "00000000.sock"))
    (folder / "11111111.sock").write_text("")
    assert press(mac, "accept")[0] == 1
    if os.getuid() == 0:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(folder / "22222222.sock"))
            other.listen()
            os.chown(folder / "22222222.sock", 12345, -1)
            assert press(mac, "accept") == (1, agent_socket().NOT_RUNNING)


@pytest.mark.slow
def test_start_says_why_the_agent_ended(mac):
    config = mac / ".config" / "osirix-agent" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('structure = ""')
    code, said = press(mac, "start")
    assert code == 1
    assert "The setting 'structure' cannot be used" in said
    (mac / SUPPORT / "osirix-agent" / "plugin" / "installed.json").write_text('{"interpreter": "/no/such"}')
    code, said = press(mac, "start")
    assert code == 1
    assert "plugin install" in said


@pytest.mark.parametrize("platform", ["darwin", "linux"])
@pytest.mark.parametrize("home", ["/Users/anna", "/Users/Zoë Müller", "/Users/" + "a" * 34, "/Users/" + "ä" * 90])
def test_scripts_and_agent_look_in_the_same_folder(monkeypatch, platform, home):
    monkeypatch.setattr(sys, "platform", platform)
    assert agent_socket().control_folder(home) == str(control.control_folder(Path(home)))


@pytest.mark.slow
def test_start_click_accept_by_the_buttons(mac, hospital, phantom):
    hospital.server.write_config(mac)
    code, said = press(mac, "start")
    assert (code, "watches" in said) == (0, True), said
    assert press(mac, "start") == (0, "The agent is already running.")
    k, j, i = (int(v) for v in np.argwhere(phantom.truth).mean(0))
    hospital.clinician.point((i + 0.5, j + 0.5), k=k, name="GTVp")
    end = time.monotonic() + 40
    while not any("~draft" in roi.name for roi in hospital.clinician.rois()):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert press(mac, "propose")[0] == 0
    assert press(mac, "next_look")[0] == 0
    assert press(mac, "uncertainty") == (0, "Isolines are hidden.")
    assert press(mac, "undo")[0] == 0
    code, said = press(mac, "accept")
    assert (code, "no contour to accept" in said) == (1, True)
    assert press(mac, "redo")[0] == 0
    assert press(mac, "reject")[0] == 0
    assert press(mac, "undo")[0] == 0
    assert press(mac, "accept") == (0, "Accepted.")
    (sockets,) = (mac / ".local" / "state" / "osirix-agent" / "control").iterdir()
    assert agent_socket().ask(str(sockets), "quit")["ok"]
    end = time.monotonic() + 20
    while sockets.exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    names = {roi.name for roi in hospital.clinician.rois()}
    assert names == {"GTVp"}
    (journal,) = (mac / ".local" / "state" / "osirix-agent" / "journal").glob("*.jsonl")
    text = journal.read_text()
    for verb in ("start", "propose", "next", "isolines", "undo", "redo", "reject", "accept"):
        assert f'"verb":"{verb}"' in text.replace(" ", "")
    assert '"session_ended"' in text
    assert press(mac, "accept")[0] == 1

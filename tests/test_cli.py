import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from osirix_agent import __version__
from osirix_agent.cli import main
from osirix_agent.figures import Figure, failed, report

RUN = [sys.executable, "-m", "osirix_agent.cli"]


def test_help_version_and_no_command(capsys):
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_no_osirix_is_exit_3_with_a_cure(capsys):
    assert main(["run", "--wait", "0", "--server", "127.0.0.1:9"]) == 3
    assert "Server Configuration" in capsys.readouterr().err


def test_a_bad_setting_is_exit_2(capsys):
    assert main(["doctor", "--levels", "1,2"]) == 2
    assert "isoline_levels" in capsys.readouterr().err


def test_doctor_names_what_is_wrong_and_passes_when_all_is_well(hospital, capsys):
    assert main(["doctor", "--json", "--server", "127.0.0.1:9"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    (server,) = [f for f in findings if f["what"] == "server"]
    assert not server["good"]
    assert server["cure"]
    assert main(["doctor", "--server", hospital.server.address]) == 0
    assert "12 slices of 48 x 56" in capsys.readouterr().out
    hospital.clinician.close()
    assert main(["doctor", "--server", hospital.server.address]) == 1
    assert "-> Open the series" in capsys.readouterr().out


def test_figures_have_one_shape(capsys):
    rows = [Figure(id="a", value=1.0, unit="s", interval=(0.5, 2.0), n=3, reach="2 s", holds=True),
            failed("b", "s", "1 s", "no server")]  # fmt: skip
    report(rows, seed=4, versions={"python": "3"}, as_json=True, title="t")
    out = json.loads(capsys.readouterr().out)
    assert set(out) == {"figures", "seed", "versions", "machine"}
    assert [row["holds"] for row in out["figures"]] == [True, False]
    assert set(out["figures"][0]) >= {"id", "value", "unit", "interval", "n", "peer", "ratio", "reach", "holds"}
    report(rows, seed=4, versions={}, as_json=False, title="t")
    assert "NO" in capsys.readouterr().out


def start(command: list[str], **options) -> subprocess.Popen:
    """With Ctrl-C as in a terminal: what starts the tests in the background may have had it ignored.

    A signal handled here is the default in the child. Setting it there, by a `preexec_fn`, would fork a process in
    which gRPC has threads: gRPC aborts in the fork, and the alarm that it sets then kills the child seconds later.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def osirix(phantom):
    """A virtual OsiriX in another process; she clicks every two seconds."""
    place = ",".join(str(int(v)) for v in __import__("numpy").argwhere(phantom.truth).mean(0))
    process = start([*RUN, "virtual-osirix", "--dicom", str(phantom.folder), "--port", "0", "--click", f"{place},GTVp"])
    line = process.stdout.readline()
    yield line.split(" at ")[1].split(",")[0]
    process.terminate()
    process.wait(10)
    process.stdout.close()


def read_until(process: subprocess.Popen, text: str, seconds: float = 40) -> str:
    """Lines up to the one that holds the text; waits for at most `seconds`, and no longer than the process lives."""
    seen: list[str] = []

    def read() -> None:
        for line in iter(process.stdout.readline, ""):
            seen.append(line)
            if text in line:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(seconds)
    said = "".join(seen)
    assert text in said, f"exit code {process.poll()}: {said}"
    return said


def await_painting(state) -> Path:
    """The journal, once something has been painted."""
    (journal,) = (state / "journal").glob("*.jsonl")
    end = time.monotonic() + 40
    while '"painted"' not in journal.read_text():
        assert time.monotonic() < end, journal.read_text()
        time.sleep(0.1)
    return journal


@pytest.mark.slow
def test_run_against_a_virtual_osirix_in_another_process(osirix, tmp_path):
    state = tmp_path / "state"
    process = start([*RUN, "run", "--server", osirix, "--state-dir", str(state)], stdin=subprocess.PIPE)
    read_until(process, "Journal:")
    journal = await_painting(state)
    process.stdin.write("help\nnonsense\naccept GTVp\n")
    process.stdin.flush()
    read_until(process, "GTVp: accepted.")
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    process.stdout.close()
    process.stdin.close()
    assert '"session_ended"' in journal.read_text()
    assert main(["replay", str(journal), "--server", osirix]) == 0


def run_agent(osirix, state, *more) -> subprocess.Popen:
    return start([*RUN, "run", "--server", osirix, "--state-dir", str(state), *more], stdin=subprocess.DEVNULL)


def end(process, how) -> int:
    process.send_signal(how)
    code = process.wait(20)
    process.stdout.close()
    return code


@pytest.mark.slow
def test_a_killed_run_is_continued_by_the_next_or_cleared(osirix, tmp_path):
    state = tmp_path / "state"
    process = run_agent(osirix, state)
    read_until(process, "Journal:")
    journal = await_painting(state)
    end(process, signal.SIGKILL)
    again = run_agent(osirix, state)
    assert "goes on" in read_until(again, "Journal:")
    end(again, signal.SIGKILL)
    fresh = run_agent(osirix, state, "--fresh", "--for-seconds", "1")
    assert "Cleared" in read_until(fresh, "Cleared")
    assert fresh.wait(20) == 0
    fresh.stdout.close()
    assert journal.read_text().count('"resumed"') == 1


@pytest.mark.slow
def test_two_agents_in_two_processes_notice_each_other(osirix, tmp_path):
    state = tmp_path / "state"
    first = run_agent(osirix, state)
    read_until(first, "Journal:")
    second = run_agent(osirix, state)
    assert "Another agent already works on this series. Use that one" in read_until(second, "Another agent")
    assert second.wait(20) == 6
    second.stdout.close()
    end(first, signal.SIGKILL)  # the system frees what a killed agent held
    third = run_agent(osirix, state)
    read_until(third, "Journal:")
    assert end(third, signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_run_waits_for_osirix_until_ctrl_c(tmp_path):
    process = run_agent("127.0.0.1:9", tmp_path / "state")
    assert "Waiting; Ctrl-C ends." in read_until(process, "Waiting")
    assert end(process, signal.SIGINT) == 130


@pytest.mark.slow
def test_a_run_outlives_a_crash_of_osirix_and_leaves_on_ctrl_c(phantom, tmp_path):
    command = [*RUN, "virtual-osirix", "--dicom", str(phantom.folder), "--port", "0"]
    osirix = start([*command, "--fault", "crash:ViewerControllerROIList@20"])
    address = osirix.stdout.readline().split(" at ")[1].split(",")[0]
    agent = run_agent(address, tmp_path / "state")
    read_until(agent, "Waiting; nothing is lost.")
    read_until(agent, "OsiriX is back")
    end(osirix, signal.SIGTERM)
    read_until(agent, "Waiting; nothing is lost.")
    assert end(agent, signal.SIGINT) == 0

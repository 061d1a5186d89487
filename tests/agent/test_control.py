"""The control socket, and what a button does to a session."""

import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from osirix_agent.agent import control
from osirix_agent.agent.control import ControlSocket, control_folder
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.cli import main
from osirix_agent.errors import ControlError
from osirix_agent.plugin import socket_line
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.journal import read_journal
from tests.agent.test_session_in_viewer import click


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket's path."""
    place = Path(tempfile.mkdtemp(prefix="oa-"))
    yield place / "control"
    shutil.rmtree(place)


def ask(path: Path, line: bytes) -> dict:
    with socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(10)
        talk.connect(str(path))
        talk.sendall(line)
        return json.loads(talk.makefile().readline() or "{}")


def say(path: Path, command: str) -> dict:
    return ask(path, json.dumps({"command": command}).encode() + b"\n")


def test_only_the_user_can_reach_it_and_nothing_is_left_behind(folder):
    with ControlSocket(folder) as one, ControlSocket(folder) as two:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert one.path != two.path  # two agents, each its own
        assert all(say(each.path, "start")["ok"] for each in (one, two))
        assert socket_line(folder).detail == "2 agent(s) listen to the buttons"
        one.close()
        assert say(two.path, "start")["ok"]
    assert not folder.exists()
    assert socket_line(folder).detail == "no agent is running"


def test_a_command_reaches_the_session_and_its_answer_comes_back(folder):
    def session(request: Request) -> None:
        request.begin()
        request.answer(True, f"did {request.command.verb} {request.command.name}")

    with ControlSocket(folder) as here:
        assert "starting" in say(here.path, "accept")["message"]
        assert not say(here.path, "start")["ready"]
        here.answer_with(session)
        assert say(here.path, "accept GTVp") == {
            "ok": True, "message": "did accept GTVp", "elsewhere": False, "ready": True,
        }  # fmt: skip
        for bad in (b"{}\n", b"[]\n", b"nonsense\n", b'{"command": 3}\n', b'{"command": "rm -rf"}\n', b"\xff\n"):
            assert "That is no command" in ask(here.path, bad)["message"]
        assert "no command" in ask(here.path, b'{"command": "' + b"x" * 10_000)["message"]


def test_sentences_come_from_the_command_line(capsys):
    def session(request: Request) -> None:
        request.begin()
        assert isinstance(request.command, Sentence)
        request.answer("undo" in request.command.text, f"heard {request.command.text} {request.command.heard}")

    assert main(["say", "undo"]) == 7
    assert "No agent is running" in capsys.readouterr().err
    with ControlSocket() as here:
        assert main(["say", "undo"]) == 5
        assert "starting" in capsys.readouterr().out
        here.answer_with(session)
        assert main(["say", "undo", "twice", "--heard", "0.8"]) == 0
        assert capsys.readouterr().out == "heard undo twice 0.8\n"
        assert main(["say", "make tea", "--json"]) == 5
        assert json.loads(capsys.readouterr().out)["ok"] is False
        assert main(["say", "um " * 130]) == 5  # longer than a button's line


def test_a_silent_client_holds_nobody_up(folder, monkeypatch):
    monkeypatch.setattr(control, "READ_DEADLINE_S", 1.0)
    with ControlSocket(folder) as here, socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as slow:
        for talk in (silent, slow):
            talk.connect(str(here.path))
        slow.send(b'{"comm')
        began = time.monotonic()
        assert say(here.path, "start")["ok"]
        assert time.monotonic() - began < 1.0
        for talk in (silent, slow):
            talk.settimeout(5)
            assert talk.recv(10) == b""  # hung up on
        many = [socket.socket(socket.AF_UNIX) for _ in range(control.MAX_TALKS + 4)]
        for talk in many:
            talk.connect(str(here.path))
        time.sleep(1.2)
        assert say(here.path, "start")["ok"]
        for talk in many:
            talk.close()


def test_what_could_not_be_begun_in_time_is_not_done_later(folder):
    asked: list[Request] = []
    with ControlSocket(folder, answer_deadline_s=0.2) as here:
        here.answer_with(asked.append)
        answer = say(here.path, "accept")
        assert not answer["ok"]
        assert "nothing was done" in answer["message"]
        assert not asked[0].begin()
        here.answer_with(lambda request: asked.append(request) or request.begin())
        assert "still at it" in say(here.path, "accept")["message"]


def test_a_put_off_command_can_still_be_withdrawn():
    request = Request(Command("accept"))
    assert request.begin()
    request.put_off()
    assert "nothing was done" in request.wait(0.01)[1]
    assert not request.begin()


def test_an_agent_too_busy_to_listen_keeps_its_socket(folder):
    folder.mkdir()
    path = folder / "00000000.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for talk in waiting:
            talk.setblocking(False)
            talk.connect_ex(str(path))
        with ControlSocket(folder):
            assert path.exists()
        for talk in waiting:
            talk.close()


def test_a_stale_socket_is_replaced(folder):
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(folder / "00000000.sock"))
    assert "killed" in socket_line(folder).detail
    with ControlSocket(folder) as here:
        assert list(folder.iterdir()) == [here.path]


def test_what_is_no_socket_is_left_alone(folder):
    folder.mkdir()
    (folder / "notes.sock").write_text("hers")
    with pytest.raises(ControlError, match=r"not a socket.*Remove it"):
        ControlSocket(folder)
    assert (folder / "notes.sock").read_text() == "hers"
    assert not socket_line(folder).good
    shutil.rmtree(folder)
    folder.write_text("")
    with pytest.raises(ControlError, match="cannot be made"):
        ControlSocket(folder)


@pytest.mark.parametrize("which", ["folder", "socket"])
def test_another_users_socket_is_left_alone(folder, monkeypatch, which):
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        path = folder / "00000000.sock"
        other.bind(str(path))
        other.listen()
        theirs, real = (folder if which == "folder" else path), os.lstat

        def lstat(path, **options):
            held = real(path, **options)
            return os.stat_result([*held[:4], held.st_uid + 1, *held[5:]]) if Path(path) == theirs else held

        monkeypatch.setattr(os, "lstat", lstat)
        with pytest.raises(ControlError):
            ControlSocket(folder)
        assert not socket_line(folder).good
        assert socket_line(folder).cure
    assert path.exists()


def test_a_peer_of_another_user_is_hung_up_on(folder, monkeypatch):
    with ControlSocket(folder) as here:
        with socket.socket(socket.AF_UNIX) as talk:
            talk.connect(str(here.path))
            assert control._uid_of_peer(talk) == os.getuid()
        monkeypatch.setattr(control, "_uid_of_peer", lambda talk: os.getuid() + 1)
        with pytest.raises((OSError, AssertionError)):
            assert say(here.path, "start") != {}
        monkeypatch.undo()
        assert say(here.path, "start")["ok"]


def test_a_path_too_long_for_a_socket_goes_elsewhere(monkeypatch):
    short, long = Path("/Users/anna"), Path("/Users") / ("a" * 90)
    for platform in ("darwin", "linux"):
        monkeypatch.setattr("sys.platform", platform)
        assert control_folder(short).is_relative_to(short)
        elsewhere = control_folder(long)
        assert elsewhere.parent == Path("/tmp")
        assert str(os.getuid()) in elsewhere.name
        assert elsewhere != control_folder(long / "b")  # another home, another folder


# -- in a session ------------------------------------------------------------------------------------------------


def press(practice, text: str) -> tuple[bool, str, bool]:
    """A button, answered by a session that is stepped meanwhile."""
    request = Request(Command(*text.split()), from_button=True)
    said: list[tuple[bool, str, bool]] = []
    waiting = threading.Thread(target=lambda: said.append(request.wait(5)))
    waiting.start()
    practice.engine.ask(request)
    practice.settle()
    waiting.join()
    return said[0]


def commands_of(practice) -> list[tuple[str, str | None]]:
    return [(e.verb, e.structure) for e in read_journal(practice.journal) if e.event == "command_given"]


def test_buttons_do_and_journal_what_names_do(open_practice, hospital):
    by_button, by_name = open_practice(), None
    told = []
    click(by_button)
    for text in ("undo", "redo", "isolines", "isolines", "accept"):
        told.append(press(by_button, text))
    names = by_button.names()
    assert "GTV" in names
    assert not by_button.drafts()
    assert all(done for done, _, _ in told)
    assert told[2][1] == "Isolines are hidden."
    hospital.clinician.viewer.rois[0][:] = [[] for _ in hospital.clinician.viewer.rois[0]]
    by_name = open_practice()
    click(by_name)
    for text in ("undo", "redo", "isolines", "isolines", "accept"):
        hospital.clinician.point((5.5, 5.5), k=6, name=f"!{text}")
        by_name.settle()
    assert commands_of(by_button) == commands_of(by_name)
    assert by_name.names() == names


def test_a_refusal_says_why_and_changes_nothing(practice):
    done, what, elsewhere = press(practice, "accept")
    assert (done, elsewhere) == (False, False)
    assert "no contour to accept" in what
    assert not press(practice, "undo")[0]
    assert "nothing to propose" in press(practice, "propose")[1]
    assert "no uncertain slice" in press(practice, "next")[1]
    assert commands_of(practice) == []


def test_propose_does_not_wait_for_a_shape_to_rest(practice):
    practice.clinician.polygon([(20.5, 14.5), (40.5, 14.5), (40.5, 28.5), (20.5, 28.5)], k=6)
    practice.engine.command(Command("propose"))
    practice.engine.step()
    practice.engine.step()
    assert practice.drafts()


def test_next_look_goes_through_the_uncertain_slices(practice):
    click(practice)
    belief = practice.engine.belief("GTV")
    seen = []
    for _ in range(len(belief.slices(5))):
        assert press(practice, "next")[0]
        seen.append(practice.hospital.window.index)
    assert len(set(seen)) == len(seen)
    assert press(practice, "next")[0]
    assert practice.hospital.window.index == seen[0]
    assert "1 prompts" in press(practice, "status")[1]


def test_a_button_pressed_over_another_patients_viewer_does_nothing(practice, hospital, tmp_path):
    click(practice)
    windows = hospital.app.viewers
    from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom

    other = write_phantom(tmp_path / "other", PhantomRecipe(shape_kji=(8, 32, 32), spacing_kji_mm=(3.0, 2.0, 2.0)))
    hospital.app.open_folder(other.folder)
    done, what, elsewhere = press(practice, "accept")
    assert (done, elsewhere) == (False, True)
    assert "not the one being contoured" in what
    assert practice.drafts()
    windows.reverse()
    assert press(practice, "accept")[0]


def test_what_somebody_gave_up_waiting_for_is_not_carried_out_later():
    request = Request(Command("undo"), from_button=True)
    assert request.begin()
    done, said, _ = request.wait(0.01)
    assert not done
    assert "press again" in said
    request.put_off()
    assert not request.begin()

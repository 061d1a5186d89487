"""`say` by voice: from sound to what the running agent does."""

import numpy as np
import pytest

from osirix_agent.agent import hearing
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.cli import main
from osirix_agent.prompting.grammar import Command
from osirix_agent.prompting.voice.listener import Heard
from osirix_agent.prompting.voice.sound import write_wav
from tests.agent.test_session_in_viewer import click


class Ear:
    def __init__(self, *heard):
        self.heard, self.known = list(heard), []

    def hear(self, pcm, rate_hz, known):
        self.known.append(known)
        return self.heard.pop(0)


@pytest.fixture
def told(practice, monkeypatch):
    """What the agent answers, asked as through its socket."""

    def ask(request):
        said = Sentence(request["say"], request["heard"]) if "say" in request else Command("names")
        item = Request(said, from_button=True)
        practice.engine.ask(item)
        practice.settle()
        done, what, _ = item.wait(0)
        return {"ok": done, "message": what}

    monkeypatch.setattr(hearing, "ask_agents", ask)
    return practice


def sounds(n):
    return iter([(np.zeros(16, np.int16), 16_000)] * n)


def test_what_is_heard_is_done_and_what_is_doubtful_waits(told):
    click(told)
    ear = Ear(Heard("undo", 0.95, "both"), Heard("redo", 0.6, "command"), Heard("yes", 0.95, "both"))
    answers = []
    assert hearing.say_sounds(ear, sounds(3), answers.append)
    assert [one["ok"] for one in answers] == [True, False, True]
    assert "Did you mean: redo?" in answers[1]["message"]
    assert ear.known == [["GTV"]] * 3
    assert told.mask().any()


def test_what_is_not_heard_is_said(told):
    answers = []
    assert not hearing.say_sounds(Ear(Heard(why="Nothing was heard.")), sounds(1), answers.append)
    assert answers == [
        {"ok": False, "message": "Nothing was heard.", "heard": "", "confidence": 0.0, "by": "none"}
    ]  # fmt: skip


def test_push_to_talk_in_a_terminal():
    class Microphone:
        def press(self):
            pass

        def release(self):
            return np.ones(5, np.int16)

    keys = iter([None, None, EOFError])

    def wait(_):
        if next(keys) is EOFError:
            raise EOFError

    assert [len(pcm) for pcm, _ in hearing.from_microphone(Microphone(), wait)] == [5]


def test_one_way_of_saying_it_at_a_time(tmp_path, capsys):
    write_wav(tmp_path / "a.wav", np.zeros(10, np.float32))
    assert main(["say"]) == 2
    assert main(["say", "undo", "--wav", str(tmp_path / "a.wav")]) == 2
    assert "--microphone" in capsys.readouterr().err

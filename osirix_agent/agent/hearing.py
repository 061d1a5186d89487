"""`osirix-agent say` by voice: what was heard is told to the running agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.agent.control import ask_agents
from osirix_agent.prompting.voice.listener import Listener
from osirix_agent.prompting.voice.microphone import Microphone
from osirix_agent.prompting.voice.sound import RATE_HZ, read_wav

Sound = tuple[npt.NDArray[np.int16], int]  # samples, rate in Hz


def say_sounds(listener: Listener, sounds: Iterator[Sound], tell: Callable[[dict[str, object]], object]) -> bool:
    """Each sound to the agent, one after the other; was the last one done?

    Raises
    ------
    ControlError
        No agent is running.
    VoiceError
        It is no sound.
    """
    done = False
    for pcm, rate_hz in sounds:
        names = ask_agents({"names": True})
        if not names.get("ok"):
            tell(names)
            return False
        heard = listener.hear(pcm, rate_hz, json.loads(str(names["message"])))
        answer: dict[str, object] = {"ok": False, "message": heard.why}
        if heard.text:
            answer = ask_agents({"say": heard.text, "heard": heard.confidence})
        done = bool(answer.get("ok"))
        tell({**answer, "heard": heard.text, "confidence": heard.confidence, "by": heard.by})
    return done


def from_file(path: Path) -> Iterator[Sound]:
    yield read_wav(path)


def from_microphone(microphone: Microphone, wait: Callable[[str], object]) -> Iterator[Sound]:
    """Push-to-talk in a terminal, until the end of its input.

    Parameters
    ----------
    wait : shows a text and waits for the Enter key (`input`)
    """
    while True:
        try:
            wait("Press Enter and speak (end of input leaves): ")
            microphone.press()
            wait("Listening; press Enter when you are done: ")
        except EOFError:
            microphone.release()
            return
        yield microphone.release(), RATE_HZ

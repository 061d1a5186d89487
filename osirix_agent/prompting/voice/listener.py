"""From a push-to-talk buffer to a sentence: the one entry to speech.

    listener = open_listener(settings)            # takes seconds; keep it
    heard = listener.hear(pcm, rate_hz, known)    # pcm: (n,) int16, one hold of the button; any thread
    if heard.text:                                # goes to the session like a typed sentence,
        Sentence(heard.text, heard.confidence)    #   which asks back what is doubtful and never guesses
    else:
        heard.why                                 # to be told: nothing heard, no command, not English, too long

`heard.intents` and `heard.questions` are what the text means, for showing it before it acts. `known` are the session's
structures (`Engine.names`). Nothing is sent anywhere, and nothing kept unless a study's setting says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from osirix_agent.prompting.command import Question, understand
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.voice.alike import SoundAlike
from osirix_agent.prompting.voice.commands import CommandRecogniser
from osirix_agent.prompting.voice.detection import quiet, spoken
from osirix_agent.prompting.voice.free import FreeRecogniser, open_free
from osirix_agent.prompting.voice.fusion import fused
from osirix_agent.prompting.voice.sound import LONGEST_S, samples_of, write_wav
from osirix_agent.prompting.voice.tuning import find_tuning
from osirix_agent.settings import Settings

MUTE = (
    "The microphone gives only zeros: it is muted, or the system does not let this program listen. On a Mac allow it "
    "under Privacy & Security > Microphone, and start it from the Terminal: what OsiriX starts hears nothing."
)
NOTHING = "Nothing was heard. Hold the button while you speak, and check the microphone."
TOO_LONG = f"That was longer than {LONGEST_S:g} seconds, so nothing was done. Hold the button for one sentence."


@dataclass(frozen=True)
class Heard:
    """What was heard in one hold of the button.

    Attributes
    ----------
    text : the sentence; "" where there is none to act on
    confidence : 0 to 1, for `Sentence.heard`; below `command.SURE` the session asks before it acts
    by : which recogniser the text is from; "both" where they mean the same
    why : what to tell her where there is no text
    intents, questions : what the text means
    """

    text: str = ""
    confidence: float = 0.0
    by: Literal["command", "free", "both", "none"] = "none"
    why: str = ""
    intents: tuple[Intent, ...] = field(default=(), repr=False)
    questions: tuple[Question, ...] = field(default=(), repr=False)


class Listener:
    """Turns speech into sentences.

    Parameters
    ----------
    free : FreeRecogniser or None
        Hears any sentence. None: only what the command recogniser expects is understood, and all of it is confirmed.
    keep : folder or None
        For studies: what was said is kept there as WAV files. None: nothing is kept.

    Raises
    ------
    VoiceError
        pocketsphinx is not installed.
    """

    def __init__(self, free: FreeRecogniser | None = None, *, keep: Path | None = None) -> None:
        self._commands, self._free, self._keep = CommandRecogniser(), free, keep
        self._alike = SoundAlike(self._commands.phones_of)
        self._one = threading.Lock()

    def hear(self, pcm: npt.NDArray[np.generic], rate_hz: int, known: Collection[str] = ()) -> Heard:
        """What was said in a buffer.

        Parameters
        ----------
        pcm : (n,) or (n, channels) int16, or floats in [-1, 1]
        known : names of the session's structures

        Raises
        ------
        VoiceError
            The buffer is no sound.
        """
        if len(pcm) > LONGEST_S * rate_hz:
            return Heard(why=TOO_LONG)
        if len(pcm) and not np.any(pcm):
            return Heard(why=MUTE)
        said = spoken(samples_of(pcm, rate_hz))
        if said is None:
            return Heard(why=NOTHING)
        if self._keep is not None:
            write_wav(self._keep / f"{time.time_ns()}.wav", said)
        with self._one, ThreadPoolExecutor(1) as beside:
            asked = None if self._free is None else beside.submit(self._free.hypotheses, said, known)
            guesses = self._commands.hypotheses(said, known)
            words = None if asked is None else asked.result()
            free = self._free
            again = tuple if free is None else (lambda: free.again(said, known))
            choice = fused(guesses, words, known, self._alike, again, quiet=quiet(said))
        if not choice.text:
            return Heard(why=choice.why)
        found = understand(choice.text, known, choice.confidence)
        return Heard(choice.text, choice.confidence, choice.by, "", found.intents, found.questions)


def open_listener(settings: Settings) -> Listener:
    """A listener as the settings have it.

    Raises
    ------
    VoiceError
        What it needs is not installed.
    ModelError
        `speech_model_dir` holds no speech model, or what was learnt about dictation is not as it was shipped.
    """
    folder = settings.speech_model_dir
    return Listener(None if folder is None else open_free(folder, find_tuning(settings)), keep=settings.keep_speech_dir)

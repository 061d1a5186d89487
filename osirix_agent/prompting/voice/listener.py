"""From a push-to-talk buffer to a sentence: the one entry to speech.

    listener = Listener(free=open_free(folder))      # seconds; keep it. `free` may be None: commands only
    heard = listener.hear(pcm, rate_hz, known)       # pcm: (n,) int16, one hold of the button; any thread, one at a time
    if heard.text:                                   # hand text and confidence to the session like a typed sentence:
        Sentence(heard.text, heard.confidence)       #   it asks back what is doubtful, never guesses
    else:
        heard.why                                    # what to tell her: nothing heard, no command, not English, too long

`heard.intents` and `heard.questions` are what the text means, for showing it before it acts. Nothing is kept or sent.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from osirix_agent.prompting.command import Question, understand
from osirix_agent.prompting.intent import Intent
from osirix_agent.prompting.voice.commands import CommandRecogniser
from osirix_agent.prompting.voice.detection import spoken
from osirix_agent.prompting.voice.free import FreeRecogniser
from osirix_agent.prompting.voice.fusion import fused
from osirix_agent.prompting.voice.sound import LONGEST_S, RATE_HZ, samples_of

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
        Hears any sentence. None: only what the command recogniser expects is understood.

    Raises
    ------
    VoiceError
        pocketsphinx is not installed.
    """

    def __init__(self, free: FreeRecogniser | None = None) -> None:
        self._commands, self._free = CommandRecogniser(), free
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
        said = spoken(samples_of(pcm, rate_hz))
        if said is None:
            return Heard(why=NOTHING)
        with self._one:
            guesses = self._commands.hypotheses(said, known)
            words = None if self._free is None else self._free.hypotheses(said, known)
        choice = fused(guesses, words, known)
        if not choice.text:
            return Heard(why=choice.why)
        found = understand(choice.text, known, choice.confidence)
        return Heard(choice.text, choice.confidence, choice.by, "", found.intents, found.questions)

"""The microphone of this machine, for push-to-talk in a terminal; the panel uses the browser's instead.

On a Mac the permission belongs to the program that was started first: an agent started from the Terminal is asked about
once, while anything that OsiriX starts (the buttons' scripts) hears silence and is not asked. So the agent is started
by the user.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import VoiceError
from osirix_agent.prompting.voice.sound import LONGEST_S, RATE_HZ


class Microphone:
    """One hold of the button at a time: `press`, then `release`.

    Raises
    ------
    VoiceError
        sounddevice or PortAudio is not installed.
    """

    def __init__(self) -> None:
        try:
            import sounddevice
        except ImportError:
            raise VoiceError("sounddevice is not installed.", "Run: pip install 'osirix-agent[voice]'") from None
        except OSError:  # the wheels for Linux do not carry it
            raise VoiceError("PortAudio is not installed.", "Install libportaudio2 (Debian: apt-get).") from None
        self._sounddevice: Any = sounddevice
        self._lock = threading.Lock()
        self._parts: list[npt.NDArray[np.int16]] = []
        self._stream: Any = None

    def press(self) -> None:
        """Begin to record; what goes beyond the longest hold is dropped.

        Raises
        ------
        VoiceError
            There is no microphone, or it is not to be had.
        """
        self._parts = []
        try:
            self._stream = self._sounddevice.InputStream(
                samplerate=RATE_HZ, channels=1, dtype="int16", callback=self._take
            )
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self._stream = None
            raise VoiceError(
                f"There is no microphone to be had ({type(error).__name__}).",
                "Plug one in, choose it in the system's settings, and allow this program to use it.",
            ) from None

    def release(self) -> npt.NDArray[np.int16]:
        """Stop; returns the samples, (n,) at 16 kHz. A hold that was too long comes back longer than may be heard."""
        if self._stream is not None:
            self._stream.stop()
            self._stream.close()
            self._stream = None
        with self._lock:
            return np.concatenate(self._parts) if self._parts else np.zeros(0, np.int16)

    def _take(self, frames: npt.NDArray[np.int16], *_: object) -> None:
        with self._lock:
            if sum(map(len, self._parts)) <= LONGEST_S * RATE_HZ:
                self._parts.append(frames[:, 0].copy())

"""Where in a recording somebody speaks: the voice activity detector of WebRTC, as pocketsphinx carries it."""

from __future__ import annotations

import numpy as np

from osirix_agent.prompting.voice.sound import RATE_HZ, Samples, as_int16

FRAME_S = 0.03
LEAST_SPOKEN_S = 0.18  # "no" is longer; a click of the mouse is not
_RUN, _OF = 4, 6  # so many voiced frames of so many: not a crackle
_MARGIN_S = 0.25
_QUIET = 10 ** (-60 / 20)  # root mean square below which nothing was said
_MODE = 2  # of 0 to 3, the strictest
_APART_DB = 30.0


def quiet(said: Samples) -> bool:
    """Do the pauses of what was said lie so far below its words that nobody else speaks?

    Synthetic voices: 47 to 59 dB apart alone, 19 to 28 in babble of 15 dB.
    """
    levels = 10 * np.log10(np.mean(_frames(said) ** 2, axis=1) + 1e-9)
    return bool(np.percentile(levels, 95) - np.percentile(levels, 8) > _APART_DB)


def _frames(samples: Samples) -> Samples:
    """(frames, samples of one): what is left over at the end is dropped."""
    size = int(FRAME_S * RATE_HZ)
    return samples[: len(samples) // size * size].reshape(-1, size)


def spoken(samples: Samples) -> Samples | None:
    """The stretch from the first to the last spoken word with a quarter of a second around it; None: nobody speaks."""
    from pocketsphinx import Vad

    frames = _frames(samples)
    if not len(frames) or float(np.sqrt(np.mean(frames**2, axis=1)).max()) < _QUIET:
        return None
    vad = Vad(_MODE, RATE_HZ, FRAME_S)
    voiced = np.array([vad.is_speech(as_int16(frame).tobytes()) for frame in frames])
    runs = np.convolve(voiced, np.ones(_OF), "same") >= _RUN
    held = np.flatnonzero(voiced & runs)
    if len(held) * FRAME_S < LEAST_SPOKEN_S:
        return None
    size, margin = frames.shape[1], int(_MARGIN_S * RATE_HZ)
    return samples[max(0, int(held[0]) * size - margin) : (int(held[-1]) + 1) * size + margin]

"""Sound as the recognisers take it: 16 kHz, mono, float32 in [-1, 1), a trace of noise in it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from osirix_agent.errors import VoiceError

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
LONGEST_S = 30.0  # of one hold of the button
_DITHER = 2.0**-13  # standard deviation; pocketsphinx fails on digital silence


def samples_of(pcm: npt.NDArray[np.generic], rate_hz: int) -> Samples:
    """Sound of any rate as the recognisers take it.

    Parameters
    ----------
    pcm : (n,) or (n, channels), int16 or floating point in [-1, 1]

    Raises
    ------
    VoiceError
        Another type, an impossible rate, or not a number in it.
    """
    sound = np.asarray(pcm)
    if sound.dtype != np.int16 and not np.issubdtype(sound.dtype, np.floating):
        raise VoiceError(f"Samples of type {sound.dtype} are no sound.", "Give 16-bit integers, or floats in [-1, 1].")
    if not 4_000 <= rate_hz <= 384_000 or sound.ndim not in (1, 2):
        raise VoiceError(f"That is no sound ({rate_hz} samples a second).", "Give 16 kHz mono, 16 bit.")
    level = sound.astype(np.float32) / (32768 if sound.dtype == np.int16 else 1)
    if not np.isfinite(level).all():
        raise VoiceError("There are samples in it that are no numbers.", "Check the program that recorded it.")
    mono = level if level.ndim == 1 else level.mean(1)
    if rate_hz != RATE_HZ and len(mono):
        step = int(np.gcd(rate_hz, RATE_HZ))
        mono = resample_poly(mono, RATE_HZ // step, rate_hz // step).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, _DITHER, len(mono))
    return np.clip(mono + noise, -1, 1 - 2**-15).astype(np.float32)


def as_int16(samples: Samples) -> npt.NDArray[np.int16]:
    return (samples * 32767).astype(np.int16)


def read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """Samples (n, channels) of a 16-bit PCM WAV file, and its rate in Hz.

    Raises
    ------
    VoiceError
        It cannot be read, or is of another kind.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise VoiceError(f"{path.name} has {8 * file.getsampwidth()} bits a sample.", "Save it with 16 bits.")
            held = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
            return held[: len(held) // file.getnchannels() * file.getnchannels()].reshape(
                -1, file.getnchannels()
            ), file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise VoiceError(
            f"{path.name} cannot be read as sound ({type(error).__name__}).", "Give a WAV file with 16-bit PCM."
        ) from None


def write_wav(path: Path, samples: Samples) -> None:
    """16-bit PCM, readable by its owner only; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(as_int16(samples).tobytes())
    path.chmod(0o600)

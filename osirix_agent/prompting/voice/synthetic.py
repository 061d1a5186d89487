"""Synthetic voices for the demo, the benchmark and the tests: sentences said in quiet and in babble. Nothing is kept.

The synthesisers are programs: Debian's packages `espeak-ng`, `flite`, `festival` with `festvox-us-slt-hts`; on a Mac
its own `say`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import VoiceError
from osirix_agent.prompting.voice.sound import RATE_HZ, Samples, read_wav, samples_of

_DEADLINE_S = 30.0
_AROUND_S = 0.3  # silence before and after what is said
BABBLERS = 6


@dataclass(frozen=True)
class Voice:
    """A synthetic voice; its command has {text} or {file}, and {wav}.

    Attributes
    ----------
    kind : how it makes speech
    needs : a file or folder without which it cannot
    """

    name: str
    kind: str
    command: tuple[str, ...]
    needs: Path | None = None

    @property
    def there(self) -> bool:
        return shutil.which(self.command[0]) is not None and (self.needs is None or self.needs.exists())


def _espeak(name: str) -> Voice:
    return Voice(f"espeak-ng {name}", "formants", ("espeak-ng", "-v", name, "-s", "150", "-w", "{wav}", "{text}"))


def _flite(name: str, kind: str) -> Voice:
    return Voice(f"flite {name}", kind, ("flite", "-voice", name, "-t", "{text}", "-o", "{wav}"))


_HTS = Path("/usr/share/festival/voices/us/cmu_us_slt_arctic_hts")
VOICES = (
    _espeak("en-us"), _espeak("en-us+f3"), _espeak("en-gb"), _espeak("en-gb-scotland"), _flite("kal16", "diphones"),
    _flite("slt", "statistical"), _flite("rms", "statistical"), _flite("awb", "statistical"),
    Voice("festival slt-hts", "hidden Markov model",
          ("text2wave", "-eval", "(voice_cmu_us_slt_arctic_hts)", "-o", "{wav}", "{file}"), _HTS),
    Voice("macOS Samantha", "neural",
          ("say", "-v", "Samantha", "-o", "{wav}", "--data-format=LEI16@16000", "{text}"), Path("/usr/bin/say")),
)  # fmt: skip
_CLEAREST = ("macOS Samantha", "flite slt", "flite rms", "festival slt-hts", "espeak-ng en-us")


def voices() -> list[Voice]:
    """The voices that this machine has."""
    return [voice for voice in VOICES if voice.there]


def clearest() -> Voice:
    """The voice that is understood best, of those that are there.

    Raises
    ------
    VoiceError
        There is none.
    """
    there = {voice.name: voice for voice in voices()}
    found = next((there[name] for name in _CLEAREST if name in there), None)
    if found is None:
        raise VoiceError("No speech synthesiser is installed.", "Install flite or espeak-ng (Debian: apt-get).")
    return found


def said_aloud(sentence: str) -> str:
    """A sentence as a reader says it: abbreviations letter by letter, units in words."""
    text = re.sub(r"(?<=\d)(?=[a-z])", " ", sentence)
    text = re.sub(r"\b(i?)(GTV|CTV|ITV|PTV|gtv|ctv|ptv|itv)([pn]?)\b",
                  lambda m: " ".join([*m[1], *m[2], *m[3]]).upper(), text)  # fmt: skip
    for short, whole in (("mm", "millimetres"), ("cm", "centimetres"), ("lt", "left"), ("rt", "right")):
        text = re.sub(rf"\b{short}\b", whole, text)
    return sides_said(text)


def sides_said(text: str) -> str:
    """A structure's name as it is said: `Parotid_L` is "Parotid left"."""
    return text.replace("_L", " left").replace("_R", " right").replace("_", " ")


def speak(voice: Voice, sentence: str) -> Samples:
    """What the voice says, 16 kHz, at a quarter of full scale.

    Raises
    ------
    VoiceError
        The synthesiser is not there or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        wav, file = Path(folder) / "said.wav", Path(folder) / "said.txt"
        text = said_aloud(sentence)
        file.write_text(text, encoding="utf-8")
        command = [part.format(text=text, wav=wav, file=file) for part in voice.command]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_DEADLINE_S)
            pcm, rate_hz = read_wav(wav)
        except (OSError, subprocess.SubprocessError):
            raise VoiceError(f"The voice {voice.name} does not speak.", "Install espeak-ng, flite, festival.") from None
    said = samples_of(pcm, rate_hz)
    around = np.zeros(int(_AROUND_S * RATE_HZ), np.float32)
    return np.concatenate([around, said * (0.25 / max(float(np.abs(said).max()), 1e-6)), around])


def babble(
    voices: Sequence[Voice], sentences: Sequence[str], seconds: float, seed: int, talkers: int = BABBLERS,
    say: Callable[[Voice, str], Samples] = speak,
) -> Samples:  # fmt: skip
    """Several voices talking at once, of root mean square 1."""
    random = np.random.default_rng(seed)
    size = int(seconds * RATE_HZ)
    mixed = np.zeros(size, np.float32)
    for _ in range(talkers):
        track = np.zeros(0, np.float32)
        while len(track) < size:
            voice, text = voices[int(random.integers(len(voices)))], sentences[int(random.integers(len(sentences)))]
            track = np.concatenate([track, say(voice, text)])
        mixed += np.roll(track, int(random.integers(len(track))))[:size]
    return (mixed / np.sqrt(np.mean(mixed**2))).astype(np.float32)


def in_noise(said: Samples, noise: Samples, snr_db: float, seed: int) -> Samples:
    """Speech with noise so many dB below it; both powers are those of what is not silence."""
    start = int(np.random.default_rng(seed).integers(max(1, len(noise) - len(said))))
    loud = said[np.abs(said) > 0.01 * np.abs(said).max()]
    level = float(np.sqrt(np.mean(loud**2))) * 10 ** (-snr_db / 20)
    mixed = said + level * np.resize(noise[start:], len(said))
    peak = float(np.abs(mixed).max())
    return (mixed * min(1.0, 0.9 / peak)).astype(np.float32)


def as_pcm(samples: Samples) -> npt.NDArray[np.int16]:
    """With dither, as a sound card gives it."""
    noise = np.random.default_rng(1).triangular(-1, 0, 1, len(samples))
    return np.clip(samples * 32767 + noise, -32768, 32767).astype(np.int16)

"""Speech: what is heard, what is not, and what may be made of it."""

import wave

import numpy as np
import pytest

from osirix_agent.errors import ModelError, VoiceError
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.intent import KINDS
from osirix_agent.prompting.voice import commands
from osirix_agent.prompting.voice.alike import SoundAlike, distance
from osirix_agent.prompting.voice.detection import quiet, spoken
from osirix_agent.prompting.voice.free import Hypothesis, Words, log_mel, open_free, own_words, prompt_of
from osirix_agent.prompting.voice.fusion import AGREED, ALONE, ALONE_SURE, NO_COMMAND, NO_VOICE, NOT_ENGLISH, fused
from osirix_agent.prompting.voice.listener import MUTE, NOTHING, TOO_LONG, Listener
from osirix_agent.prompting.voice.microphone import Microphone
from osirix_agent.prompting.voice.ngram import arpa
from osirix_agent.prompting.voice.sound import LONGEST_S, RATE_HZ, read_wav, samples_of, write_wav
from osirix_agent.prompting.voice.spoken import names_said, sentences
from osirix_agent.prompting.voice.synthetic import VOICES, as_pcm, babble, in_noise, said_aloud, speak

KNOWN = {"GTV", "GTVp", "node 4"}
TALKER, OTHER = (next(v for v in VOICES if v.name == name) for name in ("flite slt", "flite rms"))
needs_voices = pytest.mark.skipif(not (TALKER.there and OTHER.there), reason="flite is not installed")


def words(*texts: str, score: float = -0.1, english: float = 1.0, no_speech: float = 0.0) -> Words:
    return Words(tuple(Hypothesis(text, score) for text in texts), english, no_speech)


def guesses(*texts: str, score: float = 0.0) -> list[Hypothesis]:
    return [Hypothesis(text, score) for text in texts]


class Parrot:
    """A free recogniser that hears what it is told to."""

    def __init__(self, *texts: str, **how: float) -> None:
        self.said = words(*texts, **how)

    def hypotheses(self, samples, known):
        assert len(samples)
        return self.said

    def again(self, samples, known):
        return ()


@pytest.fixture(scope="module")
def listener():
    usual, commands.SENTENCES = commands.SENTENCES, 6000
    yield Listener()
    commands.SENTENCES = usual


def pcm(voice, sentence):
    return as_pcm(speak(voice, sentence))


# -- two recognisers, one sentence -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("guessed", "heard", "text", "confidence"),
    [
        (guesses("undo twice"), words("Undo twice."), "Undo twice.", AGREED),
        (guesses("um do", "undo twice"), words("Undo twice."), "Undo twice.", AGREED),
        (guesses("accept"), words("Except the trachea."), "Except the trachea.", ALONE),
        (guesses("exclude the trachea"), words("Include the trachea."), "Include the trachea.", ALONE),
        (guesses("eye thank"), words("Smooth the edges by 2 mm."), "Smooth the edges by 2 mm.", ALONE_SURE),
        (guesses("eye thank"), words("Smooth the edges by 2 mm.", score=-0.6), "Smooth the edges by 2 mm.", ALONE),
        (guesses("eye thank"), words("Crop to the body.", score=-1.2), "", 0),
        (guesses("grow by two mil"), words("Grow by to millimetres."), "Grow by two millimetres.", AGREED),
        (guesses("eye"), words("Explode the trachea."), "exclude the trachea.", ALONE),
        (guesses("exclude the trachea"), words("Explored a trachea, er"), "exclude the trachea", ALONE),
        ((), words("And lock the trachea.", score=-0.5), "unlock the trachea.", ALONE),
        ((), words("Go back to slices."), "Go back two slices.", ALONE),
        (
            guesses("undo"),
            words("We gave her three cycles."),
            "We gave her three cycles.",
            ALONE,
        ),  # and nothing is done
        (guesses("undo"), words("We gave her three cycles.", score=-1.2), "", 0),
        (guesses("accept", "undo"), None, "accept", ALONE),
        ((), words(""), "", 0),
    ],
)
def test_what_both_mean_is_acted_on_and_what_they_differ_on_is_asked_back(guessed, heard, text, confidence):
    choice = fused(guessed, heard, KNOWN)
    assert (choice.text, choice.confidence) == (text, confidence)
    found = understand(text, KNOWN, confidence) if text else None
    assert confidence != ALONE or not found.to_be_done
    assert confidence != AGREED or found.to_be_done


def test_surely_heard_by_one_is_not_enough_to_accept():
    choice = fused((), words("Accept the GTV."), KNOWN)
    assert choice.confidence == ALONE_SURE
    assert not understand(choice.text, KNOWN, choice.confidence).to_be_done


def test_a_misheard_word_is_the_one_that_sounds_like_it_and_fits():
    phones = {"mentally": "M EH N T AH L IY", "medially": "M IY D IY AH L IY", "gently": "JH EH N T L IY"}
    alike = SoundAlike(phones.get, ("medially", "gently", "grow"))
    assert [word for word, _ in alike.like("mentally")] == ["gently", "medially"]
    assert distance(("M", "IY"), ("M", "IY")) == 0
    choice = fused((), words("Shift it two millimetres mentally."), KNOWN, alike)
    assert (choice.text, choice.confidence) == ("Shift it two millimetres medially.", ALONE)


def test_a_likelier_hypothesis_with_one_word_to_mend_wins():
    heard = Words(
        (Hypothesis("Shift it two millimetres laterly.", -0.2), Hypothesis("Shift it two millimetres up.", -0.6))
    )
    assert fused((), heard, KNOWN).text == "Shift it two millimetres laterally."


def test_what_is_open_is_heard_again_in_the_dictations_own_words_and_asked_back():
    asked = []

    def again(*texts, score=-0.2):
        return lambda: asked.append(texts) or guesses(*texts, score=score)

    heard = words("Purple left edge in by one millimetre.")
    choice = fused((), heard, KNOWN, again=again("Pull the left edge in by one millimetre."))
    assert (choice.text, choice.confidence) == ("Pull the left edge in by one millimetre.", ALONE)
    assert not understand(choice.text, KNOWN, choice.confidence).to_be_done
    far = again("Accept it and undo it.", score=-0.5)
    assert fused((), words("What a day this was."), KNOWN, again=far).text == "What a day this was."
    assert len(asked) == 2
    assert fused((), words("Undo twice."), KNOWN, again=far).confidence == ALONE_SURE
    assert fused(guesses("undo"), words("Undo."), KNOWN, again=far).confidence == AGREED
    assert fused((), words("Bitte zurück.", english=0.1), KNOWN, again=far).why == NOT_ENGLISH
    assert fused((), words("Undo.", no_speech=0.9), KNOWN, again=far).why == NO_VOICE
    assert len(asked) == 2  # not where it is sure, nor where nobody said it in English


def test_in_noise_nothing_that_one_alone_heard_is_sure():
    heard = words("Nothing below slice forty five.")
    assert fused((), heard, KNOWN).confidence == ALONE_SURE
    assert fused((), heard, KNOWN, quiet=False).confidence == ALONE
    assert fused(guesses("undo twice"), words("Undo twice."), KNOWN, quiet=False).confidence == AGREED


def test_what_could_as_well_be_something_else_is_not_sure():
    def heard(gap):
        return Words((Hypothesis("Grow by three mm.", -0.2), Hypothesis("Grow by two mm.", -0.2 - gap)))

    assert fused((), heard(0.05), KNOWN).confidence == ALONE
    assert fused((), heard(0.3), KNOWN).confidence == ALONE_SURE
    alike = Words((Hypothesis("Grow by three mm.", -0.2), Hypothesis("Grow by 3 mm.", -0.2)))
    assert fused((), alike, KNOWN).confidence == ALONE_SURE


def test_noise_is_what_fills_the_pauses():
    random = np.random.default_rng(1)
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    said = (0.2 * np.sin(2 * np.pi * 300 * t) * (np.sin(2 * np.pi * 1.5 * t) > 0)).astype(np.float32)
    hiss = random.normal(0, 1, len(t)).astype(np.float32)
    assert quiet(said + 1e-3 * hiss)
    assert not quiet(said + 3e-2 * hiss)


def test_the_dictations_own_words_hold_the_sessions_names():
    own = own_words({"GTVp", "node 4"})
    assert {"superiorly", "Superiorly", "GTV", "GTVp", "node", "104", "oesophagus"} <= {*own}
    assert "purple" not in own


def test_why_nothing_was_understood_is_said():
    assert fused(guesses("cord"), words("Undo.", no_speech=0.9), KNOWN).why == NO_VOICE
    assert fused((), words("Rückgängig bitte.", english=0.1), KNOWN).why == NOT_ENGLISH
    assert fused((), words("What a day.", score=-1.2), KNOWN).why == NO_COMMAND
    assert fused((), None, KNOWN).why == NO_COMMAND


# -- what is expected ---------------------------------------------------------------------------------------------
def test_drawn_sentences_are_sayable_and_mostly_mean_something():
    drawn = [" ".join(s) for s in sentences(KNOWN, lambda word: word != "uncertainty", 400)]
    assert not any("uncertainty" in s for s in drawn)
    assert sum(bool(understand(s, KNOWN).intents) for s in drawn) > 150
    kinds = {one.kind for s in drawn for one in understand(s, KNOWN).intents}
    assert kinds == set(KINDS)


def test_names_as_they_are_said():
    said = names_said({"GTVp", "node 4", "PTV_70"})
    assert {"gtv p", "node four", "ptv seventy", "left parotid", "level two nodes on the right"} <= {*said}


def test_the_language_model_sums_to_one():
    text = arpa([["undo", "twice"], ["undo"], ["accept"]])
    ones = text.split("\\1-grams:\n")[1].split("\n\n")[0].splitlines()
    assert sum(10 ** float(line.split()[0]) for line in ones if "<s>" not in line) == pytest.approx(1, abs=1e-3)
    assert "-99.0 <s>" in text


def test_the_free_recogniser_is_told_the_names():
    assert "node 4" in prompt_of({"node 4"})
    assert prompt_of(()).startswith(" Grow")


# -- sound --------------------------------------------------------------------------------------------------------
def test_sound_of_any_rate_becomes_16_khz_with_dither():
    tone = np.sin(np.arange(44_100) * 2 * np.pi * 440 / 44_100)
    stereo = np.stack([tone, tone], axis=1)
    made = samples_of((stereo * 20_000).astype(np.int16), 44_100)
    assert abs(len(made) - RATE_HZ) <= 1
    spectrum = np.abs(np.fft.rfft(made))
    assert np.argmax(spectrum) == pytest.approx(440, abs=1)
    assert np.unique(samples_of(np.zeros(800, np.int16), RATE_HZ)).size > 100
    assert len(samples_of(np.zeros(0, np.int16), 44_100)) == 0


@pytest.mark.parametrize(
    ("sound", "rate_hz"),
    [
        (np.zeros(10, np.int32), RATE_HZ),
        (np.array([0.1, np.nan]), RATE_HZ),
        (np.zeros(10, np.int16), 0),
        (np.zeros((2, 2, 2), np.int16), RATE_HZ),
    ],
)
def test_what_is_no_sound_is_refused(sound, rate_hz):
    with pytest.raises(VoiceError):
        samples_of(sound, rate_hz)


def test_wav_files(tmp_path):
    write_wav(tmp_path / "one" / "a.wav", np.full(1600, 0.5, np.float32))
    pcm_, rate_hz = read_wav(tmp_path / "one" / "a.wav")
    assert (pcm_.shape, rate_hz, int(pcm_[0, 0])) == ((1600, 1), RATE_HZ, 16383)
    assert (tmp_path / "one" / "a.wav").stat().st_mode & 0o077 == 0
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with wave.open(str(tmp_path / "c.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 100)
    for name in ("a.wav", "b.wav", "c.wav"):
        with pytest.raises(VoiceError, match=r"WAV|16 bits"):
            read_wav(tmp_path / name)


def test_mel_bands_are_those_of_a_tone():
    tone = np.sin(np.arange(RATE_HZ) * 2 * np.pi * 1000 / RATE_HZ).astype(np.float32)
    mel = log_mel(tone, 80, 10.0)
    assert mel.shape == (80, 1000)
    assert log_mel(np.zeros(40 * RATE_HZ, np.float32), 80, 30.0).shape == (80, 3000)
    assert log_mel(tone, 80, 5.013).shape[1] % 2 == 0  # the encoder halves it
    assert np.argmax(mel[:, 50]) in (26, 27, 28)  # 1 kHz is mel 15 of 45.2 on Slaney's scale, over 81 steps
    assert mel.max() - mel.min() <= 2.0 + 1e-6  # 80 dB


# -- nobody speaks, or not as expected ----------------------------------------------------------------------------
def test_silence_a_click_and_a_hold_that_is_too_long(listener):
    random = np.random.default_rng(1)
    assert listener.hear(np.zeros(RATE_HZ, np.int16), RATE_HZ).why == MUTE
    assert listener.hear(np.zeros(0, np.int16), RATE_HZ).why == NOTHING
    hiss = random.normal(0, 15, 2 * RATE_HZ).astype(np.int16)
    assert listener.hear(hiss, RATE_HZ).why == NOTHING
    hiss[5000:5200] = 20_000
    assert listener.hear(hiss, RATE_HZ).why == NOTHING
    assert listener.hear(np.ones(int(600 * RATE_HZ), np.int16), RATE_HZ).why == TOO_LONG
    assert spoken(samples_of(np.ones(int(LONGEST_S), np.int16), RATE_HZ)) is None


def chord(seconds=3.0):
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    notes = sum(np.sin(2 * np.pi * hz * t) * (1 + np.sin(2 * np.pi * 3 * t)) for hz in (262, 330, 392, 523))
    return (notes * 3000).astype(np.int16)


def cough():
    t = np.arange(RATE_HZ) / RATE_HZ
    return (np.random.default_rng(2).normal(0, 9000, RATE_HZ) * np.exp(-t * 9)).clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("sound", [chord(), cough()], ids=["music", "cough"])
def test_what_is_no_speech_is_never_acted_on(listener, sound):
    heard = listener.hear(sound, RATE_HZ, KNOWN)
    assert not understand(heard.text, KNOWN, heard.confidence).to_be_done


@needs_voices
def test_two_people_talking_are_never_acted_on(listener):
    one, two = speak(TALKER, "accept the tumour"), speak(OTHER, "reject it and start again")
    size = max(len(one), len(two))
    both = sum(np.pad(s, (0, size - len(s))) for s in (one, two)).astype(np.float32)
    listener._free = Parrot("Accept it and start.")
    try:
        heard = listener.hear(as_pcm(both), RATE_HZ, KNOWN)
    finally:
        listener._free = None
    assert not understand(heard.text, KNOWN, heard.confidence).to_be_done


@needs_voices
def test_another_language_is_said_so(listener):
    listener._free = Parrot("Bitte mach das rückgängig.", english=0.02)
    try:
        heard = listener.hear(pcm(TALKER, "bitter mac dass rook gang ich"), RATE_HZ, KNOWN)
    finally:
        listener._free = None
    assert not understand(heard.text, KNOWN, heard.confidence).to_be_done


SAID = {
    "command": "hide the uncertainty",
    "contour": "contour the trachea",
    "here": "include this",
    "part": "exclude the trachea",
    "slab": "exclude everything above slice forty",
    "edit": "grow by three millimetres",
    "crop": "crop to the body",
    "fill": "fill between the slices",
    "copy": "copy to the next slice",
    "go": "go to slice one hundred and four",
    "rename": "call it PTV sixty",
    "reply": "yes",
}


@needs_voices
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_intent_from_speech(listener, kind):
    """The command recogniser alone: what it hears is right, and waits for a yes."""
    heard = listener.hear(pcm(TALKER, SAID[kind]), RATE_HZ, KNOWN)
    assert heard.intents == understand(SAID[kind], KNOWN).intents
    assert heard.by == "command"
    assert not understand(heard.text, KNOWN, heard.confidence).to_be_done


@needs_voices
def test_both_recognisers_and_a_study_that_keeps_the_sound(tmp_path):
    usual, commands.SENTENCES = commands.SENTENCES, 6000
    keeping = Listener(Parrot("Accept."), keep=tmp_path / "study")
    heard = keeping.hear(pcm(TALKER, "accept"), RATE_HZ, KNOWN)
    commands.SENTENCES = usual
    assert (heard.by, heard.confidence) == ("both", AGREED)
    (kept,) = (tmp_path / "study").iterdir()
    assert read_wav(kept)[1] == RATE_HZ


@needs_voices
def test_babble_is_as_loud_as_it_should_be():
    said = speak(TALKER, "undo")
    noise = babble([TALKER, OTHER], ["undo twice", "accept it"], 2.0, seed=1)
    mixed = in_noise(said, noise, 5.0, seed=1)
    scale = float(np.dot(mixed, said) / np.dot(said, said))
    rest = mixed / scale - said
    loud = said[np.abs(said) > 0.01 * np.abs(said).max()]
    ratio = 10 * np.log10(np.mean(loud**2) / np.mean(rest**2))
    assert ratio == pytest.approx(5, abs=1.5)
    assert said_aloud("Parotid_L, GTVp 3mm") == "Parotid left, G T V P 3 millimetres"


# -- microphone and models ----------------------------------------------------------------------------------------
class FakeSound:
    class PortAudioError(Exception):
        pass

    def __init__(self, there: bool) -> None:
        self.there = there

    def InputStream(self, *, samplerate, channels, dtype, callback):
        if not self.there:
            raise self.PortAudioError("no device")
        self.callback = callback
        return self

    def start(self):
        for _ in range(3):
            self.callback(np.full((160, 1), 7, np.int16), 160, None, None)

    def stop(self):
        pass

    def close(self):
        pass


def test_a_microphone_and_none(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", FakeSound(True))
    microphone = Microphone()
    microphone.press()
    assert microphone.release().tolist() == [7] * 480
    assert len(microphone.release()) == 480
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", FakeSound(False))
    with pytest.raises(VoiceError, match="no microphone"):
        Microphone().press()
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    with pytest.raises(VoiceError, match="osirix-agent\\[voice\\]"):
        Microphone()


def test_a_folder_without_a_speech_model(tmp_path):
    with pytest.raises(ModelError, match="no speech model"):
        open_free(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be used"):
        open_free(tmp_path)


def test_without_a_synthesiser_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VoiceError, match="does not speak"):
        speak(TALKER, "undo")

"""Tune Whisper to dictated contouring: LoRA on a frozen model, taught with synthetic speech in quiet and in babble.

Every sentence is said anew at each step, by a voice, speed and pitch drawn by chance. Its voices are none of those the
benchmark measures with, and what people wrote for it is none of what the benchmark says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import fftconvolve, resample_poly
from torch import Tensor, nn
from torch.nn import functional as F

from osirix_agent.errors import ModelError, SettingsError, VoiceError
from osirix_agent.model_folder import FORMAT
from osirix_agent.network.checkpoint import write_folder
from osirix_agent.prompting.voice.detection import spoken
from osirix_agent.prompting.voice.free import log_mel, prompt_of, window_s
from osirix_agent.prompting.voice.sound import RATE_HZ, Samples
from osirix_agent.prompting.voice.spoken import sentences as drawn_sentences
from osirix_agent.prompting.voice.synthetic import Voice, babble, in_noise, sides_said, speak
from osirix_agent.prompting.voice.tuning import DESCRIPTION, TuningDescription
from osirix_agent.prompting.voice.weights import LINEAR, Place, digest_of, places, read, variable_of
from osirix_agent.training.loop import first_process, run
from osirix_agent.training.step import Schedule

Speak = Callable[[Voice, str], Samples]

_START = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
_IGNORED = -100
_ENGLISH_ONLY = 51_864  # words of OpenAI's tokeniser for models of English alone
_NOTHING = Place(0, (0, 0), np.dtype(np.float16))
_LONGEST_S = 11.5
_TRACKS, _TRACK_S = 8, 15.0
# plain English, so that what is no dictation is not heard as some: the Harvard sentences (IEEE 1969), the first lists
PROSE = (
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.", "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.", "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.", "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.", "A large size in stockings is hard to sell.",
    "The boy was there when the sun rose.", "A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring.", "Kick the ball straight and follow through.",
    "Help the woman get back to her feet.", "A pot of tea helps to pass the evening.",
    "Smoky fires lack flame and heat.", "The soft cushion broke the man's fall.",
    "The salt breeze came across from the sea.", "The girl at the booth sold fifty bonds.",
    "The small pup gnawed a hole in the sock.", "The fish twisted and turned on the bent hook.",
    "Press the pants and sew a button on the vest.", "The swan dive was far short of perfect.",
    "The beauty of the view stunned the young boy.", "Two blue fish swam in the tank.",
    "Her purse was full of useless trash.", "The colt reared and threw the tall rider.",
    "It snowed, rained, and hailed the same morning.", "Read verse out loud for pleasure.",
    "Hoist the load to your left shoulder.", "Take the winding path to reach the lake.",
    "Note closely the size of the gas tank.", "Wipe the grease off his dirty face.",
    "Mend the coat before you go out.", "The wrist was badly strained and hung limp.",
    "The stray cat gave birth to kittens.", "The young girl gave no clear response.",
    "The meal was cooked before the bell rang.", "What joy there is in living.",
)  # fmt: skip
# names of sessions, for what Whisper is told beforehand
_NAMES = ("GTV", "GTVp", "GTVn", "CTV", "PTV_70", "Parotid_L", "Parotid_R", "SpinalCord", "Brainstem", "Larynx",
          "Esophagus", "Bone_Mandible", "Lung_L", "Heart", "Bladder", "Rectum", "node 4", "boost")  # fmt: skip


def _mbrola(name: str) -> Voice:
    folder = Path("/usr/share/mbrola") / name.removeprefix("mb-").removesuffix("-en")
    return Voice(f"mbrola {name}", "diphones", ("espeak-ng", "-v", name, "-w", "{wav}", "{text}"), folder)


TUTORS = (
    *(Voice(f"pico {name}", "hidden Markov model", ("pico2wave", "-l", name, "-w", "{wav}", "{text}"))
      for name in ("en-US", "en-GB")),
    *(_mbrola(f"mb-{name}") for name in ("us1", "us3", "en1")),
    *(_mbrola(f"mb-{name}-en")
      for name in ("de2", "de4", "de5", "fr1", "fr4", "nl2", "sw1", "sw2", "pl1", "af1", "hu1")),
)  # fmt: skip
_USUAL = 5  # the first of them speak half of all sentences more than the others, who have a foreign accent
FEWEST = 4


class DictationRecipe(Schedule):
    """Everything that decides the changes, stored beside them.

    Attributes
    ----------
    strength : share of the changes that is used (`TuningDescription`)
    rank, alpha : of the low-rank factors of every linear layer
    sentences : said a step
    written, tables, prose : share of sentences written by people; drawn from the grammar's tables; of other matters
    quiet : share of what is said in quiet
    snr_db : between which babble lies below the speech
    hum, hum_db : share with a steady noise, and between which it lies below
    room : share that sounds as in a room
    speed : factors between which sound is played faster or slower, which changes its pitch
    words_a_minute, pitch : of the voices that have them (espeak's scale)
    shortest_s, pause_s : Whisper hears windows at least so long, and so much longer than what is said
    """

    steps: int = 1_200
    learning_rate: float = 6e-4
    warm_up: int = 30
    cool_down: int = 450
    weight_decay: float = 0.0
    average: float = 0.98
    strength: float = 0.5
    rank: int = 16
    alpha: int = 32
    sentences: int = 8
    written: float = 0.6
    tables: float = 0.3
    prose: float = 0.1
    quiet: float = 0.3
    snr_db: tuple[float, float] = (0.0, 20.0)
    hum: float = 0.2
    hum_db: tuple[float, float] = (5.0, 30.0)
    room: float = 0.3
    speed: tuple[float, float] = (0.9, 1.12)
    words_a_minute: tuple[int, int] = (130, 185)
    pitch: tuple[int, int] = (30, 70)
    shortest_s: float = 5.0
    pause_s: float = 1.0


@dataclass(frozen=True, eq=False)
class Whisper:
    """A model to be tuned.

    Attributes
    ----------
    base : digest of its weights
    bands : of its spectrogram
    """

    network: Any
    tokens: Any
    base: str
    bands: int


def load_whisper(folder: Path) -> Whisper:
    """Whisper in CTranslate2's format as a model of `transformers`, float32.

    Raises
    ------
    ModelError
        The folder holds no such model.
    SettingsError
        It knows English only, or is quantised.
    """
    from tokenizers import Tokenizer
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    try:
        content = (folder / "model.bin").read_bytes()
        tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises plain exceptions
        raise ModelError(
            f"The speech model cannot be used ({type(error).__name__}).",
            "Give a folder with model.bin, tokenizer.json.",
        ) from None
    known = places(content)
    vocabulary, size = known.get("decoder/embeddings/weight", _NOTHING).shape
    weight = known.get("encoder/layer_0/ffn/linear_0/weight")
    whole = weight is not None and np.issubdtype(weight.dtype, np.floating)
    if not whole or vocabulary == _ENGLISH_ONLY or tokens.token_to_id("<|en|>") is None:
        raise SettingsError("That speech model cannot be tuned.", "Give a multilingual one in half or full precision.")

    def of(name: str) -> Tensor:
        return torch.from_numpy(np.array(read(content, known[name]), np.float32))

    def layers(part: str) -> int:
        return sum(name.startswith(part) and name.endswith("ffn/linear_0/weight") for name in known)

    def places_in(part: str) -> int:
        return known[f"{part}/position_encodings/encodings"].shape[0]

    wide, bands = known["encoder/layer_0/ffn/linear_0/weight"].shape[0], known["encoder/conv1/weight"].shape[1]
    heads = int(read(content, known["encoder/num_heads"]).item())
    config = WhisperConfig(
        vocab_size=vocabulary, d_model=size, encoder_layers=layers("encoder"), decoder_layers=layers("decoder"),
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=wide,
        decoder_ffn_dim=wide, num_mel_bins=bands, max_source_positions=places_in("encoder"),
        max_target_positions=places_in("decoder"), pad_token_id=None,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config)
    state = {"model.decoder.embed_tokens.weight": of("decoder/embeddings/weight")}
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    norms = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}
    for part in ("encoder", "decoder"):
        state[f"model.{part}.embed_positions.weight"] = of(f"{part}/position_encodings/encodings")
        for name, there in (("weight", "gamma"), ("bias", "beta")):
            state[f"model.{part}.layer_norm.{name}"] = of(f"{part}/layer_norm/{there}")
        for n in range(layers(part)):
            inside = f"model.{part}.layers.{n}"
            here = norms | ({"encoder_attn_layer_norm": "attention/layer_norm"} if part == "decoder" else {})
            for norm, held in here.items():
                for name, there in (("weight", "gamma"), ("bias", "beta")):
                    state[f"{inside}.{norm}.{name}"] = of(f"{part}/layer_{n}/{held}/{there}")
            for layer in LINEAR:
                if part == "encoder" and layer.startswith("encoder_attn"):
                    continue
                variable, place, parts = variable_of(f"{inside}.{layer}")
                state[f"{inside}.{layer}.weight"] = of(f"{variable}/weight").chunk(parts)[place]
                if not layer.endswith("k_proj"):  # has none; CTranslate2 writes zeros
                    state[f"{inside}.{layer}.bias"] = of(f"{variable}/bias").chunk(parts)[place]
    for name in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            state[f"model.encoder.{name}.{kind}"] = of(f"encoder/{name}/{kind}")
    network.load_state_dict(state)
    return Whisper(network, tokens, digest_of(content, known), int(bands))


def heard_by(network: Any, mel: Tensor) -> Tensor:
    """(n, positions, size) what the encoder makes of windows of any length; mel (n, bands, frames)."""
    encoder = network.model.encoder
    x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).transpose(1, 2)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    for layer in encoder.layers:
        found = layer(x, attention_mask=None)
        x = found[0] if isinstance(found, tuple) else found
    return torch.as_tensor(encoder.layer_norm(x))


def written(sentence: str) -> str:
    """A sentence as Whisper is to write it."""
    text = re.sub(r"(?<=\d)(?=(?:mm|cm)\b)", " ", " ".join(sides_said(sentence).split()))
    text = re.sub(r"\b(?:i?gtv|ctv|itv|ptv)(?=[pn]?\b)", lambda found: found[0].upper(), text)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def varied(said: Samples, noise: Sequence[Samples], recipe: DictationRecipe, random: np.random.Generator) -> Samples:
    """What was said, as another room, microphone and hour might have it."""
    factor = random.uniform(*recipe.speed)
    sound = resample_poly(said, 100, round(100 * factor)).astype(np.float32)
    if random.random() < recipe.room:
        tail = random.uniform(0.05, 0.35)
        echo = random.standard_normal(int(tail * RATE_HZ)) * np.exp(-6.9 * np.linspace(0, 1, int(tail * RATE_HZ)))
        echo *= random.uniform(0.05, 0.4) / np.sqrt(np.sum(echo**2))
        echo[0] = 1.0
        sound = fftconvolve(sound, echo)[: len(sound) + RATE_HZ // 5].astype(np.float32)
    tilt = random.uniform(-0.5, 0.5)  # darker or brighter
    sound = (sound + tilt * np.concatenate([sound[:1], sound[:-1]])).astype(np.float32)
    seed = int(random.integers(1 << 31))
    if random.random() < recipe.hum:
        colour = np.cumsum(random.standard_normal(2 * RATE_HZ)).astype(np.float32)
        steady = np.diff(colour - np.linspace(0, colour[-1], len(colour)), prepend=0) + 0.02 * colour
        steady = (steady / np.sqrt(np.mean(steady**2))).astype(np.float32)
        sound = in_noise(sound, steady, random.uniform(*recipe.hum_db), seed)
    if random.random() >= recipe.quiet:
        sound = in_noise(sound, noise[int(random.integers(len(noise)))], random.uniform(*recipe.snr_db), seed)
    level = random.uniform(0.05, 0.9) / max(float(np.abs(sound).max()), 1e-6)
    sound = (sound * level + random.normal(0, 2.0**-13, len(sound))).astype(np.float32)
    stretch = spoken(sound)
    return sound if stretch is None or random.random() < 0.3 else stretch


def _another(voice: Voice, recipe: DictationRecipe, random: np.random.Generator) -> Voice:
    """The voice at another speed and pitch, where it has them."""
    if voice.command[0] != "espeak-ng":
        return voice
    speed, pitch = (str(int(random.integers(a, b + 1))) for a, b in (recipe.words_a_minute, recipe.pitch))
    return Voice(voice.name, voice.kind, (*voice.command[:3], "-s", speed, "-p", pitch, *voice.command[3:]))


def train_dictation(
    recipe: DictationRecipe, folder: Path, sentences: Sequence[str], work: Path, out: Path, version: str,
    tutors: Sequence[Voice] | None = None, say: Speak = speak,
) -> None:  # fmt: skip
    """Train, or go on where `work` says training stopped, and write the folder `out`.

    Parameters
    ----------
    folder : Whisper in CTranslate2's format
    sentences : written by people
    tutors : voices; None: those of TUTORS that this machine has

    Raises
    ------
    VoiceError
        Too few voices are there.
    """
    there = [v for v in TUTORS if v.there] if tutors is None else list(tutors)
    if len(there) < FEWEST:
        raise VoiceError(
            f"Only {len(there)} of the voices that teach are installed: {FEWEST} are needed.",
            "Install espeak-ng, libttspico-utils, mbrola and its voices (Debian: apt-get, section non-free).",
        )
    whisper = load_whisper(folder)
    torch.manual_seed(recipe.seed)
    factors = tuned_layers(whisper.network, recipe)
    begin = np.random.default_rng([recipe.seed, 1])
    tables = [" ".join(words) for words in drawn_sentences(_NAMES, lambda _: True, 20_000, recipe.seed)]
    some = [sentences[int(n)] for n in begin.integers(len(sentences), size=60)] + list(PROSE)
    noise = [babble(there, some, _TRACK_S, recipe.seed + n, int(begin.integers(1, 8)), say) for n in range(_TRACKS)]
    kinds: tuple[tuple[float, Sequence[str]], ...] = (
        (recipe.written, sentences), (recipe.tables, tables), (recipe.prose, PROSE)
    )  # fmt: skip

    def turn(_step: int, random: np.random.Generator, device: torch.device) -> dict[str, Tensor]:
        network = whisper.network.to(device)
        texts: list[str] = []
        sounds: list[Samples] = []
        while len(sounds) < recipe.sentences:
            kind = int(random.choice(len(kinds), p=[share for share, _ in kinds]))
            text = kinds[kind][1][int(random.integers(len(kinds[kind][1])))]
            usual = random.random() < 0.5 and len(there) > _USUAL
            voice = there[int(random.integers(_USUAL if usual else len(there)))]
            sound = varied(say(_another(voice, recipe, random), text), noise, recipe, random)
            if len(sound) < _LONGEST_S * RATE_HZ:
                texts.append(text)
                sounds.append(sound)
        names = [n for n in _NAMES if random.random() < 0.25]
        seconds = window_s(max(sounds, key=len), recipe.shortest_s, recipe.pause_s)
        mel = np.stack([log_mel(sound, whisper.bands, seconds) for sound in sounds])
        given, wanted = _tokens(whisper.tokens, texts, names)
        encoded = heard_by(network, torch.from_numpy(mel).to(device))
        hidden = network.model.decoder(input_ids=given.to(device), encoder_hidden_states=encoded, use_cache=False)
        asked = wanted != _IGNORED
        logits = network.proj_out(hidden.last_hidden_state[asked.to(device)])
        return {"words": F.cross_entropy(logits.float(), wanted[asked].to(device))}

    averaged = run(recipe, factors, list(factors.parameters()), turn, work)
    if first_process():
        write_dictation(out, averaged, recipe, whisper.base, version)


def tuned_layers(network: Any, recipe: DictationRecipe) -> nn.ParameterDict:
    """Low-rank factors beside the frozen weights, in place; returns them by name."""
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(False)
    inject_adapter_in_model(
        LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=[part.rpartition(".")[2] for part in LINEAR]),
        network,
    )
    return nn.ParameterDict({n.replace(".", "/"): p for n, p in network.named_parameters() if "lora_" in n})


def _tokens(tokens: Any, texts: Sequence[str], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """What the decoder is given and what it should say at each place, padded; (n, length) each."""
    before = [tokens.token_to_id("<|startofprev|>"), *tokens.encode(prompt_of(names), add_special_tokens=False).ids]
    start, end = [tokens.token_to_id(one) for one in _START], tokens.token_to_id("<|endoftext|>")
    said = [tokens.encode(f" {written(text)}", add_special_tokens=False).ids for text in texts]
    length = max(map(len, said)) + 1
    given = torch.full((len(texts), len(before) + len(start) + length - 1), end)
    wanted = torch.full(given.shape, _IGNORED)
    for n, ids in enumerate(said):
        given[n, : len(before) + len(start) + len(ids)] = torch.tensor([*before, *start, *ids])
        at = len(before) + len(start) - 1
        wanted[n, at : at + len(ids) + 1] = torch.tensor([*ids, end])
    return given, wanted


def write_dictation(out: Path, averaged: dict[str, Tensor], recipe: DictationRecipe, base: str, version: str) -> None:
    """Write the folder; factors are named LAYER.lora_A and LAYER.lora_B, as `voice/weights.py` reads them."""
    description = TuningDescription(
        format=FORMAT, name="dictation", version=version, licence="Apache-2.0", base=base, rank=recipe.rank,
        alpha=recipe.alpha, strength=recipe.strength, shortest_s=recipe.shortest_s, pause_s=recipe.pause_s,
    )  # fmt: skip
    tensors = {n.replace("/", ".").removesuffix(".default.weight"): value for n, value in averaged.items()}
    write_folder(out, tensors, DESCRIPTION, description, recipe.model_dump())

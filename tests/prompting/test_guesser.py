"""What the grammar does not understand is guessed from sentences: only from what was read, and never done unasked."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osirix_agent.bench.sentences import KNOWN, PARAPHRASES, read_sentences
from osirix_agent.errors import ModelError
from osirix_agent.model_folder import FORMAT, write_sums
from osirix_agent.network.chooser import LanguageModelChooser
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.guesser import (
    DESCRIPTION,
    FOLDER,
    Chooser,
    Guesser,
    GuesserDescription,
    else_guessed,
    find_guesser,
    load_guesser,
)
from osirix_agent.prompting.guessing import KINDS, NOTHING, features, kind_of, made, reading
from osirix_agent.prompting.intent import Command, Contour, Copy, Crop, Edit, Go, Here, Part, Slab
from osirix_agent.prompting.meanings import LEAST_MM, MOST_MM
from osirix_agent.prompting.prompt import Polarity
from osirix_agent.settings import Settings
from tests.agent.test_dictation import say
from tests.agent.test_session_in_viewer import click
from tests.tiny_language import write_language_model

TAUGHT = {"embiggen": "grow", "skinny": "shrink", "yeet": "reject", "scribble": "contour", "weather": NOTHING}
DENIED = ("don't accept", "never lock the cord", "we shouldn't reject it", "do not exclude the trachea",
          "don't remove anything above slice 40", "stop, don't shrink the cord by 2 mm", "I can't accept this contour",
          "no need to smooth it by 2 mm", "it need not be cropped to the body", "did you accept the GTV",
          "who locked the cord", "under no circumstances accept the GTV")  # fmt: skip
IN, OUT = Polarity.INCLUDE, Polarity.EXCLUDE


def described(**changes: object) -> GuesserDescription:
    values = {"format": FORMAT, "name": "guesses", "version": "1", "licence": "none", "least": 0.3, "surely": 0.8,
              "kinds": KINDS, "features": tuple(TAUGHT), **changes}  # fmt: skip
    return GuesserDescription.model_validate(values)


def learnt() -> np.ndarray:
    weights = np.zeros((len(TAUGHT), len(KINDS)), np.float16)
    for row, kind in enumerate(TAUGHT.values()):
        weights[row, KINDS.index(kind)] = 12
    return weights


def by_words() -> Guesser:
    """Knows five words, and nothing else."""
    return Guesser(described(), learnt(), np.zeros(len(KINDS)))


def write_guesses(folder: Path, **changes: object) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    (folder / DESCRIPTION).write_text(described(**changes).model_dump_json())
    save_file({"weights": learnt(), "bias": np.zeros(len(KINDS), np.float16)}, folder / "weights.safetensors")
    write_sums(folder)
    return folder


@pytest.fixture(params=["guesser", "shipped", "language model"])
def chooser(request, tmp_path) -> Chooser:
    make: dict[str, Callable[[], Chooser]] = {
        "guesser": by_words,
        "shipped": lambda: find_guesser(Settings()),
        "language model": lambda: LanguageModelChooser(write_language_model(tmp_path)),
    }
    return make[request.param]()


# -- every chooser -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "sentence",
    ["embiggen it by three millimetres at the back", "skinny the cord by 2 mm", "yeet it", "fattening 4 mm up top",
     "the weather is fine", "", "???", "wort " * 60, "42", "Wort über Größe", "embiggen 9000 mm", "a\x00b\n"],
)  # fmt: skip
def test_a_chooser_makes_up_no_amount_name_or_slice(chooser, sentence):
    chosen = chooser.choose(sentence, KNOWN)
    assert chosen == chooser.choose(sentence, KNOWN)
    read = reading(sentence, KNOWN)
    for one in chosen:
        assert not isinstance(one, Edit) or one.mm in read.amounts
        assert not isinstance(one, Edit) or LEAST_MM <= one.mm <= MOST_MM[one.how]
        assert not isinstance(one, Slab | Go) or one.slice in (None, *read.slices)
        assert {getattr(one, slot, None) for slot in ("structure", "part", "to")} <= {*read.names, *read.besides, None}


def test_what_is_chosen_waits_for_a_yes(chooser):
    for name in ("fourteenth", "sixteenth", "thirtieth"):
        for sentence in read_sentences(PARAPHRASES[name])[::7]:
            alone = understand(sentence.say, KNOWN)
            found = else_guessed(alone, chooser, KNOWN)
            assert found.to_be_done == alone.to_be_done
            assert alone.questions or found is alone


# -- what is read ------------------------------------------------------------------------------------------------
def test_what_an_order_could_be_about_is_read():
    read = reading("um, 3 mm, no, 4 mm at the back of the left parotid please", KNOWN)
    assert read.amounts == (4.0,)
    assert read.edges + read.ways == ("posterior",)
    assert read.names == ("Parotid_L",)
    assert "<amount>" in read.words
    assert {"<amount>", "#amounts 1"} <= {*features(read)}
    assert reading("a bit more on the left", KNOWN).open
    assert reading("the kidney", KNOWN).open  # left or right?
    assert reading("slice three and a half", KNOWN).open or not reading("slice three and a half", KNOWN).slices


@pytest.mark.parametrize(
    ("kind", "sentence", "order"),
    [
        ("grow", "the GTV 3 mm to the left", (Edit("grow", 3, ("left",), "GTV"),)),
        ("grow", "GTV and GTVp 3 mm", (Edit("grow", 3, (), "GTV"), Edit("grow", 3, (), "GTVp"))),
        ("shrink", "bottom edge up 3 mm", (Edit("shrink", 3, ("inferior",)),)),
        ("shift", "3 mm", None),
        ("smooth", "12 mm", None),  # at most 10
        ("grow", "80 mm", None),
        ("grow but", "5 mm all round, 2 mm at the back", (Edit("grow", 5, (), None, (("posterior", 2.0),)),)),
        ("grow except", "5 mm bar the back",
         (Edit("grow", 5, ("superior", "inferior", "left", "right", "anterior")),)),
        ("exclude the part of the last", "trachea, cord, GTV",
         (Part(OUT, "Trachea", "GTV"), Part(OUT, "SpinalCord", "GTV"))),
        ("include the part of the first", "GTV, trachea", (Part(IN, "Trachea", "GTV"),)),
        ("exclude the part", "the trachea", (Part(OUT, "Trachea"),)),
        ("slab keep", "whatever is below slice 40", (Slab("keep", "below", 40),)),
        ("slab exclude", "higher up than this slice", (Slab("exclude", "above"),)),
        ("slab exclude", "to the left of this slice", None),
        ("slab exclude", "superior to slice 12 of the GTV", (Slab("exclude", "above", 12, "GTV"),)),
        ("include here", "this point", (Here(IN),)),
        ("exclude here of it", "this point and the GTV", (Here(OUT, "GTV"),)),
        ("contour", "larynx and trachea", (Contour("Larynx"), Contour("Trachea"))),
        ("undo", "the last three steps", (Command("undo", None, 3),)),
        ("use", "larynx", (Command("use", "Larynx"),)),
        ("use", "it", None),
        ("next", "the GTV", None),
        ("lock", "the GTV", (Command("lock", "GTV"),)),
        ("lock", "the GTV by 3 mm", None),  # an amount would be left over
        ("lock", "slice 40", None),
        ("copy", "the slice above", (Copy("above"),)),
        ("crop", "GTV, body", (Crop("Body", "GTV"),)),
        ("go to", "slice 40", (Go(40),)),
        ("go back", "two slices", (Go(step=-2),)),
        (NOTHING, "3 mm", None),
    ],
)  # fmt: skip
def test_an_order_is_made_of_what_was_read_or_not_at_all(kind, sentence, order):
    assert made(kind, reading(sentence, KNOWN)) == order


def test_every_kind_is_taught_by_some_sentence():
    found = set()
    for path in PARAPHRASES.values():
        for sentence in read_sentences(path):
            found.add(kind_of(sentence.intents, reading(sentence.say, KNOWN)))
    assert found - {None} == set(KINDS)


# -- the choice --------------------------------------------------------------------------------------------------
def test_a_remark_or_a_second_order_beside_it_is_parted_off():
    guesser = by_words()
    assert guesser.choose("embiggen the GTV by 3 mm", KNOWN) == (Edit("grow", 3, (), "GTV"),)
    assert guesser.choose("the weather is lovely, embiggen it by 3 mm", KNOWN) == (Edit("grow", 3),)
    both = guesser.choose("skinny it by 2 mm and then yeet it", KNOWN)
    assert both == (Edit("shrink", 2), Command("reject"))
    assert guesser.choose("the weather is lovely", KNOWN) == ()
    assert guesser.choose("words that were never taught", KNOWN) == ()  # nothing is likelier than anything else


def test_what_is_not_to_be_done_is_not_offered():
    shipped = find_guesser(Settings())
    assert shipped is not None
    for sentence in DENIED:
        assert else_guessed(understand(sentence, KNOWN), shipped, KNOWN).questions, sentence
    assert shipped.choose("I don't want any trachea in the GTV", KNOWN) == (Part(OUT, "Trachea", "GTV"),)


def test_where_the_grammar_knows_what_is_missing_it_asks():
    guesser = by_words()
    for sentence in ("grow by 80 mm", "grow the GTV", "contour the kidney", "lock the cord"):
        found = understand(sentence, KNOWN)
        assert else_guessed(found, guesser, KNOWN) is found
    found = understand("embiggen the GTV by 3 mm", KNOWN)
    assert found.questions
    guessed = else_guessed(found, guesser, KNOWN)
    assert guessed.intents == guessed.doubtful == (Edit("grow", 3, (), "GTV"),)
    assert else_guessed(found, None, KNOWN) is found


def test_yes_does_it_and_no_does_not(practice):
    practice.engine._dictation._chooser = by_words()
    click(practice)
    before = practice.mask().sum()
    done, what = say(practice, "embiggen it by 4 mm")
    assert not done
    assert "Did you mean: grow 4 mm?" in what
    assert practice.mask().sum() == before
    assert not say(practice, "no")[0]
    assert not say(practice, "yes")[0]  # nothing is asked any more
    assert practice.mask().sum() == before
    say(practice, "embiggen it by 4 mm")
    assert say(practice, "yes")[0]
    assert practice.mask().sum() > before
    practice.do("undo")
    assert practice.mask().sum() == before


# -- its folder --------------------------------------------------------------------------------------------------
def test_it_is_read_from_a_folder_of_the_site_or_turned_off(tmp_path):
    write_guesses(tmp_path / "models" / FOLDER)
    own = find_guesser(Settings(model_dir=tmp_path / "models"))
    assert own is not None
    assert own.choose("yeet it", KNOWN) == (Command("reject"),)
    assert find_guesser(Settings(model_dir=tmp_path / "models", guess_orders=False)) is None


def test_without_the_package_that_reads_it_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert find_guesser(Settings()) is None


def test_what_was_altered_is_newer_or_does_not_fit_is_refused(tmp_path):
    folder = write_guesses(tmp_path / "a")
    raw = bytearray((folder / "weights.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(raw)
    with pytest.raises(ModelError, match="not the one that was shipped"):
        load_guesser(folder)
    with pytest.raises(ModelError, match="format 9"):
        load_guesser(write_guesses(tmp_path / "b", format=9))
    with pytest.raises(ModelError, match="does not fit"):
        load_guesser(write_guesses(tmp_path / "c", features=("one",)))
    with pytest.raises(ModelError, match="does not fit"):
        load_guesser(write_guesses(tmp_path / "d", kinds=(*KINDS[:-1], "make tea")))
    torn = write_guesses(tmp_path / "e")
    (torn / "weights.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{")
    write_sums(torn)
    with pytest.raises(ModelError, match="cannot be read"):
        load_guesser(torn)

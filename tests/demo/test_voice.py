"""From spoken sound to ROIs: the demo's main job on a real patient, and every intent by the same path."""

import json

import numpy as np
import pytest

from osirix_agent.cli import main
from osirix_agent.prompting.intent import KINDS
from osirix_agent.prompting.voice import commands
from osirix_agent.prompting.voice.listener import Listener
from osirix_agent.prompting.voice.sound import RATE_HZ
from osirix_agent.prompting.voice.synthetic import VOICES, as_pcm, speak
from tests.agent.test_dictation import SliceBySlice, say
from tests.agent.test_session_in_viewer import click

TALKER = next(voice for voice in VOICES if voice.name == "flite slt")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TALKER.there, reason="flite is not installed (apt-get install flite)"),
]


@pytest.fixture(scope="module")
def listener():
    usual, commands.SENTENCES = commands.SENTENCES, 6000
    yield Listener()
    commands.SENTENCES = usual


def say_aloud(practice, listener, sentence: str) -> None:
    """Say it, and yes where it is asked back: without a free recogniser everything is."""
    for spoken in (sentence, "yes"):
        heard = listener.hear(as_pcm(speak(TALKER, spoken)), RATE_HZ, practice.engine.names())
        done, what = say(practice, heard.text, heard.confidence)
        if done:
            return
        assert "Did you mean" in what, f"{spoken!r} was heard as {heard.text!r}: {what}"
    raise AssertionError(f"{sentence!r} was never done")


@pytest.fixture
def aloud(practice, listener):
    return lambda sentence: say_aloud(practice, listener, sentence)


def overlapping(practice) -> np.ndarray:
    """The GTV grown over a trachea, and active."""
    click(practice, (40.5, 20.5), name="Trachea")
    click(practice, name="GTV")
    assert say(practice, "grow the GTV by 1 cm")[0]
    assert (practice.mask() & practice.mask("Trachea")).any()
    return practice.mask("Trachea")


def test_command(practice, aloud):
    click(practice)
    aloud("undo the last step")
    assert practice.names() == []


def test_contour(practice, aloud):
    aloud("contour the trachea")
    assert practice.engine.session.state.active == "Trachea"


def test_here(practice, aloud):
    click(practice)
    click(practice, (31.5, 21.5))  # in the proposal: excluded
    aloud("include this")
    assert practice.mask()[6, 21, 31]


def test_part(practice, aloud):
    trachea = overlapping(practice)
    aloud("exclude the trachea")
    assert not (practice.mask() & trachea).any()


def test_slab(practice, aloud):
    click(practice)
    practice.hospital.window.index = 6
    practice.settle()
    aloud("exclude everything above this slice")
    assert practice.mask()[6].any()
    assert not practice.mask()[7:].any()


def test_edit(practice, aloud):
    click(practice)
    before = practice.mask()
    aloud("grow by three millimetres")
    assert practice.mask().sum() > before.sum()
    assert (practice.mask() >= before).all()
    assert practice.drafts()


def test_crop(practice, aloud):
    trachea = overlapping(practice)
    aloud("crop to the trachea")
    assert practice.mask().any()
    assert (practice.mask() <= trachea).all()


def test_fill(open_practice, listener):
    practice = open_practice(segmenter=SliceBySlice())
    for k in (2, 6):
        practice.clinician.polygon([(20, 15), (32, 15), (32, 25), (20, 25)], k=k)
        practice.settle()
    say_aloud(practice, listener, "fill between the slices")
    assert [k for k in range(12) if practice.mask()[k].any()] == [2, 3, 4, 5, 6]


def test_copy(practice, aloud):
    click(practice)
    last = max(np.flatnonzero(practice.mask().any((1, 2))))
    practice.hospital.window.index = int(last)
    practice.settle()
    aloud("copy to the next slice")
    assert np.array_equal(practice.mask()[last + 1], practice.mask()[last])


def test_go(practice, aloud):
    aloud("go to slice four")
    assert practice.hospital.window.index == 3


def test_rename(practice, aloud):
    click(practice)
    aloud("call it PTV sixty")
    assert practice.engine.session.state.active == "PTV_60"
    assert practice.mask("PTV_60").any()


def test_reply(practice, aloud):
    click(practice)
    assert "Did you mean" in say(practice, "accept?")[1]
    aloud("yes")
    assert practice.engine.session.state.structure("GTV").accepted


def test_no_kind_of_intent_is_left_out():
    assert {f"test_{kind}" for kind in KINDS} <= set(globals())


@pytest.mark.data
def test_the_main_job_is_spoken_on_a_real_patient(data, tmp_path, capsys):
    case = data / "dicom_cases" / "sarcoma_full_field_mr_pet"
    assert main(["demo", "--voice", "--dicom", str(case), "--out", str(tmp_path), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    spoken = [step["action"] for step in result["steps"] if step["action"].startswith("says")]
    assert spoken[-1] == 'says "accept"'
    assert len(spoken) == 6
    drawn = json.loads((tmp_path / "contours.json").read_text())["contours"]
    assert drawn
    assert (tmp_path / "RTSTRUCT.dcm").is_file()
    assert [step["dice"] for step in result["steps"]][-1] > 0.5

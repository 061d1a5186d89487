"""A recorded session, answered by another model."""

import json

import pytest

from osirix_agent.cli import main
from osirix_agent.demo.comparing import Comparison, compare, other_segmenter
from osirix_agent.errors import JournalError, SettingsError
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.walk import ClassicalRecipe
from osirix_agent.settings import load_settings
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from osirix_agent.demo.run import run_demo

    folder = tmp_path_factory.mktemp("demo")
    write_phantom(folder / "study", PhantomRecipe(shape_kji=(12, 48, 48), spacing_kji_mm=(4, 4, 4)))
    run_demo(folder, folder / "study", {"segmenter": "classical"})
    return folder


def test_the_same_model_answers_the_same(demo, capsys):
    assert main(["replay", str(demo / "journal.jsonl"), "--model", "classical", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["answers"]) >= 5
    assert {one["dice_between"] for one in found["answers"]} == {1.0}
    assert all(one["recorded_nsd"] == one["replayed_nsd"] for one in found["answers"])
    (structure,) = found["structures"].values()
    assert structure["first"]["difference"] == structure["last"]["difference"] == 0
    assert structure["first"]["interval"] is None  # of one patient nothing can be said
    assert structure["last"]["recorded"] > structure["first"]["recorded"]
    clicks = structure["prompts_until_enough"]
    assert clicks["recorded"] == clicks["replayed"]


def test_another_model_is_told_apart(demo):
    other = ClassicalSegmenter(ClassicalRecipe(gamma=0.3))
    found = compare(demo / "journal.jsonl", None, lambda: other, load_settings(), 2.0)
    (structure,) = found.structures().values()
    assert structure["dice_between"] < 1
    assert structure["last"]["difference"] != 0
    lines = list(found.lines())
    assert any("->" in line for line in lines)
    assert any("(one patient)" in line for line in lines)


def test_a_folder_of_models_and_an_adapter_can_be_named(tiny_models):
    settings = load_settings(model_dir=tiny_models)
    one = other_segmenter(str(tiny_models / "gtv"), settings, str)
    all_of_them = other_segmenter(str(tiny_models), load_settings(), str)
    assert one.name == all_of_them.name
    assert "+" in one.name  # the adapter on the base


def test_intervals_are_over_patients(demo):
    one = compare(demo / "journal.jsonl", None, ClassicalSegmenter, load_settings(), 2.0).answers
    patients = [
        [type(a)(**{**a.__dict__, "patient": str(n), "session": str(n), "replayed_dice": 0.5 + n / 10}) for a in one]
        for n in range(4)
    ]
    found = Comparison("other", 2.0, [answer for answers in patients for answer in answers], []).structures()["GTVp"]
    low, high = found["first"]["interval"]
    assert found["patients"] == found["courses"] == 4
    assert low < found["first"]["difference"] < high
    assert found["first"]["replayed"] == pytest.approx(0.65)


def test_the_de_identified_images_will_do(demo, tmp_path):
    state, out = ["--state-dir", str(demo / "state")], ["--out", str(tmp_path / "images")]
    assert main(["log", "images", str(demo / "journal.jsonl"), "--dicom", str(demo / "study"), *out, *state]) == 0
    found = compare(demo / "journal.jsonl", tmp_path / "images", ClassicalSegmenter, load_settings(), 2.0)
    assert {one.dice_between for one in found.answers} == {1.0}
    assert found.unseen == []


def test_images_that_are_not_there_are_named(demo, tmp_path):
    write_phantom(tmp_path / "other", PhantomRecipe(shape_kji=(8, 32, 32), spacing_kji_mm=(4, 4, 4)))
    with pytest.raises(JournalError, match="None of the log's images"):
        compare(demo / "journal.jsonl", tmp_path / "other", ClassicalSegmenter, load_settings(), 2.0)
    with pytest.raises(SettingsError, match="no segmenter 'nothing'"):
        other_segmenter("nothing", load_settings(), str)

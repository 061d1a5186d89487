"""The guesser learns from sentences, says how it did on sets left out, and is the same each time."""

import json

import pytest

from osirix_agent.bench import sentences as corpus
from osirix_agent.cli import main
from osirix_agent.errors import SettingsError
from osirix_agent.model_folder import check_sums
from osirix_agent.prompting.guesser import load_guesser
from osirix_agent.prompting.intent import Command, Edit
from osirix_agent.training.guessing import GuesserRecipe, train_guesser

KNOWN = ("GTV",)
SETS = {
    f"set {n}": [
        (f"embiggen the GTV by {n + 1} mm", (Edit("grow", n + 1, (), "GTV"),)),
        (f"embiggen it {n + 1} mm at the back", (Edit("grow", n + 1, ("posterior",)),)),
        ("yeet it", (Command("reject"),)),
        ("the weather is fine", ()),
        ("embiggen it by 2 mm and yeet it", (Edit("grow", 2), Command("reject"))),  # teaches nothing
    ]
    for n in range(4)
}
RECIPE = GuesserRecipe(folds=2, penalty=1e-3)


def test_it_learns_from_sentences_and_is_measured_on_sets_left_out(tmp_path):
    measured = train_guesser(RECIPE, SETS, (), KNOWN, tmp_path / "a", "1")
    tally = measured["left out in turn"]
    assert (tally["orders"], tally["no orders"]) == (16, 4)
    assert tally["orders: guessed"] == 16  # also the two orders in one sentence, by their halves
    assert "no orders: something else offered" not in tally
    assert json.loads((tmp_path / "a" / "metrics.json").read_text()) == measured
    guesser = load_guesser(tmp_path / "a")
    assert guesser.choose("please embiggen the GTV by 7 mm", KNOWN) == (Edit("grow", 7, (), "GTV"),)
    assert guesser.choose("the weather is dreadful", KNOWN) == ()
    train_guesser(RECIPE, SETS, (), KNOWN, tmp_path / "b", "1")
    assert check_sums(tmp_path / "a") == check_sums(tmp_path / "b")


def test_sets_too_few_and_sentences_without_orders_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="too few"):
        train_guesser(GuesserRecipe(folds=5), SETS, (), KNOWN, tmp_path / "out", "1")
    idle = {name: [("the weather is fine", ())] for name in SETS}
    with pytest.raises(SettingsError, match="no order"):
        train_guesser(RECIPE, idle, (), KNOWN, tmp_path / "out", "1")
    assert not (tmp_path / "out").exists()


def test_the_command_teaches_it_with_the_sets_that_the_grammar_was_improved_on(tmp_path, monkeypatch, capsys):
    assert not set(corpus.teaching_sets()) & set(corpus.UNSEEN)
    few = {f"set {n}": [corpus.Sentence(*one) for one in SETS["set 1"]] for n in range(5)}
    monkeypatch.setattr(corpus, "teaching_sets", lambda: few)
    assert main(["train", "guesses", "--out", str(tmp_path / "out"), "--seed", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["left out in turn"]["orders: guessed"] == 20
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["seed"] == 3
    load_guesser(tmp_path / "out")

import pytest

from osirix_agent.prompting.canonical import canonical, screened
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.intent import Command, Copy, Crop


@pytest.mark.parametrize(
    ("sentence", "phrase"),
    [
        ("grow GTV_Smith by two and a half millimetres superiorly", "edit grow 2.5 superior <GTV_Smith>"),
        ("exclude the left parotid", "part exclude <Parotid_L>"),
        ("undo twice", "command undo 2"),
    ],
)
def test_a_sentence_is_written_down_by_what_it_asks_for(sentence, phrase):
    assert canonical(understand(sentence, ["GTV_Smith"]).intents, lambda name: f"<{name}>") == phrase


def test_only_slots_with_names_are_made_public():
    intents = [Command("accept", "A"), Crop("B"), Copy("next")]
    assert canonical(intents, lambda name: f"<{name}>") == "command accept <A>; crop <B>; copy next"


def test_screening_leaves_out_whatever_could_be_a_name():
    said = screened("grow the GTV of Mrs Quennell, born 12.5 number 4711234, by 2 mm")
    assert "quennell" not in said.lower()
    assert "4711234" not in said
    assert said.startswith("grow the gtv")
    assert said.endswith("by 2 mm")

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osirix_agent.prompting.grammar import COMMANDS, Command, RoiName, parse_command, parse_roi_name
from osirix_agent.prompting.prompt import Polarity


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("ROI 1", RoiName()),
        ("", RoiName()),
        ("GTVp", RoiName(structure="GTVp")),
        ("+", RoiName(Polarity.INCLUDE)),
        ("- GTVn", RoiName(Polarity.EXCLUDE, "GTVn")),
        ("?left parotid", RoiName(text="left parotid")),
        ("!undo", RoiName(command="undo")),
        ("Brainstem", RoiName(structure="Brainstem")),
        ("x" * 10_000, RoiName()),
        ("-" + "x" * 10_000, RoiName(Polarity.EXCLUDE)),
        ("GTV é", RoiName()),
    ],
)
def test_roi_names(name, parsed):
    assert parse_roi_name(name) == parsed


def test_a_name_of_the_session_addresses_it():
    assert parse_roi_name("node 3", {"node 3"}) == RoiName(structure="node 3")


@settings(deadline=None)
@given(st.text())
def test_no_name_is_an_error(name):
    parse_roi_name(name)
    parse_command(name)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("undo", Command("undo")),
        ("!Accept GTVp", Command("accept", "GTVp")),
        ("lock left parotid", Command("lock", "Parotid_L")),
        ("undo everything", None),
        ("make tea", None),
        ("", None),
    ],
)
def test_commands(text, command):
    assert parse_command(text) == command


def test_every_command_is_explained():
    assert all(COMMANDS.values())

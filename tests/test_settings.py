from pathlib import Path

import pytest

from osirix_agent import errors
from osirix_agent.errors import SettingsError
from osirix_agent.settings import load_settings


def test_command_line_beats_environment_beats_file(monkeypatch, tmp_path: Path):
    (tmp_path / "config.toml").write_text('server = "a:1"\nstructure = "GTVfile"\nrpc_deadline_s = 3\n')
    monkeypatch.setenv("OSIRIX_AGENT_STRUCTURE", "GTVenv")
    monkeypatch.setenv("OSIRIX_AGENT_SERVER", "b:2")
    settings = load_settings(server="c:3")
    assert (settings.server, settings.structure, settings.rpc_deadline_s) == ("c:3", "GTVenv", 3)


@pytest.mark.parametrize(
    "bad", [{"isoline_levels": "5,95"}, {"isoline_levels": "7,50"}, {"watch_idle_hz": 0}, {"nonsense": 1}]
)
def test_a_bad_value_is_named_with_its_rule(bad):
    with pytest.raises(SettingsError, match=next(iter(bad))):
        load_settings(**bad)


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "config.toml").write_text("server = \n")
    with pytest.raises(SettingsError, match=r"config\.toml"):
        load_settings()


def test_levels_are_sorted_and_single():
    assert load_settings(isoline_levels="95,5,50,5").isoline_levels == (5, 50, 95)


def test_every_error_is_listed_in_the_tree_and_has_a_cure():
    listed = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.OsirixAgentError):
            assert name in listed
            assert kind("What happened.", "Do this.").cure == "Do this."

import pytest

from osirix_agent.errors import SettingsError
from osirix_agent.half_pixel import HalfPixel, half_pixel_in_use
from osirix_agent.settings import Settings, load_settings

FOUND = HalfPixel(0.25, "2026-02-03T04:05:06+00:00", "OsiriX MD 14.1.2")


def test_what_was_measured_is_used_until_the_settings_say_otherwise(tmp_path, monkeypatch):
    assert Settings(state_dir=tmp_path).half_pixel_px == 0.5
    FOUND.write(tmp_path)
    assert HalfPixel.read(tmp_path) == FOUND
    assert load_settings(state_dir=tmp_path).half_pixel_px == 0.25
    assert load_settings(state_dir=tmp_path, half_pixel_px=0.0).half_pixel_px == 0
    monkeypatch.setenv("OSIRIX_AGENT_HALF_PIXEL_PX", "0.75")
    assert load_settings(state_dir=tmp_path).half_pixel_px == 0.75
    assert [path.name for path in tmp_path.iterdir()] == ["half_pixel.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"px": "x"}', '{"px": 3, "measured_at": "", "osirix": ""}'])
def test_a_file_that_cannot_be_used_is_named_and_not_used(tmp_path, text):
    HalfPixel.path(tmp_path).write_text(text)
    with pytest.raises(SettingsError, match="half pixel") as caught:
        HalfPixel.read(tmp_path)
    assert "doctor --live" in caught.value.cure
    assert half_pixel_in_use(tmp_path) == 0.5


def test_a_folder_that_cannot_be_written_says_what_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"half_pixel_px = 0\.25"):
        FOUND.write(tmp_path / "file")

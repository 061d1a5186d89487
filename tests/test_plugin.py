"""`osirix-agent plugin`, from a checkout and from an installed wheel, and what `doctor` says of the buttons."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from osirix_agent import __version__, plugin
from osirix_agent.cli import main
from osirix_agent.errors import PluginError
from tests.plugin_bundle.mac import LIST, SUPPORT, make_mac, tree

REPOSITORY = Path(__file__).parents[1]


def test_install_status_remove(tmp_path, capsys):
    home = make_mac(tmp_path)
    before, root = tree(tmp_path), ["--root", str(tmp_path)]
    assert main(["plugin", "status", *root]) == 1
    assert "-> Quit OsiriX, then run 'osirix-agent plugin install'." in capsys.readouterr().out
    assert main(["plugin", "install", "--dry-run", "--launch-agent", *root]) == 0
    assert "dry run" in capsys.readouterr().out
    assert tree(tmp_path) == before
    assert main(["plugin", "install", *root, "--home", "/Users/Zoë Müller"]) == 0
    assert json.loads((home / LIST).read_bytes())[-1]["interpreterPath"] == sys.executable
    assert main(["plugin", "status", *root]) == 0
    assert f"8 in OsiriX, version {__version__}" in capsys.readouterr().out
    assert main(["plugin", "remove", *root]) == 0
    assert tree(tmp_path) == before


def test_what_stands_in_the_way_is_exit_7_with_a_cure(tmp_path, capsys):
    home = make_mac(tmp_path, scripts="{}")
    for what in ("install", "remove"):
        assert main(["plugin", what, "--root", str(tmp_path)]) == 7
        assert "Update osirix-agent" in capsys.readouterr().err
    assert main(["plugin", "status", "--root", str(tmp_path)]) == 1
    (home / LIST).unlink()
    assert main(["plugin", "install", "--root", str(tmp_path / "nothing")]) == 7


def lines() -> dict[str, plugin.Line]:
    return {look.what: look for look in plugin.findings()}


def test_doctor_speaks_of_buttons_and_socket(tmp_path, monkeypatch):
    assert lines()["buttons"].good  # not a Mac
    home = make_mac(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    assert lines()["buttons"].good
    assert "'osirix-agent plugin install' adds them" in lines()["buttons"].detail
    plugin.install(root=tmp_path)
    assert lines()["buttons"].detail == f"8 in OsiriX, version {__version__}"
    (home / SUPPORT / "osirix-agent" / "plugin" / "redo.py").unlink()
    assert not lines()["buttons"].good
    for bad in ("[", '{"newer": 1}'):
        (home / LIST).write_text(bad)
        assert not lines()["buttons"].good
        assert lines()["buttons"].cure
    (home / LIST).write_text("[]")
    real = os.lstat

    def lstat(path, **options):
        held = real(path, **options)
        return os.stat_result([*held[:4], held.st_uid + 1, *held[5:]]) if Path(path) == home / LIST else held

    monkeypatch.setattr(os, "lstat", lstat)
    assert "belongs to another user" in lines()["buttons"].detail
    assert lines()["control socket"].detail == "no agent is running"


def test_a_package_without_its_bundle_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(plugin, "bundle_folder", lambda: tmp_path)
    plugin.installer.cache_clear()
    with pytest.raises(PluginError, match="Install osirix-agent again"):
        plugin.remove(root=tmp_path)
    assert not plugin.status(root=tmp_path).good


@pytest.mark.slow
def test_from_an_installed_wheel(tmp_path):
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), str(REPOSITORY)]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if "_plugin_bundle" in name}
        archive.extractall(site)  # what pip does with a pure wheel
    ours = {str(path.relative_to(REPOSITORY / "plugin_bundle")) for path in tracked()}
    assert held == {f"osirix_agent/_plugin_bundle/{name}" for name in ours}
    home = make_mac(tmp_path / "mac")
    before = tree(tmp_path / "mac")
    for what in ("install", "status", "remove"):
        ran = subprocess.run(
            [sys.executable, "-m", "osirix_agent.cli", "plugin", what, "--root", str(tmp_path / "mac")],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert (b"osirix-agent" in (home / LIST).read_bytes()) == (what != "remove")
    assert tree(tmp_path / "mac") == before


def tracked() -> list[Path]:
    return [p for p in (REPOSITORY / "plugin_bundle").rglob("*") if p.is_file() and "__pycache__" not in p.parts]

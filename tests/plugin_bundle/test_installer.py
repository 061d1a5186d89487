import ast
import json
import os
import plistlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osirix_agent.plugin import bundle_folder, installer
from tests.plugin_bundle.mac import HERS, LIST, SUPPORT, make_mac, tree

BUNDLE = bundle_folder()
InstallError = installer().InstallError
PLIST = "Library/LaunchAgents/org.osirix-agent.agent.plist"


def place(root: Path, **options):
    return installer().Installation(root, tell=lambda line: None, **options)


def install(root: Path, **options):
    place(root, **options).install(sys.executable, "1.0")


def listed(home: Path) -> list[dict]:
    return json.loads((home / LIST).read_bytes())


@pytest.mark.parametrize("scripts", [HERS, None, "[]", " [ ]\n"])
@pytest.mark.parametrize("launch_agent", [False, True])
def test_what_is_put_in_place_and_taken_away_again(tmp_path, scripts, launch_agent):
    home = make_mac(tmp_path, scripts=scripts)
    before = tree(tmp_path)
    for _ in range(2):  # a second time changes nothing
        place(tmp_path).install(sys.executable, "1.0", launch_agent)
    hers = json.loads(scripts or "[]")
    assert listed(home)[: len(hers)] == hers
    ours = listed(home)[len(hers) :]
    assert len(ours) == len({entry["name"] for entry in ours}) == 8
    for entry in ours:
        assert entry == {**entry, "interpreterPath": sys.executable, "type": "gRPCImageTool", "blocking": "NO"}
        assert entry["name"].isascii()
        assert entry["path"].startswith("/Users/Zoë Müller/Library/Application Support/")
        assert (tmp_path / entry["path"].lstrip("/")).is_file()
    if scripts is not None:
        assert (home / LIST).stat().st_mode & 0o777 == 0o640
    if launch_agent:
        agent = plistlib.loads((home / PLIST).read_bytes())
        assert agent["ProgramArguments"] == [sys.executable, "-m", "osirix_agent.cli", "run"]
        assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert place(tmp_path).status("1.0")[0] == "installed"
    place(tmp_path).uninstall()
    assert tree(tmp_path) == before
    place(tmp_path).uninstall()  # where there is nothing to take away
    assert tree(tmp_path) == before


def test_folders_that_others_use_stay(tmp_path):
    home = make_mac(tmp_path, scripts=None)
    for path in (LIST.parent / "server_configs.json", SUPPORT / "osirix-agent" / "site.key"):
        (home / path).parent.mkdir()
        (home / path).write_text("hers")
    before = tree(tmp_path)
    place(tmp_path).install(sys.executable, "1.0", True)
    place(tmp_path).uninstall()
    assert tree(tmp_path) == before
    install(tmp_path)
    shutil.rmtree(home / SUPPORT / "osirix-agent" / "plugin")  # taken away by hand: the entries still go
    assert place(tmp_path).status("1.0")[0] == "stale"
    place(tmp_path).uninstall()
    assert listed(home) == []


def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path):
    make_mac(tmp_path)
    before, said, done = tree(tmp_path), [], []
    installer().Installation(tmp_path, tell=said.append, dry_run=True).install(sys.executable, "1.0", True)
    assert tree(tmp_path) == before
    installer().Installation(tmp_path, tell=done.append).install(sys.executable, "1.0", True)
    assert said == done
    after = tree(tmp_path)
    place(tmp_path, dry_run=True).uninstall()
    assert tree(tmp_path) == after


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
ENTRY = st.fixed_dictionaries(
    dict.fromkeys(("path", "interpreterPath", "name", "type", "blocking"), TEXT),
    optional={"extra": st.none() | st.integers() | st.lists(TEXT, max_size=2)},
)
STYLE = st.fixed_dictionaries(
    {"indent": st.sampled_from([None, 0, 3]), "ensure_ascii": st.booleans(), "sort_keys": st.booleans()}
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=st.none() | st.lists(ENTRY, max_size=3), style=STYLE, launch_agent=st.booleans(), new=ENTRY)
def test_whatever_was_there_comes_back(before, style, launch_agent, new):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        root = Path(folder)
        home = make_mac(root, scripts=None if before is None else json.dumps(before, **style))
        was = tree(root)
        place(root).install("/python", "1", launch_agent)
        place(root).install("/python", "2")
        # she opens Script Management: the plug-in writes the whole list afresh
        (home / LIST).write_text(json.dumps(listed(home), indent=1))
        place(root).uninstall()
        assert tree(root) == was
        place(root).install("/python", "2")
        (home / LIST).write_text(json.dumps([*listed(home), new]))
        place(root).install("/python", "3")
        place(root).uninstall()
        assert listed(home) == [*(before or []), new]
        assert set(tree(root)) - set(was) <= {
            str((home / LIST).relative_to(root)),
            str((home / LIST).parent.relative_to(root)),
        }


@pytest.mark.slow
def test_a_kill_at_any_file_operation_leaves_the_old_or_the_new(tmp_path):
    script = Path(__file__).with_name("killing.py")
    ran = subprocess.run([sys.executable, str(script), str(BUNDLE), str(tmp_path)], capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("", 0), ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ("", "damaged"),
        ('[{"path": ', "damaged"),
        ("[NaN]", "damaged"),
        (b"\xff[", "damaged"),
        ('{"version": 2, "scripts": []}', "does not know"),
        ('[{"executable": "/a", "name": "b", "type": "gRPCImageTask", "blocking": "NO", "arguments": ""}]', "not know"),
        (HERS.replace('"YES"', "true"), "does not know"),
        ("[1]", "does not know"),
        (HERS.replace('"Mine"', '"Contour: accept"'), "Another script is registered"),
    ],
)
def test_a_list_that_cannot_be_merged_is_left_alone(tmp_path, scripts, message):
    home = make_mac(tmp_path)
    (home / LIST).write_bytes(scripts if isinstance(scripts, bytes) else scripts.encode())
    refused(tmp_path, message)


def refused(root: Path, message: str, **options) -> None:
    """Installing says what to do, and changes nothing."""
    before = tree(root)
    with pytest.raises(InstallError, match=message) as error:
        install(root, **options)
    assert error.value.cure.endswith(".")
    assert tree(root) == before


def test_osirix_must_be_closed(tmp_path):
    make_mac(tmp_path)
    refused(tmp_path, "OsiriX is running", osirix_open=lambda: True)
    install(tmp_path)
    with pytest.raises(InstallError, match="Quit OsiriX"):
        place(tmp_path, osirix_open=lambda: True).uninstall()
    is_open = installer().osirix_is_open
    assert is_open("/sbin/launchd\n/Applications/OsiriX MD.app/Contents/MacOS/OsiriX MD\n")
    assert is_open("OsiriX\n")
    assert not is_open("/usr/bin/vim\n/opt/osirix-agent/bin/python\n/Applications/Horos.app/Contents/MacOS/Horos\n")
    assert is_open() in (True, False)


@pytest.mark.parametrize("which", [LIST, LIST.parent, SUPPORT, Path(), SUPPORT / "osirix-agent"])
def test_what_belongs_to_another_user_is_left_alone(tmp_path, monkeypatch, which):
    home = make_mac(tmp_path)
    (home / SUPPORT / "osirix-agent").mkdir()
    (home / SUPPORT / "osirix-agent" / "site.key").write_text("k")
    real = os.lstat

    def lstat(path, **options):
        held = real(path, **options)
        return os.stat_result([*held[:4], held.st_uid + 1, *held[5:]]) if Path(path) == home / which else held

    monkeypatch.setattr(os, "lstat", lstat)
    refused(tmp_path, "belongs to another user")


@pytest.mark.parametrize("which", [LIST, LIST.parent])
def test_a_link_to_elsewhere_is_not_followed(tmp_path, which):
    home = make_mac(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    (home / which).rename(elsewhere)
    (home / which).symlink_to(elsewhere)
    refused(tmp_path, "is not a plain")


@pytest.mark.parametrize("which", ["script_configs.json", "start.py", "installed.json", "org.osirix-agent.agent.plist"])
@pytest.mark.parametrize("errno", [13, 28])
def test_without_permission_or_space_nothing_stays_half_done(tmp_path, monkeypatch, which, errno):
    make_mac(tmp_path)
    before, real = tree(tmp_path), os.open

    def refuse(path, flags, *more):
        if flags & os.O_CREAT and Path(path).name.startswith(which):
            raise OSError(errno, os.strerror(errno), str(path))
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InstallError, match="does not allow"):
        place(tmp_path).install(sys.executable, "1.0", True)
    monkeypatch.undo()
    assert tree(tmp_path) == before


def test_a_list_that_changes_while_installing_is_not_overwritten(tmp_path, monkeypatch):
    home = make_mac(tmp_path)
    real = os.fsync

    def fsync(handle):
        (home / LIST).write_text("[]")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InstallError, match="changed meanwhile"):
        install(tmp_path)
    assert listed(home) == []


def test_a_newer_installation_and_a_damaged_note_are_left_alone(tmp_path):
    home = make_mac(tmp_path)
    install(tmp_path)
    note = home / SUPPORT / "osirix-agent" / "plugin" / "installed.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "format": 2}))
    refused(tmp_path, "newer version")
    note.write_text("{")
    refused(tmp_path, "cannot be read")


def test_status_tells_what_is_stale(tmp_path):
    home = make_mac(tmp_path)
    scripts = home / SUPPORT / "osirix-agent" / "plugin"
    assert place(tmp_path).status("1.0")[0] == "missing"
    install(tmp_path)
    assert place(tmp_path).status("1.0")[0] == "installed"
    assert "version 1.0, not 2.0" in place(tmp_path).status("2.0")[1]
    (scripts / "undo.py").write_text("")
    assert "1 of their files" in place(tmp_path).status("1.0")[1]
    place(tmp_path).install("/no/such/python", "1.0")
    assert "no longer there" in place(tmp_path).status("1.0")[1]
    (home / LIST).write_text(json.dumps(listed(home)[:-1]))
    state, detail, cure = place(tmp_path).status("1.0")
    assert (state, detail) == ("stale", "7 of 8 are registered in OsiriX")
    assert "plugin install" in cure


def test_the_home_folder_must_be_a_macs_and_be_known(tmp_path):
    with pytest.raises(InstallError, match="--home"):
        place(tmp_path)
    make_mac(tmp_path, "anna")
    make_mac(tmp_path / "other", "bea")
    (tmp_path / "other" / "Users" / "bea").rename(tmp_path / "Users" / "bea")
    with pytest.raises(InstallError, match="2 users"):
        place(tmp_path)
    install(tmp_path, home=Path("/Users/bea"))
    assert len(listed(tmp_path / "Users" / "bea")) == 9
    assert len(listed(tmp_path / "Users" / "anna")) == 1
    with pytest.raises(InstallError, match="not the home folder of a Mac"):
        install(tmp_path, home=Path("/Users/nobody"))


def test_the_installer_runs_by_itself(tmp_path):
    home = make_mac(tmp_path)
    before = tree(tmp_path)
    command = [sys.executable, str(BUNDLE / "install.py"), "--root", str(tmp_path)]
    fake = tmp_path.with_name(tmp_path.name + "-python")
    fake.write_text("#!/bin/sh\necho 9.9\n")
    fake.chmod(0o755)
    subprocess.run([*command, "--python", str(fake)], check=True, capture_output=True)
    assert listed(home)[-1]["interpreterPath"] == str(fake)
    subprocess.run([*command, "--uninstall"], check=True, capture_output=True)
    assert tree(tmp_path) == before
    ran = subprocess.run([*command, "--python", "/bin/false"], capture_output=True, text=True)
    assert (ran.returncode, "holds no osirix-agent" in ran.stderr) == (7, True)


@pytest.mark.parametrize("path", sorted(BUNDLE.rglob("*.py")), ids=lambda p: p.name)
def test_the_bundle_is_python_3_9_and_standard_library_only(path):
    program = ast.parse(path.read_text(), feature_version=(3, 9))
    allowed = {*sys.stdlib_module_names, "agent_socket", "installer"}
    for node in ast.walk(program):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] in allowed

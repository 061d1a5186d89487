import json
import os
import shutil
import sys
import types

import pytest

from osirix_agent import doctor
from osirix_agent.doctor import examine
from osirix_agent.half_pixel import HalfPixel
from osirix_agent.model_folder import shipped_models
from osirix_agent.prompting.guesser import DESCRIPTION, FOLDER
from osirix_agent.settings import Settings
from osirix_agent.viewer.connection import plugin_config_file
from tests.tiny_whisper import write_whisper


def named(settings: Settings, what: str) -> list:
    return [finding for finding in examine(settings) if finding.what == what]


@pytest.fixture
def quick(hospital):
    """Settings that do not wait long for what is not there."""
    return hospital.settings.model_copy(update={"ping_deadline_s": 0.3})


def write_list(rows) -> None:
    plugin_config_file().parent.mkdir(parents=True, exist_ok=True)
    plugin_config_file().write_text(rows if isinstance(rows, str) else json.dumps(rows))


def row(port: int, active: str = "YES") -> dict:
    return {"ipaddress": "127.0.0.1", "port": str(port), "active": active}


def test_all_is_well(quick):
    findings = examine(quick)
    assert [finding.what for finding in findings if not finding.good] == []
    (server,), (port,) = named(quick, "server"), named(quick, "port")
    assert server.detail == "OsiriX MD 14.1.2 answers"
    assert port.detail == f"{quick.server}, from the settings"


def test_every_red_line_has_its_cure(tmp_path, monkeypatch):
    write_list("{")
    monkeypatch.setattr(doctor, "version", lambda name: "0.1")
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 10**18)
    (tmp_path / "open").mkdir(mode=0o755)
    HalfPixel.path(tmp_path / "open").write_text("{")
    bad = [f for f in examine(Settings(ping_deadline_s=0.2, state_dir=tmp_path / "open")) if not f.good]
    assert {f.what for f in bad} == {
        "osirixgrpc", "grpcio", "protobuf", "plugin", "server", "state folder", "disk", "half pixel",
    }  # fmt: skip
    assert all(f.cure for f in bad)


# -- where the server is -----------------------------------------------------------------------------------------
def test_the_port_says_where_it_comes_from_and_a_stale_mark_is_red(hospital, quick):
    hospital.server.write_config(plugin_config_file().parents[3])
    live = json.loads(plugin_config_file().read_text())
    write_list([row(9, "NO"), row(9), *live])
    anywhere = quick.model_copy(update={"server": None})
    (stale,) = named(anywhere, "stale server")
    assert not stale.good
    assert stale.detail.startswith("127.0.0.1:9 ")
    assert "Server Configuration" in stale.cure
    (port,) = named(anywhere, "port")
    assert port.detail == f"{hospital.server.address}, from the plugin's server_configs.json"
    write_list([row(9, "NO"), *live])
    assert named(anywhere, "stale server") == []


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '[{"port": "1"}]', "null"])
def test_a_corrupt_server_list_is_red(quick, text):
    write_list(text)
    (plugin,) = named(quick, "plugin")
    assert (plugin.good, plugin.detail) == (False, "the plugin's server list cannot be read")


def test_on_a_mac_a_missing_list_is_red(quick, monkeypatch):
    assert named(quick, "plugin")[0].good
    monkeypatch.setattr(sys, "platform", "darwin")
    (plugin,) = named(quick, "plugin")
    assert not plugin.good
    assert "Install osirixgrpc.osirixplugin" in plugin.cure


def test_a_dialog_in_osirix_is_red_and_not_a_crash(hospital, quick):
    with hospital.clinician.modal_dialog():
        (server,) = named(quick, "server")
    assert not server.good


# -- this machine ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "number", "good"),
    [("protobuf", "7.33.9", False), ("protobuf", "7.34.0", True), ("protobuf", "8.0", False), ("grpcio", "1.73", False),
     ("osirixgrpc", "0.2.1b5", False), ("grpcio", "2.0", True)],
)  # fmt: skip
def test_versions_are_held_to_what_the_stubs_take(quick, monkeypatch, name, number, good):
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda asked: number if asked == name else real(asked))
    assert [f.good for f in named(quick, name)] == ([] if good else [False])


def fake_torch(cuda: bool, mps: bool) -> types.SimpleNamespace:
    return types.SimpleNamespace(
        __version__="2.9",
        cuda=types.SimpleNamespace(is_available=lambda: cuda, get_device_name=lambda n: "H100"),
        backends=types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: mps)),
    )


@pytest.mark.parametrize(
    ("cuda", "mps", "text"),
    [(True, False, "torch 2.9: CUDA, H100"), (False, True, "torch 2.9: MPS"), (False, False, "torch 2.9: none")],
)
def test_the_gpu_is_named(quick, monkeypatch, cuda, mps, text):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: fake_torch(cuda, mps))
    (gpu,) = named(quick, "gpu")
    assert gpu.good
    assert gpu.detail.startswith(text)


def test_no_torch_is_fine_and_a_broken_one_is_not(quick, monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert named(quick, "gpu")[0].detail.startswith("torch is not installed")

    def broken(name: str) -> None:
        raise OSError("libcudart.so")

    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    (gpu,) = named(quick, "gpu")
    assert not gpu.good
    assert "libcudart" not in gpu.detail


def test_a_state_folder_that_others_can_read_or_she_cannot_write(quick, monkeypatch):
    assert named(quick, "state folder")[0].good
    for path in (quick.state_dir, quick.state_dir / "site.key"):
        mode = path.stat().st_mode
        path.chmod(mode | 0o044)
        (folder,) = named(quick, "state folder")
        assert (folder.good, folder.detail) == (False, "others can read it")
        assert folder.cure.startswith("chmod -R go-rwx ")
        path.chmod(mode)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "chmod u+rwx" in named(quick, "state folder")[0].cure
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert "another user" in named(quick, "state folder")[0].detail


# -- the half pixel ----------------------------------------------------------------------------------------------
def test_the_half_pixel_is_assumed_set_or_measured(hospital, quick):
    unmeasured = Settings(server=quick.server, state_dir=quick.state_dir)
    assert "0.5 (assumed; 'osirix-agent doctor --live' measures it)" in named(unmeasured, "half pixel")[0].detail
    chosen = Settings(server=quick.server, state_dir=quick.state_dir, half_pixel_px=0.5)
    assert "set by you" in named(chosen, "half pixel")[0].detail
    HalfPixel(0.0, "2026-02-03T04:05:06+00:00", "OsiriX MD 14.1.2").write(quick.state_dir)
    measured = Settings(server=quick.server, state_dir=quick.state_dir)
    (line,) = named(measured, "half pixel")
    assert line.good
    assert line.detail.endswith(": 0 (measured 0 on 2026-02-03, OsiriX MD 14.1.2)")
    hospital.app.version = "15.0"
    assert "this is OsiriX MD 15.0, so measure again" in named(measured, "half pixel")[0].detail
    (line,) = named(chosen, "half pixel")
    assert not line.good
    assert "half_pixel_px" in line.cure


# -- guesses -----------------------------------------------------------------------------------------------------
def test_it_says_whether_guesses_are_offered(quick, tmp_path, monkeypatch):
    (guesses,) = named(quick, "guesses")
    assert guesses.good
    assert "offered" in guesses.detail
    assert not named(quick.model_copy(update={"guess_orders": False}), "guesses")
    shutil.copytree(shipped_models() / FOLDER, tmp_path / FOLDER)
    (tmp_path / FOLDER / DESCRIPTION).write_text("{}")
    (guesses,) = named(quick.model_copy(update={"model_dir": tmp_path}), "guesses")
    assert not guesses.good
    assert guesses.cure
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert named(quick, "guesses")[0].detail.startswith("none")


# -- speech ------------------------------------------------------------------------------------------------------
def test_a_speech_model_that_cannot_be_used_is_red(quick, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"no model")
    (speech,) = named(quick.model_copy(update={"speech_model_dir": tmp_path}), "speech")
    assert not speech.good
    assert speech.cure
    assert not named(quick, "speech")


@pytest.mark.slow
def test_it_says_how_speech_is_heard(quick, tmp_path):
    pytest.importorskip("ctranslate2")
    settings = quick.model_copy(update={"speech_model_dir": write_whisper(tmp_path / "a")})
    (speech,) = named(settings, "speech")
    assert speech.good
    assert speech.detail.startswith("Whisper as it is (what was learnt")
    (speech,) = named(settings.model_copy(update={"speech_tuned": False}), "speech")
    assert speech.detail == "Whisper as it is (speech_tuned = false)"

"""`osirix-agent doctor`: look at the user's own set-up; every bad finding carries its cure.

A check takes the settings and returns findings; it never raises for what it finds. (`trial` is `doctor --live`.)
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from osirix_agent import plugin
from osirix_agent.agent.log import versions
from osirix_agent.errors import CertificateError, OsirixAgentError, SettingsError, ViewerError
from osirix_agent.half_pixel import HalfPixel
from osirix_agent.prompting.guesser import find_guesser
from osirix_agent.prompting.voice.free import open_free
from osirix_agent.prompting.voice.tuning import find_tuning
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.choice import describe_public
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import START_CURE, OsirixConnection, candidate_addresses, plugin_config_file

MIN_FREE_BYTES = 1_000_000_000
NEEDED = {"osirixgrpc": ("0.2.1b6", ""), "grpcio": ("1.74", ""), "protobuf": ("7.34", "8")}  # from, below


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    good: bool
    detail: str
    cure: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    osirix = _find_osirix(settings)
    return [
        *_versions(),
        *_server_list(settings),
        *(Finding(*line) for line in plugin.findings()),
        *_server(settings, osirix),
        *_remote_segmenter(settings),
        _gpu(),
        *_public_model(settings),
        *_speech(settings),
        *_guesses(settings),
        *_state_folder(settings),
        _disk(settings),
        _half_pixel(settings, osirix),
    ]


def print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"{'ok ' if finding.good else 'BAD'} {finding.what}: {finding.detail}", flush=True)
        if not finding.good:
            print(f"    -> {finding.cure}", flush=True)


# -- versions ----------------------------------------------------------------------------------------------------
def _versions() -> list[Finding]:
    found = [Finding("versions", True, ", ".join(f"{name} {number}" for name, number in versions().items()))]
    for name, (least, below) in NEEDED.items():
        try:
            number = version(name)
        except PackageNotFoundError:
            number = ""
        if _ordered(number) < _ordered(least) or (below and _ordered(number) >= _ordered(below)):
            wanted = f"{name}>={least}" + (f",<{below}" if below else "")
            found.append(
                Finding(name, False, f"{number or 'missing'}, but it takes {wanted}", f"pip install '{wanted}'")
            )
    return found


def _ordered(number: str) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in number).split()
    return tuple(int(part) for part in digits)


# -- OsiriX ------------------------------------------------------------------------------------------------------
def _server_list(settings: Settings) -> list[Finding]:
    path = plugin_config_file()
    if not path.exists():
        if sys.platform != "darwin":
            return [Finding("plugin", True, "not a Mac: the plugin's server list is not expected here")]
        return [
            Finding(
                "plugin", False, "the plugin has no server list",
                "Install osirixgrpc.osirixplugin, restart OsiriX, and add a server under Plugins > Database > "
                "osirixgrpc.",
            )
        ]  # fmt: skip
    try:
        rows = json.loads(path.read_text())
        sound = isinstance(rows, list) and all({"ipaddress", "port", "active"} <= set(row) for row in rows)
    except (OSError, ValueError, TypeError):
        sound = False
    if not sound:
        return [
            Finding(
                "plugin", False, "the plugin's server list cannot be read",
                "Open Server Configuration in OsiriX and add the server again: that writes the list anew.",
            )
        ]  # fmt: skip
    found = [Finding("plugin", True, "the plugin's server list is there")]
    for address, source in candidate_addresses(settings):
        if "server_configs" in source and not _answers(address, settings):
            found.append(
                Finding(
                    "stale server", False, f"{address} is marked active but nothing answers there",
                    "In Server Configuration, stop and start that server (the mark outlives a crash), or remove it.",
                )
            )  # fmt: skip
    return found


@dataclass(frozen=True)
class _Osirix:
    """What answers, where, and by whom it was named."""

    name: str
    address: str
    source: str


def _find_osirix(settings: Settings) -> _Osirix | None:
    for address, source in candidate_addresses(settings):
        name = _answers(address, settings)
        if name:
            return _Osirix(name, address, source)
    return None


def _server(settings: Settings, osirix: _Osirix | None) -> list[Finding]:
    if osirix is None:
        tried = ", ".join(f"{address} ({source})" for address, source in candidate_addresses(settings))
        return [Finding("server", False, f"nothing answers; tried {tried}", START_CURE)]
    return [
        Finding("server", True, f"{osirix.name} answers"),
        Finding("port", True, f"{osirix.address}, from {osirix.source}"),
        *_viewer(osirix.address, settings),
    ]


def _answers(address: str, settings: Settings) -> str:
    """Name and version of what answers there; '' for nothing."""
    connection = OsirixConnection(address, settings)
    try:
        return connection.ping()
    except ViewerError:
        return ""
    finally:
        connection.close()


def _viewer(address: str, settings: Settings) -> list[Finding]:
    connection = OsirixConnection(address, settings)
    try:
        viewer = OsirixViewer.frontmost(connection, settings)
    except OsirixAgentError as error:
        return [Finding("viewer", False, error.what, error.cure)]
    finally:
        connection.close()
    k, j, i = viewer.pixels.geometry.shape_kji
    known = viewer.identity.frame_of_reference_uid is not None
    return [
        Finding("viewer", True, f"{viewer.identity.modality}, {k} slices of {j} x {i}"),
        Finding(
            "frame of reference", known,
            "read from the DICOM file" if known else "the DICOM file behind the slice cannot be read",
            "Run the agent on the machine that holds the OsiriX database; else second viewers are refused.",
        ),
    ]  # fmt: skip


# -- the segmenter on another machine ------------------------------------------------------------------------------
def _remote_segmenter(settings: Settings) -> list[Finding]:
    """A bad address, a bad pairing, a dead host, a wrong certificate and another version are told apart."""
    if "://" not in settings.segmenter:
        return []
    from osirix_agent.segmenter.remote import RemoteSegmenter
    from osirix_agent.segmenter.wire.pairing import WARN_DAYS, read_pairing

    remote = None
    try:
        remote = RemoteSegmenter(settings)
        found = [Finding("segmenter", True, f"{remote.name} answers at {settings.segmenter}")]
        if settings.segmenter.startswith("grpcs:"):
            left = read_pairing(settings.pairing).days_left(datetime.now(UTC))
            found.append(
                Finding(
                    "pairing", left > WARN_DAYS, f"it ends in {left:.0f} days",
                    "Ask whoever runs the server for a new pairing file.",
                )
            )  # fmt: skip
        return found
    except CertificateError as error:
        return [Finding("segmenter certificate", False, error.what, error.cure)]
    except OsirixAgentError as error:
        return [Finding("segmenter", False, error.what, error.cure)]
    finally:
        if remote is not None:
            remote.close()


# -- this machine ------------------------------------------------------------------------------------------------
def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("gpu", True, "torch is not installed; the classical segmenter does without")
    try:
        torch: Any = importlib.import_module("torch")
        if torch.cuda.is_available():
            what = f"CUDA, {torch.cuda.get_device_name(0)}"
        elif torch.backends.mps.is_available():
            what = "MPS"
        else:
            what = "none, so models run on the processor"
    except Exception as error:  # a half-installed torch fails in many ways; none of them is ours
        return Finding(
            "gpu", False, f"torch is installed and does not load ({type(error).__name__})",
            "Install torch again, or remove it: the classical segmenter does without.",
        )  # fmt: skip
    return Finding("gpu", True, f"torch {torch.__version__}: {what}")


def _public_model(settings: Settings) -> list[Finding]:
    try:
        described = describe_public(settings)
    except OsirixAgentError as error:
        return [Finding("public model", False, error.what, error.cure)]
    return [Finding("public model", True, described)] if described else []


def _speech(settings: Settings) -> list[Finding]:
    if settings.speech_model_dir is None:
        return []
    try:
        heard_by = open_free(settings.speech_model_dir, find_tuning(settings))
    except OsirixAgentError as error:
        return [Finding("speech", False, error.what, error.cure)]
    if heard_by.tuned:
        return [Finding("speech", True, f"Whisper, tuned with {heard_by.tuned}")]
    why = "what was learnt about dictation is for another model, or this one is quantised"
    return [Finding("speech", True, f"Whisper as it is ({why if settings.speech_tuned else 'speech_tuned = false'})")]


def _guesses(settings: Settings) -> list[Finding]:
    if not settings.guess_orders or settings.language_model_dir is not None:
        return []
    try:
        guesser = find_guesser(settings)
    except OsirixAgentError as error:
        return [Finding("guesses", False, error.what, error.cure)]
    what = "offered where a sentence is not understood" if guesser else "none (safetensors is not installed)"
    return [Finding("guesses", True, what)]


def _state_folder(settings: Settings) -> list[Finding]:
    folder = settings.state_dir
    try:
        Pseudonyms.at(folder)
    except OsirixAgentError as error:
        return [Finding("state folder", False, error.what, error.cure)]
    if folder.stat().st_uid != os.getuid():
        return [
            Finding(
                "state folder", False, "it belongs to another user",
                f"Give it to yourself (sudo chown -R \"$USER\" '{folder}'), or choose another with --state-dir.",
            )
        ]  # fmt: skip
    if not os.access(folder, os.W_OK | os.X_OK):
        return [Finding("state folder", False, "it cannot be written", f"chmod u+rwx '{folder}'")]
    if any(path.stat().st_mode & 0o077 for path in (folder, folder / "site.key")):
        return [Finding("state folder", False, "others can read it", f"chmod -R go-rwx '{folder}'")]
    return [Finding("state folder", True, "writable, and readable by its owner only")]


def _disk(settings: Settings) -> Finding:
    folder = settings.state_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > MIN_FREE_BYTES, f"{free / 1e9:.1f} GB free", "Free at least 1 GB for journals.")


# -- the half pixel ----------------------------------------------------------------------------------------------
def _half_pixel(settings: Settings, osirix: _Osirix | None) -> Finding:
    used = f"ROI coordinate of a pixel's centre: {settings.half_pixel_px:g}"
    chosen = "half_pixel_px" in settings.model_fields_set
    try:
        measured = HalfPixel.read(settings.state_dir)
    except SettingsError as error:
        return Finding("half pixel", False, error.what, error.cure)
    if measured is None:
        by = "set by you" if chosen else "assumed"
        return Finding("half pixel", True, f"{used} ({by}; 'osirix-agent doctor --live' measures it)")
    seen = f"measured {measured.px:g} on {measured.measured_at[:10]}, {measured.osirix}"
    if chosen and measured.px != settings.half_pixel_px:
        return Finding(
            "half pixel", False, f"{used}, set by you, but {seen}",
            "Take half_pixel_px out of the settings (the measured one is then used), or measure again.",
        )  # fmt: skip
    if osirix is not None and osirix.name != measured.osirix:
        seen += f"; this is {osirix.name}, so measure again with 'osirix-agent doctor --live'"
    return Finding("half pixel", True, f"{used} ({seen})")

"""`osirix-agent doctor`: look at the user's own set-up; every bad finding carries its cure."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Any

from osirix_agent import plugin
from osirix_agent.agent.log import versions
from osirix_agent.errors import OsirixAgentError
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.settings import Settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import OsirixConnection, candidate_addresses, plugin_config_file

MIN_FREE_BYTES = 1_000_000_000


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
    return [
        Finding("versions", True, ", ".join(f"{name} {number}" for name, number in versions().items())),
        _plugin_config(),
        *(Finding(*line) for line in plugin.findings()),
        *_server(settings),
        _state_folder(settings),
        _disk(settings),
        Finding(
            "half pixel",
            True,
            f"ROI coordinates of a pixel centre: +{settings.half_pixel_px} (from Horos; not measured)",
        ),
    ]


def print_findings(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"{'ok ' if finding.good else 'BAD'} {finding.what}: {finding.detail}")
        if not finding.good:
            print(f"    -> {finding.cure}")


def _plugin_config() -> Finding:
    path = plugin_config_file()
    if sys.platform != "darwin" and not path.exists():
        return Finding("plugin", True, "not a Mac: the plugin's server list is not expected here")
    if not path.exists():
        return Finding(
            "plugin", False, "the plugin has no server list",
            "Install osirixgrpc.osirixplugin, restart OsiriX, and add a server under Plugins > Database > osirixgrpc.",
        )  # fmt: skip
    return Finding("plugin", True, "the plugin's server list is there")


def _server(settings: Settings) -> list[Finding]:
    tried = ", ".join(f"{address} ({source})" for address, source in candidate_addresses(settings))
    try:
        connection = OsirixConnection.find(settings)
    except OsirixAgentError as error:
        return [Finding("server", False, f"nothing answers; tried {tried}", error.cure)]
    try:
        found = [Finding("server", True, f"{connection.ping()} at {connection.address}")]
        try:
            viewer = OsirixViewer.frontmost(connection, settings)
            k, j, i = viewer.pixels.geometry.shape_kji
            found.append(Finding("viewer", True, f"{viewer.identity.modality}, {k} slices of {j} x {i}"))
            same_place = viewer.identity.frame_of_reference_uid is not None
            found.append(
                Finding(
                    "frame of reference",
                    same_place,
                    "read from the DICOM file" if same_place else "the DICOM file behind the slice cannot be read",
                    "Run the agent on the machine that holds the OsiriX database; else second viewers are refused.",
                )
            )
        except OsirixAgentError as error:
            found.append(Finding("viewer", False, error.what, error.cure))
        return found
    finally:
        connection.close()


def _state_folder(settings: Settings) -> Finding:
    try:
        Pseudonyms.at(settings.state_dir)
    except OsirixAgentError as error:
        return Finding("state folder", False, error.what, error.cure)
    mode = os.stat(settings.state_dir / "site.key").st_mode & 0o777
    if mode & 0o077:
        return Finding(
            "state folder", False, "the site key can be read by others", "chmod 600 the file site.key in it."
        )
    return Finding("state folder", True, "writable; the site key is readable by its owner only")


def _disk(settings: Settings) -> Finding:
    folder = settings.state_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > MIN_FREE_BYTES, f"{free / 1e9:.1f} GB free", "Free at least 1 GB for journals.")

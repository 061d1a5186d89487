"""What keeps a server running: a systemd unit, a launchd agent. Printed, so that whoever runs the machine reads it."""

from __future__ import annotations

import getpass
import plistlib
import shlex
from pathlib import Path

LABEL = "org.osirix-agent.serve"
MARGIN_S = 15  # to hang up, after the requests were finished
LOG = "Library/Logs/osirix-agent-serve.log"


def systemd_unit(command: list[str], grace_s: float) -> str:
    """A system unit; nothing of an image reaches the disk by swap or core dump, and little else can be written.

    Parameters
    ----------
    command : absolute path of osirix-agent, and its arguments
    grace_s : serve_grace_s
    """
    line = shlex.join(command).replace("%", "%%")
    return f"""[Unit]
Description=osirix-agent segmenter
Documentation=https://github.com/osirix-agent/osirix-agent/tree/main/docs
Wants=network-online.target
After=network-online.target

[Service]
User={getpass.getuser()}
ExecStart={line}
Restart=on-failure
RestartSec=2
TimeoutStopSec={grace_s + MARGIN_S:.0f}
UMask=0077
LimitCORE=0
MemorySwapMax=0
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
"""


def launchd_agent(command: list[str], grace_s: float) -> str:
    """A launchd agent; parameters as of `systemd_unit`."""
    return plistlib.dumps({
        "Label": LABEL, "ProgramArguments": command, "RunAtLoad": True, "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 2, "ExitTimeOut": int(grace_s + MARGIN_S), "ProcessType": "Interactive", "Umask": 0o077,
        "SoftResourceLimits": {"Core": 0}, "HardResourceLimits": {"Core": 0},
        "StandardErrorPath": str(Path.home() / LOG),
    }).decode()  # fmt: skip

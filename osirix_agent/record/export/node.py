"""Files to a DICOM node by C-STORE (PS3.4 B), by pynetdicom. The files stay where they are whatever the node does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from osirix_agent.errors import ExportError, SettingsError

_NODE = re.compile(r"^(?P<title>[\x20-\x5b\x5d-\x7e]{1,16})@(?P<host>[^@\s]+):(?P<port>\d{1,5})$")
SUCCESS, WARNINGS = 0x0000, range(0xB000, 0xC000)


@dataclass(frozen=True)
class Node:
    """Application entity title and address."""

    title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Node:
        """`TITLE@host:port`."""
        match = _NODE.match(text)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise SettingsError(f"'{text}' is no DICOM node.", "Write TITLE@host:port, the title with 1 to 16 letters.")
        return cls(match["title"], match["host"].strip("[]"), int(match["port"]))


def send(files: Sequence[Path], node: Node, calling: str, deadline_s: float) -> None:
    """Store files at a node, one after the other.

    Parameters
    ----------
    calling : this side's application entity title
    deadline_s : for the connection, the association and each file's answer

    Raises
    ------
    ExportError
        The package is missing, the node is not there, refuses, stalls or goes away; the message says how many files
        it had confirmed.
    """
    try:
        from pynetdicom import AE
    except ImportError:
        raise ExportError(
            "Sending to a DICOM node needs the package pynetdicom.", "Install it: pip install 'osirix-agent[dicom]'."
        ) from None
    read = [pydicom.dcmread(path) for path in files]
    entity = AE(ae_title=calling)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = deadline_s
    for sop_class in dict.fromkeys(str(ds.SOPClassUID) for ds in read):
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    link = entity.associate(node.host, node.port, ae_title=node.title)
    if not link.is_established:
        why = "refused the association" if link.is_rejected else f"did not answer within {deadline_s:g} s"
        raise _failed(node, f"{why} or is not there" if not link.is_rejected else why, 0, len(read))
    sent = 0
    try:
        for ds in read:
            try:
                status = link.send_c_store(ds).get("Status")
            except ValueError:
                raise _failed(node, f"does not take {ds.get('Modality', 'such')} objects", sent, len(read)) from None
            except RuntimeError:
                status = None
            if status is None:
                why = f"did not answer within {deadline_s:g} s, or went away"
                raise _failed(node, why, sent, len(read))
            if status != SUCCESS and status not in WARNINGS:
                raise _failed(node, f"refused a file (status 0x{status:04X})", sent, len(read))
            sent += 1
    finally:
        if link.is_established and sent == len(read):
            link.release()
        else:
            link.abort()


def _failed(node: Node, why: str, sent: int, total: int) -> ExportError:
    return ExportError(
        f"The DICOM node {node.title} {why}; it confirmed {sent} of {total} files, and all are still in the folder.",
        "Check its title, address and what it accepts, then export again.",
    )

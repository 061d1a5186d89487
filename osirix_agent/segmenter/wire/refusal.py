"""How the server's "no" becomes the same error on the other side."""

from __future__ import annotations

from typing import Any

from osirix_agent.errors import (
    BusyError,
    CertificateError,
    DamagedError,
    ModelError,
    OsirixAgentError,
    PromptError,
    RemoteError,
    SupersededError,
    UnreachableError,
    UnsupportedSeriesError,
    VersionError,
)
from osirix_agent.segmenter.wire import segmenter_pb2 as pb

KEY = "refusal-bin"
LONGEST = 1000  # characters of a sentence; HTTP/2 servers take 8 KiB of metadata


class LeaseEndedError(RemoteError):
    """The session's lease has ended: open another and ask again."""


class VolumeMissingError(RemoteError):
    """The server does not hold the volume: upload it and ask again."""


_ERRORS: dict[int, type[OsirixAgentError]] = {
    pb.Refusal.PROMPT: PromptError,
    pb.Refusal.SERIES: UnsupportedSeriesError,
    pb.Refusal.MODEL: ModelError,
    pb.Refusal.LEASE: LeaseEndedError,
    pb.Refusal.VOLUME: VolumeMissingError,
    pb.Refusal.DAMAGED: DamagedError,
    pb.Refusal.BUSY: BusyError,
    pb.Refusal.VERSION: VersionError,
    pb.Refusal.SUPERSEDED: SupersededError,
    pb.Refusal.STOPPING: UnreachableError,
    pb.Refusal.STRANGER: CertificateError,
}


def write_refusal(error: Exception) -> pb.Refusal:
    """The message of an error; what was not raised on purpose says no more than its type."""
    for kind, type_ in _ERRORS.items():
        if type(error) is type_ and isinstance(error, OsirixAgentError):
            return pb.Refusal(kind=kind, what=error.what[:LONGEST], cure=error.cure[:LONGEST])  # type: ignore[arg-type]
    if isinstance(error, OsirixAgentError):
        return pb.Refusal(kind=pb.Refusal.FAILED, what=error.what[:LONGEST], cure=error.cure[:LONGEST])
    return pb.Refusal(
        kind=pb.Refusal.FAILED, what=f"The segmenter failed on its server ({type(error).__name__}).",
        cure="Undo the last prompt and try another; if it goes on, tell whoever runs the server.",
    )  # fmt: skip


def read_refusal(metadata: Any) -> OsirixAgentError | None:
    """The error in a call's trailing metadata; None: the server said nothing."""
    for key, value in metadata or ():
        if key == KEY:
            message = pb.Refusal.FromString(value)
            return _ERRORS.get(message.kind, RemoteError)(message.what, message.cure)
    return None

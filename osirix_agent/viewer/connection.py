"""Find the osirixgrpc server, and call it with deadlines and errors that say what to do."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from osirixgrpc import utilities_pb2
from osirixgrpc.osirix_pb2_grpc import OsiriXServiceStub

from osirix_agent.errors import (
    NoServerError,
    ViewerClosedError,
    ViewerError,
    ViewerRefusedError,
    ViewerTimeoutError,
)
from osirix_agent.settings import Settings
from osirix_agent.viewer.wire import read_image

DEFAULT_ADDRESS = "127.0.0.1:50051"
MAX_MESSAGE = 512 * 1024 * 1024
IN_FLIGHT = 8

START_CURE = (
    "Start OsiriX, then Plugins > Database > osirixgrpc > Server Configuration, and start the server there; "
    "without OsiriX, run 'osirix-agent virtual-osirix --dicom FOLDER'."
)


def plugin_config_file(home: Path | None = None) -> Path:
    return (home or Path.home()) / "Library" / "Application Support" / "OsiriXGRPC" / "server_configs.json"


def candidate_addresses(settings: Settings, home: Path | None = None) -> list[tuple[str, str]]:
    """(address, where it comes from), in the order of trying: flag or environment, plugin's file, default port."""
    if settings.server:
        return [(settings.server, "the settings")]
    found = []
    try:
        for row in json.loads(plugin_config_file(home).read_text()):
            if isinstance(row, dict) and row.get("active") == "YES":  # the plugin writes strings, not booleans
                found.append((f"{row['ipaddress']}:{row['port']}", "the plugin's server_configs.json"))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return [*found, (DEFAULT_ADDRESS, "the default port")]


class OsirixConnection:
    """A channel to one server.

    Parameters
    ----------
    address : str
        host:port; nothing is sent before the first call.
    channel : grpc.Channel or None
        Another way to the server than a plaintext one to the address.
    """

    def __init__(self, address: str, settings: Settings, *, channel: Any | None = None) -> None:
        self.address = address
        self.deadline_s = settings.rpc_deadline_s
        self.ping_deadline_s = settings.ping_deadline_s
        self.rpc_count = 0
        self._channel = channel or grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_send_message_length", MAX_MESSAGE),
                (
                    "grpc.max_receive_message_length",
                    MAX_MESSAGE,
                ),  # the default of 4 MiB refuses 1024 x 1024 slices
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self._stub = OsiriXServiceStub(self._channel)

    @classmethod
    def find(cls, settings: Settings, home: Path | None = None) -> OsirixConnection:
        """The first candidate that answers a ping.

        Raises
        ------
        NoServerError
            None answers; the message names every place tried.
        """
        tried = []
        for address, source in candidate_addresses(settings, home):
            connection = cls(address, settings)
            try:
                connection.ping()
                return connection
            except ViewerError:
                connection.close()
                tried.append(f"{address} (from {source})")
        raise NoServerError(f"No OsiriX server answers at {', '.join(tried)}.", START_CURE)

    def ping(self) -> str:
        """Name and version of what answers, e.g. 'OsiriX MD 14.1'."""
        answer = self.call("OsirixVersion", utilities_pb2.Empty(), deadline_s=self.ping_deadline_s)
        return f"{answer.bundle_name} {answer.version}"

    def call(self, rpc: str, request: Any, *, deadline_s: float | None = None) -> Any:
        """One call; status 0 and gRPC failures become exceptions."""
        self.rpc_count += 1
        deadline = deadline_s or self.deadline_s
        try:
            answer = getattr(self._stub, rpc)(request, timeout=deadline)
        except grpc.RpcError as error:
            raise _translated(error, rpc, deadline) from None
        _check(answer, rpc)
        return answer

    def call_many(self, rpc: str, requests: Sequence[Any]) -> Iterator[Any]:
        """The same call for many requests, a few in flight at a time; answers in order."""
        for answer in self._fly(getattr(self._stub, rpc), rpc, requests):
            _check(answer, rpc)
            yield answer

    def images(self, pixes: Sequence[Any]) -> Iterator[tuple[Any, npt.NDArray[np.float32]]]:
        """DCMPixImage of many slices: (answer without its floats, floats as a view of the received bytes)."""
        raw = self._channel.unary_unary(
            "/osirixgrpc.OsiriXService/DCMPixImage",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=lambda data: data,
        )
        for data in self._fly(raw, "DCMPixImage", pixes):
            answer, values = read_image(data)
            _check(answer, "DCMPixImage")
            yield answer, values

    def _fly(self, method: Any, rpc: str, requests: Sequence[Any]) -> Iterator[Any]:
        flying: deque[Any] = deque()
        waiting = iter(requests)
        try:
            for _ in requests:
                for request in islice(waiting, IN_FLIGHT - len(flying)):
                    flying.append(method.future(request, timeout=self.deadline_s))
                    self.rpc_count += 1
                yield flying.popleft().result()
        except grpc.RpcError as error:
            raise _translated(error, rpc, self.deadline_s) from None
        finally:
            for call in flying:
                call.cancel()

    def become(self, other: OsirixConnection) -> None:
        """Go on over the channel of another connection, for all who hold this one."""
        self._channel.close()
        self.address, self._channel, self._stub = other.address, other._channel, other._stub

    def close(self) -> None:
        self._channel.close()


def _check(answer: Any, rpc: str) -> None:
    if answer.status.status == 1:
        return
    message = answer.status.message
    if message.endswith("cached"):
        raise ViewerClosedError(
            "The viewer, or something in it, is no longer there.",
            "Open the series again in a 2D viewer; a running session then goes on by itself.",
        )
    raise ViewerRefusedError(
        f"OsiriX refused {rpc}: {message or 'no reason given'}.", "Check the viewer and try again."
    )


def _translated(error: grpc.RpcError, rpc: str, deadline_s: float) -> ViewerError:
    code = error.code() if hasattr(error, "code") else None
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return ViewerTimeoutError(
            f"OsiriX did not answer {rpc} within {deadline_s:g} s.",
            "Close any open dialog in OsiriX and wait until it responds.",
        )
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return ViewerRefusedError(f"The server does not know {rpc}.", "Update the osirixgrpc plugin.")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ViewerRefusedError(f"The answer to {rpc} is larger than 512 MiB.", "Open a smaller series.")
    return NoServerError("The connection to OsiriX is lost.", START_CURE)

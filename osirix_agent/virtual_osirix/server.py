"""Serve a `VirtualOsirix` over gRPC, as the plugin does: plaintext, loopback only, 512 MiB messages."""

from __future__ import annotations

import json
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import message_factory
from osirixgrpc import osirix_pb2, utilities_pb2

from osirix_agent.virtual_osirix.app import Unavailable, VirtualOsirix
from osirix_agent.virtual_osirix.service import StatusError
from osirix_agent.virtual_osirix.service_browser import BrowserService
from osirix_agent.virtual_osirix.service_database import DatabaseService
from osirix_agent.virtual_osirix.service_pixels import PixService, RoiService
from osirix_agent.virtual_osirix.service_viewer import ViewerService
from osirix_agent.virtual_osirix.service_volume import RoiVolumeService, VolumeService

SERVICE = "osirixgrpc.OsiriXService"
ROOMS = (ViewerService, PixService, RoiService, DatabaseService, BrowserService, VolumeService, RoiVolumeService)
UNMODELLED = {
    "VRControllerROIVolumes": "which ROIs OsiriX turns into volumes, and their meshes, is not known",
}
MAX_MESSAGE = 512 * 1024 * 1024


class VirtualServer:
    """A running server; use as a context manager.

    Parameters
    ----------
    app : VirtualOsirix
    port : int
        0 takes a free one; `address` tells which.
    """

    def __init__(self, app: VirtualOsirix, port: int = 0) -> None:
        self.app = app
        options = [
            ("grpc.max_send_message_length", MAX_MESSAGE),
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        self._server.add_generic_rpc_handlers((_Handlers(app),))
        try:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port} of 127.0.0.1 cannot be used; choose another one with --port") from error
        self.address = f"127.0.0.1:{self.port}"
        app.on_crash = lambda: self._server.stop(None)

    def start(self) -> VirtualServer:
        self._server.start()
        return self

    def stop(self) -> None:
        self._server.stop(None).wait()

    def wait(self) -> None:
        self._server.wait_for_termination()

    def __enter__(self) -> VirtualServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def write_config(self, home: Path) -> Path:
        """Write the plugin's server_configs.json below a (fake) home folder: all values are strings."""
        path = home / "Library" / "Application Support" / "OsiriXGRPC" / "server_configs.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        config = [{"ipaddress": "127.0.0.1", "port": str(self.port), "active": "YES"}]
        path.write_text(json.dumps(config))
        return path


class _Handlers(grpc.GenericRpcHandler):
    """Every modelled RPC by name; a handler may answer with a message or with its serialised bytes."""

    def __init__(self, app: VirtualOsirix) -> None:
        self._app = app
        rooms = [room(app) for room in ROOMS]
        self._methods: dict[str, Any] = {}
        for method in osirix_pb2.DESCRIPTOR.services_by_name["OsiriXService"].methods:
            owner = next((room for room in rooms if hasattr(room, method.name)), None)
            if owner is not None:
                self._methods[f"/{SERVICE}/{method.name}"] = self._handler(method, getattr(owner, method.name))

    def service(self, handler_call_details: Any) -> Any:
        return self._methods.get(handler_call_details.method)

    def _handler(self, method: Any, act: Any) -> Any:
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)

        def call(request: Any, context: Any) -> Any:
            try:
                return answered(request)
            except Unavailable:
                if context is None:
                    raise
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

        def answered(request: Any) -> Any:
            if self._app.crashed:
                raise Unavailable
            if self._app.before_rpc is not None:
                self._app.before_rpc(method.name)
            with self._app.main_thread:
                self._app.rpc_counts[method.name] += 1
                try:
                    answer = act(request)
                except StatusError as refusal:
                    answer = response_class(status=utilities_pb2.Status(status=0, message=str(refusal)))
            if self._app.after_rpc is not None:
                self._app.after_rpc(method.name)
            if self._app.crashed:
                raise Unavailable
            return answer

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request_class.FromString,
            response_serializer=lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString(),
        )


class DirectChannel:
    """The service without a network: messages are still serialised and parsed, calls are made in place.

    Has what a stub needs of a `grpc.Channel`; for long runs of many small calls.
    """

    def __init__(self, app: VirtualOsirix) -> None:
        self._methods = _Handlers(app)._methods

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> _DirectCall:
        del options
        return _DirectCall(self._methods.get(method), request_serializer, response_deserializer)

    def close(self) -> None:
        """Nothing to close."""


class _DirectCall:
    def __init__(self, handler: Any, serialise: Any, parse: Any) -> None:
        self._handler, self._serialise, self._parse = handler, serialise, parse

    def __call__(self, request: Any, timeout: float | None = None) -> Any:
        del timeout
        handler = self._handler
        answer = handler.unary_unary(handler.request_deserializer(self._serialise(request)), None)
        return self._parse(handler.response_serializer(answer))

    def future(self, request: Any, timeout: float | None = None) -> futures.Future[Any]:
        done: futures.Future[Any] = futures.Future()
        done.set_result(self(request, timeout))
        return done


def modelled_rpcs(app: VirtualOsirix | None = None) -> dict[str, bool]:
    """Each of the service's RPCs and whether it is modelled; the others answer UNIMPLEMENTED."""
    held = _Handlers(app or VirtualOsirix())._methods
    service = osirix_pb2.DESCRIPTOR.services_by_name["OsiriXService"]
    return {method.name: f"/{SERVICE}/{method.name}" in held for method in service.methods}

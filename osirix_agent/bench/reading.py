"""viewer.read: a volume through our client, beside the same messages moved raw, and beside pyosirix."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from osirixgrpc import types_pb2

from osirix_agent.bench.study import big_study, served
from osirix_agent.figures import Figure, failed
from osirix_agent.settings import load_settings
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.viewer.connection import IN_FLIGHT, MAX_MESSAGE, OsirixConnection

SLICES, RUNS, PEER_RUNS = 200, 9, 3
REACH = "at most 1.5 x raw gRPC; no slower than pyosirix"


def measure(folder: Path, seed: int) -> list[Figure]:
    del seed
    big_study(folder, SLICES)
    with served(folder) as address:
        settings = load_settings(server=address, rpc_deadline_s=30)
        connection = OsirixConnection.find(settings)
        viewer = OsirixViewer.frontmost(connection, settings)
        uids = list(viewer._pix_uids)
        ours, raw = [], []
        for _ in range(RUNS + 1):
            raw.append(_timed(lambda: _move_raw(address, uids)))
            ours.append(_timed(viewer.read_volume))
        ours, raw = ours[1:], raw[1:]  # the first pair pays for the server's serialising and for fresh memory
        rows = [_row("viewer.read", ours, raw, "raw gRPC, undecoded", 1.5)]
        try:
            theirs = [_timed(lambda: _pyosirix(address)) for _ in range(PEER_RUNS)]
            rows.append(_row("viewer.read.pyosirix", ours[:PEER_RUNS], theirs, "pyosirix 0.2.1b6", 1.0))
        except ImportError:
            rows.append(failed("viewer.read.pyosirix", "s", REACH, "pyosirix is not installed (pip install .[test])"))
        connection.close()
    return rows


def _row(id_: str, ours: list[float], theirs: list[float], peer: str, limit: float) -> Figure:
    value = float(np.median(ours))
    ratio = float(np.median(np.array(ours) / np.array(theirs)))
    return Figure(
        id=id_, value=value, unit="s", interval=(min(ours), max(ours)), n=len(ours), peer=peer, ratio=ratio,
        reach=f"at most {limit:g} x", holds=ratio <= limit,
        note=f"512 x 512 x {SLICES}; ratio: median over pairs; interval: min and max",
    )  # fmt: skip


def _timed(act: Any) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _move_raw(address: str, uids: list[str]) -> int:
    """The same requests, as many in flight, answers left as bytes."""
    options = [("grpc.max_receive_message_length", MAX_MESSAGE)]
    with grpc.insecure_channel(address, options=options) as channel:
        call = channel.unary_unary(
            "/osirixgrpc.OsiriXService/DCMPixImage",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=lambda b: b,
        )
        flying: list[Any] = []
        total = 0
        for uid in uids:
            if len(flying) == IN_FLIGHT:
                total += len(flying.pop(0).result())
            flying.append(call.future(types_pb2.DCMPix(osirixrpc_uid=uid)))
        return total + sum(len(f.result()) for f in flying)


def _pyosirix(address: str) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it connects when imported, and says that nothing answers
        import osirix

    host, port = address.split(":")
    service = osirix.osirix_utilities.OsirixService(domain=host, port=int(port))
    service.start_service()
    viewer = osirix.osirix_utilities.Osirix(service).frontmost_viewer()
    volume = np.stack([pix.image for pix in viewer.pix_list(0)])
    service.channel.close()
    return volume

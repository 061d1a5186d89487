"""serve: a segmenter asked over loopback with TLS beside the same one asked here; an upload beside a raw TLS socket."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from osirix_agent.figures import Figure, failed
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.remote import RemoteSegmenter
from osirix_agent.segmenter.wire.pairing import read_pairing
from osirix_agent.settings import load_settings
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, make_phantom

REACH_PROPOSE = "at most 1.15 x local"
REACH_UPLOAD = "at most 1.5 x a raw TLS socket"
PAIRS, UPLOADS = 100, 11
AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
LENGTH = 8  # bytes that say how long what follows is


def measure(
    seed: int, advance: Callable[[int], object] = lambda _: None, pairs: int = PAIRS, uploads: int = UPLOADS,
    shape_kji: tuple[int, int, int] = (200, 512, 512),
) -> list[Figure]:  # fmt: skip
    """Both rows; each pair is measured one after the other, the server in a process of its own."""
    try:
        from osirix_agent.segmenter.server.tls import init_tls

        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "serve"
            init_tls(folder, datetime.now(UTC))
            with _server(folder) as address:
                settings = load_settings(segmenter=address, pairing=folder / "agent.pairing", remote_deadline_s=300)
                remote = RemoteSegmenter(settings)
                rows = _proposals(remote, seed, pairs, advance)
                rows.append(_upload(remote, folder, seed, uploads, shape_kji, advance))
                remote.close()
                return rows
    except Exception as error:  # the rows are there whatever happens; the reason stands in them
        why = f"{type(error).__name__}: {error}"
        return [failed("remote.click", "s", REACH_PROPOSE, why), failed("remote.upload", "s", REACH_UPLOAD, why)]


def _proposals(remote: RemoteSegmenter, seed: int, pairs: int, advance: Callable[[int], object]) -> list[Figure]:
    recipe = PhantomRecipe(shape_kji=(32, 120, 120), spacing_kji_mm=(3.0, 2.0, 2.0))
    image, truth = make_phantom(recipe)
    geometry = Geometry(recipe.shape_kji, (0.0, 0.0, 0.0), recipe.spacing_kji_mm, AXES)
    volume = Volume(image.astype(np.float32), geometry, "CT")
    local, rng = ClassicalSegmenter(), np.random.default_rng(seed)
    inside = np.argwhere(truth)
    here, there = [], []
    remote.look(volume)
    for n in range(pairs + 1):
        x, y, z = (float(v) for v in geometry.to_lps(inside[rng.integers(len(inside))]))
        request = SegmentationRequest(volume, "GTV", (PointPrompt(position_lps=(x, y, z)),))
        at_home, ours = _timed(partial(local.propose, request))
        away, theirs = _timed(partial(remote.propose, request))
        if ours.mean_logit.tobytes() != theirs.mean_logit.tobytes():
            raise RuntimeError("the remote answer differs from the local one")
        if n:  # the first pair pays for imports and fresh memory
            here.append(at_home)
            there.append(away)
        advance(1)
    rows = []
    for id_, share in (("remote.click", 50), ("remote.click.p95", 95)):
        value, peer = float(np.percentile(there, share)), float(np.percentile(here, share))
        rows.append(
            Figure(
                id=id_, value=value, unit="s", interval=(min(there), max(there)), n=pairs, peer=f"local, {peer:.4g} s",
                ratio=value / peer, reach=REACH_PROPOSE, holds=value <= 1.15 * peer,
                note="classical segmenter, one click on the phantom; answers equal bit by bit; interval: min and max",
            )
        )  # fmt: skip
    return rows


def _upload(
    remote: RemoteSegmenter, folder: Path, seed: int, uploads: int, shape_kji: tuple[int, int, int],
    advance: Callable[[int], object],
) -> Figure:  # fmt: skip
    """From a volume here to a volume there, its digest checked; beside its int16 bytes through a TLS socket."""
    geometry = Geometry(shape_kji, (0.0, 0.0, 0.0), (2.5, 0.8, 0.8), AXES)
    values = np.random.default_rng(seed).integers(-1000, 1500, shape_kji, np.int16)
    raw = values.tobytes()
    ours, theirs = [], []
    with _sink(folder) as port:
        for n in range(uploads + 1):
            values[0, 0, 0] = n  # another volume, so that it is sent again
            volume = Volume(values.astype(np.float32), geometry, "CT")
            assert volume.digest  # the agent works it out at a session's start, whoever segments
            theirs.append(_timed(lambda: _send_raw(folder, port, raw))[0])
            ours.append(_timed(partial(remote.look, volume))[0])
            advance(1)
    ours, theirs = ours[1:], theirs[1:]
    ratio = float(np.median(np.array(ours) / np.array(theirs)))
    k, j, i = shape_kji
    return Figure(
        id="remote.upload", value=float(np.median(ours)), unit="s", interval=(min(ours), max(ours)), n=uploads,
        peer=f"raw TLS socket, {np.median(theirs):.4g} s", ratio=ratio, reach=REACH_UPLOAD, holds=ratio <= 1.5,
        note=f"{j} x {i} x {k} int16; its digest is worked out there beside, before any answer; ratio: median over "
             "pairs; interval: min and max",
    )  # fmt: skip


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = act()
    return time.perf_counter() - began, found


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "osirix_agent.cli", "serve", "--tls", str(folder), "--port", "0",
               "--segmenter", "classical"]  # fmt: skip
    with _child(command) as line:
        yield next(word.rstrip(";") for word in line.split() if word.startswith("grpcs://"))


@contextmanager
def _sink(folder: Path) -> Iterator[int]:
    """Port of a TLS socket in another process that reads what it is sent and says that it has it."""
    with _child([sys.executable, "-m", "osirix_agent.bench.serving", str(folder)]) as line:
        yield int(json.loads(line)["port"])


@contextmanager
def _child(command: list[str]) -> Iterator[str]:
    """The first line that a process writes; it is stopped afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        yield line
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _send_raw(folder: Path, port: int, raw: bytes) -> None:
    pairing = read_pairing(folder / "agent.pairing")
    context = ssl.create_default_context(cadata=pairing.authority.decode())
    context.load_cert_chain(pairing.path)
    plain = socket.create_connection(("127.0.0.1", port))
    with context.wrap_socket(plain, server_hostname="osirix-agent-segmenter") as secure:
        secure.sendall(len(raw).to_bytes(LENGTH, "big"))
        secure.sendall(raw)
        if secure.recv(1) != b"!":
            raise RuntimeError("the raw socket did not take it")


def _listen(folder: Path) -> None:
    """The other end of `_send_raw`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "authority.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        while True:
            with context.wrap_socket(listening.accept()[0], server_side=True) as secure:
                length, got = int.from_bytes(secure.recv(LENGTH), "big"), 0
                room = bytearray(length)
                view = memoryview(room)
                while got < length:
                    got += secure.recv_into(view[got:])
                secure.sendall(b"!")


if __name__ == "__main__":
    _listen(Path(sys.argv[1]))

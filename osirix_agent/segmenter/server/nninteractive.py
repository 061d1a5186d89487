"""nnInteractive's HTTP session API over our segmenter: its clients (napari, Slicer, Python) work unchanged.

On this machine only: their client shows no certificate, and nothing goes beyond this machine without one. With
NN_INTERACTIVE_API_KEY set, on both sides, its key is asked for too. Leases, quotas and the queue are the server's.
What they send is indexed (k, j, i); spacing is taken from `image_properties`, else 1 mm. An interaction that cannot
be acted on is refused and leaves the session as it was; undo has no end.
"""

from __future__ import annotations

import hmac
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import BusyError, OsirixAgentError, PromptError, SettingsError, UnsupportedSeriesError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import Polarity, Prompt
from osirix_agent.segmenter import voxels
from osirix_agent.segmenter.protocol import LooksAhead, SegmentationRequest
from osirix_agent.segmenter.server.leases import Session
from osirix_agent.segmenter.server.service import SegmenterService
from osirix_agent.segmenter.wire.dialling import is_loopback
from osirix_agent.segmenter.wire.nnia import library, pack_nnia, unpack_nnia
from osirix_agent.segmenter.wire.refusal import LeaseEndedError, write_refusal

LONGEST_HEAD = 65_536  # bytes of JSON
BODY_S = 60.0  # of silence in a request
KINDS = {"points": True, "bbox2d": True, "bbox3d": False, "scribble": True, "lasso": True}
AIR_HU = -500  # a series that goes below is CT: its header does not travel

Mask = npt.NDArray[np.bool_]


@dataclass
class _State:
    """What a client has told so far."""

    lease: Session
    digest: str = ""
    geometry: Geometry | None = None
    prompts: tuple[Prompt, ...] = ()
    mask: Mask | None = None
    before: list[tuple[tuple[Prompt, ...], Mask | None]] = field(default_factory=list)
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)


class NnInteractiveDoor:
    """The HTTP side of a service.

    Parameters
    ----------
    structure : what requests call it
    port : 0 takes a free one

    Raises
    ------
    SettingsError
        blosc2 is missing, or the port is taken.
    """

    def __init__(self, service: SegmenterService, structure: str, port: int) -> None:
        library()
        self.service, self.structure, self.key = service, structure, os.environ.get("NN_INTERACTIVE_API_KEY", "")
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()
        try:
            self._http = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, self))
        except OSError:
            raise SettingsError(f"Port {port} is taken.", "Choose another with --nninteractive.") from None
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.1,), daemon=True, name="nninteractive")
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    # -- sessions --------------------------------------------------------------------------------------------------
    def claim(self) -> dict[str, Any]:
        client = f"nninteractive-{os.urandom(6).hex()}"  # each a client of its own: its image goes with its lease
        lease = self.service.open_lease(client)
        with self._lock:
            self._states = {t: s for t, s in self._states.items() if self.service.leases.holds(s.lease)}
            self._states[lease.key.hex()] = _State(lease)
        ends = self.service.leases
        return {"lease_token": lease.key.hex(), "idle_timeout_seconds": ends.idle_s,
                "liveness_timeout_seconds": ends.liveness_s}  # fmt: skip

    def state(self, token: str, *, used: bool) -> _State:
        """Raises LeaseEndedError."""
        with self._lock:
            state = self._states.get(token)
        if state is None or not self.service.leases.find(state.lease.key, state.lease.client, used=used):
            raise LeaseEndedError("The session has ended.", "Connect again.")
        return state

    def release(self, state: _State) -> None:
        with self._lock:
            self._states.pop(state.lease.key.hex(), None)
        self.service.end_lease(state.lease)

    def remaining(self, state: _State) -> dict[str, float]:
        return {"remaining_seconds": self.service.leases.left_s(state.lease),
                "idle_timeout_seconds": self.service.leases.idle_s}  # fmt: skip

    def capabilities(self) -> dict[str, Any]:
        pair = {name: [2 * n + 1, 2 * n + 2] for n, name in enumerate(("bbox2d", "bbox3d", "points", "scribble"))}
        return {
            "supported_interactions": KINDS, "channel_mapping": {"prev_seg": 0, "lasso": pair["bbox2d"], **pair},
            "num_interaction_channels": 9, "supports_initial_label": True, "supports_undo": True,
            "supports_zero_shot_label_refinement": True, "preferred_scribble_thickness": [2, 2, 2],
            "interaction_decay": 1.0, "inference_session_version": 2, "license": None, "do_autozoom": False,
        }  # fmt: skip

    # -- what a session does ---------------------------------------------------------------------------------------
    def set_image(self, state: _State, image: npt.NDArray[Any], meta: dict[str, Any]) -> dict[str, Any]:
        if image.ndim != 4 or image.shape[0] != 1 or min(image.shape) < 1 or image.dtype == bool:
            raise UnsupportedSeriesError("The image is not one channel in three dimensions.", "Send one series.")
        values = np.ascontiguousarray(image[0], np.float32)
        a, b, c = values.shape
        given = (meta.get("image_properties") or {}).get("spacing") or (1.0, 1.0, 1.0)
        spacing = [float(v) for v in given]
        if len(spacing) != 3 or not all(np.isfinite(spacing)) or min(spacing) <= 0:
            raise UnsupportedSeriesError("The image's spacing is not three lengths.", "Send it in mm, or none.")
        axes = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
        geometry = Geometry((a, b, c), (0.0, 0.0, 0.0), (spacing[0], spacing[1], spacing[2]), axes)
        volume = Volume(values, geometry, "CT" if float(values.min()) < AIR_HU else "OT")
        self.service.volumes.put(state.lease.client, volume)
        state.digest, state.geometry, state.prompts, state.mask, state.before = volume.digest, geometry, (), None, []
        if isinstance(self.service.segmenter, LooksAhead):
            self.service.queue.put(state.lease.name, partial(self.service.segmenter.look, volume))
        return {"original_image_shape": list(image.shape)}

    def add(self, state: _State, prompts: list[Prompt], run: bool) -> tuple[dict[str, Any], bytes]:
        """Take prompts in, and answer where it is asked for; what cannot be acted on leaves nothing behind."""
        told = (*state.prompts, *prompts)
        mask = self._answer(state, told) if run else state.mask
        return self._show(state, told, mask, ran=run)

    def begin_from(self, state: _State, mask: Mask, run: bool) -> tuple[dict[str, Any], bytes]:
        geometry = _geometry(state)
        if mask.shape != geometry.shape_kji:
            raise PromptError("The segmentation has not the image's shape.", "Send one of the same image.")
        told = (voxels.outline(geometry, mask, Polarity.INCLUDE),) if mask.any() else ()
        found = self._answer(state, told) if run and told else mask
        state.mask = mask  # their client shows it already
        return self._show(state, told, found, ran=run)

    def undo(self, state: _State) -> tuple[dict[str, Any], bytes]:
        if not state.before:
            return {"ran_prediction": False}, b""
        prompts, mask = state.before.pop()
        found = self._show(state, prompts, mask, ran=True)
        state.before.pop()  # what was undone is gone
        return found

    def reset(self, state: _State) -> None:
        state.prompts, state.mask, state.before = (), None, []

    def _answer(self, state: _State, prompts: tuple[Prompt, ...]) -> Mask:
        volume = self.service.volumes.get(state.lease.client, state.digest)
        if volume is None:
            raise PromptError("There is no image, or it was given up for another's.", "Set the image (again).")
        request = SegmentationRequest(volume, self.structure, prompts)
        job = self.service.queue.put(state.lease.name, partial(self.service.segmenter.propose, request), request.digest)
        while not job.wait(1.0):
            pass
        return job.result().mask()

    def _show(
        self, state: _State, prompts: tuple[Prompt, ...], mask: Mask | None, *, ran: bool
    ) -> tuple[dict[str, Any], bytes]:
        """Keep where the session is now; the box that changed in what the client sees, and what is in it."""
        shape = _geometry(state).shape_kji
        new, old = (np.zeros(shape, bool) if m is None else m for m in (mask, state.mask))
        state.before.append((state.prompts, state.mask))
        state.prompts, state.mask = prompts, mask
        changed = np.argwhere(new != old)
        if not ran or not len(changed):
            return {"ran_prediction": ran, "bbox": None}, b""
        low, high = changed.min(0), changed.max(0) + 1
        part = new[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.uint8)
        bounds = [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
        return {"ran_prediction": True, "bbox": bounds, "dtype": "uint8", "shape": list(part.shape)}, pack_nnia(part)


def _geometry(state: _State) -> Geometry:
    if state.geometry is None:
        raise PromptError("There is no image yet.", "Set the image first.")
    return state.geometry


class _Handler(BaseHTTPRequestHandler):
    """One connection. Refusals are {"detail": why, and what to do}: 400, 401 the key, 410 the lease, 503 busy."""

    protocol_version = "HTTP/1.1"
    timeout = BODY_S

    def __init__(self, door: NnInteractiveDoor, *args: Any) -> None:
        self._door = door
        super().__init__(*args)

    def log_message(self, *_: Any) -> None:
        """The service tells what is worth telling."""

    def do_GET(self) -> None:
        self._handle({"/healthz": self._health, "/capabilities": self._capabilities, "/lease_status": self._left})

    def do_POST(self) -> None:
        self._handle({
            "/claim": self._claim, "/release": self._release, "/heartbeat": self._left, "/set_image": self._set_image,
            "/set_target_buffer": self._nothing, "/set_do_autozoom": self._nothing,
            "/reset_interactions": self._in_turn(lambda state, _: self._door.reset(state)),
            "/undo": self._in_turn(lambda state, _: self._door.undo(state)),
            "/predict": self._in_turn(lambda state, _: self._door.add(state, [], run=True)),
            "/add_point_interaction": self._in_turn(self._point), "/add_bbox_interaction": self._in_turn(self._box),
            "/add_scribble_interaction": self._in_turn(partial(self._drawn, voxels.strokes)),
            "/add_lasso_interaction": self._in_turn(partial(self._drawn, _outlined)),
            "/add_initial_seg_interaction": self._in_turn(self._begin_from),
        })  # fmt: skip

    def _handle(self, acts: dict[str, Callable[[], Any]]) -> None:
        self._body: bytes | None = None
        code, meta, answer = 200, None, b"{}"
        try:
            self._check_caller()
            act = acts.get(self.path)
            if act is None:
                code, answer = 404, b'{"detail": "There is no such path."}'
            else:
                found = act()
                if isinstance(found, tuple):
                    meta, answer = found
                elif found is not None:
                    answer = json.dumps(found).encode()
        except Exception as error:
            code, answer = self._refusal(error)
        if self._body is None:
            self.close_connection = True  # what was not read must not be taken for the next request
        self.send_response(code)
        self.send_header("Content-Type", "application/json" if meta is None else "application/octet-stream")
        self.send_header("Content-Length", str(len(answer)))
        if meta is not None:
            self.send_header("X-Meta", json.dumps(meta, separators=(",", ":")))
        self.end_headers()
        self.wfile.write(answer)

    def _refusal(self, error: Exception) -> tuple[int, bytes]:
        if isinstance(error, (KeyError, ValueError, TypeError)) and not isinstance(error, OsirixAgentError):
            error = PromptError("The request is not one of nnInteractive's.", "Use a client of version 2.x.")
        if not isinstance(error, OsirixAgentError):
            self._door.service.tell("fault", kind=type(error).__name__)
        said = write_refusal(error)
        codes: dict[type[Exception], int] = {LeaseEndedError: 410, BusyError: 503, _KeyError: 401}
        code = codes.get(type(error), 0)
        code = code or (400 if isinstance(error, OsirixAgentError) else 500)
        return code, json.dumps({"detail": f"{said.what} {said.cure}"}).encode()

    def _check_caller(self) -> None:
        """No page in a browser of this machine can come in by another name; and the key, if there is one."""
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
        wanted = self._door.key
        if not is_loopback(host) or (wanted and not hmac.compare_digest(shown.encode(), wanted.encode())):
            raise _KeyError("The key is missing or wrong.", "Set NN_INTERACTIVE_API_KEY as on the server.")

    # -- what they ask ---------------------------------------------------------------------------------------------
    def _health(self) -> dict[str, str]:
        self._read(LONGEST_HEAD)
        return {"status": "ok"}

    def _capabilities(self) -> dict[str, Any]:
        self._read(LONGEST_HEAD)
        return self._door.capabilities()

    def _claim(self) -> dict[str, Any]:
        self._read(LONGEST_HEAD)
        return self._door.claim()

    def _left(self) -> dict[str, float]:
        self._read(LONGEST_HEAD)
        return self._door.remaining(self._state(used=False))

    def _release(self) -> None:
        self._read(LONGEST_HEAD)
        self._door.release(self._state(used=True))

    def _nothing(self) -> None:
        self._read(LONGEST_HEAD)
        self._state(used=True)

    def _set_image(self) -> dict[str, Any]:
        state = self._state(used=True)
        longest = self._door.service.limits.longest_volume
        image = unpack_nnia(self._read(longest), longest)
        with state.one_at_a_time:
            return self._door.set_image(state, image, self._meta())

    def _in_turn(self, act: Callable[[_State, dict[str, Any]], Any]) -> Callable[[], Any]:
        """An act on the session's state, once what belongs to it has been read."""

        def acting() -> Any:
            state = self._state(used=True)
            body = self._read(self._door.service.limits.longest_volume)
            meta = self._meta() if "X-Meta" in self.headers else json.loads(body or b"{}")
            with state.one_at_a_time:
                return act(state, meta)

        return acting

    def _point(self, state: _State, meta: dict[str, Any]) -> Any:
        k, j, i = (float(v) for v in meta["coordinates"])
        return self._door.add(
            state, [voxels.point(_geometry(state), (k, j, i), _polarity(meta))], meta["run_prediction"]
        )

    def _box(self, state: _State, meta: dict[str, Any]) -> Any:
        bounds = [(int(low), int(high)) for low, high in meta["bbox_coords"]]
        if len(bounds) != 3:
            raise PromptError("The box has not three axes.", "Send one for each axis of the image.")
        return self._door.add(state, [voxels.box(_geometry(state), bounds, _polarity(meta))], meta["run_prediction"])

    def _drawn(self, as_prompts: Callable[..., list[Prompt]], state: _State, meta: dict[str, Any]) -> Any:
        shape = _geometry(state).shape_kji
        mask = self._mask()
        bounds = meta.get("interaction_bbox") or [[0, n] for n in shape]
        whole = np.zeros(shape, bool)
        room = whole[tuple(slice(int(low), int(high)) for low, high in bounds)]
        if len(bounds) != 3 or min(int(low) for low, _ in bounds) < 0 or room.shape != mask.shape:
            raise PromptError("The mark does not fit the image.", "Send it with the box that it lies in.")
        room[...] = mask
        return self._door.add(state, as_prompts(_geometry(state), whole, _polarity(meta)), meta["run_prediction"])

    def _begin_from(self, state: _State, meta: dict[str, Any]) -> Any:
        return self._door.begin_from(state, self._mask(), meta["run_prediction"])

    def _mask(self) -> Mask:
        return unpack_nnia(self._body or b"", self._door.service.limits.longest_volume) > 0

    # -- HTTP ------------------------------------------------------------------------------------------------------
    def _state(self, *, used: bool) -> _State:
        return self._door.state(self.headers.get("X-Lease-Token", ""), used=used)

    def _meta(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.headers.get("X-Meta", "{}"))
        return found

    def _read(self, longest: int) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= longest or "Transfer-Encoding" in self.headers:
            raise UnsupportedSeriesError(f"The server takes up to {longest / 1e9:.2f} GB at once.", "Send less.")
        self._body = self.rfile.read(length)
        if len(self._body) != length:
            raise ValueError("broken off")
        return self._body


class _KeyError(OsirixAgentError):
    """Not one of ours."""


def _polarity(meta: dict[str, Any]) -> Polarity:
    return Polarity.INCLUDE if meta["include_interaction"] else Polarity.EXCLUDE


def _outlined(geometry: Geometry, mask: Mask, polarity: Polarity) -> list[Prompt]:
    return [voxels.outline(geometry, mask, polarity)]

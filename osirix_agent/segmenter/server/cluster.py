"""A segmenter on many devices: replicas that Ray Serve starts, watches and replaces (docs/decisions/0011).

The server in front stays ours: certificates, leases, volumes, the queue. It asks the replica that knows the image; one
that is lost meanwhile is none of the agent's business: the same request goes to another, which encodes the image anew.
Images travel in Ray's shared memory and are gone from it when the front forgets them.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from osirix_agent.belief.belief import Belief
from osirix_agent.errors import BusyError, ModelError, RemoteError, SettingsError
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.choice import plain_segmenter
from osirix_agent.segmenter.protocol import Capabilities, SegmentationRequest, Segmenter
from osirix_agent.settings import Settings

NEEDED = "Install them with: pip install 'osirix-agent[cluster]'"
LOCAL = "local"
APP = "osirix-agent"
SHARED = Path("/dev/shm")
GB, ROOM = 1e9, 1.25  # shared memory for so much more than the images: answers go through it too
AT_ONCE = 64  # requests at a replica; the front's queue lets fewer through
HEALTH_S = 2.0
CONNECT_S = 5.0
STARTS = 3  # tries; Ray gives its own processes 30 s, which a busy machine may overrun
ANSWER_S = 600.0  # until nobody is taken to answer any more
KNOWN_S = 0.5  # a replica tells what it knows every 0.1 s, by way of Ray Serve's controller
PAUSE_S = 0.2  # before the next replica is asked


@contextmanager
def on_ray(address: str, cpus: int | None = None, memory: int = 10**9) -> Iterator[Any]:
    """The module `ray`, connected.

    Parameters
    ----------
    address : of a cluster's head, "auto" for this machine's; "local" starts one here, and stops it afterwards
    cpus : of one that is started here; None: as many as there are
    memory : bytes that it shares, for images

    Raises
    ------
    SettingsError
        Ray is missing or there is no cluster at the address, or this machine has not so much shared memory.
    """
    _check_there(address)
    if address == LOCAL:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # its word for: listen on loopback only
    ray = _library()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "namespace": APP}
    if address == LOCAL:
        _check_shared(memory)
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this process; none is written to a file
        options |= {
            "include_dashboard": False, "num_cpus": cpus, "object_store_memory": memory,
            "_plasma_directory": str(SHARED),
            "_system_config": {"automatic_object_spilling_enabled": False},
        }  # fmt: skip
    for n in range(STARTS):
        try:
            ray.init(address, **options)
            break
        except Exception as error:  # Ray raises many kinds, that one too: for want of time on a busy machine
            ray.shutdown()
            if n == STARTS - 1:
                raise _nobody(address, type(error).__name__) from None
    try:
        yield ray
    finally:
        ray.shutdown()


@dataclass(eq=False)
class _Image:
    """An image in shared memory.

    Attributes
    ----------
    name : tells nothing of it
    met_at : s, when a replica was first asked about it; None: none yet, or that one is lost
    """

    name: str
    reference: Any
    met_at: float | None = None
    meeting: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Until Ray Serve knows whose the image is: before, a second request could go to another replica."""
        with self.meeting:
            met_at = self.met_at
            if met_at is None:
                self.met_at = time.monotonic()
                return
        time.sleep(max(0.0, met_at + KNOWN_S - time.monotonic()))


class ClusterSegmenter:
    """Replicas of a segmenter, asked as if they were one.

    Parameters
    ----------
    ray : connected
    make : makes a replica's segmenter, on its machine
    replicas : fewest and most; Ray Serve chooses between them by the load
    grace_s : that a replica has to finish when it is taken away

    Raises
    ------
    ModelError
        The segmenter cannot be made there.
    """

    def __init__(
        self, ray: Any, make: Callable[[], Segmenter], replicas: tuple[int, int] = (1, 1), grace_s: float = 30.0,
        *, on_gpus: bool = False,
    ) -> None:  # fmt: skip
        from ray import serve
        from ray.serve.schema import LoggingConfig

        from osirix_agent.segmenter.server.replica import Replica

        self._ray, self._serve = ray, serve
        quiet = LoggingConfig(enable_access_log=False, log_level="ERROR")
        self._deployment = serve.deployment(
            Replica, max_ongoing_requests=AT_ONCE, health_check_period_s=HEALTH_S, graceful_shutdown_timeout_s=grace_s,
            ray_actor_options={"num_cpus": 1, "num_gpus": int(on_gpus)}, logging_config=quiet,
        )  # fmt: skip
        self.most = replicas[1]
        self._make, self._shared_lock = make, threading.Lock()
        self._shared: weakref.WeakKeyDictionary[Volume, _Image] = weakref.WeakKeyDictionary()
        serve.start(proxy_location="Disabled", logging_config=quiet)  # nothing listens for requests but our server
        self.resize(replicas)

    def resize(self, replicas: tuple[int, int]) -> None:
        """As many replicas from now on; those that go finish first."""
        fewest, most = replicas
        how: dict[str, Any] = {"num_replicas": fewest}
        if most > fewest:
            how = {"autoscaling_config": {"min_replicas": fewest, "max_replicas": most, "target_ongoing_requests": 1}}
        try:
            self._handle = self._serve.run(
                self._deployment.options(**how).bind(self._make), name=APP, route_prefix=None
            )  # fmt: skip
        except RuntimeError:
            raise ModelError(
                "No replica of the segmenter could be started.",
                "The same command without --ray says why; every machine of the cluster needs the model's folder.",
            ) from None

    @cached_property
    def _about(self) -> tuple[str, Capabilities]:
        found: tuple[str, Capabilities] = self._patiently(lambda: self._handle.about.remote())
        return found

    @property
    def name(self) -> str:
        return self._about[0]

    @property
    def capabilities(self) -> Capabilities:
        return self._about[1]

    def look(self, volume: Volume) -> None:
        self._ask("look", volume)

    def propose(self, request: SegmentationRequest) -> Belief:
        parts = request.structure, request.prompts, request.fixed, request.excluded
        belief: Belief = self._ask("propose", request.volume, *parts)
        return belief

    def pid(self, volume: Volume) -> int:
        """Process of the replica that answers for an image."""
        found: int = self._ask("pid", volume)
        return found

    def close(self) -> None:
        self._serve.shutdown()

    def _ask(self, what: str, volume: Volume, *parts: Any) -> Any:
        image = self._share(volume)
        sticky = getattr(self._handle.options(multiplexed_model_id=image.name), what)
        found, error = self._patiently(partial(sticky.remote, image.reference, *parts), image)
        if error is not None:
            raise error
        return found

    def _patiently(self, ask: Callable[[], Any], image: _Image | None = None) -> Any:
        """Ask again as long as replicas are lost on the way."""
        until = time.monotonic() + ANSWER_S
        while (left := until - time.monotonic()) > 0:
            try:
                if image is not None:
                    image.wait()
                return ask().result(timeout_s=left)
            except self._ray.exceptions.RayActorError:
                time.sleep(PAUSE_S)
                if image is not None:
                    image.met_at = None
            except TimeoutError:
                break
        raise RemoteError("No replica of the segmenter answers.", "Look at the cluster: 'serve status', 'ray status'.")

    def _share(self, volume: Volume) -> _Image:
        with self._shared_lock:
            if volume not in self._shared:
                try:
                    self._shared[volume] = _Image(secrets.token_hex(8), self._ray.put(volume))
                except self._ray.exceptions.ObjectStoreFullError:
                    raise BusyError(
                        "The cluster's shared memory holds no further image.",
                        "Try again when a colleague has finished, or ask whoever runs the server to give Ray more.",
                    ) from None
            return self._shared[volume]


@contextmanager
def clustered(settings: Settings, address: str, replicas: str | None) -> Iterator[ClusterSegmenter]:
    """The settings' segmenter on a cluster.

    Parameters
    ----------
    address : as of `on_ray`
    replicas : "3", or "1-4" to let the load choose; None: one for each GPU, or one

    Raises
    ------
    SettingsError, ModelError
    """
    asked = _numbers(replicas) if replicas is not None else None
    memory = int(settings.serve_memory_gb * GB * ROOM)
    cpus = None if asked is None else max(os.cpu_count() or 1, asked[1])
    with on_ray(address, cpus, memory) as ray:
        gpus = 0 if settings.device == "cpu" else int(ray.cluster_resources().get("GPU", 0))
        chosen = asked or (max(1, gpus), max(1, gpus))
        segmenter = ClusterSegmenter(
            ray, partial(plain_segmenter, settings), chosen, settings.serve_grace_s, on_gpus=gpus > 0
        )  # fmt: skip
        try:
            yield segmenter
        finally:
            segmenter.close()


def _numbers(replicas: str) -> tuple[int, int]:
    fewest, _, most = replicas.partition("-")
    if not fewest.isdigit() or not (most or fewest).isdigit() or not 0 < int(fewest) <= int(most or fewest):
        raise SettingsError(f"'{replicas}' is no number of replicas.", "Write '3', or '1-4' to let the load choose.")
    return int(fewest), int(most or fewest)


def _nobody(address: str, why: str) -> SettingsError:
    return SettingsError(
        f"There is no Ray to be had at '{address}' ({why}).",
        "Start it ('ray start --head'), check the address and RAY_AUTH_TOKEN, or take --ray local.",
    )


def _check_there(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        except (OSError, ValueError, OverflowError) as error:
            raise _nobody(address, type(error).__name__) from None


def _check_shared(memory: int) -> None:
    free = os.statvfs(SHARED).f_bavail * os.statvfs(SHARED).f_frsize if SHARED.is_dir() else 0
    if free < memory:  # Ray would write images to files instead
        raise SettingsError(
            f"{SHARED} has {free / 1e9:.1f} GB of shared memory free, {memory / 1e9:.1f} GB are needed.",
            "Give the machine (or its container) more, or lower serve_memory_gb.",
        )


def _library() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
    os.environ.setdefault(
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
    )  # a replica without a GPU leaves the machine's alone
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pydantic, about Ray's own classes
            import ray
            from ray import serve  # noqa: F401
    except ImportError:
        raise SettingsError("A cluster needs packages that are not installed.", f"{NEEDED}.") from None
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # what it tells stands in its own logs
    return ray

"""Volumes that agents sent: in memory only, each client's its own, the longest unused given up first.

What arrives is widened and hashed on a thread of its own, beside the way of the next part; whoever wants the volume
waits until its digest has been worked out again. Where processors are short, that thread lets the line go first.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import BusyError, DamagedError, UnsupportedSeriesError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume

NICENESS = 5  # a third of a busy processor: the image must arrive first, but its digest soon after
BYTES = 4  # of a voxel: volumes are held as float32, whatever they travelled as


@dataclass(eq=False)
class _Held:
    """A volume, whole or on its way."""

    geometry: Geometry
    modality: str
    values: npt.NDArray[np.float32]
    hash: Any
    voxels: int = 0  # arrived
    checked: Future[Volume | None] | None = None  # of a whole one; None in it: not what its digest says
    writing: threading.Lock = field(default_factory=threading.Lock)

    def take(self, first: int, values: npt.NDArray[Any]) -> None:
        part = self.values[first : first + values.size]
        part[:] = values.reshape(-1)
        self.hash.update(part.data)

    def check(self, digest: str) -> Volume | None:
        if self.hash.hexdigest() != digest:
            return None
        self.values.setflags(write=False)
        volume = Volume(self.values.reshape(self.geometry.shape_kji), self.geometry, self.modality)
        volume.__dict__["digest"] = digest  # just worked out; not again on a prompt's time
        return volume


class VolumeStore:
    """Volumes by client and digest.

    A client sees its own only: knowing a digest gives nobody else's image. Nothing is written to disk.

    Parameters
    ----------
    longest, each_client, all_clients : bytes, as float32
    """

    def __init__(self, longest: int, each_client: int, all_clients: int) -> None:
        self.longest, self._each_client, self._all_clients = longest, each_client, all_clients
        self._lock = threading.Lock()
        self._settling = ThreadPoolExecutor(1, "volumes", _let_others_first)  # one: in order
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()

    def get(self, client: str, digest: str) -> Volume | None:
        """A whole volume; None: it is not here (any longer).

        Raises
        ------
        DamagedError
            It is not what the digest says: it is forgotten.
        """
        with self._lock:
            held = self._held.get((client, digest))
            if held is None or held.checked is None:
                return None
            self._held.move_to_end((client, digest))
        volume = held.checked.result()
        if volume is None:
            with self._lock:
                if self._held.get((client, digest)) is held:
                    del self._held[client, digest]
            raise DamagedError("The volume did not arrive as it was sent.", "Send it again.")
        return volume

    def state(self, client: str, digest: str) -> tuple[int, bool]:
        """Voxels held, and whether that is all."""
        with self._lock:
            held = self._held.get((client, digest))
            return (0, False) if held is None else (held.voxels, held.checked is not None)

    def begin(self, client: str, digest: str, geometry: Geometry, modality: str) -> None:
        """Make room for a volume, unless it is there.

        Raises
        ------
        UnsupportedSeriesError
            Larger than the server takes.
        BusyError
            The quota does not hold it.
        """
        size = int(np.prod(geometry.shape_kji, dtype=np.int64)) * BYTES
        if size > self.longest:
            raise UnsupportedSeriesError(
                f"The series has {size / 1e9:.2f} GB; the segmenter's server takes up to {self.longest / 1e9:.2f} GB.",
                "Crop or resample the series in OsiriX and open that.",
            )
        with self._lock:
            if (client, digest) in self._held:
                return
            if size > min(self._each_client, self._all_clients):
                raise BusyError(
                    f"The series has {size / 1e9:.2f} GB; a client may have {self._each_client / 1e9:.2f} GB there.",
                    "Crop the series in OsiriX, or ask whoever runs the server to raise serve_client_gb.",
                )
            own = [key for key in self._held if key[0] == client]
            while own and self._size(own) + size > self._each_client:
                del self._held[own.pop(0)]
            while self._size(self._held) + size > self._all_clients:
                self._held.popitem(last=False)
            values = np.empty(size // BYTES, np.float32)
            self._held[client, digest] = _Held(geometry, modality, values, hashlib.sha256(geometry.digest.encode()))

    def append(self, client: str, digest: str, first: int, values: npt.NDArray[Any]) -> None:
        """The next values, in order.

        Raises
        ------
        DamagedError
            Out of order, or too many.
        """
        with self._lock:
            held = self._held.get((client, digest))
        if held is None:
            raise DamagedError("The volume was given up while it was sent.", "Send it again.")
        with held.writing:  # two connections of one client may send the same
            if first != held.voxels or held.voxels + values.size > held.values.size:
                raise DamagedError("The volume's parts came out of order.", "Send it again.")
            self._settling.submit(held.take, first, values)
            held.voxels += values.size
            if held.voxels == held.values.size:
                held.checked = self._settling.submit(held.check, digest)

    def put(self, client: str, volume: Volume) -> None:
        """A whole volume; raises as `begin` does."""
        self.begin(client, volume.digest, volume.geometry, volume.modality)
        if self.state(client, volume.digest)[0] == 0:
            self.append(client, volume.digest, 0, volume.array)

    def forget(self, client: str) -> None:
        """All that a client sent."""
        with self._lock:
            for key in [key for key in self._held if key[0] == client]:
                del self._held[key]

    @property
    def bytes_held(self) -> int:
        with self._lock:
            return self._size(self._held)

    def _size(self, keys: Any) -> int:
        return sum(self._held[key].values.nbytes for key in keys)


def _let_others_first() -> None:
    if sys.platform == "linux":  # elsewhere a thread's priority is its process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

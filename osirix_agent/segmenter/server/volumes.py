"""Volumes that agents sent: in memory only, each client's its own, the longest unused given up first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from osirix_agent.errors import BusyError, DamagedError, UnsupportedSeriesError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume

BYTES = 4  # of a voxel: volumes are held as float32, whatever they travelled as


@dataclass(eq=False)
class _Held:
    """A volume, whole or on its way."""

    geometry: Geometry
    modality: str
    values: npt.NDArray[np.float32]
    hash: Any
    voxels: int = 0
    volume: Volume | None = None
    writing: threading.Lock = field(default_factory=threading.Lock)


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
        self._held: OrderedDict[tuple[str, str], _Held] = OrderedDict()

    def get(self, client: str, digest: str) -> Volume | None:
        """A whole volume; None: it is not here (any longer)."""
        with self._lock:
            held = self._held.get((client, digest))
            if held is None or held.volume is None:
                return None
            self._held.move_to_end((client, digest))
            return held.volume

    def state(self, client: str, digest: str) -> tuple[int, bool]:
        """Voxels held, and whether that is all."""
        with self._lock:
            held = self._held.get((client, digest))
            return (0, False) if held is None else (held.voxels, held.volume is not None)

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
        """The next values, in order; with the last of them the digest is checked.

        Raises
        ------
        DamagedError
            Out of order, too many, or not what the digest says: then all of it is forgotten.
        """
        with self._lock:
            held = self._held.get((client, digest))
        if held is None:
            raise DamagedError("The volume was given up while it was sent.", "Send it again.")
        with held.writing:  # two connections of one client may send the same
            if first != held.voxels or held.voxels + values.size > held.values.size or held.volume is not None:
                raise DamagedError("The volume's parts came out of order.", "Send it again.")
            part = held.values[first : first + values.size]
            part[:] = values.reshape(-1)
            held.hash.update(part.data)
            held.voxels += values.size
            if held.voxels < held.values.size:
                return
            if held.hash.hexdigest() != digest:
                with self._lock:
                    self._held.pop((client, digest), None)
                raise DamagedError("The volume did not arrive as it was sent.", "Send it again.")
            held.values.setflags(write=False)
            volume = Volume(held.values.reshape(held.geometry.shape_kji), held.geometry, held.modality)
            volume.__dict__["digest"] = digest  # just worked out; not again on a prompt's time
            held.volume = volume

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

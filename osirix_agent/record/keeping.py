"""Beliefs on their way into the store: packed and written beside the session's thread, told once they are on disk.

They wait until the session's thread has nothing better to do, since two threads of one process get in each other's way.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from osirix_agent.belief.belief import Belief, logit
from osirix_agent.belief.looks import looks
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import tight
from osirix_agent.record.events import BeliefSummary
from osirix_agent.record.store import Store

STEP = 0.04  # logits: a probability is kept to 0.01 or better
LIMIT = 127 * STEP  # about 0.6 and 99.4 %: beyond, only the side is kept


@dataclass(frozen=True)
class Kept:
    """A belief that is in the store.

    Attributes
    ----------
    mask, belief : addresses
    """

    structure: str
    request: str
    mask: str
    belief: str
    summary: BeliefSummary


class Keeper:
    """Keeps beliefs, in the order given.

    Parameters
    ----------
    executor : Executor or None
        Of one thread; None: in `keep` itself.
    """

    def __init__(self, store: Store, executor: Executor | None = None) -> None:
        self.store = store
        self._executor = executor
        self._resting: deque[Callable[[], Kept]] = deque()
        self._waiting: deque[Future[Kept]] = deque()

    def keep(self, structure: str, request: str, belief: Belief, geometry: Geometry) -> None:
        """From the next `begin` on. `structure` as it may stand in the journal."""
        self._resting.append(partial(self._kept, structure, request, belief, geometry))

    def begin(self) -> None:
        """Now is a good time: what she waits for is done."""
        while self._resting:
            pack = self._resting.popleft()
            self._waiting.append(_done(pack) if self._executor is None else self._executor.submit(pack))

    def done(self, *, wait: bool = False) -> Iterator[Kept]:
        """What has got to the disk since it was asked last; `wait`: all of it.

        Raises
        ------
        JournalError
            Something could not be written.
        """
        if wait:
            self.begin()
        while self._waiting and (wait or self._waiting[0].done()):
            yield self._waiting.popleft().result()

    def _kept(self, structure: str, request: str, belief: Belief, geometry: Geometry) -> Kept:
        mask = self.store.put(belief.mask_bytes)
        return Kept(structure, request, mask, self.store.put(belief_bytes(belief)), summary(belief, geometry))


def _done(pack: Callable[[], Kept]) -> Future[Kept]:
    done: Future[Kept] = Future()
    try:
        done.set_result(pack())
    except Exception as error:
        done.set_exception(error)
    return done


def summary(belief: Belief, geometry: Geometry) -> BeliefSummary:
    """In numbers."""
    inner, outer = (
        float(np.count_nonzero(belief.crop_logit >= logit(percent))) * geometry.voxel_volume_mm3 for percent in (95, 5)
    )
    return BeliefSummary(
        volume_mm3=belief.volume_mm3(geometry), inner_mm3=inner, outer_mm3=outer, slices=len(belief.slices()),
        looks=tuple(look.k for look in looks(belief, geometry.spacing_kji_mm)), source=belief.source,
        calibration=belief.calibration_id,
    )  # fmt: skip


def belief_bytes(belief: Belief) -> bytes:
    """A belief's probabilities: a line of JSON; where it is unsure; which side the rest is on; logits where unsure."""
    found = belief.crop_logit
    box = tight(found > -LIMIT) or (slice(0, 0),) * 3
    held = found[box]
    unsure = np.abs(held) < LIMIT
    header = {
        "shape_kji": belief.shape_kji, "corner_kji": [s.start + c for s, c in zip(box, belief.corner_kji, strict=True)],
        "size_kji": held.shape, "source": belief.source, "calibration": belief.calibration_id,
    }  # fmt: skip
    steps = np.round(held[unsure] / STEP).astype(np.int8)
    return b"".join(
        [json.dumps(header).encode(), b"\n", np.packbits(unsure).tobytes(), np.packbits(held >= 0).tobytes(),
         steps.tobytes()]
    )  # fmt: skip


def logit_from_bytes(content: bytes) -> npt.NDArray[np.float32]:
    """(k, j, i) float32 on the whole volume: log-odds of the probability, as far as `LIMIT` either way.

    Raises
    ------
    ValueError
        No belief.
    """
    line, _, rest = content.partition(b"\n")
    try:
        header = json.loads(line)
        size, corner, shape = header["size_kji"], header["corner_kji"], header["shape_kji"]
    except (ValueError, TypeError, KeyError):
        raise ValueError("not a belief") from None
    count = int(np.prod(size))
    packed = -(-count // 8)
    bits = np.unpackbits(np.frombuffer(rest[: 2 * packed], np.uint8)).reshape(2, packed * 8)[:, :count].astype(np.bool_)
    inside = np.where(bits[1], np.float32(LIMIT), np.float32(-LIMIT))
    inside[bits[0]] = np.frombuffer(rest[2 * packed :], np.int8) * np.float32(STEP)
    full = np.full(shape, -LIMIT, np.float32)
    full[tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))] = inside.reshape(size)
    return full

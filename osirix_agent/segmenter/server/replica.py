"""One device of a cluster: what Ray Serve runs for each of them. Imported only where Ray is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray import serve

from osirix_agent.errors import OsirixAgentError
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.protocol import Capabilities, LooksAhead, SegmentationRequest, Segmenter

IMAGES = 32  # that a replica counts as its own; it may have forgotten what it made of the older ones


class Replica:
    """A segmenter, asked by the front; it keeps no image, only what the segmenter keeps of it.

    Ray Serve sends what is about an image to the replica that has said (`_seen`) that it knows the image. What is
    raised on purpose is given back as a value, so that it arrives as what it is.
    """

    def __init__(self, make: Callable[[], Segmenter]) -> None:
        self._segmenter = make()
        self._device = ThreadPoolExecutor(1, "device")  # one at a time, in the order in which they came

    async def about(self) -> tuple[str, Capabilities]:
        return self._segmenter.name, self._segmenter.capabilities

    async def pid(self, _: Volume) -> tuple[int, None]:
        """Process of the replica that answers for an image."""
        return os.getpid(), None

    async def look(self, volume: Volume) -> tuple[Any, OsirixAgentError | None]:
        ahead = self._segmenter
        return await self._do(ahead.look, volume) if isinstance(ahead, LooksAhead) else (None, None)

    async def propose(self, volume: Volume, *parts: Any) -> tuple[Any, OsirixAgentError | None]:
        """`parts`: of the request, after its volume."""
        return await self._do(self._segmenter.propose, SegmentationRequest(volume, *parts))

    async def _do(self, act: Callable[[Any], Any], given: Any) -> tuple[Any, OsirixAgentError | None]:
        await self._seen(serve.get_multiplexed_model_id())
        try:
            return await asyncio.get_running_loop().run_in_executor(self._device, act, given), None
        except OsirixAgentError as error:
            return None, error

    @serve.multiplexed(max_num_models_per_replica=IMAGES)
    async def _seen(self, image: str) -> str:
        return image

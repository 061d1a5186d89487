"""An evaluation spread over a Ray cluster: a share of the patients for each device, the same rows in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Any

from osirix_agent.errors import OsirixAgentError
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.training.contouring import Contoured
from osirix_agent.training.evaluate import Evaluation, evaluate

Images = Callable[[tuple[int, int]], Iterable[Contoured]]


def evaluate_on(
    ray: Any, make: Callable[[], Segmenter], images: Images, rows: tuple[str, ...],
    tell: Callable[[str], object] = lambda _: None,
) -> Evaluation:  # fmt: skip
    """As `evaluate` would, one share of the images for each GPU, or for each processor where there is none.

    Parameters
    ----------
    ray : connected
    make : makes the segmenter, on its machine
    images : gives a share (n, of) of the images: each machine reads its own, from a folder that all of them have
    """
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    shares = gpus or int(resources["CPU"])
    task = ray.remote(_evaluate).options(num_cpus=1, num_gpus=1 if gpus else 0)
    waiting = [task.remote(make, images, (n, shares), rows) for n in range(1, shares + 1)]
    tell(f"{shares} shares")
    try:
        found: list[list[Evaluation]] = ray.get(waiting)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, OsirixAgentError) else error) from None
    done = Evaluation()
    for turn in zip_longest(*found):  # the n-th share holds every so-manieth image
        for one in turn:
            if one is not None:
                done.extend(one)
    return done


def _evaluate(
    make: Callable[[], Segmenter], images: Images, share: tuple[int, int], rows: tuple[str, ...]
) -> list[Evaluation]:  # fmt: skip
    """By image."""
    segmenter = make()
    return [evaluate(segmenter, [image], rows) for image in images(share)]

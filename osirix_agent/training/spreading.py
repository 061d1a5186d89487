"""Work spread over a Ray cluster: a share of it for each device, the same results in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import zip_longest
from typing import Any, TypeVar

from osirix_agent.errors import OsirixAgentError
from osirix_agent.segmenter.protocol import Segmenter
from osirix_agent.training.contouring import Contoured
from osirix_agent.training.evaluate import Evaluation, evaluate

T = TypeVar("T")
Share = tuple[int, int]
Images = Callable[[Share], Iterable[Contoured]]


def evaluate_on(
    ray: Any, make: Callable[[], Segmenter], images: Images, rows: tuple[str, ...],
    tell: Callable[[str], object] = lambda _: None,
) -> Evaluation:  # fmt: skip
    """As `evaluate` would.

    Parameters
    ----------
    ray : connected
    make : makes the segmenter, on its machine
    images : gives a share of the images: each machine reads its own, from a folder that all of them have
    """
    done = Evaluation()
    for one in spread(ray, partial(_evaluate, make, images, rows), tell):
        done.extend(one)
    return done


def spread(ray: Any, act: Callable[[Share], list[T]], tell: Callable[[str], object]) -> Iterator[T]:
    """What is made of each share, in the order it would have here.

    Parameters
    ----------
    ray : connected
    act : given (n, of), makes the n-th of so many shares, which holds every so-manieth thing, on the machine it is
        sent to: one for each GPU, or for each processor where there is none
    """
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    shares = gpus or int(resources["CPU"])
    task = ray.remote(_call).options(num_cpus=1, num_gpus=1 if gpus else 0)
    waiting = [task.remote(act, (n, shares)) for n in range(1, shares + 1)]
    tell(f"{shares} shares")
    try:
        found: list[list[T]] = ray.get(waiting)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, OsirixAgentError) else error) from None
    for turn in zip_longest(*found):
        yield from (one for one in turn if one is not None)


def _call(act: Callable[[Share], list[T]], share: Share) -> list[T]:
    return act(share)


def _evaluate(make: Callable[[], Segmenter], images: Images, rows: tuple[str, ...], share: Share) -> list[Evaluation]:
    """By image."""
    segmenter = make()
    return [evaluate(segmenter, [image], rows) for image in images(share)]

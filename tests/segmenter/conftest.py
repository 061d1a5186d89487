"""Segmenters behind a server: over loopback, with TLS as it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from osirix_agent.errors import SettingsError
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.settings import Settings


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder with one pairing, agent.pairing."""
    pytest.importorskip("cryptography", reason="serving needs pip install 'osirix-agent[serve]'")
    pytest.importorskip("grpc_health", reason="serving needs pip install 'osirix-agent[serve]'")
    pytest.importorskip("prometheus_client", reason="serving needs pip install 'osirix-agent[serve]'")
    from osirix_agent.segmenter.server.tls import init_tls

    folder = tmp_path_factory.mktemp("tls") / "serve"
    init_tls(folder, datetime.now(UTC))
    return folder


def asking(address: str, tls: Path, **settings: Any) -> Any:
    """A remote segmenter; quick to give up, as tests want it."""
    from osirix_agent.segmenter.remote import RemoteSegmenter

    given = {"remote_retry_s": 20, "remote_deadline_s": 60, "remote_connect_s": 10, **settings}
    return RemoteSegmenter(Settings(segmenter=address, pairing=tls / "agent.pairing", **given))


@pytest.fixture(scope="session")
def served(tls: Path) -> Iterator[Callable[[Any], Any]]:
    """A segmenter, asked through a server."""
    from osirix_agent.segmenter.server.run import SegmenterServer
    from osirix_agent.segmenter.server.service import Limits

    open_ones: list[Any] = []

    def serve(segmenter: Any, **limits: Any) -> Any:
        server = SegmenterServer(segmenter, Limits(**limits), tls, tell=lambda event, **fields: None)
        server.start()
        remote = asking(server.address, tls, remote_deadline_s=300)  # replicas start slowly on a busy machine
        open_ones.extend((remote.close, server.kill, lambda: server.service.queue.close(1)))
        return remote

    yield serve
    for close in open_ones:
        close()


@pytest.fixture(scope="session")
def remote_classical(served: Callable[[Any], Any]) -> Any:
    return served(ClassicalSegmenter())


@pytest.fixture(scope="session")
def remote_model(served: Callable[[Any], Any], tiny_segmenter: Any) -> Any:
    return served(tiny_segmenter)


@pytest.fixture(scope="session")
def small_ray() -> Iterator[Any]:
    pytest.importorskip("ray", reason="a cluster needs pip install 'osirix-agent[cluster]'")
    from osirix_agent.segmenter.server.cluster import on_ray

    with ExitStack() as started:
        try:
            ray = started.enter_context(on_ray("local", cpus=4, memory=200_000_000))
        except SettingsError as error:  # too little shared memory, as in many containers
            pytest.skip(f"no cluster can be started on this machine: {error}")
        yield ray


@pytest.fixture(scope="session")
def cluster(small_ray: Any, tiny_models: Path) -> Iterator[Any]:
    """The tiny model on two replicas."""
    from osirix_agent.segmenter.local import VisionLanguageSegmenter
    from osirix_agent.segmenter.server.cluster import ClusterSegmenter

    make = partial(VisionLanguageSegmenter, tiny_models / "base", (tiny_models / "gtv",))
    segmenter = ClusterSegmenter(small_ray, make, (2, 2), grace_s=5)
    yield segmenter
    segmenter.close()


@pytest.fixture(scope="session")
def ray_model(served: Callable[[Any], Any], cluster: Any) -> Any:
    return served(cluster, at_once=4)

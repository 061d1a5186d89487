"""Replicas that come, go and are killed, with nothing lost; only the first tests need no Ray."""

import gc
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from osirix_agent.demo.comparing import compare
from osirix_agent.demo.run import run_demo
from osirix_agent.errors import PromptError, SettingsError
from osirix_agent.imaging.volume import Volume
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.segmenter.server import cluster as clusters
from osirix_agent.settings import load_settings
from osirix_agent.training.contouring import Contoured
from osirix_agent.training.evaluate import evaluate
from osirix_agent.training.spreading import evaluate_on
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from tests.segmenter.test_contract import CENTRE, TRUTH, VOLUME, point


def request(n=0):
    """About an image of its own for each n."""
    volume = Volume(VOLUME.array + np.float32(n), VOLUME.geometry, VOLUME.modality)
    return SegmentationRequest(volume, "GTV", (point(CENTRE),))


@pytest.mark.parametrize(("text", "numbers"), [("3", (3, 3)), ("1-4", (1, 4))])
def test_replicas_are_a_number_or_two(text, numbers):
    assert clusters._numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "-3", "3-2", "many", "1-2-3"])
def test_and_nothing_else(text):
    with pytest.raises(SettingsError, match="no number of replicas"):
        clusters._numbers(text)


def test_without_the_packages_it_says_how_to_get_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"osirix-agent\[cluster\]"), clusters.on_ray("local"):
        pass


def test_images_never_go_to_files_for_want_of_shared_memory():
    with pytest.raises(SettingsError, match="shared memory"):
        clusters._check_shared(10**18)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:many"])
def test_there_must_be_a_cluster(address):
    with pytest.raises(SettingsError, match="no Ray to be had"), clusters.on_ray(address):
        pass


def alike(one, other):
    """But for the last bits, which differ with the number of threads: a replica has one, this process may have more."""
    same = one.mean_logit.shape == other.mean_logit.shape and one.corner_kji == other.corner_kji
    return same and np.allclose(one.mean_logit, other.mean_logit, atol=0.1)


@pytest.mark.slow
def test_a_session_stays_with_the_replica_that_holds_its_image(cluster, tiny_segmenter):
    asked = [request(n) for n in range(2)]
    for one in asked:
        cluster.look(one.volume)
        assert alike(cluster.propose(one), tiny_segmenter.propose(one))
        assert len({cluster.pid(one.volume) for _ in range(5)}) == 1
    assert cluster.pid(asked[0].volume) != cluster.pid(asked[1].volume)  # the second went where there was none


@pytest.mark.slow
def test_a_killed_replica_costs_nothing(cluster, tiny_segmenter, ray_model):
    one = request(3)
    wanted = tiny_segmenter.propose(one)
    ray_model.propose(one)
    gone = cluster.pid(one.volume)
    threading.Timer(0.02, os.kill, (gone, signal.SIGKILL)).start()
    assert alike(ray_model.propose(one), wanted)
    time.sleep(0.1)
    assert alike(ray_model.propose(one), wanted)
    assert cluster.pid(one.volume) != gone


@pytest.mark.slow
def test_replicas_come_and_go_while_they_are_asked(cluster, ray_model):
    asked = [request(n) for n in range(4, 7)]
    wanted = [ray_model.propose(one).mean_logit.tobytes() for one in asked]
    wrong, over = [], threading.Event()

    def ask():
        while not over.is_set():
            wrong.extend(
                one for one, right in zip(asked, wanted, strict=True)
                if ray_model.propose(one).mean_logit.tobytes() != right
            )  # fmt: skip

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for replicas in (1, 2):
            cluster.resize((replicas, replicas))
    finally:
        over.set()
        thread.join()
    assert not wrong


@pytest.mark.slow
def test_what_is_raised_there_arrives_as_what_it_is_and_images_are_forgotten(cluster):
    one = SegmentationRequest(request(9).volume, "GTV", ())
    with pytest.raises(PromptError) as caught:
        cluster.propose(one)
    assert caught.value.cure
    held = len(cluster._shared)
    del one, caught
    gc.collect()
    assert len(cluster._shared) < held


def images(share):
    """Three patients, or the n-th of so many shares of them."""
    every = [Contoured(f"p{n}", request(n).volume, {"GTV": TRUTH}) for n in range(3)]
    return every[share[0] - 1 :: share[1]]


@pytest.mark.slow
def test_an_evaluation_that_is_spread_has_the_same_rows_in_the_same_order(small_ray):
    here = evaluate(ClassicalSegmenter(), images((1, 1)), ("clicks",))
    spread = evaluate_on(small_ray, ClassicalSegmenter, images, ("clicks",))
    assert spread.images == 3
    there, at_home = ([{**row.as_json(), "seconds": None} for row in one.rows["clicks"]] for one in (spread, here))
    assert there == at_home


def nobody(share):
    raise SettingsError("There is no such set.", "Choose another.")


@pytest.mark.slow
def test_what_goes_wrong_in_a_share_is_said_as_it_would_be_here(small_ray):
    with pytest.raises(SettingsError, match="no such set"):
        evaluate_on(small_ray, ClassicalSegmenter, nobody, ("clicks",))


@pytest.mark.slow
def test_sessions_are_spread_over_a_cluster_in_their_order(tmp_path, small_ray, monkeypatch):
    demo = tmp_path / "demo"
    write_phantom(demo / "study", PhantomRecipe(shape_kji=(12, 48, 48), spacing_kji_mm=(4, 4, 4)))
    run_demo(demo, demo / "study", {"segmenter": "classical"})
    log = tmp_path / "log"
    log.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(demo / "journal.jsonl", log / f"{name}.jsonl")
        shutil.copy(demo / "journal.head", log / f"{name}.head")
    shutil.copytree(demo / "store", log / "store")
    monkeypatch.setattr("osirix_agent.demo.comparing.on_ray", lambda address: nullcontext(small_ray))
    asked = (log, demo / "study", ClassicalSegmenter, load_settings(), 2.0, str)
    here, there = (compare(*asked, ray=ray) for ray in (None, "local"))
    shown = [[replace(one, replayed_ms=0.0) for one in found.answers] for found in (here, there)]
    assert len(shown[0]) >= 15
    assert shown[0] == shown[1]

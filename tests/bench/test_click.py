"""bench click, on images and networks small enough for a test."""

import pytest
import torch

from osirix_agent.bench import click, run
from osirix_agent.bench.click import BLOCKS, WIDTHS, Measured, figures, residual_encoder_unet, run_model, run_peer


@pytest.mark.slow
def test_the_peer_is_as_large_as_the_network_it_stands_for():
    with torch.device("meta"):
        network = residual_encoder_unet(WIDTHS, BLOCKS)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(102.36e6, rel=2e-3)


def test_the_peers_shape_takes_eight_channels_and_keeps_the_size():
    network = residual_encoder_unet((4, 8, 8), (1, 2, 2))
    assert network(torch.zeros(1, 8, 16, 8, 8)).shape == (1, 2, 16, 8, 8)
    found = run_peer(16, (4, 8, 8), (1, 2, 2))
    assert len(found.seconds) == 2
    assert "16^3" in found.name
    assert found.memory_gb > 0.05


def test_a_model_is_clicked_at_least_twenty_times(tiny_models, monkeypatch):
    monkeypatch.setenv("OSIRIX_AGENT_MODEL_DIR", str(tiny_models))
    found = run_model(1, 12)
    assert found.name.startswith("tiny")
    assert len(found.seconds) >= 20
    assert found.first_s > 0


def test_the_ratio_is_of_the_median_click_to_the_faster_forward_pass():
    ours = Measured("ours", (0.2, 0.3, 0.4), 0.7, 1.0, 2)
    rows = {f.id: f for f in figures(ours, Measured("peer", (60.0, 30.0), 0.0, 6.0, 2))}
    assert [*rows, "click.compiled"] == list(click.IDS)
    assert rows["click"].value == pytest.approx(0.3)
    assert rows["click.p95"].value == pytest.approx(0.39)
    assert rows["click.peer"].ratio == pytest.approx(0.01)
    assert rows["click.peer"].holds
    assert "random weights" in rows["click.peer"].note


def test_without_a_model_or_a_peer_the_reason_stands_in_the_table(monkeypatch):
    def broken(act, *arguments):
        if act is not run_model or not arguments[0]:
            raise RuntimeError("no room")
        return Measured("ours", (0.2,), 0.7, 1.0, 2)

    monkeypatch.setattr(click, "_alone", broken)
    found = run.measure("click", 1, 0, None, quiet=True)
    assert [f.id for f in found] == list(click.IDS)
    assert all("no room" in row.note for row in found[-2:])
    assert found[0].holds
    assert [f.value for f in run.measure("click", 0, 0, None, quiet=True)] == [None] * 6

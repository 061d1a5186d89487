"""panel.time: from asking for the companion page to its first slice; from a click in it to the contour in it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.bench.browser import Browser
from osirix_agent.bench.study import BIG_SPACING_KJI_MM, big_study, served
from osirix_agent.figures import Figure
from osirix_agent.panel.server import Panel
from osirix_agent.prompting.grammar import Command
from osirix_agent.settings import load_settings
from osirix_agent.training.clicks import Click, next_click

SLICES, LOADS, ROUNDS, CLICKS = 100, 7, 3, 4
PAINT_REACH, CLICK_REACH = "1 s", "100 ms over the agent's own"


def on_picture(
    browser: Browser, at: tuple[float, float], shape: tuple[int, int], spacing_mm: tuple[float, float]
) -> tuple[float, float]:
    """Where a place (row, column) of the whole slice is on the screen."""
    code = """((at, shape, mm) => { const box = document.querySelector('#picture').getBoundingClientRect();
      const fit = Math.min(box.width / (shape[1] * mm[1]), box.height / (shape[0] * mm[0]));
      return [box.x + box.width / 2 + (at[1] + .5 - shape[1] / 2) * fit * mm[1],
              box.y + box.height / 2 + (at[0] + .5 - shape[0] / 2) * fit * mm[0]]; })"""
    x, y = browser.eval(f"{code}({json.dumps(at)}, {json.dumps(shape)}, {json.dumps(spacing_mm)})")
    return x, y


def measure(folder: Path, seed: int) -> list[Figure]:
    """Loads and clicks on a 512 x 512 series, in headless Chromium.

    Raises
    ------
    SettingsError
        There is no Chromium.
    """
    study = big_study(folder / "study", SLICES)
    links: list[str] = []
    with served(study.folder) as address, ThreadPoolExecutor(1) as executor, Panel(0, None, links.append) as panel:
        settings = load_settings(server=address, state_dir=folder / "state", segmenter="classical")
        opened = open_session(settings, RecordedFeedback(), executor=executor)
        panel.attach(opened.engine)
        thread = threading.Thread(target=opened.engine.run_until_stopped)
        thread.start()
        try:
            with Browser() as browser:
                browser.go(links[0])
                browser.wait("document.body.dataset.firstSliceMs")
                loads = [_load(browser, f"http://127.0.0.1:{panel.port}/") for _ in range(LOADS)]
                over = _clicks(browser, panel, study.truth, np.random.default_rng(seed), seed)
        finally:
            opened.engine.command(Command("quit"))
            thread.join()
            opened.engine.finish()
            opened.close()
    paint, click = float(np.median(loads)) / 1000, float(np.median(over))
    note = f"512 x 512 x {SLICES} CT in headless Chromium; the virtual OsiriX is a process of its own"
    return [
        Figure(id="panel.time.paint", value=paint, unit="s", interval=(min(loads) / 1000, max(loads) / 1000),
               n=len(loads), reach=PAINT_REACH, holds=paint <= 1, note=f"{note}; medians, lowest to highest"),
        Figure(id="panel.time.click", value=click, unit="ms", interval=(min(over), max(over)), n=len(over),
               reach=CLICK_REACH, holds=click <= 100, note="over the time that the segmenter took for the same click"),
    ]  # fmt: skip


def _load(browser: Browser, address: str) -> float:
    """Milliseconds from asking for the page to its first slice."""
    browser.go(address)
    return float(browser.wait("document.body.dataset.firstSliceMs"))


def _clicks(browser: Browser, panel: Panel, truth: np.ndarray, rng: np.random.Generator, seed: int) -> list[float]:
    """Milliseconds from click to contour in the page, over the segmenter's own."""
    engine, found = panel.engine, []
    inside = np.argwhere(truth)
    for _ in range(ROUNDS):
        k, j, i = (int(v) for v in inside[rng.integers(len(inside))])
        click: Click | None = Click((k, j, i), True)
        for _ in range(CLICKS):
            if click is None:
                break
            k, j, i = click.kji
            browser.eval(f"(s => {{ s.value = {k}; s.dispatchEvent(new Event('input')); }})"
                         "(document.querySelector('#slider'))")  # fmt: skip
            browser.wait(f"document.body.dataset.lines === '0/{k}'")
            before = int(browser.eval("document.body.dataset.clicks") or 0)
            browser.click(*on_picture(browser, (j, i), (512, 512), BIG_SPACING_KJI_MM[1:]), shift=not click.include)
            browser.wait(f"Number(document.body.dataset.clicks) > {before}")
            page, own = browser.eval("[Number(document.body.dataset.pageMs), Number(document.body.dataset.segmentMs)]")
            found.append(page - own)
            belief = engine.belief("GTV")
            click = None if belief is None else next_click(truth, belief.mask(), seed)
        browser.eval("document.querySelector('#picture').focus()")
        engine.command(Command("reject"))
        browser.wait("document.querySelectorAll('#history .go').length === 0")
    return found

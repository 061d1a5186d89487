"""The companion page in headless Chromium: the whole main job, by mouse, keyboard and voice."""

from __future__ import annotations

import os
import re
import wave
from pathlib import Path

import numpy as np
import pytest

from osirix_agent.bench.browser import Browser, find_chromium
from osirix_agent.bench.panel import on_picture
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from tests.conftest import Hospital, until
from tests.panel.desk import Desk, Heard, Parrot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here (apt-get install chromium)"),
]
PICTURES = os.environ.get("OSIRIX_AGENT_PICTURES")  # the folder of the README's picture, to make it anew
SIZES = {"wide": (1440, 900), "middle": (1024, 768), "narrow": (420, 1180)}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Large enough to look at."""
    recipe = PhantomRecipe(shape_kji=(24, 128, 128), spacing_kji_mm=(3.0, 2.0, 2.0))
    return write_phantom(tmp_path_factory.mktemp("phantom"), recipe)


def sound(path: Path) -> Path:
    """Two seconds of a voice-like buzz, for the fake microphone."""
    t = np.arange(2 * 48_000) / 48_000
    values = 0.3 * np.sign(np.sin(2 * np.pi * 140 * t)) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((values * 32767).astype("<i2").tobytes())
    return path


def at(browser: Browser, row: float, column: float) -> tuple[float, float]:
    """Where a place of the shown slice is on the screen."""
    return on_picture(browser, (row, column), (128, 128), (2.0, 2.0))


def steps(browser: Browser, count: int) -> None:
    browser.wait(f"document.body.dataset.steps === '{count}' && document.body.dataset.busy === 'false'")


def shown(browser: Browser) -> float:
    """Volume of the first structure as the page tells it, cm3."""
    return float(re.search(r"([\d.]+) cm³", browser.text("#structures")).group(1))


@pytest.fixture
def microphone(tmp_path):
    return [
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound(tmp_path / 'said.wav')}",
    ]  # fmt: skip


def test_the_main_job_by_voice_mouse_and_keyboard(hospital: Hospital, phantom, open_practice, microphone, tmp_path):
    from osirix_agent.segmenter.classical import ClassicalSegmenter

    practice, parrot = open_practice(segmenter=ClassicalSegmenter()), Parrot()
    inside = np.argwhere(phantom.truth)
    k, row, column = (int(v) for v in np.median(inside, axis=0))
    with Desk(practice, parrot) as desk, Browser(SIZES["wide"], microphone) as browser:
        # open
        browser.go(desk.links[0])
        browser.wait("document.body.dataset.firstSliceMs")
        assert "token" not in browser.eval("location.href")
        assert "connected" in browser.text("#light")
        practice.clinician.scroll_to(k)  # the page follows OsiriX
        browser.wait(f"document.body.dataset.slice === '0/{k}'")

        # speak, correct what was heard, act
        parrot.says = Heard("new structure GTV", 0.83)
        browser.press("Space", up=False)
        browser.wait("document.querySelector('#talk').classList.contains('hot')")
        browser.eval("new Promise(done => setTimeout(done, 900))")
        browser.press("Space", down=False)
        browser.wait("document.querySelector('#sentence').value === 'new structure GTV'")
        assert "83 % sure" in browser.text("#heard")
        (samples,) = parrot.sounds
        assert 0.3 < len(samples) / 16_000 < 30
        assert samples.max() > 2000  # it is the file's sound
        browser.eval("document.querySelector('#sentence').setSelectionRange(99, 99)")
        browser.write("p")
        browser.press("Enter")
        browser.wait("document.querySelector('#structures').textContent.includes('GTVp')")
        assert practice.engine.session.state.active == "GTVp"
        browser.press("Escape")

        # click, and correct: exclude by shift, a stroke, a box by the keyboard alone
        browser.click(*at(browser, row, column))
        steps(browser, 1)
        browser.wait("Number(document.body.dataset.outlines) > 0")
        first = shown(browser)
        assert float(browser.eval("document.body.dataset.pageMs")) > 0
        mark = practice.engine.session.state.structure("GTVp").prompts[0].prompt.position_lps
        assert practice.engine.session.volume.geometry.to_kji(mark) == pytest.approx([k, row, column], abs=0.51)
        browser.press("3")
        browser.drag([at(browser, row + dy, column - 4) for dy in range(-6, 7, 2)])
        steps(browser, 2)
        browser.press("1")
        edge = int(phantom.truth[k].any(axis=0).nonzero()[0].max())
        browser.click(*at(browser, row, edge + 5), shift=True)
        steps(browser, 3)
        assert "−" in browser.text("#history li:first-child")
        browser.press("2")
        browser.press("c")
        for _ in range(3):
            browser.press("ArrowUp")
        browser.press("Enter")
        for key in ("ArrowDown", "ArrowRight"):
            for _ in range(8):
                browser.press(key)
        browser.press("Enter")
        steps(browser, 4)
        browser.press("Escape")
        browser.picture(tmp_path / "corrected.png")

        # undo, by key and by sentence
        browser.press("u")
        steps(browser, 3)
        browser.press("/")
        browser.write("undo")
        browser.press("Enter")
        browser.wait("document.querySelector('#sentence').value === ''")
        steps(browser, 2)
        browser.press("Escape")

        # one out of the history
        browser.click_on("#history li:first-child button:last-child")
        steps(browser, 3)
        assert shown(browser) == first
        browser.press("u")
        steps(browser, 2)

        # the other planes
        for plane, name in ((1, "coronal"), (2, "sagittal"), (0, "axial")):
            browser.press("v")
            browser.wait(f"document.body.dataset.lines?.startsWith('{plane}/')")
            assert name in browser.text("#where")

        for size, (width, height) in SIZES.items():
            browser.resize(width, height)
            browser.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            assert browser.eval("document.documentElement.scrollWidth <= innerWidth"), size
            small = browser.eval(
                "[...document.querySelectorAll('button')].filter(b => b.getClientRects().length)"
                ".filter(b => b.getBoundingClientRect().height < 40).map(b => b.textContent)"
            )
            assert small == []
            browser.picture(tmp_path / f"{size}.png")
            if PICTURES and size == "wide":
                browser.picture(Path(PICTURES) / "companion-page.png")
        browser.resize(*SIZES["wide"])

        # accept
        browser.press("a")
        browser.wait("document.querySelector('#structures').textContent.includes('accepted')")
        assert practice.engine.session.state.structure("GTVp").accepted
        assert browser.errors == []
        until(lambda: "GTVp" in practice.names())


def test_a_denied_microphone_and_a_missing_recogniser_are_said(hospital, open_practice, tmp_path):
    practice = open_practice()
    with Desk(practice, Parrot()) as desk, Browser(arguments=["--deny-permission-prompts"]) as browser:
        browser.go(desk.links[0])
        browser.wait("document.body.dataset.firstSliceMs")
        x, y = browser.find("#talk")
        browser.click(x, y)
        browser.wait("/denied|no microphone/.test(document.querySelector('#reply').textContent)")
        assert "or type" in browser.text("#reply")


def test_two_tabs_and_an_agent_that_goes_away(hospital, open_practice):
    practice = open_practice()
    with Browser() as browser:
        with Desk(practice) as desk:
            browser.go(desk.links[0])
            browser.wait("document.body.dataset.firstSliceMs")
            browser.click_on("#talk")
            browser.wait("document.querySelector('#reply').textContent.includes('Voice is not installed')")
            with desk.page() as other:  # another window has the session now
                other.has("hello")
                browser.wait("document.querySelector('#veil').textContent.includes('open in another tab')")
                browser.click_on("#veil button")
                browser.wait("document.querySelector('#light')?.textContent === 'connected'")
        browser.wait("document.querySelector('#light').textContent.includes('agent is away')")
        assert "Trying again" in browser.text("#veil")

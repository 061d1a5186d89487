"""`osirix-agent run --panel`: the terminal's session with its companion page."""

from __future__ import annotations

import os
import sys
import time
import webbrowser

import numpy as np

from osirix_agent.agent.live import run_live
from osirix_agent.agent.opening import Start
from osirix_agent.errors import SettingsError, VoiceError
from osirix_agent.panel.hearing import Recogniser
from osirix_agent.prompting.gaze.simulated import SimulatedTracker
from osirix_agent.prompting.voice.listener import open_listener
from osirix_agent.settings import Settings

NEEDED = "pip install 'osirix-agent[panel]'"


def run_with_panel(
    settings: Settings, *, for_seconds: float | None = None, wait_s: float | None = None, fresh: bool = False,
    start: Start | None = None, pointer: bool = False,
) -> None:  # fmt: skip
    """`run_live`, with a page that opens in the browser.

    Parameters
    ----------
    pointer : the mouse pointer over the page stands for the eyes: a demonstration without an eye tracker

    Raises
    ------
    SettingsError
        The page's server is not installed, or its port is taken.
    """
    try:
        from osirix_agent.panel.server import Panel
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "websockets":
            raise
        raise SettingsError("The companion page needs one more package.", f"Install it: {NEEDED}") from None
    links: list[str] = []

    def tell(link: str) -> None:
        links.append(link)
        words = "Companion page" if len(links) == 1 else "The page is open. To open it elsewhere"
        print(f"{words}: {link}", flush=True)

    eyes = SimulatedTracker(np.random.default_rng(), time.monotonic) if pointer else None
    with Panel(settings.panel_port, recogniser(settings), tell, eyes.rest if eyes else None) as panel:
        if settings.panel_opens and _has_screen():
            webbrowser.open(links[0])
        run_live(settings, for_seconds=for_seconds, wait_s=wait_s, fresh=fresh, start=start, page=panel, eyes=eyes)


def recogniser(settings: Settings) -> Recogniser | None:
    """What hears the page's microphone; None where no speech recogniser is installed.

    Raises
    ------
    ModelError
        The folder of the free recogniser cannot be used.
    """
    try:
        return open_listener(settings)
    except VoiceError:
        return None


def _has_screen() -> bool:
    """Where there is none, a browser would take over the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

"""An eye tracker over Lab Streaming Layer: most vendors' programs, and those for webcams, publish one (type 'Gaze')."""

from __future__ import annotations

import math
from typing import Any

from osirix_agent.errors import SettingsError
from osirix_agent.prompting.gaze.sample import Sample

LOOK_FOR_S = 3.0
MOST_SAMPLES = 4096  # of one read


class LslTracker:
    """The first stream of type 'Gaze': its first two channels are x and y as shares of the screen.

    Channels labelled x and y (in any spelling that ends so) are taken instead where the stream names them.

    Parameters
    ----------
    name : str or None
        Of the stream, where several trackers publish.

    Raises
    ------
    SettingsError
        pylsl is not installed, or there is no such stream.
    """

    def __init__(self, name: str | None = None, *, look_for_s: float = LOOK_FOR_S) -> None:
        try:
            import pylsl
        except (ImportError, RuntimeError) as error:  # RuntimeError: its C library is missing
            raise SettingsError(
                f"Gaze needs Lab Streaming Layer ({type(error).__name__}).",
                "Install it: pip install 'osirix-agent[gaze]'",
            ) from None
        found = [
            one
            for one in pylsl.resolve_byprop("type", "Gaze", timeout=look_for_s)
            if (name is None or one.name() == name) and one.channel_count() >= 2
        ]
        if not found:
            raise SettingsError(
                "No eye tracker publishes a stream of type 'Gaze' over Lab Streaming Layer.",
                "Start the tracker's program and its LSL output, or run without gaze.",
            )
        self._inlet = pylsl.StreamInlet(found[0], max_buflen=10, recover=True)
        self._x, self._y = _channels(self._inlet.info(timeout=look_for_s))

    def read(self) -> list[Sample]:
        rows, stamps = self._inlet.pull_chunk(timeout=0.0, max_samples=MOST_SAMPLES)
        x, y = self._x, self._y
        return [Sample(float(t), _number(row[x]), _number(row[y])) for row, t in zip(rows, stamps, strict=True)]

    def close(self) -> None:
        self._inlet.close_stream()


def _channels(info: Any) -> tuple[int, int]:
    labels = [str(one).lower() for one in info.get_channel_labels() or []]
    x, y = (next((n for n, one in enumerate(labels) if one.endswith(axis)), place) for place, axis in enumerate("xy"))
    return x, y


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a stream of words that calls itself gaze
        return math.nan

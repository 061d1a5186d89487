"""Where the centre of pixel (0, 0) lies in OsiriX's ROI coordinates, as `osirix-agent doctor --live` measured it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from osirix_agent.errors import SettingsError
from osirix_agent.whole import write_whole

ASSUMED_PX = 0.5  # read in Horos, the open fork of OsiriX
_CURE = "Run 'osirix-agent doctor --live' again; until then 0.5 is used."


@dataclass(frozen=True)
class HalfPixel:
    """One measurement.

    Attributes
    ----------
    px : float
        0 to 1, x and y alike.
    measured_at : str
        ISO 8601, UTC.
    osirix : str
        Name and version of what was measured.
    """

    px: float
    measured_at: str
    osirix: str

    @staticmethod
    def path(state_dir: Path) -> Path:
        return state_dir / "half_pixel.json"

    @classmethod
    def read(cls, state_dir: Path) -> HalfPixel | None:
        """The last measurement; None when there was none.

        Raises
        ------
        SettingsError
            The file is there and cannot be used.
        """
        try:
            held = json.loads(cls.path(state_dir).read_text())
            found = cls(float(held["px"]), str(held["measured_at"]), str(held["osirix"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise SettingsError("The measured half pixel cannot be read.", _CURE) from None
        if not 0 <= found.px <= 1:
            raise SettingsError("The measured half pixel is not between 0 and 1.", _CURE)
        return found

    def write(self, state_dir: Path) -> None:
        """Replace the last measurement, whole or not at all."""
        try:
            write_whole(self.path(state_dir), json.dumps(asdict(self)) + "\n", private=True)
        except OSError as error:
            raise SettingsError(
                f"The measured half pixel cannot be kept ({error.strerror}).",
                f"Set half_pixel_px = {self.px:g} in the settings, or give a state folder that can be written.",
            ) from None


def half_pixel_in_use(state_dir: Path) -> float:
    """What was measured here, else what is assumed."""
    try:
        found = HalfPixel.read(state_dir)
    except SettingsError:
        return ASSUMED_PX
    return ASSUMED_PX if found is None else found.px

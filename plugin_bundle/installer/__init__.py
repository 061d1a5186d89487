"""The installer of the buttons. Standard library only, Python 3.9 or newer: a Mac's own Python may run it."""

from .disk import InstallError
from .installation import BUTTONS, Installation, osirix_is_open

__all__ = ["BUTTONS", "InstallError", "Installation", "osirix_is_open"]

"""The buttons in OsiriX: where their files come from, how the installer is called, what `doctor` says of them."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from osirix_agent import __version__
from osirix_agent.agent.control import check_folder, control_folder, listening
from osirix_agent.errors import ControlError, PluginError


class Line(NamedTuple):
    """One line of `doctor`."""

    what: str
    good: bool
    detail: str
    cure: str = ""


def bundle_folder() -> Path:
    """`plugin_bundle`: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "_plugin_bundle"
    return inside if inside.is_dir() else package.parent / "plugin_bundle"


@cache
def installer() -> ModuleType:
    """`plugin_bundle/installer`: no part of this package, as it also runs by itself, under a Mac's own Python.

    Raises
    ------
    PluginError
        It is missing.
    """
    name, start = "osirix_agent_plugin_installer", bundle_folder() / "installer" / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=[str(start.parent)])
    if spec is None or spec.loader is None or not start.is_file():
        raise PluginError("The installer of the buttons is missing.", "Install osirix-agent again.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def install(*, launch_agent: bool = False, **place: Any) -> None:
    """Put the buttons into OsiriX, for this Python and this version.

    Parameters
    ----------
    launch_agent : bool
        Keep an agent ready from login on.
    place
        Of `plugin_bundle/installer`'s Installation: root, home, dry_run.

    Raises
    ------
    PluginError
        Nothing was changed.
    """
    bundle = installer()
    try:
        bundle.Installation(**place).install(sys.executable, __version__, launch_agent)
    except bundle.InstallError as error:
        raise PluginError(error.what, error.cure) from None


def remove(**place: Any) -> None:
    """Take the buttons away again, and everything else that `install` made.

    Raises
    ------
    PluginError
    """
    bundle = installer()
    try:
        bundle.Installation(**place).uninstall()
    except bundle.InstallError as error:
        raise PluginError(error.what, error.cure) from None


def status(**place: Any) -> Line:
    """Are the buttons in OsiriX, and of this version?"""
    if not place and not (Path.home() / "Library" / "Application Support").is_dir():
        return Line("buttons", True, "not a Mac: there is no OsiriX to hold them")
    try:
        bundle = installer()
    except PluginError as error:
        return Line("buttons", False, error.what, error.cure)
    try:
        state, detail, cure = bundle.Installation(**place).status(__version__)
    except bundle.InstallError as error:
        return Line("buttons", False, error.what, error.cure)
    return Line("buttons", state == "installed", f"{state}: {detail}" if state != "installed" else detail, cure)


def socket_line(folder: Path | None = None) -> Line:
    """Does an agent listen to the buttons?"""
    folder = folder or control_folder()
    try:
        check_folder(folder)
        found = [listening(path) for path in folder.glob("*.sock")]
    except FileNotFoundError:
        found = []
    except (ControlError, OSError) as error:
        what = error.what if isinstance(error, ControlError) else f"The control socket cannot be read ({error})."
        cure = error.cure if isinstance(error, ControlError) else f"Check the folder {folder}."
        return Line("control socket", False, what, cure)
    alive = sum(found)
    if alive:
        return Line("control socket", True, f"{alive} agent(s) listen to the buttons")
    if found:
        return Line("control socket", True, "left by an agent that was killed; the next one replaces it")
    return Line("control socket", True, "no agent is running")


def findings() -> list[Line]:
    """The lines of `doctor`: a Mac without buttons is no fault, as drawing and typing work without."""
    buttons = status()
    if buttons.detail.startswith("missing: "):
        buttons = buttons._replace(good=True, detail=f"{buttons.detail[9:]}; 'osirix-agent plugin install' adds them")
    return [buttons, socket_line()]

"""The buttons on one Mac: put in place, taken away, looked at.

Scripts go to ~/Library/Application Support/osirix-agent/plugin, an entry for each into
~/Library/Application Support/OsiriXGRPC/script_configs.json. That list is replaced in one step, last: whatever happens,
it is either the old one or the new one. Taking the buttons away brings back its former bytes; if it was changed in
between, only our entries go.
"""

import contextlib
import json
import os
import plistlib
import subprocess
import sys
from pathlib import Path

from .disk import Disk, InstallError, bytes_of, check_owner, check_plain, refusing, temporary
from .script_list import digest, dump, entries, entry

SUPPORT = Path("Library") / "Application Support"
PLUGIN = SUPPORT / "osirix-agent" / "plugin"
CONFIG = SUPPORT / "OsiriXGRPC" / "script_configs.json"
LABEL = "org.osirix-agent.agent"
LAUNCH_AGENT = Path("Library") / "LaunchAgents" / (LABEL + ".plist")
RECORD, BEFORE, LOG = "installed.json", "script_configs.before", "agent.log"
RECORD_FORMAT = 1
BUTTONS = {  # the menu finds an entry by its name alone: ASCII, unique
    "start": "Contour: start agent",
    "propose": "Contour: propose",
    "accept": "Contour: accept",
    "reject": "Contour: reject",
    "undo": "Contour: undo",
    "redo": "Contour: redo",
    "next_look": "Contour: next look",
    "uncertainty": "Contour: show or hide uncertainty",
}


class Installation:
    """The buttons in one home folder.

    Parameters
    ----------
    root : Path
        Treated as "/": paths written into files begin there.
    home : Path or None
        The home folder inside `root`, e.g. /Users/anna; None: the user's own, or the only one in root/Users.
    osirix_open : callable or None
        Is OsiriX running? None: look, unless `root` is not this machine's.
    tell : callable
        Takes each line of what is done.
    dry_run : bool
        Only tell.
    """

    def __init__(self, root=Path("/"), home=None, *, osirix_open=None, tell=print, dry_run=False):
        self.root = Path(root).absolute()
        self.home = _find_home(self.root, home)
        self.scripts = Path(__file__).resolve().parents[1] / "scripts"
        self.osirix_open = osirix_open or (osirix_is_open if self.root == Path("/") else lambda: False)
        self.disk = Disk(tell, dry_run)
        self.config, self.plugin = self.home / CONFIG, self.home / PLUGIN
        self.launch_agent = self.home / LAUNCH_AGENT

    # -- the three things it does ----------------------------------------------------------------------------
    def install(self, interpreter, version, launch_agent=False):
        """Put scripts and entries in place; a second time brings them up to date.

        Parameters
        ----------
        interpreter : str
            Path of the Python that holds osirix-agent.
        launch_agent : bool
            Keep an agent ready from login on.

        Raises
        ------
        InstallError
            Nothing was changed.
        """
        with refusing():
            self._check()
            self._check_free_names()
            fresh = bytes_of(self.plugin / RECORD) is None
        try:
            with refusing():
                self._put(interpreter, version, launch_agent)
        except InstallError:
            if fresh and not self.disk.dry_run:
                with contextlib.suppress(OSError, InstallError):
                    self._take_away()
            raise

    def uninstall(self):
        """Take everything away again; the user's other entries stay.

        Raises
        ------
        InstallError
            Nothing was changed, or the rest goes at the next try.
        """
        with refusing():
            self._check()
            self._take_away()

    def status(self, version):
        """("installed", "stale" or "missing"; what was found; the cure).

        Raises
        ------
        InstallError
            The plug-in's list cannot be read.
        """
        with refusing():
            check_plain(self.config, is_folder=False)
            listed = {Path(e["path"]).stem for e in entries(bytes_of(self.config)) if _is_ours(e)}
            record = self._record()
            changed = [p.name for p in self.scripts.glob("*.py") if bytes_of(self.plugin / p.name) != p.read_bytes()]
        again = "Quit OsiriX, then run 'osirix-agent plugin install'."
        if not listed and not record:
            return "missing", "they are not in OsiriX", again
        if len(listed) < len(BUTTONS):
            return "stale", "%d of %d are registered in OsiriX" % (len(listed), len(BUTTONS)), again
        if record.get("version") != version:
            return "stale", "they are of version %s, not %s" % (record.get("version", "unknown"), version), again
        if not os.path.exists(record.get("interpreter", "")):
            return "stale", "the Python they start is no longer there", again
        if changed:
            return "stale", "%d of their files are missing or were changed" % len(changed), again
        return "installed", "%d in OsiriX, version %s" % (len(listed), version), ""

    # -- what is there ---------------------------------------------------------------------------------------
    def _check(self):
        if self.osirix_open():
            raise InstallError(
                "OsiriX is running and would overwrite its list of scripts.", "Quit OsiriX, then repeat."
            )
        if not (self.home / SUPPORT).is_dir():
            raise InstallError(
                "%s is not the home folder of a Mac user." % self.home, "Run this on the Mac, as the user of OsiriX."
            )
        check_owner(self.home)
        check_owner(self.home / SUPPORT)
        for folder in (self.config.parent, self.plugin.parent, self.plugin, self.launch_agent.parent):
            check_plain(folder, is_folder=True)
        for file in (self.config, self.launch_agent):
            check_plain(file, is_folder=False)
        if self._record().get("format", RECORD_FORMAT) != RECORD_FORMAT:
            raise InstallError("The buttons were installed by a newer version.", "Update osirix-agent, then repeat.")

    def _check_free_names(self):
        others = [e["name"] for e in entries(bytes_of(self.config)) if not _is_ours(e)]
        for name in BUTTONS.values():
            if name in others:
                raise InstallError(
                    "Another script is registered as '%s'." % name,
                    "Rename or remove it in OsiriX (osirixgrpc > Script Management), quit OsiriX, then repeat.",
                )

    def _record(self):
        """What was installed, by which version, for which Python; {} where nothing was."""
        data = bytes_of(self.plugin / RECORD)
        if data is None:
            return {}
        try:
            record = json.loads(data)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InstallError(
                "The note of what was installed (%s) cannot be read." % RECORD,
                "Remove the folder %s, then run 'osirix-agent plugin install'." % self.plugin,
            )
        return record

    def _list_without_ours(self):
        """What the plug-in's list is without us: its former bytes where the rest is still the same."""
        now = bytes_of(self.config)
        everything = entries(now)
        rest = [e for e in everything if not _is_ours(e)]
        if len(rest) == len(everything):
            return now
        record, before = self._record(), bytes_of(self.plugin / BEFORE)
        if record and (digest(now) in record.get("written", []) or rest == entries(before)):
            return before
        return dump(rest)

    # -- changes ---------------------------------------------------------------------------------------------
    def _put(self, interpreter, version, launch_agent):
        disk, record = self.disk, self._record()
        now, before = bytes_of(self.config), self._list_without_ours()
        ours = [entry(self._inside(self.plugin / (s + ".py")), interpreter, name) for s, name in BUTTONS.items()]
        after = dump(entries(before) + ours)
        # what an earlier install wrote still counts, as long as it is what stands there: a kill may leave it so
        written = record.get("written", []) if digest(now) in record.get("written", []) else []
        folders = [self.config.parent] + ([self.launch_agent.parent] if launch_agent else [])
        made = {str(folder.relative_to(self.home)) for folder in folders if not folder.exists()}
        new_record = {
            "format": RECORD_FORMAT, "version": version, "interpreter": interpreter,
            "made": sorted(made.union(record.get("made", []))), "written": [*written, digest(after)],
        }  # fmt: skip
        disk.make_folder(self.plugin.parent)
        disk.make_folder(self.plugin)
        if before is None:
            disk.remove(self.plugin / BEFORE)
        else:
            disk.write(self.plugin / BEFORE, before)
        disk.write(self.plugin / RECORD, dump(new_record))
        for source in sorted(self.scripts.glob("*.py")):
            disk.write(self.plugin / source.name, source.read_bytes())
        for folder in folders:
            disk.make_folder(folder, 0o755)
        if launch_agent:
            disk.write(self.launch_agent, self._plist(interpreter), 0o644)
        if after != now:  # last: entries never point at scripts that are not there
            disk.write(self.config, after, 0o644, unless_changed_from=now)

    def _take_away(self):
        disk, record = self.disk, self._record()
        now, before = bytes_of(self.config), self._list_without_ours()
        if before is None:
            disk.remove(self.config)
        elif before != now:
            disk.write(self.config, before, 0o644, unless_changed_from=now)
        if self.root == Path("/") and sys.platform == "darwin" and not disk.dry_run:
            subprocess.run(["/bin/launchctl", "bootout", "gui/%d/%s" % (os.getuid(), LABEL)], capture_output=True)
        for path in (self.launch_agent, temporary(self.launch_agent), temporary(self.config)):
            disk.remove(path)
        for folder in record.get("made", []):
            disk.remove_folder(self.home / folder)
        if self.plugin.is_dir():
            for path in sorted(self.plugin.iterdir(), key=lambda p: p.name == RECORD):  # the record last
                disk.remove(path)
        disk.remove_folder(self.plugin)
        disk.remove_folder(self.plugin.parent)

    def _inside(self, path):
        """The path as the Mac will see it."""
        return str("/" / path.relative_to(self.root))

    def _plist(self, interpreter):
        return plistlib.dumps({
            "Label": LABEL,
            "ProgramArguments": [interpreter, "-m", "osirix_agent.cli", "run"],
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},  # again while OsiriX or its viewer is missing; not after 'quit'
            "ThrottleInterval": 30,
            "LimitLoadToSessionType": "Aqua",
            "ProcessType": "Interactive",
            "WorkingDirectory": "/",
            "StandardOutPath": "/dev/null",  # it names structures, in her own words
            "StandardErrorPath": self._inside(self.plugin / LOG),
        })  # fmt: skip


def osirix_is_open(processes=None):
    """Is OsiriX (MD, Lite, ...) among the running programs (`ps -axo comm=`)?"""
    if processes is None:
        try:
            processes = subprocess.run(["/bin/ps", "-axo", "comm="], capture_output=True, text=True, timeout=10).stdout
        except (OSError, subprocess.SubprocessError):
            raise InstallError("The running programs cannot be listed.", "Quit OsiriX, then repeat.") from None
    names = [os.path.basename(line.strip()) for line in processes.splitlines()]
    return any(name == "OsiriX" or name.startswith("OsiriX ") for name in names)


def _find_home(root, home):
    if home is not None:
        return root / str(home).lstrip("/")
    if root == Path("/"):
        return Path.home()
    users = [p for p in sorted((root / "Users").glob("*")) if p.is_dir() and p.name not in ("Shared", "Guest")]
    if len(users) != 1:
        raise InstallError("%s holds %d users." % (root / "Users", len(users)), "Name one: --home /Users/NAME.")
    return users[0]


def _is_ours(found):
    """By the end of its path: the home folder may have been renamed since."""
    return found["path"].endswith(tuple("/%s/%s.py" % (PLUGIN.as_posix(), script) for script in BUTTONS))

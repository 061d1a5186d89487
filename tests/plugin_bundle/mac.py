"""A folder made to look like a Mac, and what is in a folder."""

import stat
from pathlib import Path

SUPPORT = Path("Library") / "Application Support"
LIST = SUPPORT / "OsiriXGRPC" / "script_configs.json"
HERS = """[{"path": "/Users/x/é.py", "interpreterPath": "/usr/bin/python", "name": "Mine", "type": "gRPCROITool",
 "blocking" : "YES", "note": 1.50}]"""


def make_mac(root: Path, name: str = "Zoë Müller", scripts: str | None = HERS) -> Path:
    """The home folder of a Mac on which OsiriX and the plug-in have been used."""
    home = root / "Users" / name
    (home / SUPPORT / "OsiriX").mkdir(parents=True)
    (root / "Users" / "Shared").mkdir()
    (home / SUPPORT / "OsiriX" / "Plugins.plist").write_bytes(b"\x00plist")
    if scripts is not None:
        (home / LIST).parent.mkdir(mode=0o750)
        (home / LIST).write_text(scripts)
        (home / LIST).chmod(0o640)
    return home


def tree(root: Path) -> dict[str, tuple[int, bytes | str]]:
    """Every path below with its mode and content."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[str(path.relative_to(root))] = mode, content
    return found

"""Run by a test in a process of its own: kill the installer before each of its file operations in turn.

Arguments: plugin_bundle, a folder to work in. Prints one line for each way in which something was left half-done.
"""

import os
import shutil
import sys
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), sys.argv[1]]
from installer import Installation  # noqa: E402
from mac import HERS, LIST, make_mac, tree  # noqa: E402

os.fsync = lambda handle: None  # slow, and a killed process (unlike a lost machine) loses nothing without it
OPERATIONS = ("open", "write", "fchmod", "fsync", "replace", "mkdir", "unlink", "rmdir")


SCRIPTS = list((Path(sys.argv[1]) / "scripts").glob("*.py"))


def killed_at(n: int, act) -> bool:
    """Do it in a child that dies just before operation n (amid it, for a write); False: it came through."""
    child = os.fork()
    if child == 0:
        done = 0

        def counted(name, real, *arguments, **more):
            nonlocal done
            done += 1
            if done == n:
                if name == "write":
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os._exit(9)
            return real(*arguments, **more)

        for name in OPERATIONS:
            setattr(os, name, partial(counted, name, getattr(os, name)))
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def main(work: Path) -> None:
    for before in (HERS, None):
        mac = work / "mac"
        make_mac(mac, scripts=before)

        def place(root: Path = mac) -> Installation:
            return Installation(root, tell=lambda line: None)

        old = tree(mac)
        shutil.copytree(mac, work / "installed", symlinks=True)
        place(work / "installed").install("/usr/bin/true", "1", launch_agent=True)
        cases = {
            "install": (mac, lambda p: p.install("/usr/bin/true", "1", launch_agent=True)),
            "update": (work / "installed", lambda p: p.install("/usr/bin/false", "2", launch_agent=True)),
            "uninstall": (work / "installed", lambda p: p.uninstall()),
        }
        for name, (start, act) in cases.items():
            if before is None and name == "update":
                continue
            shutil.copytree(start, work / "done", symlinks=True)
            act(place(work / "done"))
            allowed = [list_in(start), list_in(work / "done")]
            n = 0
            while True:
                n += 1
                root = work / "copy"
                shutil.copytree(start, root, symlinks=True)
                killed = killed_at(n, lambda root=root, act=act: act(place(root)))
                if list_in(root) not in allowed:
                    print(f"{name} killed at {n}: the list is neither the old nor the new one")
                if b"osirix-agent" in (list_in(root) or b""):
                    missing = {p.name for p in SCRIPTS} - {p.name for p in root.rglob("*.py")}
                    if missing:
                        print(f"{name} killed at {n}: {missing} listed but not there")
                if n % 2:
                    place(root).install("/usr/bin/true", "3")
                place(root).uninstall()
                if tree(root) != old:
                    print(f"{name} killed at {n}, then uninstalled: {set(tree(root).items()) ^ set(old.items())}")
                shutil.rmtree(root)
                if not killed:
                    break
            shutil.rmtree(work / "done")
            assert n > 15, (name, n)
        for folder in (mac, work / "installed"):
            shutil.rmtree(folder)


def list_in(root: Path) -> bytes | None:
    (home,) = (p for p in (root / "Users").iterdir() if p.name != "Shared")
    return (home / LIST).read_bytes() if (home / LIST).exists() else None


main(Path(sys.argv[2]))

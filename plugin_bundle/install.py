"""Put the buttons of osirix-agent into OsiriX's osirixgrpc plug-in, or take them away again.

    python3 install.py [--dry-run] [--launch-agent]
    python3 install.py --uninstall

The same as `osirix-agent plugin install` and `remove`, for the Python named with --python.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from installer import Installation, InstallError


def main(argv=None):
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("/"), help="treat this folder as /")
    parser.add_argument("--home", type=Path, help="home folder inside it")
    parser.add_argument("--python", default=sys.executable, help="the Python that holds osirix-agent (%(default)s)")
    parser.add_argument("--launch-agent", action="store_true", help="keep an agent ready from login on")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--uninstall", action="store_true")
    given = parser.parse_args(argv)
    try:
        installation = Installation(given.root, given.home, dry_run=given.dry_run)
        if given.uninstall:
            installation.uninstall()
        else:
            installation.install(given.python, _version_in(given.python), given.launch_agent)
    except InstallError as error:
        print("install.py: %s" % error, file=sys.stderr)
        return 7
    return 0


def _version_in(python):
    ask = [python, "-c", "import osirix_agent; print(osirix_agent.__version__)"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True, timeout=60, cwd="/").stdout.strip()
    except (OSError, subprocess.SubprocessError):
        raise InstallError(
            "This Python holds no osirix-agent.",
            "Run 'osirix-agent plugin install', or name the Python that holds it: --python PATH.",
        ) from None


if __name__ == "__main__":
    sys.exit(main())

"""The osirixgrpc plug-in's list of scripts, script_configs.json: an array of objects, every value a string."""

import hashlib
import json

from .disk import InstallError

FIELDS = ("path", "interpreterPath", "name", "type", "blocking")
TYPE = "gRPCImageTool"  # offered in 2D viewers
_AWAY = "move script_configs.json out of the OsiriXGRPC folder and register your other scripts again in OsiriX."


def entries(data):
    """The entries, with whatever other keys they have.

    Raises
    ------
    InstallError
        It is damaged, or of a form that is not known.
    """
    if data is None:
        return []
    try:
        found = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InstallError(
            "The plug-in's list of scripts (script_configs.json) is damaged.", "Quit OsiriX, then " + _AWAY
        ) from None
    if not isinstance(found, list) or not all(
        isinstance(entry, dict) and all(isinstance(entry.get(field), str) for field in FIELDS) for entry in found
    ):
        raise InstallError(
            "The plug-in's list of scripts (script_configs.json) has a form that this version does not know.",
            "Update osirix-agent if the osirixgrpc plug-in is newer; else quit OsiriX, then " + _AWAY,
        )
    return found


def entry(path, interpreter, name):
    """One script as the plug-in wants it."""
    return {"path": path, "interpreterPath": interpreter, "name": name, "type": TYPE, "blocking": "NO"}


def dump(data):
    return (json.dumps(data, indent=2) + "\n").encode("ascii")


def digest(data):
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _no_constant(text):
    raise ValueError(text)  # NaN and the like are Python's, not JSON

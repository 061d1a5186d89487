"""Say one word to the running agent and print what it answers, for OsiriX's Task Console.

Standard library only, Python 3.9 or newer. OsiriX starts scripts without arguments and with nothing but HOME and a
broken PATH, so the home folder is all that leads to the agent.
"""

import hashlib
import json
import os
import socket
import stat
import sys

DEADLINE_S = 25.0  # the agent itself gives up waiting for OsiriX after 20 s
MAX_PATH_BYTES = 100
NOT_RUNNING = "No agent is running. Open the series in OsiriX, then choose 'Contour: start agent'."


def control_folder(home):
    """Where agents put their sockets (the same rule as osirix_agent/agent/control.py)."""
    if sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Application Support", "osirix-agent", "control")
    else:
        folder = os.path.join(home, ".local", "state", "osirix-agent", "control")
    if len(os.fsencode(os.path.join(folder, "01234567.sock"))) <= MAX_PATH_BYTES:
        return folder
    return "/tmp/osirix-agent-%d-%s" % (os.getuid(), hashlib.sha256(os.fsencode(home)).hexdigest()[:8])


def sockets():
    """Sockets of this user; those of others are left alone."""
    folder = control_folder(os.path.expanduser("~"))
    try:
        if os.lstat(folder).st_uid != os.getuid():
            return []
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for path in (os.path.join(folder, name) for name in names if name.endswith(".sock")):
        try:
            held = os.lstat(path)
        except OSError:
            continue  # its agent has just left
        if stat.S_ISSOCK(held.st_mode) and held.st_uid == os.getuid():
            found.append(path)
    return found


def ask(path, command, deadline_s=DEADLINE_S):
    """The agent's answer as a dict; None when nobody listens there any more."""
    talk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    talk.settimeout(deadline_s)
    try:
        talk.connect(path)
        talk.sendall(json.dumps({"command": command}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = talk.recv(4096)
            if not part:
                return {"ok": False, "message": "The agent ended before it answered."}
            answer += part
        return json.loads(answer)
    except (ConnectionRefusedError, FileNotFoundError):
        return None
    except socket.timeout:
        return {"ok": False, "message": "The agent does not answer. Look into the terminal it runs in, or quit it."}
    except (OSError, ValueError) as error:
        return {"ok": False, "message": "The agent cannot be reached (%s). Start it again." % type(error).__name__}
    finally:
        talk.close()


def first_answer(command):
    """The answer of the agent that works on the viewer in front; None when no agent runs."""
    last = None
    for path in sockets():
        answer = ask(path, command)
        if answer is not None:
            last = answer
            if not answer.get("elsewhere"):
                break
    return last


def press(command):
    """Say it, print the answer, give the exit code."""
    answer = first_answer(command)
    print(NOT_RUNNING if answer is None else answer.get("message", ""))
    return 0 if answer is not None and answer.get("ok") else 1

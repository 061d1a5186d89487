"""The control socket: the buttons in OsiriX say to the running agent what a `!` name says.

One request a connection, one JSON line each way: {"command": "accept"} -> {"ok": true, "message": "Accepted."}, and
{"say": "two millimetres superiorly, undo"} from `osirix-agent say`, with "heard", its confidence, if it was speech;
{"names": true} asks what the session calls its structures, for the speech recogniser (a JSON list in "message"). A
request goes into the session's one queue like any other; the thread here only carries words. Only the user's own
programs reach it: the folder is 0700, the socket 0600, and a peer of another user is hung up on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from osirix_agent.agent.request import Request, Sentence
from osirix_agent.errors import ControlError
from osirix_agent.prompting.grammar import Command, parse_command

MAX_LINE_BYTES = 4096
READ_DEADLINE_S = 2.0
ANSWER_DEADLINE_S = 20.0  # the longest a script waits; OsiriX's own deadline is 10 s
MAX_TALKS = 8
MAX_PATH_BYTES = 100  # sun_path holds 104 on macOS, 108 on Linux, a zero byte included
_STARTING = "The agent is starting. Wait until it says that it watches, then press again."


def control_folder(home: Path | None = None) -> Path:
    """Where sockets are looked for, from the home folder alone: all that OsiriX tells a script.

    `plugin_bundle/scripts/agent_socket.py` holds the same rule; a test keeps them equal.
    """
    home = home or Path.home()
    if sys.platform == "darwin":
        folder = home / "Library" / "Application Support" / "osirix-agent" / "control"
    else:
        folder = home / ".local" / "state" / "osirix-agent" / "control"
    if len(os.fsencode(folder / "01234567.sock")) <= MAX_PATH_BYTES:
        return folder
    return Path("/tmp") / f"osirix-agent-{os.getuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}"


def check_folder(folder: Path, uid: int | None = None) -> None:
    """Only the user may reach what is in it.

    Raises
    ------
    ControlError
        It is another user's, or no folder of its own.
    """
    held = os.lstat(folder)
    if not stat.S_ISDIR(held.st_mode):
        raise ControlError(f"{folder} is not a folder.", "Remove it, then start the agent again.")
    if held.st_uid != (os.getuid() if uid is None else uid):
        raise ControlError(
            f"{folder} belongs to another user.", "Ask that user or an administrator to remove it, then start again."
        )


def listening(path: Path) -> bool:
    """Does an agent of this user listen there?

    Raises
    ------
    ControlError
        It is no socket, or another user's: it is left alone.
    """
    held = os.lstat(path)
    if not stat.S_ISSOCK(held.st_mode) or held.st_uid != os.getuid():
        raise ControlError(
            f"{path} is not a socket of this user.", "Remove it (or ask its owner to), then start the agent again."
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(READ_DEADLINE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # its queue is full, say: somebody holds it
        return True


class ControlSocket:
    """Listens for the buttons, in a thread of its own, until closed.

    Parameters
    ----------
    folder : Path or None
        None: `control_folder()`.
    answer_deadline_s : float
        A command that could not be begun by then is withdrawn, so that it is not carried out unexpectedly later.

    Raises
    ------
    ControlError
        The folder or a socket in it belongs to somebody else, or cannot be made.
    """

    def __init__(self, folder: Path | None = None, *, answer_deadline_s: float = ANSWER_DEADLINE_S) -> None:
        self._deadline_s = answer_deadline_s
        self._ask: Callable[[Request], None] | None = None
        self._talks = threading.BoundedSemaphore(MAX_TALKS)
        self._closing = threading.Event()
        self._folder = folder or control_folder()
        self.path = self._folder / f"{secrets.token_hex(4)}.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _only_one(self._folder):
                _clear_stale(self._folder)
                self._listener.bind(str(self.path))
                os.chmod(self.path, 0o600)
                self._listener.listen(MAX_TALKS)
        except OSError as error:
            self._listener.close()
            raise ControlError(
                f"The control socket cannot be made ({error.strerror or error}).", f"Check the folder {self._folder}."
            ) from None
        except BaseException:
            self._listener.close()
            raise
        threading.Thread(target=self._listen, daemon=True).start()

    def answer_with(self, ask: Callable[[Request], None]) -> None:
        """From now on commands go there; until then they are told that the agent is starting."""
        self._ask = ask

    def close(self) -> None:
        """Stop listening and take the socket away; the folder too, when it was the last."""
        if self._closing.is_set():
            return
        self._closing.set()
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wake:
            wake.settimeout(READ_DEADLINE_S)
            wake.connect(str(self.path))
        with suppress(OSError, ControlError), _only_one(self._folder):
            self.path.unlink(missing_ok=True)
            self._folder.rmdir()

    def __enter__(self) -> ControlSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        with self._listener:
            while True:
                try:
                    talk, _ = self._listener.accept()
                except OSError:
                    if self._closing.wait(0.1):  # out of file handles, say: not a reason to stop
                        return
                    continue
                if self._closing.is_set() or _uid_of_peer(talk) not in (None, os.getuid()):
                    talk.close()
                elif self._talks.acquire(blocking=False):
                    threading.Thread(target=self._serve, args=(talk,), daemon=True).start()
                else:
                    talk.close()
                if self._closing.is_set():
                    return

    def _serve(self, talk: socket.socket) -> None:
        try:
            with talk:
                ok, message, elsewhere = self._answer(_read_line(talk))
                reply = {"ok": ok, "message": message, "elsewhere": elsewhere, "ready": self._ask is not None}
                talk.settimeout(READ_DEADLINE_S)
                talk.sendall(json.dumps(reply).encode() + b"\n")
        except OSError:
            pass  # a silent or vanished client costs nobody anything
        finally:
            self._talks.release()

    def _answer(self, line: bytes) -> tuple[bool, str, bool]:
        command: Command | Sentence | None = None
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            said = json.loads(line)
            if said.get("names") is True:
                command = Command("names")
            elif "say" in said:
                command = Sentence(str(said["say"]), min(1.0, max(0.0, float(said.get("heard", 1.0)))))
            else:
                command = parse_command(said["command"])
        ask = self._ask
        if command is None:
            return False, "That is no command. Update the buttons: 'osirix-agent plugin install'.", False
        if ask is None:
            return isinstance(command, Command) and command.verb == "start", _STARTING, False
        request = Request(command, from_button=True)
        ask(request)
        return request.wait(self._deadline_s)


def ask_agents(request: dict[str, object], folder: Path | None = None) -> dict[str, object]:
    """The answer of the running agent that works on the viewer in front.

    Raises
    ------
    ControlError
        No agent runs, or it does not answer.
    """
    folder = folder or control_folder()
    last: dict[str, object] | None = None
    for path in sorted(folder.glob("*.sock")) if folder.is_dir() else []:
        check_folder(folder)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
                talk.settimeout(ANSWER_DEADLINE_S + READ_DEADLINE_S)
                talk.connect(str(path))
                talk.sendall(json.dumps(request).encode() + b"\n")
                last = json.loads(talk.makefile().readline() or "{}")
        except (ConnectionRefusedError, FileNotFoundError):
            continue
        except (OSError, ValueError) as error:
            raise ControlError(
                f"The agent does not answer ({type(error).__name__}).", "Look into the terminal it runs in."
            ) from None
        if last and not last.get("elsewhere"):
            break
    if last is None:
        raise ControlError("No agent is running.", "Start one with 'osirix-agent run'.")
    return last


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """One agent at a time makes or clears sockets: a socket not yet listening must not look stale to another."""
    while True:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # it may be the state folder
        folder.mkdir(exist_ok=True, mode=0o700)
        check_folder(folder)
        handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_same(handle, folder):  # else the last one to leave has just removed it
                os.fchmod(handle, 0o700)
                yield
                return
        finally:
            os.close(handle)


def _is_same(handle: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(folder))
    except FileNotFoundError:
        return False


def _clear_stale(folder: Path) -> None:
    """Sockets that killed agents left."""
    for path in folder.glob("*.sock"):
        if not listening(path):
            path.unlink()


def _read_line(talk: socket.socket) -> bytes:
    """One line of bounded size before the deadline, however slowly it drips."""
    end = time.monotonic() + READ_DEADLINE_S
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
        talk.settimeout(max(0.001, end - time.monotonic()))
        part = talk.recv(MAX_LINE_BYTES - len(line))
        if not part or time.monotonic() > end:
            raise TimeoutError
        line += part
    return line


def _uid_of_peer(talk: socket.socket) -> int | None:
    """The user at the other end; None where the system does not tell (the folder's mode still guards)."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            _, uid, _ = struct.unpack("3i", talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return int(uid)
        # macOS, <sys/un.h> and <sys/ucred.h>: SOL_LOCAL 0, LOCAL_PEERCRED 1, struct xucred {version; uid; ...}
        return int(struct.unpack_from("2I", talk.getsockopt(0, 1, 76))[1])
    except (OSError, struct.error):
        return None

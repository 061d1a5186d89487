"""A line between an agent and a server that can be spoilt: a TCP proxy."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

PIECE = 65536
SPOILT_FROM = 100  # bytes; below are handshakes' and HTTP's own small words


class _Way:
    """One connection through the line."""

    def __init__(self, here: socket.socket, there: socket.socket) -> None:
        self.ends, self.dead = (here, there), False

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Line:
    """Carries whatever is sent to `address` to a port of this machine, and back.

    Attributes
    ----------
    target : port; may change
    refusing : new connections are hung up at once
    swallowing : nothing is carried; what is connected then stays dead for ever, as TCP does not notice
    delay_s : of every piece
    spoil : so many pieces on the way there have a bit turned over
    """

    def __init__(self, target: int) -> None:
        self.target, self.refusing, self.swallowing = target, False, False
        self.delay_s, self.spoil = 0.0, 0
        self._ways: list[_Way] = []
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"grpcs://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Hang up on both sides of every connection."""
        with self._lock:
            ways, self._ways = self._ways, []
        for way in ways:
            way.close()

    def close(self) -> None:
        self.refusing = True
        self._socket.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._socket.accept()
            except OSError:
                return
            try:
                if self.refusing:
                    raise ConnectionRefusedError
                there = socket.create_connection(("127.0.0.1", self.target), 5)
                there.settimeout(None)
            except OSError:
                here.close()
                continue
            way = _Way(here, there)
            with self._lock:
                self._ways.append(way)
            for source, target in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(way, source, target), daemon=True).start()

    def _carry(self, way: _Way, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                if self.delay_s:
                    time.sleep(self.delay_s)
                way.dead = way.dead or self.swallowing
                if way.dead:
                    continue
                if self.spoil and source is way.ends[0] and len(data) > SPOILT_FROM:
                    self.spoil -= 1
                    data = data[:60] + bytes([data[60] ^ 1]) + data[61:]
                target.sendall(data)
        if way.dead:
            source.close()  # the other end hears nothing of it
            return
        way.close()
        with self._lock:
            if way in self._ways:
                self._ways.remove(way)

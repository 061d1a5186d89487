"""Who may ask: a lease a session, which ends when nobody uses it or nobody is there."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from osirix_agent.errors import BusyError


@dataclass(eq=False)
class Session:
    """A lease that was given out.

    Attributes
    ----------
    key : secret of its holder; in no log
    name : what logs call it
    client : fingerprint of the certificate
    used_at, seen_at : s
        Last request; last sign of life.
    """

    key: bytes
    name: str
    client: str
    used_at: float
    seen_at: float


class Leases:
    """The sessions of all clients.

    Parameters
    ----------
    idle_s, liveness_s : a lease ends so long after the last request, or after the last sign of life
    each_client, all_clients : sessions at once
    clock : s
    """

    def __init__(
        self, idle_s: float, liveness_s: float, each_client: int, all_clients: int, clock: Callable[[], float]
    ) -> None:
        self.idle_s, self.liveness_s = idle_s, liveness_s
        self._each_client, self._all_clients, self._clock = each_client, all_clients, clock
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}

    def open(self, client: str) -> Session:
        """Raises BusyError where the client, or all together, have as many as they may."""
        now = self._clock()
        with self._lock:
            own = sum(s.client == client for s in self._sessions.values())
            if own >= self._each_client:
                raise BusyError(
                    f"This pairing has {own} sessions open there, as many as it may.",
                    f"Quit one of them; a session that crashed is given up within {self.liveness_s:.0f} s.",
                )
            if len(self._sessions) >= self._all_clients:
                raise BusyError(
                    f"The segmenter's server has {len(self._sessions)} sessions open, as many as it takes.",
                    "Try again when a colleague has finished, or ask whoever runs it to raise serve_sessions.",
                )
            session = Session(secrets.token_bytes(16), secrets.token_hex(4), client, now, now)
            self._sessions[session.key] = session
            return session

    def find(self, key: bytes, client: str, *, used: bool) -> Session | None:
        """The session of a key, if it is this client's and has not ended; it is seen, and perhaps used, now."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(key)
            if session is None or session.client != client or self._over(session, now):
                return None
            session.seen_at = now
            if used:
                session.used_at = now
            return session

    def close(self, session: Session) -> bool:
        """Says whether it was the client's last."""
        with self._lock:
            self._sessions.pop(session.key, None)
            return not any(s.client == session.client for s in self._sessions.values())

    def ended(self, busy: Callable[[str], bool]) -> list[Session]:
        """Sessions whose time is over; one that waits for an answer is in use."""
        now = self._clock()
        every = self.all()
        for session in every:
            if busy(session.name):
                session.used_at = session.seen_at = now
        return [session for session in every if self._over(session, now)]

    def all(self) -> list[Session]:
        with self._lock:
            return list(self._sessions.values())

    def holds(self, session: Session) -> bool:
        with self._lock:
            return session.key in self._sessions

    def left_s(self, session: Session) -> float:
        """Until it ends for want of requests."""
        return max(0.0, session.used_at + self.idle_s - self._clock())

    def __len__(self) -> int:
        with self._lock:
            return len(self._sessions)

    def _over(self, session: Session, now: float) -> bool:
        return now - session.used_at > self.idle_s or now - session.seen_at > self.liveness_s

"""Who may come in: a browser on this machine that followed the agent's own link.

The link carries a token that opens once; what it leaves is a cookie that pages of other sites cannot send (SameSite)
and scripts cannot read. Host is checked against rebinding of names, Origin against other pages, before anything is
answered.
"""

from __future__ import annotations

import http
import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

LIVE = "/live"  # where the page's socket is
COOKIE_S = 12 * 3600
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
USED = "This link has been used or is old. Take the newest one from the terminal in which the agent runs.\n"
STRANGER = "Open the page by the link that the agent printed in its terminal.\n"
ELSEWHERE = "Only the agent's own page may ask for this.\n"


class Door:
    """Answers every HTTP request; lets the page's own socket through.

    Parameters
    ----------
    port : int
    used : callable
        Told when a link has been used: there is a new one.
    """

    def __init__(self, port: int, used: Callable[[], object] = lambda: None) -> None:
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._name, self._used = f"osirix-agent-{port}", used
        self._token, self._key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        folder = files("osirix_agent.panel") / "page"
        self._pages = {
            "/" if one.name == "index.html" else f"/{one.name}": (TYPES[one.name.rpartition(".")[2]], one.read_bytes())
            for one in folder.iterdir()
        }

    @property
    def link(self) -> str:
        """Opens the page, once."""
        return f"http://{self._hosts[0]}/?token={self._token}"

    def answer(self, request: Request) -> Response | None:
        """The answer, or None: this is the page's socket, which may be opened."""
        host, where = request.headers.get("Host", ""), urlsplit(request.path)
        if host not in self._hosts or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return self._text(http.HTTPStatus.FORBIDDEN, ELSEWHERE)
        if request.method != "GET":
            return self._text(http.HTTPStatus.METHOD_NOT_ALLOWED, "The page is only read.\n")
        token = parse_qs(where.query).get("token")
        if where.path == "/" and token is not None:
            return self._enter(token[0])
        if not self._knows(request.headers.get("Cookie", "")):
            return self._text(http.HTTPStatus.FORBIDDEN, STRANGER)
        if where.path == LIVE:
            own = request.headers.get("Origin") == f"http://{host}"
            return None if own else self._text(http.HTTPStatus.FORBIDDEN, ELSEWHERE)
        if where.path not in self._pages:
            return self._text(http.HTTPStatus.NOT_FOUND, "There is no such page.\n")
        kind, body = self._pages[where.path]
        return self._response(http.HTTPStatus.OK, f"{kind}; charset=utf-8", body)

    def _enter(self, token: str) -> Response:
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return self._text(http.HTTPStatus.FORBIDDEN, USED)
        self._token = secrets.token_urlsafe(32)
        self._used()
        answer = self._text(http.HTTPStatus.SEE_OTHER, "")
        answer.headers["Location"] = "/"
        answer.headers["Set-Cookie"] = (
            f"{self._name}={self._key}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Strict"
        )
        return answer

    def _knows(self, cookies: str) -> bool:
        try:
            held = SimpleCookie(cookies).get(self._name)
        except CookieError:
            return False
        return held is not None and secrets.compare_digest(held.value.encode(), self._key.encode())

    def _text(self, status: http.HTTPStatus, text: str) -> Response:
        return self._response(status, "text/plain; charset=utf-8", text.encode())

    def _response(self, status: http.HTTPStatus, kind: str, body: bytes) -> Response:
        sockets = " ".join(f"ws://{host}" for host in self._hosts)  # some browsers leave them out of 'self'
        headers = Headers(
            {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Connection": "close",
                "Cache-Control": "no-store",
                "Content-Security-Policy": (
                    f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                    f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                ),
                "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=()",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
            }
        )
        return Response(status.value, status.phrase, headers, body)

"""Who may ask what: the token, sessions of browsers, and what other web pages must not do.

Interface: `guard = Guard(token)`; `guard.refusal(asked)` is None, or status and one line of why.

Without a token the page is for this machine alone, and a browser on it also shows other pages.
Those could send requests here (CSRF), or read answers under a name of their own that was made to
lead to 127.0.0.1 (DNS rebinding): the first are told by `Origin` and `Sec-Fetch-Site`, the second
by `Host`. With a token, names are free, for there may be a proxy in front.

A browser gives the token once and gets a cookie with a number of its own in its place, for a
WebSocket has no headers. The token itself is in no answer, no cookie, no address and no log.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from keeprt.engine.live.control.address import is_loopback

COOKIE = "keeprt_session"
SESSION_S = 12 * 3600
MOST_SESSIONS = 64
#: No secret in them: a page to give the token to, and one word for whoever supervises.
OPEN_PATHS = ("/login", "/login.css", "/icon.svg", "/healthz", "/readyz")
Refusal = tuple[int, str]


@dataclass(frozen=True)
class Asked:
    """What of a request decides."""

    path: str
    changes: bool  # by its method, or a WebSocket: what a page of another origin must not open
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    cookie: str = ""


class Guard:
    """`token` None: anybody on this machine may."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token, self._clock = token, clock
        self._sessions: dict[str, float] = {}

    def refusal(self, asked: Asked) -> Refusal | None:
        """None, or the status and one line of why."""
        if self._token is None and not _is_of_this_machine(asked.headers.get("host", "")):
            return 403, "this name is not this machine's; use 127.0.0.1, or start with --token-file"
        if asked.changes and _is_of_another_page(asked.headers):
            return 403, "asked by a page of another origin"
        if self._token is None or asked.path in OPEN_PATHS or self._is_known(asked):
            return None
        return 401, "a token is needed: Authorization: Bearer TOKEN"

    def log_in(self, token: str) -> str | None:
        """The value of the cookie of a new session; None for a wrong token."""
        if not self._is_token(token):
            return None
        now = self._clock()
        self._sessions = {name: end for name, end in self._sessions.items() if end > now}
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = secrets.token_urlsafe(32)
        self._sessions[session] = now + SESSION_S
        return session

    def _is_known(self, asked: Asked) -> bool:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(token.strip()):
            return True
        return self._sessions.get(asked.cookie, 0.0) > self._clock()

    def _is_token(self, token: str) -> bool:
        ours = self._token
        return ours is not None and hmac.compare_digest(token.encode(), ours.encode())


def _is_of_this_machine(host: str) -> bool:
    name = _part(f"//{host}", "hostname")
    return bool(name) and is_loopback(name)


def _is_of_another_page(headers: Mapping[str, str]) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and _part(origin, "netloc") != headers.get("host", "").lower()


def _part(address: str, name: str) -> str:
    """A part of an address in lower case, empty where it is none."""
    try:
        return str(getattr(urlsplit(address), name) or "").lower()
    except ValueError:
        return ""

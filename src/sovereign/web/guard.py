"""What stands before every page: host, origin, size, session, headers. Standard library only (ASGI); refuses first and explains in one line.

Nothing but the login and its two assets answers without a session. A session lives in memory, so a restart ends all of them.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 256 * 1024  # bytes of one request; the longest note has 20,000 characters
SESSION_S = 12 * 3600.0
TRIES, TRIES_S = 20, 60.0  # wrong tokens per minute before the door stays shut for a while
OPEN = ("/login", "/static/console.css", "/static/console.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),  # not no-referrer: that would turn the Origin of our own forms into null
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)


@dataclass
class Sessions:
    """Who is in. The token is compared in constant time; a session is 256 random bits and carries its own CSRF token."""

    token: str
    port: int
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, tuple[str, float]] = field(default_factory=dict)
    _wrong: list[float] = field(default_factory=list)

    @property
    def cookie(self) -> str:
        return f"sovereign_{self.port}"

    def enter(self, token: str) -> str | None:
        """A new session's id, or None for a wrong token (or too many of them)."""
        now = self.clock()
        self._wrong = [t for t in self._wrong if now - t < TRIES_S]
        if len(self._wrong) >= TRIES or not hmac.compare_digest(token.strip().encode(), self.token.encode()):
            self._wrong.append(now)
            return None
        session = secrets.token_urlsafe(32)
        self._held[session] = (secrets.token_urlsafe(32), now + SESSION_S)
        return session

    def csrf(self, session: str | None) -> str | None:
        """The CSRF token of a live session, else None."""
        held = self._held.get(session or "")
        if held is None or held[1] < self.clock():
            return None
        return held[0]

    def leave(self, session: str) -> None:
        self._held.pop(session, None)

    def of(self, headers: dict[str, str]) -> str | None:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(headers.get("cookie", ""))
        except CookieError:
            return None
        return jar[self.cookie].value if self.cookie in jar else None


class Guard:
    """ASGI middleware; every answer, refusals included, carries the security headers."""

    def __init__(self, app: App, sessions: Sessions):
        self.app, self.sessions = app, sessions
        self.hosts = {f"127.0.0.1:{sessions.port}", f"localhost:{sessions.port}"}
        self.origins = {f"http://{h}" for h in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        guarded = _with_headers(send)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(guarded, *refused)
            return
        scope.setdefault("state", {})["session"] = self.sessions.of(headers)
        await self.app(scope, _bounded(receive), guarded)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
        """(status, text, where to go instead)."""
        if headers.get("host", "") not in self.hosts:  # DNS rebinding: a foreign name that points here is not us
            return 421, "This is not the address of the console.", ""
        method = str(scope["method"])
        if method not in ("GET", "HEAD"):
            if headers.get("origin", "") not in self.origins:
                return 403, "The request comes from another place.", ""
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MAX_BODY:
                return 413, "That is too much at once; nothing was recorded.", ""
        if scope["path"] in OPEN or self.sessions.csrf(self.sessions.of(headers)) is not None:
            return None
        return (303, "", "/login") if method in ("GET", "HEAD") else (401, "Log in first.", "")


class TooLarge(Exception):
    """More bytes came than were announced."""


def _bounded(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            return {"type": "http.disconnect"}
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {k.lower() for k, _ in message.get("headers", [])}
            more = [(k.encode(), v.encode()) for k, v in HEADERS if k.encode() not in there]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return guarded


async def _answer(send: Send, status: int, text: str, where: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if where:
        headers.append((b"location", where.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

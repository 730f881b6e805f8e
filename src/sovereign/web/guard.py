"""What stands before every page and act: host, origin, size, who it is, headers. Standard library only (ASGI); refuses first, explains in one line.

Nothing but the login and its two assets answers without a session; a session lives in memory, so a restart ends all of them. Under /api/v1 a bearer
token is needed with every request and a session counts for nothing: what a browser sends by itself must never be enough there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
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

MAX_BODY = 256 * 1024  # bytes of one request to the console; the longest note has 20,000 characters
MAX_SENT = 8 * 2**20  # bytes of one request of a program: sources come as texts
API = "/api/v1"
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
    _wrong_bearers: list[float] = field(default_factory=list)

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

    @property
    def api_token(self) -> str:
        """The token for programs: it opens /api/v1 and nothing else, and the console's own token cannot be derived from it."""
        made = hmac.new(self.token.encode(), b"sovereign/api-1", hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    def bearer(self, authorization: str) -> int:
        """The status that an Authorization header earns: 200, 401, or 429 after too many wrong ones. A right one always passes: 256 bits are not
        guessed, and another user of this machine must not be able to lock a program out."""
        scheme, _, given = authorization.partition(" ")
        held = given.strip().encode()
        right = [hmac.compare_digest(held, token.encode()) for token in (self.api_token, self.token)]
        if scheme.lower() == "bearer" and any(right):
            return 200
        if not authorization:
            return 401
        now = self.clock()
        self._wrong_bearers = [t for t in self._wrong_bearers if now - t < TRIES_S][-TRIES:]
        self._wrong_bearers.append(now)
        return 429 if len(self._wrong_bearers) > TRIES else 401

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
        if str(scope["path"]) == API or str(scope["path"]).startswith(API + "/"):
            await self._program(scope, headers, receive, guarded)
            return
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(guarded, *refused)
            return
        scope.setdefault("state", {})["session"] = self.sessions.of(headers)
        await self.app(scope, _bounded(receive), guarded)

    async def _program(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """A request of a program: refused in JSON, or passed on with its whole body read and counted."""
        problem = self._program_refused(headers)
        body = b""
        if problem is None:
            held = await _read(receive, MAX_SENT)
            if held is None:
                problem = Problem(413, f"The request has more than {MAX_SENT} bytes.", "Send less at a time.")
            else:
                body = held
        if problem is not None:
            await _say(send, problem)
            return
        await self.app(scope, _again(body, receive), send)

    def _program_refused(self, headers: dict[str, str]) -> Problem | None:
        if headers.get("host", "") not in self.hosts:
            return Problem(421, "This is not the address of the API.", "Use the address that `sovereign serve` printed.")
        if headers.get("origin", next(iter(self.origins))) not in self.origins:
            return Problem(
                403, "The request comes from another place.", "Pages of other places cannot use the API; programs send no Origin."
            )
        status = self.sessions.bearer(headers.get("authorization", ""))
        if status != 200:
            mend = "Send `Authorization: Bearer TOKEN` with the API token that `sovereign serve` printed; cookies do not count here."
            return Problem(status, "Too many wrong tokens." if status == 429 else "There is no valid token.", mend)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            return Problem(400, "Content-Length is not a number.", "Send the length of the body in bytes.")
        if int(length) > MAX_SENT:
            return Problem(413, f"The request has more than {MAX_SENT} bytes.", "Send less at a time.")
        return None

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


@dataclass(frozen=True)
class Problem:
    """What an API error says."""

    status: int
    error: str
    mend: str = ""
    subject: str | None = None


async def _read(receive: Receive, most: int) -> bytes | None:
    """The whole body, or None as soon as it is more than `most` bytes (or the client is gone)."""
    parts: list[bytes] = []
    seen = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        seen += len(parts[-1])
        if seen > most:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read once more, then whatever comes after it."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return left.pop() if left else await receive()

    return replayed


async def _say(send: Send, problem: Problem) -> None:
    body = json.dumps({"error": problem.error, "mend": problem.mend, "subject": problem.subject}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if problem.status == 401 else []
    headers += [(b"retry-after", str(int(TRIES_S)).encode())] if problem.status == 429 else []
    headers += [(b"connection", b"close")] if problem.status == 413 else []
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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

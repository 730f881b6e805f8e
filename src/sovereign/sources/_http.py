"""One way out to the services: budget, cache, time and size limits, retries that can help, hosts that are allowed, keys that stay hidden.

Imports settings, errors, httpx and its neighbours here. Refuses: any host that is not the service's own, redirects into private networks,
bodies over the limit, everything when settings.offline is set. Knows nothing about papers.

Every failure is an errors.SourceFailed; `attempt` below is the only place where foreign errors are mapped.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import socket
import sqlite3
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import SecretStr

from sovereign.errors import SourceFailed
from sovereign.settings import Settings
from sovereign.sources._body import BadEncoding, TooLarge, is_loopback, leads_inside, limited, shown, with_parameters
from sovereign.sources._cache import Cache, Entry, lifetime_s
from sovereign.sources._limits import DAY_S, Budget, Exhausted, Policy

T = TypeVar("T")
Keep = Callable[[str, bytes], None]

MAX_REDIRECTS = 5
API_BODY_BYTES = 16 * 2**20
CONNECT_S = (
    5.0  # to open a connection; two SYN retransmissions (RFC 6298: after 1 and 3 s) fit in. Whoever is silent for longer is not there
)
BACKOFF_S = 1.0  # first pause after a failure without Retry-After; doubles, times 0.5 to 1.5
LONGEST_BACKOFF_S = 30.0
COOL_OFF_S = 300.0  # a service that failed hard is not asked again for this long, nor in the same run if that is shorter
FEW_ATTEMPTS = 2  # for what rarely heals within seconds: a silent service, a body in another format
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
POLITE = frozenset({"crossref", "datacite"})  # services whose terms give more to those who leave a mail address
HARD = frozenset({"rate_limited", "unreachable", "timeout", "budget_spent"})


class BadBody(Exception):
    """What a parser raises when a body is not in the service's documented format."""


class Declined(Exception):
    """What a parser raises when the body says, in the documented way, that the request was wrong. Asking again would not help."""


class Answer(NamedTuple):
    status: int
    url: str  # without keys
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Service:
    """One service as it is reached: where, how often, with which keys. `label` is what people read."""

    name: str
    label: str
    base: str
    policy: Policy
    header_keys: tuple[tuple[str, SecretStr], ...] = ()
    parameter_keys: tuple[tuple[str, SecretStr], ...] = ()
    hosts: tuple[str, ...] = ()  # allowed besides the base's own
    key_setting: str | None = None
    key_mend: str = ""

    @property
    def has_key(self) -> bool:
        return bool(self.header_keys or self.parameter_keys)


class _Trouble(Exception):
    """One attempt went wrong. `again`: whether another attempt can help. `telling`: whether it says something about the service's health."""

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        again: bool,
        retry_after_s: float | None = None,
        mend: str = "",
        attempts: int = 99,
        telling: bool = True,
    ):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.again = again
        self.retry_after_s = retry_after_s
        self.mend = mend
        self.attempts = attempts
        self.telling = telling


class _Unreached(_Trouble):
    """The host refused the connection: the service has seen no request, so that another try needs no new slot."""


class _KeysOut(logging.Filter):
    """httpx logs every address at INFO, with its parameters; ours leave without keys."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(shown(str(a)) if isinstance(a, httpx.URL) or "?" in str(a) else a for a in record.args)
        return True


_KEYS_OUT = _KeysOut()


class _Shared(httpx.AsyncBaseTransport):
    """A given transport outlives the clients that use it."""

    def __init__(self, inner: httpx.AsyncBaseTransport):
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        return None


class Http:
    """Shared by all services of one run. `clock` (seconds since 1970) and `sleep` are replaceable, so that tests need not wait."""

    def __init__(
        self,
        settings: Settings,
        state_dir: Path,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        keep: Keep | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] | None = None,
    ):
        self.settings = settings
        self.budget = Budget(state_dir)
        self.cache = Cache(state_dir / "http_cache", settings.http_cache_mib * 2**20)
        self.keep = keep
        self.clock = clock
        self.sleep = sleep
        self.jitter = jitter or random.Random().random
        self._transport = _Shared(transport) if transport is not None else None
        self._tls: ssl.SSLContext | None = None
        self._broken: dict[str, tuple[float, SourceFailed]] = {}  # by door: what a service's one host refuses, another may give
        self._slower: dict[str, float] = {}  # intervals that a service announced and that are longer than ours
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, httpx.AsyncClient]] = weakref.WeakKeyDictionary()
        self._waiting: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, set[asyncio.Event]]] = weakref.WeakKeyDictionary()
        self._gates: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]] = weakref.WeakKeyDictionary()
        logging.getLogger("httpx").addFilter(_KEYS_OUT)

    async def get(
        self,
        service: Service,
        url: str,
        parse: Callable[[Answer], T],
        *,
        parameters: Sequence[tuple[str, str]] = (),
        accept: str = "*/*",
        statuses: tuple[int, ...] = (200,),
        cost: int = 0,
        limit_bytes: int = API_BODY_BYTES,
        content: Mapping[str, Any] | None = None,
        patience_s: float | None = None,
    ) -> T:
        """The parsed answer, from the cache or the wire. Raises SourceFailed.

        `content` makes it a POST of JSON, which is never cached. `patience_s` bounds everything, waiting for a turn and retries included
        (default: settings.search_deadline_s).
        """
        patience_s = self.settings.search_deadline_s if patience_s is None else patience_s
        target = with_parameters(url, parameters)
        if self.settings.offline:
            raise SourceFailed("offline", source=service.name, kind="refused", url=shown(target), mend="Unset SOVEREIGN_OFFLINE to search.")
        call = _Call(target, accept, statuses, cost, limit_bytes, None if content is None else json.dumps(content).encode())
        if (known := self._fresh(call)) is not None:
            try:
                return parse(known)
            except BadBody:
                pass  # stored by another version of this parser: ask again
        self._refuse_broken(service)
        try:
            async with asyncio.timeout(patience_s):  # the real clock, whatever `clock` says
                return await self._with_retries(service, call, parse, patience_s)
        except TimeoutError as exc:
            # Not noted as the service's failure: a single request has a shorter limit of its own, so this was mostly our own queue.
            raise self._error(service, call, _Trouble("timeout", f"{service.label} did not answer in time.", again=False), 1) from exc

    async def _with_retries(self, service: Service, call: _Call, parse: Callable[[Answer], T], patience_s: float) -> T:
        deadline = self.clock() + patience_s
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(service, call, parse, deadline)
            except _Trouble as trouble:
                pause = self._pause(trouble, attempt)
                enough = attempt >= min(service.policy.attempts, trouble.attempts) or self.clock() + pause > deadline
                if trouble.again and pause > 0 and trouble.kind in ("rate_limited", "server_error"):
                    await self._state(self.budget.block, _budget_name(service, call), self.clock() + min(pause, DAY_S))
                if not trouble.again or enough:
                    error = self._error(service, call, trouble, attempt)
                    if trouble.telling:
                        await self._note_failure(service, error)
                    raise error from trouble
                await self.sleep(pause)

    def _pause(self, trouble: _Trouble, attempt: int) -> float:
        backoff = min(LONGEST_BACKOFF_S, BACKOFF_S * 2 ** (attempt - 1)) * (0.5 + self.jitter())
        return backoff if trouble.retry_after_s is None else trouble.retry_after_s

    async def _attempt(self, service: Service, call: _Call, parse: Callable[[Answer], T], deadline: float) -> T:
        async with self._gate(service):
            self._refuse_broken(service)
            await self._wait_for_slot(service, call, deadline)
            self._refuse_broken(service)  # it may have broken while we waited for our turn
            try:
                answer = await self._sent(service, call)
            except _Unreached as trouble:
                await self.sleep(self._pause(trouble, 1))
                answer = await self._sent(service, call)
        await self._heed(service, answer)
        if answer.status not in call.statuses:
            raise self._unwanted(service, answer, call)
        if self.keep is not None and answer.status == 200:
            self.keep(answer.url, answer.body)
        try:
            parsed = parse(answer)
        except BadBody as exc:
            raise _Trouble(
                "bad_body", f"{service.label} answered, but not in its documented format ({exc}).", again=True, attempts=FEW_ATTEMPTS
            ) from exc
        except Declined as exc:
            raise _Trouble("refused", f"{service.label} refused the request ({exc}).", again=False) from exc
        await self._state(self.budget.succeeded, service.policy.name, self.clock())
        self._remember(service, call, answer)
        return parsed

    # --- budget ---

    async def _wait_for_slot(self, service: Service, call: _Call, deadline: float) -> None:
        now = self.clock()
        policy = replace(service.policy, interval_s=max(service.policy.interval_s, self._slower.get(service.name, 0.0)))
        name = _budget_name(service, call)
        try:
            wait = await self._state(lambda: self.budget.reserve(policy, now, max(0.0, deadline - now), name=name, cost=call.cost))
        except Exhausted as exc:
            when = datetime.fromtimestamp(now + exc.wait_s, UTC).strftime("%H:%M UTC")
            text = {
                "allowance": f"{service.label}'s daily allowance is spent until {when}.",
                "blocked": f"{service.label} asked for a pause until {when}.",
                "busy": f"{service.label} may not be asked again before {when}.",
            }[exc.why]
            kind = "rate_limited" if exc.why == "blocked" else "budget_spent"
            busy = exc.why == "busy"  # our own queue is long: says nothing about the service
            mend = "" if busy else service.key_mend
            raise _Trouble(kind, text, again=False, retry_after_s=exc.wait_s, mend=mend, telling=not busy) from exc
        if wait > 0:
            await self._rest(service, wait)

    async def _rest(self, service: Service, wait_s: float) -> None:
        """Until the slot has come, or until the service has been given up: then nobody needs to wait for it any longer."""
        waiting = self._waiting.setdefault(asyncio.get_running_loop(), {}).setdefault(_door(service), set())
        given_up = asyncio.Event()
        waiting.add(given_up)
        ways = [asyncio.ensure_future(self.sleep(wait_s)), asyncio.ensure_future(given_up.wait())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.discard(given_up)
            for way in ways:
                way.cancel()

    async def _state(self, change: Callable[..., T], *values: Any) -> T:
        """The shared budget in a thread: its file lock must not hold up the other services."""
        try:
            return await asyncio.to_thread(change, *values)
        except (sqlite3.Error, OSError) as exc:
            mend = f"Check that {self.budget.path.parent} can be written."
            raise _Trouble("refused", f"The shared request budget cannot be used ({exc}).", again=False, mend=mend) from exc

    async def _heed(self, service: Service, answer: Answer) -> None:
        """What the headers say about the allowance (OpenAlex) and about the pace (Crossref)."""
        remaining, reset = _whole(answer.headers.get("x-ratelimit-remaining")), _whole(answer.headers.get("x-ratelimit-reset"))
        if remaining is not None and service.policy.cost:
            now = self.clock()
            resets_at = None if reset is None else min(now + DAY_S, float(reset) if reset > 1_000_000_000 else now + reset)
            allowance = _whole(answer.headers.get("x-ratelimit-limit"))
            await self._state(self.budget.announce, service.policy.name, remaining, allowance, resets_at)
        count = _whole(answer.headers.get("x-rate-limit-limit"))
        window = _whole((answer.headers.get("x-rate-limit-interval") or "").strip().removesuffix("s"))
        if count and window:
            self._slower[service.name] = window / count

    def _gate(self, service: Service) -> asyncio.Semaphore:
        gates = self._gates.setdefault(asyncio.get_running_loop(), {})
        return gates.setdefault(service.name, asyncio.Semaphore(service.policy.concurrency))

    # --- failures ---

    def _unwanted(self, service: Service, answer: Answer, call: _Call) -> _Trouble:
        status = answer.status
        after = _retry_after_s(answer.headers.get("retry-after"), self.clock())
        if status == 429:
            remaining = _whole(answer.headers.get("x-ratelimit-remaining"))
            if service.policy.cost and remaining is not None and remaining < max(1, call.cost):
                reset = _whole(answer.headers.get("x-ratelimit-reset"))
                text = f"{service.label}'s daily allowance is spent (429)."
                return _Trouble("budget_spent", text, again=False, retry_after_s=after or reset, mend=service.key_mend)
            return _Trouble(
                "rate_limited", f"{service.label} did not answer (429).", again=True, retry_after_s=after, mend=service.key_mend
            )
        if status in RETRIED_STATUS or status >= 500:
            return _Trouble(
                "server_error", f"{service.label} did not answer ({status}).", again=status in RETRIED_STATUS, retry_after_s=after
            )
        if status in (401, 403):
            mend = f"Check {service.key_setting}." if service.has_key and service.key_setting else service.key_mend
            return _Trouble("refused", f"{service.label} refused the request ({status}).", again=False, mend=mend)
        if status in (404, 410):
            return _Trouble("refused", f"{service.label} has no such document ({status}).", again=False, telling=False)
        said = _first_words(answer)
        return _Trouble("refused", f"{service.label} refused the request ({status}{': ' + said if said else ''}).", again=False)

    def _error(self, service: Service, call: _Call, trouble: _Trouble, attempts: int) -> SourceFailed:
        return SourceFailed(
            trouble.message,
            source=service.name,
            kind=trouble.kind,
            url=shown(call.url),
            attempts=attempts,
            retry_after_s=trouble.retry_after_s,
            mend=trouble.mend,
        )

    async def _note_failure(self, service: Service, error: SourceFailed) -> None:
        now = self.clock()
        if error.kind in HARD:
            self._broken[_door(service)] = (now + max(COOL_OFF_S, error.retry_after_s or 0.0), error)
            for given_up in self._waiting.get(asyncio.get_running_loop(), {}).get(_door(service), ()):
                given_up.set()
        try:
            await self._state(self.budget.failed, service.policy.name, now, error.kind, error.message)
        except _Trouble:
            return  # the failure itself is what the caller must hear about

    def _refuse_broken(self, service: Service) -> None:
        until, error = self._broken.get(_door(service), (0.0, None))
        if error is None or self.clock() >= until:
            return
        raise SourceFailed(
            error.message,
            source=service.name,
            kind=error.kind,
            url=error.url,
            attempts=0,
            retry_after_s=error.retry_after_s,
            mend=error.mend,
        )

    # --- the wire ---

    async def _sent(self, service: Service, call: _Call) -> Answer:
        """One request with its redirects. The only place where errors of the transport become ours."""
        try:
            async with asyncio.timeout(self.settings.http_timeout_s):
                return await self._followed(service, call)
        except httpx.ConnectTimeout as exc:
            raise _Trouble("unreachable", f"{service.label} cannot be reached.", again=False) from exc
        except (TimeoutError, httpx.TimeoutException) as exc:
            text = f"{service.label} did not answer within {self.settings.http_timeout_s:g} s."
            raise _Trouble("timeout", text, again=True, attempts=FEW_ATTEMPTS) from exc
        except TooLarge as exc:
            raise _Trouble("bad_body", f"{service.label}'s answer is too large ({exc}).", again=False) from exc
        except BadEncoding as exc:
            raise _Trouble("bad_body", f"{service.label}'s answer does not decompress ({exc}).", again=True) from exc
        except httpx.ConnectError as exc:
            # A name that nobody knows now will not be known in a second: this machine is offline.
            kind = _Trouble if _unresolved(exc) else _Unreached
            raise kind("unreachable", f"{service.label} cannot be reached.", again=False) from exc
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
            raise _Trouble("refused", f"{service.label} has no usable address ({shown(call.url)}).", again=False) from exc
        except (httpx.TransportError, ssl.SSLError, OSError) as exc:
            raise _Trouble("unreachable", f"{service.label}'s answer broke off ({type(exc).__name__}).", again=True) from exc

    async def _followed(self, service: Service, call: _Call) -> Answer:
        target = call.url
        own = urlsplit(service.base)
        for _ in range(MAX_REDIRECTS + 1):
            await self._refuse_strangers(service, target)
            at_home = _origin(urlsplit(target)) == _origin(own)  # keys go nowhere else
            headers = self._headers(service, call, at_home)
            keyed = with_parameters(target, [(k, v.get_secret_value()) for k, v in service.parameter_keys]) if at_home else target
            async with self._client(target) as client, client.stream(call.method, keyed, headers=headers, content=call.content) as response:
                if response.has_redirect_location:
                    target = urljoin(target, response.headers["location"])
                    continue
                lowered = {k.lower(): v for k, v in response.headers.items()}
                if response.status_code == 304:
                    return self._renewed(service, call, lowered)
                return Answer(response.status_code, shown(target), lowered, await limited(response, call.limit_bytes))
        raise _Trouble("refused", f"{service.label} redirects in a circle.", again=False)

    async def _refuse_strangers(self, service: Service, target: str) -> None:
        """The base address is the owner's choice; every other stop must be an allowed host with a public address (or loopback from loopback)."""
        there, own = urlsplit(target), urlsplit(service.base)
        host = (there.hostname or "").lower()
        if _origin(there) == _origin(own):
            return
        if there.scheme not in ("http", "https") or (there.scheme == "http" and own.scheme == "https"):
            raise _Trouble("refused", f"{service.label} leads to an unsafe address ({there.scheme}).", again=False)
        if is_loopback(own.hostname or "") and is_loopback(host):
            return
        if host not in service.hosts:
            raise _Trouble("refused", f"{service.label} leads to {host or 'nowhere'}, which is not an allowed host.", again=False)
        if self._transport is None and await leads_inside(host, there.port or (443 if there.scheme == "https" else 80)):
            raise _Trouble("refused", f"{service.label} leads into a private network ({host}).", again=False)

    def _headers(self, service: Service, call: _Call, at_home: bool) -> dict[str, str]:
        contact = f" (mailto:{self.settings.contact_email})" if self.settings.contact_email and service.name in POLITE else ""
        headers = {"user-agent": f"sovereign-kernel{contact}", "accept": call.accept, "accept-encoding": "gzip, deflate"}
        if call.content is not None:
            headers["content-type"] = "application/json"
        elif (known := self.cache.get(call.cache_key)) is not None:
            headers |= {"if-none-match": known[0].etag} if known[0].etag else {}
            headers |= {"if-modified-since": known[0].last_modified} if known[0].last_modified else {}
        if at_home:
            headers |= {name: value.get_secret_value() for name, value in service.header_keys}
        return headers

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Requests of this event loop made inside share their connections, which are closed at the end. Nesting adds nothing."""
        loop = asyncio.get_running_loop()
        if loop in self._clients:
            yield
            return
        self._clients[loop] = {}
        try:
            yield
        finally:
            for client in self._clients.pop(loop).values():
                await client.aclose()

    @asynccontextmanager
    async def _client(self, target: str) -> AsyncIterator[httpx.AsyncClient]:
        """The shared client inside `together`, else one per request: nothing to close at exit and nothing bound to an event loop."""
        inside = is_loopback(urlsplit(target).hostname or "")
        shared = self._clients.get(asyncio.get_running_loop())
        if shared is None:
            async with self._opened(inside) as client:
                yield client
            return
        if inside not in shared:
            shared[inside] = self._opened(inside)
        yield shared[inside]

    def _opened(self, inside: bool) -> httpx.AsyncClient:
        """A proxy of the environment is for the outside only. The TLS context, the costly part of a client, is kept."""
        if self._transport is None and self._tls is None:
            self._tls = httpx.create_ssl_context()
        return httpx.AsyncClient(
            transport=self._transport,
            verify=self._tls if self._tls is not None else True,
            timeout=httpx.Timeout(self.settings.http_timeout_s, connect=min(CONNECT_S, self.settings.http_timeout_s)),
            follow_redirects=False,
            trust_env=not inside,
        )

    # --- cache ---

    def _fresh(self, call: _Call) -> Answer | None:
        known = self.cache.get(call.cache_key) if call.content is None else None
        if known is None or self.clock() >= known[0].fresh_until:
            return None
        entry, body = known
        if self.keep is not None:
            self.keep(entry.url, body)
        return Answer(200, entry.url, {"content-type": entry.content_type}, body)

    def _remember(self, service: Service, call: _Call, answer: Answer) -> None:
        if call.content is not None or answer.status != 200:
            return
        at_service = (urlsplit(service.base).hostname or "") in service.policy.hosts or not service.policy.hosts
        lifetime = lifetime_s(answer.headers, service.policy.heuristic_ttl_s if at_service else 0.0)
        etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
        if lifetime is None or (lifetime <= 0 and not etag and not modified):
            return
        now = self.clock()
        digest = hashlib.sha256(answer.body).hexdigest()
        content_type = answer.headers.get("content-type", "")
        self.cache.put(call.cache_key, Entry(answer.url, now, now + lifetime, content_type, digest, etag, modified), answer.body)

    def _renewed(self, service: Service, call: _Call, headers: dict[str, str]) -> Answer:
        known = self.cache.get(call.cache_key)
        if known is None:
            raise _Trouble("bad_body", f"{service.label} says nothing changed, but nothing is stored.", again=True)
        entry, body = known
        validators = {"etag": entry.etag, "last-modified": entry.last_modified}
        kept = {"content-type": entry.content_type} | {k: v for k, v in validators.items() if v}
        return Answer(200, entry.url, kept | {k: v for k, v in headers.items() if k != "content-length"}, body)


@dataclass(frozen=True)
class _Call:
    url: str
    accept: str
    statuses: tuple[int, ...]
    cost: int
    limit_bytes: int
    content: bytes | None = None

    @property
    def method(self) -> str:
        return "GET" if self.content is None else "POST"

    @property
    def cache_key(self) -> str:
        return f"{self.accept} {shown(self.url)}"


def _budget_name(service: Service, call: _Call) -> str:
    """One budget per service; open full text has one per host, since its hosts are strangers to each other."""
    return service.policy.name if service.policy.hosts else f"{service.policy.name}:{urlsplit(call.url).hostname}"


def _door(service: Service) -> str:
    """One service at one host: arXiv's query interface and its texts have different ones."""
    return f"{service.name} {urlsplit(service.base).netloc}"


def _origin(parts: Any) -> tuple[str, str, int | None]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _whole(text: str | None) -> int | None:
    """A non-negative whole number from a header, else None."""
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return int(value) if 0 <= value < 10**15 else None


def _unresolved(error: BaseException | None) -> bool:
    """Whether looking the host up is what failed."""
    while error is not None:
        if isinstance(error, socket.gaierror):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after_s(text: str | None, now: float) -> float | None:
    """RFC 9110 10.2.3: seconds, or a date. None when absent or unreadable."""
    if text is None:
        return None
    if (seconds := _whole(text.strip())) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _first_words(answer: Answer) -> str:
    """The service's own explanation of a refusal, if it gave one in JSON; data, so cut and on one line."""
    try:
        body = json.loads(answer.body[:10_000])
    except ValueError:
        return ""
    said = next((body[k] for k in ("message", "error") if isinstance(body.get(k), str)), "") if isinstance(body, dict) else ""
    return " ".join(said.split())[:120]

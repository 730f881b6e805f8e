"""HTTP to one model endpoint: one host, no redirects, no environment, time limits, bounded retries, foreign errors mapped once. Imports httpx and errors.

Only the base URL it was built with is ever called. A failure is a ModelFailed with a kind: unreachable (absent, 5xx, cut off), unauthorized, rate_limited,
timeout, too_long; the key never stands in a message.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from sovereign.errors import ModelFailed

ATTEMPTS = 3
BACKOFF_S = (0.5, 2.0)
MAX_RETRY_AFTER_S = 30.0
MAX_BODY = 16 * 2**20  # an answer of more bytes than this is not one of ours
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|size)|maximum.{0,20}(?:context|tokens)|too many tokens|prompt is too long|input.{0,12}too long|"
    r"token limit|reduce the length",
    re.I,
)


class _Later(ModelFailed):
    """A 429; `wait_s` is what the service asks for, None when it does not say."""

    def __init__(self, failed: ModelFailed, wait_s: float | None):
        super().__init__(failed.message, model=failed.model, kind=failed.kind, mend=failed.mend)
        self.wait_s = wait_s


class _Final(ModelFailed):
    """A failure that the next attempt would only repeat."""

    def __init__(self, failed: ModelFailed):
        super().__init__(failed.message, model=failed.model, kind=failed.kind, mend=failed.mend)


def _public(failed: ModelFailed) -> ModelFailed:
    """The error as others know it: engines that store errors know no private kinds."""
    return ModelFailed(failed.message, model=failed.model, kind=failed.kind, mend=failed.mend)


class Wire:
    """Requests to `base_url`. `timeout_s`: the longest silence; `deadline_s`: the longest answer. `sleep` is replaced in tests."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        model: str,
        timeout_s: float = 60.0,
        deadline_s: float = 300.0,
        attempts: int = ATTEMPTS,
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.base_url, self.headers, self.model = base_url.rstrip("/"), dict(headers), model
        self.timeout_s, self.deadline_s, self.attempts, self.sleep = timeout_s, deadline_s, attempts, sleep
        self._transport, self._async_transport = transport, async_transport

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer. Retries what retrying can help: 429, 5xx and a connection that was refused or cut, never a silence."""
        return self._retried(lambda: self._post_once(path, body))

    def lines(self, path: str, body: Mapping[str, Any], on_line: Callable[[str], None]) -> None:
        """Server-sent lines, one after another. Retries only before the first line."""
        seen = False

        def once() -> None:
            nonlocal seen
            with self._client() as client, self._mapped(), client.stream("POST", self.base_url + path, json=dict(body)) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refused(response)
                for line in _bounded_lines(response.iter_lines(), self._late()):
                    seen = True
                    on_line(line)

        self._retried(once, may_retry=lambda: not seen)

    async def async_lines(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[str]:
        limits = httpx.Timeout(self.timeout_s)
        late = self._late()
        async with httpx.AsyncClient(
            headers=self.headers, timeout=limits, transport=self._async_transport, trust_env=False, follow_redirects=False
        ) as client:
            with self._mapped():
                async with client.stream("POST", self.base_url + path, json=dict(body)) as response:
                    if response.status_code != 200:
                        await response.aread()
                        raise _public(self._refused(response))
                    async for line in response.aiter_lines():
                        late(len(line))
                        yield line

    # --- one attempt ---

    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers=self.headers, timeout=httpx.Timeout(self.timeout_s), transport=self._transport, trust_env=False, follow_redirects=False
        )

    def _post_once(self, path: str, body: Mapping[str, Any]) -> Any:
        late = self._late()
        with self._client() as client, self._mapped(), client.stream("POST", self.base_url + path, json=dict(body)) as response:
            held = bytearray()
            for chunk in response.iter_bytes():
                held += chunk
                late(len(chunk))
        if response.status_code != 200:
            raise self._refused(response, bytes(held))
        try:
            return json.loads(held)
        except (ValueError, RecursionError) as exc:
            raise ModelFailed(
                f"{self.model} at {self.base_url} answered something that is not JSON.", model=self.model, kind="bad_shape"
            ) from exc

    def _late(self) -> Callable[[int], None]:
        begin, size = time.monotonic(), 0

        def check(more: int) -> None:
            nonlocal size
            size += more
            if time.monotonic() - begin > self.deadline_s:
                raise self._failed(f"was still answering after {self.deadline_s:g} s", "timeout")
            if size > MAX_BODY:
                raise self._failed(f"answered more than {MAX_BODY >> 20} MiB", "bad_shape")

        return check

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as exc:
            raise self._failed(
                f"was silent for {self.timeout_s:g} s", "timeout", mend="Try again, or choose a smaller or nearer model."
            ) from exc
        except httpx.InvalidURL as exc:
            raise self._failed("has an address that cannot be used", "unreachable", mend="Check model_base_url.") from exc
        except httpx.HTTPError as exc:
            reason = "cannot be reached" if isinstance(exc, httpx.ConnectError) else "broke the connection off"
            raise self._failed(reason, "unreachable", mend="Check that it runs and that model_base_url is right.") from exc

    def _failed(self, what: str, kind: str, mend: str = "") -> ModelFailed:
        return ModelFailed(f"The model {self.model} at {self.base_url} {what}.", model=self.model, kind=kind, mend=mend)

    def _refused(self, response: httpx.Response, body: bytes | None = None) -> ModelFailed:
        text = (body if body is not None else response.content)[:4000].decode("utf-8", errors="replace")
        code = response.status_code
        if code in (401, 403):
            return self._failed(f"refused the key ({code})", "unauthorized", "Set SOVEREIGN_MODEL_KEY to a valid key.")
        if code == 429:
            failed = self._failed("has had enough requests for now (429)", "rate_limited", "Wait, then resume the run.")
            return _Later(failed, _seconds(response.headers.get("retry-after")))
        if code == 413 or (code in (400, 422) and _TOO_LONG.search(text)):
            return self._failed(
                "says the prompt is longer than its context", "too_long", "Choose a model with a larger context, or fewer sources."
            )
        if code == 404:
            return _Final(
                self._failed("does not know this model or address (404)", "unreachable", "Check the model's name and model_base_url.")
            )
        if 300 <= code < 400:
            return _Final(
                self._failed(f"wants to redirect the request ({code}), which is not followed", "unreachable", "Check model_base_url.")
            )
        if code >= 500:
            return self._failed(f"failed ({code})", "unreachable", "Try again later; the run can be resumed.")
        return self._failed(f"refused the request ({code}): {_quoted(text)}", "bad_request")

    def _retried(self, once: Callable[[], Any], may_retry: Callable[[], bool] = lambda: True) -> Any:
        for attempt in range(1, self.attempts + 1):
            try:
                return once()
            except ModelFailed as exc:
                wait = exc.wait_s if isinstance(exc, _Later) else None
                helps = exc.kind in ("unreachable", "rate_limited") and not isinstance(exc, _Final) and may_retry()
                if attempt == self.attempts or not helps or (wait is not None and wait > MAX_RETRY_AFTER_S):
                    raise _public(exc) from exc
                self.sleep(wait if wait is not None else BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1])
        raise AssertionError("unreachable")


def _bounded_lines(lines: Iterator[str], late: Callable[[int], None]) -> Iterator[str]:
    for line in lines:
        late(len(line))
        yield line


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; a date or nonsense is None."""
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None


def _quoted(text: str) -> str:
    try:
        body = json.loads(text)
        text = str(body.get("error", {}).get("message") or body.get("message") or text) if isinstance(body, dict) else text
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:160]

"""Clients over the console's ASGI application: a browser with a cookie jar, and a program with a bearer token."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx

from sovereign.web.guard import Sessions

BASE = "http://127.0.0.1:8765"
TOKEN = "t" * 43
API_TOKEN = Sessions(TOKEN, 8765).api_token


class Browser:
    """A synchronous client over the ASGI application, with a cookie jar and the headers a browser sends."""

    def __init__(self, app: Any):
        self.app, self.cookies = app, httpx.Cookies()

    def ask(self, method: str, url: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=self.cookies) as client:
                given = {"origin": BASE} if method != "GET" else {}
                answer = await client.request(method, url, headers={**given, **(headers or {})}, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(once())

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self.ask("GET", url, **more)

    def post(self, url: str, data: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.ask("POST", url, data=data or {}, **more)

    def login(self) -> Browser:
        assert self.post("/login", {"token": TOKEN}).status_code == 303
        return self

    def csrf(self, page: str = "/") -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(page).text)
        assert found
        return found.group(1)


class Program:
    """Sends what a program sends: a bearer token, no cookie, no Origin. Answers of the application's own faults are answers, not exceptions."""

    def __init__(self, app: Any, token: str | None = API_TOKEN):
        self.app, self.token = app, token

    def ask(self, method: str, url: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                given: dict[str, Any] = {} if self.token is None else {"authorization": f"Bearer {self.token}".encode()}
                return await client.request(method, f"/api/v1{url}", headers={**given, **(headers or {})}, **more)

        return asyncio.run(once())

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self.ask("GET", url, **more)

    def post(self, url: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.ask("POST", url, **({"json": body} | more))

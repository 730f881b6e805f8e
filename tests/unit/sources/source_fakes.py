"""Clock, sleeper and shorthand for the tests of the live sources: nobody waits for real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from sovereign import settings as settings_module
from sovereign.records import Query, SearchOutcome
from sovereign.settings import Settings

BASES = {
    "arxiv": ("arxiv_base", "/arxiv/query"),
    "semantic_scholar": ("semantic_scholar_base", "/s2"),
    "openalex": ("openalex_base", "/openalex"),
    "crossref": ("crossref_base", "/crossref"),
    "datacite": ("datacite_base", "/datacite"),
}


class FakeTime:
    """`sleep` moves the clock and returns at once."""

    def __init__(self, now: float = 1_800_000_000.0):
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def settings_for(home: Path, url: str = "", **overrides: Any) -> Settings:
    """Settings whose services all live at `url` (a FaultServer), or at their real addresses when it is empty."""
    bases = {setting: url + path for setting, path in BASES.values()} if url else {}
    return settings_module.load(home, **{"offline": False, "arxiv_interval_s": 0.0 if url else 3.0, **bases, **overrides})


def ask(source: Any, text: str = "expert caching", limit: int = 20, *, exact: bool = False) -> SearchOutcome:
    outcome: SearchOutcome = asyncio.run(source.search(Query("test", text, exact=exact), limit))
    return outcome


def answering(respond: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    return httpx.MockTransport(respond)

"""The live literature services behind one Protocol (ports.Source), their neighbours, flags and full texts, and how they stand.

Imports settings, records, errors, identity and the modules here. Refuses to open a connection before somebody asks, and to raise for outages.
A new service is one file, a line in NAMES and in Services, and its address in `_service`; tests/contracts/test_sources.py then covers it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from sovereign.errors import UnknownName
from sovereign.identity import identifiers, parse_arxiv_id, parse_doi
from sovereign.ports import Source
from sovereign.records import Empty, Failed, Found, Paper, Query, SearchOutcome
from sovereign.settings import Settings
from sovereign.sources import full_text as _full_text
from sovereign.sources._http import Http, Keep, Service
from sovereign.sources._limits import Budget, Policy, policy_for
from sovereign.sources._live import Live
from sovereign.sources.arxiv import Arxiv
from sovereign.sources.crossref import Crossref
from sovereign.sources.full_text import Candidate, Fetched, Missed, candidates
from sovereign.sources.openalex import OpenAlex
from sovereign.sources.semantic_scholar import SemanticScholar

NAMES = (Arxiv.name, SemanticScholar.name, OpenAlex.name, Crossref.name)


@dataclass(frozen=True)
class Flags:
    """What became of a paper. `checked`: services that answered about it. `failed`: (service, why it did not); with neither, nobody knows."""

    flags: tuple[str, ...]
    checked: tuple[str, ...]
    failed: tuple[tuple[str, Failed], ...] = ()


class Services:
    """All live services of one run over one budget, one cache and one memory of who failed."""

    def __init__(self, http: Http):
        self.http = http
        self.arxiv = Arxiv(http, _service("arxiv", http.settings))
        self.openalex = OpenAlex(http, _service("openalex", http.settings))
        self.crossref = Crossref(http, _service("crossref", http.settings))
        self.semantic_scholar = SemanticScholar(http, _service("semantic_scholar", http.settings))
        live: tuple[Live, ...] = (self.arxiv, self.semantic_scholar, self.openalex, self.crossref)
        self._live = {source.name: source for source in live}

    def source(self, name: str) -> Source:
        """Raises UnknownName."""
        if name not in self._live:
            raise UnknownName("source", name, NAMES)
        return self._live[name]

    async def lookup(self, text: str) -> SearchOutcome:
        """The one paper an arXiv id or a DOI names (as written by a person). arXiv answers for its own; DOIs go to OpenAlex, then Crossref."""
        if parsed := parse_arxiv_id(text):
            return await self.arxiv.lookup(f"{parsed[0]}{f'v{parsed[1]}' if parsed[1] else ''}")
        doi = parse_doi(text)
        if doi is None:
            return Failed(f"{text[:80]!r} is neither an arXiv id nor a DOI", "refused")
        first = await self.openalex.lookup(f"doi:{doi}")
        if isinstance(first, Found):
            return first
        second = await self.crossref.lookup(doi)
        return first if isinstance(second, Empty) and isinstance(first, Failed) else second

    async def neighbours(self, paper_id: str, limit: int = 100) -> SearchOutcome:
        """References and citations, one hop: Semantic Scholar, else OpenAlex. Failed only when neither answered."""
        first = await self.semantic_scholar.neighbours(paper_id, limit)
        if isinstance(first, Found):
            return first
        second = await self.openalex.neighbours(paper_id, limit)
        return first if isinstance(first, Failed) and not isinstance(second, Found) else second

    async def flags(self, paper: Paper) -> Flags:
        """Retraction, withdrawal, supersession, from OpenAlex and (for publishers' DOIs) Crossref, besides what the paper carries already."""
        ids = identifiers(paper)
        openalex = next((p for p in (f"doi:{ids.doi}" if ids.doi else "", f"arxiv:{ids.arxiv}" if ids.arxiv else "") if p), paper.paper_id)
        asked: list[tuple[str, Awaitable[SearchOutcome]]] = [("openalex", self.openalex.lookup(openalex))]
        if ids.doi:
            asked.append(("crossref", self.crossref.lookup(ids.doi)))
        outcomes = await asyncio.gather(*(a for _, a in asked))
        found, checked, failed = set(paper.flags), [], []
        for (name, _), outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, Failed):
                failed.append((name, outcome))
            else:
                checked.append(name)  # Empty: it does not know the paper, hence of no retraction
                found |= set(outcome.papers[0].flags) if isinstance(outcome, Found) else set()
        return Flags(tuple(sorted(found)), tuple(checked), tuple(failed))

    async def fetch_full_text(self, paper: Paper) -> AsyncIterator[Fetched | Missed]:
        """Bodies in the order arXiv HTML, e-print source, PDF, other open copies, fetched as the caller goes on; stop when one could be read."""
        settings = self.http.settings
        async for body in _full_text.fetch_full_text(self.http, paper, _policy("arxiv", settings), _policy("full_text", settings)):
            yield body


def services(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    state_dir: Path,
    keep: Keep | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Services:
    """Everything live, for one run. `keep(url, body)` receives every body that came, before it is parsed. Opens nothing."""
    return Services(Http(settings, state_dir, transport=transport, keep=keep, clock=clock, sleep=sleep))


def build(
    names: Sequence[str],
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    state_dir: Path,
    keep: Keep | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Source]:
    """The live sources with these names, in this order, each once. Raises UnknownName (so does "local", which is not live)."""
    for name in names:
        if name not in NAMES:
            raise UnknownName("source", name, NAMES)
    everything = services(settings, transport=transport, state_dir=state_dir, keep=keep, clock=clock, sleep=sleep)
    return [everything.source(name) for name in dict.fromkeys(names)]


# --- how they stand (doctor) ---


def state(settings: Settings, state_dir: Path, *, now: float | None = None) -> list[dict[str, Any]]:
    """One row per live source from what this workspace remembers; asks nobody. Unknown is None. Times are UTC, ISO 8601."""
    now = time.time() if now is None else now
    return [_row(_service(name, settings), settings, state_dir, now) for name in NAMES]


def _row(service: Service, settings: Settings, state_dir: Path, now: float) -> dict[str, Any]:
    known = Budget(state_dir).standing(service.policy.name)
    spent = known.remaining is not None and known.resets_at is not None and now < known.resets_at and known.remaining < service.policy.cost
    renewed = known.resets_at is not None and now >= known.resets_at
    blocked = known.blocked_until is not None and now < known.blocked_until
    failed_last = (known.last_failure_at or 0.0) > (known.last_success_at or 0.0)
    mend = ""
    if settings.offline:
        mend = "Unset SOVEREIGN_OFFLINE to search."
    elif not service.has_key and (spent or blocked or (failed_last and known.last_failure_kind in ("rate_limited", "budget_spent"))):
        mend = service.key_mend
    elif spent or blocked:
        mend = f"Wait until {_iso(known.resets_at if spent else known.blocked_until)}."
    elif failed_last:
        mend = _MENDS.get(known.last_failure_kind or "", "")
    return {
        "name": service.name,
        "label": service.label,
        "base": service.base,
        "enabled": service.name in settings.sources and not settings.offline,
        "reachable": None,  # nobody was asked; see probe
        "key": service.has_key,
        "key_setting": service.key_setting,
        "interval_s": service.policy.interval_s,
        "allowance_left": known.allowance if renewed else known.remaining,
        "allowance": known.allowance,
        "allowance_unit": "credits a day; a search costs 10" if service.policy.cost else None,
        "allowance_resets_at": None if renewed else _iso(known.resets_at),
        "blocked_until": _iso(known.blocked_until) if blocked else None,
        "last_success_at": _iso(known.last_success_at),
        "last_failure": {"at": _iso(known.last_failure_at), "kind": known.last_failure_kind, "reason": known.last_failure}
        if known.last_failure_at
        else None,
        "mend": mend,
    }


_MENDS = {
    "unreachable": "Check the network, a proxy, or the base address in the settings.",
    "timeout": "Try again later, or raise SOVEREIGN_HTTP_TIMEOUT_S.",
    "server_error": "The service has trouble; try again later.",
    "rate_limited": "Wait a few minutes.",
    "budget_spent": "Wait until the allowance is renewed.",
    "bad_body": "The service's format may have changed; look for a newer version.",
    "refused": "Check the key and the base address in the settings.",
}


def _iso(when: float | None) -> str | None:
    return None if when is None else datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def probe(
    settings: Settings,
    state_dir: Path,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[dict[str, Any]]:
    """`state`, after one small search at each service in parallel: reachable is True or False, None when offline."""
    asked = build(NAMES, settings, transport=transport, state_dir=state_dir, clock=clock, sleep=sleep)
    outcomes = await asyncio.gather(*(s.search(Query("probe", "mixture of experts"), 1) for s in asked))
    rows = state(settings, state_dir, now=clock())
    for row, outcome in zip(rows, outcomes, strict=True):
        row["reachable"] = None if settings.offline else not isinstance(outcome, Failed)
    return rows


# --- where they are ---


def _policy(name: str, settings: Settings) -> Policy:
    keys = {"semantic_scholar": settings.semantic_scholar_key, "openalex": settings.openalex_key}
    policy = policy_for(name, key=keys.get(name) is not None, polite=bool(settings.contact_email))
    if name == "arxiv":
        own = (urlsplit(settings.arxiv_base).hostname or "") in policy.hosts  # only a mirror may be asked more often than the terms say
        return replace(policy, interval_s=max(settings.arxiv_interval_s, policy.interval_s if own else 0.0))
    return policy


def _service(name: str, settings: Settings) -> Service:
    policy = _policy(name, settings)
    if name == "arxiv":
        return Service("arxiv", "arXiv", settings.arxiv_base, policy, hosts=("arxiv.org", "export.arxiv.org"))
    if name == "semantic_scholar":
        key = settings.semantic_scholar_key
        return Service(
            name,
            "Semantic Scholar",
            settings.semantic_scholar_base.rstrip("/"),
            policy,
            header_keys=(("x-api-key", key),) if key else (),
            hosts=("api.semanticscholar.org",),
            key_setting="SOVEREIGN_SEMANTIC_SCHOLAR_KEY",
            key_mend=""
            if key
            else "A free key gives a share of its own: semanticscholar.org/product/api, then SOVEREIGN_SEMANTIC_SCHOLAR_KEY.",
        )
    if name == "openalex":
        key = settings.openalex_key
        return Service(
            name,
            "OpenAlex",
            settings.openalex_base.rstrip("/"),
            policy,
            parameter_keys=(("api_key", key),) if key else (),
            hosts=("api.openalex.org",),
            key_setting="SOVEREIGN_OPENALEX_KEY",
            key_mend=""
            if key
            else "A free key raises the daily allowance tenfold: openalex.org/settings/api, then SOVEREIGN_OPENALEX_KEY.",
        )
    return Service("crossref", "Crossref", settings.crossref_base.rstrip("/"), policy, hosts=("api.crossref.org",))


__all__ = [
    "Candidate", "Fetched", "Flags", "Missed", "NAMES", "Services", "build", "candidates", "probe", "services", "state",
]  # fmt: skip

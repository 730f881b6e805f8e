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
from sovereign.sources.datacite import DataCite
from sovereign.sources.full_text import Candidate, Fetched, Missed, candidates
from sovereign.sources.openalex import OpenAlex
from sovereign.sources.semantic_scholar import SemanticScholar

ARXIV_DOI = "10.48550/arxiv."  # arXiv registers a DOI with DataCite for every paper (info.arxiv.org/help/doi.html)
NAMES = (Arxiv.name, SemanticScholar.name, OpenAlex.name, Crossref.name, DataCite.name)


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
        self.datacite = DataCite(http, _service("datacite", http.settings))
        live: tuple[Live, ...] = (self.arxiv, self.semantic_scholar, self.openalex, self.crossref, self.datacite)
        self._live = {source.name: source for source in live}

    def source(self, name: str) -> Source:
        """Raises UnknownName."""
        if name not in self._live:
            raise UnknownName("source", name, NAMES)
        return self._live[name]

    async def lookup(self, text: str) -> SearchOutcome:
        """The one paper an arXiv id or a DOI names (as written by a person). arXiv answers for its own; DOIs go to OpenAlex, then Crossref, then DataCite."""
        if parsed := parse_arxiv_id(text):
            return await self.arxiv.lookup(f"{parsed[0]}{f'v{parsed[1]}' if parsed[1] else ''}")
        doi = parse_doi(text)
        if doi is None:
            return Failed(f"{text[:80]!r} is neither an arXiv id nor a DOI", "refused")
        first = await self.openalex.lookup(f"doi:{doi}")
        if isinstance(first, Found):
            return first
        second = dict(await self._registered(doi))
        found = next((o for o in second.values() if isinstance(o, Found)), None)
        return found or next((o for o in (first, *second.values()) if isinstance(o, Failed)), Empty())

    async def _registered(self, doi: str) -> list[tuple[str, SearchOutcome]]:
        """What the registries say of a DOI: Crossref, and DataCite where Crossref does not hold it. (service, outcome), in the order asked."""
        if doi.startswith(ARXIV_DOI):
            return [("datacite", await self.datacite.lookup(doi))]
        first = await self.crossref.lookup(doi)
        if not isinstance(first, Empty):
            return [("crossref", first)]
        return [("crossref", first), ("datacite", await self.datacite.lookup(doi))]

    async def _registries(self, paper: Paper) -> list[tuple[str, SearchOutcome]]:
        """What OpenAlex and the registry of its DOI say of a paper, each once."""
        ids = identifiers(paper)
        doi = ids.doi or (f"{ARXIV_DOI}{ids.arxiv}" if ids.arxiv else None)
        openalex, registered = await asyncio.gather(
            self.openalex.lookup(f"doi:{doi}" if doi else paper.paper_id), self._registered(doi) if doi else _nothing()
        )
        return [("openalex", openalex), *registered]

    async def became(self, papers: Sequence[Paper]) -> list[tuple[str, str, SearchOutcome]]:
        """(paper id, service, what it says of it) for every paper that has a DOI or an arXiv id; the flags stand in the papers found.

        OpenAlex and Crossref or DataCite are asked about each, arXiv about all of its own at once: only it states every withdrawal there.
        """
        named = [p for p in papers if (ids := identifiers(p)).doi or ids.arxiv]
        ours = {p.paper_id: str(identifiers(p).arxiv) for p in named if identifiers(p).arxiv}
        at_arxiv, others = await asyncio.gather(
            self._at_arxiv(sorted(set(ours.values()))), asyncio.gather(*(self._registries(p) for p in named))
        )
        said = [(p.paper_id, name, outcome) for p, each in zip(named, others, strict=True) for name, outcome in each]
        return [*said, *((paper_id, "arxiv", at_arxiv[arxiv_id]) for paper_id, arxiv_id in ours.items())]

    async def _at_arxiv(self, arxiv_ids: Sequence[str]) -> dict[str, SearchOutcome]:
        if not arxiv_ids:
            return {}
        outcome = await self.arxiv.lookup(*arxiv_ids)
        if not isinstance(outcome, Found):
            return dict.fromkeys(arxiv_ids, outcome)
        held = {p.arxiv_id: p for p in outcome.papers}
        return {i: Found((held[i],)) if i in held else Empty() for i in arxiv_ids}

    async def flags(self, paper: Paper) -> Flags:
        """Retraction, withdrawal, supersession, from OpenAlex and Crossref or DataCite, besides what the paper carries already."""
        found, checked, failed = set(paper.flags), [], []
        for name, outcome in await self._registries(paper):
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


async def _nothing() -> list[tuple[str, SearchOutcome]]:
    return []


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
    if name == "datacite":
        return Service(name, "DataCite", settings.datacite_base.rstrip("/"), policy, hosts=("api.datacite.org",))
    return Service("crossref", "Crossref", settings.crossref_base.rstrip("/"), policy, hosts=("api.crossref.org",))


__all__ = [
    "Candidate", "Fetched", "Flags", "Missed", "NAMES", "Services", "build", "candidates", "probe", "services", "state",
]  # fmt: skip

"""What every live source does alike: ask, take papers page by page, and turn an outage into a Failed outcome.

Imports ports' records, identity and its neighbours here. Refuses to raise for an outage, and to call an unreadable answer empty.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import NamedTuple

from sovereign.errors import SourceFailed
from sovereign.identity import normalise_title
from sovereign.records import Empty, Failed, Found, Paper, Query, SearchOutcome
from sovereign.sources._http import BadBody, Http, Service


class Page(NamedTuple):
    """One page of results. `raw`: how many entries the service sent, usable or not. `total`: what it says it has, None when it does not."""

    papers: tuple[Paper, ...]
    total: int | None
    raw: int


def page(papers: list[Paper | None], total: int | None, first: bool = True) -> Page:
    """Raises BadBody when entries came but none could be used, or when results are announced and none came: neither is "nothing found"."""
    usable = tuple(p for p in papers if p is not None)
    if papers and not usable:
        raise BadBody(f"{len(papers)} entries, none with a title")
    if first and not papers and total:
        raise BadBody(f"{total} results announced, none sent")
    return Page(usable, total, len(papers))


class Live:
    """Base of the live sources; a subclass sets `name`, `page_size` and implements `_page`."""

    name = ""
    page_size = 100

    def __init__(self, http: Http, service: Service):
        self.http = http
        self.service = service

    def __repr__(self) -> str:
        return f"<{self.name} at {self.service.base}>"

    async def search(self, query: Query, limit: int) -> SearchOutcome:
        """At most `limit` papers, best first as the service ranks them, each once. An outage is Failed, never an exception, never Empty."""
        if limit < 1 or not normalise_title(query.text):
            return Failed("the query is empty" if limit >= 1 else "no results were asked for", "refused")
        try:
            papers, total = await self._collected(query, limit)
        except SourceFailed as exc:
            return as_failed(exc)
        if not papers:
            return Empty()
        return Found(tuple(papers), total if total is not None and total >= len(papers) else None)

    async def _collected(self, query: Query, limit: int) -> tuple[list[Paper], int | None]:
        found: dict[str, Paper] = {}
        total: int | None = None
        offset = 0
        while len(found) < limit:
            size = min(self.page_size, limit - offset)
            try:
                part = await self._page(query, offset, size)
            except SourceFailed:
                if offset == 0:
                    raise
                break  # what came stays; `total` says that there is more
            total = part.total if offset == 0 else total
            fresh = [p for p in part.papers if p.paper_id not in found]
            found.update((p.paper_id, p) for p in fresh)
            offset += size
            # A short page is the last one; a page without news is the same page again (seen in the wild), and asking on would not end.
            if part.raw < size or not fresh or offset >= limit:
                break
        return list(found.values())[:limit], total

    async def _page(self, query: Query, offset: int, size: int) -> Page:
        raise NotImplementedError


def as_failed(error: SourceFailed) -> Failed:
    """The outcome a draft quotes: "Semantic Scholar did not answer (429)"."""
    return Failed(error.message.rstrip("."), error.kind, error.retry_after_s)


def named(paper: Paper | None, source: str) -> Paper | None:
    """The paper with provenance: every field it has came from `source`."""
    if paper is None:
        return None
    skip = {"paper_id", "kind", "provenance"}
    return replace(paper, provenance=tuple((f.name, source) for f in fields(paper) if f.name not in skip and getattr(paper, f.name)))

"""Every (query, source) pair in parallel, each with its own outcome, under one deadline. Imports records, ports; refuses to rank or to retry.

A source that does not answer gives Failed for its pairs and nothing else: an outage is never "nothing found". Beside queries: the citation
neighbours of a paper, one hop, and what the registries say became of papers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from sovereign.ports import Linked, Registry, Source
from sovereign.records import Failed, Paper, Query, SearchOutcome, SearchRecord


async def search(queries: Sequence[Query], sources: Sequence[Source], *, limit: int, deadline_s: float) -> tuple[SearchRecord, ...]:
    """One record per pair, in the order (query, source), whatever order the answers came in."""

    async def one(query: Query, source: Source) -> SearchRecord:
        return SearchRecord(source.name, query.text, query.purpose, await _within(deadline_s, source.search(query, limit)))

    return tuple(await asyncio.gather(*(one(q, s) for q in queries for s in sources)))


async def neighbours(seeds: Sequence[str], sources: Sequence[Source], *, limit: int, deadline_s: float) -> tuple[SearchRecord, ...]:
    """What the seeds (paper_ids) cite and what cites them, at every source that knows; one record per (seed, source)."""

    async def one(seed: str, source: Source, linked: Linked) -> SearchRecord:
        return SearchRecord(source.name, seed, SearchRecord.NEIGHBOURS, await _within(deadline_s, linked.neighbours(seed, limit)))

    return tuple(await asyncio.gather(*(one(p, s, s) for p in seeds for s in sources if isinstance(s, Linked))))


async def flags(works: Sequence[Paper], registry: Registry) -> tuple[SearchRecord, ...]:
    """What became of the works; one record per (work, service) that was asked. Those without a DOI or an arXiv id give none."""
    return tuple(SearchRecord(service, work, SearchRecord.FLAGS, said) for work, service, said in await registry.became(works))


async def _within(deadline_s: float, asked: Awaitable[SearchOutcome]) -> SearchOutcome:
    try:
        async with asyncio.timeout(deadline_s):
            return await asked
    except TimeoutError:
        return Failed(f"no answer within {deadline_s:g} s", "timeout")

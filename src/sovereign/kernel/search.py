"""Every (query, source) pair in parallel, each with its own outcome, under one deadline. Imports records, ports; refuses to rank or to retry.

A source that does not answer gives Failed for its pairs and nothing else: an outage is never "nothing found".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sovereign.ports import Source
from sovereign.records import Failed, Query, SearchOutcome, SearchRecord


async def search(queries: Sequence[Query], sources: Sequence[Source], *, limit: int, deadline_s: float) -> tuple[SearchRecord, ...]:
    """One record per pair, in the order (query, source), whatever order the answers came in."""

    async def one(query: Query, source: Source) -> SearchRecord:
        outcome: SearchOutcome
        try:
            async with asyncio.timeout(deadline_s):
                outcome = await source.search(query, limit)
        except TimeoutError:
            outcome = Failed(f"no answer within {deadline_s:g} s", "timeout")
        return SearchRecord(source.name, query.text, query.purpose, outcome)

    return tuple(await asyncio.gather(*(one(q, s) for q in queries for s in sources)))

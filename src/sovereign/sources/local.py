"""The person's own library as a source. Imports ports and records; satisfies ports.Source over any ports.Index; never fails for lack of network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sovereign import identity
from sovereign.ports import Index
from sovereign.records import Empty, Found, Paper, Query, SearchOutcome

PASSAGES_PER_PAPER = 8  # several passages of one paper may be hits; look deep enough for `limit` different papers


class LocalLibrary:
    name = "local"

    def __init__(self, index: Index, paper: Callable[[str], Paper | None], titled: Callable[[str, int], Sequence[str]]):
        self._index, self._paper, self._titled = index, paper, titled

    async def search(self, query: Query, limit: int) -> SearchOutcome:
        """Papers by their best passage; for an exact query those whose title carries the words come first."""
        ids = list(self._titled(query.text, limit)) if query.exact else []
        numbered = identity.parse_arxiv_id(query.text) if "." in query.text else None
        if numbered is not None:
            ids = [f"note:{numbered[0]}", f"arxiv:{numbered[0]}", *ids]
        ids += [paper_id for paper_id, _, _ in self._index.search(query.text, limit * PASSAGES_PER_PAPER)]
        papers = [p for p in (self._paper(i) for i in list(dict.fromkeys(ids))[:limit]) if p is not None]
        return Found(tuple(papers)) if papers else Empty()

"""Semantic Scholar: the Academic Graph's search, title match, batch, references and citations.

Imports identity, records and its neighbours here. Refuses to keep its texts beyond a run's evidence: its licence asks for attribution.
Formats: api.semanticscholar.org/api-docs/graph (paper/search, paper/search/match, paper/batch, paper/{id}/references and citations).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from sovereign.errors import SourceFailed
from sovereign.identity import paper_id_for, parse_arxiv_id, parse_doi
from sovereign.records import Empty, Found, Paper, Query, SearchOutcome
from sovereign.sources import _fields as field
from sovereign.sources._http import Answer, BadBody, Declined
from sovereign.sources._live import Live, Page, as_failed, named, page

FIELDS = "title,abstract,year,authors,externalIds,venue,publicationDate,openAccessPdf,url,fieldsOfStudy"
BATCH = 500  # ids per request at most


class SemanticScholar(Live):
    name = "semantic_scholar"
    page_size = 100

    async def _page(self, query: Query, offset: int, size: int) -> Page:
        """exact asks the title match, which answers with the one closest title or 404 ("Title match not found")."""
        asked = [("query", " ".join(query.text.replace('"', " ").split())), ("fields", FIELDS)]
        if query.exact:
            return await self.http.get(
                self.service, f"{self.service.base}/paper/search/match", parse_match, parameters=asked, statuses=(200, 404)
            )
        asked += [("offset", str(offset)), ("limit", str(size))]
        return await self.http.get(
            self.service, f"{self.service.base}/paper/search", lambda answer: parse_search(answer, first=offset == 0), parameters=asked
        )

    async def lookup(self, paper_id: str) -> SearchOutcome:
        return await self._asked(f"/paper/{in_path(paper_id)}", parse_one, [("fields", FIELDS)])

    async def neighbours(self, paper_id: str, limit: int = 100) -> SearchOutcome:
        """What the paper cites, then what cites it, one hop; Failed when either list could not be had."""
        found: dict[str, Paper] = {}
        for direction, key in (("references", "citedPaper"), ("citations", "citingPaper")):
            parameters = [("fields", FIELDS), ("limit", str(min(limit, 1000)))]
            outcome = await self._asked(f"/paper/{in_path(paper_id)}/{direction}", _linked(key), parameters)
            if isinstance(outcome, Found):
                found.update((p.paper_id, p) for p in outcome.papers)
            elif not isinstance(outcome, Empty):
                return outcome
        return Found(tuple(found.values())) if found else Empty()

    async def batch(self, paper_ids: Sequence[str]) -> SearchOutcome:
        """Many papers by id in one request each 500; ids that the service does not know are left out."""
        found: dict[str, Paper] = {}
        for start in range(0, len(paper_ids), BATCH):
            ids = [graph_id(p) for p in paper_ids[start : start + BATCH]]
            try:
                part = await self.http.get(
                    self.service,
                    f"{self.service.base}/paper/batch",
                    parse_batch,
                    parameters=[("fields", FIELDS)],
                    content={"ids": ids},
                )
            except SourceFailed as exc:
                return as_failed(exc)
            found.update((p.paper_id, p) for p in part.papers)
        return Found(tuple(found.values())) if found else Empty()

    async def _asked(self, path: str, parse: Callable[[Answer], Page], parameters: list[tuple[str, str]]) -> SearchOutcome:
        try:
            part = await self.http.get(self.service, self.service.base + path, parse, parameters=parameters, statuses=(200, 404))
        except SourceFailed as exc:
            return as_failed(exc)
        return Found(part.papers, part.total) if part.papers else Empty()


def graph_id(paper_id: str) -> str:
    """Our paper id in the service's words: ARXIV:, DOI:, or its own hash."""
    kind, _, rest = paper_id.partition(":")
    return {"arxiv": f"ARXIV:{rest}", "doi": f"DOI:{rest}", "s2": rest}.get(kind.lower(), paper_id)


def in_path(paper_id: str) -> str:
    """The same for use in an address; DOIs may hold anything, "#" and "?" included."""
    return quote(graph_id(paper_id), safe="/:;().-_")


def parse_search(answer: Answer, first: bool = True) -> Page:
    """{"total": n, "data": [...]}; a search without results has a total of 0 and no data at all."""
    body = field.json_object(answer)
    total = field.whole(body.get("total"))
    data = body.get("data")
    if not isinstance(data, list):
        if data is None and (total == 0 or (not first and total is not None)):
            return Page((), total, 0)
        raise BadBody("no list of results")
    return page([parse_paper(p) for p in data], total, first)


def parse_match(answer: Answer) -> Page:
    body = field.json_object(answer)
    if answer.status == 404:
        return _known_404(body)
    if not isinstance(body.get("data"), list):
        raise BadBody("no list of results")
    return page([parse_paper(p) for p in body["data"]], None)


def parse_one(answer: Answer) -> Page:
    body = field.json_object(answer)
    return _known_404(body) if answer.status == 404 else page([parse_paper(body)], None)


def parse_batch(answer: Answer) -> Page:
    data = field.json_value(answer)
    if not isinstance(data, list):
        raise BadBody("no list of papers")
    return page([parse_paper(p) for p in data if p is not None], None)  # null: an id it does not know


def _linked(key: str) -> Callable[[Answer], Page]:
    def parse(answer: Answer) -> Page:
        body = field.json_object(answer)
        if answer.status == 404:
            return _known_404(body)
        data = body.get("data")
        if data is None and "data" in body:  # publishers may forbid reference lists: null then
            raise Declined("the publisher does not share this list")
        if not isinstance(data, list):
            raise BadBody("no list of papers")
        papers = [parse_paper(field.record(row).get(key)) for row in data]
        return Page(tuple(p for p in papers if p), None, len(papers))  # entries without a title are common in reference lists

    return parse


def _known_404(body: dict[str, Any]) -> Page:
    """Only the service's own words make a 404 an absence; any other 404 is a broken address."""
    if isinstance(body.get("error"), str) and "not found" in body["error"].lower():
        return Page((), 0, 0)
    raise BadBody("404 without the service's own explanation")


def parse_paper(body: Any) -> Paper | None:
    data = field.record(body)
    title, own = field.text(data.get("title")), field.text(data.get("paperId"))
    if title is None:
        return None
    ids = field.record(data.get("externalIds"))
    doi = parse_doi(field.text(ids.get("DOI")) or "")
    arxiv = parse_arxiv_id(field.text(ids.get("ArXiv")) or "") or parse_arxiv_id(doi or "")
    names = tuple(n for n in (field.text(field.record(a).get("name")) for a in field.items(data.get("authors"))) if n)
    published, year = field.date(data.get("publicationDate")), field.year(data.get("year"))
    pdf = field.link(field.record(data.get("openAccessPdf")).get("url"))
    return named(
        Paper(
            paper_id=paper_id_for(arxiv[0] if arxiv else None, doi, title, names, year, fallback=f"s2:{own}" if own else None),
            title=title,
            authors=names,
            year=year or (int(published[:4]) if published else None),
            abstract=field.text(data.get("abstract")),
            arxiv_id=arxiv[0] if arxiv else None,
            doi=doi,
            venue=field.text(data.get("venue")),
            url=field.link(data.get("url")),
            published=published,
            categories=tuple(c for c in map(field.text, field.items(data.get("fieldsOfStudy"))) if c),
            full_text_urls=(pdf,) if pdf else (),
            flags=flags_of_title(title),
        ),
        "semantic_scholar",
    )


def flags_of_title(title: str) -> tuple[str, ...]:
    """Publishers put the state in front of the title: "RETRACTED ARTICLE: ...", "WITHDRAWN: ..."."""
    front = title[:40].upper()
    return ("retracted",) * front.startswith("RETRACTED") + ("withdrawn",) * front.startswith("WITHDRAWN")

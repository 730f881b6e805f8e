"""OpenAlex: works by search, by identifier and by citation; the retraction flag.

Imports identity, records and its neighbours here. Refuses abstracts whose word positions make no sense.
Formats: developers.openalex.org (works; search; filters; one entity by id costs nothing, a search costs 10 credits).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from sovereign.errors import SourceFailed
from sovereign.identity import paper_id_for, parse_arxiv_id, parse_doi
from sovereign.records import Empty, Failed, Found, Paper, Query, SearchOutcome
from sovereign.sources import _fields as field
from sovereign.sources._http import Answer, BadBody
from sovereign.sources._live import Live, Page, as_failed, named, page
from sovereign.sources.semantic_scholar import flags_of_title

SELECT = (
    "id,doi,title,display_name,publication_year,publication_date,authorships,abstract_inverted_index,is_retracted,primary_location,"
    "best_oa_location,locations,primary_topic,referenced_works,ids"
)
SEARCH_COST, LIST_COST = 10, 1  # credits
LONGEST_ABSTRACT = 20_000  # words


class OpenAlex(Live):
    name = "openalex"
    page_size = 100

    async def _page(self, query: Query, offset: int, size: int) -> Page:
        """exact asks for all words in the title. Pages are numbered, so that every page but the last must have the same size."""
        words = " ".join(re.findall(r"[\w'-]+", query.text))  # commas, colons and bars steer filters
        asked = [("filter", f"title.search:{words}")] if query.exact else [("search", words)]
        return await self._listed(
            [*asked, ("per_page", str(size if offset == 0 else self.page_size)), ("page", str(offset // self.page_size + 1))]
        )

    async def _listed(self, parameters: list[tuple[str, str]], cost: int = SEARCH_COST) -> Page:
        first = dict(parameters).get("page", "1") == "1"
        return await self.http.get(
            self.service,
            f"{self.service.base}/works",
            lambda answer: parse_works(answer, first=first),
            parameters=[*parameters, ("select", SELECT)],
            accept="application/json",
            cost=cost,
        )

    async def lookup(self, paper_id: str) -> SearchOutcome:
        """One work by arXiv id, DOI or OpenAlex id; free of charge. Empty when OpenAlex says 404 for it."""
        name = entity(paper_id)
        if name is None:
            return Failed(f"OpenAlex knows no name for {paper_id}", "refused")
        return await self._outcome(f"/works/{name}", parse_work_answer, [("select", SELECT)])

    async def neighbours(self, paper_id: str, limit: int = 100) -> SearchOutcome:
        """What the work cites, then what cites it, one hop."""
        work = await self.lookup(paper_id)
        if not isinstance(work, Found):
            return work
        own, cited = work.papers[0].url or "", [r.removeprefix("openalex:") for r in work.papers[0].references]
        found: dict[str, Paper] = {}
        asked = ([f"openalex:{'|'.join(cited[: min(limit, 100)])}"] if cited else []) + ([f"cites:{own.rpartition('/')[2]}"] if own else [])
        for chosen in asked:
            try:
                part = await self._listed([("filter", chosen), ("per_page", str(min(limit, 100)))], LIST_COST)
            except SourceFailed as exc:
                return as_failed(exc)
            found.update((p.paper_id, p) for p in part.papers)
        return Found(tuple(found.values())) if found else Empty()

    async def _outcome(self, path: str, parse: Callable[[Answer], Page], parameters: list[tuple[str, str]]) -> SearchOutcome:
        try:
            part = await self.http.get(self.service, self.service.base + path, parse, parameters=parameters, statuses=(200, 404))
        except SourceFailed as exc:
            return as_failed(exc)
        return Found(part.papers, part.total) if part.papers else Empty()


def entity(paper_id: str) -> str | None:
    """Our paper id as OpenAlex names the work; arXiv papers go by their arXiv DOI (registered with DataCite since 2022)."""
    kind, _, rest = paper_id.partition(":")
    rest = quote(rest, safe="/:;().-_")  # DOIs may hold anything, "#" and "?" included
    return {"arxiv": f"doi:10.48550/arXiv.{rest}", "doi": f"doi:{rest}", "openalex": rest}.get(kind) if rest else None


def parse_works(answer: Answer, first: bool = True) -> Page:
    body = field.json_object(answer)
    if not isinstance(body.get("results"), list):
        raise BadBody("no list of results")
    return page([parse_work(w) for w in body["results"]], field.whole(field.record(body.get("meta")).get("count")), first)


def parse_work_answer(answer: Answer) -> Page:
    """One entity. A 404 is its documented way to say that there is none, in HTML or JSON."""
    if answer.status == 404:
        return Page((), 0, 0)
    return page([parse_work(field.json_object(answer))], None)


def parse_work(body: Any) -> Paper | None:
    data = field.record(body)
    title = field.unmarked(field.text(data.get("title")) or field.text(data.get("display_name")))
    if title is None:
        return None
    ids = field.record(data.get("ids"))
    own = re.search(r"W\d{2,}$", field.text(data.get("id")) or field.text(ids.get("openalex")) or "")
    doi = parse_doi(field.text(data.get("doi")) or field.text(ids.get("doi")) or "")
    places = [
        field.record(data.get("primary_location")),
        field.record(data.get("best_oa_location")),
        *map(field.record, field.items(data.get("locations"))),
    ]
    arxiv = parse_arxiv_id(doi or "") or next(filter(None, map(_arxiv_of, places)), None)
    names = tuple(n for n in map(_author, field.items(data.get("authorships"))) if n)
    published, year = field.date(data.get("publication_date")), field.year(data.get("publication_year"))
    retracted = data.get("is_retracted") is True or bool(flags_of_title(title))
    return named(
        Paper(
            paper_id=paper_id_for(arxiv[0] if arxiv else None, doi, title, names, year, fallback=f"openalex:{own[0]}" if own else None),
            title=title,
            authors=names,
            year=year or (int(published[:4]) if published else None),
            abstract=abstract_text(data.get("abstract_inverted_index")),
            arxiv_id=arxiv[0] if arxiv else None,
            doi=doi,
            venue=field.text(field.record(places[0].get("source")).get("display_name")),
            url=f"https://openalex.org/{own[0]}" if own else None,
            published=published,
            categories=_topics(field.record(data.get("primary_topic"))),
            flags=("retracted",) if retracted else (),
            references=tuple(
                f"openalex:{m[0]}" for m in (re.search(r"W\d{2,}$", str(r)) for r in field.items(data.get("referenced_works"))) if m
            ),
            full_text_urls=tuple(dict.fromkeys(u for u in (field.link(p.get("pdf_url")) for p in places if p.get("is_oa") is True) if u)),
        ),
        "openalex",
    )


def _author(authorship: Any) -> str | None:
    data = field.record(authorship)
    return field.text(field.record(data.get("author")).get("display_name")) or field.text(data.get("raw_author_name"))


def _arxiv_of(place: dict[str, Any]) -> tuple[str, int | None] | None:
    for key in ("landing_page_url", "pdf_url"):
        address = field.link(place.get(key))
        if address and "arxiv" in address.lower() and (parsed := parse_arxiv_id(address)):
            return parsed
    return None


def _topics(topic: dict[str, Any]) -> tuple[str, ...]:
    names = [topic.get("display_name"), *(field.record(topic.get(k)).get("display_name") for k in ("subfield", "field"))]
    return tuple(dict.fromkeys(n for n in map(field.text, names) if n))


def abstract_text(index: Any) -> str | None:
    """{"word": [positions]} back to running text; None when there is none or the positions make no sense."""
    words: dict[int, str] = {}
    for word, positions in field.record(index).items():
        for position in field.items(positions):
            if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < LONGEST_ABSTRACT:
                return None
            words[position] = word
    return field.unmarked(" ".join(words[i] for i in sorted(words))) if words else None

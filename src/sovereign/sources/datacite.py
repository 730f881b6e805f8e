"""DataCite: the registry of DOIs of preprint servers and repositories (arXiv, Zenodo). Works by DOI or words, and what their registrants say of them.

Imports identity, records and its neighbours here. Refuses a 404 that is not the service's own as absence.
Formats: support.datacite.org (api-get-doi, api-get-lists, api-queries) and the DataCite metadata schema 4.6 (dateType, relationType).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from sovereign.errors import SourceFailed
from sovereign.identity import paper_id_for, parse_arxiv_id, parse_doi
from sovereign.records import Empty, Found, Paper, Query, SearchOutcome
from sovereign.sources import _fields as field
from sovereign.sources._http import Answer, BadBody
from sovereign.sources._live import Live, Page, as_failed, named, page
from sovereign.sources.arxiv import withdrawn_abstract
from sovereign.sources.semantic_scholar import flags_of_title

SUPERSEDING = frozenset({"IsObsoletedBy", "IsPreviousVersionOf"})  # relationType: a later version has a DOI of its own


class DataCite(Live):
    name = "datacite"
    page_size = 100

    async def _page(self, query: Query, offset: int, size: int) -> Page:
        """exact asks for all words in a title. Pages are numbered, so that every page but the last must have the same size."""
        words = [w.lower() for w in re.findall(r"\w+", query.text)]  # punctuation and capital AND, OR, NOT steer query strings
        asked = f"titles.title:({' '.join('+' + w for w in words)})" if query.exact else " ".join(words)
        parameters = [
            ("query", asked),
            ("page[size]", str(size if offset == 0 else self.page_size)),
            ("page[number]", str(offset // self.page_size + 1)),
            ("sort", "relevance"),
            ("disable-facets", "true"),
        ]
        return await self.http.get(
            self.service,
            f"{self.service.base}/dois",
            lambda answer: parse_list(answer, first=offset == 0),
            parameters=parameters,
            accept="application/vnd.api+json",
        )

    async def lookup(self, doi: str) -> SearchOutcome:
        """The work with this DOI; Empty when DataCite says 404 in its own words (publishers' DOIs are with Crossref)."""
        try:
            url = f"{self.service.base}/dois/{quote(doi.removeprefix('doi:'), safe='')}"
            part = await self.http.get(self.service, url, parse_answer, accept="application/vnd.api+json", statuses=(200, 404))
        except SourceFailed as exc:
            return as_failed(exc)
        return Found(part.papers, part.total) if part.papers else Empty()


def parse_list(answer: Answer, first: bool = True) -> Page:
    """{"data": [...], "meta": {"total": n}}."""
    body = field.json_object(answer)
    if not isinstance(body.get("data"), list):
        raise BadBody("no list of results")
    return page([parse_work(w) for w in body["data"]], field.whole(field.record(body.get("meta")).get("total")), first)


def parse_answer(answer: Answer) -> Page:
    """One DOI: {"data": {"id": ..., "attributes": {...}}}; or {"errors": [...]} with a 404."""
    body = field.json_object(answer)
    if answer.status == 404:
        if not field.items(body.get("errors")):
            raise BadBody("404 without the service's own explanation")
        return Page((), 0, 0)
    if not isinstance(body.get("data"), dict):
        raise BadBody("no record")
    return page([parse_work(body["data"])], None)


def parse_work(body: Any) -> Paper | None:
    data = field.record(field.record(body).get("attributes"))
    title = field.unmarked(_title(data))
    if title is None:
        return None
    doi = parse_doi(field.text(data.get("doi")) or field.text(field.record(body).get("id")) or "")
    arxiv = parse_arxiv_id(doi or "")
    names = tuple(n for n in map(_creator, field.items(data.get("creators"))) if n)
    dated = {
        field.text(d.get("dateType")): field.text(d.get("date")) for d in reversed([*map(field.record, field.items(data.get("dates")))])
    }
    published = next(filter(None, (field.date(dated.get(k)) for k in ("Issued", "Available", "Submitted", "Created"))), None)
    year = field.year(data.get("publicationYear")) or (int(published[:4]) if published else None)
    abstract = next((field.unmarked(field.text(d.get("description"))) for d in _described(data)), None)
    return named(
        Paper(
            paper_id=paper_id_for(arxiv[0] if arxiv else None, doi, title, names, year),
            title=title,
            authors=names,
            year=year,
            abstract=abstract,
            arxiv_id=arxiv[0] if arxiv else None,
            doi=doi,
            venue=field.text(field.record(data.get("container")).get("title")) or _publisher(data.get("publisher")),
            url=f"https://doi.org/{doi}" if doi else None,
            published=published,
            categories=tuple(
                dict.fromkeys(s for s in (field.text(field.record(x).get("subject")) for x in field.items(data.get("subjects"))) if s)
            ),
            flags=_flags(data, dated, title, abstract or ""),
        ),
        "datacite",
    )


def _flags(data: dict[str, Any], dated: dict[str | None, str | None], title: str, abstract: str) -> tuple[str, ...]:
    """A date of withdrawal (schema 4.2), a later version, or the words a registrant puts in front of title or abstract."""
    related = {field.text(field.record(r).get("relationType")) for r in field.items(data.get("relatedIdentifiers"))}
    said = set(flags_of_title(title))
    said |= {"withdrawn"} if "Withdrawn" in dated or withdrawn_abstract(abstract) else set()
    said |= {"superseded"} if related & SUPERSEDING else set()
    return tuple(sorted(said))


def _title(data: dict[str, Any]) -> str | None:
    """The main title has no titleType; a subtitle, a translation and an alternative title have one."""
    titles = [t for t in map(field.record, field.items(data.get("titles"))) if field.text(t.get("title"))]
    main = next((t for t in titles if not field.text(t.get("titleType"))), titles[0] if titles else {})
    return field.text(main.get("title"))


def _creator(creator: Any) -> str | None:
    data = field.record(creator)
    parts = [field.text(data.get("givenName")), field.text(data.get("familyName"))]
    return " ".join(p for p in parts if p) if all(parts) else field.text(data.get("name"))


def _described(data: dict[str, Any]) -> list[dict[str, Any]]:
    rows = map(field.record, field.items(data.get("descriptions")))
    return [d for d in rows if field.text(d.get("descriptionType")) == "Abstract" and field.text(d.get("description"))]


def _publisher(value: Any) -> str | None:
    """A string, or since schema 4.5 an object with a name."""
    return field.text(value) or field.text(field.record(value).get("name"))

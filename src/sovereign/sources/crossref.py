"""Crossref: the registry of DOIs. Works by title or DOI, and what the publisher or Retraction Watch says became of them.

Imports identity, records and its neighbours here. Refuses its best guess as an answer to an exact title: Crossref never says "none".
Formats: github.com/CrossRef/rest-api-doc (works, message, update-to) and api.crossref.org (updated-by, which includes Retraction Watch).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from sovereign.errors import SourceFailed
from sovereign.identity import normalise_title, paper_id_for, parse_arxiv_id, parse_doi
from sovereign.records import Empty, Found, Paper, Query, SearchOutcome
from sovereign.sources import _fields as field
from sovereign.sources._http import Answer, BadBody
from sovereign.sources._live import Live, Page, as_failed, named, page
from sovereign.sources.semantic_scholar import flags_of_title

RETRACTING = {"retraction": "retracted", "removal": "retracted", "withdrawal": "withdrawn", "new_version": "superseded"}
TITLE_SHARE = 0.8  # of the asked words that an exact match must have in its title; Crossref ranks, it does not match


class Crossref(Live):
    name = "crossref"
    page_size = 100

    async def _page(self, query: Query, offset: int, size: int) -> Page:
        words = " ".join(query.text.replace('"', " ").split())
        asked = [("query.title" if query.exact else "query.bibliographic", words), ("rows", str(size)), ("offset", str(offset))]
        part = await self.http.get(
            self.service, f"{self.service.base}/works", lambda answer: parse_works(answer, offset == 0), parameters=asked
        )
        if not query.exact:
            return part
        wanted = set(normalise_title(query.text).split())
        close = tuple(p for p in part.papers if len(wanted & set(normalise_title(p.title).split())) >= TITLE_SHARE * len(wanted))
        return Page(close, None, part.raw)

    async def lookup(self, doi: str) -> SearchOutcome:
        """The work with this DOI; Empty when Crossref says 404 (other agencies, such as DataCite for arXiv, register DOIs too)."""
        try:
            url = f"{self.service.base}/works/{quote(doi.removeprefix('doi:'), safe='')}"
            part = await self.http.get(self.service, url, parse_work_answer, statuses=(200, 404))
        except SourceFailed as exc:
            return as_failed(exc)
        return Found(part.papers, part.total) if part.papers else Empty()


def parse_works(answer: Answer, first: bool = True) -> Page:
    message = _message(answer, "work-list")
    if not isinstance(message.get("items"), list):
        raise BadBody("no list of results")
    works = [w for w in message["items"] if not _is_notice(field.record(w))]
    if message["items"] and not works:
        return Page((), None, len(message["items"]))
    return page([parse_work(w) for w in works], field.whole(message.get("total-results")), first)


def parse_work_answer(answer: Answer) -> Page:
    if answer.status == 404:
        return Page((), 0, 0)
    return page([parse_work(_message(answer, "work"))], None)


def _message(answer: Answer, kind: str) -> dict[str, Any]:
    body = field.json_object(answer)
    if body.get("status") == "failed":
        raise BadBody("status failed")
    message = body.get("message")
    if not isinstance(message, dict) or body.get("message-type", kind) != kind:
        raise BadBody(f"no {kind}")
    return message


def _is_notice(work: dict[str, Any]) -> bool:
    """A retraction or correction notice is about another work and is no source itself."""
    return any(
        field.text(field.record(u).get("type")) in (*RETRACTING, "correction", "erratum") for u in field.items(work.get("update-to"))
    )


def parse_work(body: Any) -> Paper | None:
    data = field.record(body)
    title = field.unmarked(_first(data.get("title")))
    doi = parse_doi(field.text(data.get("DOI")) or "")
    if title is None:
        return None
    subtitle = field.unmarked(_first(data.get("subtitle")))
    if subtitle and normalise_title(subtitle) not in normalise_title(title):
        title = f"{title.rstrip(':')}: {subtitle}"
    names = tuple(n for n in map(_author, field.items(data.get("author"))) if n)
    published = next(
        filter(None, (_date(data.get(k)) for k in ("published", "published-print", "published-online", "issued", "posted", "created"))),
        None,
    )
    updates = {RETRACTING.get(field.text(field.record(u).get("type")) or "") for u in field.items(data.get("updated-by"))}
    arxiv = parse_arxiv_id(doi or "") or next(
        filter(None, map(_preprint_of, field.items(field.record(data.get("relation")).get("has-preprint")))), None
    )
    year = int(published[:4]) if published else None
    return named(
        Paper(
            paper_id=paper_id_for(arxiv[0] if arxiv else None, doi, title, names, year),
            title=title,
            authors=names,
            year=year,
            abstract=field.unmarked(field.text(data.get("abstract"))),
            arxiv_id=arxiv[0] if arxiv else None,
            doi=doi,
            venue=field.unmarked(_first(data.get("container-title"))),
            url=f"https://doi.org/{doi}" if doi else None,
            published=published if published and len(published) == 10 else None,
            flags=tuple(sorted({u for u in updates if u} | set(flags_of_title(title)))),
            references=tuple(dict.fromkeys(r for r in map(_reference, field.items(data.get("reference"))) if r)),
        ),
        "crossref",
    )


def _first(value: Any) -> str | None:
    return field.text(value) or next((t for t in map(field.text, field.items(value)) if t), None)


def _author(author: Any) -> str | None:
    data = field.record(author)
    parts = [field.text(data.get("given")), field.text(data.get("family"))]
    return " ".join(p for p in parts if p) or field.text(data.get("name"))


def _date(value: Any) -> str | None:
    """{"date-parts": [[2020, 5, 4]]} to an ISO date, or to the year alone."""
    parts = [field.whole(p) for p in field.items(next(iter(field.items(field.record(value).get("date-parts"))), None))]
    if not parts or field.year(parts[0]) is None:
        return None
    if len(parts) >= 3 and None not in parts:
        return field.date(f"{parts[0]}-{parts[1]:02d}-{parts[2]:02d}") or str(parts[0])
    return str(parts[0])


def _reference(entry: Any) -> str | None:
    data = field.record(entry)
    if doi := parse_doi(field.text(data.get("DOI")) or ""):
        return paper_id_for(doi=doi)
    return field.text(data.get("article-title"))


def _preprint_of(relation: Any) -> tuple[str, int | None] | None:
    found = field.text(field.record(relation).get("id")) or ""
    return parse_arxiv_id(found) if re.search("arxiv", found, re.IGNORECASE) else None

"""arXiv: its Atom query interface, and where a paper's full text lies.

Imports identity, records and its neighbours here; lxml lazily. Refuses error feeds as results and document type declarations.
Formats: info.arxiv.org/help/api/user-manual.html (query syntax 5.1, Atom elements 3.3, errors 3.4).
"""

from __future__ import annotations

import re
from typing import Any

from sovereign.errors import SourceFailed
from sovereign.identity import paper_id_for, parse_arxiv_id, parse_doi
from sovereign.records import Empty, Found, Paper, Query, SearchOutcome
from sovereign.sources import _fields as field
from sovereign.sources._http import Answer, BadBody, Declined
from sovereign.sources._live import Live, Page, as_failed, named, page

ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
OPENSEARCH = "{http://a9.com/-/spec/opensearch/1.1/}"

STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from has have how in into is it its not of on or than that the their them then there these this "
    "to under using versus via vs was were what when where which while who why will with without andnot".split()
)
_PIECE = re.compile(r'"([^"]*)"|(\S+)')
_FEW = 2  # up to this many terms must all occur; more are ranked by relevance instead, since all of five words rarely stand in one abstract


class Arxiv(Live):
    name = "arxiv"
    page_size = 200

    async def _page(self, query: Query, offset: int, size: int) -> Page:
        parameters = [
            ("search_query", search_expression(query)),
            ("start", str(offset)),
            ("max_results", str(size)),
            ("sortBy", "relevance"),
            ("sortOrder", "descending"),
        ]
        return await self.http.get(
            self.service,
            self.service.base,
            lambda answer: parse_feed(answer, first=offset == 0),
            parameters=parameters,
            accept="application/atom+xml",
            statuses=(200, 400),
        )

    async def lookup(self, *arxiv_ids: str) -> SearchOutcome:
        """The papers with these arXiv ids (versions may be given), in one request; Empty when arXiv has none, Failed when it did not say."""
        try:
            part = await self.http.get(
                self.service,
                self.service.base,
                parse_feed,
                parameters=[("id_list", ",".join(arxiv_ids)), ("max_results", str(len(arxiv_ids)))],
                accept="application/atom+xml",
                statuses=(200, 400),
            )
        except SourceFailed as exc:
            return as_failed(exc)
        return Found(part.papers, part.total) if part.papers else Empty()


def search_expression(query: Query) -> str:
    """The query in arXiv's syntax. A phrase in quotes or a hyphenated word stays a phrase; exact asks for all words in the title."""
    terms = [t for t in (_term(*m.groups()) for m in _PIECE.finditer(query.text.replace("“", '"').replace("”", '"'))) if t]
    terms = list(dict.fromkeys(terms)) or [" ".join(re.findall(r"\w+", query.text))]
    prefix = "ti" if query.exact else "all"
    parts = [f'{prefix}:"{t}"' if " " in t else f"{prefix}:{t}" for t in terms[:24]]
    return (" AND " if query.exact or len(parts) <= _FEW else " OR ").join(parts)


def _term(phrase: str | None, word: str | None) -> str | None:
    words = re.findall(r"\w+", phrase or word or "")
    if len(words) == 1 and words[0].lower() in STOP_WORDS:
        return None
    return " ".join(words) or None


def parse_feed(answer: Answer, first: bool = True) -> Page:
    """An Atom feed to papers. Raises BadBody for what is no arXiv feed, Declined for an error feed.

    A missing totalResults is None; with no entry either, nothing says that nothing was found: BadBody.
    """
    root = field.xml_root(answer)
    if root.tag != f"{ATOM}feed":
        raise BadBody("not an Atom feed")
    entries = root.findall(f"{ATOM}entry")
    for entry in entries:
        if "/api/errors" in (entry.findtext(f"{ATOM}id") or ""):
            raise Declined(field.text(entry.findtext(f"{ATOM}summary")) or "no reason given")
    if answer.status != 200:
        raise Declined(f"status {answer.status}")
    total = field.whole(root.findtext(f"{OPENSEARCH}totalResults"))
    if not entries and total is None:
        raise BadBody("neither entries nor a total")
    return page([parse_entry(e) for e in entries], total, first)


def parse_entry(entry: Any) -> Paper | None:
    title, parsed = field.text(entry.findtext(f"{ATOM}title")), parse_arxiv_id(entry.findtext(f"{ATOM}id") or "")
    if title is None or parsed is None:
        return None
    arxiv_id, version = parsed
    published = field.date(entry.findtext(f"{ATOM}published"))
    doi = parse_doi(entry.findtext(f"{ARXIV}doi") or "")
    abstract = field.text(entry.findtext(f"{ATOM}summary"))
    categories = [e.get("term") for e in [*entry.findall(f"{ARXIV}primary_category"), *entry.findall(f"{ATOM}category")]]
    names = (field.text(a.findtext(f"{ATOM}name")) for a in entry.findall(f"{ATOM}author"))
    return named(
        Paper(
            paper_id=paper_id_for(arxiv_id=arxiv_id),
            title=title,
            authors=tuple(n for n in names if n),
            year=int(published[:4]) if published else None,
            abstract=abstract,
            arxiv_id=arxiv_id,
            version=version,
            doi=doi,
            venue=field.text(entry.findtext(f"{ARXIV}journal_ref")),
            url=f"https://arxiv.org/abs/{arxiv_id}{f'v{version}' if version else ''}",
            published=published,
            categories=tuple(dict.fromkeys(c for c in categories if c)),
            flags=_flags(field.text(entry.findtext(f"{ARXIV}comment")) or "", abstract or ""),
            full_text_urls=full_text_urls(arxiv_id, version),
        ),
        "arxiv",
    )


_WITHDRAWN_COMMENT = re.compile(r"\b(?:withdrawn|retracted)\b", re.IGNORECASE)
_WITHDRAWN_ABSTRACT = re.compile(
    r"^\W*(?:this|the) (?:paper|article|submission|manuscript|work) (?:has been|is|was) (?:withdrawn|retracted)", re.I
)
_SUPERSEDED = re.compile(r"\bsuperseded by\b", re.IGNORECASE)


def _flags(comment: str, abstract: str) -> tuple[str, ...]:
    """arXiv states a withdrawal in the comment, and in the abstract of old papers (info.arxiv.org/help/withdraw.html)."""
    withdrawn = _WITHDRAWN_COMMENT.search(comment) or withdrawn_abstract(abstract)
    superseded = _SUPERSEDED.search(comment) or _SUPERSEDED.search(abstract[:200])
    return ("superseded",) * bool(superseded) + ("withdrawn",) * bool(withdrawn)


def withdrawn_abstract(abstract: str) -> bool:
    """Whether an abstract begins by saying that its paper was withdrawn."""
    return _WITHDRAWN_ABSTRACT.search(abstract) is not None


def full_text_urls(arxiv_id: str, version: int | None) -> tuple[str, ...]:
    """HTML (numbers and tables live there), the authors' source, PDF: the order in which reading loses least."""
    name = f"{arxiv_id}{f'v{version}' if version else ''}"
    return f"https://arxiv.org/html/{name}", f"https://export.arxiv.org/e-print/{name}", f"https://arxiv.org/pdf/{name}"

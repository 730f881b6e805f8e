"""Metadata records, one JSON object a line: arXiv listings, proceedings with page texts, unarXive full texts. Imports records, identity, sibling modules.

A broken line is an outcome of that line alone. Fields are taken when they have the expected type and left unknown otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from sovereign import identity
from sovereign.errors import Unreadable
from sovereign.readers._assemble import Assembly
from sovereign.readers.plain import read_text
from sovereign.records import Basis, Document, Paper, PassageKind

MAX_LINE = 16 * 2**20  # bytes; a longer line is not a metadata record


def read_records(body: bytes) -> Iterator[tuple[int, Paper, Document | None] | tuple[int, str]]:
    """(line number, paper, its document) for each usable line, (line number, reason) for each that is not; blank lines are skipped."""
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            if len(line) > MAX_LINE:
                raise Unreadable("the line is too long for a metadata record", kind="too_large")
            record = json.loads(line)
            if not isinstance(record, dict):
                raise Unreadable("the line is not a JSON object", kind="corrupt")
            yield (number, *from_record(record))
        except (json.JSONDecodeError, UnicodeDecodeError):
            yield number, "the line is not valid JSON"
        except RecursionError:
            yield number, "the line nests too deeply"
        except Unreadable as exc:
            yield number, exc.message


def from_record(record: Mapping[str, Any]) -> tuple[Paper, Document | None]:
    """One record as a paper and, where it holds text, a document: full text from pages or body_text, else the abstract. Raises Unreadable."""
    meta = record["metadata"] if isinstance(record.get("metadata"), dict) else record
    title = _untex(_text(meta.get("title")))
    if not title:
        raise Unreadable("the record has no title", kind="no_title")
    held = record.get("abstract")
    abstract = _untex(_text(held.get("text") if isinstance(held, dict) else held)) or None
    name = _text(meta.get("id") or record.get("paper_id") or record.get("id"))
    arxiv = identity.parse_arxiv_id(name)
    doi = identity.parse_doi(_text(meta.get("doi")))
    authors = _authors(meta.get("authors"))
    year = meta.get("year") if isinstance(meta.get("year"), int) else _year(arxiv[0] if arxiv else None)
    paper = Paper(
        paper_id=identity.paper_id_for(arxiv[0] if arxiv else None, doi, title, authors, year, fallback=name or None),
        title=title,
        authors=authors,
        year=year,
        abstract=abstract,
        arxiv_id=arxiv[0] if arxiv else None,
        version=arxiv[1] if arxiv else None,
        doi=doi,
        venue=_text(meta.get("venue")) or None,
        url=_text(meta.get("url")) or (f"https://arxiv.org/abs/{arxiv[0]}" if arxiv else None),
        categories=tuple(c for c in _list(meta.get("categories")) if isinstance(c, str)),
        flags=("withdrawn",) if re.search(r"\bwithdrawn\b", _text(meta.get("comment")), re.I) else (),
    )
    return paper, _document(record, title, abstract)


def _document(record: Mapping[str, Any], title: str, abstract: str | None) -> Document | None:
    pages = [p for p in _list(record.get("pages")) if isinstance(p, str)]
    if pages:
        return read_text("\n\n".join(pages))
    body = [b for b in _list(record.get("body_text")) if isinstance(b, dict)]
    if body:
        return _structured(body, title, abstract)
    return abstract_document(title, abstract) if abstract else None


def abstract_document(title: str, abstract: str) -> Document:
    """An abstract as a document of its own; its basis says that nothing else was read."""
    out = Assembly("abstract/1")
    out.heading("Abstract")
    out.paragraph(abstract, kind=PassageKind.ABSTRACT)
    return out.finish(title=title, abstract=abstract, basis=Basis.ABSTRACT_ONLY)


def _structured(body: list[dict[str, Any]], title: str, abstract: str | None) -> Document:
    """unarXive: paragraphs with section names; markers such as {{cite:…}} are dropped from the text."""
    out = Assembly("unarxive/1")
    if abstract:
        out.heading("Abstract")
        out.paragraph(abstract, kind=PassageKind.ABSTRACT)
    section = None
    for block in body:
        name = _text(block.get("section"))
        if name and name != section:
            out.heading(name, 1)
            section = name
        text = re.sub(r"\s*\{\{(?:cite|ref|figure|table|formula):[^}]*\}\}", "", _text(block.get("text")))
        if text.strip():
            out.paragraph(text)
    return out.finish(title=title, abstract=abstract)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _untex(text: str) -> str:
    """Listings carry the TeX of the authors: 98\\%, $\\times$. Plain words for people; blanks normalised."""
    if "\\" in text or text.count("$") >= 2:
        from pylatexenc.latex2text import LatexNodes2Text
        from pylatexenc.latexwalker import LatexWalkerParseError

        with suppress(LatexWalkerParseError, IndexError, ValueError):  # odd TeX stays as it was written
            text = LatexNodes2Text(keep_comments=True, math_mode="text").latex_to_text(re.sub(r"(?<!\\)%", r"\\%", text))
    return " ".join(text.split())


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _authors(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(" ".join(a.split()) for a in re.split(r",\s*(?:and\s+)?|\s+and\s+", value) if a.strip())
    return tuple(a for a in _list(value) if isinstance(a, str) and a.strip())


def _year(arxiv_id: str | None) -> int | None:
    """arXiv ids since April 2007 begin with the year and month of the first version."""
    return 2000 + int(arxiv_id[:2]) if arxiv_id and re.match(r"\d{4}\.", arxiv_id) else None

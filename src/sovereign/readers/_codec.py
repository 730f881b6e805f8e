"""A Document as JSON bytes and back, checked. Imports errors and records; the child that wrote the bytes is not trusted.

Passage texts are not sent: they are cut from the document's text again, so a passage cannot claim words that are not there.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sovereign.errors import Unreadable
from sovereign.records import Basis, Document, Passage, PassageKind, Reference, TableRow, Unread


def to_json(document: Document) -> bytes:
    tables: dict[tuple[str, tuple[str, ...]], int] = {}  # rows of one table share caption and header
    passages: list[list[Any]] = []
    for p in document.passages:
        row: list[Any] | None = None
        if p.table:
            row = [tables.setdefault((p.table.caption, p.table.header), len(tables)), list(p.table.cells), p.table.row]
        passages.append([p.start, p.end, p.kind.value, p.section, row])
    value = {
        "text": document.text,
        "passages": passages,
        "tables": [[caption, list(header)] for caption, header in tables],
        "basis": document.basis.value,
        "reader": document.reader,
        "title": document.title,
        "authors": list(document.authors),
        "abstract": document.abstract,
        "references": [[r.key, r.text, r.title, list(r.authors), r.year, r.doi, r.arxiv_id] for r in document.references],
        "citations": [[at, list(keys)] for at, keys in document.citations],
        "unread": [[u.what, u.reason, u.share] for u in document.unread],
        "suspicious": list(document.suspicious),
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def from_json(body: bytes) -> Document:
    """Raises Unreadable(kind="crashed") when the bytes do not have a Document's shape."""
    try:
        return _document(json.loads(body))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as exc:
        raise Unreadable(f"The reader's answer does not have a document's shape ({type(exc).__name__}).", kind="crashed") from exc


def _document(value: dict[str, Any]) -> Document:
    text = value["text"]
    tables = [(str(caption), tuple(map(str, header))) for caption, header in value["tables"]]
    passages = []
    for start, end, kind, section, row in value["passages"]:
        if not (0 <= start < end <= len(text)):
            raise ValueError("passage outside the text")
        table = None
        if row is not None:
            caption, header = tables[row[0]]
            table = TableRow(caption, header, tuple(map(str, row[1])), int(row[2]))
        passages.append(Passage(start, end, text[start:end], PassageKind(kind), str(section), table))
    return Document(
        sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        text=text,
        passages=tuple(passages),
        basis=Basis(value["basis"]),
        reader=str(value["reader"]),
        title=value["title"],
        authors=tuple(map(str, value["authors"])),
        abstract=value["abstract"],
        references=tuple(Reference(k, t, ti, tuple(map(str, a)), y, d, x) for k, t, ti, a, y, d, x in value["references"]),
        citations=tuple((int(at), tuple(map(str, keys))) for at, keys in value["citations"]),
        unread=tuple(Unread(w, r, s) for w, r, s in value["unread"]),
        suspicious=tuple(map(str, value["suspicious"])),
    )

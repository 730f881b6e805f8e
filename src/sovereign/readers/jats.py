"""JATS XML, the journals' archive format: front matter, sections, tables, formulas, references. Imports this package and records."""

from __future__ import annotations

import re
from typing import Any

from sovereign.errors import Unreadable
from sovereign.readers import _markup, _references
from sovereign.readers._assemble import Assembly
from sovereign.readers._markup import MAX_DEPTH, Inline, InlineWriter, Marks
from sovereign.readers._mathml import name_of
from sovereign.readers._text import decode, one_line
from sovereign.records import Document, PassageKind, Reference

NAME = "jats/1"
_GONE = frozenset(
    "alternatives-graphic graphic inline-graphic media supplementary-material object-id journal-meta permissions custom-meta-group".split()
)
_STRUCTURE = frozenset(
    "sec p title fig table-wrap disp-formula disp-formula-group list list-item disp-quote boxed-text fig-group table-wrap-group ref-list ack app fn".split()
)


class JatsReader:
    name = NAME
    suffixes: tuple[str, ...] = (".xml", ".nxml")

    def recognises(self, head: bytes, filename: str) -> bool:
        start = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
        return (
            start.startswith(b"<")
            and bool(re.search(rb"<article[\s>]|jats|//nlm//dtd", start))
            and not start.startswith((b"<!doctype html", b"<html"))
        )

    def read(self, body: bytes, *, filename: str) -> Document:
        declared = re.match(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"']([\w-]{2,30})", body[:200])
        root = _markup.parse_xml(decode(body, declared=declared.group(1).decode("ascii") if declared else None))
        article = next((n for n in root.iter() if name_of(n) == "article"), None)
        if article is None:
            raise Unreadable(
                "The XML is no JATS article.", kind="unknown_format", mend="Give JATS XML, HTML, LaTeX or PDF.", subject=filename
            )
        return _Article(article).run()


def _first(node: Any, *names: str) -> Any:
    """The first descendant along a path of local names; None where one is missing."""
    for name in names:
        node = next((n for n in node.iter() if name_of(n) == name), None) if node is not None else None
    return node


class _Article:
    def __init__(self, article: Any):
        self._article = article
        self._out = Assembly(NAME)
        self._ids = {n.get("id") for n in article.iter() if name_of(n) == "ref" and n.get("id")}
        self._marks = Marks(self._cites, lambda n: name_of(n) in _GONE, lambda n: name_of(n) == "fn")
        self._kind = PassageKind.PROSE
        self._abstract: list[str] = []

    def run(self) -> Document:
        front, body = _first(self._article, "front"), _first(self._article, "body")
        title_node = _first(front, "title-group", "article-title") if front is not None else None
        title = one_line(self._inline(title_node).text) if title_node is not None else None
        authors = self._authors(front) if front is not None else []
        if title:
            self._out.label(title)
        for node in [n for n in front.iter() if name_of(n) == "abstract"] if front is not None else []:
            if node.get("abstract-type") in (None, "", "summary"):
                self._out.heading("Abstract")
                self._kind = PassageKind.ABSTRACT
                self._children(node, 1, 0)
                self._kind = PassageKind.PROSE
                self._out.leave_sections()
        if body is not None:
            self._children(body, 1, 0)
        back = _first(self._article, "back")
        if back is not None:
            self._out.leave_sections()
            self._children(back, 1, 0)
        if body is None:
            self._out.unread("body", "the file holds the front matter only", None)
        return self._out.finish(title=title, authors=authors, abstract=" ".join(self._abstract) or None)

    def _authors(self, front: Any) -> list[str]:
        names = []
        for node in front.iter():
            if name_of(node) == "contrib" and node.get("contrib-type", "author") == "author":
                given, last, whole = (
                    _first(node, "given-names"),
                    _first(node, "surname"),
                    _first(node, "string-name") or _first(node, "collab"),
                )
                if last is not None:
                    names.append(" ".join("".join(n.itertext()) for n in (given, last) if n is not None))
                elif whole is not None:
                    names.append("".join(whole.itertext()))
        return names

    def _cites(self, node: Any) -> tuple[str, ...] | None:
        if name_of(node) == "xref" and node.get("ref-type") == "bibr":
            return tuple(k for k in (node.get("rid") or "").split() if k in self._ids) or None
        return None

    def _inline(self, node: Any) -> Inline:
        writer = InlineWriter(self._marks)
        writer.children(node)
        return writer.done()

    def _children(self, node: Any, level: int, depth: int) -> None:
        for child in node:
            self._block(child, level, depth + 1)

    def _block(self, node: Any, level: int, depth: int) -> None:
        name = name_of(node)
        if not name or name in _GONE or name == "label":
            return
        if depth > MAX_DEPTH:
            self._flush(self._inline(node))
        elif name == "sec":
            self._section(node, level, depth)
        elif name == "title":
            self._out.heading(self._inline(node).text, level)
        elif name == "p":
            self._paragraph(node, level, depth)
        elif name in ("disp-formula", "disp-formula-group"):
            self._out.equation(self._inline(node).text)
        elif name in ("fig", "table-wrap"):
            self._float(node, level, depth)
        elif name == "ref-list":
            self._references(node)
        elif name in (
            "ack",
            "app",
            "app-group",
            "fn-group",
            "glossary",
            "notes",
            "boxed-text",
            "list",
            "list-item",
            "disp-quote",
            "fig-group",
            "table-wrap-group",
            "fn",
        ):
            self._children(node, level, depth)
        elif len(node) or (node.text or "").strip():
            self._flush(self._inline(node))

    def _section(self, node: Any, level: int, depth: int) -> None:
        label = next((one_line("".join(c.itertext())) for c in node if name_of(c) == "label"), "")
        title = next((self._inline(c).text for c in node if name_of(c) == "title"), "")
        self._out.heading(f"{label} {title}".strip(), level)
        for child in node:
            if name_of(child) not in ("title", "label"):
                self._block(child, level + 1, depth + 1)

    def _paragraph(self, node: Any, level: int, depth: int) -> None:
        """A paragraph; floats and display formulas inside it come after the words before them."""
        writer = InlineWriter(self._marks)
        writer.write(node.text)
        for child in node:
            if name_of(child) in _STRUCTURE and name_of(child) not in ("title", "fn"):
                self._flush(writer.done())
                self._block(child, level, depth + 1)
                writer = InlineWriter(self._marks)
            else:
                writer.element(child)
            writer.write(child.tail)
        self._flush(writer.done())

    def _flush(self, said: Inline) -> None:
        text = one_line(said.text)
        if text and re.search(r"\w", text):
            if self._kind is PassageKind.ABSTRACT:
                self._abstract.append(text)
            self._out.paragraph(said.text, kind=self._kind, cites=said.cites)
        for note in said.notes:
            inner = self._inline(note)
            self._out.paragraph(inner.text, cites=inner.cites)

    def _float(self, node: Any, level: int, depth: int) -> None:
        label = next((one_line("".join(c.itertext())).rstrip(".:") for c in node if name_of(c) == "label"), "")
        said = [self._inline(c) for c in node if name_of(c) == "caption"]
        text = " ".join(s.text for s in said)
        caption = f"{label}: {text}" if label and text else label or text
        shift = len(label) + 2 if label and text else 0
        self._out.caption(caption, [(o + shift, k) for o, k in said[0].cites] if said else [])
        for table in [n for n in node.iter() if name_of(n) == "table"]:
            header, rows = _markup.table_grid(table, lambda cell: self._inline(cell).text)
            self._out.table(one_line(caption), header, rows)
        for foot in [n for n in node.iter() if name_of(n) == "table-wrap-foot"]:
            self._out.paragraph(self._inline(foot).text)

    def _references(self, node: Any) -> None:
        title = next((self._inline(c).text for c in node if name_of(c) == "title"), "References")
        self._out.leave_sections()
        self._out.heading(title)
        for ref in [n for n in node.iter() if name_of(n) == "ref"]:
            self._out.reference(_reference(ref, self._printed(ref)))

    def _printed(self, ref: Any) -> str:
        """A mixed citation as it stands; an element citation, which has no punctuation, with its parts set apart."""
        tagged = next((n for n in ref.iter() if name_of(n) == "element-citation"), None)
        if tagged is None:
            for name in [n for n in ref.iter() if name_of(n) in ("surname", "given-names")]:
                name.tail = name.tail or " "
            return re.sub(r"\s+([,.;])", r"\1", self._inline(ref).text)
        people = [" ".join(" ".join(p.itertext()).split()) for p in tagged.iter() if name_of(p) in ("name", "string-name", "collab")]
        others = [one_line(self._inline(c).text) for c in tagged if name_of(c) not in ("person-group", "name", "string-name", "collab")]
        return ". ".join([", ".join(people), *others] if people else others)


def _reference(ref: Any, printed: str) -> Reference:
    """Fields from the tags; the printed text fills what they leave out."""
    label = next((one_line("".join(c.itertext())) for c in ref if name_of(c) == "label"), "")
    text = one_line(printed)
    text = text[len(label) :].strip() if label and text.startswith(label) else text
    parsed = _references.parse(ref.get("id") or label, text)
    title, year = _first(ref, "article-title"), _first(ref, "year")
    names = []
    for person in [n for n in ref.iter() if name_of(n) in ("name", "string-name")]:
        given, last = _first(person, "given-names"), _first(person, "surname")
        if last is not None:
            names.append(" ".join(one_line("".join(n.itertext())) for n in (given, last) if n is not None))
    doi = next(
        (one_line("".join(n.itertext())).lower() for n in ref.iter() if name_of(n) == "pub-id" and n.get("pub-id-type") == "doi"), None
    )
    digits = re.search(r"\d{4}", "".join(year.itertext())) if year is not None else None
    return Reference(
        parsed.key,
        parsed.text,
        one_line("".join(title.itertext())) if title is not None else parsed.title,
        tuple(names) or parsed.authors,
        int(digits.group()) if digits else parsed.year,
        doi or parsed.doi,
        parsed.arxiv_id,
    )

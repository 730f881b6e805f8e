"""Markdown: front matter, headings as sections, pipe tables as row passages. Imports markdown-it lazily.

Refuses to run or fetch anything: of raw HTML only the visible text stays, images are their alternative text.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from sovereign.readers._assemble import Assembly
from sovereign.readers._suspicious import instruction_like
from sovereign.readers._text import decode, one_line
from sovereign.records import Basis, Document, PassageKind

if TYPE_CHECKING:
    from markdown_it.token import Token

NAME = "markdown/1"
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_CAPTION = re.compile(r"^(?:table|figure|fig\.)\s*[A-Z]?\d+", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|\shidden[\s>=]|font-size\s*:\s*[01](?:\.\d+)?(?:px|pt)", re.IGNORECASE)
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """(fields, rest). Understands `key: value`, `key: [a, b]` and `- item` lists; values are text or lists of text. No YAML tags, no anchors."""
    match = _FRONT.match(text)
    if not match:
        return {}, text
    fields: dict[str, Any] = {}
    key = ""
    for line in match.group(1).split("\n"):
        item = re.match(r"\s*-\s+(.*)$", line)
        pair = re.match(r"([A-Za-z][\w .-]{0,40}):\s*(.*)$", line)
        if item and key and isinstance(fields.get(key), list):
            fields[key].append(_unquoted(item.group(1)))
        elif pair:
            key, value = pair.group(1).strip().lower(), pair.group(2).strip()
            if value.startswith("[") and value.endswith("]"):
                fields[key] = [_unquoted(v) for v in value[1:-1].split(",") if v.strip()]
            else:
                fields[key] = _unquoted(value) if value else []
        elif line.startswith((" ", "\t")) and isinstance(fields.get(key), str):
            fields[key] = f"{fields[key]} {line.strip()}"
    return fields, text[match.end() :]


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


class MarkdownReader:
    name = NAME
    suffixes: tuple[str, ...] = (".md", ".markdown", ".mdown")

    def recognises(self, head: bytes, filename: str) -> bool:
        if b"\x00" in head or head.startswith((b"%PDF", b"PK\x03\x04", b"\x1f\x8b")):
            return False
        if filename.lower().endswith(self.suffixes):
            return not head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml"))
        return bool(re.search(rb"(?m)^#{1,4} \S.*$", head) and not re.search(rb"\\(?:documentclass|begin\{)", head))

    def read(self, body: bytes, *, filename: str) -> Document:
        return read_markdown(decode(body))


def read_markdown(text: str) -> Document:
    """Markdown as a Document; `kind: note` in the front matter makes its basis NOTE. Raises Unreadable(kind="empty")."""
    from markdown_it import MarkdownIt

    fields, rest = front_matter(text)
    out = Assembly(NAME)
    tokens = MarkdownIt("commonmark").enable("table").parse(rest)
    walk = _Walk(out, fields)
    walk.blocks(tokens)
    authors = fields.get("authors", fields.get("author", ()))
    names = tuple(re.split(r",\s*|\s+and\s+", authors)) if isinstance(authors, str) else tuple(authors)
    basis = Basis.NOTE if str(fields.get("kind", "")).lower() == "note" else Basis.FULL_TEXT
    given = fields.get("title")
    abstract = " ".join(walk.abstract) or (fields["abstract"] if isinstance(fields.get("abstract"), str) else None)
    return out.finish(title=given if isinstance(given, str) else walk.title, authors=names, abstract=abstract, basis=basis)


class _Walk:
    def __init__(self, out: Assembly, fields: dict[str, Any]):
        self.out = out
        self.title: str | None = None
        self.abstract: list[str] = []
        self._caption = ""
        self._in_abstract = False
        if isinstance(fields.get("abstract"), str) and fields["abstract"]:
            out.heading("Abstract")
            out.paragraph(fields["abstract"], kind=PassageKind.ABSTRACT)
            out.leave_sections()

    def blocks(self, tokens: list[Token]) -> None:
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if token.type == "heading_open":
                self._heading(_inline(tokens[index + 1], self.out), int(token.tag[1]))
                index += 2
            elif token.type == "inline":
                self._paragraph(_inline(token, self.out))
            elif token.type in ("fence", "code_block"):
                self.out.verbatim(token.content)
            elif token.type == "html_block":
                self.out.paragraph(_html_text(token.content, self.out))
            elif token.type == "table_open":
                end = next(i for i in range(index, len(tokens)) if tokens[i].type == "table_close")
                self._table(tokens[index:end])
                index = end
            index += 1

    def _heading(self, text: str, level: int) -> None:
        if level == 1 and self.title is None:
            self.title = text
            self.out.label(text)
            self.out.leave_sections()
        else:
            self.out.heading(text, level)
        self._caption = text
        self._in_abstract = text.lower().strip(" .:") in ("abstract", "summary")

    def _paragraph(self, text: str) -> None:
        self._caption = text
        if self._in_abstract:
            self.abstract.append(one_line(text))
            self.out.paragraph(text, kind=PassageKind.ABSTRACT)
        elif _CAPTION.match(text):
            self.out.caption(text)
        else:
            self.out.paragraph(text)

    def _table(self, tokens: list[Token]) -> None:
        rows: list[list[str]] = []
        header: list[str] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline" and rows:
                rows[-1].append(_inline(token, self.out))
            elif token.type == "thead_close":
                header = rows.pop() if rows else []
        self.out.table(self._caption, header, rows)


def _inline(token: Token, out: Assembly) -> str:
    """The text a person sees of an inline token. Link targets and emphasis marks go; code stays."""
    pieces = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            pieces.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            pieces.append(" ")
        elif child.type == "image":
            pieces.append(child.content)
        elif child.type == "html_inline":
            if child.content.lower().startswith("<br"):
                pieces.append(" ")
            pieces.append(_html_text(child.content, out))
    return "".join(pieces)


def _html_text(markup: str, out: Assembly) -> str:
    """The text of raw HTML that a person sees; comments and hidden elements that carry instructions are reported."""
    for comment in _COMMENT.findall(markup):
        if instruction_like(comment):
            out.hidden(comment, "HTML comment in Markdown")
    text = re.sub(r"(?is)<(script|style)\b.*?(?:</\1>|\Z)", " ", _COMMENT.sub(" ", markup))
    text = re.sub(r"<[^>]{0,2000}>", " ", text)
    if _HIDDEN.search(markup):
        out.hidden(text, "hidden raw HTML in Markdown")
        return ""
    return html.unescape(text)

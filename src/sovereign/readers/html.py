"""HTML: arXiv's LaTeXML pages with their formulas, and pages in general. Imports this package and records; lxml when it first reads.

Scripts, styles, menus and forms are dropped; text that a person would not see is reported and kept out. Nothing is fetched.
"""

from __future__ import annotations

import re
from typing import Any

from sovereign.readers import _markup, _references
from sovereign.readers._assemble import Assembly
from sovereign.readers._markup import MAX_DEPTH, Inline, InlineWriter, Marks
from sovereign.readers._mathml import name_of
from sovereign.readers._mathml import text as math_text
from sovereign.readers._suspicious import instruction_like
from sovereign.readers._text import decode, one_line
from sovereign.records import Document, PassageKind

NAME = "html/1"
_GONE = frozenset(
    "script style noscript template head nav footer aside form button input select textarea svg canvas iframe object embed audio video map".split()
)
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_CONTAINERS = frozenset(
    "html body div section article main header span figure center details summary dl dd dt ul ol li blockquote table tbody thead tfoot tr td th a b i em "
    "strong font address hgroup fieldset".split()
)
_GONE_CLASSES = re.compile(
    r"\b(?:ltx_page_navbar|ltx_page_footer|ltx_pagination|ltx_TOC|ltx_ERROR|ltx_role_footnotemark|ltx_note_mark|katex-html|MathJax(?:_\w+)?|navbar|sidebar|breadcrumb"
    r"|cookie|ltx_rdf|ltx_dates|ltx_page_logo|toc)\b"
)
_HIDDEN_WORDS = 4  # shorter hidden stretches are skip links and menu labels


class HtmlReader:
    name = NAME
    suffixes: tuple[str, ...] = (".html", ".htm", ".xhtml")

    def recognises(self, head: bytes, filename: str) -> bool:
        start = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:2048].lower()
        start = re.sub(rb"\A(?:<\?xml[^>]*\?>|<!--.*?-->|\s)+", b"", start)
        if start.startswith((b"<!doctype html", b"<html")):
            return True
        return bool(re.match(rb"<(?:head|body|div|p|h[1-6]|section|article class|table|meta|title|span|main)[\s>]", start))

    def read(self, body: bytes, *, filename: str) -> Document:
        declared = re.search(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w-]{2,30})", body[:4096], re.IGNORECASE)
        text = decode(body, declared=declared.group(1).decode("ascii") if declared else None)
        return _Page(_markup.parse_html(text), text).run()


class _Page:
    def __init__(self, root: Any, source: str):
        self._root = root
        self._out = Assembly(NAME)
        self._rules = _markup.hiding_rules(["".join(s.itertext()) for s in root.iter("style")])
        self._marks = Marks(self._cites, self._skip, lambda node: "ltx_note" in _classes(node) and "ltx_role_footnote" in _classes(node))
        self._is_latexml = "ltx_document" in source or "ltx_page_main" in source
        self._targets = self._reference_ids()
        self._title: str | None = None
        self._authors: list[str] = []
        self._abstract: list[str] = []
        self._kind = PassageKind.PROSE
        self._in_references = False

    def run(self) -> Document:
        for comment in self._root.iter():
            if not isinstance(comment.tag, str) and comment.text and instruction_like(comment.text):
                self._out.hidden(comment.text, "HTML comment")
        self._head()
        self._block(self._main(), 0)
        return self._out.finish(title=self._title, authors=self._authors, abstract=" ".join(self._abstract) or None)

    # --- what is on the page ---

    def _head(self) -> None:
        """Title and authors from the page's metadata, where it has any: Highwire tags first, then LaTeXML, then <title>."""
        meta: dict[str, list[str]] = {}
        for node in self._root.iter("meta"):
            meta.setdefault((node.get("name") or node.get("property") or "").lower(), []).append(node.get("content") or "")
        self._title = next((v[0] for k in ("citation_title", "dc.title", "og:title") if (v := meta.get(k)) and v[0].strip()), None)
        self._authors = [a for a in meta.get("citation_author", []) if a.strip()]
        for node in self._root.iter():
            classes = _classes(node)
            if "ltx_title_document" in classes:
                self._title = one_line(self._inline(node).text)
            elif "ltx_personname" in classes and not meta.get("citation_author"):
                pieces = re.split(r"\n|,|\band\b|&", re.sub(r"[\d*†‡§¶∗]+", " ", self._inline(node).text))
                self._authors += [p for p in (one_line(p).strip(" ^_{}") for p in pieces) if 2 <= len(p.split()) <= 5 and "@" not in p]
        if self._title is None:
            page_title = next((one_line("".join(n.itertext())) for n in self._root.iter("title")), "")
            self._title = re.sub(r"^\[[\d.v]+\]\s*", "", page_title) or None

    def _main(self) -> Any:
        """The element that holds the paper: LaTeXML's article, else a main or article with most of the text, else the body."""
        body = next(self._root.iter("body"), self._root)
        whole = len("".join(body.itertext()))
        for node in self._root.iter("article", "main"):
            if len("".join(node.itertext())) > 0.5 * whole:
                return node
        return body

    def _reference_ids(self) -> set[str]:
        """Ids of the elements that are entries of a bibliography."""
        found = set()
        for node in self._root.iter():
            identity = node.get("id") if isinstance(node.tag, str) else None
            if identity and (
                "ltx_bibitem" in _classes(node)
                or (name_of(node) == "li" and re.match(r"(?:b(?:ib)?|ref|cit|cr|R)[-_.\w]*\d", identity, re.IGNORECASE))
            ):
                found.add(identity)
        return found

    def _cites(self, node: Any) -> tuple[str, ...] | None:
        name = name_of(node)
        if name == "cite":
            keys = [h[1:] for a in node.iter("a") if (h := a.get("href") or "").startswith("#") and h[1:] in self._targets]
            return tuple(dict.fromkeys(keys)) or None
        if name == "a":
            target = node.get("href") or ""
            inside = any(name_of(p) == "cite" for p in node.iterancestors())
            return (target[1:],) if target.startswith("#") and target[1:] in self._targets and not inside else None
        return None

    def _skip(self, node: Any) -> bool:
        name = name_of(node)
        if name in _GONE or (name == "header" and not self._is_latexml and node.find(".//h1") is None):
            return True
        classes = node.get("class") or ""
        if _GONE_CLASSES.search(classes) and not ("toc" in classes and name in ("body", "html", "article", "main")):
            return True
        how = self._hidden(node)
        if how:
            text = one_line(self._text_of(node))
            if len(text.split()) >= _HIDDEN_WORDS:
                self._out.hidden(text, how)
            return True
        return False

    def _text_of(self, node: Any) -> str:
        return " ".join(t for t in node.itertext() if t.strip())[:4000]

    def _hidden(self, node: Any) -> str | None:
        if "hidden" in node.attrib and name_of(node) != "math":
            return "hidden attribute"
        if name_of(node) == "font" and re.fullmatch(r"white|#fff(?:fff)?", (node.get("color") or "").strip(), re.IGNORECASE):
            return "white on white"
        style = node.get("style")
        how = _markup.hidden_by(style) if style else None
        if how is None and self._rules:
            names = [f".{c}" for c in (node.get("class") or "").split()] + ([f"#{node.get('id')}"] if node.get("id") else [])
            how = next((self._rules[n] for n in names if n in self._rules), None)
        return how

    def _inline(self, node: Any) -> Inline:
        writer = InlineWriter(self._marks)
        writer.children(node)
        return writer.done()

    # --- blocks ---

    def _block(self, node: Any, depth: int) -> None:
        name = name_of(node)
        if not name or self._skip(node):
            return
        classes = _classes(node)
        if depth > MAX_DEPTH:
            self._paragraph_of(node)
        elif name in _HEADINGS:
            self._heading(node, _HEADINGS[name], classes)
        elif "ltx_bibitem" in classes or (name == "li" and node.get("id") in self._targets):
            self._reference(node)
        elif "ltx_authors" in classes or "ltx_date" in classes:
            return
        elif "ltx_abstract" in classes or (
            name in ("div", "section", "blockquote") and (node.get("id") == "abstract" or "abstract" in classes)
        ):
            self._abstract_block(node, depth)
        elif "ltx_equation" in classes or "ltx_equationgroup" in classes or "ltx_eqn_table" in classes:
            self._equation(node)
        elif name == "math" and node.get("display") == "block":
            self._out.equation(math_text(node))
        elif name in ("figcaption", "caption") or "ltx_caption" in classes:
            self._caption(node)
        elif name == "figure" and node.find(".//table") is not None:
            self._figure_with_table(node, depth)
        elif name == "table" or "ltx_tabular" in classes:
            self._table(node, depth, "")
        elif name == "pre" or "ltx_listing" in classes:
            self._out.verbatim("".join(node.itertext()))
        elif name == "p" or (name in _CONTAINERS and not _has_blocks(node)) or name not in _CONTAINERS:
            self._paragraph_of(node)
        else:
            self._children(node, depth)

    def _children(self, node: Any, depth: int) -> None:
        """Block children one by one; the loose text between them becomes paragraphs of its own."""
        loose = InlineWriter(self._marks)
        loose.write(node.text)
        for child in node:
            if name_of(child) and (_is_block(child) or _has_blocks(child)):
                self._flush(loose.done())
                loose = InlineWriter(self._marks)
                self._block(child, depth + 1)
            else:
                loose.element(child, depth + 1)
            loose.write(child.tail)
        self._flush(loose.done())

    def _flush(self, said: Inline) -> None:
        text = one_line(said.text)
        if text and re.search(r"\w", text):
            if self._kind is PassageKind.ABSTRACT:
                self._abstract.append(text)
            self._out.paragraph(said.text, kind=self._kind, cites=said.cites)
        for note in said.notes:
            for content in [n for n in note.iter() if "ltx_note_content" in _classes(n)][:1]:
                inner = self._inline(content)
                self._out.paragraph(re.sub(r"^\s*\d+\s*", "", inner.text), cites=inner.cites)

    def _paragraph_of(self, node: Any) -> None:
        self._flush(self._inline(node))

    def _heading(self, node: Any, level: int, classes: set[str]) -> None:
        text = one_line(self._inline(node).text)
        if "ltx_title_document" in classes or (level == 1 and self._title and text and text.lower() in self._title.lower()):
            self._out.label(text)
            self._out.leave_sections()
            return
        if "ltx_title_abstract" in classes:
            return
        if level == 1 and self._title is None:
            self._title = text
            self._out.label(text)
            return
        self._kind = PassageKind.ABSTRACT if text.lower().strip(" .:") == "abstract" else PassageKind.PROSE
        self._out.heading(text, level)

    def _abstract_block(self, node: Any, depth: int) -> None:
        self._out.heading("Abstract", 1)
        self._kind = PassageKind.ABSTRACT
        for child in [node] if not _has_blocks(node) else list(node):
            if name_of(child) and name_of(child) not in _HEADINGS:
                self._paragraph_of(child) if not _has_blocks(child) else self._children(child, depth + 1)
        self._kind = PassageKind.PROSE
        self._out.leave_sections()

    def _equation(self, node: Any) -> None:
        parts = [math_text(m) for m in node.iter() if name_of(m) == "math"]
        number = next((one_line("".join(n.itertext())) for n in node.iter() if "ltx_tag_equation" in _classes(n)), "")
        self._out.equation(" ".join([*parts, number] if parts else [one_line(self._inline(node).text)]))

    def _caption(self, node: Any) -> str:
        said = self._inline(node)
        self._out.caption(said.text, said.cites)
        return one_line(said.text)

    def _figure_with_table(self, node: Any, depth: int) -> None:
        caption = ""
        for part in node.iter():
            if (name_of(part) == "figcaption" or "ltx_caption" in _classes(part)) and not self._skip(part):
                text = self._caption(part)
                caption = caption or text
        for part in node.iter():
            outer = next((p for p in part.iterancestors() if name_of(p) == "table"), None)
            if (name_of(part) == "table") and outer is None:
                self._table(part, depth + 1, caption)

    def _table(self, node: Any, depth: int, caption: str) -> None:
        nested = [n for n in node.iter() if n is not node and name_of(n) == "table"]
        long_cells = [c for c in node.iter() if name_of(c) == "td" and len("".join(c.itertext())) > 1500]
        if nested or long_cells or node.get("role") == "presentation":
            self._children(node, depth)  # a layout table
            return
        for inner in node.iter():
            if name_of(inner) == "caption":
                caption = caption or self._caption(inner)
        before = self._out.last_line[:400]
        header, rows = _markup.table_grid(node, lambda cell: self._inline(cell).text)
        if len(header) == 1 and not caption:
            for row in [header, *rows]:
                self._out.paragraph(" ".join(row))
            return
        self._out.table(caption or before, header, rows)

    def _reference(self, node: Any) -> None:
        blocks = [n for n in node.iter() if "ltx_bibblock" in _classes(n)]
        text = one_line(" ".join(self._inline(b).text for b in blocks) if blocks else self._inline(node).text)
        if text:
            self._out.reference(_references.parse(node.get("id") or "", text))


def _classes(node: Any) -> set[str]:
    return set((node.get("class") or "").split()) if isinstance(node.tag, str) else set()


_BLOCK_NAMES = frozenset(
    "p div section article h1 h2 h3 h4 h5 h6 table ul ol li dl dd dt figure figcaption blockquote pre center main header details".split()
)


def _is_block(node: Any) -> bool:
    return name_of(node) in _BLOCK_NAMES or bool(_classes(node) & {"ltx_tabular", "ltx_equation", "ltx_listing", "ltx_para", "ltx_bibitem"})


def _has_blocks(node: Any) -> bool:
    return any(
        isinstance(n.tag, str) and n is not node and (n.tag in _BLOCK_NAMES or "ltx_para" in (n.get("class") or "")) for n in node.iter()
    )

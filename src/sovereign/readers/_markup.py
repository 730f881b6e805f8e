"""What HTML and JATS share: parsing without entities or network, inline text with citation marks, tables, and what a style hides.

Imports lxml when it first parses. Refuses entity declarations outright.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sovereign.errors import Unreadable
from sovereign.readers import _mathml, _tex
from sovereign.readers._mathml import name_of

MAX_DEPTH = 120  # real pages nest 20-40 deep; each level costs three Python frames
MAX_SPAN = 100


def parse_xml(text: str) -> Any:
    """The root element. Raises Unreadable: "hostile" for entity declarations, "corrupt" for what is no XML even with repairs."""
    from lxml import etree

    if re.search(r"<!ENTITY", text, re.IGNORECASE):
        raise Unreadable(
            "The XML declares entities, which are never expanded here.", kind="hostile", mend="Remove the DOCTYPE if you trust the file."
        )
    body = re.sub(r"\A\s*<\?xml[^>]*\?>", "", text).encode("utf-8")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True, remove_pis=True, remove_comments=True,
                             encoding="utf-8")  # fmt: skip
    return _root(etree, body, parser)


def parse_html(text: str) -> Any:
    """The root element of tag soup. Raises Unreadable(kind="corrupt")."""
    from lxml import etree

    parser = etree.HTMLParser(no_network=True, huge_tree=False, recover=True, remove_pis=True, encoding="utf-8")
    return _root(etree, text.encode("utf-8"), parser)


def _root(etree: Any, body: bytes, parser: Any) -> Any:
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, etree.ParserError, ValueError) as exc:
        raise Unreadable("The markup could not be parsed.", kind="corrupt", mend="Check that the file is complete.") from exc
    if root is None:
        raise Unreadable("The markup holds no element.", kind="corrupt", mend="Check that the file is complete.")
    return root


# --- what a style hides ---

_WHITE = re.compile(
    r"(?:^|[;\s])color\s*:\s*(?:white|transparent|#fff(?:fff)?(?:ff)?|#fefefe|rgba?\(\s*25[45]\s*,\s*25[45]\s*,\s*25[45]"
    r"|rgba\([^)]*,\s*0(?:\.0\d*)?\s*\))",
    re.IGNORECASE,
)
_UNSEEN = (
    (re.compile(r"display\s*:\s*none", re.IGNORECASE), "display: none"),
    (re.compile(r"visibility\s*:\s*(?:hidden|collapse)", re.IGNORECASE), "visibility: hidden"),
    (re.compile(r"(?:^|[;\s])opacity\s*:\s*0(?:\.0\d*)?\s*(?:;|!|$)", re.IGNORECASE), "opacity 0"),
    (re.compile(r"font-size\s*:\s*(?:0*(?:\.\d+)?|[0-2](?:\.\d+)?(?:px|pt)|0(?:\.\d+)?(?:em|rem|%)?|[0-9]%)\s*(?:;|!|$)", re.IGNORECASE), "tiny font"),
    (re.compile(r"(?:left|top|right|bottom|text-indent|margin-left|margin-top)\s*:\s*-\s*\d{3,}", re.IGNORECASE), "off page"),
    (re.compile(r"clip\s*:\s*rect\(\s*0|clip-path\s*:\s*inset\(\s*(?:50|100)%", re.IGNORECASE), "clipped away"),
    (
        re.compile(
            r"(?:max-)?(?:height|width)\s*:\s*[01](?:px)?\s*;.*overflow\s*:\s*hidden"
            r"|overflow\s*:\s*hidden.*(?:height|width)\s*:\s*[01](?:px)?\s*(?:;|$)",
            re.IGNORECASE,
        ),
        "clipped",
    ),
)  # fmt: skip


def hidden_by(style: str) -> str | None:
    """How a CSS declaration block hides its text; None when it does not."""
    for pattern, how in _UNSEEN:
        if pattern.search(style):
            return how
    if _WHITE.search(style) and not re.search(r"background(?:-color)?\s*:\s*(?!white|#fff|none|transparent)", style, re.IGNORECASE):
        return "white on white"
    return None


def hiding_rules(stylesheets: list[str]) -> dict[str, str]:
    """ ".class" or "#id" -> how it hides, from the page's own style elements. Rules for print, hover and the like are not looked at."""
    rules: dict[str, str] = {}
    for sheet in stylesheets:
        for match in re.finditer(r"([^{}@]{1,300})\{([^{}]{1,2000})\}", re.sub(r"/\*.*?\*/", "", sheet[:500_000], flags=re.DOTALL)):
            how = hidden_by(match.group(2))
            if how:
                for selector in match.group(1).split(","):
                    simple = re.fullmatch(r"\s*(?:[a-z]+)?([.#][\w-]+)\s*", selector)
                    if simple:
                        rules[simple.group(1)] = how
    return rules


# --- inline text ---


@dataclass
class Inline:
    text: str = ""
    cites: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)  # footnote elements, to be read after the paragraph


@dataclass(frozen=True)
class Marks:
    """What a format calls things. cites(element) gives reference keys or None; skip(element) says that nothing in it prints here."""

    cites: Callable[[Any], tuple[str, ...] | None]
    skip: Callable[[Any], bool]
    is_note: Callable[[Any], bool]


class InlineWriter:
    """Collects the text of elements; block elements inside become blanks."""

    def __init__(self, marks: Marks):
        self._marks = marks
        self._parts: list[str] = []
        self._length = 0
        self.result = Inline()

    def done(self) -> Inline:
        self.result.text = "".join(self._parts)
        return self.result

    def write(self, text: str | None) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)

    def element(self, node: Any, depth: int = 0) -> None:
        """The node's text without its tail."""
        name = name_of(node)
        if not name:
            if "Entity" in type(node).__name__:
                self.write(getattr(node, "text", "") or "")
            return
        if depth > MAX_DEPTH:
            self.write(" ".join(node.itertext()))
            return
        if self._marks.skip(node):
            return
        if self._marks.is_note(node):
            self.result.notes.append(node)
            return
        if name == "math":
            self.write(_mathml.text(node))
            return
        if name == "tex-math":
            self.write(_tex.math(re.sub(r"(?s).*\\begin\{document\}|\\end\{document\}.*|\$", "", "".join(node.itertext()))))
            return
        if name in ("br", "hr"):
            self.write("\n")
            return
        if name == "img":
            self.write(node.get("alt") if "math" in (node.get("class") or "").lower() else None)
            return
        keys = self._marks.cites(node)
        if keys:
            self.result.cites.append((self._length, keys))
        if name in ("sup", "sub"):
            self._script(node, name, depth)
            return
        if name in _BLOCKS:
            self.write(" ")
        self.children(node, depth)
        if name in _BLOCKS:
            self.write(" ")

    def children(self, node: Any, depth: int = 0) -> None:
        self.write(node.text)
        for child in node:
            self.element(child, depth + 1)
            self.write(child.tail)

    def _script(self, node: Any, name: str, depth: int) -> None:
        """10<sup>-3</sup> is 10^-3 and x<sub>i</sub> is x_i; a raised digit behind a word is a footnote mark and goes."""
        inner = InlineWriter(self._marks)
        inner.children(node, depth + 1)
        done = inner.done()
        text = " ".join(done.text.split())
        before = "".join(self._parts[-3:])[-12:]
        single = re.search(r"(?:^|[^A-Za-z])[A-Za-z]$", before)
        self.result.notes += done.notes
        self.result.cites += [(self._length + offset, keys) for offset, keys in done.cites]
        if done.cites:
            self.write(text if text.startswith(("[", "(")) else f"[{text}]")
        elif name == "sub":
            self.write(f"_{text}" if single and text else text)
        elif re.fullmatch(r"[-−–+]?\d+(?:\.\d+)?", text) and (re.search(r"(?:^|[^\w])\d[\d.,]*$|[)\]]$", before) or single):
            self.write(f"^{text}")
        elif re.fullmatch(r"[\d,;\s*†‡§¶]+", text) and (before[-1:].isalpha() or before[-1:] in '.,;:!?”"'):
            return
        else:
            self.write(f"^{text}" if single and text and not text.isalpha() else text)


_BLOCKS = frozenset(
    "p div li ul ol td th tr table section blockquote pre figure figcaption h1 h2 h3 h4 h5 h6 dd dt title sec caption def-item".split()
)


# --- tables ---


def table_grid(table: Any, cell_text: Callable[[Any], str]) -> tuple[list[str], list[list[str]]]:
    """(header, rows) of an HTML table: spans repeated, header lines joined per column with " / "."""
    grid: list[list[str]] = []
    header_rows = 0
    carried: dict[int, tuple[int, str]] = {}  # column -> rows still covered, text
    rows = [node for node in table.iter() if name_of(node) == "tr" and _owner(node) is table]
    for number, row in enumerate(rows):
        cells = [c for c in row if name_of(c) in ("td", "th")]
        line: list[str] = []
        later: dict[int, tuple[int, str]] = {}
        for cell in cells:
            _carry(line, carried, later)
            text = " ".join(cell_text(cell).split())
            wide, tall = _span(cell, "colspan"), _span(cell, "rowspan")
            for _ in range(wide):
                if tall > 1:
                    later[len(line)] = (tall - 1, text)
                line.append(text)
        _carry(line, carried, later)
        carried = later
        if any(line):
            grid.append(line)
            if header_rows == len(grid) - 1 and _is_header(row, cells, number):
                header_rows += 1
    if not grid:
        return [], []
    header_rows = min(header_rows or 1, len(grid) - 1)
    width = max(map(len, grid))
    grid = [line + [""] * (width - len(line)) for line in grid]
    joined = [" / ".join(dict.fromkeys(line[i] for line in grid[:header_rows] if line[i])) for i in range(width)]
    return (joined if header_rows else []), grid[header_rows:]


def _carry(line: list[str], carried: dict[int, tuple[int, str]], later: dict[int, tuple[int, str]]) -> None:
    """Puts in the cells that a rowspan above still covers at this column."""
    while len(line) in carried:
        left, text = carried.pop(len(line))
        if left > 1:
            later[len(line)] = (left - 1, text)
        line.append(text)


def _owner(row: Any) -> Any:
    node = row.getparent()
    while node is not None and name_of(node) != "table":
        node = node.getparent()
    return node


def _span(cell: Any, name: str) -> int:
    value = cell.get(name) or "1"
    return max(1, min(int(value), MAX_SPAN)) if value.isdigit() and len(value) < 6 else 1


def _is_header(row: Any, cells: list[Any], number: int) -> bool:
    if name_of(row.getparent()) == "thead":
        return True
    kinds = [name_of(c) for c in cells]
    column_heads = [c for c in cells if "ltx_th_column" in (c.get("class") or "")]
    return bool(cells) and (all(k == "th" for k in kinds) or bool(column_heads)) and number < 4

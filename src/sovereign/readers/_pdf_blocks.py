"""Lines of all pages to blocks in reading order: headings, paragraphs, captions, tables, formulas, notes. Imports the line and table types.

Running heads, page numbers and line numbers go first; what is left is joined across lines, columns and pages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from sovereign.readers import _pdf_tables
from sovereign.readers._pdf_lines import Line
from sovereign.readers._pdf_page import Page

CAPTION = re.compile(
    r"^(?:Table|TABLE|Tab\.|Figure|FIGURE|Fig\.|FIG\.|Algorithm|Listing|Scheme|Chart)\s+(?:[SA]\.?)?(?:\d+|[IVXLC]+)(?:\.\d+)?\s*(?:[:.|–—]|$)"
)
NUMBERED = re.compile(r"^(?:(?:Appendix\s+)?(\d{1,2}(?:\.\d{1,2}){0,3}|[A-Z](?:\.\d{1,2}){0,3}|[IVX]{1,5}))\.?\s+(?=[A-Z“\"])(.+)$")
KNOWN = re.compile(
    r"^(?:abstract|introduction|related works?|background|preliminaries|methods?|methodology|approach|experiments?|experimental (?:setup|results)|evaluation"
    r"|results(?: and discussion)?|discussion|limitations?|conclusions?(?: and future work)?|references|bibliography|acknowledge?ments?|appendi(?:x|ces).{0,40}"
    r"|supplementary materials?|broader impact|ethics statement|reproducibility statement|keywords)[.:]?$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^(?:[•▪◦‣·■□●○∗*–-]\s+|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})\)\s+|\d{1,2}\.\s+[A-Z])")
_PAGE_NUMBER = re.compile(r"(?:page\s*)?[-–]?\s*(?:\d{1,4}|[ivxl]{1,6})\s*[-–]?(?:\s*(?:of|/)\s*\d+)?")
_BULLET_SIGN = re.compile(r"^[•▪◦‣■□●○]")
_BOILERPLATE = re.compile(
    r"^(?:\d+(?:st|nd|rd|th) .{0,90}(?:Conference|Workshop|Meeting|Symposium)|Proceedings of the|Preprint\b|Copyright|©|Permission to make|Under review"
    r"|Published as|arXiv:\d|Work in progress|Accepted (?:at|to|by))"
)


@dataclass
class Block:
    """kind: heading, text, caption, table, equation, note. size and bold are its first line's."""

    kind: str
    lines: list[Line] = field(default_factory=list)
    text: str = ""
    level: int = 1
    grid: _pdf_tables.Grid | None = None

    @property
    def page(self) -> int:
        return self.lines[0].page


@dataclass
class Style:
    """What is usual in this document: body size in points, line step in points, the words it writes."""

    size: float
    step: float
    words: Counter[str]


def style_of(pages: list[list[Line]]) -> Style:
    lines = [x for page in pages for x in page]
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size * 2) / 2] += len(line.text)
    size = sizes.most_common(1)[0][0] if sizes else 10.0
    steps = [a.y - b.y for page in pages for a, b in pairwise(page) if abs(a.size - size) < 0.6 and 0.8 * size < a.y - b.y < 2.5 * size]
    words = Counter(w for x in lines for w in re.findall(r"[A-Za-z]{2,}(?:-[A-Za-z]+)*", x.text.lower()))
    return Style(size, median(steps) if steps else 1.2 * size, words)


# --- page furniture ---


def without_furniture(pages: list[list[Line]], boxes: list[Page]) -> tuple[list[list[Line]], int]:
    """(pages without running heads, page numbers and margin line numbers; how many lines went)."""
    seen: Counter[str] = Counter()
    for lines, page in zip(pages, boxes):
        seen.update({_key(x) for x in _edge_lines(lines, page)})
    often = {k for k, n in seen.items() if n >= max(3, 0.2 * len(pages)) or (n >= 2 and len(pages) <= 4 and "#" not in k and len(k) > 12)}
    kept: list[list[Line]] = []
    gone = 0
    for lines, page in zip(pages, boxes):
        edge = {
            id(x)
            for x in _edge_lines(lines, page)
            if _key(x) in often
            or re.fullmatch(r"(?:page\s*)?[-–]?\s*(?:\d{1,4}|[ivxl]{1,6})\s*[-–]?(?:\s*(?:of|/)\s*\d+)?", x.text.lower())
        }
        if sum(len(x.text) for x in lines if id(x) in edge) > 0.3 * sum(len(x.text) for x in lines):
            edge = set()  # a page of one line is not all running head
        numbers = _line_numbers(lines)
        kept.append([x for x in lines if id(x) not in edge and id(x) not in numbers])
        gone += len(lines) - len(kept[-1])
    return kept, gone


def _edge_lines(lines: list[Line], page: Page) -> list[Line]:
    """The first and last two lines of the page, where they lie in its outer tenth."""
    height = page.box.y1 - page.box.y0
    ordered = sorted(lines, key=lambda x: -x.y)
    top = [x for x in ordered[:3] if x.y > page.box.y1 - 0.115 * height]
    bottom = [x for x in ordered[-3:] if x.y < page.box.y0 + 0.115 * height]
    return top + [x for x in bottom if x not in top]


def _key(line: Line) -> str:
    return f"{re.sub(r'[0-9]+', '#', line.text.lower())}@{round(line.y / 6)}"


def _line_numbers(lines: list[Line]) -> set[int]:
    """Bare integers left of the text on most lines: a review copy's line numbers. They stand alone or as the first fragment."""
    alone = [x for x in lines if re.fullmatch(r"\d{1,4}", x.text)]
    left = min((x.x0 for x in lines if len(x.text) > 30), default=0.0)
    margin = [x for x in alone if x.x1 < left]
    for line in lines:
        if (
            len(line.fragments) > 1
            and re.fullmatch(r"\d{1,4}", line.fragments[0].text)
            and line.fragments[0].x1 < left + 2
            and len(margin) > 5
        ):
            line.fragments.pop(0)
    return {id(x) for x in margin} if len(margin) >= 8 else set()


# --- blocks ---


def blocks(pages: list[list[Line]], boxes: list[Page], style: Style) -> list[Block]:
    """Everything but furniture, in reading order, paragraphs already joined where a column or page cuts them."""
    out: list[Block] = []
    for lines, page in zip(pages, boxes):
        out += _page_blocks(lines, page, style)
    return _joined(out, style)


def _page_blocks(lines: list[Line], page: Page, style: Style) -> list[Block]:
    grids = _pdf_tables.find(lines, page)
    listings = {id(x) for g in grids if not g.rows for x in g.lines}
    owner = {id(x): g for g in grids for x in g.lines}
    first = {id(min(g.lines, key=lines.index)): g for g in grids}
    notes = _notes(lines, style, {id(x) for g in grids for x in g.lines})
    out: list[Block] = []
    current: list[Line] = []

    def close() -> None:
        if current:
            out.append(_classified(list(current), style))
            current.clear()

    for line in lines:
        if id(line) in owner:
            close()
            if id(line) in first:
                grid = first[id(line)]
                out.append(
                    Block("listing" if id(line) in listings else "table", list(grid.lines) if id(line) in listings else [line], grid=grid)
                )
        elif id(line) in notes:
            continue
        else:
            if current and _breaks(current, line, style):
                close()
            current.append(line)
    close()
    return out + _note_blocks([x for x in lines if id(x) in notes], style)


def _notes(lines: list[Line], style: Style, taken: set[int]) -> set[int]:
    """Small print at the foot of a column: footnotes and the venue's notice."""
    found: set[int] = set()
    for column in sorted({x.column for x in lines}):
        side = sorted((x for x in lines if x.column == column), key=lambda x: x.y)
        small: list[Line] = []
        for line in side:
            if CAPTION.match(line.text) and small and line.y - small[-1].y < 1.5 * line.size:
                small = []  # what stood at the foot was the rest of this caption
            if id(line) in taken or line.size > 0.93 * style.size or CAPTION.match(line.text):
                break
            small.append(line)
        if 0 < len(small) < 0.35 * len(side) + 2 and len(small) < len(side):
            found.update(id(x) for x in small)
    return found


def _note_blocks(lines: list[Line], style: Style) -> list[Block]:
    out: list[Block] = []
    for line in lines:
        last = out[-1].lines[-1] if out else None
        near = last is not None and line.column == last.column and line.x0 - line.left < 4 and last.y - line.y < 1.4 * line.size
        if last is not None and near and not re.match(r"^[∗*†‡]", line.text) and last.x1 > line.right - 0.15 * (line.right - line.left):
            out[-1].lines.append(line)
        else:
            out.append(Block("note", [line]))
    for block in out:
        block.text = join(block.lines, style)
    return [b for b in out if not _BOILERPLATE.match(b.text)]


def _breaks(current: list[Line], line: Line, style: Style) -> bool:
    """Whether `line` begins a new block behind `current`."""
    last = current[-1]
    if line.column != last.column or last.y < line.y:
        return True
    step = last.y - line.y
    size = max(last.size, line.size)
    block_right = max(x.x1 for x in current)
    runs_on = (
        last.x1 > block_right - 6
        and not re.search(r"[.!?:]['”\")\]]?$", last.text)
        and not is_heading([last], style)
        and step < 1.45 * size
    )
    if runs_on and len(current) > 1 and not line.bold and abs(line.size - last.size) < 0.16 * size and abs(line.x0 - current[-1].x0) < 2:
        return False
    if abs(line.size - last.size) > 0.08 * size and not (line.math > 0.5 or last.math > 0.5):
        return True
    caption = bool(CAPTION.match(current[0].text))
    usual = min(style.step, 1.35 * size) if abs(size - style.size) < 0.6 else 1.2 * size
    if step > 1.32 * usual + (0.15 * size if caption else 0):
        return True
    if CAPTION.match(line.text):
        return not (runs_on and step < 1.25 * usual and line.size > 0.95 * style.size)  # "... are shown in / Figure 2. The ..."
    if is_heading([line], style) or is_heading([last], style) != is_heading([line], style):
        return True
    if line.bold != last.bold and (line.bold or len(current) == 1) and not caption and not (runs_on and not line.bold):
        return True
    if caption:
        return False
    width = line.right - line.left
    hanging = len(current) > 1 and last.x0 - current[0].x0 > 0.5 * size
    if _BULLET_SIGN.match(line.text):
        return True
    if _BULLET.match(line.text):
        return (
            bool(re.search(r"[.!?:;]['”\")\]]?$", last.text))
            or last.x1 < block_right - 0.06 * width
            or (len(current) == 1 and last.x1 < line.right - 0.1 * width)
        )
    if (
        not hanging
        and line.x0 - last.x0 > 0.7 * size
        and line.x0 - line.left > 0.7 * size
        and abs(last.x0 - line.left) < 0.5 * size
        and not _is_formula(line, style)
    ):
        return last.x1 < line.right - 0.02 * width or _ended(last, width) or re.match(r"[A-Z(“]", line.text) is not None
    if last.x1 < line.right - 0.18 * width and re.search(r"[.!?:]['”\")\]]?$", last.text) and line.x0 - line.left < 2.2 * size:
        return True
    return _is_formula(line, style) != _is_formula(last, style)


def _ended(line: Line, width: float) -> bool:
    return bool(re.search(r"[.!?:;]['”\")\]]?$", line.text)) or line.x1 < line.right - 0.1 * width


def _is_formula(line: Line, style: Style) -> bool:
    """A displayed formula: set off from the margin and mostly mathematics, or carrying an equation number."""
    text = line.text
    inset = line.x0 - line.left > 1.5 * style.size
    numbered = bool(re.search(r"\(\d{1,3}[a-z]?\)$", text)) and line.x1 > line.right - 6
    words = len(re.findall(r"[A-Za-z]{4,}", text))
    signs = bool(re.search(r"[=<>≤≥∑∏∫≈∈→∼]|\\", text))
    return inset and ((line.math > 0.25 and words < 6) or (numbered and signs and words < 8) or (signs and words < 2 and len(text) < 80))


def is_heading(lines: list[Line], style: Style) -> bool:
    text = " ".join(x.text for x in lines)
    if len(text) > 150 or len(text.split()) > 16 or not re.search(r"[A-Za-z]{3}", text):
        return False
    bold, larger = all(x.bold for x in lines), lines[0].size > 1.07 * style.size
    capitals = text.upper() == text and len(re.findall(r"[A-Z]", text)) > 5
    full = lines[-1].x1 > lines[-1].right - 2 and len(lines) == 1 and len(text.split()) > 8
    if (full and text.endswith("-")) or re.match(r"^\d+:", text):
        return False
    if KNOWN.match(text) and (bold or larger or capitals or lines[0].x0 - lines[0].left > 40):
        return True
    match = NUMBERED.match(text)
    if match and (bold or larger or capitals or (all(x.italic for x in lines) and "." in match.group(1))):
        return not re.search(r"[.;,]$", text) and len(match.group(2)) > 2 and not (full and re.match(r"\d+\.\s", text))
    if match and re.fullmatch(r"[IVX]+|[A-Z]", match.group(1)) and re.match(r"[A-Z]{2}", match.group(2)) and text.upper() == text:
        return True
    return (
        (bold or larger)
        and not full
        and not re.search(r"[.;,:]$", text)
        and bool(re.match(r"[A-Z0-9“(]", text))
        and len(text.split()) <= 12
    )


def _classified(lines: list[Line], style: Style) -> Block:
    text = join(lines, style)
    if CAPTION.match(text) and (len(text.split()) > 2 or text.upper() == text):
        return Block("caption", lines, text)
    if is_heading(lines, style):
        return Block("heading", lines, text, _level(text))
    if all(_is_formula(x, style) for x in lines):
        return Block("equation", lines, " ".join(x.text for x in lines))
    return Block("text", lines, text)


def _level(text: str) -> int:
    match = NUMBERED.match(text)
    if match:
        return match.group(1).count(".") + 1
    return 1 if KNOWN.match(text) else 3


def _joined(found: list[Block], style: Style) -> list[Block]:
    """A paragraph that a column, a page, a float or a note interrupts goes on where its next line starts in small letters or the last one did not end."""
    out: list[Block] = []
    for block in found:
        if block.kind == "heading" and out and out[-1].kind == "heading" and _one_heading(out[-1], block):
            out[-1].lines += block.lines
            out[-1].text = f"{out[-1].text} {block.text}"
            continue
        if block.kind == "text" and (before := _open_paragraph(out, block, style)):
            before.lines += block.lines
            before.text = join(before.lines, style)
            continue
        out.append(block)
    return out


def _one_heading(first: Block, second: Block) -> bool:
    a, b = first.lines[-1], second.lines[0]
    same = a.page == b.page and a.column == b.column and abs(a.size - b.size) < 0.3 and a.bold == b.bold
    return same and 0 < a.y - b.y < 1.5 * a.size and not NUMBERED.match(second.text) and not KNOWN.match(second.text)


def _open_paragraph(out: list[Block], block: Block, style: Style) -> Block | None:
    for before in reversed(out[-6:]):
        if before.kind in ("caption", "table", "note", "listing") or (before.kind == "text" and _is_stray(before, style)):
            continue
        if before.kind != "text":
            return None
        last, line = before.lines[-1], block.lines[0]
        moved = last.page != line.page or last.column != line.column
        apart = moved or out[-1] is not before
        if not apart or abs(last.size - line.size) > 0.5 or line.page - last.page > 1:
            return None
        ended = re.search(r"[.!?:]['”\")\]]?(?:\[\d+\])?$", last.text) is not None
        starts_small = re.match(r"[a-z(\[,;]|[0-9]+[.%]?[0-9]*\s[a-z]", line.text) is not None
        full = last.x1 > last.right - 0.04 * (last.right - last.left)
        if not ended and (starts_small or (full and line.x0 - line.left < 0.5 * style.size)):
            return before
        return None
    return None


def _is_stray(block: Block, style: Style) -> bool:
    """A few words in another size: a label of a drawing."""
    return len(block.text.split()) < 6 and abs(block.lines[0].size - style.size) > 0.5


def join(lines: Iterable[Line], style: Style) -> str:
    """Lines as one text; a hyphen at a line's end goes unless the document writes the word with it."""
    text = ""
    for line in lines:
        piece = line.text
        if not text:
            text = piece
            continue
        broken = re.search(r"([A-Za-z]+(?:-[A-Za-z]+)*)-$", text)
        follows = re.match(r"[A-Za-z]+", piece)
        if broken and follows:
            first, second = broken.group(1).lower(), follows.group().lower()
            whole, hyphened = style.words[first + second], style.words[f"{first}-{second}"]
            keep = hyphened > whole or follows.group()[0].isupper() or (not whole and "-" in first)
            text = (text if keep else text[:-1]) + piece
        elif text.endswith(("-", "–", "/")) and not text.endswith((" -", " –")):
            text += piece
        else:
            text += " " + piece
    return text

"""One PDF page as glyphs, rules and boxes in upright coordinates (points, y upwards). Imports pypdfium2, lazily through pdf.py.

Decides what a person could see: glyphs that are invisible, white on white, tiny or off the page go to `hidden`, never to the text.
"""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

MAX_OBJECTS = 20_000  # a scatter plot drawn point by point; beyond this a page's paths are not looked at
MAX_GLYPHS = 60_000  # a dense page has 8,000
_TINY_PT = 2.6  # no printer's footnote is smaller than 5 pt
_MATH_FONT = re.compile(
    r"CMMI|CMSY|CMEX|MSBM|MSAM|Math|Symbol|EUFM|EURM|RSFS|txsy|txmi|pxsy|pxmi|stix|LMMath|MTMI|MTSY|BBOLD|wasy|esint", re.IGNORECASE
)
_BOLD_FONT = re.compile(r"bold|black|heavy|medi(?!um)|CMBX|SFBX|CMB\d|-bd|semibold|demi", re.IGNORECASE)
_ITALIC_FONT = re.compile(r"ital|obli|slant|CMTI|CMSL|SFTI|-it\b", re.IGNORECASE)


@dataclass(slots=True)
class Glyph:
    """One character: x0..x1 its advance, y its baseline, size in points; gap: a blank stands before it in the file."""

    char: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    italic: bool
    math: bool
    gap: bool


@dataclass(frozen=True, slots=True)
class Box:
    x0: float
    y0: float
    x1: float
    y1: float

    def holds(self, x: float, y: float) -> bool:
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1

    @property
    def area(self) -> float:
        return max(self.x1 - self.x0, 0.0) * max(self.y1 - self.y0, 0.0)


@dataclass
class Page:
    """number counts from 1. figures: boxes whose text belongs to a drawing. unmapped: glyphs without a character."""

    number: int
    box: Box
    glyphs: list[Glyph] = field(default_factory=list)
    horizontal: list[Box] = field(default_factory=list)
    vertical: list[Box] = field(default_factory=list)
    figures: list[Box] = field(default_factory=list)
    hidden: dict[str, list[str]] = field(default_factory=dict)  # how -> its text, in pieces
    figure_glyphs: int = 0
    rotated: int = 0
    unmapped: int = 0
    image_share: float = 0.0  # of the page's area, at most 1
    ocr: bool = False


_FIGURES = frozenset("0123456789−")
_CMEX = str.maketrans("PXQYRZSTpqrs", "∑∑∏∏∫∫⋃⋂√√√√")  # letters that stand for TeX's large operators where a file maps none


@dataclass(slots=True)
class _Style:
    size: float
    angle: int  # degrees, rounded to a quarter turn, or -1 for a slanted line
    bold: bool
    italic: bool
    math: bool
    white: bool
    unseen: str  # "" or how
    operators: bool


def load(pdf: Any, index: int) -> Page:
    """The page at `index`. Raises what pypdfium2 raises for a page that is damaged."""
    import pypdfium2.raw as raw

    handle = pdf[index]
    try:
        left, bottom, right, top = handle.get_cropbox()
        page = Page(index + 1, Box(min(left, right), min(bottom, top), max(left, right), max(bottom, top)))
        fills, covers = _objects(raw, handle, page)
        textpage = handle.get_textpage()
        try:
            _glyphs(raw, textpage, page, fills, covers)
        finally:
            textpage.close()
    finally:
        handle.close()
    return page


# --- drawn objects ---


def _objects(raw: Any, handle: Any, page: Page) -> tuple[list[Box], dict[int, int]]:
    """Rules, figures and image share into `page`; returns dark fills (text on them may be white) and the order of text objects."""
    fills: list[Box] = []
    curved: list[Box] = []
    order: dict[int, int] = {}
    count = raw.FPDFPage_CountObjects(handle.raw)
    if count > MAX_OBJECTS:
        return fills, order
    whole = max(page.box.area, 1.0)
    for number in range(count):
        thing = raw.FPDFPage_GetObject(handle.raw, number)
        kind = raw.FPDFPageObj_GetType(thing)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            order[_address(thing)] = number
            continue
        box = _bounds(raw, thing)
        if box is None:
            continue
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            page.image_share = min(1.0, page.image_share + box.area / whole)
            fills.append(box)
        elif kind == raw.FPDF_PAGEOBJ_FORM:
            fills.append(box)
            if box.area < 0.6 * whole and box.x1 - box.x0 > 20 and box.y1 - box.y0 > 20:
                page.figures.append(box)
        elif kind == raw.FPDF_PAGEOBJ_SHADING:
            fills.append(box)
        elif kind == raw.FPDF_PAGEOBJ_PATH:
            _path(raw, thing, box, page, fills, curved)
    page.figures += _clusters(curved, whole)
    return fills, order


def _path(raw: Any, thing: Any, box: Box, page: Page, fills: list[Box], curved: list[Box]) -> None:
    wide, high = box.x1 - box.x0, box.y1 - box.y0
    if high <= 2.5 and wide >= 12:
        page.horizontal.append(box)
    elif wide <= 2.5 and high >= 6:
        page.vertical.append(box)
    else:
        mode, stroke = ctypes.c_int(), ctypes.c_int()
        raw.FPDFPath_GetDrawMode(thing, mode, stroke)
        if mode.value and not _is_white(raw, thing):
            fills.append(box)
        if wide > 3 and high > 3 and _is_drawing(raw, thing):
            curved.append(box)


def _is_drawing(raw: Any, thing: Any) -> bool:
    """Has a curve or a slanted line, as plots and diagrams do and tables do not. Rounded boxes of running text have curves only in corners."""
    x, y = ctypes.c_float(), ctypes.c_float()
    last: tuple[float, float] | None = None
    for index in range(min(raw.FPDFPath_CountSegments(thing), 40)):
        segment = raw.FPDFPath_GetPathSegment(thing, index)
        kind = raw.FPDFPathSegment_GetType(segment)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        if kind == raw.FPDF_SEGMENT_BEZIERTO:
            return True
        if kind == raw.FPDF_SEGMENT_LINETO and last and abs(last[0] - x.value) > 2 and abs(last[1] - y.value) > 2:
            return True
        last = (x.value, y.value)
    return False


def _clusters(boxes: list[Box], whole: float) -> list[Box]:
    """Regions where at least five drawn paths lie close together. Boxes of text have one or two."""
    merged: list[tuple[Box, int]] = []
    for box in sorted(boxes, key=lambda b: (-b.y1, b.x0))[:2000]:
        count = 1
        rest = []
        for other, size in merged:
            near = box.x0 - 12 < other.x1 and other.x0 - 12 < box.x1 and box.y0 - 12 < other.y1 and other.y0 - 12 < box.y1
            if near:
                box = Box(min(box.x0, other.x0), min(box.y0, other.y0), max(box.x1, other.x1), max(box.y1, other.y1))
                count += size
            else:
                rest.append((other, size))
        merged = [*rest, (box, count)]
    return [b for b, n in merged if n >= 5 and 0.005 * whole < b.area < 0.6 * whole]


def _bounds(raw: Any, thing: Any) -> Box | None:
    a, b, c, d = (ctypes.c_float() for _ in range(4))
    if not raw.FPDFPageObj_GetBounds(thing, a, b, c, d):
        return None
    return Box(a.value, b.value, c.value, d.value)


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0


def _is_white(raw: Any, thing: Any) -> bool:
    r, g, b, a = (ctypes.c_uint() for _ in range(4))
    if not raw.FPDFPageObj_GetFillColor(thing, r, g, b, a):
        return False
    return min(r.value, g.value, b.value) >= 249


# --- glyphs ---


def _glyphs(raw: Any, textpage: Any, page: Page, fills: list[Box], order: dict[int, int]) -> None:
    handle = textpage.raw
    count = min(raw.FPDFText_CountChars(handle), MAX_GLYPHS)
    styles: dict[int, _Style] = {}
    found: list[_Found] = []
    x, y, rect = ctypes.c_double(), ctypes.c_double(), raw.FS_RECTF()
    gap = True
    for index in range(count):
        code = raw.FPDFText_GetUnicode(handle, index)
        if code in (9, 10, 13, 32, 160) or 0x2000 <= code <= 0x200A or raw.FPDFText_IsGenerated(handle, index) == 1:
            gap = True
            continue
        thing = raw.FPDFText_GetTextObject(handle, index)
        address = _address(thing)
        style = styles.get(address)
        if style is None:
            style = styles[address] = _style(raw, handle, index, thing)
        raw.FPDFText_GetCharOrigin(handle, index, x, y)
        raw.FPDFText_GetLooseCharBox(handle, index, rect)
        if code in (0, 0xFFFD) or 0xE000 <= code <= 0xF8FF:
            page.unmapped += 1
            gap = True
            continue
        char = "-" if code in (2, 0xAD, 0xFFFE) else chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
        if style.operators:
            char = char.translate(_CMEX)
        if char:
            lift = _own_lift(raw, handle, index, char, y.value, style) if style.angle == 0 else 0.0
            if lift:
                style = replace(style, size=0.6 * style.size)
            found.append((char, rect.left, rect.right, abs(rect.top - rect.bottom), x.value, y.value + lift, style, gap))
            gap = False
    found = _ligatures_spread(found)
    angles = [s[6].angle for s in found]
    turn = max(set(angles), key=angles.count) if angles else 0
    page.ocr = bool(found) and sum(s[6].unseen == "invisible" for s in found) > 0.8 * len(found) and page.image_share > 0.5
    _keep(page, found, max(turn, 0), fills)


def _own_lift(raw: Any, handle: Any, index: int, char: str, base: float, style: _Style) -> float:
    """How far a digit or minus that the font itself draws raised or lowered stands off the baseline (points); 0.0 for an ordinary one."""
    if char not in _FIGURES:
        return 0.0
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    raw.FPDFText_GetCharBox(handle, index, left, right, bottom, top)
    low, high = (bottom.value - base) / style.size, (top.value - base) / style.size
    if high - low <= 0 or high > 1.2:
        return 0.0
    if low > (0.2 if char.isdigit() else 0.42):
        return 0.35 * style.size
    return -0.2 * style.size if char.isdigit() and high < 0.46 and low < -0.02 else 0.0


_Found = tuple[str, float, float, float, float, float, _Style, bool]


def _ligatures_spread(found: list[_Found]) -> list[_Found]:
    """The letters of one ligature come with one and the same box: each gets its part of it, from left to right."""
    out: list[_Found] = []
    at = 0
    while at < len(found):
        end = at + 1
        first = found[at]
        while end < len(found) and end - at < 3 and found[end][0] in "fijltsh" and first[0] in "fstcT" and found[end][6] is first[6] \
                and abs(found[end][4] - first[4]) < 0.01 and abs(found[end][5] - first[5]) < 0.01:  # fmt: skip
            end += 1
        if end - at > 1:
            left, right = min(f[1] for f in found[at:end]), max(f[2] for f in found[at:end])
            part = (right - left) / (end - at)
            for number, (char, _, _, bottom, x, y, style, gap) in enumerate(found[at:end]):
                out.append((char, left + number * part, left + (number + 1) * part, bottom, x + number * part, y, style, gap))
        else:
            out.append(first)
        at = end
    return out


def _style(raw: Any, handle: Any, index: int, thing: Any) -> _Style:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(handle, index, matrix)
    size = raw.FPDFText_GetFontSize(handle, index) * (math.hypot(matrix.c, matrix.d) or 1.0)
    angle = math.degrees(math.atan2(matrix.b, matrix.a)) % 360
    quarter = round(angle / 90) * 90 % 360
    quarter = quarter if min(abs(angle - quarter), 360 - abs(angle - quarter)) < 8 else -1
    name = _font_name(raw, thing)
    mode = raw.FPDFTextObj_GetTextRenderMode(thing)
    r, g, b, a = (ctypes.c_uint() for _ in range(4))
    known = raw.FPDFPageObj_GetFillColor(thing, r, g, b, a)
    unseen = "invisible" if mode in (3, 7) else "transparent" if known and a.value <= 8 else "tiny font" if 0 < size < _TINY_PT else ""
    white = bool(known) and mode in (0, 2, 4, 6) and min(r.value, g.value, b.value) >= 249
    return _Style(
        size,
        quarter,
        bool(_BOLD_FONT.search(name)),
        bool(_ITALIC_FONT.search(name)),
        bool(_MATH_FONT.search(name)),
        white,
        unseen,
        "CMEX" in name,
    )


def _font_name(raw: Any, thing: Any) -> str:
    font = raw.FPDFTextObj_GetFont(thing)
    if not font:
        return ""
    buffer = ctypes.create_string_buffer(128)
    length = raw.FPDFFont_GetBaseFontName(font, buffer, 128)
    return buffer.raw[: max(0, min(length, 128) - 1)].decode("utf-8", errors="replace")


def _keep(page: Page, found: list[_Found], turn: int, fills: list[Box]) -> None:
    """Sorts what was found into text, figure text, rotated text and hidden text; turns a sideways page upright."""
    inner = Box(page.box.x0 - 3, page.box.y0 - 3, page.box.x1 + 3, page.box.y1 + 3)
    for char, left, right, tall, x, y, style, gap in found:
        middle, height = (left + right) / 2, y + 0.3 * style.size
        if style.angle in (90, 270, 180):
            middle, height = x, y
        how = style.unseen if not (page.ocr and style.unseen == "invisible") else ""
        if not how and not inner.holds(middle, height):
            how = "off page"
        if not how and style.white and not any(f.holds(middle, height) for f in fills):
            how = "white on white"
        in_figure = any(f.holds(middle, height) for f in page.figures)
        if in_figure and how in ("", "tiny font"):
            page.figure_glyphs += 1
        elif how:
            page.hidden.setdefault(how, []).append((" " if gap else "") + char)
        elif style.angle != turn:
            page.rotated += 1
        else:
            x0, x1, base = _turned(left, right, tall, x, y, turn)
            page.glyphs.append(Glyph(char, x0, max(x1, x0), base, style.size, style.bold, style.italic, style.math, gap))
    if turn:
        page.box = _turned_box(page.box, turn)
        page.horizontal, page.vertical = _turned_rules(page, turn)
        page.figures = [_turned_box(f, turn) for f in page.figures]


def _turned(left: float, right: float, tall: float, x: float, y: float, turn: int) -> tuple[float, float, float]:
    if turn == 90:
        return y, y + tall, -x
    if turn == 270:
        return -y, -y + tall, x
    if turn == 180:
        return -right, -left, -y
    return left, right, y


def _turned_box(box: Box, turn: int) -> Box:
    if turn == 90:
        return Box(box.y0, -box.x1, box.y1, -box.x0)
    if turn == 270:
        return Box(-box.y1, box.x0, -box.y0, box.x1)
    return Box(-box.x1, -box.y1, -box.x0, -box.y0)


def _turned_rules(page: Page, turn: int) -> tuple[list[Box], list[Box]]:
    horizontal, vertical = ([_turned_box(b, turn) for b in boxes] for boxes in (page.horizontal, page.vertical))
    return (horizontal, vertical) if turn == 180 else (vertical, horizontal)

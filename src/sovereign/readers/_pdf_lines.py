"""Glyphs of a page to words, fragments and lines; columns and reading order. Imports _pdf_page only; knows nothing of sections.

A fragment is a stretch of one line without a wide gap: a line of prose is one fragment, a table row several.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from sovereign.readers._pdf_page import Box, Glyph, Page

WIDE_GAP_EM = 1.0  # justified blanks stay below, column gutters (1.8 em and more) and most table gutters above
_BLANK_EM = 0.17  # a word space is 0.25 em or more, kerning stays below 0.1
_SINGLE = re.compile(r"(?:^|[^A-Za-z]|[_^][A-Za-z0-9])[A-Za-z\u0370-\u03ff]$")  # ends with a variable, not with a word
_ACCENTS = {
    "´": "\u0301",
    "`": "\u0300",
    "ˆ": "\u0302",
    "˜": "\u0303",
    "¨": "\u0308",
    "ˇ": "\u030c",
    "¸": "\u0327",
    "˘": "\u0306",
    "¯": "\u0304",
    "˚": "\u030a",
}


@dataclass
class Word:
    text: str
    x0: float
    x1: float


@dataclass
class Fragment:
    glyphs: list[Glyph]
    x0: float = 0.0
    x1: float = 0.0
    y: float = 0.0
    size: float = 0.0
    words: list[Word] = field(default_factory=list)
    bold: bool = False
    italic: bool = False
    math: float = 0.0  # share of glyphs in mathematical fonts

    def __post_init__(self) -> None:
        self.glyphs = _composed(self.glyphs)
        top = max(g.size for g in self.glyphs)
        main = [g for g in self.glyphs if g.size > 0.85 * top] or self.glyphs
        self.size = median(g.size for g in main)
        self.y = median(g.y for g in main)
        self.x0, self.x1 = min(g.x0 for g in self.glyphs), max(g.x1 for g in self.glyphs)
        letters = [g for g in main if g.char.isalnum()] or main
        self.bold = sum(g.bold for g in letters) > 0.8 * len(letters)
        self.italic = sum(g.italic for g in letters) > 0.8 * len(letters)
        self.math = sum(g.math for g in self.glyphs) / len(self.glyphs)
        self.words = _words(self.glyphs, self.size, self.y)

    @property
    def text(self) -> str:
        return " ".join(w.text for w in self.words)


@dataclass
class Line:
    """One printed line inside one column. left and right are the column's edges."""

    fragments: list[Fragment]
    page: int
    left: float = 0.0
    right: float = 0.0
    column: int = 0

    @property
    def text(self) -> str:
        return " ".join(f.text for f in self.fragments if f.words)

    @property
    def x0(self) -> float:
        return self.fragments[0].x0

    @property
    def x1(self) -> float:
        return max(f.x1 for f in self.fragments)

    @property
    def y(self) -> float:
        return max(self.fragments, key=lambda f: len(f.glyphs)).y

    @property
    def size(self) -> float:
        return max(self.fragments, key=lambda f: len(f.glyphs)).size

    @property
    def bold(self) -> bool:
        return all(f.bold for f in self.fragments)

    @property
    def italic(self) -> bool:
        return all(f.italic for f in self.fragments)

    @property
    def math(self) -> float:
        total = sum(len(f.glyphs) for f in self.fragments)
        return sum(f.math * len(f.glyphs) for f in self.fragments) / total


def _composed(glyphs: list[Glyph]) -> list[Glyph]:
    """Left to right; an accent drawn over a letter becomes one character with it."""
    out: list[Glyph] = []
    for glyph in glyphs:
        if (
            out
            and out[-1].char in _ACCENTS
            and abs((out[-1].x0 + out[-1].x1) - (glyph.x0 + glyph.x1)) < 0.6 * glyph.size
            and glyph.char.isalpha()
        ):
            mark = out.pop()
            composed = unicodedata.normalize("NFC", glyph.char + _ACCENTS[mark.char])
            out.append(Glyph(composed, glyph.x0, glyph.x1, glyph.y, glyph.size, glyph.bold, glyph.italic, glyph.math, mark.gap))
        elif out and glyph.char in _ACCENTS and out[-1].char.isalpha() and glyph.x0 < out[-1].x1 - 0.3 * (out[-1].x1 - out[-1].x0):
            last = out[-1]
            last.char = unicodedata.normalize("NFC", last.char + _ACCENTS[glyph.char])
        else:
            out.append(glyph)
    return out


def _words(glyphs: list[Glyph], size: float, base: float) -> list[Word]:
    """Cut at blanks; raised and lowered stretches become ^ and _ where they are exponents and indices, and go where they are note marks."""
    words: list[Word] = []
    text, x0, x1 = "", 0.0, 0.0
    script, script_text = 0, ""
    before = ""

    def settle() -> None:
        nonlocal text, script, script_text
        text += _scripted(text or before, script, script_text)
        script, script_text = 0, ""

    last: Glyph | None = None
    for glyph in glyphs:
        em = max(min(glyph.size, last.size), 0.8 * size) if last else glyph.size
        distance = glyph.x0 - last.x1 if last else 0.0
        blank = last is not None and (distance > _BLANK_EM * em or (glyph.gap and distance > 0.06 * em))
        small = glyph.size < 0.87 * size
        lift = glyph.y - base
        state = (1 if lift > 0.12 * size else -1 if lift < -0.05 * size else 0) if small or abs(lift) > 0.28 * size else 0
        if blank:
            settle()
            if text and text not in _ACCENTS:
                words.append(Word(text, x0, x1))
                before = text
            text = ""
        elif state != script:
            settle()
        if not text and not script_text:
            x0 = glyph.x0
        script = state
        if state:
            script_text += glyph.char
        else:
            text += glyph.char
        x1 = glyph.x1
        last = glyph
    settle()
    if text and text not in _ACCENTS:
        words.append(Word(text, x0, x1))
    return words


def _scripted(before: str, script: int, text: str) -> str:
    """What a raised or lowered stretch prints as, behind `before`."""
    if not text or not script:
        return text
    single = bool(_SINGLE.search(before))
    simple = text if re.fullmatch(r"[-−+]?[\w.′*]+|\W", text) else f"({text})"
    if script < 0:
        return f"_{simple}" if single else text
    if text in ("st", "nd", "rd", "th", "°", "′", "*", "∗", "†", "‡", "”", "’", "%", "™"):
        return text if text not in ("*", "∗", "†", "‡") else ""
    number = re.search(r"(?:^|[^\w])(?:\d[\d.,]*)$", before)  # 10 is a base, the 6 of "v6" is not
    if re.fullmatch(r"[-−–+]?\d+(?:\.\d+)?", text) and (number or single or before.endswith((")", "]", "}"))):
        return f"^{text}"
    if re.fullmatch(r"[\d,∗*†‡§¶]+", text):
        return ""
    return f"^{simple}" if single or before.endswith((")", "]", "|")) else text


def fragments(glyphs: list[Glyph]) -> list[Fragment]:
    """Runs of the file's own order, then runs of one baseline joined from left to right."""
    runs: list[list[Glyph]] = []
    for glyph in glyphs:
        if runs:
            last = runs[-1][-1]
            size = max(last.size, glyph.size)
            gap = glyph.x0 - last.x1
            level = abs(glyph.y - _base(runs[-1])) < 0.55 * size
            if level and -0.7 * size < gap < WIDE_GAP_EM * min(size, glyph.size * 1.4):
                runs[-1].append(glyph)
                continue
        runs.append([glyph])
    return [Fragment(run) for run in _joined(runs)]


def _base(run: list[Glyph]) -> float:
    tail = run[-8:]
    top = max(g.size for g in tail)
    return median(g.y for g in tail if g.size > 0.85 * top)


def _joined(runs: list[list[Glyph]]) -> list[list[Glyph]]:
    """Runs that lie side by side on one baseline with no wide gap, whatever order the file gives them in."""
    items = sorted(
        ((_base(r), min(g.x0 for g in r), max(g.x1 for g in r), max(g.size for g in r), r) for r in runs),
        key=lambda i: (-round(i[0]), i[1]),
    )
    out: list[tuple[float, float, float, float, list[Glyph]]] = []
    for base, x0, x1, size, run in items:
        best = -1
        for back in range(len(out) - 1, max(-1, len(out) - 40), -1):
            other = out[back]
            top = max(size, other[3])
            near = abs(base - other[0]) < (0.25 if min(size, other[3]) > 0.85 * top else 0.5) * top
            gap = x0 - other[2] if x0 >= other[1] else other[1] - x1
            if near and -0.3 * top < gap < 0.75 * min(top, 1.3 * min(size, other[3])):
                best = back
                break
        if best < 0:
            out.append((base, x0, x1, size, run))
        else:
            other = out[best]
            first, second = (other[4], run) if other[1] <= x0 else (run, other[4])
            main = other if other[3] >= size else (base, x0, x1, size, run)
            out[best] = (main[0], min(x0, other[1]), max(x1, other[2]), max(size, other[3]), [*first, *second])
    return [item[4] for item in out]


# --- columns and order ---


def gutter(pages: list[list[Fragment]], boxes: list[Box]) -> float | None:
    """The middle of the gap between two columns, for the whole document; None for one column."""
    votes = [v for frags, box in zip(pages, boxes) if (v := _page_gutter(frags, box)) is not None]
    return median(votes) if len(votes) >= max(1, 0.4 * len([p for p in pages if len(p) > 20])) else None


def _page_gutter(frags: list[Fragment], box: Box) -> float | None:
    body = [f for f in frags if len(f.glyphs) > 3]
    total = sum(len(f.glyphs) for f in body)
    if total < 400:
        return None
    width = box.x1 - box.x0
    best: tuple[float, float] | None = None
    for step in range(60, 141):
        at = box.x0 + width * step / 200
        crossing = sum(len(f.glyphs) for f in body if f.x0 < at - 3 and f.x1 > at + 3)
        left = sum(len(f.glyphs) for f in body if f.x1 <= at + 3)
        right = total - crossing - left
        if min(left, right) > 0.18 * total and crossing < 0.3 * total and (best is None or crossing < best[0]):
            best = (crossing, at)
    if best is None:
        return None
    lefts = [f.x1 for f in body if f.x1 <= best[1] + 3 and f.x1 - f.x0 > 0.25 * width]
    rights = [f.x0 for f in body if f.x0 >= best[1] - 3 and f.x1 - f.x0 > 0.25 * width]
    if len(lefts) < 8 or len(rights) < 8:
        return None  # columns of prose have lines that fill them; table columns do not
    return (max(lefts) + min(rights)) / 2


def in_order(frags: list[Fragment], page: Page, split: float | None) -> list[Line]:
    """Lines in reading order: across the page where they span it, else the left column before the right, band by band."""
    if split is None:
        return _one_column(frags, page)
    rows = _rows(frags)
    spanning_boxes = [b for b in page.horizontal if b.x0 < split - 30 and b.x1 > split + 30]
    ranges = _ranges(spanning_boxes)
    lines = []
    left: list[Line] = []
    right: list[Line] = []

    def flush() -> None:
        for number, side in enumerate((left, right)):
            for line in side:
                line.column = number + 1
            _edges(side)
            lines.extend(side)
            side.clear()

    spans: list[Line] = []
    for row in rows:
        y = row[0].y
        crosses = any(f.x0 < split - 4 and f.x1 > split + 4 for f in row) or any(low - 2 <= y <= high + 2 for low, high in ranges)
        if crosses:
            flush()
            spans.append(Line(row, page.number))
            lines.append(spans[-1])
            continue
        west, east = [f for f in row if f.x1 <= split + 4], [f for f in row if f.x1 > split + 4]
        if west:
            left.append(Line(west, page.number))
        if east:
            right.append(Line(east, page.number))
    flush()
    _edges(spans)
    return lines


def _one_column(frags: list[Fragment], page: Page) -> list[Line]:
    """Top to bottom, but for text beside a float: the float first, then the text, whose first half stands above it anyway."""
    from sovereign.readers import _pdf_sides

    sides = _pdf_sides.find(frags, page)
    beside = {id(f) for s in sides for f in (*s.first, *s.second)}
    plain = [Line(row, page.number) for row in _rows([f for f in frags if id(f) not in beside])]
    _edges(plain)
    lines: list[Line] = []
    waiting = sorted(sides, key=lambda s: -s.top)
    column = 10
    for line in [*plain, None]:
        while waiting and (line is None or waiting[0].top > line.y):
            side = waiting.pop(0)
            for half in (side.first, side.second):
                column += 1
                here = [Line(row, page.number, column=column) for row in _rows(half)]
                _edges(here)
                lines += here
        if line is not None:
            lines.append(line)
    return lines


def _ranges(rules: list[Box]) -> list[tuple[float, float]]:
    """Vertical stretches between full-width rules at most 400 pt apart: tables across both columns."""
    ys = sorted({round(b.y0) for b in rules})
    if len(ys) < 2:
        return []
    return [(float(a), float(b)) for a, b in pairwise(ys) if 6 < b - a < 400] if len(ys) > 2 else []


def _rows(frags: list[Fragment]) -> list[list[Fragment]]:
    """Fragments on one baseline, rows from top to bottom, each from left to right."""
    rows: list[list[Fragment]] = []
    for fragment in sorted((f for f in frags if f.words), key=lambda f: -f.y):
        for row in rows[-4:]:
            top = max(fragment.size, row[0].size)
            if abs(row[0].y - fragment.y) < 0.28 * top:
                row.append(fragment)
                break
        else:
            rows.append([fragment])
    rows = _with_limits(rows)
    for row in rows:
        row.sort(key=lambda f: f.x0)
    return rows


def _with_limits(rows: list[list[Fragment]]) -> list[list[Fragment]]:
    """Limits of sums and parts of fractions that stand a little above or below a line of text belong to it."""
    weights = [sum(len(f.glyphs) for f in row) for row in rows]
    out: list[list[Fragment]] = []
    homes: dict[int, list[Fragment]] = {}
    for number, row in enumerate(rows):
        size = max(f.size for f in row)
        best: tuple[float, int] | None = None
        beside = max((g.size for n in (number - 1, number + 1) if 0 <= n < len(rows) for g in rows[n]), default=0.0)
        if weights[number] <= 14 and any(f.math > 0.4 or f.size < 0.85 * beside for f in row):
            for near in (number - 2, number - 1, number + 1, number + 2):
                if 0 <= near < len(rows) and weights[near] > 2.5 * weights[number]:
                    other = rows[near]
                    apart = abs(other[0].y - row[0].y)
                    within = min(f.x0 for f in other) - 12 < row[0].x0 and row[-1].x1 < max(f.x1 for f in other) + 12
                    free = not any(
                        f.x0 < w.x1 - 1 and w.x0 < f.x1 - 1 for f in row for g in other if abs(g.y - f.y) < 0.3 * size for w in g.words
                    )
                    if apart < 0.95 * max(size, other[0].size) and within and free and (best is None or apart < best[0]):
                        best = (apart, near)
        if best is not None:
            homes.setdefault(best[1], []).extend(row)
        else:
            out.append(row)
    for number, extra in homes.items():
        if any(rows[number] is row for row in out):
            rows[number].extend(extra)
        else:
            out.append(extra)
    return sorted(out, key=lambda row: -max(row, key=lambda f: len(f.glyphs)).y)


def _edges(lines: list[Line]) -> None:
    """The column's edges from its longer lines, so that an indent can be told from the margin."""
    if not lines:
        return
    wide = [x for x in lines if len(x.text) > 30] or lines
    left = _mode([x.x0 for x in wide], lowest=True)
    right = _mode([x.x1 for x in wide], lowest=False)
    for line in lines:
        line.left, line.right = left, max(right, left + 1)


def _mode(values: list[float], *, lowest: bool) -> float:
    """The most frequent edge (within 2 pt); of equals the outermost."""
    counts: dict[int, int] = {}
    for value in values:
        counts[round(value / 2)] = counts.get(round(value / 2), 0) + 1
    top = max(counts.values())
    good = [k for k, n in counts.items() if n >= max(1, 0.5 * top)]
    return 2.0 * (min(good) if lowest else max(good))

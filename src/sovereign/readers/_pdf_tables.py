"""Tables of a PDF page: found by their rules or, next to a caption, by alignment; cut into columns, header and rows.

Imports the line types only. Refuses to call prose a table: most lines of a table must fall apart into cells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from sovereign.readers._pdf_lines import Line, Word
from sovereign.readers._pdf_page import Box, Page

CAPTION = re.compile(r"^(?:Table|TABLE|Tab\.)\s+(?:S|A)?(?:\d+|[IVXLC]+)(?:\.\d+)?\b")
_NUMBERISH = re.compile(r"[\d✓✗×%–—-]")


@dataclass
class Grid:
    """One table. Without rows it is a listing: the lines of an algorithm between its rules."""

    lines: list[Line]
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def find(lines: list[Line], page: Page) -> list[Grid]:
    """Tables from top to bottom; a line belongs to at most one."""
    taken: set[int] = set()
    grids: list[Grid] = []
    for top, bottom, inner in _ruled(lines, page):
        members = [x for x in lines if id(x) not in taken and bottom.y0 - 1 < x.y < top.y1 + 1 and x.x0 > top.x0 - 8 and x.x1 < top.x1 + 8]
        if members and re.match(r"^Algorithm\s+\d+", members[0].text):
            grids.append(Grid(members))
            taken.update(id(x) for x in members)
            continue
        members = [x for x in members if not re.match(r"^(?:Table|Figure|Fig\.|Algorithm)\s+\d+\s*[:.]", x.text)]
        if _tabular(members, top.x1 - top.x0, len(inner)):
            above, below = (_open_edge(lines, top, bottom, sign, taken) for sign in (1, -1))
            if above:
                members, inner = [*above, *members], [top, *inner]
            members = [*members, *below]
            grid = _grid(members, inner, page)
            if grid:
                grids.append(grid)
                taken.update(id(x) for x in members)
    for members in _aligned([x for x in lines if id(x) not in taken]):
        grid = _grid(members, [], page)
        if grid and len(grid.rows) >= 2:
            grids.append(grid)
    return grids


def _open_edge(lines: list[Line], top: Box, bottom: Box, sign: int, taken: set[int]) -> list[Line]:
    """The row above a first rule, or below a last one, of a table that has no rule at that edge."""
    for line in lines:
        apart = line.y - top.y1 if sign > 0 else bottom.y0 - line.y
        near = (-0.1 if sign > 0 else 0.5) * line.size < apart < (0.6 if sign > 0 else 1.1) * line.size
        if near and len(line.fragments) > 1 and line.x0 > top.x0 - 8 and line.x1 < top.x1 + 8 and id(line) not in taken:
            return [line]
    return []


def _tabular(members: list[Line], width: float, ruled: int) -> bool:
    if not members:
        return False
    several = sum(len(x.fragments) > 1 for x in members)
    prose = sum(len(x.fragments) == 1 and len(x.text.split()) > 9 and x.x1 - x.x0 > 0.75 * width for x in members)
    if ruled > 1 and len(members[0].fragments) > 1 and all(len(x.text.split()) <= 6 for x in members):
        return True  # labels of many rows each leave most lines with a single cell
    return several >= max(1, 0.4 * len(members)) and prose <= 0.25 * len(members)


def _merged(rules: list[Box]) -> list[Box]:
    """Rules drawn cell by cell as one; double rules as one."""
    out: list[Box] = []
    for rule in sorted(rules, key=lambda b: (-round(b.y0 / 1.5), b.x0)):
        if out and abs(out[-1].y0 - rule.y0) < 3 and rule.x0 - out[-1].x1 < 4:
            last = out[-1]
            out[-1] = Box(min(last.x0, rule.x0), last.y0, max(last.x1, rule.x1), last.y1)
        else:
            out.append(rule)
    return out


def _ruled(lines: list[Line], page: Page) -> list[tuple[Box, Box, list[Box]]]:
    """(top rule, bottom rule, full-width rules between) of every stretch between equally wide rules that holds lines which are no prose."""
    found = []
    rules = sorted(_merged(page.horizontal), key=lambda b: -b.y0)
    used: set[int] = set()
    for number, top in enumerate(rules):
        if number in used or top.x1 - top.x0 < 40:
            continue
        chain = [number]
        for later in range(number + 1, len(rules)):
            rule = rules[later]
            if later in used or abs(rule.x0 - top.x0) > 9 or abs(rule.x1 - top.x1) > 9:
                continue
            between = [x for x in lines if rule.y0 < x.y < rules[chain[-1]].y0 and x.x1 > top.x0 and x.x0 < top.x1]
            width = top.x1 - top.x0
            loose = [x for x in between if x.x0 < top.x0 - 12 or x.x1 > top.x1 + 12 or (len(x.fragments) == 1 and len(x.text.split()) > 12)]
            listing = (
                len(chain) > 1
                and bool(_in_order(lines, rules[chain[1]], top))
                and re.match(r"^Algorithm\s+\d+", _in_order(lines, rules[chain[1]], top)[0].text)
            )
            if (len(loose) > 0.3 * len(between) and not listing) or (between and CAPTION.match(between[0].text) and len(chain) > 1):
                break
            if rules[chain[-1]].y0 - rule.y0 > 600 or width < 40:
                break
            chain.append(later)
        if len(chain) > 1:
            used.update(chain)
            found.append((top, rules[chain[-1]], [rules[i] for i in chain[1:-1]]))
    return found


def _in_order(lines: list[Line], low: Box, high: Box) -> list[Line]:
    return [x for x in lines if low.y0 < x.y < high.y0 and x.x1 > high.x0 and x.x0 < high.x1]


def _aligned(lines: list[Line]) -> list[list[Line]]:
    """Unruled tables: at least three lines in a row that fall apart into the same columns, directly above or below a table's caption."""
    found = []
    for number, line in enumerate(lines):
        if not CAPTION.match(line.text) or len(line.text.split()) < 2:
            continue
        end = number + 1
        while (
            end < len(lines) and end - number < 8 and len(lines[end].fragments) == 1 and lines[end - 1].y - lines[end].y < 1.5 * line.size
        ):
            end += 1
        for step, start in ((1, end), (-1, number - 1)):
            run: list[Line] = []
            at = start
            while 0 <= at < len(lines) and len(run) < 80:
                here = lines[at]
                if len(here.fragments) < 2 or here.page != line.page or (run and abs(run[-1].y - here.y) > 3.2 * here.size):
                    break
                run.append(here)
                at += step
            run = run[::step]
            if len(run) >= 3 and _same_columns(run):
                found.append(run)
                break
    return found


def _same_columns(run: list[Line]) -> bool:
    counts = [len(x.fragments) for x in run]
    return sum(abs(c - max(set(counts), key=counts.count)) <= 1 for c in counts) >= 0.7 * len(run)


# --- cells ---


def _grid(members: list[Line], inner: list[Box], page: Page) -> Grid | None:
    """Header and rows of the lines of one table; None when no column boundary is found."""
    members = sorted(members, key=lambda x: -x.y)
    head_end = inner[0].y0 if inner else None
    head = [x for x in members if head_end is not None and x.y > head_end]
    body = [x for x in members if head_end is None or x.y <= head_end]
    if not body or len(head) > 5:
        head, body = [], members
    bounds = _columns(body if len(body) > 1 else members, members, page)
    if len(bounds) < 2:
        return None
    header = _header(head, bounds, page)
    cells = [(x, _cells(x, bounds)) for x in body]
    within = [r for r in page.horizontal if r.x1 > members[0].x0 - 8 and r.x0 < bounds[-1][1]]
    for column in range(min(2, len(bounds) - 1) - 1, -1, -1):
        middle = sum(bounds[column]) / 2
        cells = _with_labels(cells, column, [r for r in within if r.x0 <= middle <= r.x1])
    rows = _joined(cells, within, body)
    if not header and rows and len(rows) > 1:
        header = rows.pop(0)
    used = [i for i in range(len(bounds)) if any(row[i] for row in rows)]
    if len(used) < 2:
        return None
    return Grid(members, [header[i] for i in used] if header else [], [[row[i] for i in used] for row in rows]) if rows else None


def _columns(body: list[Line], members: list[Line], page: Page) -> list[tuple[float, float]]:
    """x ranges that tile the table, cut in the middle of each strip that (almost) no row's words cover."""
    rows = [x for x in body if len(x.fragments) > 1] or body
    low, high = min(x.x0 for x in members), max(x.x1 for x in members)
    em = sorted(x.size for x in rows)[len(rows) // 2]
    cover = _coverage(rows, low, high)
    allowed = 0 if len(rows) < 6 else max(1, len(rows) // 16)
    least = (0.4 if len(rows) >= 4 else 0.6 if len(rows) > 1 else 0.9) * em
    cuts = [low - 3]
    at = 0
    while at < len(cover):
        end = at
        while end < len(cover) and cover[end] <= allowed:
            end += 1
        if (end - at) / 2 >= least and at > 0 and end < len(cover):
            a, b = _barest(cover, at, end)
            cuts.append(low + (a + b) / 4)
        at = max(end, at + 1)
    first = sorted(x.x0 for x in rows)[len(rows) // 2]
    cuts += _label_cuts(body, rows, first)
    inside = [v for v in page.vertical if v.y1 > rows[-1].y and v.y0 < rows[0].y + em and low < v.x0 < high]
    for x in sorted({round(v.x0) for v in inside}):
        crossing = sum(w.x0 < x - 1 and w.x1 > x + 1 for row in rows for f in row.fragments for w in f.words)
        if not crossing and all(abs(x - c) > 0.8 * em for c in cuts) and x < high - em:
            cuts.append(float(x))
    ordered: list[float] = []
    for cut in sorted(cuts):
        if not ordered or cut - ordered[-1] > 2.5:
            ordered.append(cut)
    return list(pairwise([*ordered, high + 3]))


def _label_cuts(body: list[Line], rows: list[Line], first: float) -> list[float]:
    """Boundaries left of `first`, where labels of several rows stand on lines of their own."""
    spans = [(x.x0, x.x1) for x in body if len(x.fragments) == 1 and x.x1 <= first + 2]
    if not spans:
        return []
    spans += [(f.x0, f.x1) for x in rows for f in x.fragments if f.x1 <= first + 2]
    merged: list[tuple[float, float]] = []
    for x0, x1 in sorted(spans):
        if merged and x0 < merged[-1][1] + 2:
            merged[-1] = (merged[-1][0], max(x1, merged[-1][1]))
        else:
            merged.append((x0, x1))
    return [(a[1] + b[0]) / 2 for a, b in pairwise([*merged, (first, first)])]


def _coverage(rows: list[Line], low: float, high: float) -> list[int]:
    """How many rows' words lie over each half point between `low` and `high`."""
    cover = [0] * (max(1, int((high - low) * 2)) + 2)
    for row in rows:
        for word in (w for f in row.fragments for w in f.words):
            for at in range(max(0, int((word.x0 - low) * 2)), min(len(cover), int((word.x1 - low) * 2) + 1)):
                cover[at] += 1
    return cover


def _barest(cover: list[int], start: int, end: int) -> tuple[int, int]:
    """The longest stretch of the lowest coverage within start..end: one long label must not be cut where an empty strip lies beside it."""
    least = min(cover[start:end])
    best = (start, start)
    at = start
    while at < end:
        stop = at
        while stop < end and cover[stop] == least:
            stop += 1
        if stop - at > best[1] - best[0]:
            best = (at, stop)
        at = max(stop, at + 1)
    return best


def _cells(line: Line, bounds: list[tuple[float, float]]) -> list[str]:
    """Each stretch of words to its column; a stretch over several columns is parted where a wider blank lies on the boundary, else kept whole."""
    if len(line.fragments) == 1 and len(bounds) > 2 and _crosses(line, bounds):
        return [line.text] + [""] * (len(bounds) - 1)  # a label for the rows below it
    cells: list[list[str]] = [[] for _ in bounds]
    apart = _pieces(line, [], 0.5)
    if len(apart) == len(bounds):
        return [" ".join(w.text for w in piece) for piece in apart]
    for piece in _pieces(line, bounds):
        middle = (piece[0].x0 + piece[-1].x1) / 2
        over = [min(b, piece[-1].x1) - max(a, piece[0].x0) for a, b in bounds]
        inside = [i for i, (a, b) in enumerate(bounds) if a <= middle < b]
        column = max(range(len(bounds)), key=lambda i: over[i]) if len([o for o in over if o > 0]) > 1 or not inside else inside[0]
        cells[column] += [w.text for w in piece]
    return [" ".join(c) for c in cells]


def _crosses(line: Line, bounds: list[tuple[float, float]]) -> bool:
    """Ordinary blanks lie over column boundaries: the words belong together."""
    inner = [b for _, b in bounds[:-1] if line.x0 < b < line.x1]
    gaps = list(pairwise(line.fragments[0].words))
    return (
        bool(inner)
        and (len(inner) > 1 or any(a.x0 < inner[0] < a.x1 for a in line.fragments[0].words))
        and all(b.x0 - a.x1 < 0.6 * line.size for a, b in gaps)
    )


def _header(head: list[Line], bounds: list[tuple[float, float]], page: Page) -> list[str]:
    """One name per column; a heading that spans several columns stands before each of theirs, joined with " / "."""
    if not head:
        return []
    names: list[list[str]] = [[] for _ in bounds]
    partial = [r for r in page.horizontal if r.x1 - r.x0 < 0.9 * (bounds[-1][1] - bounds[0][0])]
    for line in head:
        lowest = line is head[-1]  # the line next to the figures names one column each
        apart = _pieces(line, [], 0.5)
        if lowest and len(apart) == len(bounds):
            for column, piece in enumerate(apart):
                names[column].append(" ".join(w.text for w in piece))
            continue
        for piece in _pieces(line, bounds, 0.22 if lowest else 0.33):
            x0, x1 = piece[0].x0, piece[-1].x1
            below = next((r for r in partial if 0 < line.y - r.y0 < 1.2 * line.size and r.x0 - 4 < (x0 + x1) / 2 < r.x1 + 4), None)
            if below is not None:
                x0, x1 = min(x0, below.x0), max(x1, below.x1)
            over = [
                i for i, (a, b) in enumerate(bounds) if min(x1, b) - max(x0, a) > 0.45 * min(b - a, x1 - x0 if below is None else b - a)
            ]
            text = " ".join(w.text for w in piece)
            for column in over or [min(range(len(bounds)), key=lambda i: abs(sum(bounds[i]) / 2 - (x0 + x1) / 2))]:
                names[column].append(text)
    return [_heading(parts) for parts in names]


def _heading(parts: list[str]) -> str:
    out = ""
    for part in dict.fromkeys(parts):
        wraps = out.endswith("-") or (part[:1].islower() and out) or re.fullmatch(r"\([^)]*\)", part)
        out = (out[:-1] + part if out.endswith("-") else f"{out} {part}" if wraps else f"{out} / {part}") if out else part
    return out


def _pieces(line: Line, bounds: list[tuple[float, float]], wide_em: float = 0.33) -> list[list[Word]]:
    """Stretches of words with ordinary blanks between them; at a column boundary a blank of `wide_em` parts them, elsewhere one of 0.5 em."""
    cuts = [b for _, b in bounds[:-1]]
    pieces: list[list[Word]] = []
    for word in (w for f in line.fragments for w in f.words):
        if pieces:
            last = pieces[-1][-1]
            on_cut = any(last.x1 - 1 <= c <= word.x0 + 1 for c in cuts)
            if word.x0 - last.x1 < (wide_em if on_cut else 0.5) * line.size:
                pieces[-1].append(word)
                continue
        pieces.append([word])
    return pieces


def _with_labels(cells: list[tuple[Line, list[str]]], column: int, rules: list[Box]) -> list[tuple[Line, list[str]]]:
    """A label centred beside several rows (a \\multirow) goes to those of its group that have none in `column`.

    A group lies between rules or wider steps; the label must stand in its middle. Where that is not so the cells stay empty: no label is
    better than a neighbour's.
    """
    steps = sorted(a[0].y - b[0].y for a, b in pairwise(cells))
    usual = steps[len(steps) // 2] if steps else 0.0
    groups: list[list[tuple[Line, list[str]]]] = []
    for number, item in enumerate(cells):
        above = cells[number - 1][0] if number else None
        split = above is None or any(item[0].y < r.y0 < above.y for r in rules) or (not rules and above.y - item[0].y > 1.25 * usual)
        if split or not groups:
            groups.append([])
        groups[-1].append(item)
    return [item for group in groups for item in _labelled(group, column)]


def _labelled(group: list[tuple[Line, list[str]]], column: int) -> list[tuple[Line, list[str]]]:
    first = min(2, len(group[0][1]) - 1)  # the first column of values
    lone = [i for i in group if i[1][column] and not any(i[1][first:])]
    rest = [i for i in group if any(i[1][first:])]
    named = [i for i in rest if i[1][column]]
    label = lone[0] if len(lone) == 1 and not named else named[0] if len(named) == 1 and not lone else None
    if label is None or len(rest) < 2:
        return group
    above, below = (sum(1 for i in rest if (i[0].y - label[0].y) * sign > 0.5) for sign in (1, -1))
    if not (above and below and abs(above - below) <= (max(1, len(rest) // 5) if lone else 0)):
        return group
    text = label[1][column]
    if lone:
        label[1][column] = ""
    for _, row in rest:
        row[column] = text
    return [i for i in group if any(i[1])]


def _joined(cells: list[tuple[Line, list[str]]], inner: list[Box], body: list[Line]) -> list[list[str]]:
    """Rows; a line without label and without figures that follows closely continues the cells above it (wrapped text)."""
    rows: list[list[str]] = []
    steps = sorted(a.y - b.y for a, b in pairwise(body))
    usual = steps[len(steps) // 2] if steps else 0.0
    last: Line | None = None
    for line, row in cells:
        filled = [c for c in row if c]
        ruled = last is not None and any(line.y < r.y0 < last.y for r in inner)
        wraps = (
            bool(rows) and not ruled and last is not None and last.y - line.y < 1.25 * usual and len(filled) < max(2, 0.6 * len([c for c in rows[-1] if c]))
            and not row[0] and not any(_NUMBERISH.search(c) for c in filled)
        )  # fmt: skip
        if wraps:
            rows[-1] = [f"{a[:-1]}{b}" if a.endswith("-") and b else f"{a} {b}".strip() for a, b in zip(rows[-1], row)]
        elif filled:
            rows.append(list(row))
        last = line
    return rows

"""Text that runs beside a figure, table or algorithm on a one-column page, and captions set side by side. Imports the line types only.

Refuses what rules span: a table's columns are no text beside a float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.readers._pdf_lines import Fragment
from sovereign.readers._pdf_page import Box, Page

_FLOAT = re.compile(r"^(?:Table|Figure|Fig\.|Algorithm|Listing)\s+[A-Z]?\d+\s*[:.]?")


@dataclass
class Side:
    """A stretch of the page in two halves; `first` is to be read before `second`."""

    first: list[Fragment]
    second: list[Fragment]
    top: float
    bottom: float


def find(frags: list[Fragment], page: Page) -> list[Side]:
    """Stretches from top to bottom that do not overlap."""
    if len(frags) < 12:
        return []
    ordered = sorted((f for f in frags if f.words), key=lambda f: -f.y)
    found: list[Side] = []
    taken: set[int] = set()
    for number, seed in enumerate(ordered):
        if id(seed) in taken:
            continue
        for other in ordered[max(0, number - 6) : number + 7]:
            left, right = (seed, other) if seed.x0 < other.x0 else (other, seed)
            if (
                id(other) in taken
                or abs(seed.y - other.y) > 0.9 * seed.size
                or left.x1 + 5 > right.x0
                or min(len(seed.glyphs), len(other.glyphs)) < 8
            ):
                continue
            side = _grown(ordered, left, right, page)
            if side:
                found.append(side)
                taken.update(id(f) for f in (*side.first, *side.second))
                break
    return found


def _grown(ordered: list[Fragment], left: Fragment, right: Fragment, page: Page) -> Side | None:
    """The largest stretch around two neighbours in which nothing crosses the gap between them."""
    low, high = left.x1, right.x0
    lefts, rights = [left], [right]
    start = min(ordered.index(left), ordered.index(right))
    for direction in (range(start - 1, -1, -1), range(start, len(ordered))):
        for index in direction:
            fragment = ordered[index]
            if fragment is left or fragment is right:
                continue
            if fragment.x1 <= high - 4:
                low = max(low, fragment.x1)
                lefts.append(fragment)
            elif fragment.x0 >= low + 4:
                high = min(high, fragment.x0)
                rights.append(fragment)
            else:
                break
    return _judged(lefts, rights, (low + high) / 2, page)


def _judged(lefts: list[Fragment], rights: list[Fragment], middle: float, page: Page) -> Side | None:
    top = min(max(f.y for f in lefts), max(f.y for f in rights)) + 8
    bottom = max(min(f.y for f in lefts), min(f.y for f in rights)) - 8
    rules = [r for r in page.horizontal if bottom - 6 < r.y0 < top + 6]
    if _spanned(rules, middle):
        return None
    inside = [[f for f in side if bottom <= f.y <= top] for side in (lefts, rights)]
    starts = [any(_FLOAT.match(f.text) for f in side) for side in inside]
    prose = [_is_prose(side) for side in (lefts, rights)]
    tables = all(sum(1 for r in rules if (r.x1 < middle) == (n == 0) and (r.x0 > middle) == (n == 1)) >= 2 for n in (0, 1))
    if starts[0] != starts[1] and prose[0 if starts[1] else 1]:
        inside[0 if starts[1] else 1] = (lefts, rights)[0 if starts[1] else 1]  # the text may reach beyond its float
    elif min(map(len, inside)) < 3 or not (tables or all(starts) or all(prose)):
        return None
    first, second = (inside[1], inside[0]) if starts[1] and not starts[0] else (inside[0], inside[1])
    return Side(first, second, max(f.y for f in (*first, *second)), min(f.y for f in (*first, *second)))


def _spanned(rules: list[Box], middle: float) -> bool:
    return sum(r.x0 < middle - 8 and r.x1 > middle + 8 for r in rules) >= 2


def _is_prose(frags: list[Fragment]) -> bool:
    """Dense flush-left lines of several words."""
    if len(frags) < 4:
        return False
    words = sum(len(f.words) for f in frags) / len(frags)
    starts = [round(f.x0 / 3) for f in frags]
    flush = max(starts.count(s) for s in set(starts)) / len(starts)
    long = sum(f.x1 - f.x0 > 14 * f.size for f in frags) / len(frags)
    return words >= 4 and flush > 0.55 and long > 0.6

"""Claims about a whole table: the best, second best or worst row, one row against another, the average of a column. Imports units, values and the shared
language reading; refuses a relation that it cannot read completely (it then says nothing, and the rows are judged one by one)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sovereign.kernel.language import lexicon as lex
from sovereign.kernel.language.numbers import read
from sovereign.kernel.language.scan import Scan, Token, scan
from sovereign.kernel.language.words import polarity, same_meaning
from sovereign.kernel.verify.findings.base import side_of
from sovereign.kernel.verify.units import Unit
from sovereign.kernel.verify.values import tolerance
from sovereign.records import Value, Verdict

NAMED = 0.6  # share of a label's telling words that the claim must say to mean that row or column
LEFT_OVER = 2  # content words of the claim that neither labels nor caption explain
_SUPERLATIVE = frozenset(
    "best worst highest lowest largest smallest fastest slowest top most least greatest strongest weakest fewest maximum minimum second runner-up".split()
)
_HIGH = frozenset("highest largest most greatest strongest maximum top".split())
_LOW = frozenset("lowest smallest least weakest fewest minimum".split())
_GENERIC = frozenset(
    """model models method methods system systems approach approaches row rows result results score scores performance value values setting
    settings dataset datasets benchmark
    benchmarks task tasks variant variants baseline baselines overall clearly consistently significantly terms among respectively listed
    test than reaches""".split()
)
_REFERENCE = frozenset(
    "none no original full baseline uncompressed unmodified unpruned unspecialized vanilla reference oracle human dense base".split()
)
_AMONG = re.compile(
    r"\b(?:among|of (?:all |the )?(?:the )?(?:\w+ )?(?:\w+ )?(?:methods|approaches|variants|strategies|systems|techniques))\b",
    re.IGNORECASE,
)
_LOWER_BETTER = re.compile(r"lower (?:is|are|=) better|↓|smaller is better", re.IGNORECASE)


@dataclass(frozen=True)
class TableRuling:
    """A relation that a table settles: verdict, one line, and the row that shows it."""

    verdict: Verdict
    reason: str
    unit: Unit


@dataclass(frozen=True)
class Grid:
    """One table as numbers: labels of its entities, labels of its attributes, cell values (None where there is no number)."""

    entities: tuple[str, ...]
    attributes: tuple[str, ...]
    cells: tuple[tuple[Value | None, ...], ...]
    caption: str
    units: tuple[Unit, ...]  # the unit that shows each entity


def judge_tables(claim: Scan, items: tuple[Unit, ...]) -> TableRuling | None:
    """The first table whose relation the claim states and which settles it; None when no table does."""
    if claim.negations or not _relational(claim):
        return None
    for rows in _tables(items):
        for grid in (_grid(rows), _turned(rows)):
            if grid is not None and (found := _judge(claim, grid)) is not None:
                return found
    return None


def _relational(claim: Scan) -> bool:
    return any(
        t.low in _SUPERLATIVE or (polarity(t.low) not in {"", "same"}) or t.low in {"average", "mean", "leads", "ahead", "behind"}
        for t in claim.tokens
    )


def _tables(items: tuple[Unit, ...]) -> list[list[Unit]]:
    groups: dict[tuple[str, tuple[str, ...]], list[Unit]] = {}
    for unit in items:
        if unit.table is not None and len(unit.table.cells) == len(unit.table.header):
            groups.setdefault((unit.table.caption, unit.table.header), []).append(unit)
    return [rows for rows in groups.values() if len(rows) >= 2]


def _cell(text: str, header: str) -> Value | None:
    clean = re.sub(r"\[[A-Z]+\]|[*_\\$]", "", text).strip()
    match = re.match(r"^[-+−–]?\s*(?=[\d.])", clean)
    if match is None or not clean:
        return None
    value = read(clean, match.end())
    return value if value is not None and len(clean) - (value.end - value.start) <= 14 else None


def _grid(rows: list[Unit]) -> Grid | None:
    """Rows are the entities."""
    table = rows[0].table
    if table is None or len(table.header) < 2:
        return None
    cells = tuple(tuple(_cell(c, h) for c, h in zip(r.table.cells[1:], table.header[1:])) for r in rows if r.table is not None)
    labels = tuple(r.table.cells[0] for r in rows if r.table is not None)
    return Grid(labels, table.header[1:], cells, f"{table.caption} {rows[0].around}", tuple(rows))


def _turned(rows: list[Unit]) -> Grid | None:
    """Columns are the entities."""
    grid = _grid(rows)
    if grid is None or len(grid.attributes) < 2:
        return None
    cells = tuple(tuple(grid.cells[i][j] for i in range(len(grid.entities))) for j in range(len(grid.attributes)))
    return Grid(grid.attributes, grid.entities, cells, grid.caption, tuple(rows[0] for _ in grid.attributes))


@dataclass(frozen=True)
class Mention:
    index: int
    start: int
    share: float
    used: frozenset[int]


def _mentions(claim: Scan, labels: tuple[str, ...]) -> list[Mention]:
    """Labels that the claim names, the more specific ones first choice; every word of the claim names one label only."""
    scans = [scan(re.sub(r"\[[A-Z]+\]|\((?:%|[^()]{1,6}|[^()]*better)\)|[↓↑]", "", label)) for label in labels]
    common = set.intersection(*({t.key for t in s.content} for s in scans)) if len(scans) > 1 else set()
    found: list[Mention] = []
    for index, label in enumerate(scans):
        telling = [t for t in label.content if t.key not in common] or list(label.content)
        if not telling:
            continue
        hits = {i for i, t in enumerate(claim.content) for w in telling if _same(t, w)}
        said = sum(any(_same(t, w) for t in claim.content) for w in telling)
        own = [i for i in hits if _distinguishes(scans, index, claim.content[i])]
        if own and said / len(telling) >= NAMED:
            found.append(Mention(index, min(claim.content[i].start for i in own), said / len(telling), frozenset(hits)))
    found.sort(key=lambda m: (-len(m.used), -m.share, m.start))
    out: list[Mention] = []
    for mention in found:
        taken = frozenset[int]().union(*(other.used for other in out))
        exclusive = mention.used - taken
        if not exclusive or (mention.used & taken and not any(_distinguishes(scans, mention.index, claim.content[i]) for i in exclusive)):
            continue
        out.append(mention)
    return sorted(out, key=lambda m: m.start)


def _distinguishes(labels: list[Scan], index: int, token: Token) -> bool:
    """The word stands in this label and in no other ("random" in "prune-random", of "prune-random" and "prune-router")."""
    return not any(_same(token, w) for k, label in enumerate(labels) if k != index for w in label.content)


def _same(a: Token, b: Token) -> bool:
    if a.value is not None or b.value is not None:
        return a.value is not None and b.value is not None and abs(a.value.low - b.value.low) < 1e-9
    return a.key == b.key or a.low == b.low


def _judge(claim: Scan, grid: Grid) -> TableRuling | None:
    entities = _mentions(claim, grid.entities)
    attributes = _mentions(claim, grid.attributes)
    chosen = [m.index for m in attributes] or [j for j in range(len(grid.attributes)) if sum(row[j] is not None for row in grid.cells) >= 2]
    if (not entities and not _average(claim)) or not chosen or not _explained(claim, grid, entities, attributes):
        return None
    if _average(claim) and not entities:
        return _check_average(claim, grid, chosen)
    superlative = next((t for t in claim.tokens if t.low in _SUPERLATIVE), None)
    if claim.words & {"second", "2th", "runner-up"} and not re.search(
        r"second[ -](?:best|highest|lowest|largest|smallest|fastest|worst)|ranks? second", claim.text, re.IGNORECASE
    ):
        return None  # two places in one sentence
    if superlative is not None and attributes and attributes[0].start < superlative.start < entities[0].start:
        return None  # "merge has the best accuracy" ranks merge among the methods, not accuracy among the columns
    if superlative is not None and len(entities) == 1 and "than" not in claim.words:
        return _check_superlative(claim, grid, entities[0].index, chosen, superlative)
    if len(entities) == 2 and (attributes or not claim.quantities) and not claim.words & {"from", "going"}:
        return _check_pair(claim, grid, entities, chosen)
    if len(entities) == 2 and len(attributes) == 1 and "from" in claim.words:
        return _check_shift(claim, grid, entities, chosen[0])
    return None


def _average(claim: Scan) -> bool:
    return bool(claim.words & {"average", "mean"}) and bool(claim.quantities)


def _explained(claim: Scan, grid: Grid, entities: list[Mention], attributes: list[Mention]) -> bool:
    """Labels, caption and generic words account for all but a little of what the claim says."""
    used = {i for m in (*entities, *attributes) for i in m.used}
    around = scan(grid.caption)
    left = 0
    for i, token in enumerate(claim.content):
        if i in used or token.kind == "q" or token.weak or token.low in _GENERIC or token.low in _SUPERLATIVE or polarity(token.low):
            continue
        if token.key in around.stems or any(t.kind == "w" and same_meaning(token.low, t.low) for t in around.content):
            continue
        if token.kind == "n" or token.low in lex.UNIVERSAL:
            return False
        left += 1
    return left <= LEFT_OVER


def _less_is_better(grid: Grid, column: int) -> bool:
    header = grid.attributes[column]
    if _LOWER_BETTER.search(header) or "↑" in header:
        return "↑" not in header
    words = [t.low for t in scan(header).tokens]
    known = next((lex.METRICS[w] for w in words if w in lex.METRICS), None)
    if known is None:
        known = next((lex.METRICS[t.low] for t in scan(grid.caption).tokens if t.low in lex.METRICS), None)
    return bool(known)


def _wants_high(word: str, grid: Grid, column: int) -> bool:
    if word in _HIGH:
        return True
    if word in _LOW:
        return False
    better = word in {"best", "fastest", "second", "runner-up"}
    return better != _less_is_better(grid, column)


def _check_superlative(claim: Scan, grid: Grid, entity: int, columns: list[int], word: Token) -> TableRuling | None:
    """ "X has the highest C", "X is second best on C"."""
    place = 1 if claim.words & {"second", "runner-up", "2th"} else 0
    named = next((t.low for t in claim.tokens if t.low in _SUPERLATIVE and t.low not in {"second", "2th"}), "best")
    right = wrong = 0
    line = ""
    for j in columns:
        column = [(cell.low, i) for i, row in enumerate(grid.cells) if (cell := row[j]) is not None]
        own = grid.cells[entity][j]
        if own is None or len(column) < 2:
            continue
        column.sort(reverse=_wants_high(named, grid, j))
        rank = [v for v, _ in column].index(own.low)
        candidates = [(v, i) for v, i in column if i == entity or not _is_reference(grid.entities[i])]
        if len(candidates) < len(column) and ([v for v, _ in candidates].index(own.low) == place) != (rank == place):
            if not _AMONG.search(claim.text):
                return None  # it depends on whether the row that the others are compared with is one of them
            column, rank = candidates, [v for v, _ in candidates].index(own.low)
        first = grid.entities[column[place][1]] if place < len(column) else ""
        right, wrong = (right + 1, wrong) if rank == place else (right, wrong + 1)
        line = f"{grid.attributes[j]}: {grid.entities[entity]} {own.raw}, {first} {column[min(place, len(column) - 1)][0]:g}"
    return _settled(right, wrong, f"{named}: {line}", grid.units[entity], "comparator", f"“{word.text}”")


def _is_reference(label: str) -> bool:
    return bool({t.low for t in scan(label).tokens} & _REFERENCE)


def _check_pair(claim: Scan, grid: Grid, entities: list[Mention], columns: list[int]) -> TableRuling | None:
    """ "X beats Y on C", with the margin where one is stated."""
    pivot = next(
        (t for t in claim.tokens if t.kind == "w" and (polarity(t.low) not in {"", "same"} or t.low in {"leads", "ahead", "behind"})), None
    )
    if pivot is None:
        return None
    first, second = entities
    sign = 1 if polarity(pivot.low) in {"up", "good", "fast"} or pivot.low in {"leads", "ahead"} else -1
    absolute = polarity(pivot.low) in {"up", "down"}
    right = wrong = 0
    line = ""
    for j in columns:
        a, b = grid.cells[first.index][j], grid.cells[second.index][j]
        if a is None or b is None:
            continue
        difference = a.low - b.low
        if not absolute and _less_is_better(grid, j):
            difference = -difference
        holds = difference * sign > 0 and _margin(claim, a, b, [grid.entities[m.index] for m in entities])
        right, wrong = (right + 1, wrong) if holds else (right, wrong + 1)
        if not holds or not line:
            line = f"{grid.attributes[j]}: {grid.entities[first.index]} {a.raw}, {grid.entities[second.index]} {b.raw}"
    return _settled(right, wrong, line, grid.units[first.index], "comparator", f"“{pivot.text}”")


_BASE = re.compile(
    r"(?:instead of|rather than|than|compared (?:with|to)|against|over|unlike|from|with)\s+(?:an? |the |its )?$", re.IGNORECASE
)


def _check_shift(claim: Scan, grid: Grid, entities: list[Mention], column: int) -> TableRuling | None:
    """ "With Y instead of X, C drops from 72.3 to 71.6": the value after "from" is X's, the one after "to" Y's, and the change has the named direction."""
    base = [m for m in entities if (lead := _BASE.search(claim.text[: m.start])) and not lead.group().lower().startswith("with ")]
    used = {i for m in entities for i in m.used}
    figures = {side_of(claim, t): t.value for i, t in enumerate(claim.content) if i not in used and t.value is not None}
    moves = {polarity(t.low) for t in claim.content if t.kind == "w"} & {"up", "down"}
    if len(base) != 1 or set(figures) != {"from", "to"} or len(moves) != 1:
        return None
    other = next(m for m in entities if m is not base[0])
    old, new = grid.cells[base[0].index][column], grid.cells[other.index][column]
    if old is None or new is None or old.low == new.low:
        return None
    stated = [figures["from"], figures["to"]]
    fits, turned = (all(_near(v, v.low, cell.low) for v, cell in zip(stated, cells, strict=True)) for cells in ((old, new), (new, old)))
    holds = fits and (new.low > old.low) == (moves == {"up"})
    line = f"{grid.attributes[column]}: {grid.entities[base[0].index]} {old.raw}, {grid.entities[other.index]} {new.raw}"
    said = f"from {stated[0].raw} to {stated[1].raw}"
    return _settled(int(holds), int(not holds and (fits or turned)), line, grid.units[other.index], "direction", said)


def _margin(claim: Scan, a: Value, b: Value, labels: list[str]) -> bool:
    """Every figure that the claim states as a margin follows from the two cells, or is one of them; figures of labels are no margin."""
    named = {t.value.low for label in labels for t in scan(label).quantities if t.value is not None}
    for token in claim.quantities:
        value = token.value
        if value is None or (value.unit == "" and value.low in named):
            continue
        options = [abs(a.low - b.low), a.low, b.low]
        if min(abs(a.low), abs(b.low)) > 0:
            options += (
                [100 * abs(a.low - b.low) / abs(b.low), max(a.low, b.low) / min(a.low, b.low)]
                if value.unit in {"percent", "ratio", ""}
                else []
            )
        if not any(_near(value, abs(value.low), o) for o in options):
            return False
    return True


def _near(value: Value, number: float, cell: float) -> bool:
    """`number`, read from `value`, is the cell's within the rounding of how the value was written."""
    return abs(number - cell) <= tolerance(value) * (1 + 1e-6) + 1e-9


def _check_average(claim: Scan, grid: Grid, columns: list[int]) -> TableRuling | None:
    wanted = next((t.value for t in claim.quantities if t.value is not None and (t.value.decimals or 0) > 0), None)
    if wanted is None or len(columns) != 1:
        return None
    column = [row[columns[0]] for row in grid.cells]
    numbers = [v.low for v in column if v is not None]
    if len(numbers) < 2 or len(numbers) != len(column):
        return None
    mean = sum(numbers) / len(numbers)
    good = _near(wanted, wanted.low, mean)
    line = f"{grid.attributes[columns[0]]}: the mean of {len(numbers)} rows is {mean:.4g}"
    return _settled(int(good), int(not good), line, grid.units[0], "value", wanted.raw)


def _settled(right: int, wrong: int, line: str, unit: Unit, slot: str, said: str) -> TableRuling | None:
    if right and not wrong:
        return TableRuling(Verdict.SUPPORTED, f"the table settles it ({line})", unit)
    if wrong and not right:
        return TableRuling(Verdict.CONTRADICTED, f"{slot}: the claim says {said}, the source says otherwise ({line})", unit)
    return None

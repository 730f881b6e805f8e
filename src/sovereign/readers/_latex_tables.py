"""LaTeX tabulars as header and rows of text. Imports the package's LaTeX text only; knows nothing of documents."""

from __future__ import annotations

import re

from sovereign.readers import _tex
from sovereign.readers._latex_text import convert

MAX_COLUMNS = 200
TABULARS = frozenset("tabular tabularx tabulary tabu longtable supertabular array tblr NiceTabular longtblr xltabular".split())
_RULE = re.compile(
    r"\\(hline|toprule|midrule|bottomrule|Xhline|Xhline|hdashline|specialrule|cmidrule|cline|cdashline|addlinespace|arrayrulecolor|rowcolor|noalign|endhead"
    r"|endfirsthead|endfoot|endlastfoot|thickhline)(?![A-Za-z])\s*(?:\([^)]*\)\s*)?((?:\[[^\]]*\])?\s*(?:\{[^{}]*\}\s*){0,3})"
)
_FULL_RULE = frozenset(["hline", "midrule", "Xhline", "hdashline", "specialrule", "thickhline"])


def parse(environment: str, body: str, labels: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """(header, rows). The header is what stands above the first full rule inside the table, its lines joined per column; else the first row."""
    at = 0
    if environment in ("tabularx", "tabulary", "xltabular"):
        _, at = _tex.argument(body, at)
    _, at = _tex.optional(body, at)
    _, at = _tex.argument(body, at)
    grid: list[list[str]] = []
    header_rows = 0
    spans: dict[int, tuple[int, str]] = {}  # column -> rows that a \multirow still covers, and its text
    for piece in split_top(body[at:], "\\\\"):
        piece = re.sub(r"\A\s*(?:\*|\[[^\]\n]{0,20}\])", "", piece)  # what followed the line break: \\* or \\[2pt]
        rules = {m.group(1) for m in _RULE.finditer(piece)}
        if rules & _FULL_RULE and grid and not header_rows:
            header_rows = len(grid)
        cells = _cells(_RULE.sub(" ", piece), labels, spans)
        if any(cells):
            grid.append(cells)
    if not grid:
        return [], []
    header_rows = header_rows if 0 < header_rows < len(grid) and header_rows <= 4 else min(1, len(grid) - 1)
    width = max(map(len, grid))
    grid = [row + [""] * (width - len(row)) for row in grid]
    return [_joined([row[i] for row in grid[:header_rows]]) for i in range(width)] if header_rows else [], grid[header_rows:]


def _joined(parts: list[str]) -> str:
    return " / ".join(dict.fromkeys(p for p in parts if p))


def _cells(row: str, labels: dict[str, str], spans: dict[int, tuple[int, str]]) -> list[str]:
    cells: list[str] = []
    for piece in split_top(row, "&"):
        if len(cells) >= MAX_COLUMNS:
            break
        wide = re.match(r"\s*\\multicolumn\s*\{\s*(\d{1,3})\s*\}", piece)
        columns = min(int(wide.group(1)), MAX_COLUMNS - len(cells)) if wide else 1
        tall = re.search(r"\\multirow\s*(?:\[[^\]]*\])?\s*\{\s*\*?(-?\d{1,3})\s*\}", piece)
        text = " ".join(convert(piece, labels).text.split())
        column = len(cells)
        if tall and text:
            spans[column] = (abs(int(tall.group(1))), text)
        elif not text and column in spans:
            text = spans[column][1]
        cells += [text] * columns
    for column, (left, text) in list(spans.items()):
        if left <= 1:
            del spans[column]
        else:
            spans[column] = (left - 1, text)
    return cells


def split_top(source: str, mark: str) -> list[str]:
    """`source` cut at `mark` outside braces and inner environments."""
    pieces: list[str] = []
    depth = inner = at = start = 0
    while at < len(source):
        char = source[at]
        if depth == 0 and inner == 0 and source.startswith(mark, at):
            pieces.append(source[start:at])
            at += len(mark)
            start = at
            continue
        if mark == "\\\\" and depth == 0 and inner == 0 and source.startswith("\\tabularnewline", at):
            pieces.append(source[start:at])
            at += len("\\tabularnewline")
            start = at
            continue
        if char == "\\":
            inner += 1 if source.startswith("\\begin{", at) else -1 if source.startswith("\\end{", at) and inner else 0
            at += 2
            continue
        depth = depth + 1 if char == "{" else max(0, depth - 1) if char == "}" else depth
        at += 1
    pieces.append(source[start:])
    return pieces

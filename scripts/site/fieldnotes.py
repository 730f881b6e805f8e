"""What the code says beside a field: the comment at the end of its line, or its name in the class's docstring. Standard library only.

`x: int  # seconds` and a docstring line `x: seconds` both document x; scripts/site/reference.py prints both.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import NamedTuple


class Member(NamedTuple):
    """One field or one member of an enumeration: its name, what it is declared as, its value or default as written, and what is said of it."""

    name: str
    kind: str
    value: str
    meaning: str


class Told(NamedTuple):
    """One class: what its docstring says of it as a whole, its fields in order, and its properties and methods as fields without a value."""

    name: str
    base: str
    text: str
    fields: tuple[Member, ...]
    readings: tuple[Member, ...]


def comments(source: str) -> dict[int, str]:
    """Line number -> comment that stands behind code on that line."""
    found: dict[int, str] = {}
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            text = token.string.lstrip("# ").strip()
            if lines[row - 1][:column].strip() and not text.startswith(("noqa", "type:", "fmt:")):
                found[row] = text
    return found


def said(docstring: str, names: set[str]) -> tuple[str, dict[str, str]]:
    """The docstring without what it says of single fields, and (field -> what it says). `low/high: ...` speaks of both."""
    words = "|".join(sorted((re.escape(n) for n in names), key=len, reverse=True))
    if not words:
        return docstring, {}
    mark = re.compile(rf"(?:(?<=\n)|(?<=[.;:)] )|^)((?:{words})(?:\s*/\s*(?:{words}))*): ", re.M)
    parts = mark.split(docstring)
    told: dict[str, str] = {}
    for keys, text in zip(parts[1::2], parts[2::2], strict=True):
        own, _, rest = text.partition("\n\n")
        for key in re.split(r"\s*/\s*", keys):
            told[key] = " ".join(own.split())
        if rest.strip():
            parts[0] = f"{parts[0].rstrip()}\n\n{rest}"
    return parts[0].strip(), told


def classes(source: str) -> list[Told]:
    """Every public class of a module in order."""
    beside = comments(source)
    found = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    return [_told(node, beside) for node in found]


def _told(node: ast.ClassDef, beside: dict[int, str]) -> Told:
    declared: list[tuple[str, str, str, int]] = []
    readings = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            declared.append((item.target.id, ast.unparse(item.annotation), _value(item.value), item.lineno))
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            declared.append((item.targets[0].id, "", _value(item.value), item.lineno))
        elif isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            gives = ast.unparse(item.returns) if item.returns else ""
            readings.append(Member(item.name, gives, "", " ".join((ast.get_docstring(item) or "").split())))
    text, told = said(ast.get_docstring(node) or "", {d[0] for d in declared})
    fields = tuple(
        Member(name, kind, value, "; ".join(x for x in (told.get(name, "").rstrip("."), beside.get(line, "")) if x))
        for name, kind, value, line in declared
    )
    base = ast.unparse(node.bases[0]) if node.bases else ""
    return Told(node.name, base, text, fields, tuple(readings))


def _value(node: ast.expr | None) -> str:
    """A default as a reader writes it: `field(default_factory=dict)` is `{}`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "field":
        made = {k.arg: ast.unparse(k.value) for k in node.keywords}
        return made.get("default") or {"dict": "{}", "list": "[]"}.get(made.get("default_factory", ""), "")
    return (
        "" if node is None else str(node.value) if isinstance(node, ast.Constant) and not isinstance(node.value, str) else ast.unparse(node)
    )

"""Code documents: functions and classes of the interpreter's own standard library without docstrings.

Standard library and numpy only. Refuses third-party code (licences differ) and test files.
"""

from __future__ import annotations

import ast
import functools
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sovereign.errors import LabInput
from sovereign.lab.corpora._splits import side

MIN_CHARS, MAX_CHARS = 160, 1600
_SKIPPED = ("test", "tests", "site-packages", "dist-packages", "idlelib", "lib2to3", "turtledemo", "__pycache__", "pydoc_data", "encodings")


@functools.cache
def library_files(split: str) -> tuple[Path, ...]:
    """Files of the standard library on one side of the split, sorted. Raises LabInput where the interpreter ships no sources."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [p for p in sorted(root.rglob("*.py")) if not any(part in _SKIPPED for part in p.relative_to(root).parts[:-1])]
    kept = [p for p in files if side(p.relative_to(root).as_posix()) == split]
    if not kept:
        raise LabInput("This interpreter ships no library sources.", mend="Use a CPython with its .py files, or give your own prompts.")
    return tuple(kept)


def parsed(path: Path) -> ast.Module | None:
    """None for a file that this interpreter cannot read or parse."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
        return None


def documents(split: str, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    found: list[str] = []
    files = library_files(split)
    for i in rng.permutation(len(files)):
        bodies = _functions_of(files[i])
        # At most a dozen functions of one file: no single module dominates.
        found += [bodies[j] for j in rng.permutation(len(bodies))[:12]]
        if len(found) >= count:
            return found[:count]
    if not found:
        raise LabInput("No function of usable size was found in the standard library.", mend="Give your own prompts.")
    return [found[i % len(found)] for i in range(count)]


@functools.cache
def _functions_of(path: Path) -> tuple[str, ...]:
    tree = parsed(path)
    return () if tree is None else tuple(_functions(tree))


def _functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.unparse(_bare(node))
            if len(text) >= MIN_CHARS:
                yield text[:MAX_CHARS]


def _bare(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and ast.get_docstring(inner, clean=False) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return node

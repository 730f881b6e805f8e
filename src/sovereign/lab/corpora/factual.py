"""Factual documents: the interpreter's installed documentation (topics and docstrings) and statements about invented places.

Standard library and numpy only. Refuses to share a topic, a file or a template between the splits; invented facts are about invented places only.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path

import numpy as np

from sovereign.lab.corpora import source_code
from sovereign.lab.corpora._splits import side

MIN_CHARS, MAX_CHARS = 160, 1200
_FIRST = {"train": ("Al", "Bra", "Cor", "Del", "Eri", "Fal", "Gor", "Hes", "Ist"), "heldout": ("Kel", "Lor", "Mun", "Nav", "Ost", "Pra")}
_LAST = {"train": ("dova", "mark", "stan", "berg", "villa", "ton", "heim"), "heldout": ("rica", "land", "polis", "grad")}
TRAIN = (
    "{a} is the capital of {b} and has about {x} thousand inhabitants.",
    "The river {a} rises in {b} and flows for {x} kilometres to the sea.",
    "The climate of {a} is mild, with an average temperature of {y} degrees.",
    "{a} was founded in {z} and became part of {b} a century later.",
    "The economy of {a} is based on fishing, timber and the export of copper.",
    "According to the census of {z}, the region covers {x} square kilometres.",
    "Mount {a} is the highest peak in {b}, with a height of {x} metres.",
)
HELDOUT = (
    "Located in the north of {b}, the town of {a} is known for its university, which was established in {z}.",
    "The lake of {a} has a depth of {y} metres and contains fresh water.",
    "{b} borders {a} in the east; its official currency was introduced in {z}.",
    "The population of {a} speaks two languages, and the literacy rate is {y} percent.",
)


def documents(split: str, count: int, seed: int) -> list[str]:
    """Two documentation texts for every invented one."""
    rng = np.random.default_rng(seed)
    read = list(_topics(split)) + _docstrings(split, rng, 4 * count)
    order = rng.permutation(len(read))
    texts = []
    for i in range(count):
        if i % 3 == 2 or not read:
            texts.append(_invented(split, rng))
        else:
            texts.append(read[order[(i - i // 3) % len(read)]])
    return texts


@functools.cache
def _topics(split: str) -> tuple[str, ...]:
    """Prose paragraphs of the language reference that ships with CPython; an interpreter without it gives none."""
    try:
        topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        return ()
    found: list[str] = []
    for name in sorted(topics):
        if side("topic/" + name) == split:
            paragraphs = [re.sub(r"\s+", " ", p).strip() for p in topics[name].split("\n\n") if not p.startswith((" ", "*", "+"))]
            text = " ".join(p for p in paragraphs if len(p) > 60)
            found += [text[i : i + MAX_CHARS] for i in range(0, min(len(text), 3 * MAX_CHARS), MAX_CHARS) if len(text) - i >= MIN_CHARS]
    return tuple(found)


def _docstrings(split: str, rng: np.random.Generator, wanted: int) -> list[str]:
    files = source_code.library_files(split)
    found: list[str] = []
    for i in rng.permutation(len(files))[:80]:
        found += _docstrings_of(files[i])
        if len(found) >= wanted:
            break
    return found[:wanted]


@functools.cache
def _docstrings_of(path: Path) -> tuple[str, ...]:
    """At most ten long docstrings of a file, without examples of interactive use: those are code, and prose is wanted."""
    tree = source_code.parsed(path)
    nodes = [] if tree is None else [n for n in ast.walk(tree) if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    texts = (re.sub(r"\s+", " ", ast.get_docstring(n) or "").strip() for n in nodes)
    return tuple(t[:MAX_CHARS] for t in texts if len(t) >= MIN_CHARS and ">>>" not in t)[:10]


def _invented(split: str, rng: np.random.Generator) -> str:
    patterns = TRAIN if split == "train" else HELDOUT

    def place() -> str:
        return str(rng.choice(_FIRST[split])) + str(rng.choice(_LAST[split]))

    a, b = place(), place()
    picks = rng.permutation(len(patterns))[:4]
    return " ".join(
        patterns[i].format(a=a, b=b, x=int(rng.integers(20, 900)), y=int(rng.integers(4, 90)), z=int(rng.integers(1100, 1990)))
        for i in picks
    )

"""Picks the units of one document that could speak to a claim: BM25 and hashed character n-grams, fused. Imports numpy and the shared language reading.

Refuses any statistics beyond the document itself, so that a verdict depends on claim and source only.
BM25: Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75. Fusion: equal weights of the scores scaled to their maximum.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np

from sovereign.kernel.language.scan import Token, scan
from sovereign.kernel.verify.units import Unit, Units

DIMENSION = 1024
_K1, _B = 1.2, 0.75


@dataclass
class Index:
    postings: dict[str, list[tuple[int, int]]]
    lengths: list[int]
    mean: float
    vectors: Any  # float32 (units, DIMENSION)


def index_of(units: Units) -> Index:
    """The document's own index, made once per document."""
    if not isinstance(units.index, Index):
        units.index = _build(units.items)
    return units.index


def _terms(text: str) -> list[str]:
    return [_term(t) for t in scan(text).content]


def _term(token: Token) -> str:
    if token.kind == "q" and token.value is not None:
        return f"#{token.value.low:g}"
    return token.key


def _build(items: tuple[Unit, ...]) -> Index:
    postings: dict[str, list[tuple[int, int]]] = {}
    lengths = []
    rows = np.zeros((len(items), DIMENSION), dtype=np.float32)
    for i, unit in enumerate(items):
        counts = Counter(_terms(unit.plain))
        lengths.append(sum(counts.values()))
        for term, n in counts.items():
            postings.setdefault(term, []).append((i, n))
        rows[i] = embed_one(unit.plain)
    return Index(postings, lengths, sum(lengths) / max(1, len(lengths)) or 1.0, rows)


@lru_cache(maxsize=200000)
def _slot(gram: str) -> tuple[int, float]:
    h = crc32(gram.encode("utf-8"))
    return h % DIMENSION, 1.0 if h & 0x80000000 else -1.0


@lru_cache(maxsize=65536)
def _grams(word: str) -> tuple[tuple[int, float], ...]:
    """Hashed character 3- to 5-grams of one word with its edges; the sign is a second hash bit."""
    padded = f" {word} "
    return tuple(_slot(padded[i : i + n]) for n in (3, 4, 5) for i in range(max(0, len(padded) - n + 1)))


def embed_one(text: str) -> Any:
    """Hashed character n-grams of the content words, unit length, all zero where there are none. float32 (DIMENSION,)."""
    counts: dict[int, float] = {}
    for token in scan(text).content:
        for at, sign in _grams(token.low[:40]):
            counts[at] = counts.get(at, 0.0) + sign
    vector = np.zeros(DIMENSION, dtype=np.float32)
    for at, value in counts.items():
        vector[at] = math.copysign(math.sqrt(abs(value)), value)
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else vector


def ranked(claim: str, units: Units, limit: int = 8) -> list[tuple[Unit, float, float]]:
    """(unit, fused score, n-gram cosine) of the best units, best first; ties in document order."""
    items = units.items
    if not items:
        return []
    index = index_of(units)
    lexical = [0.0] * len(items)
    total = len(items)
    for term in dict.fromkeys(_terms(claim)):
        hits = index.postings.get(term, ())
        if not hits:
            continue
        idf = math.log(1 + (total - len(hits) + 0.5) / (len(hits) + 0.5)) + 0.1
        for i, n in hits:
            lexical[i] += idf * n * (_K1 + 1) / (n + _K1 * (1 - _B + _B * index.lengths[i] / index.mean))
    cosine = index.vectors @ embed_one(claim)
    top_lexical, top_cosine = max(lexical) or 1.0, max(float(cosine.max()), 1e-6)
    fused = [0.5 * lexical[i] / top_lexical + 0.5 * max(0.0, float(cosine[i])) / top_cosine for i in range(total)]
    order = sorted(range(total), key=lambda i: (-fused[i], i))[:limit]
    return [(items[i], fused[i], float(cosine[i])) for i in order]

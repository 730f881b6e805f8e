"""LFU per layer: each layer keeps the experts it used most often so far.

Claim: popularity is skewed and stable. Source: the counterpart of LRU in arXiv 2608.07911. Setup: counts of all uses, kept after eviction,
ties by recency, forced admission. Falsified if: it loses to LRU on traces with stationary popularity.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "lfu"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="lfu", slots=case.per_layer)

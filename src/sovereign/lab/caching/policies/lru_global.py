"""LRU over one pool of all layers: the straw man to know of, not a baseline.

Claim: layers are visited in a cycle, so one LRU pool evicts just what comes next as soon as a step needs more than the pool holds. Setup: as
many slots as the per-layer caches together. Falsified if: it reaches per-layer LRU at batch 8 and a quarter of the experts.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "lru_global"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="lru", scope="global", slots=case.in_all)

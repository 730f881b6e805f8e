"""LRU per layer (Cache-MoE): each layer keeps the experts it used last.

Claim: neighbouring tokens share experts. Source: Eliseev & Mazur, arXiv 2312.17238; the baseline "Cache-MoE" of arXiv 2410.17954. Setup: the
same number of slots in every layer, forced admission. Falsified if: hits do not exceed static frequency at batch 1.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "lru"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="lru", slots=case.per_layer)

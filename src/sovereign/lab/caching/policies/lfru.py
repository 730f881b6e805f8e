"""LFRU per layer: frequency weighed by recency, each use fading exponentially.

Claim: between LRU and LFU lies something better than both. Source: LRFU (Lee et al., 2001), the family of the "LFRU" caches in inference
servers; their exact weights differ. Setup: half-life of 14 uses of the layer. Falsified if: it loses to both LRU and LFU.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "lfru"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="lfru", slots=case.per_layer)

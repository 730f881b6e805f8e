"""ARC per layer: recency and frequency share the slots, ghosts of both move the border.

Claim: no parameter has to be chosen between LRU and LFU. Source: Megiddo and Modha, FAST 2003. Setup: as many remembered experts as slots in each
layer, event-atomic as caching/queues.py says. Falsified if: it has fewer hits than both LRU and LFU at equal slots.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "arc"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="arc", slots=case.per_layer)

"""S3-FIFO per layer: new experts pass a small queue first, only those used again in time reach the main one.

Claim: quick demotion of what is used once beats LRU on skewed requests. Source: Yang et al., SOSP 2023 (doi 10.1145/3600006.3613147). Setup: a tenth
of a layer's slots is the small queue, event-atomic as caching/queues.py says. Falsified if: it has fewer hits than LRU at equal slots.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "s3_fifo"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="s3fifo", slots=case.per_layer)

"""On demand: nothing is kept; each layer copies what its gate chose, then computes.

Claim: the smallest and the slowest. Source: the naive baseline of arXiv 2312.17238 and 2410.17954. Setup: no cache, no overlap, a double
buffer for streaming. Falsified if: it moves fewer bytes than any cache.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "on_demand"
ORACLE = False


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, slots=0, overlap=False)

"""Belady: what is needed farthest in the future goes, and what comes back later than anything resident is not admitted.

Claim: the fewest copies that demand loading can reach. Source: Belady 1966, with bypass; event-atomic as in arXiv 2608.07911. Setup: knows
the trace; per layer. A bound, not a policy. Falsified if: any demand policy of equal slots per layer has more hits.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "belady"
ORACLE = True


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="belady", slots=case.per_layer, admission="bypass")

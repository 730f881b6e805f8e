"""Oracle prefetch: knows the whole trace and fetches what comes, as early as link and slots allow.

Claim: the bound for every prefetching policy of equal slots and link. Source: arXiv 2410.17954 (perfect predictor) taken to its end. Setup: one
pool, next-use eviction, two steps of look-ahead. Falsified if: a predictor has more hits.
"""

from __future__ import annotations

from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "oracle_prefetch"
ORACLE = True


def prepare(case: Case) -> Strategy:
    sets = forecast.truth(case.events)
    return Strategy(
        NAME,
        key="belady",
        scope="global",
        slots=case.in_all,
        admission="bypass",
        predicted=forecast.known_at_step_start(case.events, sets, ahead=sets),
        horizon=2 * case.events.layers,
    )

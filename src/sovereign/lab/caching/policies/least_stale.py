"""Least-Stale: one pool; copies fetched for layers still to come are safe, those whose layer has passed unused go first, the rest by age.

Claim: eviction must know where in the forward pass it is. Source: SpecMD, arXiv 2602.03921 (abstract only; our reading). Without prefetching
it is LRU exactly (arXiv 2608.07911). Setup: speculative prefetch of the next layer. Falsified if: it does not beat LRU with that prefetch.
"""

from __future__ import annotations

from dataclasses import replace

from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "least_stale"
ORACLE = False


def prepare(case: Case) -> Strategy:
    guess = case.forecasts.get("speculative")
    base = Strategy(NAME, key="stale", scope="global", slots=case.in_all)
    if guess is None:
        return base
    sets = forecast.unite(case.events, guess)
    return replace(
        base,
        predicted=forecast.known_before(case.events, sets, 1),
        issue="gate",
        horizon=1,
        protect=False,
        predictor_s=guess.seconds(case.events),
    )

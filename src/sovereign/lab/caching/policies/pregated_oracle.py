"""Pre-gated MoE with a gate of a given error rate: block N names the experts of block N+1.

Claim: one block of notice hides most copies. Source: arXiv 2308.12066 (a fine-tuned gate; here the true choice, each entry replaced by a random
expert at the error rate of the forecast "pregate_oracle"; forecast.flawed). Setup: the first block uses its own gate; per-layer LRU slots. The study
and `simulate` give it no errors; pregated_probe has the learned or the invented ones.
"""

from __future__ import annotations

from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "pregated_oracle"
ORACLE = True


def prepare(case: Case) -> Strategy:
    guess = case.forecast("pregate_oracle", NAME)
    sets = forecast.unite(case.events, guess)
    return Strategy(NAME, key="lru", slots=case.per_layer, predicted=forecast.known_before(case.events, sets, 1), issue="gate", horizon=1)

"""Pre-gated MoE with a learned probe: a linear map from block N's state to block N+1's experts, fitted on other requests.

Claim: as pregated_oracle, without touching the model. Source: arXiv 2308.12066; the probe instead of fine-tuning is ours. Setup: ridge
regression per layer; the first block uses its own gate. Falsified if: it is no better than the speculative gate.
"""

from __future__ import annotations

from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "pregated_probe"
ORACLE = False


def prepare(case: Case) -> Strategy:
    guess = case.forecast("pregate", NAME)
    sets = forecast.unite(case.events, guess)
    return Strategy(
        NAME,
        key="lru",
        slots=case.per_layer,
        predicted=forecast.known_before(case.events, sets, 1),
        issue="gate",
        horizon=1,
        predictor_s=guess.seconds(case.events),
        predictor_bytes=guess.nbytes,
    )

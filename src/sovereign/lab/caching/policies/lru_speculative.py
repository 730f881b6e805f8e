"""LRU per layer with speculative loading: the next layer's gate is applied to this layer's state, its top experts are fetched.

Claim: hidden states change little from layer to layer. Source: arXiv 2312.17238 section 3.2 (they fetch the top one or two). Setup: WIDTH experts
per token in the batch are fetched after the gate; layer 0 is never predicted. Falsified if: it moves no more bytes than LRU.
"""

from __future__ import annotations

from dataclasses import replace

from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "lru_speculative"
ORACLE = False
WIDTH = 2  # experts per token and layer; arXiv 2312.17238 fetches one or two


def prepare(case: Case) -> Strategy:
    guess = case.forecast("speculative", NAME)
    narrow = replace(guess, ids=guess.ids[:, :, :WIDTH], score=None if guess.score is None else guess.score[:, :, :WIDTH])
    sets = forecast.unite(case.events, narrow)
    return Strategy(
        NAME,
        key="lru",
        slots=case.per_layer,
        predicted=forecast.known_before(case.events, sets, 1),
        issue="gate",
        horizon=1,
        protect=False,
        predictor_s=guess.seconds(case.events),
    )

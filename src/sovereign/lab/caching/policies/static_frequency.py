"""Static frequency: the experts used most on other requests stay for good; everything else is streamed.

Claim: at large batches popularity is all that a cache can use. Source: static placement as in Fiddler (arXiv 2402.07033). Setup: frequencies
from training requests, per layer, no admission. Falsified if: it loses to LRU at batch 32 and equal slots.
"""

from __future__ import annotations

import numpy as np

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "static_frequency"
ORACLE = False


def prepare(case: Case) -> Strategy:
    popularity = case.known_popularity(NAME)
    experts, layers, keep = case.events.experts, case.events.layers, case.per_layer
    grid = popularity.reshape(layers, experts)
    best = np.argsort(-grid, axis=1, kind="stable")[:, :keep] + np.arange(layers)[:, None] * experts
    return Strategy(NAME, key="static", slots=keep, admission="bypass", weights=popularity, preload=best.ravel().astype(np.int32))

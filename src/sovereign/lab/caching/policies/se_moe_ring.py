"""SE-MoE ring: all experts of the next layer are copied while this layer computes; a layer waits until all of its experts are there.

Claim: copies hide behind compute when layers are few and large. Source: arXiv 2205.10034 as described by arXiv 2410.17954 (two consecutive
layers resident). Setup: one pool, first in first out; with fewer slots than two layers the rest is streamed. Falsified if: bytes per step are
fewer than all experts while the pool holds less than all.
"""

from __future__ import annotations

from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "se_moe_ring"
ORACLE = False


def prepare(case: Case) -> Strategy:
    sets = forecast.everything(case.events)
    return Strategy(
        NAME,
        key="fifo",
        scope="global",
        slots=case.in_all,
        predicted=forecast.known_before(case.events, sets, 1, across_steps=True),
        horizon=1,
        protect=False,
        load_all=True,
    )

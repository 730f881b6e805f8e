"""Forced-admit Belady: as Belady, but every miss takes a slot, as in engines that compute from slots only.

Claim: part of the distance to Belady is the freedom to bypass. Source: arXiv 2608.07911. Setup: knows the trace; per layer.
Falsified if: it has more hits than Belady with bypass.
"""

from __future__ import annotations

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "belady_forced"
ORACLE = True


def prepare(case: Case) -> Strategy:
    return Strategy(NAME, key="belady", slots=case.per_layer)

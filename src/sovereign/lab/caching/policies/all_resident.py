"""All-resident: every expert stays in the fast tier; the reference for time, memory and output.

Claim: the fastest and the largest. Source: "All-In-GPU" of arXiv 2410.17954. Setup: all experts loaded before the first step; that load is
counted apart. Falsified if: any copy happens while it runs.
"""

from __future__ import annotations

import numpy as np

from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "all_resident"
ORACLE = False


def prepare(case: Case) -> Strategy:
    total = case.events.layers * case.events.experts
    return Strategy(NAME, slots=case.events.experts, preload=np.arange(total, dtype=np.int32))

"""ExpertFlow B: how many layers ahead a copy starts follows from link and compute, and is corrected by stalls and useless copies.

Claim: a fixed look-ahead is wrong on every machine but one. Source: arXiv 2510.26730: S = N_e * E_s / (C_s * T_l), feedback, corrected pre-gate
scores, two-level LRU. Setup: forecasts "gate_1".."gate_D" (the gate of layer l+d on the state of layer l, corrected by a fitted map); high
tier of the LRU = predicted inside the window, low tier = the rest by recency. Falsified if: its stall exceeds that of pre-gating by one block.
"""

from __future__ import annotations

import math

import numpy as np

from sovereign.errors import LabInput
from sovereign.lab.caching import forecast
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "expertflow_b"
ORACLE = False


def prepare(case: Case) -> Strategy:
    events = case.events
    reach = sorted(int(n.removeprefix("gate_")) for n in case.forecasts if n.startswith("gate_"))
    guesses = [case.forecast(f"gate_{d}", NAME) for d in reach] or [case.forecast("gate_1", NAME)]
    # far forecasts first, so that at one event a nearer, better one for the same layer replaces it
    parts = [forecast.known_before(events, forecast.unite(events, g), d) for d, g in zip(reach, guesses, strict=True)]
    per_event = float(events.need().mean())
    layer_s = case.costs.attention_s + per_event * case.costs.expert_s
    first = step_size(per_event, case.costs.expert_bytes, case.costs.bandwidth, layer_s, events.layers)
    return Strategy(
        NAME,
        key="lru",
        slots=case.per_layer,
        predicted=forecast.merge(len(events), parts),
        issue="gate",
        horizon=min(first, max(reach)),
        adaptive=True,
        predictor_s=np.sum([g.seconds(events) for g in guesses], axis=0),
        predictor_bytes=sum(g.nbytes for g in guesses),
    )


def step_size(experts_needed: float, expert_bytes: float, bandwidth: float, layer_s: float, layers: int) -> int:
    """S = N_e * E_s / (C_s * T_l), rounded up, between 1 and L - 1 (arXiv 2510.26730; rounding and bounds are ours).

    Worked value: 16 experts of 12.58 MB over 25 GB/s against layers of 1 ms give 8.05 -> 9. Raises LabInput for a bandwidth of 0.
    """
    if bandwidth <= 0.0:
        raise LabInput(f"A link of {bandwidth:g} bytes/s never delivers an expert.", mend="Give a bandwidth above 0.")
    if layer_s <= 0.0:
        return max(1, layers - 1)
    return max(1, min(layers - 1, math.ceil(experts_needed * expert_bytes / (bandwidth * layer_s))))

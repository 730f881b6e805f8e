"""ExpertFlow A, refined by the gates it passes: the path predictor's far view, replaced layer by layer by probes on the running states.

Claim: what a path predictor misses, the next layers' gates on the present state mostly know. Source: ours; the path and the shared slots of
arXiv 2410.17954, the corrected pre-gate scores of arXiv 2510.26730. Setup: forecasts "gate_1".."gate_D" replace the path's rows as they become
known (counted from the start of the next layer, so a little late). Falsified if: its hit ratio is below expertflow_a's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sovereign.lab.caching import forecast
from sovereign.lab.caching.events import Events
from sovereign.lab.caching.policies import Case, expertflow_a
from sovereign.lab.caching.timeline import Predicted, Strategy

NAME = "expertflow_a_refined"
ORACLE = False


def prepare(case: Case) -> Strategy:
    base = expertflow_a.prepare(case)
    events = case.events
    reach = sorted((int(n.removeprefix("gate_")) for n in case.forecasts if n.startswith("gate_")), reverse=True)
    if not reach:
        case.forecast("gate_1", NAME)
    guesses = [case.forecast(f"gate_{d}", NAME) for d in reach]
    parts = [base.predicted or Predicted.none(len(events))]
    for d, guess in zip(reach, guesses, strict=True):
        parts.append(_from_layer(events, forecast.unite(events, guess), d))
    seconds = np.sum([g.seconds(events) for g in guesses], axis=0)
    return replace(
        base,
        name=NAME,
        predicted=forecast.merge(len(events), parts),
        predictor_s=(base.predictor_s if base.predictor_s is not None else 0.0) + seconds,
        predictor_bytes=base.predictor_bytes + sum(g.nbytes for g in guesses),
    )


def _from_layer(events: Events, sets: forecast.Sets, distance: int) -> Predicted:
    """Sets known at the start of the layer after the one that made them; layers below `distance` have none."""
    known = forecast.known_before(events, sets, distance - 1)
    keep = events.layer[known.targets] >= distance
    return forecast.only(len(events), known, keep)

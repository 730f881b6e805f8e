"""ExpertFlow A: the whole routing path is predicted before layer 0; slots are shared by all layers (PLEC); the true gate corrects.

Claim: one forward prediction fills a small cache with what comes, in the order it comes. Source: arXiv 2410.17954 section 3 (routing path
predictor, predictive locality-aware expert caching, real-time correction, dual-batch pipeline). Setup: predicted experts are fetched nearest
layer first; slots of finished layers are free for later ones, kept by expected time of next use: from the predictor's outlook, mixed
with running rates of use by how well each foretold the steps before (forecast.outlook; ours, the paper leaves retention open).
What the next token will need is fetched only where it is more likely than not. With `dual` two batches take turns and the predictor runs behind the
other batch, else its time is exposed. Falsified if: with a perfect predictor it has fewer hits than LRU at equal slots.
"""

from __future__ import annotations

import numpy as np

from sovereign.lab.caching import forecast
from sovereign.lab.caching.events import Events
from sovereign.lab.caching.policies import Case
from sovereign.lab.caching.timeline import Strategy

NAME = "expertflow_a"
ORACLE = False
SURE = 0.5  # least probability at which the next token's experts are fetched before that token is known


def prepare(case: Case) -> Strategy:
    path = case.forecast("path", NAME)
    events = case.events
    sets = forecast.unite(events, path)
    following = None
    if not case.dual and "path_next" in case.forecasts:
        following = _shifted(events, forecast.unite(events, case.forecasts["path_next"].above(SURE)))
    predicted = forecast.known_at_step_start(events, sets, following=following, ahead=sets if case.dual else None)
    return Strategy(
        NAME,
        key="expected",
        scope="global",
        slots=case.in_all,
        admission="bypass",
        outlook=forecast.outlook(events, path, case.popularity, sets=sets, dual=case.dual),
        predicted=predicted,
        horizon=2 * events.layers,
        predictor_s=path.seconds(events),
        pipelined=case.dual,
        predictor_bytes=path.nbytes,
    )


def _shifted(events: Events, sets: forecast.Sets) -> forecast.Sets:
    """The forecast that step s makes of its successor, as sets of the successor's events (empty where another batch begins)."""
    layers, n = events.layers, len(events)
    same = np.zeros(events.steps, bool)
    same[1:] = (np.diff(events.step_group) == 0) & ~events.prefill[1:]
    width = np.diff(sets.offsets)
    source = np.arange(n) - layers
    usable = np.repeat(same, layers)
    size = np.where(usable, width[np.maximum(source, 0)], 0)
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    start = np.where(usable, sets.offsets[np.maximum(source, 0)], 0)
    index = np.arange(offsets[-1]) - np.repeat(offsets[:-1], size) + np.repeat(start, size)
    return forecast.Sets(sets.ids[index], offsets)

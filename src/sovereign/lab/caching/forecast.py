"""From per-token predicted experts to what a batch is expected to need, and when that is known.

Imports numpy and the event log. Refuses nothing a predictor could say: a wrong forecast costs time, never an output.
A forecast says for row t and layer l which experts are expected; how far ahead it is known is the `kind`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput
from sovereign.lab.caching.events import Events, Ints
from sovereign.lab.caching.timeline import Predicted


@dataclass(frozen=True)
class Forecast:
    """ids int (T, L, M): experts expected by row t in layer l, most likely first; score float (T, L, M) or None (all alike).

    distance: layers ahead at which it is known; 0 means that the whole path is known before layer 0 runs (a routing path predictor).
    seconds_per_step, seconds_per_token, nbytes: what the predictor costs. Entries of -1 name nobody.
    outlook (T, L, E) where one was made: the share of the steps after this row's that will use each expert, as far as this row's request goes.
    """

    name: str
    ids: Ints
    score: NDArray[np.floating[Any]] | None = None
    distance: int = 0
    seconds_per_token: float = 0.0
    seconds_per_step: float = 0.0
    nbytes: int = 0
    outlook: NDArray[np.floating[Any]] | None = None

    def rows(self, keep: NDArray[np.bool_]) -> Forecast:
        """The forecast of some rows only."""
        cut = [None if part is None else part[keep] for part in (self.score, self.outlook)]
        return replace(self, ids=self.ids[keep], score=cut[0], outlook=cut[1])

    def above(self, least: float) -> Forecast:
        """Only the names with at least this score; all of them where there are no scores."""
        return self if self.score is None else replace(self, ids=np.where(self.score >= least, self.ids, -1))

    def seconds(self, events: Events) -> NDArray[np.float64]:
        """The predictor's time in each step (S,)."""
        seconds: NDArray[np.float64] = self.seconds_per_step + events.step_tokens.astype(np.float64) * self.seconds_per_token
        return seconds


@dataclass(frozen=True)
class Sets:
    """Expected expert sets per event: ids[offsets[i]:offsets[i+1]] are flat ids, most likely first."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]


def unite(events: Events, forecast: Forecast) -> Sets:
    """Unites the forecasts of a step's rows per layer; rank by summed score (votes where there is none)."""
    ids = forecast.ids[events.rows]
    if ids.shape[1] != events.layers:
        raise LabInput(f"The forecast {forecast.name} has {ids.shape[1]} layers, the trace {events.layers}.")
    score = np.ones(ids.shape, np.float64) if forecast.score is None else forecast.score[events.rows].astype(np.float64)
    row_step = np.repeat(np.arange(events.steps), np.diff(events.row_offsets))
    event = row_step[:, None] * events.layers + np.arange(events.layers)[None, :]
    code = (event[:, :, None] * events.experts + ids).ravel()
    valid = ids.ravel() >= 0
    unique, inverse = np.unique(code[valid], return_inverse=True)
    weight = np.bincount(inverse, weights=score.ravel()[valid], minlength=len(unique))
    owner = unique // events.experts
    ranked = np.lexsort((unique, -weight, owner))
    flat = (owner % events.layers) * events.experts + unique % events.experts
    offsets = np.searchsorted(owner, np.arange(len(events) + 1))
    return Sets(flat[ranked].astype(np.int32), offsets.astype(np.int64))


LEARNING, MEMORY = 0.1, 0.98  # of the trust below: weight of a nat, what stays of old gains per step
RATES = ((0.3, 0.7), (0.1, 1.0), (0.03, 1.0))  # running rates of use: (weight of the present step, share of the rate against popularity)
SURE = 1e-3  # no share is taken for less, or for more than one minus it


def outlook(
    events: Events, forecast: Forecast, popularity: NDArray[np.float64] | None, *, sets: Sets | None = None, dual: bool = False
) -> NDArray[np.float32]:
    """Per step, the share of later steps expected to use each expert (S, L*E): that any request of the batch does.

    A mixture of the predictor's outlook, where it made one, and of running rates of use, from a quick one (mixed with popularity where that is known) to
    a slow one, each weighed by how well it foretold the steps before: a predictor from another domain loses its say while it errs. The rates count the
    step that begins by what is predicted for it (`sets`, unite of the forecast), and by what it really used once it is over. Nothing later than a step
    enters its row. dual: the step after this one is another batch's, whose own outlook was made one step ago; each serves half of the steps to come.
    """
    width = events.layers * events.experts
    base = np.full(width, 1.0 / events.experts) if popularity is None else popularity
    used, predicted = np.zeros((events.steps, width)), np.zeros((events.steps, width), bool)
    used[np.repeat(events.step, events.need()), events.ids] = 1.0
    sets = unite(events, forecast) if sets is None else sets
    predicted[np.repeat(events.step, np.diff(sets.offsets)), sets.ids] = True
    said = None if forecast.outlook is None else _of_batch(events, forecast.outlook, dual=dual)
    voices = len(RATES) + (said is not None)
    rates = [base.copy() for _ in RATES]
    gains, guesses = np.zeros(voices), np.empty((voices, width))
    out = np.empty((events.steps, width), np.float32)
    for s in range(events.steps):
        for i, (recent, share) in enumerate(RATES):
            guesses[i] = share * (rates[i] + recent * (predicted[s] - rates[i])) + (1.0 - share) * base
        if said is not None:
            guesses[-1] = said[s]
        trust = np.exp(np.clip(LEARNING * (gains - gains.max()), -30.0, 0.0))
        out[s] = ((trust / trust.sum())[:, None] * guesses).sum(0)
        if s + 1 < events.steps and not events.prefill[s + 1]:
            held = np.clip(guesses, SURE, 1.0 - SURE)
            gains = MEMORY * gains + np.log(np.where(used[s + 1] > 0.0, held, 1.0 - held)).sum(1) / events.layers
        for rate, (recent, _) in zip(rates, RATES, strict=True):
            rate += recent * (used[s] - rate)
    return out


def _of_batch(events: Events, of_rows: NDArray[np.floating[Any]], *, dual: bool) -> NDArray[np.float64]:
    """The rows' outlooks as their step's: the share of later steps in which at least one of them uses an expert (S, L*E)."""
    stays = np.log1p(-np.clip(of_rows[events.rows].reshape(len(events.rows), -1).astype(np.float64), 0.0, 0.999))
    said: NDArray[np.float64] = 1.0 - np.exp(np.add.reduceat(stays, events.row_offsets[:-1], axis=0))
    if dual:
        said[1:] = (said[1:] + said[:-1]) / 2
    return said


def truth(events: Events) -> Sets:
    """What is really needed: the oracle's forecast."""
    return Sets(events.ids, events.offsets)


def everything(events: Events) -> Sets:
    """All experts of every layer (SE-MoE's ring)."""
    per = np.arange(events.experts, dtype=np.int32)
    ids = (events.layer[:, None] * events.experts + per[None, :]).ravel().astype(np.int32)
    return Sets(ids, np.arange(len(events) + 1, dtype=np.int64) * events.experts)


def known_before(events: Events, sets: Sets, distance: int, *, across_steps: bool = False, width: int | None = None) -> Predicted:
    """The set of event j becomes known at event j - distance; not across a step boundary unless `across_steps`."""
    n = len(events)
    target = np.arange(n)
    issue = target - distance
    keep = issue >= 0
    if not across_steps:
        keep &= events.layer >= distance
    return _assemble(n, issue[keep], target[keep], sets, width)


def known_at_step_start(events: Events, sets: Sets, *, following: Sets | None = None, ahead: Sets | None = None) -> Predicted:
    """The whole path of a step is known at its layer 0 (`sets`).

    following: what the step before already expects of this one (known one step early, replaced when the step begins).
    ahead: the real forecast of the next step, where another batch takes turns and its token is already known (dual batch).
    """
    n, layers = len(events), events.layers
    target = np.arange(n)
    start = target - events.layer
    issue, aims, source = [start], [target], [np.zeros(n, np.int64)]
    for index, extra in enumerate((following, ahead), start=1):
        if extra is not None:
            late = target[start >= layers]
            issue.append(start[late] - layers)
            aims.append(late)
            source.append(np.full(len(late), index))
    at, to, src = np.concatenate(issue), np.concatenate(aims), np.concatenate(source)
    order = np.lexsort((to, src, at))
    at, to, src = at[order], to[order], src[order]
    choices = [s if s is not None else sets for s in (sets, following, ahead)]
    base = np.cumsum([0] + [len(c.ids) for c in choices])
    pool = np.concatenate([c.ids for c in choices])
    lo = np.choose(src, [c.offsets[to] + base[i] for i, c in enumerate(choices)])
    hi = np.choose(src, [c.offsets[to + 1] + base[i] for i, c in enumerate(choices)])
    return _pack(n, at, to, pool, lo, hi)


def _assemble(n: int, issue: NDArray[np.int64], target: NDArray[np.int64], sets: Sets, width: int | None) -> Predicted:
    lo, hi = sets.offsets[target], sets.offsets[target + 1]
    if width is not None:
        hi = np.minimum(hi, lo + width)
    order = np.argsort(issue, kind="stable")
    return _pack(n, issue[order], target[order], sets.ids, lo[order], hi[order])


def merge(n: int, parts: list[Predicted]) -> Predicted:
    """Several predictions together; at one event, rows of later parts come later (and so replace earlier ones)."""
    at = np.concatenate([np.repeat(np.arange(n), np.diff(p.offsets)) for p in parts])
    to = np.concatenate([p.targets for p in parts])
    base = np.cumsum([0] + [len(p.ids) for p in parts])
    lo = np.concatenate([p.row_offsets[:-1] + base[i] for i, p in enumerate(parts)])
    hi = np.concatenate([p.row_offsets[1:] + base[i] for i, p in enumerate(parts)])
    order = np.argsort(at, kind="stable")
    return _pack(n, at[order], to[order], np.concatenate([p.ids for p in parts]), lo[order], hi[order])


def only(n: int, known: Predicted, keep: NDArray[np.bool_]) -> Predicted:
    """The rows where `keep` is true."""
    at = np.repeat(np.arange(n), np.diff(known.offsets))[keep]
    return _pack(n, at, known.targets[keep], known.ids, known.row_offsets[:-1][keep], known.row_offsets[1:][keep])


def _pack(n: int, at: Ints, to: Ints, pool: NDArray[np.int32], lo: Ints, hi: Ints) -> Predicted:
    size = (hi - lo).astype(np.int64)
    rows = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    index = np.arange(rows[-1]) - np.repeat(rows[:-1], size) + np.repeat(lo, size)
    offsets = np.searchsorted(at, np.arange(n + 1)).astype(np.int64)
    return Predicted(offsets, np.asarray(to, np.int64), rows, pool[index].astype(np.int32))


def batch_accuracy(events: Events, sets: Sets) -> dict[str, float]:
    """Recall and precision of the needed expert set per event, averaged over events (batch level, as ExpertFlow A means it)."""
    width = events.layers * events.experts
    need = np.repeat(np.arange(len(events), dtype=np.int64), events.need()) * width + events.ids
    said = np.repeat(np.arange(len(events), dtype=np.int64), np.diff(sets.offsets)) * width + sets.ids
    good = np.isin(need, said)
    owner = np.repeat(np.arange(len(events)), events.need())
    found = np.bincount(owner[good], minlength=len(events))
    offered = np.maximum(np.diff(sets.offsets), 1)
    return {"recall": float((found / np.maximum(events.need(), 1)).mean()), "precision": float((found / offered).mean())}


def flawed(truth_ids: Ints, experts: int, error: float, *, seed: int, name: str = "oracle", distance: int = 0) -> Forecast:
    """The true routes (T, L, K) with each entry replaced by a random other expert with probability `error` (a gate of known quality)."""
    if not 0.0 <= error <= 1.0:
        raise LabInput(f"An error rate of {error} is not between 0 and 1.")
    rng = np.random.default_rng((17, seed))
    ids = np.asarray(truth_ids, np.int64)
    wrong = rng.random(ids.shape) < error
    other = (ids + rng.integers(1, max(2, experts), ids.shape)) % experts
    return Forecast(name, np.where(wrong & (ids >= 0), other, ids).astype(np.int16), None, distance)


def recall(forecast: Forecast, truth_ids: Ints, rows: NDArray[np.bool_] | None = None) -> float:
    """Share of the experts that tokens use which the forecast named, with as many names as experts chosen."""
    chosen = np.asarray(truth_ids)
    named = forecast.ids[:, :, : chosen.shape[2]]
    keep = np.ones(len(chosen), bool) if rows is None else rows
    found = (chosen[keep][:, :, :, None] == named[keep][:, :, None, :]).any(-1)
    valid = chosen[keep] >= 0
    return float(found[valid].mean())

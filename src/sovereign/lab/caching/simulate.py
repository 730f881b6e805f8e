"""Event-atomic replay without a clock: which experts of each event are resident, for demand policies.

Imports errors, numpy and the compiled queues of S3-FIFO and ARC. Refuses to evict what the event itself needs.

Rules of the replay. All experts of an event are needed together. Hits stay. A miss takes a free slot, else the slot of the resident expert
with the lowest key that this event does not need. When the event needs more than there are slots, what it does not need goes and the
rest is chosen by key after the event was computed; who gets no slot is streamed past the cache (bypassed), or refused with `strict`.
Admission "forced" brings every miss in while it fits; "bypass" brings a miss in only if its key is higher than the key of the resident it
replaces, again after the event was computed. Equal keys: the lower expert id goes first, and hits stay. Experts of one event share one
time, so LRU knows no order inside an event. S3-FIFO and ARC keep queues and ghosts instead of one key; queues.py says how they meet these rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput
from sovereign.lab.caching import queues
from sovereign.lab.caching.compiled import compiled
from sovereign.lab.caching.events import Events

KEYS = {"lru": 0, "lfu": 1, "lfru": 2, "static": 3, "belady": 4, "s3fifo": queues.S3FIFO, "arc": queues.ARC}
LFRU_DECAY = 0.05  # per step; half-life ln 2 / 0.05 = 14 steps. Ours: the field prints no value.


@dataclass(frozen=True)
class Replay:
    """Counts of one replay. misses (N,) per event; transfers counts every copy from the slow tier, the initial load apart."""

    accesses: int
    hits: int
    misses: int
    compulsory: int
    bypassed: int
    evictions: int
    initial_load: int
    event_misses: NDArray[np.int32]

    @property
    def hit_ratio(self) -> float:
        return self.hits / self.accesses

    @property
    def transfers(self) -> int:
        return self.misses


def next_use(events: Events) -> NDArray[np.int64]:
    """For each access the event that needs the same expert next; N where none does. (A,)"""
    out: NDArray[np.int64] = _next_use(events.ids, events.offsets, events.layers * events.experts)
    return out


def replay(
    events: Events,
    *,
    key: str,
    slots: int,
    scope: str = "per_layer",
    admission: str = "forced",
    weights: NDArray[np.float64] | None = None,
    preload: NDArray[np.int32] | None = None,
    strict: bool = False,
    decay: float = LFRU_DECAY,
) -> Replay:
    """Replays `events` under one key (lru, lfu, lfru, static, belady, s3fifo, arc). `slots` is per layer, or in all for scope "global".

    weights (L*E,): popularity for "static". preload: ids that are resident before the first event.
    Raises LabInput for unknown names, bypass admission into queues, negative slots, or (strict) an event that needs more than the cache holds.
    """
    if key not in KEYS or scope not in ("per_layer", "global") or admission not in ("forced", "bypass"):
        raise LabInput(f"Unknown replay setting: key {key!r}, scope {scope!r}, admission {admission!r}.")
    if KEYS[key] >= queues.S3FIFO and admission == "bypass":
        raise LabInput(f"{key} admits every miss; bypass is not defined for it.", mend="Use forced admission.")
    if slots < 0:
        raise LabInput(f"A cache of {slots} slots does not exist.")
    need = int(events.need().max(initial=0))
    if strict and need > slots:
        raise LabInput(f"One event needs {need} experts but the cache holds {slots}.", mend="Give it more slots, or allow bypass.")
    total = events.layers * events.experts
    held = np.zeros(0, np.int32) if preload is None else np.asarray(preload, np.int32)
    priority = np.zeros(total) if weights is None else np.asarray(weights, np.float64)
    future = next_use(events) if key == "belady" else np.zeros(0, np.int64)
    groups = events.layers if scope == "per_layer" else 1
    misses, bypassed, evictions = _replay(
        events.ids,
        events.offsets,
        events.layer,
        groups,
        events.experts,
        total,
        min(slots, events.experts if scope == "per_layer" else total),
        KEYS[key],
        admission == "bypass",
        priority,
        future,
        held,
        decay,
        queues.fresh(total, groups),
    )
    accesses, missed = len(events.ids), int(misses.sum())
    seen = np.unique(events.ids)
    return Replay(accesses, accesses - missed, missed, len(np.setdiff1d(seen, held)), int(bypassed), int(evictions), len(held), misses)


@compiled
def _next_use(ids, offsets, total):  # type: ignore[no-untyped-def]
    n = len(offsets) - 1
    out = np.empty(len(ids), np.int64)
    last = np.full(total, n, np.int64)
    for i in range(n - 1, -1, -1):
        for a in range(offsets[i], offsets[i + 1]):
            e = ids[a]
            out[a] = last[e]
            last[e] = i
    return out


@compiled
def _admit(g, stamp, missed, m, slots, used, where, score, needed, candidates, victims, capacity, bypass):  # type: ignore[no-untyped-def]
    """Gives missed[:m] slots of group g by the rules of the module's docstring; admitted ones come first in `missed` afterwards, who left in `victims`."""
    done = 0
    evicted = 0
    crowded = m > capacity - used[g]
    while done < m and used[g] < capacity:
        if crowded:  # not all find a free slot: the highest first, so that nobody who was just admitted has to leave again
            x = done
            for j in range(done + 1, m):
                a, d = missed[j], missed[x]
                if score[a] > score[d] or (score[a] == score[d] and a < d):
                    x = j
            missed[done], missed[x] = missed[x], missed[done]
        e = missed[done]
        slots[g, used[g]] = e
        where[e] = used[g]
        used[g] += 1
        done += 1
    if done == m or capacity == 0:
        return done, evicted
    c = 0
    for s in range(used[g]):
        if needed[slots[g, s]] != stamp or bypass:
            candidates[c] = slots[g, s]
            c += 1
    compete = bypass
    if not bypass and c < m - done:
        # more is needed than there is room: what the event does not need goes, the rest is chosen by key once it is computed
        c = 0
        for s in range(used[g]):
            candidates[c] = slots[g, s]
            c += 1
        compete = True
    while done < m and c > 0:
        b = 0
        for j in range(1, c):
            x, y = candidates[j], candidates[b]
            if not bypass and (needed[x] == stamp) != (needed[y] == stamp):
                if needed[y] == stamp:
                    b = j
            elif score[x] < score[y] or (score[x] == score[y] and x < y):
                b = j
        victim = candidates[b]
        if compete:
            x = done
            for j in range(done + 1, m):
                a, d = missed[j], missed[x]
                if score[a] > score[d] or (score[a] == score[d] and a < d):
                    x = j
            missed[done], missed[x] = missed[x], missed[done]
            if (bypass or needed[victim] == stamp) and score[missed[done]] <= score[victim]:
                break
        e = missed[done]
        slots[g, where[victim]] = e
        where[e] = where[victim]
        where[victim] = -1
        victims[evicted] = victim
        candidates[b] = candidates[c - 1]  # what was just admitted has the highest key left, it need not compete again
        c -= 1
        done += 1
        evicted += 1
    return done, evicted


@compiled
def _replay(ids, offsets, layer, groups, experts, total, capacity, mode, bypass, weights, future, preload, decay, qu):  # type: ignore[no-untyped-def]
    n = len(offsets) - 1
    size = total // groups
    slots = np.empty((groups, max(capacity, 1)), np.int32)
    used = np.zeros(groups, np.int64)
    where = np.full(total, -1, np.int32)
    key = np.zeros(total, np.float64)
    needed = np.zeros(total, np.int64)
    missed = np.empty(total, np.int32)
    candidates = np.empty(max(capacity, 1), np.int32)
    victims = np.empty(total, np.int32)
    misses = np.zeros(n, np.int32)
    bypassed = 0
    evictions = 0
    if mode == 3:
        key[:] = weights
    if mode == 4:
        key[:] = -float(n)
    for e in preload:
        g = e // size
        if used[g] < capacity:
            slots[g, used[g]] = e
            where[e] = used[g]
            used[g] += 1
            if mode >= queues.S3FIFO:
                queues.move(e, g, queues.YOUNG, qu)
    for i in range(n):
        g = layer[i] if groups > 1 else 0
        stamp = i + 1
        m = 0
        for a in range(offsets[i], offsets[i + 1]):
            e = ids[a]
            needed[e] = stamp
            if where[e] < 0:
                missed[m] = e
                m += 1
            if mode == 0:
                key[e] = stamp
            elif mode == 1:
                key[e] = np.floor(key[e]) + 1.0 + stamp / (n + 2.0)  # a whole count, ties by recency
            elif mode == 2:
                # decayed frequency on a log scale: log(sum of exp(decay * time of use)); comparable at any later time
                now = decay * (i // (total // experts))
                key[e] = now + (np.log1p(np.exp(key[e] - now)) if key[e] > 0.0 else 0.0) + 1e-9
            elif mode == 4:
                key[e] = -future[a]
            elif where[e] >= 0:
                queues.noted(e, g, mode, qu)
        misses[i] = m
        if m == 0:
            continue
        if mode >= queues.S3FIFO:
            admitted, evicted = queues.seat(g, stamp, missed, m, slots, used, where, needed, victims, capacity, mode, qu)
        else:
            admitted, evicted = _admit(g, stamp, missed, m, slots, used, where, key, needed, candidates, victims, capacity, bypass)
        evictions += evicted
        bypassed += m - admitted
    return misses, bypassed, evictions

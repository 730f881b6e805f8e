"""The compiled inner loop of the time line; its model is described in timeline.py, the admission rules in simulate.py.

Imports numpy and the replay's compiled admission. Refuses nothing: timeline.run has checked everything before it comes here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.lab.caching import queues
from sovereign.lab.caching.compiled import compiled, inlined
from sovereign.lab.caching.simulate import _admit

KEYS = {
    "lru": 0,
    "lfu": 1,
    "lfru": 2,
    "static": 3,
    "belady": 4,
    "expected": 5,
    "stale": 6,
    "fifo": 7,
    "s3fifo": queues.S3FIFO,
    "arc": queues.ARC,
}
LRU, LFU, LFRU, STATIC, BELADY, EXPECTED, STALE, FIFO = range(8)
HITS, LATE, MISSES, DEMAND, PREFETCH, WASTED, BYPASSED, PEAK, STREAMED, HORIZON = range(10)
FAR = 1 << 60
RATE_FLOOR = 1e-4


class Rules(NamedTuple):
    """The strategy as numbers."""

    layers: int
    experts: int
    groups: int
    capacity: int
    mode: int
    bypass: bool
    at_gate: bool
    protect: bool
    load_all: bool
    overlap: bool
    pipelined: bool
    horizon: int
    widest: int  # 0: the horizon stays
    feedback: int
    decay: float
    transfer_s: float
    attention_s: float
    attention_token_s: float
    expert_s: float
    expert_token_s: float
    head_s: float


class Trace(NamedTuple):
    """The events and what is predicted about them."""

    ids: NDArray[np.int32]
    load: NDArray[np.int32]
    offsets: NDArray[np.int64]
    step_tokens: NDArray[np.int32]
    exposed: NDArray[np.float64]
    future: NDArray[np.int64]
    plan_offsets: NDArray[np.int64]
    plan_targets: NDArray[np.int64]
    plan_rows: NDArray[np.int64]
    plan_ids: NDArray[np.int32]
    outlook: NDArray[np.float32]  # (S, L*E), or no rows


class State(NamedTuple):
    """The fast tier. where: slot of each expert or -1; ready: when its copy is complete; needed: stamp of the last event that needs it;
    share: the share of later steps expected to use an expert (the running step's outlook, or popularity); flag, aim: fetched ahead and unused, for
    which event; following: its true next event (oracles); lists, counts, listed, valid: what is predicted for each layer of this step and the next
    (by parity); queues: of S3-FIFO and ARC."""

    slots: NDArray[np.int32]
    used: NDArray[np.int64]
    where: NDArray[np.int32]
    ready: NDArray[np.float64]
    key: NDArray[np.float64]
    score: NDArray[np.float64]
    order: NDArray[np.float64]
    needed: NDArray[np.int64]
    flag: NDArray[np.int8]
    aim: NDArray[np.int64]
    following: NDArray[np.int64]
    share: NDArray[np.float32]
    lists: NDArray[np.int32]
    counts: NDArray[np.int64]
    listed: NDArray[np.int8]
    valid: NDArray[np.int64]
    clock: NDArray[np.int64]
    tally: NDArray[np.int64]
    queues: queues.Queues


def fresh(rules: Rules, events: int, weights: NDArray[np.float64]) -> State:
    """An empty fast tier."""
    total = rules.layers * rules.experts
    return State(
        slots=np.zeros((rules.groups, max(rules.capacity, 1)), np.int32),
        used=np.zeros(rules.groups, np.int64),
        where=np.full(total, -1, np.int32),
        ready=np.zeros(total),
        key=weights.copy() if rules.mode == STATIC else np.zeros(total),
        score=np.zeros(total),
        order=np.zeros(total),
        needed=np.zeros(total, np.int64),
        flag=np.zeros(total, np.int8),
        aim=np.zeros(total, np.int64),
        following=np.full(total, events, np.int64),
        share=weights.astype(np.float32),
        lists=np.zeros((2, rules.layers, rules.experts), np.int32),
        counts=np.zeros((2, rules.layers), np.int64),
        listed=np.zeros((2, total), np.int8),
        valid=np.full((2, rules.layers), -1, np.int64),
        clock=np.ones(1, np.int64),
        tally=np.zeros(10, np.int64),
        queues=queues.fresh(total, rules.groups),
    )


@inlined
def wanted_at(e, now, layers, experts, valid, listed):  # type: ignore[no-untyped-def]
    """The next event >= now at which `e` is predicted, or a far one."""
    layer = e // experts
    step = now // layers
    target = step * layers + layer
    if target >= now and valid[step & 1, layer] == step and listed[step & 1, e]:
        return target
    step += 1
    if valid[step & 1, layer] == step and listed[step & 1, e]:
        return target + layers
    return FAR


@inlined
def expected(e, now, layers, experts, valid, share):  # type: ignore[no-untyped-def]
    """Events until `e`, which no prediction names, is expected to be used: layers to its next turn that is not ruled out by a
    prediction, then a step for each that its expected share of use lets pass."""
    layer = e // experts
    step = now // layers
    target = step * layers + layer
    if target < now:
        step += 1
        target += layers
    if valid[step & 1, layer] == step:
        target += layers  # its layer has a prediction for that turn, and it is not in it
    return target - now + layers * (1.0 / max(share[e], RATE_FLOOR) - 1.0)


@inlined
def worth(e, now, mode, protect, layers, experts, key, order, following, flag, aim, valid, listed, share):  # type: ignore[no-untyped-def]
    """High stays. Unpredicted experts by key; predicted ones above all of them, the nearest highest.

    Takes plain arrays and is inlined, since all residents are looked at whenever an event misses.
    """
    if mode == BELADY:
        return -float(following[e])
    if protect:
        target = wanted_at(e, now, layers, experts, valid, listed)
        if target < FAR:
            return 1e15 - float(target)
    if mode == EXPECTED:
        return -expected(e, now, layers, experts, valid, share)
    if mode == STALE and flag[e]:
        return key[e] + (1e12 if aim[e] >= now else -1e12)  # fetched ahead: fresh until its layer has passed, then the stalest
    if mode == FIFO:
        return order[e]
    return key[e]


@compiled
def retention(e, now, ru, st):  # type: ignore[no-untyped-def]
    """`worth` of one expert."""
    return worth(
        e, now, ru.mode, ru.protect, ru.layers, ru.experts, st.key, st.order, st.following, st.flag, st.aim, st.valid, st.listed, st.share,
    )  # fmt: skip


@compiled
def rescore(group, now, t, stamp, ru, st):  # type: ignore[no-untyped-def]
    """Scores every resident of a group at event `now`; the slot of one still arriving at time t is not free, so it counts as needed."""
    slots, score, needed, ready = st.slots[group], st.score, st.needed, st.ready
    mode, protect, layers, experts = ru.mode, ru.protect, ru.layers, ru.experts
    key, order, following, flag, aim = st.key, st.order, st.following, st.flag, st.aim
    valid, listed, share = st.valid, st.listed, st.share
    for k in range(st.used[group]):
        e = slots[k]
        if ready[e] > t and needed[e] != stamp:
            score[e] = 2e15
            needed[e] = stamp
        else:
            score[e] = worth(e, now, mode, protect, layers, experts, key, order, following, flag, aim, valid, listed, share)


@compiled
def take_row(target, ids, lo, hi, ru, st):  # type: ignore[no-untyped-def]
    """The row becomes the prediction for `target`; what was predicted for it before is forgotten."""
    s, layer = target // ru.layers, target % ru.layers
    p = s & 1
    for q in range(st.counts[p, layer]):
        st.listed[p, st.lists[p, layer, q]] = 0
    st.counts[p, layer] = hi - lo
    st.valid[p, layer] = s
    for q in range(lo, hi):
        st.lists[p, layer, q - lo] = ids[q]
        st.listed[p, ids[q]] = 1


@compiled
def prefetch_victim(group, target, first, start, stamp, ru, st):  # type: ignore[no-untyped-def]
    """Whose slot a prefetch for `target` may take: nobody's that is needed now, still arriving, or wanted no later; -1 for none."""
    slots, needed, ready, following, valid, listed = st.slots[group], st.needed, st.ready, st.following, st.valid, st.listed
    mode, protect, layers, experts = ru.mode, ru.protect, ru.layers, ru.experts
    key, flag, aim, share = st.key, st.flag, st.aim, st.share
    order = st.order
    best, low = -1, 0.0
    for k in range(st.used[group]):
        v = slots[k]
        if needed[v] == stamp or ready[v] > start:
            continue
        if flag[v] and first <= aim[v] <= target:
            continue  # fetched for an event no later than this one
        if mode == BELADY:
            if following[v] <= target:
                continue
            x = -float(following[v])
        else:
            wanted = wanted_at(v, first, layers, experts, valid, listed) if protect else FAR
            if wanted <= target:
                continue
            if wanted < FAR:
                x = 1e15 - float(wanted)
            elif mode == EXPECTED:
                x = -expected(v, first, layers, experts, valid, share)
            elif mode <= STATIC:
                x = key[v]
            else:
                x = worth(v, first, mode, protect, layers, experts, key, order, following, flag, aim, valid, listed, share)
        if best < 0 or x < low or (x == low and v < best):
            best, low = v, x
    return best


@compiled
def pick(target, q, first, reach, last, start, stamp, ru, st):  # type: ignore[no-untyped-def]
    """The next prefetch at or after entry q of `target`'s list: gives it a slot and returns (expert, target, entry); expert -1 for none.

    Looks at events first..first+reach-1. The caller sets when the copy is complete.
    """
    where = st.where
    while target < min(first + reach, last):
        s, layer = target // ru.layers, target % ru.layers
        p = s & 1
        g = layer if ru.groups > 1 else 0
        size = st.counts[p, layer] if st.valid[p, layer] == s else 0
        row = st.lists[p, layer]
        while q < size:
            e = row[q]
            if where[e] >= 0:
                q += 1
                continue
            if st.used[g] < ru.capacity:
                st.slots[g, st.used[g]] = e
                where[e] = st.used[g]
                st.used[g] += 1
            else:
                victim = prefetch_victim(g, target, first, start, stamp, ru, st)
                if victim < 0:
                    if ru.groups == 1 and ru.protect:
                        return -1, target, q  # farther targets have weaker rights
                    break
                if st.flag[victim]:
                    st.tally[WASTED] += 1
                    st.flag[victim] = 0
                st.slots[g, where[victim]] = e
                where[e] = where[victim]
                where[victim] = -1
            st.flag[e] = 1
            st.aim[e] = target
            st.order[e] = float(st.clock[0])
            st.clock[0] += 1
            if ru.mode == LRU or ru.mode == STALE:
                st.key[e] = first  # counts as a use: touched for the event that comes
            st.tally[PREFETCH] += 1
            return e, target, q
        target += 1
        q = 0
    return -1, target, q


@compiled
def advance(until, link, now_s, first, reach, last, stamp, ru, st):  # type: ignore[no-untyped-def]
    """Starts prefetches for events first..first+reach-1 while the link is free before `until`; gives back when the link is free next."""
    target, q = first, 0
    while True:
        start = max(link, now_s)
        if start >= until:
            return link
        e, target, q = pick(target, q, first, reach, last, start, stamp, ru, st)
        if e < 0:
            return link
        link = start + ru.transfer_s
        st.ready[e] = link


@compiled
def touch(e, a, i, n, ru, st, future):  # type: ignore[no-untyped-def]
    """The key of an expert that event i uses (access a)."""
    st.flag[e] = 0
    if ru.mode == LRU or ru.mode == STALE:
        st.key[e] = i + 1
    elif ru.mode == LFU:
        st.key[e] = np.floor(st.key[e]) + 1.0 + (i + 1) / (n + 2.0)
    elif ru.mode == LFRU:
        now = ru.decay * (i // ru.layers)
        st.key[e] = now + (np.log1p(np.exp(st.key[e] - now)) if st.key[e] > 0.0 else 0.0) + 1e-9
    elif ru.mode == BELADY:
        st.following[e] = future[a]
    elif ru.mode >= queues.S3FIFO and st.where[e] >= 0:
        queues.noted(e, e // ru.experts if ru.groups > 1 else 0, ru.mode, st.queues)


@compiled
def seat(g, stamp, missed, m, candidates, victims, ru, st):  # type: ignore[no-untyped-def]
    """Admission of what an event misses, by queue or by score; returns (admitted, evicted)."""
    if ru.mode >= queues.S3FIFO:
        return queues.seat(g, stamp, missed, m, st.slots, st.used, st.where, st.needed, victims, ru.capacity, ru.mode, st.queues)
    return _admit(g, stamp, missed, m, st.slots, st.used, st.where, st.score, st.needed, candidates, victims, ru.capacity, ru.bypass)


@compiled
def timeline(tr, ru, st, preload, missed, candidates, victims, step_s, stall_s):  # type: ignore[no-untyped-def]
    """Runs all events; fills step_s and stall_s (S,) and the tally."""
    n = len(tr.offsets) - 1
    if ru.mode == BELADY:
        for i in range(n - 1, -1, -1):
            for a in range(tr.offsets[i], tr.offsets[i + 1]):
                st.following[tr.ids[a]] = i
    for e in preload:
        g = e // ru.experts if ru.groups > 1 else 0
        if st.used[g] < ru.capacity:
            st.slots[g, st.used[g]] = e
            st.where[e] = st.used[g]
            st.used[g] += 1
    reach = ru.horizon
    stalls = 0
    wasted_before = 0
    t = 0.0
    link = 0.0
    step_start = 0.0
    for i in range(n):
        s, layer = i // ru.layers, i % ru.layers
        g = layer if ru.groups > 1 else 0
        stamp = i + 1
        if layer == 0:
            # the predictor's time, less what the step before covers when it is pipelined
            extra = tr.exposed[s]
            if ru.pipelined and s > 0:
                extra = max(0.0, extra - step_s[s - 1])
            step_start = t
            t += extra
            if s < len(tr.outlook):
                st.share[:] = tr.outlook[s]
        begin = t
        t += ru.attention_s + ru.attention_token_s * tr.step_tokens[s]
        if layer == 0:
            t += ru.head_s
        if not ru.at_gate:
            for r in range(tr.plan_offsets[i], tr.plan_offsets[i + 1]):
                take_row(tr.plan_targets[r], tr.plan_ids, tr.plan_rows[r], tr.plan_rows[r + 1], ru, st)
        if reach > 0:
            link = advance(t, link, begin, i, reach, n, -1, ru, st)
        # the true gate is known: correction drops what was predicted for this event
        if st.valid[s & 1, layer] == s:
            st.valid[s & 1, layer] = -1
        m = 0
        arrival = 0.0
        late_cost = -1.0
        done_s = t
        for a in range(tr.offsets[i], tr.offsets[i + 1]):
            e = tr.ids[a]
            st.needed[e] = stamp
            cost = ru.expert_s + ru.expert_token_s * tr.load[a]
            if st.where[e] < 0:
                missed[m] = e
                m += 1
                st.tally[MISSES] += 1
            elif st.ready[e] > t:
                st.tally[LATE] += 1
                arrival, late_cost = st.ready[e], cost
            else:
                st.tally[HITS] += 1
                done_s += cost
            touch(e, a, i, n, ru, st, tr.future)
        demanded = m
        if ru.load_all:
            for e in range(layer * ru.experts, (layer + 1) * ru.experts):
                if st.needed[e] != stamp:
                    st.needed[e] = stamp
                    if st.where[e] < 0:
                        missed[m] = e
                        m += 1
        stall = 0.0
        if late_cost >= 0.0:
            stall += max(0.0, arrival - done_s)
            done_s = max(done_s, arrival) + late_cost
        if m > 0:
            link = max(link, t)
            for j in range(m):
                e = missed[j]
                link += ru.transfer_s
                st.ready[e] = link
                st.order[e] = float(st.clock[0])
                st.clock[0] += 1
                if j < demanded:
                    if ru.overlap:
                        stall += max(0.0, link - done_s)
                        done_s = max(done_s, link)
                    # its tokens: found again by id inside the event
                    lo, hi = tr.offsets[i], tr.offsets[i + 1]
                    while lo < hi:
                        mid = (lo + hi) // 2
                        if tr.ids[mid] < e:
                            lo = mid + 1
                        else:
                            hi = mid
                    done_s += ru.expert_s + ru.expert_token_s * tr.load[lo]
            if not ru.overlap:
                stall += link - t
                done_s += link - t
            if ru.load_all and link > done_s:
                stall += link - done_s
                done_s = link
            st.tally[DEMAND] += m
            for j in range(m):
                st.score[missed[j]] = retention(missed[j], i + 1, ru, st)
            rescore(g, i + 1, t, stamp, ru, st)
            admitted, gone = seat(g, stamp, missed, m, candidates, victims, ru, st)
            st.tally[BYPASSED] += m - admitted
            if m > admitted:
                st.tally[STREAMED] = 2
            for k in range(gone):
                if st.flag[victims[k]]:
                    st.flag[victims[k]] = 0
                    st.tally[WASTED] += 1
        if ru.at_gate:
            for r in range(tr.plan_offsets[i], tr.plan_offsets[i + 1]):
                take_row(tr.plan_targets[r], tr.plan_ids, tr.plan_rows[r], tr.plan_rows[r + 1], ru, st)
        if reach > 0:
            link = advance(done_s, link, t, i + 1, reach, n, stamp, ru, st)
        t = done_s
        stall_s[s] += stall
        held = 0
        for k in range(ru.groups):
            held += st.used[k]
        st.tally[PEAK] = max(st.tally[PEAK], held)
        st.tally[HORIZON] += reach
        if ru.widest > 0:
            if stall > 0.0:
                stalls += 1
            if stalls >= ru.feedback:
                reach = min(reach + 1, ru.widest)
                stalls, wasted_before = 0, st.tally[WASTED]
            elif st.tally[WASTED] - wasted_before >= ru.feedback:
                reach = max(reach - 1, 1)
                stalls, wasted_before = 0, st.tally[WASTED]
        if layer == ru.layers - 1:
            step_s[s] = t - step_start

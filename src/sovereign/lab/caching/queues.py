"""S3-FIFO and ARC, event-atomic: eviction that lives in queues and remembers who left, not in one key per expert.

Imports numpy and the compiler. Refuses to let an event evict what it needs; prefetching into these queues is not defined (timeline refuses it).

S3-FIFO (Yang et al., SOSP 2023, doi 10.1145/3600006.3613147): a small queue S (a tenth of the slots), a main queue M, a ghost queue G as long as M.
New experts enter S; a hit counts to at most 3; from S's tail an expert used more than once since it came goes to M with its count cleared, another
leaves and is remembered in G; M's tail goes round again while its count, lowered by one each time, is above 0; who is remembered in G enters M.
Inside S's eviction the paper's pseudo-code may evict from M as well; we evict one expert for each that comes, like its authors' simulator.

ARC (Megiddo and Modha, FAST 2003, figure 4): T1 holds experts used once, T2 those used again, both by recency; B1 and B2 remember who left
them; hits in B1 raise the target size p of T1, hits in B2 lower it; |T1| + |B1| <= c and all four lists <= 2c.

Both papers decide one request at a time, an event asks for several experts at once. Deviations, for both: (1) hits of an event are noted before
its misses are placed; (2) misses that a ghost list remembers are placed before the others, each part in ascending id; (3) what the event needs is
skipped wherever a queue's tail is looked for, and where the queue that should give holds nothing else, the other one gives; (4) when all residents
are needed the rest is streamed and leaves no trace: no ghost entry, no change of p. Events of one expert are the papers' own algorithms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.lab.caching.compiled import compiled

S3FIFO, ARC = 8, 9  # modes of the replay and of the time line; below lie the policies that are one key per expert
NOWHERE, YOUNG, OLD, YOUNG_GHOST, OLD_GHOST = range(5)  # S3-FIFO: S, M, G; ARC: T1, T2, B1, B2
MOST = 3  # S3-FIFO counts with two bits


class Queues(NamedTuple):
    """kind, freq, order (L*E,): the list an expert is in, its count, its place (small = tail); size (groups, 5); target p (groups,)."""

    kind: NDArray[np.int8]
    freq: NDArray[np.int8]
    order: NDArray[np.int64]
    size: NDArray[np.int64]
    target: NDArray[np.float64]
    clock: NDArray[np.int64]


def fresh(total: int, groups: int) -> Queues:
    """Empty queues."""
    return Queues(
        np.zeros(total, np.int8),
        np.zeros(total, np.int8),
        np.zeros(total, np.int64),
        np.zeros((groups, 5), np.int64),
        np.zeros(groups),
        np.zeros(1, np.int64),
    )


@compiled
def move(e, g, kind, qu):  # type: ignore[no-untyped-def]
    """Puts `e` at the head of a list of group g."""
    qu.size[g, qu.kind[e]] -= 1
    qu.size[g, kind] += 1
    qu.kind[e] = kind
    qu.order[e] = qu.clock[0]
    qu.clock[0] += 1


@compiled
def noted(e, g, mode, qu):  # type: ignore[no-untyped-def]
    """A hit."""
    if mode == ARC:
        move(e, g, OLD, qu)
    else:
        qu.freq[e] = min(qu.freq[e] + 1, MOST)


@compiled
def tail(g, kind, stamp, needed, qu):  # type: ignore[no-untyped-def]
    """The expert at the tail of a list, those that the event needs (needed == stamp) skipped; -1 for none."""
    if qu.size[g, kind] == 0:
        return -1
    width = len(qu.kind) // len(qu.size)
    best = -1
    for e in range(g * width, (g + 1) * width):
        if qu.kind[e] == kind and needed[e] != stamp and (best < 0 or qu.order[e] < qu.order[best]):
            best = e
    return best


@compiled
def _forget(g, kind, needed, qu):  # type: ignore[no-untyped-def]
    e = tail(g, kind, -1, needed, qu)
    if e >= 0:
        move(e, g, NOWHERE, qu)


@compiled
def _from_small(g, stamp, needed, capacity, qu):  # type: ignore[no-untyped-def]
    while True:
        e = tail(g, YOUNG, stamp, needed, qu)
        if e < 0:
            return -1
        if qu.freq[e] > 1:
            qu.freq[e] = 0
            move(e, g, OLD, qu)
            continue
        move(e, g, YOUNG_GHOST, qu)
        while 10 * qu.size[g, YOUNG_GHOST] > 9 * capacity:
            _forget(g, YOUNG_GHOST, needed, qu)
        return e


@compiled
def _from_main(g, stamp, needed, qu):  # type: ignore[no-untyped-def]
    while True:
        e = tail(g, OLD, stamp, needed, qu)
        if e < 0:
            return -1
        if qu.freq[e] > 0:
            qu.freq[e] -= 1
            move(e, g, OLD, qu)
            continue
        move(e, g, NOWHERE, qu)
        return e


@compiled
def _s3fifo_victim(g, stamp, needed, capacity, qu):  # type: ignore[no-untyped-def]
    victim = -1
    if 10 * qu.size[g, YOUNG] >= capacity:
        victim = _from_small(g, stamp, needed, capacity, qu)
    if victim < 0:
        victim = _from_main(g, stamp, needed, qu)
    if victim < 0:
        victim = _from_small(g, stamp, needed, capacity, qu)
    if victim < 0:  # all of S moved to M meanwhile
        victim = _from_main(g, stamp, needed, qu)
    return victim


@compiled
def _arc_replace(g, stamp, needed, from_b2, qu):  # type: ignore[no-untyped-def]
    t1 = qu.size[g, YOUNG]
    young = t1 > 0 and (t1 > qu.target[g] or (from_b2 and t1 == qu.target[g]))
    kind = YOUNG if young else OLD
    victim = tail(g, kind, stamp, needed, qu)
    if victim < 0:
        kind = OLD if young else YOUNG
        victim = tail(g, kind, stamp, needed, qu)
    move(victim, g, YOUNG_GHOST if kind == YOUNG else OLD_GHOST, qu)
    return victim


@compiled
def _arc_victim(g, stamp, needed, capacity, ghost, qu):  # type: ignore[no-untyped-def]
    """Cases II to IV of figure 4 for a miss of which `ghost` is known."""
    size = qu.size[g]
    if ghost == YOUNG_GHOST:
        qu.target[g] = min(float(capacity), qu.target[g] + max(1.0, size[OLD_GHOST] / size[YOUNG_GHOST]))
        return _arc_replace(g, stamp, needed, False, qu)
    if ghost == OLD_GHOST:
        qu.target[g] = max(0.0, qu.target[g] - max(1.0, size[YOUNG_GHOST] / size[OLD_GHOST]))
        return _arc_replace(g, stamp, needed, True, qu)
    if size[YOUNG] + size[YOUNG_GHOST] == capacity:
        if size[YOUNG] == capacity:
            victim = tail(g, YOUNG, stamp, needed, qu)
            move(victim, g, NOWHERE, qu)
            return victim
        _forget(g, YOUNG_GHOST, needed, qu)
    elif size[YOUNG] + size[OLD] + size[YOUNG_GHOST] + size[OLD_GHOST] == 2 * capacity:
        _forget(g, OLD_GHOST, needed, qu)
    return _arc_replace(g, stamp, needed, False, qu)


@compiled
def seat(g, stamp, missed, m, slots, used, where, needed, victims, capacity, mode, qu):  # type: ignore[no-untyped-def]
    """Gives missed[:m] (ascending) slots of group g; admitted ones come first in `missed` afterwards, who left in `victims`, in that order."""
    if capacity == 0:
        return 0, 0
    remembered = 0
    for j in range(m):
        e = missed[j]
        if qu.kind[e] >= YOUNG_GHOST:
            for k in range(j, remembered, -1):
                missed[k] = missed[k - 1]
            missed[remembered] = e
            remembered += 1
    spare = 0
    for k in range(used[g]):
        if needed[slots[g, k]] != stamp:
            spare += 1
    evicted = 0
    for j in range(m):
        e = missed[j]
        if used[g] < capacity:
            place = used[g]
            used[g] += 1
        else:
            if evicted == spare:
                return j, evicted
            if mode == ARC:
                victim = _arc_victim(g, stamp, needed, capacity, qu.kind[e], qu)
            else:
                if j < remembered:
                    move(e, g, NOWHERE, qu)  # leaves G before another comes
                victim = _s3fifo_victim(g, stamp, needed, capacity, qu)
            place = where[victim]
            where[victim] = -1
            victims[evicted] = victim
            evicted += 1
        slots[g, place] = e
        where[e] = place
        qu.freq[e] = 0
        move(e, g, OLD if j < remembered else YOUNG, qu)
    return m, evicted

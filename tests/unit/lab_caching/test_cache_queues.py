"""S3-FIFO and ARC: vectors worked by hand, the papers' algorithms written a second time with plain lists, and what an event may not do."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.errors import LabInput
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import simulate, synthetic, timeline
from sovereign.lab.caching.timeline import Costs, Strategy

pytestmark = pytest.mark.lab


class SlowS3Fifo:
    """Three lists, newest first. Written from the paper's algorithm 1, one eviction for each expert that comes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghost: list[int] = []
        self.count: dict[int, int] = {}

    def held(self) -> set[int]:
        return {*self.small, *self.main}

    def remembers(self, e: int) -> bool:
        return e in self.ghost

    def hit(self, e: int) -> None:
        self.count[e] = min(3, self.count[e] + 1)

    def miss(self, e: int, remembered: bool, pinned: set[int]) -> int | None:
        if e in self.ghost:
            self.ghost.remove(e)
        gone = self._evict(pinned) if len(self.held()) == self.capacity else None
        self.count[e] = 0
        (self.main if remembered else self.small).insert(0, e)
        return gone

    def _evict(self, pinned: set[int]) -> int:
        small_first = len(self.small) >= 0.1 * self.capacity
        turns = [self._evict_small, self._evict_main] * 2 if small_first else [self._evict_main, self._evict_small, self._evict_main]
        for turn in turns:
            gone = turn(pinned)
            if gone is not None:
                return gone
        raise AssertionError("nobody may leave")

    def _evict_small(self, pinned: set[int]) -> int | None:
        while free := [e for e in reversed(self.small) if e not in pinned]:
            e = free[0]
            self.small.remove(e)
            if self.count[e] > 1:
                self.count[e] = 0
                self.main.insert(0, e)
                continue
            self.ghost.insert(0, e)
            while len(self.ghost) > 0.9 * self.capacity:
                self.ghost.pop()
            return e
        return None

    def _evict_main(self, pinned: set[int]) -> int | None:
        while free := [e for e in reversed(self.main) if e not in pinned]:
            e = free[0]
            self.main.remove(e)
            if self.count[e] == 0:
                return e
            self.count[e] -= 1
            self.main.insert(0, e)
        return None


class SlowArc:
    """Four lists, most recent first. Written from figure 4 of the paper."""

    def __init__(self, capacity: int) -> None:
        self.c, self.p = capacity, 0.0
        self.t1: list[int] = []
        self.t2: list[int] = []
        self.b1: list[int] = []
        self.b2: list[int] = []

    def held(self) -> set[int]:
        return {*self.t1, *self.t2}

    def remembers(self, e: int) -> bool:
        return e in self.b1 or e in self.b2

    def hit(self, e: int) -> None:
        (self.t1 if e in self.t1 else self.t2).remove(e)
        self.t2.insert(0, e)

    def miss(self, e: int, remembered: bool, pinned: set[int]) -> int | None:
        if len(self.held()) < self.c:
            assert not remembered
            self.t1.insert(0, e)
            return None
        if e in self.b1:
            self.p = min(self.c, self.p + (1 if len(self.b1) >= len(self.b2) else len(self.b2) / len(self.b1)))
            gone = self._replace(pinned, in_b2=False)
            self.b1.remove(e)
            self.t2.insert(0, e)
        elif e in self.b2:
            self.p = max(0, self.p - (1 if len(self.b2) >= len(self.b1) else len(self.b1) / len(self.b2)))
            gone = self._replace(pinned, in_b2=True)
            self.b2.remove(e)
            self.t2.insert(0, e)
        else:
            if len(self.t1) + len(self.b1) == self.c:
                if len(self.t1) < self.c:
                    self.b1.pop()
                    gone = self._replace(pinned, in_b2=False)
                else:
                    gone = next(x for x in reversed(self.t1) if x not in pinned)
                    self.t1.remove(gone)
            else:
                if len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2) == 2 * self.c:
                    self.b2.pop()
                gone = self._replace(pinned, in_b2=False)
            self.t1.insert(0, e)
        assert len(self.t1) + len(self.b1) <= self.c
        assert len(self.t1) + len(self.t2) + len(self.b1) + len(self.b2) <= 2 * self.c
        return gone

    def _replace(self, pinned: set[int], *, in_b2: bool) -> int:
        young = bool(self.t1) and (len(self.t1) > self.p or (in_b2 and len(self.t1) == self.p))
        lists = [(self.t1, self.b1), (self.t2, self.b2)]
        for held, ghost in lists if young else lists[::-1]:
            free = [x for x in reversed(held) if x not in pinned]
            if free:
                held.remove(free[0])
                ghost.insert(0, free[0])
                return free[0]
        raise AssertionError("nobody may leave")


SLOW: dict[str, Any] = {"s3fifo": SlowS3Fifo, "arc": SlowArc}


def slow_replay(key: str, sets: list[list[int]], layers: int, capacity: int, scope: str) -> tuple[list[int], int, int]:
    """(misses per event, evictions, bypassed) by the plain lists; the event-atomic rules are those of queues.py."""
    pools = [SLOW[key](capacity) for _ in range(layers if scope == "per_layer" else 1)]
    missed, evictions, bypassed = [], 0, 0
    for i, need in enumerate(sets):
        layer = i % layers
        pool = pools[layer if scope == "per_layer" else 0]
        wanted = sorted(1000 * layer + e for e in need)
        absent = [e for e in wanted if e not in pool.held()]
        for e in wanted:
            if e not in absent:
                pool.hit(e)
        known = [e for e in absent if pool.remembers(e)]
        missed.append(len(absent))
        for e in [*known, *[x for x in absent if x not in known]]:
            held = pool.held()
            if len(held) == capacity and held <= set(wanted):
                bypassed += 1
                continue
            gone = pool.miss(e, e in known, set(wanted))
            assert gone not in wanted
            evictions += gone is not None
    return missed, evictions, bypassed


def one_by_one(ids: list[int], experts: int) -> ev.Events:
    return ev.from_sets([[e] for e in ids], layers=1, experts=experts)


def test_s3fifo_on_a_vector_worked_by_hand() -> None:
    """Three slots: S gives as soon as it holds one, G remembers two. Newest first:

    0 1 | S 1 0; 0 0 two hits; 2 | S 2 1 0; 3: 0 was used twice, to M; 1 leaves, G 1 | S 3 2, M 0; 1 is remembered: 2 leaves | S 3, M 1 0, G 2;
    0 hit; 4: 3 leaves | G 3 2; 5: 4 leaves, 2 forgotten | G 4 3; 2: 5 leaves, 3 forgotten | S 2, G 5 4; 3: 2 leaves | S 3, G 2 5;
    5 is remembered: 3 leaves | S -, M 5 1 0, G 3 2; 6: S is empty, 0 (one hit) goes round, 1 leaves unremembered | S 6, M 0 5; 1: 6 leaves.
    """
    ids = [0, 1, 0, 0, 2, 3, 1, 0, 4, 5, 2, 3, 5, 6, 1, 0, 5]
    result = simulate.replay(one_by_one(ids, 7), key="s3fifo", slots=3)
    assert result.event_misses.tolist() == [1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert (result.hits, result.evictions, result.bypassed) == (5, 9, 0)


def test_arc_on_a_vector_worked_by_hand() -> None:
    """Two slots, most recent first: 0 1 | T1 1 0; 0 hit | T1 1, T2 0; 2: p = 0 < |T1|, 1 to B1 | T1 2; 1 in B1: p = 1, 0 to B2 | T1 2, T2 1;
    3: |T1| = p, 1 to B2 | T1 3 2, B2 1 0; 0 in B2: p = 0, 2 to B1 | T1 3, T2 0; 3 hit | T2 3 0; 4: four lists hold 4, 1 is forgotten, 0 to B2 | T1 4;
    1: |T1| + |B1| = 2, 2 is forgotten, 4 to B1 | T1 1, T2 3; 4 in B1: p = 1, |T1| = p, 3 to B2 | T1 1, T2 4.
    """
    ids = [0, 1, 0, 2, 1, 3, 0, 3, 4, 1, 4, 1, 4]
    result = simulate.replay(one_by_one(ids, 5), key="arc", slots=2)
    assert result.event_misses.tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0]
    assert (result.hits, result.evictions, result.bypassed) == (4, 7, 0)


events_of = st.integers(1, 2).flatmap(
    lambda layers: st.lists(st.sets(st.integers(0, 6), min_size=1, max_size=5), min_size=layers, max_size=40).map(
        lambda sets: (layers, [sorted(s) for s in sets[: len(sets) // layers * layers]])
    )
)


@pytest.mark.parametrize("key", ["s3fifo", "arc"])
@settings(max_examples=150, deadline=None)
@given(case=events_of, capacity=st.integers(1, 7), scope=st.sampled_from(["per_layer", "global"]))
def test_the_compiled_queues_decide_like_plain_lists(key: str, case: tuple[int, list[list[int]]], capacity: int, scope: str) -> None:
    """Events wider than the cache, one pool and one per layer; the lists also assert that nothing needed leaves and ARC's four bounds."""
    layers, sets = case
    found = simulate.replay(ev.from_sets(sets, layers=layers, experts=7), key=key, slots=capacity, scope=scope)
    assert (found.event_misses.tolist(), found.evictions, found.bypassed) == slow_replay(key, sets, layers, capacity, scope)


@pytest.mark.parametrize("key", ["s3fifo", "arc"])
@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, 9), min_size=1, max_size=120), capacity=st.integers(1, 8))
def test_events_of_one_expert_are_the_published_algorithms(key: str, ids: list[int], capacity: int) -> None:
    """One request at a time needs none of our four deviations: textbook lists without pins give the same misses."""
    pool, missed = SLOW[key](capacity), []
    for e in ids:
        missed.append(int(e not in pool.held()))
        if missed[-1]:
            pool.miss(e, pool.remembers(e), set())
        else:
            pool.hit(e)
    assert simulate.replay(one_by_one(ids, 10), key=key, slots=capacity).event_misses.tolist() == missed


@pytest.mark.parametrize("key", ["s3fifo", "arc"])
def test_nothing_an_event_needs_is_evicted_by_it_from_queues(key: str) -> None:
    """0 and 3 swap, 1 and 2 stay: one miss per event after the first. Access by access the same policies miss more."""
    events = ev.from_sets([[1, 2, 3], [0, 1, 2]] * 20, layers=1, experts=4)
    atomic = simulate.replay(events, key=key, slots=3)
    assert atomic.event_misses.tolist()[1:] == [1] * 39
    assert simulate.replay(ev.sequential(events), key=key, slots=3).misses > atomic.misses


@pytest.mark.parametrize("key", ["s3fifo", "arc"])
def test_queues_stay_below_the_bound_and_a_full_cache_misses_only_once(key: str) -> None:
    routes = synthetic.routes(synthetic.Shape("small", 4, 16, 2, 1_000), requests=8, prompt=3, decode=12, seed=5)
    for batch, slots in itertools.product((1, 4), (1, 3, 8, 16)):
        events = ev.to_events(routes, batch=batch)
        result = simulate.replay(events, key=key, slots=slots)
        assert result.hits <= simulate.replay(events, key="belady", slots=slots, admission="bypass").hits
        assert result.hits + result.misses == result.accesses
        if slots == 16:
            assert result.misses == result.compulsory


def test_s3fifo_lets_a_scan_pass_and_lru_does_not() -> None:
    """Two experts are used all the time between one-time guests: a quick demotion of guests is the policy's whole point."""
    ids = [0, 1] * 4 + list(itertools.chain.from_iterable([guest, guest + 1, guest + 2, 0, 1] for guest in range(2, 50, 3)))
    events = one_by_one(ids, 60)
    assert simulate.replay(events, key="s3fifo", slots=3).hits > simulate.replay(events, key="lru", slots=3).hits + 20


@pytest.mark.parametrize("key", ["s3fifo", "arc"])
def test_queues_refuse_what_is_not_defined_for_them(key: str) -> None:
    events = one_by_one([0, 1, 2], 3)
    with pytest.raises(LabInput, match="bypass is not defined"):
        simulate.replay(events, key=key, slots=2, admission="bypass")
    costs = Costs(bandwidth=1.0, expert_bytes=1)
    for change in ({"horizon": 1}, {"admission": "bypass"}, {"preload": np.zeros(1, np.int32)}):
        with pytest.raises(LabInput, match="takes no prefetch, preload or bypass"):
            timeline.run(events, Strategy(key, key=key, slots=2, **change), costs)  # type: ignore[arg-type]

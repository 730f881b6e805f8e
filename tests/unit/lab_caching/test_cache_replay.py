"""Replay of expert caches: hand-checked counts, optimality against brute force, and the traps that flip rankings."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from sovereign.errors import LabInput, NotFound
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import simulate

pytestmark = pytest.mark.lab
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "cache_toy_trace"

# One layer, four experts, two slots, LRU. By hand: {0,1} 2 misses; {0,2} hits 0, misses 2, 1 goes; {1,2} hits 2, misses 1, 0 goes;
# {1} hit; {3} miss, 2 (older than 1) goes; {1,3} two hits; {0,2} two misses. 5 hits of 12.
HAND = [[0, 1], [0, 2], [1, 2], [1], [3], [1, 3], [0, 2]]


def random_sets(rng: np.random.Generator, events: int, layers: int, experts: int, widest: int) -> ev.Events:
    sets = [sorted(rng.choice(experts, size=rng.integers(1, widest + 1), replace=False).tolist()) for _ in range(events * layers)]
    return ev.from_sets(sets, layers=layers, experts=experts)


def brute_force(sets: list[frozenset[int]], slots: int, bypass: bool) -> int:
    """Fewest misses over every possible sequence of cache contents (one layer)."""

    @cache
    def best(i: int, held: frozenset[int]) -> int:
        if i == len(sets):
            return 0
        need = sets[i]
        pool = held | need
        cost = len(need - held)
        sizes = range(min(slots, len(pool)) + 1) if bypass else range(len(need), min(slots, len(pool)) + 1)
        after = (frozenset(c) for n in sizes for c in itertools.combinations(sorted(pool), n))
        return cost + min(best(i + 1, c) for c in after if bypass or need <= c)

    return best(0, frozenset())


def test_hand_checked_trace_gives_the_counts_found_on_paper() -> None:
    result = simulate.replay(ev.from_sets(HAND, layers=1, experts=4), key="lru", slots=2)
    assert result.event_misses.tolist() == [2, 1, 1, 0, 1, 0, 2]
    assert (result.accesses, result.hits, result.misses, result.compulsory, result.evictions) == (12, 5, 7, 4, 5)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/cache_toy_trace")
def test_published_toy_trace_is_reproduced_count_for_count() -> None:
    events, manifest = ev.read_csv(SHARED)
    want = manifest["expected"]
    got = simulate.replay(events, key=manifest["policy"], slots=manifest["capacity_blocks_per_layer"])
    assert (got.accesses, got.hits, got.misses, got.compulsory, got.evictions) == (
        want["total_accesses"],
        want["hits"],
        want["misses"],
        want["compulsory_misses"],
        want["evictions"],
    )
    assert got.event_misses.tolist() == want["event_misses"]


def test_a_folder_without_a_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"events\.csv"):
        ev.read_csv(tmp_path)


@pytest.mark.parametrize("seed", range(25))
def test_belady_equals_the_best_of_all_replacement_sequences(seed: int) -> None:
    """Guards the bound that every gap is measured against; random traces of 9 events over 5 experts, both admissions."""
    rng = np.random.default_rng(seed)
    events = random_sets(rng, 9, 1, 5, 2)
    sets = [frozenset(events.ids[a:b].tolist()) for a, b in itertools.pairwise(events.offsets)]
    for slots in (2, 3):
        forced = simulate.replay(events, key="belady", slots=slots).misses
        bypass = simulate.replay(events, key="belady", slots=slots, admission="bypass").misses
        assert forced == brute_force(sets, slots, bypass=False)
        assert bypass == brute_force(sets, slots, bypass=True) <= forced


@pytest.mark.parametrize("seed", range(6))
def test_no_demand_policy_beats_belady_and_a_full_cache_misses_only_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = random_sets(rng, 60, 3, 8, 6)  # events wider than the cache are included
    for slots in (1, 3, 5, 8):
        bound = simulate.replay(events, key="belady", slots=slots, admission="bypass").hits
        for key in ("lru", "lfu", "lfru", "belady"):
            for admission in ("forced", "bypass"):
                result = simulate.replay(events, key=key, slots=slots, admission=admission)
                assert result.hits <= bound
                assert result.hits + result.misses == result.accesses == len(events.ids)
                if slots == 8:
                    assert result.misses == result.compulsory


def test_nothing_an_event_needs_is_evicted_by_it() -> None:
    """Sequential replay evicts what the same layer still needs; the event-atomic one must not."""
    events = ev.from_sets([[1, 2, 3], [0, 1, 2]] * 20, layers=1, experts=4)
    atomic = simulate.replay(events, key="lru", slots=3)
    torn = simulate.replay(ev.sequential(events), key="lru", slots=3)
    assert atomic.event_misses.tolist()[2:] == [1] * 38  # 0 and 3 swap, 1 and 2 stay
    assert torn.misses == 82 and atomic.misses == 42


def test_sequential_replay_turns_a_ranking_around() -> None:
    """Cyclic sets wider than the cache: one order of accesses says LRU is useless, the atomic one does not."""
    rng = np.random.default_rng(0)
    events = random_sets(rng, 200, 2, 16, 10)
    atomic = {k: simulate.replay(events, key=k, slots=6).hit_ratio for k in ("lru", "lfu")}
    torn = {k: simulate.replay(ev.sequential(events), key=k, slots=6).hit_ratio for k in ("lru", "lfu")}
    assert torn["lru"] < 0.75 * atomic["lru"]
    assert atomic["lru"] - atomic["lfu"] > torn["lru"] - torn["lfu"]


def test_one_pool_under_lru_thrashes_where_layers_keep_their_own() -> None:
    events = ev.from_sets([[0, 1], [0, 1], [0, 1]] * 10, layers=3, experts=4)
    own = simulate.replay(events, key="lru", slots=2)
    pool = simulate.replay(events, key="lru", slots=4, scope="global")
    assert own.misses == 6
    assert pool.hits == 0


def test_ties_are_broken_the_same_way_every_time() -> None:
    """All experts of an event are equally recent: the lowest id leaves first."""
    events = ev.from_sets([[1, 2, 3], [4], [1], [2]], layers=1, experts=5)
    assert simulate.replay(events, key="lru", slots=3).event_misses.tolist() == [3, 1, 1, 1]
    assert simulate.replay(events, key="lru", slots=3).event_misses.tolist() == [3, 1, 1, 1]


def test_more_than_the_cache_holds_is_streamed_or_refused() -> None:
    events = ev.from_sets([[0, 1, 2]] * 3, layers=1, experts=4)
    assert simulate.replay(events, key="lru", slots=2).bypassed == 3
    with pytest.raises(LabInput, match="needs 3 experts but the cache holds 2"):
        simulate.replay(events, key="lru", slots=2, strict=True)
    with pytest.raises(LabInput, match="-1 slots"):
        simulate.replay(events, key="lru", slots=-1)


def trace(requests: int = 6, length: int = 8, prompt: int = 3, layers: int = 2, experts: int = 8, k: int = 2, seed: int = 0) -> ev.Routes:
    rng = np.random.default_rng(seed)
    rows = requests * length
    chosen = np.argsort(rng.random((rows, layers, experts)), axis=2)[:, :, :k].astype(np.int16)
    position = np.tile(np.arange(length), requests)
    return ev.Routes(chosen, np.repeat(np.arange(requests), length), position, position >= prompt, experts)


@pytest.mark.parametrize("batch", [1, 2, 4, 6])
def test_events_hold_exactly_the_routes_of_their_batch(batch: int) -> None:
    routes = trace()
    events = ev.to_events(routes, batch=batch)
    assert int(events.load.sum()) == routes.experts.size
    for s in range(events.steps):
        rows = events.rows[events.row_offsets[s] : events.row_offsets[s + 1]]
        assert len({bool(d) for d in routes.is_decode[rows]}) == 1
        for layer in range(events.layers):
            i = s * events.layers + layer
            found = events.ids[events.offsets[i] : events.offsets[i + 1]] - layer * routes.n_experts
            assert found.tolist() == sorted(set(routes.experts[rows, layer].ravel().tolist()))


def test_two_batches_take_turns_and_lose_nothing() -> None:
    plain, dual = (ev.to_events(trace(), batch=2, interleave=n) for n in (1, 2))
    assert sorted(plain.rows.tolist()) == sorted(dual.rows.tolist())
    assert dual.step_group[:6].tolist() == [0, 1, 0, 1, 0, 1]
    assert plain.steps == dual.steps


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"experts": np.zeros((4, 2), np.int16)}, "shape"),
        ({"request": np.zeros(3, np.int32)}, "truncated"),
        ({"experts": np.full((4, 2, 2), 9, np.int16)}, "expert ids"),
        ({"experts": np.zeros((4, 2, 2), np.float32)}, "not integers"),
        ({"experts": np.zeros((4, 2, 2), np.int16)}, "twice"),
    ],
)
def test_a_broken_or_foreign_trace_is_refused_with_one_line(change: dict[str, np.ndarray], words: str) -> None:
    routes = trace(requests=2, length=2, prompt=1)
    broken = ev.Routes(**{**routes.__dict__, **change})
    with pytest.raises(LabInput, match=words) as caught:
        ev.checked(broken, n_experts=8)
    assert "\n" not in caught.value.line()


def test_half_a_step_is_a_truncated_trace() -> None:
    with pytest.raises(LabInput, match="truncated"):
        ev.from_sets([[0], [1], [0]], layers=2, experts=2)

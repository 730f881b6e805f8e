"""Token scheduling: the worked example, never worse than the input order, and nobody waits longer than the bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.errors import LabInput, UnknownName
from sovereign.lab import scheduling
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import synthetic

pytestmark = pytest.mark.lab


def families(tokens: int, layers: int, experts: int, seed: int) -> np.ndarray:
    """Two interleaved families that use different halves of the experts."""
    rng = np.random.default_rng(seed)
    routes = np.zeros((tokens, layers, experts), bool)
    for t in range(tokens):
        for layer in range(layers):
            routes[t, layer, (t % 2) * experts // 2 + rng.integers(experts // 2)] = True
    return routes.reshape(tokens, -1)


@pytest.mark.parametrize("seed", range(12))
def test_two_interleaved_families_are_pulled_apart(seed: int) -> None:
    """16 tokens, 4 layers, 8 experts: about 42 -> 28 expert loads, halves pure. The optimum is the pure split."""
    routes = families(16, 4, 8, seed)
    left, right = scheduling.balanced_two_means(routes)
    before = scheduling.loads(routes, [np.arange(8), np.arange(8, 16)])
    after = scheduling.loads(routes, [left, right])
    assert {len(set(left % 2)), len(set(right % 2))} == {1}
    assert after == scheduling.loads(routes, [np.arange(0, 16, 2), np.arange(1, 16, 2)])
    assert after <= 32 < 36 <= before


@given(st.integers(1, 12), st.integers(1, 40), st.floats(0.02, 0.6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_split_is_equal_complete_and_never_worse(half: int, width: int, density: float, seed: int) -> None:
    routes = np.random.default_rng(seed).random((2 * half, width)) < density
    left, right = scheduling.balanced_two_means(routes)
    assert len(left) == len(right) == half
    assert sorted([*left.tolist(), *right.tolist()]) == list(range(2 * half))
    given_order = [np.arange(half), np.arange(half, 2 * half)]
    assert scheduling.loads(routes, [left, right]) <= scheduling.loads(routes, given_order)


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_every_request_runs_once_and_waits_no_longer_than_the_bound(requests: int, batch: int, window: int, seed: int) -> None:
    features = np.random.default_rng(seed).random((requests, 24)) < 0.2
    found = scheduling.schedule(features, batch, window=window)
    flat = [r for g in found.groups for r in g]
    assert sorted(flat) == list(range(requests))
    assert all(len(g) <= batch for g in found.groups)
    assert found.worst_delay <= window - 1
    strict = scheduling.schedule(features, batch, window=window, bound=0)
    assert strict.worst_delay <= 0
    given_order = [np.arange(i, min(i + batch, requests)) for i in range(0, requests, batch)]
    groups = [np.array(g) for g in found.groups]
    assert scheduling.loads(features, groups) <= scheduling.loads(features, given_order)


def test_the_oracle_groups_need_no_more_experts_than_the_input_order() -> None:
    routes = synthetic.routes(synthetic.Shape("s", 2, 16, 2, 1), requests=24, prompt=4, decode=8, seed=1)
    seen = scheduling.features("oracle", routes)
    groups = scheduling.schedule(seen, 4, window=2).groups
    fifo = [list(range(i, i + 4)) for i in range(0, 24, 4)]
    assert scheduling.loads(seen, [np.array(g) for g in groups]) <= scheduling.loads(seen, [np.array(g) for g in fifo])
    assert scheduling.distinct_per_step(routes, groups, ev.to_events) > 0


def test_bag_of_tokens_sees_prompts_only() -> None:
    routes = synthetic.routes(synthetic.Shape("s", 2, 8, 2, 1), requests=3, prompt=2, decode=3, seed=1)
    with_tokens = ev.Routes(**{**routes.__dict__, "tokens": np.arange(15)})
    bag = scheduling.features("bag_of_tokens", with_tokens, vocab=15)
    assert bag.sum(1).tolist() == [2, 2, 2]
    assert not bag[0, 2:].any()
    with pytest.raises(LabInput, match="no token ids"):
        scheduling.features("bag_of_tokens", routes)


def test_what_cannot_be_scheduled_is_refused() -> None:
    routes = synthetic.routes(synthetic.Shape("s", 2, 8, 2, 1), requests=3, prompt=2, decode=3, seed=1)
    with pytest.raises(UnknownName, match="astrology"):
        scheduling.features("astrology", routes)
    with pytest.raises(LabInput, match="predicted routes"):
        scheduling.features("two_means", routes)
    with pytest.raises(LabInput, match="two equal halves"):
        scheduling.balanced_two_means(np.ones((3, 4), bool))
    with pytest.raises(LabInput, match="at least 1"):
        scheduling.schedule(np.ones((4, 4), bool), 0)

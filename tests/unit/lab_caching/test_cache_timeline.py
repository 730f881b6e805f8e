"""The time line and the policies on it: a schedule worked out by hand, invariants over every policy, worked values of the papers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sovereign.errors import LabInput, UnknownName
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import forecast as fc
from sovereign.lab.caching import policies, simulate, sweep, synthetic, timeline
from sovereign.lab.caching.policies import expertflow_b
from sovereign.lab.caching.residency import Residency
from sovereign.lab.caching.timeline import Costs, Strategy

pytestmark = pytest.mark.lab
SMALL = synthetic.Shape("small", 4, 16, 2, 1_000)
COSTS = Costs(bandwidth=1e6, expert_bytes=1_000, attention_s=1e-3, expert_s=1e-4)  # one copy takes one layer's attention


def workload(seed: int = 0, requests: int = 8, error: float = 0.2) -> sweep.Workload:
    routes = synthetic.routes(SMALL, requests=requests, prompt=3, decode=12, seed=seed)
    popularity = np.bincount((routes.experts + 16 * np.arange(4)[None, :, None]).ravel(), minlength=64) / len(routes.experts)
    return sweep.Workload("small", routes, popularity, sweep.invented_forecasts(routes, error=error, seed=seed))


def case(work: sweep.Workload, *, batch: int = 1, fraction: float = 0.5, costs: Costs = COSTS) -> policies.Case:
    return policies.Case(ev.to_events(work.routes, batch=batch), fraction, costs, work.popularity, dict(work.forecasts))


def run(name: str, work: sweep.Workload, **setting: float) -> timeline.Outcome:
    given = case(work, **setting)  # type: ignore[arg-type]
    return timeline.run(given.events, policies.prepare(name, given), given.costs)


def test_stall_and_time_of_a_schedule_worked_out_by_hand() -> None:
    """Two layers, copy 2 s, attention 1 s, product 0.5 s, one slot per layer, LRU, no prefetch.

    Step 0: each layer 1 s attention, 2 s waiting, 0.5 s product = 3.5; twice = 7. Step 1 repeats the experts: 1.5 per layer = 3.
    """
    events = ev.from_sets([[0], [1], [0], [1]], layers=2, experts=2)
    costs = Costs(bandwidth=1.0, expert_bytes=2, attention_s=1.0, expert_s=0.5)
    out = timeline.run(events, Strategy("lru", slots=1), costs)
    assert out.step_s.tolist() == [7.0, 3.0]
    assert (out.stall_s, out.hits, out.misses, out.bytes_moved, out.peak_bytes) == (4.0, 2, 2, 4, 4)


def test_copies_overlap_products_but_not_without_overlap() -> None:
    """Three missing experts, copy 2 s, product 1 s: 2 + 2 + 2 + 1 with overlap, 6 + 3 without."""
    events = ev.from_sets([[0, 1, 2]], layers=1, experts=3)
    costs = Costs(bandwidth=1.0, expert_bytes=2, expert_s=1.0)
    assert timeline.run(events, Strategy("lru", slots=3), costs).step_s.tolist() == [7.0]
    assert timeline.run(events, Strategy("on_demand", slots=0, overlap=False), costs).step_s.tolist() == [9.0]


def test_a_perfect_prefetch_hides_the_copy_behind_the_layer_before() -> None:
    """Layer 1's expert is fetched while layer 0 attends and multiplies; only layer 0's first copy is waited for."""
    events = ev.from_sets([[0], [1]], layers=2, experts=2)
    costs = Costs(bandwidth=1.0, expert_bytes=1, attention_s=1.0, expert_s=0.5)
    predicted = fc.known_at_step_start(events, fc.truth(events))
    out = timeline.run(events, Strategy("oracle", scope="global", slots=2, predicted=predicted, horizon=4), costs)
    assert out.stall_s == 0.0
    assert (out.hits, out.prefetch, out.demand) == (2, 2, 0)


def test_the_link_is_never_interrupted_once_a_copy_has_started() -> None:
    """A wrong prefetch (2 s) is under way when the gate asks for another expert: 1 s attention, 1 s rest, 2 s own copy."""
    events = ev.from_sets([[0]], layers=1, experts=2)
    wrong = fc.Sets(np.array([1], np.int32), np.array([0, 1], np.int64))
    costs = Costs(bandwidth=1.0, expert_bytes=2, attention_s=1.0)
    strategy = Strategy("wrong", scope="global", slots=2, predicted=fc.known_at_step_start(events, wrong), horizon=1)
    assert timeline.run(events, strategy, costs).step_s.tolist() == [4.0]


@pytest.mark.parametrize(
    ("key", "admission"),
    [*((k, a) for k in ("lru", "lfu", "lfru", "belady") for a in ("forced", "bypass")), ("s3fifo", "forced"), ("arc", "forced")],
)
@pytest.mark.parametrize("scope", ["per_layer", "global"])
def test_without_prefetch_the_time_line_counts_what_the_replay_counts(key: str, admission: str, scope: str) -> None:
    """Two kernels, one set of rules."""
    work = workload(3)
    for batch, slots in ((1, 4), (4, 5), (8, 3)):
        events = ev.to_events(work.routes, batch=batch)
        size = slots * (1 if scope == "per_layer" else 4)
        plain = simulate.replay(events, key=key, slots=size, scope=scope, admission=admission)
        timed = timeline.run(events, Strategy(key, key=key, scope=scope, slots=size, admission=admission), COSTS)
        assert (timed.hits, timed.misses, timed.bypassed) == (plain.hits, plain.misses, plain.bypassed)


@pytest.mark.parametrize("name", list(policies.POLICIES))
@pytest.mark.parametrize("batch", [1, 4])
def test_every_policy_keeps_the_books(name: str, batch: int) -> None:
    """Accesses add up, memory stays in bounds, more slots are never more memory than all experts, and nothing is faster than all-resident."""
    work = workload(1)
    best = run("all_resident", work, batch=batch)
    out = run(name, work, batch=batch, fraction=0.25)
    assert out.hits + out.late + out.misses == out.accesses == best.accesses
    assert out.total_s >= best.total_s - 1e-12
    assert out.stall_s <= out.total_s
    extra = timeline.STAGING * COSTS.expert_bytes
    slots = best.peak_bytes if name == "all_resident" else 4 * 4 * COSTS.expert_bytes
    predictors = sum(f.nbytes for f in work.forecasts.values())
    assert out.peak_bytes <= slots + extra + predictors
    if name != "se_moe_ring":
        assert out.demand >= out.misses


@pytest.mark.parametrize("name", [n for n in policies.POLICIES if n not in ("on_demand", "se_moe_ring")])
def test_a_full_cache_copies_every_expert_once_at_most(name: str) -> None:
    work = workload(2)
    out = run(name, work, fraction=1.0)
    assert out.demand + out.prefetch + out.initial_load <= 4 * 16
    assert out.wasted == 0


def test_oracle_prefetch_is_the_bound_and_belady_moves_the_least() -> None:
    """Over six traces: no predictor has more hits than the oracle, and no policy with per-layer slots copies less than Belady."""
    for seed in range(6):
        work = workload(seed, error=0.3)
        o = {n: run(n, work, fraction=0.25) for n in policies.POLICIES}
        for name in ("expertflow_a", "expertflow_b", "pregated_probe", "lru_speculative", "lru", "lfu"):
            assert o[name].hits <= o["oracle_prefetch"].hits
            if name != "expertflow_a":
                assert o[name].bytes_moved >= o["belady"].bytes_moved
        assert o["belady"].hits >= o["belady_forced"].hits


def test_perfect_predictions_make_expertflow_a_at_least_as_good_as_lru() -> None:
    for seed in range(4):
        work = workload(seed, error=0.0)
        assert run("expertflow_a", work, fraction=0.25).hits >= run("lru", work, fraction=0.25).hits


def plec_case() -> policies.Case:
    """The paper's example: 2 layers of 4 experts, 4 slots in all, three tokens that need e12, e13, e14 and e22, e22, e23 (ids from 0 here).

    One copy takes 1 s, attention 4 s, a product 1 s; the path is predicted rightly.
    """
    experts = np.array([[[1], [1]], [[2], [1]], [[3], [2]]], np.int16)
    routes = ev.Routes(experts, np.arange(3), np.zeros(3, np.int64), np.ones(3, bool), 4)
    costs = Costs(bandwidth=1.0, expert_bytes=1, attention_s=4.0, expert_s=1.0)
    return policies.Case(ev.to_events(routes, batch=3), 0.5, costs, forecasts={"path": fc.Forecast("path", experts)})


def test_plec_fills_the_slots_as_in_the_papers_example() -> None:
    """needs 3 + 2 -> slots 3 : 1 when the step starts: e12, e13, e14, e22; e23 takes a slot of layer 1 once that is done (arXiv 2410.17954).

    Asked of ExpertFlow A's own strategy and of the kernel that fills the slots, in the order in which it copies.
    """
    given = plec_case()
    tier = Residency(policies.prepare("expertflow_a", given), 2, 4, len(given.events))

    def fill() -> list[int]:
        filled = []
        while (found := tier.next_prefetch()) is not None:
            filled.append(found[0])
            tier.arrived(found[0])
        return filled

    def resident() -> list[int]:
        return [int(np.sum(tier.state.where[layer * 4 : layer * 4 + 4] >= 0)) for layer in range(2)]

    tier.begin(0)
    assert fill() == [1, 2, 3, 4 + 1]
    assert resident() == [3, 1]
    gate = tier.gate(0, [1, 2, 3], 0)
    assert (gate.present, gate.late, gate.demand) == ([1, 2, 3], [], [])
    assert fill() == []  # layer 1 still computes from its slots
    tier.begin(1)
    assert fill() == [4 + 2]
    assert resident() == [2, 2]
    assert tier.gate(1, [5, 6], 3).present == [5, 6]


def test_plec_hides_every_copy_of_the_papers_example_and_equal_slots_per_layer_do_not() -> None:
    """By hand: the four copies fit behind the first attention, e23's behind the second: 4 + 3 + 4 + 2 = 13 s. Two slots in each layer hold only two of
    the first layer's three experts: e14 is copied once the gate asks for it."""
    given = plec_case()
    out = timeline.run(given.events, policies.prepare("expertflow_a", given), given.costs)
    assert (out.hits, out.misses, out.prefetch, out.demand) == (5, 0, 5, 0)
    assert (out.step_s.tolist(), out.stall_s, out.peak_bytes) == ([13.0], 0.0, 4)
    split = replace(policies.prepare("expertflow_a", given), scope="per_layer", slots=2)
    assert timeline.run(given.events, split, given.costs).misses == 1


def test_a_forecast_that_wants_more_than_the_cache_holds_fills_earlier_layers_and_likelier_experts_first() -> None:
    """Three slots instead of four: layer 1's three experts, nothing of layer 2; with two, the two that most tokens are expected to need."""
    given = plec_case()
    for slots, expected in ((3, [1, 2, 3]), (2, [1, 2])):
        tier = Residency(replace(policies.prepare("expertflow_a", given), slots=slots), 2, 4, len(given.events))
        tier.begin(0)
        filled = []
        while (found := tier.next_prefetch()) is not None:
            filled.append(found[0])
            tier.arrived(found[0])
        assert filled == expected


def test_step_size_of_expertflow_b() -> None:
    """16 experts of 12.58 MB over 25 GB/s against layers of 1 ms: 8.05 -> 9; at 64 GB/s 3.1 -> 4 (arXiv 2510.26730)."""
    assert expertflow_b.step_size(16, 12_582_912, 25e9, 1e-3, 16) == 9
    assert expertflow_b.step_size(16, 12_582_912, 64e9, 1e-3, 16) == 4
    assert expertflow_b.step_size(64, 12_582_912, 1e9, 1e-3, 16) == 15
    with pytest.raises(LabInput, match="0 bytes/s"):
        expertflow_b.step_size(16, 1, 0.0, 1e-3, 16)


def test_the_horizon_of_expertflow_b_follows_stalls() -> None:
    """A link that cannot keep up makes it look farther ahead; a link that is instant lets it shrink or stay."""
    work = workload(0, requests=8)
    slow = run("expertflow_b", work, costs=replace(COSTS, bandwidth=2e5), fraction=0.25)
    fast = run("expertflow_b", work, costs=replace(COSTS, bandwidth=1e9), fraction=0.25)
    assert slow.horizon_mean > fast.horizon_mean


def test_least_stale_is_lru_without_prefetch() -> None:
    work = workload(5)
    bare = replace(work, forecasts={})
    for batch in (1, 4):
        assert run("least_stale", bare, batch=batch).hits == run("lru_global", bare, batch=batch).hits


def test_a_pipelined_predictor_costs_nothing_until_it_is_slower_than_a_step() -> None:
    events = ev.from_sets([[0], [0], [0]], layers=1, experts=2)
    costs = Costs(bandwidth=1.0, expert_bytes=1, attention_s=1.0)
    times = []
    for seconds, pipelined in ((0.0, False), (0.5, True), (0.5, False), (3.0, True)):
        spent = np.full(3, seconds)
        strategy = Strategy("x", slots=1, predictor_s=spent, pipelined=pipelined)
        times.append(timeline.run(events, strategy, costs).total_s)
    free, hidden, exposed, long = times
    assert hidden == pytest.approx(free + 0.5)  # only the first step has nothing to hide behind
    assert exposed == pytest.approx(free + 1.5)
    assert long > exposed


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        (replace(COSTS, bandwidth=0.0), "never delivers"),
        (replace(COSTS, bandwidth=float("nan")), "never delivers"),
        (replace(COSTS, expert_bytes=0), "does not exist"),
        (replace(COSTS, attention_s=-1.0), "negative"),
    ],
)
def test_costs_that_cannot_be_are_refused(costs: Costs, words: str) -> None:
    with pytest.raises(LabInput, match=words):
        run("lru", workload(), costs=costs)


def test_policies_say_what_they_lack() -> None:
    bare = replace(workload(), forecasts={}, popularity=None)
    with pytest.raises(LabInput, match="frequencies"):
        run("static_frequency", bare)
    with pytest.raises(LabInput, match="forecast 'path'"):
        run("expertflow_a", bare)
    with pytest.raises(UnknownName, match="magic"):
        policies.load("magic")
    with pytest.raises(LabInput, match="between 0 and 1"):
        run("lru", bare, fraction=1.5)


def test_forecast_rows_say_what_was_asked() -> None:
    """Known `distance` layers early, never across a step unless asked; the united set is ranked by votes."""
    events = ev.to_events(workload().routes, batch=2)
    known = fc.known_before(events, fc.truth(events), 1)
    at = np.repeat(np.arange(len(events)), np.diff(known.offsets))
    assert ((known.targets - at) == 1).all()
    assert (events.layer[known.targets] > 0).all()
    accuracy = fc.batch_accuracy(events, fc.truth(events))
    assert accuracy == {"recall": 1.0, "precision": 1.0}
    assert fc.batch_accuracy(events, fc.everything(events))["recall"] == 1.0


def test_an_oracle_with_errors_has_the_error_rate_it_was_given() -> None:
    """4 x 16 x 2 x 120 entries: the false alarm at 3 standard errors is 0.3 %."""
    routes = workload(requests=8).routes
    for error in (0.0, 0.1, 0.5):
        found = fc.recall(fc.flawed(routes.experts, 16, error, seed=1), routes.experts)
        entries = routes.experts.size
        # a replaced entry may name another chosen expert by chance: 1 of 15
        assert 1 - error - 0.03 <= found <= 1 - error * (1 - 1 / 15) + 3 * (0.25 / entries) ** 0.5 + 1e-9


def test_synthetic_routes_hit_their_calibration() -> None:
    """OLMoE's repeats (25-47 %), distinct experts at batch 1, 2, 4 (8, 14.6, 24.8) and Zipf entropy 5.59 bits."""
    routes = synthetic.routes(synthetic.OLMOE, requests=12, prompt=0, decode=40, seed=0)
    found = synthetic.describe(routes)
    assert 0.25 <= found["repeat_share"] <= 0.47
    assert found["distinct"][1] == 8
    assert abs(found["distinct"][2] - 14.6) < 1.0
    assert abs(found["distinct"][4] - 24.8) < 2.0
    assert abs(found["entropy_bits"] - 5.59) < 0.15
    again = synthetic.routes(synthetic.OLMOE, requests=12, prompt=0, decode=40, seed=0)
    assert np.array_equal(routes.experts, again.experts)

"""Measurements of the study expert_cache on recorded routes: policies, predictors and schedulers, with intervals over folds and arrival orders.

Imports numpy and the lab. Refuses a single number without its setting; every time here is modelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sovereign.lab import scheduling
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import forecast as fc
from sovereign.lab.caching import policies, simulate, sweep, timeline
from sovereign.lab.statistics import mean_t_interval
from sovereign.lab.studies.cache_settings import Ratio, folds
from sovereign.lab.studies.cache_setup import Plan, Progress, Trained
from sovereign.records import Measurement

HEADLINE = (
    "all_resident",
    "on_demand",
    "lru",
    "lru_speculative",
    "pregated_probe",
    "expertflow_a",
    "expertflow_a_refined",
    "expertflow_b",
    "belady",
    "oracle_prefetch",
)
EVICTION = ("lru", "lfu", "lfru", "s3fifo", "arc", "belady")
SLOW_LINK, FAST_LINK = 6e9, 100e9


def as_measurements(ratios: Sequence[Ratio], *, modelled: bool = True, timing: bool = False) -> list[Measurement]:
    """Means with Student's t intervals over the repeats."""
    rows = []
    for ratio in ratios:
        estimate = mean_t_interval(ratio.values) if len(ratio.values) > 1 else None
        value = float(np.mean(ratio.values))
        interval = None if estimate is None else estimate.interval
        rows.append(Measurement(ratio.name, value, ratio.unit, interval, ratio.setting, len(ratio.values), timing, modelled))
    return rows


def headline(plan: Plan, trained: Trained, progress: Progress) -> list[Ratio]:
    """The judged statistics: one value per fold of held-out requests, policies paired inside a fold."""
    rows: dict[str, Ratio] = {}

    def add(name: str, value: float, unit: str, setting: str) -> None:
        rows.setdefault(name, Ratio(name, [], unit, setting)).values.append(float(value))

    for work, tag in ((trained.work, ""), (trained.foreign, ".foreign")):
        count = len(np.unique(work.routes.request))
        for index, members in enumerate(folds(count, plan.repeats)):
            progress(f"{work.name}, fold {index + 1}/{plan.repeats}", 0.76)
            ids = np.unique(work.routes.request)[members]
            part = work.part(ids.tolist())
            batch = min(8, len(ids))
            _hits(part, tag, add)
            if not tag:
                _eviction(part, batch, add)
                _parts_of_the_gap(part, add)
                _links(part, add)
                _variants(part, add)
            _accuracy(part, tag, batch, add)
    return list(rows.values())


Add = Callable[[str, float, str, str], None]


def _hits(part: sweep.Workload, tag: str, add: Add) -> None:
    """Hits, bytes and speed at batch 1 over the declared link, a quarter and a half of the experts resident."""
    for fraction in (0.25, 0.5):
        o = {p.policy: p.outcome for p in sweep.evaluate(part, HEADLINE, fractions=[fraction], batches=[1])}
        at = f"f{int(100 * fraction)}.b1"
        said = f"{part.name}, {fraction:.0%} of the experts, batch 1, 25 GB/s, held-out requests"
        bound = o["oracle_prefetch"]
        for name in ("expertflow_a", "expertflow_a_refined"):
            add(f"hit_gap_to_oracle.{name}.{at}{tag}", 100 * (bound.hit_ratio - o[name].hit_ratio), "points", said)
        for name in ("lru", "expertflow_a", "expertflow_a_refined", "expertflow_b", "pregated_probe", "belady", "oracle_prefetch"):
            add(f"hit.{name}.{at}{tag}", 100 * o[name].hit_ratio, "%", said)
        if tag:
            continue
        moved = o["belady"].bytes_moved
        add(f"hit_minus_belady.expertflow_a.{at}", 100 * (o["expertflow_a"].hit_ratio - o["belady"].hit_ratio), "points", said)
        add(f"bytes_over_belady.expertflow_a.{at}", o["expertflow_a"].bytes_moved / max(moved, 1), "x", said)
        add(f"bytes_over_belady.lru.{at}", o["lru"].bytes_moved / max(moved, 1), "x", said)
        speed = {n: x.tokens_per_s or float("nan") for n, x in o.items()}
        add(f"speedup.expertflow_a_over_cache_moe.{at}", speed["expertflow_a"] / speed["lru"], "x", said)
        add(f"speedup.pregated_over_on_demand.{at}", speed["pregated_probe"] / speed["on_demand"], "x", said)
        add(f"speed_share_of_all_resident.pregated.{at}", speed["pregated_probe"] / speed["all_resident"], "", said)
        stalls = 100 * (1 - o["expertflow_b"].stall_s / max(o["pregated_probe"].stall_s, 1e-12))
        add(f"stall_reduction.expertflow_b_over_pregated.{at}", stalls, "%", said)
        stalls = 100 * (1 - o["expertflow_b"].stall_s / max(o["on_demand"].stall_s, 1e-12))
        add(f"stall_reduction.expertflow_b_over_on_demand.{at}", stalls, "%", said)


def _parts_of_the_gap(part: sweep.Workload, add: Add) -> None:
    """The gap to oracle prefetch taken apart. ExpertFlow A as it is; with the true path of each step (a perfect path predictor); with the next step's true
    path too; with its own predictions but keeping by true next use; and with both the true path and the true next use, but fetching nothing for the
    step after this one. Steps of the ladder: prediction = true_path - as_is; retention = true_path_kept - true_path; what is left to oracle prefetch is
    fetching across the step's end."""
    routes = part.routes
    after = np.full_like(routes.experts, -1)
    same = routes.request[1:] == routes.request[:-1]
    after[:-1][same] = routes.experts[1:][same]
    own = dict(part.forecasts)
    true_path = {**own, "path": replace(own["path"], ids=routes.experts, score=None)}
    true_both = {**true_path, "path_next": replace(own["path_next"], ids=after, score=None)}
    this_step = {name: f for name, f in true_path.items() if name != "path_next"}
    events = ev.to_events(routes, batch=1)
    for label, link in (("", sweep.DECLARED.bandwidth), ("fast.", FAST_LINK)):
        costs = replace(sweep.DECLARED, bandwidth=link)
        for fraction in (0.25, 0.5):
            hits = {}
            ladder = {
                "as_is": own,
                "true_path": true_path,
                "true_path_and_next": true_both,
                "true_next_use": own,
                "true_path_kept": this_step,
            }
            for name, forecasts in ladder.items():
                case = policies.Case(events, fraction, costs, sweep.batch_popularity(part.popularity, 1.0), forecasts)
                strategy = policies.prepare("expertflow_a", case)
                if name in ("true_next_use", "true_path_kept"):
                    strategy = replace(strategy, key="belady")
                hits[name] = 100 * timeline.run(events, strategy, costs).hit_ratio
            case = policies.Case(events, fraction, costs)
            hits["oracle"] = 100 * timeline.run(events, policies.prepare("oracle_prefetch", case), costs).hit_ratio
            said = f"{part.name}, ExpertFlow A, {fraction:.0%} of the experts, batch 1, {link / 1e9:g} GB/s, held-out requests"
            at = f"f{int(100 * fraction)}.b1"
            for name in list(ladder)[0 if label else 1 :]:  # over the declared link `as_is` is hit.expertflow_a
                add(f"hit.{label}expertflow_a.{name}.{at}", hits[name], "%", said)
            add(f"hit_gap_to_perfect_path.{label}expertflow_a.{at}", hits["true_path"] - hits["as_is"], "points", said)
            for name, (more, less) in {
                "prediction": ("true_path", "as_is"),
                "retention": ("true_path_kept", "true_path"),
                "across_steps": ("oracle", "true_path_kept"),
                "whole": ("oracle", "as_is"),
            }.items():
                add(f"hit_gap_part.{label}{name}.{at}", hits[more] - hits[less], "points", said)


def _eviction(part: sweep.Workload, batch: int, add: Add) -> None:
    """Demand policies alone, without a clock: hits per layer and in one pool of as many slots."""
    for size in (1, batch):
        events = ev.to_events(part.routes, batch=size)
        for fraction in (0.25, 0.5):
            slots, base = ev.slots_per_layer(events.experts, fraction), 0.0  # EVICTION begins with LRU
            for key in EVICTION:
                for scope, held in (("per_layer", slots), ("global", slots * events.layers)):
                    admission = "bypass" if key == "belady" else "forced"
                    found = simulate.replay(events, key=key, slots=held, scope=scope, admission=admission)
                    said = f"{part.name}, {fraction:.0%} of the experts, batch {size}, {scope.replace('_', ' ')}, no prefetch, held-out requests"
                    at = f"f{int(100 * fraction)}.b{size}"
                    add(f"evict.{key}.{scope}.{at}", 100 * found.hit_ratio, "%", said)
                    if scope == "per_layer":
                        base = found.hit_ratio if key == "lru" else base
                        add(f"evict_minus_lru.{key}.{at}", 100 * (found.hit_ratio - base), "points", said)


def _variants(part: sweep.Workload, add: Add) -> None:
    """The gap to oracle prefetch where the link is fast, and where two requests take turns so that both next tokens are known."""
    names = ("expertflow_a", "expertflow_a_refined", "oracle_prefetch")
    for label, link, dual in (("fast", FAST_LINK, False), ("dual", sweep.DECLARED.bandwidth, True)):
        for fraction in (0.25, 0.5):
            found = sweep.evaluate(part, names, fractions=[fraction], batches=[1], bandwidths=[link], dual=dual)
            o = {p.policy: p.outcome for p in found}
            turns = ", two requests taking turns" if dual else ""
            said = f"{part.name}, {fraction:.0%} of the experts, batch 1, {link / 1e9:g} GB/s{turns}"
            for name in names[:2]:
                gap = 100 * (o["oracle_prefetch"].hit_ratio - o[name].hit_ratio)
                add(f"hit_gap_to_oracle.{label}.{name}.f{int(100 * fraction)}.b1", gap, "points", said)


def _links(part: sweep.Workload, add: Add) -> None:
    """The same prefetcher over a slow and a fast link: hits rise on both, speed does not."""
    pair = ("lru", "lru_speculative", "expertflow_a")
    for link, name in ((SLOW_LINK, "slow"), (FAST_LINK, "fast")):
        batch = min(8, len(np.unique(part.routes.request)))
        o = {p.policy: p.outcome for p in sweep.evaluate(part, pair, fractions=[0.25], batches=[batch], bandwidths=[link])}
        said = f"{part.name}, 25 % of the experts, batch {batch}, {link / 1e9:g} GB/s"
        base = o["lru"]
        for other in pair[1:]:
            ratio = (o[other].tokens_per_s or float("nan")) / (base.tokens_per_s or float("nan"))
            add(f"link.{name}.speed.{other}_over_lru", ratio, "x", said)
            add(f"link.{name}.hit_gain.{other}_over_lru", 100 * (o[other].hit_ratio - base.hit_ratio), "points", said)
            add(f"link.{name}.bytes.{other}_over_lru", o[other].bytes_moved / max(base.bytes_moved, 1), "x", said)


def _accuracy(part: sweep.Workload, tag: str, batch: int, add: Add) -> None:
    """Recall and precision of the experts a batch needs in a layer."""
    for size, label in ((1, "token"), (batch, "batch")):
        events = ev.to_events(part.routes, batch=size)
        found = fc.batch_accuracy(events, fc.unite(events, part.forecasts["path"]))
        said = f"{part.name}, routing path predictor, sets of a batch of {size} per layer"
        add(f"predictor.recall.{label}{tag}", 100 * found["recall"], "%", said)
        add(f"predictor.precision.{label}{tag}", 100 * found["precision"], "%", said)


def scheduled(plan: Plan, trained: Trained, seed: int, progress: Progress) -> list[Ratio]:
    """Distinct experts per layer-step and modelled speed under each scheduler, against first come first served in the same arrival order.

    Two windows: 2 batches (ExpertFlow A; nobody waits more than one batch) and 8 (nobody waits more than seven).
    """
    routes = trained.work.routes
    rows: dict[str, Ratio] = {}
    requests = np.unique(routes.request)
    path = trained.work.forecasts["path"].ids
    sees = {m: scheduling.features(m, routes, predicted=path, vocab=trained.vocab) for m in scheduling.METHODS[1:]}
    batch = 8 if len(requests) >= 32 else 4
    for repeat in range(plan.repeats):
        progress(f"schedulers, arrival order {repeat + 1}/{plan.repeats}", 0.82)
        order = np.random.default_rng((29, seed, repeat)).permutation(len(requests))
        input_order = [[int(requests[r]) for r in order[i : i + batch]] for i in range(0, len(order), batch)]
        base = _under(trained, input_order, batch)
        for window in (2, 8):
            for method, seen in sees.items():
                plan_ = scheduling.schedule(seen[order], batch, window=window)
                groups = [[int(requests[order[i]]) for i in g] for g in plan_.groups]
                here = _under(trained, groups, batch)
                said = f"trained, batch {batch}, window of {window} batches, worst wait {window - 1} batches, against input order, modelled"
                key = f"{method}.w{window}"
                values = {
                    f"schedule.fewer_experts.{key}": (100 * (1 - here[0] / base[0]), "%"),
                    f"schedule.speedup.{key}": (here[1] / base[1], "x"),
                    f"schedule.worst_wait.{key}": (float(plan_.worst_delay), "batches"),
                }
                for name, (value, unit) in values.items():
                    rows.setdefault(name, Ratio(name, [], unit, said)).values.append(float(value))
    return list(rows.values())


def _under(trained: Trained, groups: list[list[int]], batch: int) -> tuple[float, float]:
    """(distinct experts per layer of a decode step, tokens/s of ExpertFlow A at a quarter)."""
    distinct = scheduling.distinct_per_step(trained.work.routes, groups, ev.to_events)
    (point,) = sweep.evaluate(trained.work, ["expertflow_a"], fractions=[0.25], batches=[batch], groups=groups)
    return distinct, point.outcome.tokens_per_s or float("nan")


def trade_offs(points: Sequence[sweep.Point]) -> list[Measurement]:
    """Every policy, trained routes, batch 1, declared link: fix memory (25 %, 50 %) and compare time, fix time (1.5 x all-resident) and compare memory."""
    at = [p for p in points if p.workload == "trained" and p.batch == 1 and p.bandwidth == sweep.DECLARED.bandwidth]
    by: dict[str, dict[float, sweep.Point]] = defaultdict(dict)
    for p in at:
        by[p.policy][p.fraction] = p
    rows = []
    resident = next(p.outcome.tpot_s for p in at if p.policy == "all_resident")
    for policy, found in by.items():
        for fraction in (0.25, 0.5):
            if fraction in found and found[fraction].outcome.tpot_s is not None:
                value = 1e3 * float(found[fraction].outcome.tpot_s or 0.0)
                said = f"fixed memory: {fraction:.0%} of the experts, batch 1, 25 GB/s"
                rows.append(Measurement(f"tpot_at_memory.{policy}.f{int(100 * fraction)}", value, "ms", None, said, modelled=True))
        if resident is None:
            continue
        fits = [p for p in found.values() if p.outcome.tpot_s is not None and p.outcome.tpot_s <= 1.5 * resident]
        least = min((p.outcome.peak_bytes for p in fits), default=None)
        said = "fixed time: least peak memory of the swept sizes with TPOT within 1.5 x all-resident, batch 1, 25 GB/s"
        value_gb = None if least is None else least / 1e9
        rows.append(Measurement(f"memory_at_time.{policy}", value_gb, "GB", None, said, modelled=True))
    return rows


def recalls(trained: Trained) -> list[Measurement]:
    """Token-level recall@k of every predictor on held-out requests."""
    said = "token level, as many names as experts chosen, layers the predictor speaks of, held-out requests"
    return [Measurement(f"recall.{name}", 100 * value, "%", None, said) for name, value in sorted(trained.recalls.items())]

"""The published settings that are judged one by one, replayed on synthetic routes with declared machine constants.

Imports the lab's caching. Refuses to quote a ratio without the cell it comes from: shape, slots per layer, batch, link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sovereign.lab.caching import events as ev
from sovereign.lab.caching import policies, simulate, sweep, synthetic, timeline
from sovereign.lab.caching.timeline import Costs
from sovereign.lab.studies.cache_setup import Plan, Progress, make_synthetic

# One NVIDIA A40 behind PCIe 4 x16 (setting of arXiv 2410.17954): 25 GB/s effective, 696 GB/s memory. Attention and gate of a small or a
# middle-sized layer at a few tokens in PyTorch: 0.15 / 0.4 ms. Declared, not measured.
A40_SMALL = {"bandwidth": 25e9, "latency_s": 1e-5, "attention_s": 1.5e-4, "expert_token_s": 1e-7, "head_s": 2e-4}
A40_MIDDLE = {**A40_SMALL, "attention_s": 4e-4}
MEMORY_BANDWIDTH = 696e9


class Ratio(NamedTuple):
    """One value per repeat, and the cell."""

    name: str
    values: list[float]
    unit: str
    setting: str


@dataclass(frozen=True)
class Cell:
    """A published cell. slots: experts resident per layer; other_bytes: weights outside the experts."""

    key: str
    shape: synthetic.Shape
    slots: int
    batch: int
    base: dict[str, float]
    other_bytes: int = 0

    @property
    def costs(self) -> Costs:
        size = self.shape.expert_bytes
        return Costs(expert_bytes=size, expert_s=size / MEMORY_BANDWIDTH, other_bytes=self.other_bytes, **self.base)

    @property
    def fraction(self) -> float:
        return self.slots / self.shape.experts

    def said(self) -> str:
        return (
            f"synthetic {self.shape.name} ({self.shape.layers} layers, {self.shape.experts} experts, top-{self.shape.chosen}), "
            f"{self.slots} slots per layer, batch {self.batch}, {self.base['bandwidth'] / 1e9:g} GB/s, dual batch, modelled"
        )


# other_bytes: parameters outside the experts in 16 bit (Switch-128: 2.25 % of 7.41 B; Qwen1.5-MoE: dense part and shared experts, 1.9 B)
CELLS = (
    Cell("switch128.cs4.b32", synthetic.SWITCH_128, 4, 32, A40_SMALL, 333_000_000),
    Cell("switch32.cs16.b32", synthetic.SWITCH_32, 16, 32, A40_SMALL, 333_000_000),
    Cell("switch32.cs16.b4", synthetic.SWITCH_32, 16, 4, A40_SMALL, 333_000_000),
    Cell("switch32.cs16.b16", synthetic.SWITCH_32, 16, 16, A40_SMALL, 333_000_000),
    Cell("qwen.cs15.b8", synthetic.QWEN, 15, 8, A40_MIDDLE, 3_800_000_000),
)
COMPARED = ("all_resident", "se_moe_ring", "lru", "on_demand", "expertflow_a")


def published_cells(plan: Plan, seed: int, progress: Progress) -> list[Ratio]:
    """Throughput, hit and memory ratios of every cell, one value per synthetic seed."""
    found: dict[str, Ratio] = {}
    for index, cell in enumerate(CELLS):
        for repeat in range(plan.repeats):
            progress(f"published cell {cell.key}", 0.5 + 0.15 * index / len(CELLS))
            requests = max(2 * cell.batch, 8)
            work = make_synthetic(cell.shape, plan, 100 * seed + repeat, requests=requests)
            points = sweep.evaluate(work, COMPARED, fractions=[cell.fraction], batches=[cell.batch], costs=cell.costs, dual=True)
            o = {p.policy: p.outcome for p in points}
            speed = {name: out.tokens_per_s or float("nan") for name, out in o.items()}
            full = o["all_resident"].peak_bytes
            values = {
                f"speedup.expertflow_a_over_se_moe.{cell.key}": (speed["expertflow_a"] / speed["se_moe_ring"], "x"),
                f"speedup.expertflow_a_over_cache_moe.{cell.key}": (speed["expertflow_a"] / speed["lru"], "x"),
                f"speedup.expertflow_a_over_on_demand.{cell.key}": (speed["expertflow_a"] / speed["on_demand"], "x"),
                f"speed_share_of_all_resident.expertflow_a.{cell.key}": (speed["expertflow_a"] / speed["all_resident"], ""),
                f"hit.expertflow_a.{cell.key}": (100 * o["expertflow_a"].hit_ratio, "%"),
                f"hit.cache_moe.{cell.key}": (100 * o["lru"].hit_ratio, "%"),
                f"hit_gain.{cell.key}": (100 * (o["expertflow_a"].hit_ratio - o["lru"].hit_ratio), "points"),
                f"memory_saving.expertflow_a.{cell.key}": (100 * (1 - o["expertflow_a"].peak_bytes / full), "%"),
                f"memory_saving.cache_moe.{cell.key}": (100 * (1 - o["lru"].peak_bytes / full), "%"),
                f"memory_saving.on_demand.{cell.key}": (100 * (1 - o["on_demand"].peak_bytes / full), "%"),
                f"memory_saving_gain.{cell.key}": (100 * (o["lru"].peak_bytes - o["expertflow_a"].peak_bytes) / full, "points"),
            }
            for name, (value, unit) in values.items():
                found.setdefault(name, Ratio(name, [], unit, cell.said())).values.append(float(value))
    return list(found.values())


def replay_cells(plan: Plan, seed: int) -> list[Ratio]:
    """Statements about replay itself (arXiv 2608.07911): Belady gap, sequential contrast, Least-Stale without prefetch. OLMoE's shape."""
    rows: dict[str, Ratio] = {}
    batch, fraction = 8, 0.4
    setting = "synthetic olmoe (16 layers, 64 experts, top-8), 40 % resident per layer, batch 8"
    for repeat in range(plan.repeats):
        work = make_synthetic(synthetic.OLMOE, plan, 100 * seed + repeat, requests=max(16, plan.synthetic_requests))
        events = ev.to_events(work.routes, batch=batch)
        slots = ev.slots_per_layer(events.experts, fraction)
        lru = simulate.replay(events, key="lru", slots=slots)
        torn = simulate.replay(ev.sequential(events), key="lru", slots=slots)
        belady = simulate.replay(events, key="belady", slots=slots, admission="bypass")
        forced = simulate.replay(events, key="belady", slots=slots)
        case = policies.Case(events, fraction, sweep.DECLARED)
        stale = timeline.run(events, policies.prepare("least_stale", case), sweep.DECLARED)
        pool = timeline.run(events, policies.prepare("lru_global", case), sweep.DECLARED)
        pressure = ev.pressure(events, slots)
        values = {
            "replay.miss_lru_atomic": (lru.misses / lru.accesses, ""),
            "replay.miss_lru_sequential": (torn.misses / torn.accesses, ""),
            "replay.sequential_excess": ((torn.misses - lru.misses) / lru.accesses, ""),
            "replay.belady_gap": (100 * (lru.misses - belady.misses) / lru.misses, "%"),
            "replay.belady_gap_forced": (100 * (lru.misses - forced.misses) / lru.misses, "%"),
            "replay.least_stale_minus_lru_hits": (float(stale.hits - pool.hits), "hits"),
            "replay.need_over_capacity": (pressure["mean"], ""),
            "replay.events_above_capacity": (100 * pressure["share_above_one"], "%"),
        }
        for name, (value, unit) in values.items():
            rows.setdefault(name, Ratio(name, [], unit, setting)).values.append(float(value))
        shape = synthetic.describe(work.routes)
        calibration = {"synthetic.repeat_share": shape["repeat_share"], "synthetic.entropy_bits": shape["entropy_bits"]}
        calibration |= {f"synthetic.distinct.b{b}": v for b, v in shape["distinct"].items()}
        for name, value in calibration.items():
            rows.setdefault(name, Ratio(name, [], "", "synthetic olmoe against its calibration")).values.append(float(value))
    return list(rows.values())


def folds(requests: int, count: int) -> list[list[int]]:
    """Requests dealt into `count` disjoint folds of neighbours: the repeats behind an interval on recorded routes."""
    return [part.tolist() for part in np.array_split(np.arange(requests), count)]

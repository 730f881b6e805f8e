"""The full grid of the study expert_cache: every policy x cache size x batch x link, its sealed table and the digest that the report shows.

Imports the lab's caching and seal. Refuses a table that is not the one the trial sealed, and a best policy without its runner-up. All of it is modelled.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sovereign import seal
from sovereign.errors import IntegrityBroken, NotFound
from sovereign.lab.caching import policies, sweep, synthetic
from sovereign.lab.caching.timeline import Outcome
from sovereign.lab.studies.cache_setup import PUBLISHED_ERROR, Plan, Progress, Trained, make_synthetic
from sovereign.records import Measurement, Trial

ALL = tuple(policies.POLICIES)
FILE = "sweep.json"
WORKERS = 2  # threads; presets are planned for two cores
COLUMNS = (
    "workload", "policy", "resident", "batch", "gb_per_s", "hit_percent", "late_percent", "mb_per_token", "ttft_ms", "tpot_ms", "peak_gb",
)  # fmt: skip
FIXED_MEMORY = (0.25, 0.5)
FIXED_TIME = 1.5  # of the all-resident TPOT
PICTURED = (1, 8)  # batches of the figures
OVER_LINKS = (
    "all_resident", "on_demand", "lru", "lru_speculative", "pregated_probe", "expertflow_a", "expertflow_a_refined", "expertflow_b", "belady",
    "oracle_prefetch", "se_moe_ring",
)  # fmt: skip
CLOSE = 1.02  # a runner-up within 2 % is named as one that this replay does not tell from the best


def full(plan: Plan, trained: Trained, seed: int, progress: Progress) -> list[sweep.Point]:
    """Every policy on the trained model's held-out requests and on synthetic OLMoE routes, over sizes, batches and three links; and, for the figure over
    the link, more links at a quarter of the experts on the trained model's routes."""
    most = max(plan.grid_olmoe, plan.grid_olmoe_wide, *plan.batches)
    olmoe = make_synthetic(synthetic.OLMOE, plan, 7000 + seed, requests=most, new=plan.grid_new)
    links = list(dict.fromkeys((*[b * 1e9 for b in plan.grid_links], sweep.DECLARED.bandwidth)))
    more = [b * 1e9 for b in plan.bandwidths if b * 1e9 not in links]
    jobs: list[Callable[[], list[sweep.Point]]] = []
    for batch in plan.batches:
        few = (plan.grid_requests, plan.grid_olmoe) if batch < 8 else (plan.grid_wide, plan.grid_olmoe_wide)
        for work, count in zip((trained.work, olmoe), few, strict=True):
            part = first(work, max(count, batch))
            for fraction in plan.fractions:
                jobs.append(partial(sweep.evaluate, part, ALL, fractions=[fraction], batches=[batch], bandwidths=links))
            if more and work is trained.work and batch in PICTURED:
                jobs.append(partial(sweep.evaluate, part, OVER_LINKS, fractions=(0.25,), batches=[batch], bandwidths=more))
    points: list[sweep.Point] = []
    # the compiled loops hold no lock; results come in the order of the jobs, so the table does not depend on the threads
    with ThreadPoolExecutor(WORKERS) as pool:
        for index, found in enumerate(pool.map(lambda job: job(), jobs)):
            progress(f"grid, {index + 1} of {len(jobs)} settings", 0.62 + 0.1 * index / len(jobs))
            points += found
    return points


def first(work: sweep.Workload, count: int) -> sweep.Workload:
    """The first `count` requests, or all where there are fewer; every policy of a cell sees the same ones."""
    return work.part(np.unique(work.routes.request)[:count].tolist())


# --- the table ---


def table(points: Iterable[sweep.Point]) -> str:
    """Compact JSON, one row per line, numbers to five digits."""
    rows = [json.dumps(_row(p), separators=(",", ":")) for p in points]
    return '{"columns":' + json.dumps(COLUMNS, separators=(",", ":")) + ',"modelled":true,"rows":[\n' + ",\n".join(rows) + "\n]}\n"


def _row(p: sweep.Point) -> list[Any]:
    o = p.outcome
    numbers = (
        100 * o.hit_ratio,
        100 * o.late / o.accesses,
        _scaled(o.bytes_per_token, 1e-6),
        _scaled(o.ttft_s, 1e3),
        _scaled(o.tpot_s, 1e3),
        o.peak_bytes / 1e9,
    )
    return [p.workload, p.policy, p.fraction, p.batch, p.bandwidth / 1e9, *[None if x is None else float(f"{x:.5g}") for x in numbers]]


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


def write(points: Sequence[sweep.Point], folder: Path) -> dict[str, Any]:
    """Writes the table into the trial's folder; what comes back belongs into the trial's spec, so that the trial's digest covers every row."""
    body = table(points)
    (folder / FILE).write_text(body, encoding="utf-8")
    return {"file": FILE, "rows": len(points), "sha256": seal.sha256(body.encode("utf-8"))}


def read(folder: Path, trial: Trial) -> list[dict[str, Any]]:
    """The rows as dictionaries. Raises NotFound, or IntegrityBroken for a table that is not the one this trial sealed."""
    path = folder / FILE
    if not path.is_file():
        raise NotFound(f"There is no {FILE} in {folder}.", mend="Run the study again.")
    body = path.read_bytes()
    if seal.sha256(body) != trial.spec.get("table", {}).get("sha256"):
        raise IntegrityBroken(f"{FILE} is not the table that trial {trial.trial_id} sealed.", mend="Run the study again.")
    held = json.loads(body)
    return [dict(zip(held["columns"], row, strict=True)) for row in held["rows"]]


# --- the digest ---


class Winner(NamedTuple):
    """The fastest policy of a cell, or the one that meets a time with the least memory; `close`: those within CLOSE of it."""

    policy: str
    fraction: float
    outcome: Outcome
    close: tuple[str, ...]


Cells = dict[tuple[str, int, float], list[sweep.Point]]


def cells(points: Iterable[sweep.Point]) -> Cells:
    """Points by (workload, batch, link in bytes/s), where every policy was replayed."""
    found: Cells = defaultdict(list)
    for p in points:
        found[p.workload, p.batch, p.bandwidth].append(p)
    return {setting: here for setting, here in found.items() if {p.policy for p in here} == set(ALL)}


def contenders() -> tuple[str, ...]:
    """Policies that can be built: no oracle, and not the all-resident reference."""
    return tuple(n for n in ALL if n != "all_resident" and not policies.load(n).ORACLE)


def fastest(here: Sequence[sweep.Point], fraction: float) -> Winner | None:
    """Fix memory, compare time: least TPOT at this share of the experts."""
    mine = [p for p in here if p.fraction == fraction and p.policy in contenders() and p.outcome.tpot_s is not None]
    return _winner(mine, lambda p: float(p.outcome.tpot_s or 0.0))


def smallest(here: Sequence[sweep.Point], times: float = FIXED_TIME) -> Winner | None:
    """Fix time, compare memory: least peak memory among the swept sizes below 100 % with TPOT within `times` x all-resident; None if none has it.

    Among those of equal slots the faster one.
    """
    resident = next((p.outcome.tpot_s for p in here if p.policy == "all_resident" and p.outcome.tpot_s is not None), None)
    if resident is None:
        return None
    fits = [
        p for p in here if p.policy in contenders() and p.fraction < 1.0 and p.outcome.tpot_s is not None and p.outcome.tpot_s <= times * resident
    ]  # fmt: skip
    least = min((held(p.policy, p.fraction) for p in fits), default=None)
    return _winner([p for p in fits if held(p.policy, p.fraction) == least], lambda p: float(p.outcome.tpot_s or 0.0))


def held(policy: str, fraction: float) -> float:
    """Share of the experts that a policy keeps, in %: on-demand keeps none whatever it is given."""
    return 0.0 if policy == "on_demand" else 100 * fraction


def _winner(mine: Sequence[sweep.Point], of: Any) -> Winner | None:
    ranked = sorted(mine, key=lambda p: (of(p), p.policy))
    if not ranked:
        return None
    first = ranked[0]
    close = tuple(p.policy for p in ranked[1:] if of(p) <= CLOSE * of(first))
    return Winner(first.policy, first.fraction, first.outcome, close)


def digest(points: Sequence[sweep.Point]) -> list[Measurement]:
    """Per workload, batch and link: the fastest policy at a quarter and a half of the experts, and the least memory within 1.5 x all-resident."""
    rows = []
    for (workload, batch, link), here in cells(points).items():
        name, at = workload.replace(" ", "_"), f"b{batch}.l{link / 1e9:g}"
        forecast = "" if workload == "trained" else f", forecasts invented with {PUBLISHED_ERROR:.0%} errors"
        where = f"{workload}, batch {batch}, {link / 1e9:g} GB/s{forecast}, one replay"
        by = {(p.policy, p.fraction): p.outcome for p in here}
        for fraction in FIXED_MEMORY:
            best = fastest(here, fraction)
            if best is None:
                continue
            others = ", ".join(f"{n} {1e3 * (by[n, fraction].tpot_s or 0.0):.4g}" for n in ("lru", "oracle_prefetch", "all_resident"))
            said = f"fixed memory, {fraction:.0%} of the experts: {best.policy} is fastest{_close(best)}; ms of {others}; {where}"
            rows.append(
                Measurement(
                    f"grid.tpot.best.{name}.f{int(100 * fraction)}.{at}",
                    1e3 * (best.outcome.tpot_s or 0.0),
                    "ms",
                    None,
                    said,
                    1,
                    modelled=True,
                )
            )
        least = smallest(here)
        target = f"fixed time, TPOT within {FIXED_TIME:g} x all-resident"
        if least is None:
            said = f"{target}: no policy at any swept size below 100 %; {where}"
            rows.append(Measurement(f"grid.memory.least.{name}.{at}", None, "GB", None, said, 1, modelled=True))
        else:
            said = f"{target}: {least.policy} at {held(least.policy, least.fraction):.3g} % of the experts{_close(least)}; {where}"
            rows.append(Measurement(f"grid.memory.least.{name}.{at}", least.outcome.peak_bytes / 1e9, "GB", None, said, 1, modelled=True))
    return rows


def _close(winner: Winner) -> str:
    return "" if not winner.close else f" ({', '.join(winner.close)} within {CLOSE - 1:.0%})"

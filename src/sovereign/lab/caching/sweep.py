"""Many policies over cache sizes, batches and links; and one trace of a person under one policy.

Imports errors, numpy, the time line and the policies. Refuses to mix: every row carries its whole setting, and hits never stand without bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import LabInput, NotFound
from sovereign.lab.caching import events as ev
from sovereign.lab.caching import forecast as fc
from sovereign.lab.caching import policies, simulate, timeline
from sovereign.lab.caching.timeline import Costs, Outcome

# Declared machine for the modelled figures, in the shape of an OLMoE layer (arXiv 2409.02060: 12.58 MB per expert in 16 bit) behind PCIe 4:
# 25 GB/s and 10 us per copy; 0.3 ms for attention and gate of one layer; 18 us per expert (its bytes at 700 GB/s). None of it is measured.
DECLARED = Costs(
    bandwidth=25e9,
    expert_bytes=12_582_912,
    latency_s=1e-5,
    attention_s=3e-4,
    attention_token_s=1e-6,
    expert_s=1.8e-5,
    expert_token_s=1e-7,
    head_s=2e-4,
)


@dataclass(frozen=True)
class Workload:
    """A trace to replay, what was counted and learnt on other requests, and its name."""

    name: str
    routes: ev.Routes
    popularity: NDArray[np.float64] | None = None  # share of tokens using each expert (L*E,)
    forecasts: Mapping[str, fc.Forecast] = field(default_factory=dict)

    def part(self, requests: Iterable[int]) -> Workload:
        """Some requests only; forecasts are cut along."""
        wanted = np.array(sorted(requests))
        keep = np.isin(self.routes.request, wanted)
        cut = {name: f.rows(keep) for name, f in self.forecasts.items()}
        return replace(self, routes=self.routes.take(wanted), forecasts=cut)


@dataclass(frozen=True)
class Point:
    """One policy in one setting."""

    workload: str
    policy: str
    fraction: float
    batch: int
    bandwidth: float
    dual: bool
    outcome: Outcome

    def row(self) -> dict[str, Any]:
        setting = {
            "workload": self.workload,
            "fraction": self.fraction,
            "batch": self.batch,
            "bandwidth": self.bandwidth,
            "dual": self.dual,
        }
        return {**setting, **self.outcome.as_dict()}


def batch_popularity(per_token: NDArray[np.float64] | None, tokens: float) -> NDArray[np.float64] | None:
    """Share of steps of `tokens` independent tokens that use an expert: 1 - (1 - p)^n."""
    return None if per_token is None else 1.0 - (1.0 - np.clip(per_token, 0.0, 1.0)) ** tokens


def evaluate(
    work: Workload,
    names: Sequence[str],
    *,
    fractions: Sequence[float],
    batches: Sequence[int],
    bandwidths: Sequence[float] | None = None,
    costs: Costs = DECLARED,
    dual: bool = False,
    groups: list[list[int]] | None = None,
) -> list[Point]:
    """Every policy in every combination. dual: two batches take turns (all policies alike, so that they stay comparable)."""
    points = []
    for batch in batches:
        events = ev.to_events(work.routes, batch=batch, interleave=2 if dual else 1, groups=groups)
        decode = ~events.prefill
        tokens = float(events.step_tokens[decode].mean()) if decode.any() else float(batch)
        for bandwidth in bandwidths or (costs.bandwidth,):
            here = replace(costs, bandwidth=bandwidth)
            for fraction in fractions:
                case = policies.Case(events, fraction, here, batch_popularity(work.popularity, tokens), dict(work.forecasts), dual=dual)
                for name in names:
                    outcome = timeline.run(events, policies.prepare(name, case), here)
                    points.append(Point(work.name, name, fraction, batch, bandwidth, dual, outcome))
    return points


def invented_forecasts(routes: ev.Routes, *, error: float, seed: int = 0, reach: int = 4) -> dict[str, fc.Forecast]:
    """Forecasts of a known quality for traces without a model: the true routes, each entry wrong with probability `error`."""
    found = {"path": fc.flawed(routes.experts, routes.n_experts, error, seed=seed, name="path")}
    for name in ("speculative", "pregate"):
        found[name] = fc.flawed(routes.experts, routes.n_experts, error, seed=seed + 1, name=name, distance=1)
    for d in range(1, min(reach, routes.layers - 1) + 1):
        # accuracy fades with distance as a * exp(-b t) + c in arXiv 2510.26730; here a fifth more errors per layer
        found[f"gate_{d}"] = fc.flawed(routes.experts, routes.n_experts, min(0.9, error * 1.2 ** (d - 1)), seed=seed + 2 + d, distance=d)
    found["pregate_oracle"] = fc.flawed(routes.experts, routes.n_experts, 0.0, seed=seed, distance=1)
    return found


def simulate_trace(
    path: Path,
    policy: str,
    cache_fraction: float,
    batch: int = 1,
    *,
    bandwidth: float = DECLARED.bandwidth,
    expert_bytes: int = DECLARED.expert_bytes,
    error_rate: float = 0.1,
    strict: bool = False,
) -> dict[str, Any]:
    """Replays a person's own trace (.npz of lab.trace, or a folder with events.csv and manifest.json) under one policy.

    Half of the requests (the earlier ones) are counted for popularity, the other half is replayed; with one request all of it is replayed and
    policies that need popularity refuse. Forecasts are invented at `error_rate`, as a trace holds no model. strict: a layer-step that needs
    more experts than the cache holds is refused instead of streamed. All times are modelled from declared constants.
    Raises NotFound, LabInput or UnknownName with one clear line.
    """
    costs = replace(DECLARED, bandwidth=bandwidth, expert_bytes=expert_bytes).checked()
    if not 0.0 <= error_rate <= 1.0:
        raise LabInput(f"An error rate of {error_rate} is not between 0 and 1.")
    events, case, counted = _person_case(path, cache_fraction, batch, costs, error_rate)
    strategy = policies.prepare(policy, case)
    slots = strategy.slots
    need = int(events.need().max(initial=0))
    if strict and strategy.slots > 0 and need > slots:
        raise LabInput(f"One layer-step needs {need} experts but the cache holds {slots}.", mend="Raise the fraction or lower the batch.")
    outcome = timeline.run(events, strategy, costs)
    bound = simulate.replay(events, key="belady", slots=case.per_layer, admission="bypass")
    return {
        "policy": policy,
        "oracle": policies.load(policy).ORACLE,
        "trace": {
            "path": path.name,
            "layers": events.layers,
            "experts": events.experts,
            "steps": events.steps,
            "accesses": len(events.ids),
            "requests_counted_for_popularity": counted,
        },
        "setting": {
            "cache_fraction": cache_fraction,
            "slots_per_layer": case.per_layer,
            "scope": strategy.scope,
            "batch": batch,
            "replay": "event-atomic",
            "forecast_error_rate": error_rate if strategy.predicted is not None else None,
            "costs": {**costs.__dict__, "modelled": True},
        },
        "pressure": ev.pressure(events, max(case.per_layer, 1)),
        "belady_hit_ratio": bound.hit_ratio,
        "result": outcome.as_dict(),
    }


def _person_case(path: Path, fraction: float, batch: int, costs: Costs, error: float) -> tuple[ev.Events, policies.Case, int]:
    if path.is_dir():
        events, _ = ev.read_csv(path)
        return events, policies.Case(events, fraction, costs), 0
    if not path.exists():
        raise NotFound(f"There is no trace at {path}.", mend="Give a .npz trace or a folder with events.csv.")
    from sovereign.lab.trace import RoutingTrace

    routes = ev.checked(RoutingTrace.load(path))
    requests = np.unique(routes.request)
    before, after = requests[: len(requests) // 2], requests[len(requests) // 2 :]
    replayed = routes.take(after)
    popularity: NDArray[np.float64] | None = None
    if len(before):
        from_others = ev.to_events(routes.take(before), batch=1)
        uses = np.bincount(from_others.ids, weights=from_others.load, minlength=routes.layers * routes.n_experts)
        popularity = uses.astype(np.float64) / len(from_others.rows)
    events = ev.to_events(replayed, batch=batch)
    case = policies.Case(events, fraction, costs, batch_popularity(popularity, batch), invented_forecasts(replayed, error=error))
    return events, case, len(before)

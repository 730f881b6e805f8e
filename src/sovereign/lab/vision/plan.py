"""What a run of the trade-off study will do, from a preset and its factors.

Imports errors, the routers' registry and the model's specification. Refuses factors it does not know and values no run could use.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sovereign.errors import LabInput, NotFound
from sovereign.lab.routing.measures import any_remote_uniform
from sovereign.lab.routing.registry import STRATEGIES, check_strategy
from sovereign.lab.vision.training import Recipe
from sovereign.lab.vision.vlm import VlmSpec

TASKS = ("vqa", "entailment", "hallucination", "composition", "nlvr")
CORE = ("dense", "topk", "smoes", "anyexperts")
ELEVEN = ("dense", "topk", "smoes", "anyexperts", "hard", "hybrid", "kl", "smoes_gaussian", "topp", "expert_choice", "hash")
FACTORS = ("strategy", "budget", "batch", "task", "seeds", "steps", "device", "workers", "limit_s", "ranks", "nlvr")
# Options that the study sets: on-demand routing is held to the budget, for comparisons at equal compute.
OPTIONS: dict[str, dict[str, float | int | str]] = {"anyexperts": {"match": 0.02}, "anyexperts_even": {"match": 0.02}}
MOST_BATCH = 32


@dataclass(frozen=True)
class Plan:
    """extra_budgets are run for `core` strategies only, unless the budget was asked for. limit_s: training stops taking new arms after it.
    workers: processes that train; one means this process. ranks: sizes of the real expert-parallel replay, none if empty (factor ranks=0).
    """

    preset: str
    strategies: tuple[str, ...]
    base_budget: float
    extra_budgets: tuple[float, ...]
    core: tuple[str, ...]
    batches: tuple[int, ...]
    tasks: tuple[str, ...]
    seeds: int
    seed: int
    steps: int
    scenes: int
    test_scenes: int
    device: str
    workers: int
    limit_s: float
    repeats: int
    ranks: tuple[int, ...]
    nlvr: Path | None = None
    nlvr_steps: int = 300
    merge: float = 0.5

    def arms(self) -> list[VlmSpec]:
        """Most wanted first: the base budget of every strategy, then the other budgets of the core."""
        base = [self.spec(s, self.base_budget) for s in self.strategies]
        return base + [self.spec(s, b) for b in self.extra_budgets for s in self.strategies if s in self.core]

    def spec(self, strategy: str, budget: float) -> VlmSpec:
        return VlmSpec(strategy, budget, options=OPTIONS.get(strategy, {}))

    def recipe(self) -> Recipe:
        return Recipe(steps=self.steps, scenes=self.scenes)

    def seed_list(self) -> tuple[int, ...]:
        return tuple(self.seed * 1000 + i for i in range(self.seeds))

    def uniform_any(self) -> float:
        """Chance that a uniform router's token is remote on two devices, at the base budget."""
        spec = VlmSpec("topk", self.base_budget)
        return any_remote_uniform(spec.experts, spec.slots, 2)

    def as_dict(self) -> dict[str, Any]:
        spec = VlmSpec("topk", self.base_budget)
        return {
            "strategies": list(self.strategies),
            "base_budget": self.base_budget,
            "extra_budgets": list(self.extra_budgets),
            "extra_budgets_for": list(self.core),
            "batches": list(self.batches),
            "tasks": list(self.tasks),
            "steps": self.steps,
            "scenes_per_step": self.scenes,
            "test_scenes": self.test_scenes,
            "device": self.device,
            "model": {k: v for k, v in spec.as_dict().items() if k not in ("strategy", "budget", "options")},
            "losses": dict(self.recipe().losses),
            "options": OPTIONS,
            "nlvr": None if self.nlvr is None else {"folder": self.nlvr.name, "steps": self.nlvr_steps},
        }


_BASE = Plan(
    preset="standard",
    strategies=ELEVEN,
    base_budget=0.5,
    extra_budgets=(0.25, 1.0),
    core=CORE,
    batches=(1, 2, 4, 8, 16, 32),
    tasks=("vqa", "entailment", "hallucination", "composition"),
    seeds=5,
    seed=0,
    steps=500,
    scenes=32,
    test_scenes=400,
    device="cpu",
    workers=4,
    limit_s=3000.0,
    repeats=15,
    ranks=(2, 4),
)

PRESETS: dict[str, Plan] = {
    "smoke": replace(
        _BASE,
        preset="smoke",
        strategies=CORE,
        extra_budgets=(),
        batches=(1, 8),
        seeds=1,
        steps=90,
        test_scenes=200,
        workers=2,
        repeats=7,
        ranks=(2,),
        limit_s=300.0,
    ),
    "standard": _BASE,
    # Every strategy, twelve seeds at once, more steps: what it takes to resolve a few points of accuracy.
    "gpu": replace(
        _BASE,
        preset="gpu",
        strategies=(*ELEVEN, "smoes_fixed", "anyexperts_even", "smoes_hard", "smoes_gmm"),
        seeds=12,
        steps=800,
        device="cuda",
        workers=8,
        batches=(1, 4, 8, 32),
        repeats=9,
        limit_s=270.0,
    ),
}


def make_plan(preset: str, factors: Mapping[str, str], seed: int) -> Plan:
    """Raises LabInput or UnknownName, in one line, for anything that cannot be run."""
    if preset not in PRESETS:
        raise LabInput(f"Unknown preset {preset!r}.", mend=f"Known: {', '.join(PRESETS)}.")
    unknown = sorted(set(factors) - set(FACTORS))
    if unknown:
        raise LabInput(f"Unknown factor {', '.join(unknown)}.", mend=f"Known: {', '.join(FACTORS)}.")
    plan = replace(PRESETS[preset], seed=seed)
    if "strategy" in factors:
        plan = replace(plan, strategies=tuple(dict.fromkeys(check_strategy(s) for s in _words(factors, "strategy"))))
    if "budget" in factors:
        budgets = tuple(dict.fromkeys(_floats(factors, "budget")))
        base = plan.base_budget if plan.base_budget in budgets else budgets[0]
        plan = replace(plan, base_budget=base, extra_budgets=tuple(b for b in budgets if b != base), core=tuple(STRATEGIES))
    if "task" in factors:
        tasks = tuple(dict.fromkeys(_words(factors, "task")))
        strange = [t for t in tasks if t not in TASKS]
        if strange:
            raise LabInput(f"Unknown task {', '.join(strange)}.", mend=f"Known: {', '.join(TASKS)}.")
        plan = replace(plan, tasks=tasks)
    plan = _numbers(plan, factors)
    plan = _places(plan, factors)
    for spec in plan.arms():  # every budget and strategy is checked before anything is sealed
        spec.model_config()
    return plan


def _numbers(plan: Plan, factors: Mapping[str, str]) -> Plan:
    if "batch" in factors:
        batches = tuple(sorted({_whole(b, "batch", 1, MOST_BATCH) for b in _words(factors, "batch")}))
        plan = replace(plan, batches=batches)
    if "seeds" in factors:
        plan = replace(plan, seeds=_whole(factors["seeds"], "seeds", 1, 100))
    if "steps" in factors:
        plan = replace(plan, steps=_whole(factors["steps"], "steps", 1, 100_000))
    if "workers" in factors:
        plan = replace(plan, workers=_whole(factors["workers"], "workers", 1, 64))
    if "ranks" in factors:
        plan = replace(plan, ranks=tuple(n for w in _words(factors, "ranks") if (n := _whole(w, "ranks", 0, 4))))
    if "limit_s" in factors:
        plan = replace(plan, limit_s=_floats(factors, "limit_s")[0])
    return replace(plan, workers=min(plan.workers, max(1, os.cpu_count() or 1)))


def _places(plan: Plan, factors: Mapping[str, str]) -> Plan:
    if "device" in factors:
        if factors["device"] not in ("cpu", "cuda"):
            raise LabInput(f"Unknown device {factors['device']!r}.", mend="Known: cpu, cuda.")
        plan = replace(plan, device=factors["device"])
    if "nlvr" in factors:
        folder = Path(factors["nlvr"])
        if not (folder / "dev.jsonl").is_file():
            raise NotFound(f"{folder} holds no dev.jsonl.", mend="Give the folder of NLVR, with dev.jsonl and images.", subject=str(folder))
        plan = replace(plan, nlvr=folder, tasks=tuple(dict.fromkeys((*plan.tasks, "nlvr"))))
    elif "nlvr" in plan.tasks:
        raise LabInput("The task nlvr needs its data.", mend="Add --set nlvr=FOLDER.")
    return plan


def _words(factors: Mapping[str, str], name: str) -> list[str]:
    found = [w.strip() for w in factors[name].split(",") if w.strip()]
    if not found:
        raise LabInput(f"The factor {name} is empty.", mend=f"Write for example --set {name}=..., separated by commas.")
    return found


def _floats(factors: Mapping[str, str], name: str) -> list[float]:
    try:
        return [float(w) for w in _words(factors, name)]
    except ValueError as exc:
        raise LabInput(f"The factor {name} must be numbers, not {factors[name]!r}.", mend="Write for example 0.25,0.5,1.0.") from exc


def _whole(text: str, name: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError as exc:
        raise LabInput(f"The factor {name} must be a whole number, not {text!r}.", mend=f"Choose {low} to {high}.") from exc
    if not low <= value <= high:
        raise LabInput(f"{name} = {value} is outside {low} to {high}.", mend=f"Choose {low} to {high}.")
    return value

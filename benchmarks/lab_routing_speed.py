"""Ways to train the scene model: tokens dispatched to their experts, every expert everywhere, many seeds under one vmap.

Run: python benchmarks/lab_routing_speed.py [--device cpu|cuda] [--seeds 4] [--steps 12]
Milliseconds per step and seed, CPU seconds of this process on a CPU and wall time on a GPU; the first third is warm-up, then median and quartiles.
Prints one JSON document last and writes benchmarks/results/lab_routing_speed.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sovereign.lab.study import Contention
from sovereign.lab.vision.training import Recipe, loss_of, train_alone, train_together, training_data
from sovereign.lab.vision.vlm import VlmSpec


def spread(marks: list[float], seeds: int) -> dict[str, float]:
    gaps = [(b - a) * 1e3 / seeds for a, b in itertools.pairwise(marks)][len(marks) // 3 :]
    low, middle, high = statistics.quantiles(gaps, n=4)
    return {"median_ms": middle, "quartile_low_ms": low, "quartile_high_ms": high, "repeats": len(gaps)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--strategy", default="dense,topk,smoes,anyexperts")
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe, rows = Recipe(steps=given.steps), []

    def clock() -> float:
        if given.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    with Contention() as contention:
        for strategy in given.strategy.split(","):
            spec = VlmSpec(strategy)
            ways: dict[str, tuple[int, Callable[[list[float]], object]]] = {
                "dispatch": (1, lambda m, s=spec: train_alone(s, recipe, 0, given.device, on_step=lambda *_: m.append(clock()))),
                "everywhere": (1, lambda m, s=spec: everywhere(s, recipe, given.device, lambda: m.append(clock()))),
                "together": (
                    given.seeds,
                    lambda m, s=spec: train_together(s, recipe, range(given.seeds), given.device, on_step=lambda *_: m.append(clock())),
                ),
            }
            for way, (seeds, run) in ways.items():
                marks: list[float] = []
                run(marks)
                rows.append({"strategy": strategy, "way": way, "seeds": seeds, **spread(marks, seeds)})
                print(rows[-1], flush=True)
    result = {"device": given.device, "rows": rows, "contention": contention.as_dict()}
    path = Path(__file__).parent / "results" / f"lab_routing_speed{'' if given.device == 'cpu' else '_' + given.device}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    print(json.dumps(result))


def everywhere(spec: VlmSpec, recipe: Recipe, device: str, mark: Callable[[], None]) -> None:
    data = training_data(recipe, [0], device)
    model = spec.build(0).to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.lr)
    for step in range(recipe.steps):
        part = data.rows(step * recipe.scenes, (step + 1) * recipe.scenes)
        loss = loss_of(model, recipe, *(t[0] for t in part.tensors()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        mark()


if __name__ == "__main__":
    main()

"""Why entailment stayed at its prior in the prototype: the same small model with one thing changed at a time.

Run: python benchmarks/lab_routing_entailment.py [--steps 400] [--seeds 2] [--strategy dense]
Variants: base; no auxiliary loss that names each patch; training classes skewed to 60 % `false` (the prototype's prior); a quarter of the steps.
Accuracy is always on the same balanced held-out scenes (prior one third). Prints one JSON document last and writes benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from sovereign.lab.vision.arms import exam
from sovereign.lab.vision.tasks import FALSE, KINDS
from sovereign.lab.vision.training import Data, Recipe, correct, train_alone, training_data
from sovereign.lab.vision.vlm import VlmSpec

ENTAILMENT = KINDS.index("entailment")


def skewed(data: Data, seed: int) -> Data:
    """Drops two thirds of the true and neither answers, so that `false` is 60 % of what is trained."""
    g = torch.Generator().manual_seed(seed)
    answer = data.answer[..., ENTAILMENT]
    keep = (answer == FALSE) | (torch.rand(answer.shape, generator=g) < 1 / 3)
    valid = data.valid.clone()
    valid[..., ENTAILMENT] &= keep
    return replace(data, valid=valid)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--strategy", default="dense")
    given = parser.parse_args()
    torch.set_num_threads(1)
    papers, base = exam(400), Recipe(steps=given.steps)
    variants = {
        "base": (base, False),
        "no patch loss": (replace(base, patch_weight=0.0), False),
        "skewed classes": (base, True),
        "skewed, no patch loss": (replace(base, patch_weight=0.0), True),
        "a quarter of the steps": (replace(base, steps=max(1, given.steps // 4)), False),
    }
    rows = []
    for name, (recipe, skew) in variants.items():
        scores: dict[str, list[float]] = {k: [] for k in KINDS}
        start = time.process_time()
        for seed in range(given.seeds):
            data = training_data(recipe, [seed])
            model = train_alone(VlmSpec(given.strategy), recipe, seed, data=skewed(data, seed) if skew else data)
            for kind, value in zip(KINDS, correct(model, *papers.test).nanmean(0).tolist(), strict=True):
                scores[kind].append(value)
        rows.append({"variant": name, "cpu_s_per_seed": (time.process_time() - start) / given.seeds, "accuracy": scores})
        print(f"{name:24s}", {k: round(statistics.fmean(v), 3) for k, v in scores.items()}, flush=True)
    result = {"strategy": given.strategy, "steps": given.steps, "seeds": given.seeds, "test_scenes": 400, "rows": rows}
    path = Path(__file__).parent / "results" / "lab_routing_entailment.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

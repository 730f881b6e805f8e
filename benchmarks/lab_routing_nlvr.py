"""NLVR with the small scene model: how far 791 human-written statements carry it. A negative result is expected and reported.

Run: python benchmarks/lab_routing_nlvr.py ../shared/data/nlvr [--steps 300] [--seeds 3] [--strategy topk,dense]
Prints one JSON document last and writes benchmarks/results/lab_routing_nlvr.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from sovereign.lab.statistics import mean_t_interval
from sovereign.lab.vision.nlvr import train_and_score
from sovereign.lab.vision.vlm import VlmSpec


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategy", default="dense,topk")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for strategy in given.strategy.split(","):
        start = time.process_time()
        r = train_and_score(VlmSpec(strategy), given.folder, range(given.seeds), given.steps)
        over = mean_t_interval([a - r.majority for a in r.accuracy])
        rows.append(
            {
                "strategy": strategy,
                "accuracy": list(r.accuracy),
                "majority": r.majority,
                "over_majority": over.value,
                "interval": over.interval,
                "tested_on": r.statements,
                "trained_on": r.trained_on,
                "cpu_s": time.process_time() - start,
            }
        )
        print(rows[-1], flush=True)
    result = {"steps": given.steps, "seeds": given.seeds, "rows": rows}
    path = Path(__file__).parent / "results" / "lab_routing_nlvr.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

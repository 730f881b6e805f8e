"""Expert parallelism over real processes: what is sent, how long it takes, and how well a latency-bandwidth model explains it.

Run: python benchmarks/lab_routing_ranks.py [--ranks 2,4] [--width 64] [--scenes 32,128]
The link is fitted on even all-to-all exchanges; the model then predicts the uneven exchanges of untrained routers (top-k against a hard split).
Prints one JSON document last and writes benchmarks/results/lab_routing_ranks.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from sovereign.lab.expert_parallel import time_link
from sovereign.lab.study import Contention
from sovereign.lab.vision.tradeoff import replay_model
from sovereign.lab.vision.vlm import VlmSpec


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--scenes", default="32,128")
    parser.add_argument("--width", type=int, default=64)
    given = parser.parse_args()
    rows, links = [], {}
    with tempfile.TemporaryDirectory() as folder, Contention() as contention:
        for ranks in map(int, given.ranks.split(",")):
            link, medians = time_link(ranks, Path(folder))
            links[ranks] = {**asdict(link), "medians_s": medians}
            for strategy in ("topk", "hard"):
                for scenes in map(int, given.scenes.split(",")):
                    model = VlmSpec(strategy, width=given.width).build(0).eval()
                    model.everywhere(False)
                    r = replay_model(model, ranks, Path(folder), scenes)
                    modelled = link.seconds(r.busiest_bytes, 5 * r.layers)
                    measured = statistics.median(r.seconds)
                    rows.append(
                        {
                            "strategy": strategy,
                            "ranks": ranks,
                            "tokens": r.counted.tokens // r.layers,
                            "sent_bytes": r.sent_bytes,
                            "counted_bytes": r.counted.bytes_out,
                            "messages": r.sent_messages,
                            "any_ratio": r.counted.any_ratio,
                            "assignment_ratio": r.counted.assignment_ratio,
                            "device_imbalance": r.counted.imbalance,
                            "largest_error": r.largest_error,
                            "measured_s": measured,
                            "modelled_s": modelled,
                            "measured_over_modelled": measured / modelled,
                        }
                    )
                    print(rows[-1], flush=True)
    result = {"links": links, "rows": rows, "contention": contention.as_dict()}
    path = Path(__file__).parent / "results" / "lab_routing_ranks.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

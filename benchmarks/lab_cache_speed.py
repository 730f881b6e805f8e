"""Accesses per second of the compiled replay on one core: LRU, LFU, LFRU, S3-FIFO, ARC, Belady, event-atomic, on an OLMoE-shaped synthetic trace.

Setup: 16 layers x 64 experts, top-8, 40 % resident per layer, batches 1 and 8; warm-up, then medians of nine repeats in CPU time, spread with it;
hit ratios also with one pool for all layers, and access by access.
Expected: at least 10 million accesses per second for LRU, LFU and Belady. Run: python benchmarks/lab_cache_speed.py
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

from sovereign.lab.caching import events as ev
from sovereign.lab.caching import simulate, synthetic
from sovereign.lab.study import Contention, environment

REPEATS = 9


def main() -> None:
    routes = synthetic.routes(synthetic.OLMOE, requests=64, prompt=0, decode=200, seed=0)
    rows = []
    with Contention() as contention:
        for batch in (1, 8):
            events = ev.to_events(routes, batch=batch)
            slots = ev.slots_per_layer(events.experts, 0.4)
            for key in ("lru", "lfu", "lfru", "s3fifo", "arc", "belady"):
                simulate.replay(events, key=key, slots=slots)
                rates = []
                for _ in range(REPEATS):
                    start = time.process_time()
                    found = simulate.replay(events, key=key, slots=slots)
                    rates.append(found.accesses / (time.process_time() - start) / 1e6)
                rows.append(
                    {
                        "policy": key,
                        "batch": batch,
                        "accesses": len(events.ids),
                        "million_accesses_per_cpu_second": round(statistics.median(rates), 2),
                        "spread": [round(min(rates), 2), round(max(rates), 2)],
                        "hit_ratio": round(found.hit_ratio, 4),
                        "hit_ratio_one_pool": round(
                            simulate.replay(events, key=key, slots=slots * events.layers, scope="global").hit_ratio, 4
                        ),
                        "hit_ratio_sequential": round(simulate.replay(ev.sequential(events), key=key, slots=slots).hit_ratio, 4),
                    }
                )
    body = {"benchmark": "lab_cache_speed", "rows": rows, "environment": environment(), "contention": contention.as_dict()}
    out = Path(__file__).parent / "results" / "lab_cache_speed.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(body, indent=1), encoding="utf-8")
    print(json.dumps(body))


if __name__ == "__main__":
    main()

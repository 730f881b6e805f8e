"""Caching policies on OLMoE-calibrated routes, one trace per domain of the published routing counts (the folder ../shared/data/olmoe_routing).

Setup: 16 layers x 64 experts, top-8; popularity from 208,896 tokens per domain; 25 % and 40 % resident; batches 1 and 8; declared PCIe 4 link and
forecasts wrong in 10 % of their entries; five seeds, mean and spread. Everything is modelled. Run: python benchmarks/lab_cache_olmoe.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from sovereign.lab.caching import predictors, sweep, synthetic
from sovereign.lab.study import environment

DOMAINS = ("c4", "github", "arxiv", "wikipedia", "book")
POLICIES = (
    "static_frequency",
    "lru",
    "lfu",
    "lfru",
    "s3_fifo",
    "arc",
    "se_moe_ring",
    "pregated_probe",
    "expertflow_a",
    "expertflow_b",
    "belady",
    "oracle_prefetch",
)
SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "olmoe_routing"


def main() -> None:
    rows = []
    for domain in (*DOMAINS, "zipf 0.65"):
        measured = synthetic.read_marginals(SHARED, domain) if domain in DOMAINS else None
        found: dict[tuple[int, float, str], list[tuple[float, float, float]]] = {}
        for seed in range(5):
            other = synthetic.routes(synthetic.OLMOE, requests=16, prompt=0, decode=64, seed=1000 + seed, measured=measured)
            routes = synthetic.routes(synthetic.OLMOE, requests=16, prompt=4, decode=32, seed=seed, measured=measured)
            work = sweep.Workload(domain, routes, predictors.popularity_of(other), sweep.invented_forecasts(routes, error=0.1, seed=seed))
            for p in sweep.evaluate(work, POLICIES, fractions=(0.25, 0.4), batches=(1, 8)):
                o = p.outcome
                cell = (100 * o.hit_ratio, (o.bytes_per_token or 0.0) / 1e9, 1e3 * (o.tpot_s or 0.0))
                found.setdefault((p.batch, p.fraction, p.policy), []).append(cell)
            if seed == 0:
                shape = synthetic.describe(routes)
        for (batch, fraction, policy), cells in found.items():
            means = [statistics.mean(c) for c in zip(*cells)]
            spread = [round(statistics.stdev(c), 3) for c in zip(*cells)]
            values = dict(zip(("hit_percent", "gb_per_token", "tpot_ms"), [round(m, 3) for m in means]))
            rows.append({"domain": domain, "batch": batch, "resident": fraction, "policy": policy, **values, "sd": spread, "trace": shape})
    body = {"benchmark": "lab_cache_olmoe", "modelled": True, "rows": rows, "environment": environment()}
    out = Path(__file__).parent / "results" / "lab_cache_olmoe.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(body, indent=1), encoding="utf-8")
    print(json.dumps(body))


if __name__ == "__main__":
    main()

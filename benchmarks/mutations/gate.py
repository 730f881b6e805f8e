"""The release gate: counts on a fixed, package-safe sample, compared with the committed baseline `gate.json`.

May import the suite's runner. Refuses to move its own baseline: `--write` does that, and the change shows in the commit.

    python benchmarks/mutations/gate.py            # compare; exit code 1 when a count worsens
    python benchmarks/mutations/gate.py --write    # after an improvement: make the present counts the baseline
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.mutations.run import Verify, count, judge, load_set, load_verifier

BASELINE = Path(__file__).resolve().parent / "gate.json"
SAMPLE = ("own", "pairs_tune", "pairs_dev", "pairs_dev2", "pairs_dev3", "pairs_test", "attacks")
SEED = 7
SLACK = 0.02  # share of a kind's cases by which that kind alone may worsen while the total does not; at least one case


def measure(verify: Verify) -> dict[str, Any]:
    """Counts per set: {"false_accepted": {kind: [hits, n]}, "true_supported": {variety: [hits, n]}, "true_contradicted": [hits, n]}."""
    counts: dict[str, Any] = {}
    for name in SAMPLE:
        cases = load_set(name, SEED, None)
        verdicts, _ = judge(cases, verify)
        counted = count(cases, verdicts)
        counts[name] = {
            "false_accepted": {k: [s.hits, s.n] for k, s in counted["false_accepted"].items()},
            "true_supported": {k: [s.hits, s.n] for k, s in counted["true_supported"].items()},
            "true_contradicted": [counted["true_contradicted"].hits, counted["true_contradicted"].n],
        }
    return counts


def _total(group: dict[str, list[int]]) -> list[int]:
    return [sum(pair[i] for pair in group.values()) for i in (0, 1)]


def worsened(now: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """What is worse than the baseline, one line each; empty when nothing is. A sample of another size is a complaint, not a comparison."""
    complaints: list[str] = []
    for name in SAMPLE:
        a, b = now[name], baseline[name]
        for field, worse_is_more in (("false_accepted", True), ("true_supported", False)):
            sizes = {k: v[1] for k, v in a[field].items()}
            if sizes != {k: v[1] for k, v in b[field].items()}:
                complaints.append(f"{name}: the sample has changed ({field}); run gate.py --write and say why in the commit")
                continue
            rows = {"all": (_total(a[field]), _total(b[field]), 0)}
            rows |= {k: (a[field][k], b[field][k], max(1, int(SLACK * sizes[k]))) for k in sizes}
            for kind, (x, y, slack) in rows.items():
                change = (x[0] - y[0]) if worse_is_more else (y[0] - x[0])
                if change > slack:
                    complaints.append(f"{name}: {field} {kind} {y[0]}/{y[1]} -> {x[0]}/{x[1]}")
        if a["true_contradicted"][0] > b["true_contradicted"][0]:
            complaints.append(f"{name}: true_contradicted {b['true_contradicted']} -> {a['true_contradicted']}")
    return complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--verifier", default="shipped")
    args = parser.parse_args()
    now = measure(load_verifier(args.verifier))
    if args.write:
        BASELINE.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    complaints = worsened(now, json.loads(BASELINE.read_text(encoding="utf-8")))
    for line in complaints:
        print(line)
    print(json.dumps({"passed": not complaints, "complaints": complaints, "counts": now}, sort_keys=True))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes kernel/verify/calibration.json from the published mutation run, and measures the calibration on pairs that it did not use.

    python benchmarks/mutations/run.py --no-legacy && python benchmarks/calibrate_guard.py

Counts: generated near-copies (own paragraphs, arXiv abstracts, proceedings texts) for "near_copy"; one half of the hand-written test split, chosen by
passage, for "other_words" (the tune and dev splits shaped the rules, so their rates are too good). Measured on the other half: expected calibration
error in five bins at even odds. Prints one JSON document last.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks" / "mutations")]
RESULTS = ROOT / "benchmarks" / "results" / "mutations.json"
TABLE = ROOT / "src" / "sovereign" / "kernel" / "verify" / "calibration.json"
TRUE_VARIETIES = ("verbatim", "trimmed", "reordered")


def truths(split: str) -> dict[str, bool]:
    lines = (ROOT / "benchmarks" / "mutations" / f"pairs_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return {c["id"]: bool(c["truth"]) for c in map(json.loads, filter(str.strip, lines))}


def in_first_half(case: str) -> bool:
    """By passage (the id without its number), so that no passage is on both sides."""
    return hashlib.sha256(case.rsplit("-", 1)[0].encode()).digest()[0] % 2 == 0


def main() -> None:
    raw = json.loads(RESULTS.read_text(encoding="utf-8"))["raw"]
    counts: dict[str, dict[str, Counter[str]]] = {k: {"true": Counter(), "false": Counter()} for k in ("near_copy", "other_words")}
    for name in ("own", "arxiv", "pmlr"):
        for case, verdict in raw.get(name, {}).items():
            counts["near_copy"]["true" if case.endswith(TRUE_VARIETIES) else "false"][verdict] += 1
    known = truths("test")
    for case, verdict in raw["pairs_test"].items():
        if in_first_half(case):
            counts["other_words"]["true" if known[case] else "false"][verdict] += 1
    table = {
        "source": "benchmarks/results/mutations.json",
        "prior": 0.5,
        "counts": {k: {t: dict(sorted(c.items())) for t, c in v.items()} for k, v in counts.items()},
    }
    TABLE.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    from sovereign.kernel.verify import calibrate

    calibrate._rates.cache_clear()
    rates = calibrate._rates()["other_words"]
    told = [
        (rates.get(v), known[c]) for c, v in raw["pairs_test"].items() if not in_first_half(c) and v not in ("NOT_FOUND", "NOT_CHECKABLE")
    ]
    share = sum(t for _, t in told) / len(told)
    weights = {True: 0.5 / share, False: 0.5 / (1 - share)}
    bins: dict[int, list[tuple[float, bool]]] = {}
    for p, truth in told:
        if p is not None:
            bins.setdefault(min(4, int(5 * p)), []).append((p, truth))
    total = sum(weights[t] for b in bins.values() for _, t in b)
    ece = 0.0
    for held in bins.values():
        mass = sum(weights[t] for _, t in held)
        ece += mass / total * abs(sum(weights[t] * p for p, t in held) / mass - sum(weights[t] * t for _, t in held) / mass)
    result = {
        "rates": {k: {v: round(p, 4) for v, p in r.items()} for k, r in calibrate._rates().items()},
        "measured_on": "the other half of pairs_test",
        "n": len(told),
        "ece_at_even_odds": round(ece, 4),
    }
    (ROOT / "benchmarks" / "results" / "calibrate_guard.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()

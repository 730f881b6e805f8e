"""What a verdict of the guard is worth, as a probability that the source supports the claim. Imports records and language; refuses to decide anything.

Rates come from `calibration.json`, which `benchmarks/calibrate_guard.py` writes from the published mutation runs: how often the guard gives each verdict
to true and to false claims, for near-copies and for claims in other words apart. P(true | verdict) follows by Bayes at even odds (a claim is as likely
true as false before it is checked), with half a count added to each cell. A verdict that says nothing about truth has no probability.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from sovereign.kernel.language import tokens
from sovereign.records import Verdict

NEAR = 0.9  # share of the claim's content words that stand in the quoted passage: above it the claim is a near-copy
_TABLE = Path(__file__).with_name("calibration.json")


def probability(verdict: Verdict, claim: str, quote: str) -> float | None:
    """Of the claim being supported by the source; None for NOT_FOUND, NOT_CHECKABLE and where nothing was quoted."""
    if verdict in (Verdict.NOT_FOUND, Verdict.NOT_CHECKABLE) or not quote:
        return None
    return _rates()[wording(claim, quote)].get(verdict.value)


def wording(claim: str, quote: str) -> str:
    """near_copy or other_words."""
    mine, theirs = set(tokens(claim)), set(tokens(quote))
    return "near_copy" if mine and len(mine & theirs) / len(mine) >= NEAR else "other_words"


def posterior(true: int, all_true: int, false: int, all_false: int, cells: int) -> float:
    """P(true | verdict) at even odds; half a count in each of `cells` cells."""
    a, b = (true + 0.5) / (all_true + 0.5 * cells), (false + 0.5) / (all_false + 0.5 * cells)
    return a / (a + b)


@lru_cache(maxsize=1)
def _rates() -> dict[str, dict[str, float]]:
    held = json.loads(_TABLE.read_text(encoding="utf-8"))
    out: dict[str, dict[str, float]] = {}
    for kind, counts in held["counts"].items():
        verdicts = sorted({*counts["true"], *counts["false"]})
        all_true, all_false = sum(counts["true"].values()), sum(counts["false"].values())
        out[kind] = {
            v: posterior(counts["true"].get(v, 0), all_true, counts["false"].get(v, 0), all_false, len(verdicts)) for v in verdicts
        }
    return out

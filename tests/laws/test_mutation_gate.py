"""Law 2, measured: what the verifier lets through on a fixed sample must not worsen against the committed baseline."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.mutations import gate, run  # noqa: E402


@pytest.fixture(scope="module")
def baseline() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(gate.BASELINE.read_text(encoding="utf-8"))
    return loaded


def test_no_kind_of_false_claim_passes_more_often_than_before(baseline: dict[str, Any]) -> None:
    """Guards a change to the verifier that buys recall with false claims, or the reverse."""
    assert gate.worsened(gate.measure(run.shipped), baseline) == []


def test_the_gate_refuses_a_verifier_that_says_yes(baseline: dict[str, Any]) -> None:
    """Guards a gate that cannot fail: accepting everything must be reported in every set."""
    complaints = gate.worsened(gate.measure(lambda claim, source: "SUPPORTED"), baseline)
    assert {name for name in gate.SAMPLE if any(c.startswith(f"{name}: false_accepted all") for c in complaints)} == set(gate.SAMPLE)


def test_the_gate_refuses_a_verifier_that_never_commits_itself(baseline: dict[str, Any]) -> None:
    """Guards safety by silence: supporting nothing must be reported too."""
    complaints = gate.worsened(gate.measure(lambda claim, source: "UNRESOLVED"), baseline)
    assert any("own: true_supported all" in c for c in complaints)
    assert any("pairs_test: true_supported all" in c for c in complaints)


def test_the_gate_sees_one_more_false_claim(baseline: dict[str, Any]) -> None:
    """Guards a tolerance that hides a slide: one more accepted case in a set is reported."""
    worse = copy.deepcopy(baseline)
    worse["own"]["false_accepted"]["number"][0] += 1
    assert gate.worsened(worse, baseline) == [
        "own: false_accepted all {}/{} -> {}/{}".format(
            *gate._total(baseline["own"]["false_accepted"]), *gate._total(worse["own"]["false_accepted"])
        )
    ]


def test_the_gate_refuses_a_changed_sample(baseline: dict[str, Any]) -> None:
    """Guards a rate that improves because hard cases were removed."""
    smaller = copy.deepcopy(baseline)
    smaller["own"]["false_accepted"]["number"][1] -= 1
    assert any("the sample has changed" in c for c in gate.worsened(smaller, baseline))

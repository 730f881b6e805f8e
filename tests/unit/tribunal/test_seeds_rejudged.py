"""The five drafts of the original system, judged again. Guards against the failure that started this project: 8.5 and approved, nothing answered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SEEDS = ROOT.parent / "shared" / "seeds"
sys.path.insert(0, str(ROOT / "benchmarks"))

pytestmark = pytest.mark.skipif(not SEEDS.is_dir(), reason="the five original drafts (../shared/seeds) are not beside the project")


def test_none_of_the_five_would_be_approved_and_the_first_one_hears_why() -> None:
    import seeds_rejudged as again

    notes = again.shelf()
    rows = [again.rejudge(again.parse(f), notes) for f in sorted(SEEDS.glob("*.txt"))]
    assert len(rows) == 5 and sum(r["claims"] for r in rows) == 44
    assert all(r["score"] < 6.5 and r["policy"] != "AUTO_APPROVE" for r in rows)
    approved_then = next(r for r in rows if r["seed"] == "001")
    assert (approved_then["old_score"], approved_then["old_policy"]) == (8.5, "AUTO_APPROVE")
    assert approved_then["first_finding"] == "question_not_answered"
    kinds = {f["kind"] for f in approved_then["findings"]}
    assert {"foreign_voice", "claim_cut_or_changed", "named_system_missing", "uncertainty_missing"} <= kinds

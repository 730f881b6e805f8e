"""The study: factors, predictions before the run, a small real run end to end, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sovereign.errors import LabInput, NotFound, SovereignError, UnknownName  # noqa: E402
from sovereign.lab import study  # noqa: E402
from sovereign.lab.routing.registry import STRATEGIES  # noqa: E402
from sovereign.lab.vision import tradeoff  # noqa: E402
from sovereign.lab.vision.pictures import LOOK  # noqa: E402
from sovereign.lab.vision.plan import PRESETS, make_plan  # noqa: E402
from sovereign.lab.vision.tradeoff import jobs  # noqa: E402
from sovereign.records import TrialState  # noqa: E402

pytestmark = pytest.mark.lab


def test_factors_are_comma_lists() -> None:
    plan = make_plan("standard", {"strategy": "smoes,topk", "budget": "0.25,0.5,1.0", "batch": "8,1", "task": "vqa"}, 0)
    assert plan.strategies == ("smoes", "topk") and plan.base_budget == 0.5 and plan.extra_budgets == (0.25, 1.0)
    assert plan.batches == (1, 8) and plan.tasks == ("vqa",)
    assert [(s.strategy, s.budget) for s in plan.arms()] == [
        ("smoes", 0.5),
        ("topk", 0.5),
        ("smoes", 0.25),
        ("topk", 0.25),
        ("smoes", 1.0),
        ("topk", 1.0),
    ]
    assert len(jobs(plan)) == 6 * plan.seeds and sum(j.keep_state for j in jobs(plan)) == 6


@pytest.mark.parametrize(
    ("factors", "kind", "says"),
    [
        ({"budget": "0"}, LabInput, "outside (0, 1]"),
        ({"budget": "2"}, LabInput, "outside (0, 1]"),
        ({"budget": "0.3"}, LabInput, "whole slots"),
        ({"budget": "half"}, LabInput, "must be numbers"),
        ({"budget": ""}, LabInput, "is empty"),
        ({"strategy": "best"}, UnknownName, "Known: "),
        ({"batch": "64"}, LabInput, "outside 1 to 32"),
        ({"batch": "two"}, LabInput, "whole number"),
        ({"task": "poetry"}, LabInput, "Unknown task"),
        ({"task": "nlvr"}, LabInput, "needs its data"),
        ({"nlvr": "/nowhere"}, NotFound, "dev.jsonl"),
        ({"device": "tpu"}, LabInput, "Known: cpu, cuda"),
        ({"colour": "red"}, LabInput, "Known: strategy, budget"),
        ({"seeds": "0"}, LabInput, "outside 1"),
        ({"ranks": "9"}, LabInput, "outside 0 to 4"),
    ],
)
def test_bad_factors_are_refused_before_anything_is_sealed(
    factors: dict[str, str], kind: type[SovereignError], says: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        study.execute("routing_tradeoff", preset="smoke", factors=factors, out=tmp_path)
    assert says in caught.value.line() and "\n" not in caught.value.line() and not list(tmp_path.iterdir())


def test_one_seed_makes_no_comparison_claims_and_many_do() -> None:
    loaded = study.load("routing_tradeoff")
    smoke = loaded.predictions("smoke", {})
    assert {p.source.split(" (")[0] for p in smoke} == {"gate of this study", "neighbour question of this study"}
    standard = loaded.predictions("standard", {})
    assert {p.source.split(",")[0] for p in standard} >= {"arXiv 2604.23996v1", "arXiv 2511.18314v1", "arXiv 2310.01334v2"}
    assert all(p.scale.value == "conceptual" for p in standard)
    neighbour = [p.statistic for p in standard if p.source.startswith("neighbour")]
    assert neighbour == [f"{s}_over_topk.anyexperts.b0.50.batch{b}" for s, b in (("tpot", 1), ("ttft", 32), ("words_per_s", 32))]
    only = loaded.predictions("standard", {"strategy": "topk"})
    assert not any("smoes" in p.statistic for p in only)


def test_every_strategy_has_a_look_and_the_presets_cover_the_strategies_and_batches() -> None:
    assert set(LOOK) == set(STRATEGIES) and set(study.load("routing_tradeoff").info.presets) == set(PRESETS)
    assert set(PRESETS["gpu"].strategies) == set(STRATEGIES) and PRESETS["gpu"].seeds >= 10
    assert PRESETS["standard"].batches[0] == 1 and PRESETS["standard"].batches[-1] == 32


@pytest.fixture
def small_exam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tradeoff, "REPLAYED", ("smoes",))
    monkeypatch.setitem(PRESETS, "smoke", replace(PRESETS["smoke"], test_scenes=40, steps=2, scenes=8, workers=1))


@pytest.mark.slow
def test_a_small_run_produces_a_sealed_trial_whose_predictions_have_their_statistics(tmp_path: Path, small_exam: None) -> None:
    """One strategy is replayed over ranks: each replay starts processes, which take seconds."""
    factors = {"strategy": "topk,smoes", "budget": "0.5", "batch": "1,2", "seeds": "2"}
    trial = study.execute("routing_tradeoff", preset="smoke", factors=factors, out=tmp_path)
    assert trial.state is TrialState.DONE and trial.digest and trial.scale.value == "conceptual"
    names = {m.name for m in trial.measurements}
    unmeasured = [s.prediction.statistic for s in trial.statements if s.prediction and s.prediction.statistic not in names]
    assert not unmeasured
    by_name = {m.name: m for m in trial.measurements}
    assert by_name["flops_gap_largest"].value == 0.0
    assert by_name["ep_bytes_sent_minus_counted.smoes.ranks2"].value == 0.0
    assert by_name["ep_output_error.smoes.ranks2"].value < 1e-5
    assert by_name["vqa_accuracy_minus_topk.smoes.b0.50"].n == 2
    assert set(trial.figures) >= {"accuracy_flops.png", "latency.png", "expert_modality.png", "traffic.png", "accuracy_throughput.png"}
    for figure in trial.figures:
        assert (tmp_path / trial.trial_id / figure).stat().st_size > 5000
    assert json.loads((tmp_path / trial.trial_id / "trial.json").read_text())["digest"] == trial.digest


def test_the_same_seed_and_software_give_the_same_digest(tmp_path: Path, small_exam: None) -> None:
    """Timings and figures are machine readings and stay out of it; everything else must repeat to the bit."""
    factors = {"strategy": "anyexperts", "batch": "1", "ranks": "0", "task": "entailment"}
    one, two = (study.execute("routing_tradeoff", preset="smoke", factors=factors, out=tmp_path / name) for name in "ab")
    assert one.digest == two.digest and any(m.timing for m in one.measurements)

"""What the laboratory does inside a run: predictions are in the ledger before the trial begins, and a trial that leaves them counts for nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end_support import QUESTIONS, prepared

from sovereign import path, seal, wiring
from sovereign.gate.audit import audit_workspace
from sovereign.lab import study
from sovereign.records import GateVerdict, Measurement, Prediction, Scale, Statement, StudyInfo, Trial, TrialState
from sovereign.settings import Settings

INFO = StudyInfo(
    "routers", "Small routers lower TTFT", "", "drawn scenes", "TTFT falls", "TTFT does not fall", keys=("small routers", "ttft", "mmmu"),
    presets={"smoke": 2.0},
)  # fmt: skip


@dataclass
class FakeBench:
    """A laboratory whose one study measures what it is told to, and notes what the ledger held when it began."""

    source: str
    look: Callable[[], list[str]]
    value: float = -14.0
    own: tuple[Prediction, ...] | None = None  # what the run judges by, when not by what it announced
    seen: list[list[str]] = field(default_factory=list)

    def studies(self) -> tuple[StudyInfo, ...]:
        return (INFO,)

    def reference_trials(self) -> tuple[Trial, ...]:
        return ()

    def figure(self, trial_id: str, name: str) -> bytes | None:
        return b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'></svg>" if name == "ttft.svg" else None

    def predictions(self, study: str, *, preset: str) -> tuple[Prediction, ...]:
        text = "Small Routers reduces TTFT by 14% on MMMU compared with the unspecialized router."
        return (Prediction(text, self.source, "ttft_change", "<", 0.0),)

    def run(self, study_name: str, *, preset: str, factors: Mapping[str, str], out: Path, predictions: Sequence[Prediction] = ()) -> Trial:
        self.seen.append(self.look())
        measured = (Measurement("ttft_change", self.value, "%", (self.value - 1, self.value + 1), n=5),)
        judged = self.own or self.predictions(study_name, preset=preset)
        trial = Trial(
            "routers-smoke-1", study_name, preset, Scale.CONCEPTUAL, TrialState.DONE, {}, (0,), {}, measured,
            tuple(Statement(p.statement, p.source, p, *study.judge(p, measured)) for p in judged), figures=("ttft.svg",),
        )  # fmt: skip
        trial = replace(trial, digest=study.trial_digest(trial))
        study.write(out / trial.trial_id, trial)
        return trial


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Settings, FakeBench, dict[str, Any], str]]:
    settings = prepared(tmp_path / "home")
    with wiring.workspace(settings) as ws:
        source = next(p.paper_id for p in ws.library.papers() if "Routers" in p.title).split(":", 1)[-1]

    def ask(budget_s: float = 1800.0, **how: Any) -> tuple[Settings, FakeBench, dict[str, Any], str]:
        def look() -> list[str]:
            with wiring.workspace(settings) as ws:
                (run,) = ws.runs.list()
                return [e.step_key or e.kind for e in ws.ledger.events(run.run_id)]

        bench = FakeBench(source, look, **how)
        monkeypatch.setattr(wiring, "bench_of", lambda _settings: bench)
        result = wiring.ask(settings.model_copy(update={"lab_budget_s": budget_s}), QUESTIONS[0], sources=["local"], lab="smoke")
        return settings, bench, json.loads(result.files["draft.json"].read_bytes()), result.run_id

    return ask


def test_predictions_stand_in_the_ledger_before_the_trial_begins(asked: Callable[..., Any]) -> None:
    settings, bench, draft, run_id = asked()
    (before,) = bench.seen
    assert before[-2:] == ["prediction_sealed", path.step_key("predict", 0)]
    with wiring.workspace(settings) as ws:
        events = ws.ledger.events(run_id)
    sealed = next(e for e in events if e.kind == "prediction_sealed")
    trial = next(e for e in events if e.kind == "trial")
    assert sealed.seq < trial.seq and trial.body["run_here"]
    assert trial.body["predictions"] == [sealed.body["sha256"]] == [seal.digest(bench.predictions("routers", preset="smoke")[0])]
    raised = {c["id"]: c["level"] for c in draft["claims"] if c["id"] in sealed.body["claims"]}
    assert raised and all(level.startswith("L5") for level in raised.values())


def test_a_falsified_prediction_is_shown_against_its_claim(asked: Callable[..., Any]) -> None:
    _, _, draft, _ = asked(value=+9.0)
    assert not any(c["level"].startswith("L5") for c in draft["claims"])
    assert any(GateVerdict.FALSIFIED.value in json.dumps(c) for c in draft["claims"])


def test_a_trial_that_judged_by_other_predictions_counts_for_nothing(asked: Callable[..., Any]) -> None:
    easier = Prediction("Small Routers reduces TTFT by 14% on MMMU compared with the unspecialized router.", "", "ttft_change", "<", 99.0)
    settings, _, draft, run_id = asked(value=+9.0, own=(easier,))
    assert not any(c["level"].startswith("L5") for c in draft["claims"])
    check = next(c for c in draft["checks"] if c["name"] == "trial routers")
    assert check["state"] == "FAILED" and "other predictions than those sealed" in check["reason"]
    with wiring.workspace(settings) as ws:
        assert any("not sealed before it" in fault for fault in (what for _, what in audit_workspace(ws, run_id).problems))


def test_a_study_over_the_budget_is_not_run_and_the_record_says_so(asked: Callable[..., Any]) -> None:
    settings, bench, _, run_id = asked(budget_s=1.0)
    assert bench.seen == []
    with wiring.workspace(settings) as ws:
        executed = json.loads(ws.blobs.get(ws.runs.steps(run_id)["experiment-0"]))
    assert executed["trials"] == [] and "more than the laboratory's budget leaves" in executed["why"][-1]


@pytest.mark.parametrize("what", ["seed", "prediction", "measurement", "figure", "sealed prediction"])
def test_a_tampered_trial_is_found(asked: Callable[..., Any], what: str) -> None:
    settings, _, _, run_id = asked()
    with wiring.workspace(settings) as ws:
        assert not audit_workspace(ws, run_id).problems
    trial = settings.home / "trials" / "routers-smoke-1" / "trial.json"
    held = json.loads(trial.read_text())
    if what == "seed":
        held["seeds"] = [1]
    elif what == "prediction":
        held["statements"][0]["prediction"]["threshold"] = -20.0
    elif what == "measurement":
        held["measurements"][0]["value"] = -15.0
    elif what == "figure":
        figure = settings.home / "runs" / run_id / "figures" / "ttft.svg"
        figure.write_bytes(figure.read_bytes().replace(b"'8'", b"'9'"))
    else:
        with sqlite3.connect(settings.home / "sovereign.sqlite3") as tables:
            changed = tables.execute("UPDATE events SET body = replace(body, '14%', '41%') WHERE kind = 'prediction_sealed'").rowcount
            assert changed == 1
    trial.write_text(json.dumps(held))
    with wiring.workspace(settings) as ws:
        assert audit_workspace(ws, run_id).problems

"""What models cost, how far several agree, and what a killed run keeps. Guards against paying twice, a cap that a restart forgets, and hidden disagreement."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end_support import QUESTIONS, prepared
from tests.unit.models.chatserver import Server, serving
from tests.unit.web.test_console_security import TOKEN, Browser

from sovereign import gate, wiring
from sovereign.errors import ModelFailed, SettingsInvalid
from sovereign.gate.bundle import bundle
from sovereign.kernel import policy
from sovereign.settings import Settings
from sovereign.web.app import create_app

QUESTION = QUESTIONS[0]
PRICED = "vllm:tiny@100/100"  # 20 tokens in and 10 out a call, as the server counts: 0.003 US dollars


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return prepared(tmp_path / "home")


def emptiest(body: dict[str, Any]) -> str:
    """Any shape's emptiest valid answer: nothing is proposed, worded, judged or found."""

    def of(shape: dict[str, Any]) -> Any:
        if "enum" in shape:
            return "UNRESOLVED" if "UNRESOLVED" in shape["enum"] else shape["enum"][0]
        if shape.get("type") == "object":
            return {name: of(inner) for name, inner in shape.get("properties", {}).items()}
        return {"array": [], "string": "", "number": 10.0}[shape["type"]]

    return json.dumps(of(body["response_format"]["json_schema"]["schema"]))


def facts(settings: Settings, run_id: str) -> dict[str, Any]:
    with wiring.workspace(settings) as ws:
        return dict(ws.ledger.events(run_id, "policy_decided")[-1].body["facts"])


# --- money ---


def test_what_was_spent_is_a_fact_that_a_rule_can_use(settings: Settings, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "dear"\nthen = "ESCALATE_TO_OWNER"\nwhy = "It cost too much."\nwhen = { cost_usd = "> 0.001" }\n')
    told: list[float] = []
    with serving(Server(plan=[emptiest])) as server:
        chosen = settings.model_copy(update={"model_base_url": server.base, "policy_file": rules, "model_budget_usd": 50.0})
        result = wiring.ask(chosen, QUESTION, model=PRICED, told=lambda most, cap: told.extend((most.usd, cap)))
        calls = len(server.seen)
    known = facts(chosen, result.run_id)
    assert known["model_calls"] == calls > 3 and known["model_tokens"] == 30 * calls
    assert known["cost_usd"] == known["cost_at_most_usd"] == pytest.approx(0.003 * calls)
    body = json.loads(result.files["draft.json"].read_bytes())
    assert body["policy"]["rule"] == "dear" and body["spent"]["cost_usd"] == known["cost_usd"]
    assert told[0] >= known["cost_usd"] and told[1] == 50.0, "the estimate was told, and it is an upper bound"
    assert any(c.fact == "cost_usd" and c.holds for e in policy.explain(known, policy.parse(rules.read_text())) for c in e.conditions)
    assert "US dollars" in result.files["draft.md"].read_text()
    assert wiring.replay(chosen, result.run_id).same


def test_without_a_model_nothing_is_spent_and_nothing_changes(settings: Settings) -> None:
    result = wiring.ask(settings, QUESTION)
    known = facts(settings, result.run_id)
    assert (known["cost_usd"], known["model_calls"], known["model_tokens"]) == (0.0, 0, 0)
    assert known["decision_unstable"] is None and known["score_spread"] is None
    body = json.loads(result.files["draft.json"].read_bytes())
    assert body["wording"] is None and body["tribunal"]["agreement"] is None and not any("wording" in c["name"] for c in body["checks"])


def test_an_unknown_price_is_an_unknown_cost_with_a_bound(settings: Settings) -> None:
    with serving(Server(plan=[emptiest])) as server:
        chosen = settings.model_copy(update={"model_base_url": server.base, "model_budget_usd": 50.0})
        result = wiring.ask(chosen, QUESTION, model="openai:tiny")
    known = facts(chosen, result.run_id)
    assert known["cost_usd"] is None and known["cost_at_most_usd"] > 0
    assert "an unknown amount" in result.files["draft.md"].read_text()


def test_the_cap_holds_over_restarts_and_nothing_is_paid_twice(settings: Settings) -> None:
    with serving(Server(plan=[emptiest])) as server:
        whole = settings.model_copy(update={"model_base_url": server.base, "model_budget_usd": 50.0})
        wiring.ask(whole, QUESTION, model=PRICED)
        calls = len(server.seen)
        server.seen.clear()
        small = whole.model_copy(update={"model_budget_usd": 0.8})  # one call reserves up to 0.4 for its answer
        with pytest.raises(ModelFailed) as stopped:
            wiring.ask(small.model_copy(update={"model_budget_usd": 0.3}), QUESTION, model=PRICED)
        assert stopped.value.kind == "over_budget" and "resume" in (stopped.value.mend or "")
        with wiring.workspace(settings) as ws:
            (row,) = [r for r in ws.runs.list() if r.state == "failed"]
            assert ws.ledger.events(row.run_id, "model_estimated")
        assert server.seen == [], "what cannot fit is not sent"
        with wiring.workspace(settings) as ws:  # a bill that an earlier attempt left
            paid = {"blob": "0" * 64, "model": "vllm:tiny", "purpose": "judge", "tokens_in": 1, "tokens_out": 1}
            ws.append_event(row.run_id, "model_paid", paid | {"cost_usd": 0.75, "at_most_usd": 0.75, "estimated": False})
        with pytest.raises(ModelFailed, match=r"0\.7500 of 0\.8 spent"):
            wiring.resume(small, row.run_id)
        assert server.seen == []
        done = wiring.resume(whole, row.run_id)
        assert len(server.seen) == calls
    assert facts(whole, done.run_id)["cost_usd"] == pytest.approx(0.75 + 0.003 * calls)


KILLED = """
import os, signal, sys
from pathlib import Path
from sovereign import wiring
from sovereign.models.kept import Keeper
from sovereign.settings import load
station, calls = sys.argv[3], int(sys.argv[4])
def progress(name, state):
    if (name, state) == (station, "started"):
        os.kill(os.getpid(), signal.SIGKILL)
paid = [0]
keep = Keeper.keep
def counted(self, exchange):
    keep(self, exchange)
    paid[0] += 1
    if paid[0] == calls:
        os.kill(os.getpid(), signal.SIGKILL)
Keeper.keep = counted
wiring.ask(load(Path(sys.argv[1]), offline=True), sys.argv[2], model="scripted", reviewers=["scripted"], progress=progress)
"""


def kill(settings: Settings, station: str, calls: int) -> int:
    command = [sys.executable, "-c", KILLED, str(settings.home), QUESTION, station, str(calls)]
    return subprocess.run(command, env=os.environ, timeout=120, check=False).returncode


@pytest.mark.parametrize(("station", "calls"), [("wording", 0), ("tribunal", 0), ("policy", 0), ("press", 0), ("", 2), ("", 4), ("", 6)])
def test_killed_with_models_and_resumed_gives_the_same_bytes_and_asks_nothing_twice(station: str, calls: int, tmp_path: Path) -> None:
    """`calls`: killed in the middle of a station, right after so many answers."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    undisturbed = prepared(tmp_path / "a" / "home")
    whole = wiring.ask(undisturbed, QUESTION, model="scripted", reviewers=["scripted"])
    spoiled = prepared(tmp_path / "b" / "home")
    assert kill(spoiled, station, calls) == -signal.SIGKILL
    result = wiring.resume(spoiled, whole.run_id)
    assert {n: p.read_bytes() for n, p in result.files.items()} == {n: p.read_bytes() for n, p in whole.files.items()}
    with wiring.workspace(spoiled) as ws:
        paid = [(e.body["model"], e.body["blob"]) for e in ws.ledger.events(result.run_id, "model_paid")]
    assert len(paid) == len(set(paid)) == whole.body["spent"]["calls"]
    assert wiring.replay(spoiled, result.run_id).same


# --- several models ---

OVERCLAIM = {"findings": [{"kind": "overclaim", "severity": "blocking", "targets": ["s1"], "text": "Too general."}], "score": 5.0}


def scripted(tmp_path: Path, name: str, **answers: list[Any]) -> str:
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(answers))
    return f"scripted:{file}"


def test_a_decision_that_flips_between_models_escalates_by_a_rule_of_its_own(settings: Settings, tmp_path: Path) -> None:
    strict, mild = scripted(tmp_path, "strict", review_skeptic=[OVERCLAIM] * 3), scripted(tmp_path, "mild")
    result = wiring.ask(settings, QUESTION, model=mild, reviewers=[strict])
    body = json.loads(result.files["draft.json"].read_bytes())
    agreement = body["tribunal"]["agreement"]
    assert agreement["flips"] and agreement["models"] == ["scripted/1", "scripted/1#2"]
    assert agreement["scores"][0] - agreement["scores"][1] == pytest.approx(agreement["spread"]) and agreement["spread"] > 0
    skeptic = next(r for r in agreement["roles"] if r["role"] == "SKEPTIC")
    assert skeptic["alpha"] is not None and skeptic["alpha"] < 1 and skeptic["spread"] == 4.0
    assert all(r["alpha"] is None for r in agreement["roles"] if r["role"] != "SKEPTIC"), "nobody found anything there: not defined"
    known = facts(settings, result.run_id)
    assert (
        known["decision_unstable"] is True
        and known["score_spread"] == agreement["spread"]
        and known["agreement_alpha"] == agreement["alpha"]
    )
    assert body["policy"] | {"reasons": []} == body["policy"] | {"rule": "models disagree on the decision", "reasons": []}
    assert "the decision differs between them" in result.files["draft.md"].read_text()
    with wiring.workspace(settings) as ws:
        assert gate.overview(ws, result.run_id)["agreement"] == agreement
        page = Browser(create_app(settings, ws, TOKEN, 8765)).login().get(f"/runs/{result.run_id}/tribunal").text
    assert "2 models or seeds reviewed" in page and f"spread {agreement['spread']:.2f}" in page and "Tier" in page
    assert wiring.replay(settings, result.run_id).same


def test_models_that_agree_change_nothing_but_the_account(settings: Settings) -> None:
    one = wiring.ask(settings, QUESTION, model="scripted").body
    two = wiring.ask(settings, QUESTION, model="scripted", reviewers=["scripted"]).body
    assert two["tribunal"]["agreement"]["spread"] == 0 and one["tribunal"]["agreement"] is None
    assert one["tribunal"]["score"] == two["tribunal"]["score"] and one["policy"]["rule"] == two["policy"]["rule"]
    assert one["draft"] == two["draft"]


def test_reviewers_without_a_model_are_refused_before_anything_is_stored(settings: Settings) -> None:
    with pytest.raises(SettingsInvalid, match="no model is named"):
        wiring.ask(settings, QUESTION, reviewers=["scripted"])
    with wiring.workspace(settings) as ws:
        assert ws.runs.list() == []


def test_quality_is_computed_at_the_end_and_printed_everywhere(settings: Settings) -> None:
    result = wiring.ask(settings, QUESTION)
    quality = json.loads(result.files["draft.json"].read_bytes())["quality"]
    by_key = {d["key"]: d for d in quality["dimensions"]}
    assert sorted(by_key) == [f"D-{n}" for n in range(1, 9)]
    assert by_key["D-5"]["score"] is None and by_key["D-5"]["level"] == "UNASSESSED"
    assert by_key["D-7"]["level"] != "HIGH", "no exact trial stands behind this run"
    told = quality["tier"].replace("_", " ").lower()
    assert told in result.files["draft.md"].read_text() and told in result.files["draft.html"].read_text()


def test_the_command_line_takes_several_models_and_the_settings_a_list(settings: Settings) -> None:
    from typer.testing import CliRunner

    from sovereign.cli.app import app

    given = ["ask", QUESTION, "--model", "scripted", "--model", "scripted", "--workspace", str(settings.home), "--json"]
    told = CliRunner().invoke(app, given)
    assert told.exit_code in (0, 3), told.output
    assert json.loads(told.stdout)["tribunal"]["agreement"]["models"] == ["scripted/1", "scripted/1#2"]
    listed = settings.model_copy(update={"model": "scripted", "reviewers": ("scripted", "scripted")})
    assert len(wiring.ask(listed, QUESTION).body["tribunal"]["agreement"]["models"]) == 3
    assert wiring.ask(listed, QUESTION, model="scripted").body["tribunal"]["agreement"] is None, "a model named by hand reviews alone"


def test_an_exported_run_carries_every_answer_and_a_public_one_names_them_only(settings: Settings) -> None:
    """Without them an exported run could not be replayed; with them a published one would republish passages of its sources."""
    run_id = wiring.ask(settings, QUESTION, model="scripted").run_id
    with wiring.workspace(settings) as ws:
        blobs = {str(e.body["blob"]) for e in ws.ledger.events(run_id) if e.kind in ("model_answered", "model_paid")}
        whole, public = bundle(ws, run_id), bundle(ws, run_id, public=True)
    assert blobs and all(f"blobs/{b}" in whole for b in blobs)
    assert not any(f"blobs/{b}" in public for b in blobs) and blobs <= set(json.loads(public["bundle.json"])["withheld"])

"""A model helps and never decides: scripted, over a real local endpoint, replayed without it, and failing without inventing anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import QUESTION
from tests.end_to_end_support import QUESTIONS, prepared
from tests.unit.models.chatserver import Server, serving

from sovereign import wiring
from sovereign.errors import ModelFailed, UnknownName
from sovereign.settings import load


def test_the_scripted_model_goes_the_whole_path_and_replay_needs_no_model(home: Path) -> None:
    chosen = load(home, offline=True)
    alone = wiring.ask(chosen, QUESTION, sources=["local"])
    helped = wiring.ask(chosen, QUESTION, sources=["local"], model="scripted")
    assert helped.run_id != alone.run_id
    body = json.loads(helped.files["draft.json"].read_bytes())
    assert body["tribunal"]["score"] > 0 and body["claims"]
    with wiring.workspace(chosen) as ws:
        answered = ws.ledger.events(helped.run_id, "model_answered")
        assert answered and all(ws.blobs.has(str(e.body["blob"])) for e in answered)
    assert wiring.replay(chosen, helped.run_id).same


def test_a_model_over_a_real_socket_is_asked_there_and_nowhere_else(home: Path) -> None:
    def abstain(body: dict) -> str:  # type: ignore[type-arg]
        """An endpoint that answers every shape with its emptiest valid value: nothing is proposed, judged or found."""
        shape = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {})
        return json.dumps(_emptiest(shape))

    with serving(Server(plan=[abstain])) as server:
        chosen = load(home, offline=True, model_base_url=server.base)
        result = wiring.ask(chosen, QUESTION, sources=["local"], model="vllm:tiny")
    assert server.seen and {b["model"] for b in server.seen} == {"tiny"}
    assert json.loads(result.files["draft.json"].read_bytes())["claims"]
    assert wiring.replay(load(home, offline=True), result.run_id).same


@pytest.mark.parametrize("fault", ["prose", "wrong_shape"])
def test_a_useless_answer_ends_in_one_error_and_a_run_that_can_go_on(fault: str, home: Path) -> None:
    with serving(Server(plan=[fault])) as server:
        chosen = load(home, offline=True, model_base_url=server.base)
        with pytest.raises(ModelFailed):
            wiring.ask(chosen, QUESTION, sources=["local"], model="vllm:tiny")
    with wiring.workspace(chosen) as ws:
        (row,) = ws.runs.list()
        assert row.state == "failed" and row.error
        assert "tribunal-0" not in ws.runs.steps(row.run_id), "no score was invented"


def test_an_unknown_model_is_refused_before_anything_is_stored(home: Path) -> None:
    chosen = load(home, offline=True)
    with pytest.raises(UnknownName, match="Unknown model"):
        wiring.ask(chosen, QUESTION, sources=["local"], model="nonsense:x")
    with wiring.workspace(chosen) as ws:
        assert ws.runs.list() == []


def _emptiest(shape: dict) -> object:  # type: ignore[type-arg]
    kind = shape.get("type")
    if "enum" in shape:
        return "UNRESOLVED" if "UNRESOLVED" in shape["enum"] else shape["enum"][0]
    if kind == "object":
        return {name: _emptiest(inner) for name, inner in shape.get("properties", {}).items()}
    return {"array": [], "string": "", "number": 8.0, "integer": 8, "boolean": False}.get(str(kind))


def test_a_model_may_point_at_sentences_and_only_those_that_stand_count(tmp_path: Path) -> None:
    settings = prepared(tmp_path / "home")
    lone = tmp_path / "lone.md"
    stands = "Small Routers needs 2 GPUs on MMMU where the unspecialized router needs 3."
    lone.write_text(f"# Small Routers, once more\n\n{stands} The weather was fine.\n")
    with wiring.workspace(settings) as ws:
        wiring.add_to_library(ws, settings, [str(lone)])
    quotes = [stands, "Small Routers reduces TTFT by 99% on MMMU in every case.", "The weather was fine."]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"claims": [{"claims": [{"passage": 1, "quote": q} for q in quotes]}] * 9}))
    result = wiring.ask(settings.model_copy(update={"max_claims": 3}), QUESTIONS[0], sources=["local"], model=f"scripted:{script}")
    with wiring.workspace(settings) as ws:
        (told,) = [e.body for e in ws.ledger.events(result.run_id, "claims_proposed")][:1]
    dropped = dict(told["dropped"])
    assert dropped[quotes[1]] == "no such words stand in the document"
    body = json.loads(result.files["draft.json"].read_bytes())
    assert len(told["kept"]) <= 1 and not any("99%" in c["text"] or "weather" in c["text"] for c in body["claims"])
    assert any(c["text"] == stands for c in body["claims"])
    assert wiring.replay(settings, result.run_id).same

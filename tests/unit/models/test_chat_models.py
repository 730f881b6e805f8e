"""Model clients against a real local server that misbehaves. Guards against the original system's habit of a default score when a model failed."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from chatserver import GOOD, Memory, Server, serving

from sovereign import models, settings
from sovereign.errors import IntegrityBroken, ModelFailed, SettingsInvalid, SovereignError, UnknownName
from sovereign.models import panel_names
from sovereign.models._chat import SAMPLED_AT, Exchange
from sovereign.models.accounting import Budget
from sovereign.models.kept import Keeper, Kept, Recorded
from sovereign.models.openai_compatible import FORMS

SHAPE = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 10}},
    "required": ["answer", "score"],
    "additionalProperties": False,
}


def model(server: Server, tmp_path: Path, *, name: str = "ollama:tiny", key: str | None = None, **options: Any) -> Any:
    chosen = settings.load(tmp_path, model=name, model_base_url=server.base, **({"model_key": key} if key else {}))
    wire = {"timeout_s": 0.4, "sleep": lambda _s: None} | options.pop("wire", {})
    return models.build_model(chosen, **options, **wire)


def ask(server: Server, tmp_path: Path, **options: Any) -> Any:
    return model(server, tmp_path, **options).ask("What is the answer?", shape=SHAPE, purpose="test")


GOOD_IN_THE_END: list[list[Any]] = [
    ["good"],
    ["fenced"],
    ["prose", "good"],
    ["wrong_shape", "list", "good"],
    ["500", "good"],
    ["429", "429", "good"],
    ["hang_up", "good"],
    ["no_schema"],
]


@pytest.mark.parametrize("plan", GOOD_IN_THE_END, ids="-".join)
def test_a_good_answer_is_reached_in_the_end(plan: list[Any], tmp_path: Path) -> None:
    with serving(Server(plan)) as server:
        assert ask(server, tmp_path) == GOOD


@pytest.mark.parametrize(
    ("plan", "kind", "requests"),
    [
        (["prose"], "bad_shape", 3),
        (["wrong_shape"], "bad_shape", 3),
        (["two_objects"], "bad_shape", 3),
        (["odd"], "bad_shape", 1),
        (["not_json"], "bad_shape", 1),
        (["500"], "unreachable", 3),
        (["404"], "unreachable", 1),
        (["redirect"], "unreachable", 1),
        (["cut_body"], "unreachable", 3),
        (["429"], "rate_limited", 3),
        (["429_long"], "rate_limited", 1),
        (["too_long"], "too_long", 1),
        (["cut_at_limit"], "too_long", 1),
        (["silence"], "timeout", 1),
    ],
)
def test_each_fault_is_one_error_with_its_kind_and_never_an_answer(plan: list[Any], kind: str, requests: int, tmp_path: Path) -> None:
    with serving(Server(plan, silence_s=1.0)) as server:
        with pytest.raises(ModelFailed) as caught:
            ask(server, tmp_path)
        assert (caught.value.kind, len(server.seen)) == (kind, requests)
        assert "\n" not in caught.value.line() and caught.value.exit_code == 4
        assert type(caught.value) is ModelFailed  # an engine that stores errors knows no private kinds


def test_an_absent_endpoint_says_so(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        server = Server(port=held.getsockname()[1])
        with pytest.raises(ModelFailed) as caught:
            ask(server, tmp_path)
    assert caught.value.kind == "unreachable" and "model_base_url" in caught.value.line()


def test_a_wrong_key_is_refused_and_stands_in_no_message(tmp_path: Path) -> None:
    with serving(Server(key="right")) as server:
        with pytest.raises(ModelFailed) as caught:
            ask(server, tmp_path, name="openai:gpt", key="sk-secret-wrong", budget=Budget(10))
        assert caught.value.kind == "unauthorized" and "sk-secret" not in caught.value.line()
        assert len(server.seen) == 1
        assert ask(server, tmp_path, name="openai:gpt", key="right", budget=Budget(10)) == GOOD


def test_a_drip_that_never_ends_meets_the_deadline(tmp_path: Path) -> None:
    with serving(Server(["good"])) as server, pytest.raises(ModelFailed) as caught:
        ask(server, tmp_path, wire={"deadline_s": 0.0})
    assert caught.value.kind == "timeout"


# --- streams ---


def collected(chosen: Any) -> list[str]:
    async def run() -> list[str]:
        return [piece async for piece in chosen.stream("Say it.", purpose="test")]

    return asyncio.run(run())


def test_a_stream_comes_in_pieces_and_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    with serving(Server(["good"])) as server:
        chosen = model(server, tmp_path, progress=lambda _purpose, n: told.append(n))
        assert json.loads("".join(collected(chosen))) == GOOD and len(collected(chosen)) == 2
        assert chosen.ask("x", shape=SHAPE, purpose="test") == GOOD
    assert len(told) == 2 and told == sorted(told)


def test_a_cut_stream_is_a_failure_and_not_a_short_answer(tmp_path: Path) -> None:
    with serving(Server(["cut_stream"])) as server:
        with pytest.raises(ModelFailed) as caught:
            collected(model(server, tmp_path))
        assert caught.value.kind == "unreachable"
        with pytest.raises(ModelFailed):
            ask(server, tmp_path, progress=lambda *_: None)


def test_a_refused_stream_is_mapped_too(tmp_path: Path) -> None:
    with serving(Server(["500"])) as server, pytest.raises(ModelFailed):
        collected(model(server, tmp_path))


# --- money ---


def test_the_cap_stops_the_call_before_it_is_sent(tmp_path: Path) -> None:
    with serving(Server(["good"])) as server:
        with pytest.raises(ModelFailed) as caught:
            ask(server, tmp_path, name="openai:gpt@5/15", key="k", budget=Budget(0.0001))
        assert caught.value.kind == "over_budget" and server.seen == []


def test_a_bill_over_the_cap_stops_the_run_and_the_answer_is_kept(tmp_path: Path) -> None:
    """The endpoint reports more tokens than estimated: the answer is paid for and kept, and nothing more is sent."""
    kept: list[Exchange] = []
    budget = Budget(1.0)
    with serving(Server(["good"], usage={"prompt_tokens": 900_000, "completion_tokens": 10})) as server:
        chosen = model(server, tmp_path, name="openai:gpt@5/15", key="k", budget=budget, keep=kept.append)
        with pytest.raises(ModelFailed) as caught:
            chosen.ask("x", shape=SHAPE, purpose="test")
        assert caught.value.kind == "over_budget" and kept[0].answer == GOOD
        with pytest.raises(ModelFailed):
            chosen.ask("y", shape=SHAPE, purpose="test")
        assert len(server.seen) == 1
    assert budget.cost_usd() == pytest.approx(4.50015)


def test_cost_is_none_where_no_price_is_known_and_zero_only_at_home(tmp_path: Path) -> None:
    free, paid = Budget(1.0), Budget(10.0)
    with serving(Server(["good"])) as server:
        ask(server, tmp_path, budget=free)
        ask(server, tmp_path, name="openai:gpt", key="k", budget=paid)
    assert free.cost_usd() == 0.0 and paid.cost_usd() is None and paid.spent_usd > 0
    assert (free.tokens_in, free.tokens_out) == (20, 10)


def test_without_a_usage_report_tokens_are_estimated_and_marked(tmp_path: Path) -> None:
    kept: list[Exchange] = []
    with serving(Server(["good"], usage=None)) as server:
        ask(server, tmp_path, keep=kept.append)
    assert kept[0].usage.estimated and kept[0].usage.tokens_in > 0


def test_the_estimate_is_made_before_anything_is_sent(tmp_path: Path) -> None:
    with serving(Server()) as server:
        estimate = model(server, tmp_path, name="openai:gpt@5/15", key="k").estimate(2, 3000)
        assert estimate.calls == 2 and estimate.tokens_in == 2000 and estimate.usd == pytest.approx((2000 * 5 + 8192 * 15) / 1e6)
        assert server.seen == []


# --- keeping and replaying ---


def test_a_resumed_run_pays_nothing_twice_and_a_replay_calls_nobody(tmp_path: Path) -> None:
    blobs = Memory()
    keeper = Keeper(blobs)
    with serving(Server(["prose", "good"])) as server:
        chosen = Kept(model(server, tmp_path, keep=keeper.keep), keeper)
        assert chosen.ask("q", shape=SHAPE, purpose="test") == GOOD
        assert Kept(model(server, tmp_path), keeper).ask("q", shape=SHAPE, purpose="test") == GOOD
        assert len(server.seen) == 2  # the prose and its repair, once
    assert len(keeper.log) == 2 and b"Certainly" in b"".join(blobs.held.values())
    replayed = Recorded("ollama:tiny", Keeper(blobs, keeper.index))
    assert replayed.ask("q", shape=SHAPE, purpose="test") == GOOD
    with pytest.raises(IntegrityBroken):
        replayed.ask("another question", shape=SHAPE, purpose="test")


# --- only the chosen one is called ---


def test_nothing_but_the_chosen_endpoint_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No second hidden default: every connection of the process goes to the address that was chosen, even when it fails."""
    called: set[tuple[str, int]] = set()
    real = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            called.add(tuple(address[:2]))  # type: ignore[arg-type]
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-ours")
    with serving(Server(["good", "500", "redirect", "429_long"])) as server:
        assert ask(server, tmp_path) == GOOD
        for _ in range(3):
            with pytest.raises(ModelFailed):
                ask(server, tmp_path)
        assert called == {("127.0.0.1", server.port)}
        assert not any("not-ours" in str(h) for h in server.headers)


def test_a_key_is_not_sent_where_none_is_wanted(tmp_path: Path) -> None:
    with serving(Server()) as server:
        ask(server, tmp_path)
        assert "authorization" not in server.headers[0]


# --- forms and names ---


def test_the_schema_is_sent_and_refused_forms_are_left_behind(tmp_path: Path) -> None:
    with serving(Server(["no_schema"])) as server:
        chosen = model(server, tmp_path)
        assert chosen.ask("x", shape=SHAPE, purpose="a b") == GOOD
        assert server.seen[0]["response_format"]["json_schema"]["schema"] == SHAPE
        assert "response_format" not in server.seen[-1] and json.dumps(SHAPE) in server.seen[-1]["messages"][0]["content"]
        assert FORMS[chosen.form] == "text"


def test_anthropic_speaks_its_own_protocol(tmp_path: Path) -> None:
    with serving(Server(["anthropic"])) as server:
        chosen = settings.load(tmp_path, model="anthropic:claude@3/15", model_base_url=f"http://127.0.0.1:{server.port}", model_key="k")
        built = models.build_model(chosen, budget=Budget(10))
        assert built is not None and built.ask("x", shape=SHAPE, purpose="test") == GOOD
        assert server.paths == ["/v1/messages"] and server.headers[0]["x-api-key"] == "k"
        assert server.seen[0]["tools"][0]["input_schema"] == SHAPE and server.seen[0]["tool_choice"]["name"] == "answer"


@pytest.mark.parametrize(
    ("name", "overrides", "error", "says"),
    [
        ("gpt-4", {}, UnknownName, "Known:.*ollama:NAME"),
        ("mistralai:x", {}, UnknownName, "Known:"),
        ("ollama:", {}, SettingsInvalid, "names no model"),
        ("openai:gpt", {}, SettingsInvalid, "needs a key"),
        ("openai:gpt@cheap", {"model_key": "k"}, SettingsInvalid, "price"),
        ("openai:gpt", {"model_key": "k", "offline": True}, SettingsInvalid, "offline is set"),
        ("openai:gpt", {"model_key": "k", "model_base_url": "http://example.org/v1"}, SettingsInvalid, "plain http"),
        ("ollama:x", {"model_base_url": "file:///etc/passwd"}, SettingsInvalid, "address"),
        ("ollama:x", {"model_base_url": "http://user:pass@127.0.0.1/v1"}, SettingsInvalid, "address"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused_before_any_connection(
    name: str, overrides: dict[str, Any], error: type[SovereignError], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        models.build_model(settings.load(tmp_path, model=name, **({"offline": False} | overrides)))
    assert re.search(says, caught.value.line())


def test_no_model_is_none(tmp_path: Path) -> None:
    assert models.build_model(settings.load(tmp_path)) is None


def test_the_same_name_again_is_another_seed_under_another_name() -> None:
    panel = panel_names(["openai:gpt@5/15", "ollama:tiny", "openai:gpt@5/15", "scripted", "scripted:x.json"])
    assert [(seed, name) for _, seed, name in panel] == [
        (None, "openai:gpt"), (None, "ollama:tiny"), (2, "openai:gpt#2"), (None, "scripted/1"), (2, "scripted/1#2")
    ]  # fmt: skip
    with pytest.raises(UnknownName):
        panel_names(["nonsense:x"])


def test_a_seed_is_a_sample_and_the_first_model_is_not(tmp_path: Path) -> None:
    with serving(Server()) as server:
        for seed in (None, 2):
            ask(server, tmp_path, seed=seed)
    assert [(b["temperature"], b.get("seed")) for b in server.seen] == [(0.0, None), (SAMPLED_AT, 2)]


def test_every_call_is_told_at_once_also_the_refused_ones(tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []
    keeper = Keeper(Memory(), tell=lambda kind, body: told.append((kind, dict(body))))
    with serving(Server(["prose", "good"])) as server:
        Kept(model(server, tmp_path, keep=keeper.keep), keeper).ask("q", shape=SHAPE, purpose="test")
    assert [kind for kind, _ in told].count("model_paid") == 2 == len(server.seen)
    keys = [body["key"] for kind, body in told if kind == "model_answered"]
    assert len(keys) == len(set(keys)) and all(keeper.blobs.has(b["blob"]) for _, b in told)

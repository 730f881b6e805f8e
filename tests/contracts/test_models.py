"""One suite for every model behind ports.Model: the scripted one, the two protocols over a real local server, and the kept and recorded ones."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "models"))
from chatserver import GOOD, Memory, Server, serving

from sovereign import models, settings
from sovereign.errors import ModelFailed
from sovereign.models.accounting import Budget
from sovereign.models.kept import Keeper, Kept
from sovereign.models.scripted import Scripted
from sovereign.ports import Embedder, Model

SHAPE = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "score": {"type": "number"}},
    "required": ["answer", "score"],
    "additionalProperties": False,
}
KINDS = ("scripted", "ollama", "anthropic", "kept")


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "scripted":
        yield Scripted({"test": [GOOD, GOOD], "broken": [{"answer": 3}]})
        return
    with serving(Server(["anthropic" if request.param == "anthropic" else "good"])) as server:
        base = server.base.removesuffix("/v1") if request.param == "anthropic" else server.base
        name = "anthropic:x" if request.param == "anthropic" else "ollama:x"
        chosen = settings.load(tmp_path, model=name, model_base_url=base, model_key="k")
        built = models.build_model(chosen, budget=Budget(100), timeout_s=1.0, sleep=lambda _s: None)
        assert built is not None
        yield Kept(built, Keeper(Memory())) if request.param == "kept" else built


def test_satisfies_the_port(model: Any) -> None:
    assert isinstance(model, Model) and model.name


def test_an_answer_has_the_shape_that_was_asked_for(model: Any) -> None:
    assert model.ask("What is the answer?", shape=SHAPE, purpose="test") == GOOD


def test_the_same_question_gives_the_same_answer(model: Any) -> None:
    assert model.ask("q", shape=SHAPE, purpose="test") == model.ask("q", shape=SHAPE, purpose="test")


def test_an_impossible_shape_is_an_error_and_never_a_default(model: Any) -> None:
    impossible = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"], "additionalProperties": False}
    with pytest.raises(ModelFailed) as caught:
        model.ask("q", shape=impossible, purpose="broken")
    assert caught.value.kind == "bad_shape"


def test_a_stream_is_text_or_a_failure(model: Any) -> None:
    async def run() -> str:
        return "".join([piece async for piece in model.stream("q", purpose="test")])

    try:
        assert asyncio.run(run())
    except ModelFailed as exc:  # this server speaks no Anthropic stream: cut off, not empty
        assert exc.kind == "unreachable"


def test_the_http_embedder_satisfies_its_port(tmp_path: Path) -> None:
    built = models.build_embedder(settings.load(tmp_path), "vllm:any#8")
    assert isinstance(built, Embedder) and built.dimension == 8

"""Embedders over HTTP. Guards against vectors that land beside the wrong text, mixed dimensions, and the wrong input type for queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chatserver import Server, serving

from sovereign import models, settings
from sovereign.errors import ModelFailed, SettingsInvalid


def embedder(server: Server, tmp_path: Path, name: str, **options: Any) -> Any:
    chosen = settings.load(tmp_path, model_base_url=server.base, model_key="k")
    return models.build_embedder(chosen, name, timeout_s=0.5, sleep=lambda _s: None, **options)


def test_nim_tells_queries_from_passages_and_cuts_at_the_end(tmp_path: Path) -> None:
    with serving(Server(["embeddings"], dimension=1024)) as server:
        chosen = embedder(server, tmp_path, "nim:")
        assert (chosen.dimension, chosen.name) == (1024, "nim:nvidia/nv-embedqa-e5-v5/1024")
        rows = chosen.embed(["a", "", "ccc"], kind="passage")
        chosen.embed(["q"], kind="query")
    assert rows.shape == (3, 1024) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 0, 1], atol=1e-6)
    assert [b["input_type"] for b in server.seen] == ["passage", "query"]
    assert server.seen[0]["truncate"] == "END" and server.seen[0]["input"] == ["a", "ccc"]


def test_batches_keep_every_text_with_its_own_vector(tmp_path: Path) -> None:
    """The server answers in reverse order, and three batches are needed; the first number of each vector grows with its text's length."""
    texts = ["x" * n for n in range(1, 151)]
    with serving(Server(["embeddings"])) as server:
        rows = embedder(server, tmp_path, "vllm:any#8").embed(texts, kind="passage")
        assert [len(b["input"]) for b in server.seen] == [64, 64, 22] and "input_type" not in server.seen[0]
    expected = np.array([[n] + [1.0] * 7 for n in range(1, 151)], dtype=np.float32)
    assert np.allclose(rows, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("plan", "kind"), [("short_embeddings", "bad_shape"), ("odd", "bad_shape"), ("500", "unreachable"), ("silence", "timeout")]
)
def test_a_wrong_answer_is_an_error_and_never_a_vector(plan: str, kind: str, tmp_path: Path) -> None:
    with serving(Server([plan], silence_s=1.0)) as server, pytest.raises(ModelFailed) as caught:
        embedder(server, tmp_path, "vllm:any#8").embed(["a", "b"], kind="passage")
    assert caught.value.kind == kind


def test_another_dimension_than_the_declared_one_is_refused(tmp_path: Path) -> None:
    with serving(Server(["embeddings"], dimension=16)) as server, pytest.raises(ModelFailed, match="8 dimensions"):
        embedder(server, tmp_path, "vllm:any#8").embed(["a"], kind="query")


@pytest.mark.parametrize("name", ["vllm:any", "vllm:any#wide", "anthropic:x", "ollama:"])
def test_a_name_without_a_dimension_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid):
        models.build_embedder(settings.load(tmp_path), name)


def test_no_name_means_the_librarys_own_embedder(tmp_path: Path) -> None:
    assert models.build_embedder(settings.load(tmp_path), "") is None

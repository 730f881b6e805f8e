"""The index grows without starting again: no refit below its factor, and the vector graph on disk is extended, mapped and trusted only when it fits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.store.test_store import _paper

from sovereign.models.embedding import LatentEmbedder
from sovereign.store import index as module
from sovereign.store.index import GRAPH, LibraryIndex
from sovereign.store.workspace import Workspace
from sovereign.wiring import SystemClock


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    held = Workspace(tmp_path, SystemClock(0))
    held.library.add([_paper(n) for n in range(1, 40)])
    yield held
    held.close()


def _index(ws: Workspace) -> LibraryIndex:
    return LibraryIndex(ws.library, ws.home / "index", fit=LatentEmbedder.fit, load=LatentEmbedder.from_bytes)


def _meta(ws: Workspace) -> dict[str, object]:
    return dict(json.loads((ws.home / "index" / "meta.json").read_text()))


def test_adding_one_document_does_not_build_everything_again(ws: Workspace) -> None:
    """Guards a comparison of passages with documents: one document has several passages, and every addition looked like a doubling."""
    index = _index(ws)
    index.catch_up()
    generation = _meta(ws)["generation"]
    for n in range(40, 50):
        ws.library.add([_paper(n)])
        index.catch_up()
    assert _meta(ws)["generation"] == generation
    ws.library.add([_paper(n) for n in range(50, 120)])
    index.catch_up()
    assert _meta(ws)["generation"] != generation, "the embedder was not fitted again although the library has doubled"


def test_the_graph_on_disk_finds_what_exact_search_finds(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "method number 17 latency"
    exact = _index(ws).search(query, 1)[0][0]
    monkeypatch.setattr(module, "HNSW_ABOVE", 10)
    _index(ws).rebuild()
    ws.library.add([_paper(n) for n in range(40, 44)])
    index = _index(ws)
    assert index.search(query, 1)[0][0] == exact
    meta = _meta(ws)
    graph = ws.home / "index" / str(meta["generation"]) / GRAPH
    assert graph.is_file() and len(index._open()[2]) == meta["rows"] and len(list(graph.parent.glob("seg*.npy"))) == 2
    graph.unlink()
    assert _index(ws).search(query, 1)[0][0] == exact, "a missing graph is built in memory"


def test_a_graph_of_an_interrupted_build_is_not_trusted(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HNSW_ABOVE", 10)
    index = _index(ws)
    index.catch_up()
    before = (ws.home / "index" / "meta.json").read_text()
    ws.library.add([_paper(n) for n in range(40, 44)])
    index.catch_up()
    (ws.home / "index" / "meta.json").write_text(before)  # as if killed between the graph and the mark
    again = _index(ws)
    assert again.search("method number 42", 1)
    assert len(again._open()[2]) == _meta(ws)["rows"]

"""The index is a derived thing: always rebuildable, never mixed, right after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.unit.store.test_store import _paper

from sovereign.errors import WorkspaceUnusable
from sovereign.models.embedding import LatentEmbedder
from sovereign.store.index import LibraryIndex
from sovereign.store.workspace import Workspace
from sovereign.wiring import SystemClock


def _index(ws: Workspace) -> LibraryIndex:
    return LibraryIndex(ws.library, ws.home / "index", fit=LatentEmbedder.fit, load=LatentEmbedder.from_bytes)


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    held = Workspace(tmp_path, SystemClock(0))
    held.library.add([_paper(n) for n in range(1, 30)])
    yield held
    held.close()


def test_the_right_passage_comes_first_and_scores_fall(ws: Workspace) -> None:
    found = _index(ws).search("method number 17 latency", 5)
    assert found[0][0] == "arxiv:2501.00017"
    assert "17" in found[0][1].text
    assert [s for *_, s in found] == sorted((s for *_, s in found), reverse=True)
    assert all(0 < s <= 1 for *_, s in found)


def test_query_operators_in_a_question_are_words(ws: Workspace) -> None:
    for hostile in ('title:"x" AND (', "NOT routing", "a" * 5000, "latency^9 ~2 [1 TO 5}", "", "???"):
        _index(ws).search(hostile, 3)


def test_what_is_added_later_is_found_and_a_rebuild_finds_the_same(ws: Workspace) -> None:
    index = _index(ws)
    index.catch_up()
    ws.library.add([_paper(99, "Zebra caches for giraffes")])
    assert index.search("zebra giraffes", 1)[0][0] == "arxiv:2501.00099"
    before = [(p, x.start, round(s, 6)) for p, x, s in index.search("routing method 7", 10)]
    index.rebuild()
    after = [(p, x.start, round(s, 6)) for p, x, s in index.search("routing method 7", 10)]
    assert [b[:2] for b in before][:1] == [a[:2] for a in after][:1]


def test_an_interrupted_build_is_done_again_without_double_rows(ws: Workspace) -> None:
    index = _index(ws)
    index.catch_up()
    meta = json.loads((ws.home / "index" / "meta.json").read_text())
    ws.library.add([_paper(n) for n in range(40, 45)])
    index.catch_up()
    (ws.home / "index" / "meta.json").write_text(json.dumps(meta))  # as if killed just before meta.json was replaced
    fresh = _index(ws)
    hits = [p for p, *_ in fresh.search("method number 42 latency", 20)]
    assert hits[0] == "arxiv:2501.00042"
    rows = json.loads((ws.home / "index" / "meta.json").read_text())["rows"]
    assert rows == sum(len(ws.library.document(d).passages) for _, d, _ in ws.library.changes_since(-1))
    assert len(hits) == len(set(hits)) or hits.count("arxiv:2501.00042") == 1


def test_vectors_of_another_embedder_are_refused(ws: Workspace) -> None:
    index = _index(ws)
    index.catch_up()
    meta_file = ws.home / "index" / "meta.json"
    meta = json.loads(meta_file.read_text()) | {"embedder": "somebody-else/1"}
    meta_file.write_text(json.dumps(meta))
    with pytest.raises(WorkspaceUnusable, match="mixes embedders"):
        _index(ws).search("routing", 3)


class _Adverse:
    """An embedder whose vectors say nothing of the text: every passage gets a vector of its own place."""

    name, dimension, made = "adverse/1", 64, 0

    @classmethod
    def fit(cls, texts: list[str]) -> _Adverse:
        return cls()

    @classmethod
    def from_bytes(cls, body: bytes) -> _Adverse:
        return cls()

    def to_bytes(self) -> bytes:
        return b""

    def embed(self, texts: list[str], *, kind: str) -> np.ndarray:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        rows[np.arange(len(texts)), 0 if kind == "query" else np.arange(len(texts)) % self.dimension] = 1.0
        return rows


def test_weak_vectors_do_not_push_the_keyword_hit_down(ws: Workspace) -> None:
    """Guards fusion by rank, where the first of a meaningless list counted as much as the first of the good one."""
    index = LibraryIndex(ws.library, ws.home / "adverse", fit=_Adverse.fit, load=_Adverse.from_bytes)
    found = index.search("method number 17 latency", 5)
    assert found[0][0] == "arxiv:2501.00017"
    index.share = 0.0
    assert [f[0] for f in index.search("method number 17 latency", 1)] == ["arxiv:2501.00017"]
    index.share = 1.0
    assert index.search("method number 17 latency", 1)[0][0] != "arxiv:2501.00017"


def test_an_index_of_an_older_format_is_built_again(ws: Workspace) -> None:
    index = _index(ws)
    before = index.search("method number 17 latency", 3)
    meta_file = ws.home / "index" / "meta.json"
    old = json.loads(meta_file.read_text())
    meta_file.write_text(json.dumps(old | {"format": 2}))
    after = _index(ws).search("method number 17 latency", 3)
    new = json.loads(meta_file.read_text())
    assert [a[0] for a in after] == [b[0] for b in before]
    assert new["generation"] != old["generation"] and new["format"] > 2


def test_an_empty_library_answers_nothing(tmp_path: Path) -> None:
    held = Workspace(tmp_path, SystemClock(0))
    assert _index(held).search("anything", 5) == []
    assert _index(held).titled("anything", 5) == []
    held.close()


def test_the_embedder_is_the_same_after_storing_and_is_deterministic() -> None:
    texts = [f"expert caching lowers latency in model {n} by offloading" for n in range(40)] + ["rye bread and sourdough"] * 3
    a, b = LatentEmbedder.fit(texts), LatentEmbedder.fit(texts)
    assert a.name == b.name
    back = LatentEmbedder.from_bytes(a.to_bytes())
    assert back.name == a.name
    assert (back.embed(texts[:3], kind="query") == a.embed(texts[:3], kind="query")).all()

"""The contract of ports.Source, over every live source by name: an outage is Failed, absence is Empty, and neither passes for the other.

A new source is covered by being registered; its base address must be in source_fakes.BASES.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "sources"))

from faultserver import FAULTS, LITERATURE, FaultServer
from source_fakes import BASES, FakeTime, ask, settings_for

from sovereign import seal, sources
from sovereign.ports import Source
from sovereign.records import Empty, Failed, Found, Paper

pytestmark = pytest.mark.parametrize("name", sources.NAMES)
CLASSES = {s.name: s for s in (sources.Arxiv, sources.SemanticScholar, sources.OpenAlex, sources.Crossref, sources.DataCite)}


def built(server: FaultServer, home: Path, *names: str, **overrides: Any) -> list[Any]:
    time = FakeTime()
    settings = settings_for(home, server.url, **overrides)
    return list(sources.build(names, settings, state_dir=home / "state", clock=time.clock, sleep=time.sleep))


def test_it_is_a_source_under_its_own_name(tmp_path: Path, name: str) -> None:
    with FaultServer() as server:
        (source,) = built(server, tmp_path, name)
    assert isinstance(source, Source) and source.name == name and name in BASES


def test_found_papers_are_whole_once_and_at_most_as_many_as_asked(tmp_path: Path, name: str) -> None:
    with FaultServer() as server:
        (source,) = built(server, tmp_path, name)
        outcome = ask(source, limit=5)
        everything = ask(source, "another", limit=50)
    assert isinstance(outcome, Found) and len(outcome.papers) == 5 and outcome.total == len(LITERATURE)
    assert isinstance(everything, Found) and len({p.paper_id for p in everything.papers}) == len(everything.papers) == len(LITERATURE)
    for found, work in zip(outcome.papers, LITERATURE, strict=False):
        assert found.title == work.title and found.authors == work.authors and found.year == work.year and found.abstract == work.abstract
        assert {n for _, n in found.provenance} == {name} and {f for f, _ in found.provenance} >= {"title", "authors", "year", "abstract"}
        assert seal.revive(Paper, seal.canonical(found)) == found, "what crosses stations must be storable"


def test_nothing_found_is_empty(tmp_path: Path, name: str) -> None:
    with FaultServer(works=()) as server:
        assert ask(built(server, tmp_path, name)[0]) == Empty()


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_raises_and_none_reads_as_absence(tmp_path: Path, name: str, fault: str) -> None:
    for works in (LITERATURE, ()):  # a broken answer over an empty literature is broken all the same
        if fault == "drift" and not works:
            continue  # an empty page whose container was renamed: covered with entries
        with FaultServer(faults=lambda path: fault, works=works, slow_s=0.3) as server:
            outcome = ask(built(server, tmp_path / str(len(works)), name, http_timeout_s=0.15)[0])
        assert isinstance(outcome, Failed) and outcome.reason and outcome.failure, (fault, outcome)


def test_an_empty_query_is_refused_without_asking(tmp_path: Path, name: str) -> None:
    with FaultServer() as server:
        source = built(server, tmp_path, name)[0]
        for text in ("", "  ", '"\u2014"'):
            assert isinstance(ask(source, text), Failed)
        assert isinstance(ask(source, "moe", limit=0), Failed) and server.seen == []


def test_odd_queries_are_asked_and_answered(tmp_path: Path, name: str) -> None:
    """Quotes, operators and non-Latin text must neither break the address nor raise."""
    with FaultServer() as server:
        source = built(server, tmp_path, name)[0]
        for text in ('"mixture of experts" routing', "a:b,c|d (e) AND OR NOT \\ &x=1#f", "混合专家", "x" * 3000, "top-k gating @ 50%"):
            for exact in (False, True):
                assert not isinstance(ask(source, text, exact=exact), Failed), (text, server.seen[-1].path)
        assert all("&x=1" not in s.path and "#" not in s.path for s in server.seen)


def test_a_wrong_total_is_not_believed(tmp_path: Path, name: str) -> None:
    """total below what came: unknown. Results announced and none sent: broken, not empty."""
    with FaultServer() as server:
        handle = server._send

        def fewer(request: Any, status: int, content_type: str, body: bytes, headers: Any = None) -> None:
            for old in (b'"count": 7', b'"total": 7', b'"total-results": 7'):
                body = body.replace(old, old[:-1] + b"2")
            handle(request, status, content_type, body.replace(b"totalResults>7<", b"totalResults>2<"), headers)

        server._send = fewer  # type: ignore[method-assign]
        outcome = ask(built(server, tmp_path / "a", name)[0])
        assert isinstance(outcome, Found) and len(outcome.papers) == 7 and outcome.total is None

        def none_sent(request: Any, status: int, content_type: str, body: bytes, headers: Any = None) -> None:
            for old in (b'"count": 0', b'"total": 0', b'"total-results": 0'):
                body = body.replace(old, old[:-1] + b"9")
            handle(request, status, content_type, body.replace(b"totalResults>0<", b"totalResults>9<"), headers)

        server.works, server._send = (), none_sent  # type: ignore[method-assign]
        broken = ask(built(server, tmp_path / "b", name)[0])
        assert isinstance(broken, Failed) and broken.failure == "bad_body"


def test_a_page_that_comes_again_ends_the_search(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards: paging for ever over a service that ignores the offset."""
    import faultserver

    monkeypatch.setattr(CLASSES[name], "page_size", 4)
    honest = faultserver.answer
    monkeypatch.setattr(
        faultserver,
        "answer",
        lambda path, query, works: honest(
            path, {k: v for k, v in query.items() if k not in ("start", "offset", "page", "page[number]")}, works
        ),
    )
    with FaultServer() as server:
        outcome = ask(built(server, tmp_path, name)[0], limit=200)
        assert isinstance(outcome, Found) and len(outcome.papers) == 4 and len(server.seen) == 2


def test_pages_are_joined(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLASSES[name], "page_size", 3)
    with FaultServer() as server:
        outcome = ask(built(server, tmp_path, name)[0], limit=7)
    assert isinstance(outcome, Found) and [p.title for p in outcome.papers] == [w.title for w in LITERATURE]


def test_entries_lose_broken_fields_one_by_one(tmp_path: Path, name: str) -> None:
    """Schema drift in one field costs that field, not the paper and not the page."""
    with FaultServer() as server:
        send = server._send

        def drifted(request: Any, status: int, content_type: str, body: bytes, headers: Any = None) -> None:
            for old, new in (
                (b'"authors": [', b'"authors": 7, "old": ['),
                (b'"creators": [', b'"creators": "nobody", "old": ['),
                (b'"authorships": [', b'"authorships": {}, "old": ['),
                (b'"author": [', b'"author": null, "old": ['),
                (b"<author>", b"<creator>"),
                (b"</author>", b"</creator>"),
                (b'"year": 20', b'"year": "about 20"//'[:-2] + b', "was": 20'),
                (b'"publication_year": ', b'"publication_year": true, "was": '),
            ):
                body = body.replace(old, new)
            send(request, status, content_type, body, headers)

        server._send = drifted  # type: ignore[method-assign]
        outcome = ask(built(server, tmp_path, name)[0])
    assert isinstance(outcome, Found) and [p.title for p in outcome.papers] == [w.title for w in LITERATURE]
    assert all(p.authors == () for p in outcome.papers)

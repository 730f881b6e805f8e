"""Lookups, neighbours, flags and full text: what is asked where, and what an answer means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from faultserver import LITERATURE, FaultServer, Work, arxiv_feed, crossref_work, datacite_work, openalex_work, s2_paper
from source_fakes import FakeTime, answering, settings_for

from sovereign import sources
from sovereign.records import Empty, Failed, Found, Paper, Query

WORK = LITERATURE[0]
PAPER = Paper(f"arxiv:{WORK.arxiv_id}", WORK.title, WORK.authors, WORK.year, arxiv_id=WORK.arxiv_id, doi="10.5555/invented.1")


def services(
    home: Path, respond: Callable[[httpx.Request], httpx.Response], **overrides: Any
) -> tuple[sources.Services, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def recording(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return respond(request)

    time = FakeTime()
    settings = settings_for(home, **overrides)
    return sources.services(settings, transport=answering(recording), state_dir=home, clock=time.clock, sleep=time.sleep), seen


def test_an_arxiv_id_is_looked_up_at_arxiv_with_its_version(tmp_path: Path) -> None:
    everything, seen = services(tmp_path, lambda r: httpx.Response(200, content=arxiv_feed([WORK], 1)))
    outcome = asyncio.run(everything.lookup(f"https://arxiv.org/abs/{WORK.arxiv_id}v2"))
    assert isinstance(outcome, Found) and outcome.papers[0].paper_id == PAPER.paper_id
    assert seen[0].url.params["id_list"] == f"{WORK.arxiv_id}v2"


NO_DOI = {"errors": [{"status": "404", "title": "The resource you are looking for doesn't exist."}]}  # DataCite


def test_a_doi_goes_to_openalex_then_to_crossref(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.openalex.org":
            return httpx.Response(404, text="<!doctype html><title>404 Not Found</title>")
        return httpx.Response(200, json={"status": "ok", "message-type": "work", "message": crossref_work(WORK)})

    everything, seen = services(tmp_path, respond)
    outcome = asyncio.run(everything.lookup("doi:10.5555/INVENTED.1"))
    assert isinstance(outcome, Found) and outcome.papers[0].doi == "10.5555/invented.1"
    assert [r.url.host for r in seen] == ["api.openalex.org", "api.crossref.org"] and seen[1].url.raw_path.endswith(b"10.5555%2Finvented.1")


@pytest.mark.parametrize(
    ("openalex", "crossref", "datacite", "kind"),
    [(404, 404, 404, Empty), (503, 404, 404, Failed), (404, 503, 404, Failed), (404, 404, 503, Failed), (503, 503, 503, Failed)],
)
def test_a_doi_is_absent_only_when_every_registry_says_so(tmp_path: Path, openalex: int, crossref: int, datacite: int, kind: type) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if "datacite" in request.url.host:
            return httpx.Response(datacite, json=NO_DOI)
        return httpx.Response(openalex if "openalex" in request.url.host else crossref, text="no")

    everything, _ = services(tmp_path, respond)
    assert isinstance(asyncio.run(everything.lookup("10.5555/none")), kind)


def test_a_doi_that_crossref_does_not_hold_is_asked_at_datacite(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if "datacite" in request.url.host:
            body = datacite_work(WORK)
            body["attributes"] |= {"doi": "10.5281/ZENODO.17", "dates": [{"date": "2026-02-01", "dateType": "Withdrawn"}]}
            return httpx.Response(200, json={"data": body})
        return httpx.Response(404, text="no")

    everything, seen = services(tmp_path, respond)
    outcome = asyncio.run(everything.lookup("10.5281/zenodo.17"))
    assert isinstance(outcome, Found) and outcome.papers[0].paper_id == "doi:10.5281/zenodo.17"
    assert [r.url.host for r in seen] == ["api.openalex.org", "api.crossref.org", "api.datacite.org"]
    said = asyncio.run(everything.flags(outcome.papers[0]))
    assert said == sources.Flags(("withdrawn",), ("openalex", "crossref", "datacite"))


def test_a_404_that_is_not_datacites_own_is_no_absence(tmp_path: Path) -> None:
    """Guards: a wrong base address that reads as "no such DOI"."""
    everything, _ = services(tmp_path, lambda r: httpx.Response(404, json={"detail": "Not Found"}))
    assert isinstance(asyncio.run(everything.datacite.lookup("10.5281/zenodo.17")), Failed)


def test_what_is_no_identifier_is_refused_unasked(tmp_path: Path) -> None:
    everything, seen = services(tmp_path, lambda r: httpx.Response(500))
    assert isinstance(asyncio.run(everything.lookup("Attention is all you need")), Failed) and not seen


def graph(request: httpx.Request) -> httpx.Response:
    key = "citedPaper" if request.url.path.endswith("references") else "citingPaper"
    works = LITERATURE[1:3] if key == "citedPaper" else LITERATURE[2:5]
    rows: list[Any] = [{key: s2_paper(w)} for w in works] + [{key: {"paperId": None, "title": None}}]  # unresolved references are common
    return httpx.Response(200, json={"offset": 0, "data": rows})


def test_neighbours_are_references_and_citations_each_once(tmp_path: Path) -> None:
    everything, seen = services(tmp_path, graph)
    outcome = asyncio.run(everything.semantic_scholar.neighbours(PAPER.paper_id, 100))
    assert isinstance(outcome, Found) and [p.title for p in outcome.papers] == [w.title for w in LITERATURE[1:5]]
    assert f"/paper/ARXIV:{WORK.arxiv_id}/references" in seen[0].url.path


def test_neighbours_at_openalex_are_asked_by_its_own_ids_and_an_outage_is_named(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/works/"):
            return httpx.Response(200, json=openalex_work(WORK) | {"referenced_works": ["https://openalex.org/W1002"]})
        chosen = LITERATURE[1:2] if "openalex:" in request.url.params["filter"] else LITERATURE[3:4]
        return httpx.Response(200, json={"meta": {"count": 1}, "results": [openalex_work(w) for w in chosen]})

    everything, seen = services(tmp_path, respond)
    outcome = asyncio.run(everything.openalex.neighbours(PAPER.paper_id, 100))
    assert isinstance(outcome, Found) and [p.title for p in outcome.papers] == [LITERATURE[1].title, LITERATURE[3].title]
    assert {r.url.params.get("filter") for r in seen if r.url.path == "/works"} == {"openalex:W1002", "cites:W1001"}
    silent, _ = services(tmp_path / "silent", lambda r: httpx.Response(429))
    for source in (silent.semantic_scholar, silent.openalex):
        failed = asyncio.run(source.neighbours(PAPER.paper_id, 100))
        assert failed == Failed(f"{source.service.label} did not answer (429)", "rate_limited", None)


def flagged(openalex: dict[str, Any] | int, crossref: dict[str, Any] | int) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        said, body = (openalex, openalex_work(WORK)) if "openalex" in request.url.host else (crossref, crossref_work(WORK))
        if isinstance(said, int):
            return httpx.Response(said, text="no")
        whole = body | said
        return httpx.Response(200, json=whole if "openalex" in request.url.host else {"message-type": "work", "message": whole})

    return respond


@pytest.mark.parametrize(
    ("openalex", "crossref", "flags", "checked", "failed"),
    [
        ({}, {}, (), ("openalex", "crossref"), 0),
        ({"is_retracted": True}, {}, ("retracted",), ("openalex", "crossref"), 0),
        ({}, {"updated-by": [{"type": "retraction", "source": "retraction-watch"}]}, ("retracted",), ("openalex", "crossref"), 0),
        ({}, {"updated-by": [{"type": "correction"}]}, (), ("openalex", "crossref"), 0),
        ({}, {"updated-by": [{"type": "withdrawal"}, {"type": "new_version"}]}, ("superseded", "withdrawn"), ("openalex", "crossref"), 0),
        ({}, {"title": ["RETRACTED ARTICLE: Router entropy"]}, ("retracted",), ("openalex", "crossref"), 0),
        (404, {}, (), ("openalex", "crossref"), 0),
        (503, {}, (), ("crossref",), 1),
        (503, 503, (), (), 2),
    ],
)
def test_flags_say_who_was_asked_and_who_did_not_answer(
    tmp_path: Path, openalex: Any, crossref: Any, flags: tuple[str, ...], checked: tuple[str, ...], failed: int
) -> None:
    """Guards: "not retracted" from services that did not answer."""
    everything, _ = services(tmp_path, flagged(openalex, crossref))
    said = asyncio.run(everything.flags(PAPER))
    assert (said.flags, said.checked, len(said.failed)) == (flags, checked, failed)


def became(home: Path, works: tuple[Work, ...], papers: list[Paper], down: str = "/none") -> dict[tuple[str, str], Any]:
    """(paper id, service) -> flags, or None for absence, or the outage."""
    with FaultServer(works=works, faults=lambda path: "503" if path.startswith(down) else None) as server:
        time = FakeTime()
        everything = sources.services(settings_for(home, server.url), state_dir=home, clock=time.clock, sleep=time.sleep)
        said = asyncio.run(everything.became(papers))
    assert len([s for s in server.seen if s.path.startswith("/arxiv")]) <= 3, "arXiv is asked once for all of its papers"
    return {(p, s): o.papers[0].flags if isinstance(o, Found) else None if isinstance(o, Empty) else o for p, s, o in said}


def test_what_became_of_papers_is_asked_where_it_is_known(tmp_path: Path) -> None:
    gone, fine = replace(LITERATURE[0], retracted=True, published=True), replace(LITERATURE[1], withdrawn=True)
    papers = [
        Paper(f"doi:{gone.doi}", gone.title, doi=gone.doi),
        Paper(f"arxiv:{fine.arxiv_id}", fine.title),
        Paper(f"arxiv:{LITERATURE[2].arxiv_id}", "found nowhere"),
        Paper("title:nobody", "without an identifier"),
    ]
    third = papers[2].paper_id
    assert became(tmp_path / "calm", (gone, fine), papers) == {
        (papers[0].paper_id, "openalex"): (),
        (papers[0].paper_id, "crossref"): ("retracted",),
        (papers[1].paper_id, "openalex"): (),
        (papers[1].paper_id, "datacite"): (),
        (papers[1].paper_id, "arxiv"): ("withdrawn",),
        (third, "openalex"): None,
        (third, "datacite"): None,
        (third, "arxiv"): None,
    }
    silent = became(tmp_path / "storm", (gone, fine), papers, down="/arxiv")
    assert silent[papers[1].paper_id, "arxiv"] == Failed("arXiv did not answer (503)", "server_error") == silent[third, "arxiv"]
    assert silent[papers[1].paper_id, "datacite"] == ()


def test_requests_made_together_share_their_connections_and_close_them(tmp_path: Path) -> None:
    """Eight requests over two event loops: one connection each, or one per loop. An open one would be a ResourceWarning, hence an error here."""

    def connections(home: Path, shared: bool) -> int:
        with FaultServer() as server:
            time = FakeTime()
            held = sources.services(settings_for(home, server.url), state_dir=home, clock=time.clock, sleep=time.sleep)

            async def several() -> None:
                async with held.http.together() if shared else nullcontext():
                    for text in ("one", "two", "three", "four"):
                        assert isinstance(await held.openalex.search(Query("test", text), 5), Found)

            asyncio.run(several())
            asyncio.run(several())  # another event loop: nothing of the first may be left
        return len({s.client for s in server.seen})

    assert connections(tmp_path / "a", shared=False) == 8 and connections(tmp_path / "b", shared=True) == 2


# --- full text ---


def bodies(everything: sources.Services, paper: Paper) -> list[Any]:
    async def collect() -> list[Any]:
        return [b async for b in everything.fetch_full_text(paper)]

    return asyncio.run(collect())


def test_full_text_comes_in_the_order_html_source_pdf(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if "/html/" in request.url.path:
            return httpx.Response(404, text="No HTML for this paper")
        if "/e-print/" in request.url.path:
            return httpx.Response(200, content=b"\x1f\x8b\x08\x00" + b"0" * 40, headers={"content-type": "text/plain"})  # a lying type
        return httpx.Response(200, content=b"%PDF-1.7 ...", headers={"content-type": "text/html"})

    kept: list[tuple[str, bytes]] = []
    time = FakeTime()
    everything = sources.services(
        settings_for(tmp_path),
        transport=answering(respond),
        state_dir=tmp_path,
        keep=lambda u, b: kept.append((u, b)),
        clock=time.clock,
        sleep=time.sleep,
    )
    paper = Paper("arxiv:2410.17954", "T", arxiv_id="2410.17954", version=2, full_text_urls=("https://evil.example/x.pdf",))
    html, source, pdf, other = bodies(everything, paper)
    assert isinstance(html, sources.Missed) and "404" in html.outcome.reason and html.url == "https://arxiv.org/html/2410.17954v2"
    assert source.filename.endswith(".tar.gz") and source.body[:2] == b"\x1f\x8b" and pdf.filename.endswith(".pdf")
    assert isinstance(other, sources.Missed) and "not an allowed host" in other.outcome.reason
    assert [u for u, _ in kept] == [source.url, pdf.url]
    assert sum(time.slept) >= 6, "arXiv's three seconds count for full texts too"


def test_full_texts_are_asked_for_after_the_query_interface_gave_out(tmp_path: Path) -> None:
    """Guards: arXiv's search over its limit, and every paper read as an abstract for it. The three seconds between requests hold all the same."""

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.host == "export.arxiv.org":
            return httpx.Response(429)
        return httpx.Response(200, text="<html><body>Paper</body></html>")

    everything, seen = services(tmp_path, respond)
    assert isinstance(asyncio.run(everything.arxiv.search(Query("test", "x"), 5)), Failed)
    asked = len(seen)
    html, source, pdf, *_ = bodies(everything, PAPER)
    assert isinstance(html, sources.Fetched) and isinstance(pdf, sources.Fetched)
    assert isinstance(source, sources.Missed), "e-prints lie at the host that gave out"
    assert [r.url.host for r in seen[asked:]] == ["arxiv.org", "arxiv.org"]


def test_a_caller_who_has_read_one_body_costs_no_more_requests(tmp_path: Path) -> None:
    everything, seen = services(tmp_path, lambda r: httpx.Response(200, text="<html><body>Paper</body></html>"))

    async def first() -> Any:
        async for body in everything.fetch_full_text(PAPER):
            return body
        return None

    body = asyncio.run(first())
    assert isinstance(body, sources.Fetched) and body.filename.endswith(".html") and len(seen) == 1


def test_a_document_over_the_limit_is_missed(tmp_path: Path) -> None:
    everything, _ = services(tmp_path, lambda r: httpx.Response(200, content=b"x" * (2**20 + 1)), max_document_mib=1)
    assert all(isinstance(b, sources.Missed) and "too large" in b.outcome.reason for b in bodies(everything, PAPER))


def test_file_names_cannot_leave_a_folder(tmp_path: Path) -> None:
    for url in (
        "https://arxiv.org/pdf/../../etc/passwd",
        "https://zenodo.org/a/%2e%2e/%2fb.pdf",
        "https://zenodo.org/",
        "https://zenodo.org/" + "a" * 500,
    ):
        name = sources.full_text.filename(url)
        assert "/" not in name and not name.startswith(".") and 0 < len(name) < 140, name


def test_batch_leaves_out_what_the_service_does_not_know(tmp_path: Path) -> None:
    everything, seen = services(tmp_path, lambda r: httpx.Response(200, json=[s2_paper(WORK), None]))
    outcome = asyncio.run(everything.semantic_scholar.batch(["arxiv:2305.00001", "doi:10.1/x"]))
    assert isinstance(outcome, Found) and len(outcome.papers) == 1
    assert seen[0].method == "POST" and json.loads(seen[0].content) == {"ids": ["ARXIV:2305.00001", "DOI:10.1/x"]}

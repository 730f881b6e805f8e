"""Recorded and hand-written responses, replayed through the real clients: what the services really send becomes papers, absence or a refusal.

Two sets: the files beside this one, always; the recordings in ../shared/data/api_fixtures, when that folder is there.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sovereign import settings as settings_module
from sovereign import sources
from sovereign.identity import merge, normalise_title
from sovereign.records import Empty, Failed, Found, Query

HERE = Path(__file__).resolve().parent
SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "api_fixtures"
FILES = {
    "arxiv": "arxiv.xml",
    "openalex": "openalex.json",
    "semantic_scholar": "semantic_scholar.json",
    "crossref": "crossref.json",
    "datacite": "datacite.json",
}


async def at_once(seconds: float) -> None:
    return None


def services(home: Path, status: int, body: bytes) -> sources.Services:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    return sources.services(settings_module.load(home, offline=False), transport=transport, state_dir=home, sleep=at_once)


def test_the_five_formats_make_the_same_two_papers(tmp_path: Path) -> None:
    pairs = []
    for name, file in FILES.items():
        everything = services(tmp_path / name, 200, (HERE / file).read_bytes())
        outcome = asyncio.run(everything.source(name).search(Query("test", "attention"), 20))
        assert isinstance(outcome, Found), (name, outcome)
        pairs += [(name, p) for p in outcome.papers]
    works = {paper.paper_id: (paper, where) for paper, where in merge(pairs)}
    assert set(works) == {"arxiv:1706.03762", "arxiv:2101.03961", "doi:10.5555/retracted.1", "doi:10.5555/invented.zenodo.2"}
    paper, where = works["arxiv:1706.03762"]
    assert where == ("arxiv", "datacite", "openalex", "semantic_scholar")
    assert (paper.title, paper.version, paper.year, len(paper.authors), paper.flags) == ("Attention Is All You Need", 7, 2017, 8, ())
    assert paper.abstract == "(Abstract left out of this file on purpose; a line break and blanks stay for the parser.)"
    assert dict(paper.provenance)["abstract"] == "arxiv" and dict(paper.provenance)["references"] == "openalex"
    second, where = works["arxiv:2101.03961"]
    assert where == ("arxiv", "openalex", "semantic_scholar"), "OpenAlex has no identifier for it: title, author and year must join it"
    assert second.venue == "JMLR 23 (2022)" and second.categories[0] == "cs.LG"
    assert works["doi:10.5555/retracted.1"][0].flags == ("retracted",), "the notice is no source; the retracted work carries the flag"
    deposit, _ = works["doi:10.5555/invented.zenodo.2"]
    assert (
        deposit.flags == ("superseded", "withdrawn") and deposit.title == "An invented deposit" and deposit.venue == "Invented Repository"
    )
    assert deposit.authors == ("Ada Author", "Invented Consortium") and deposit.published == "2021-03-04" and deposit.year == 2021


# --- recordings ---


class Exchange(NamedTuple):
    where: str
    method: str
    url: str
    status: int
    body: bytes
    request: str


def _body(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def exchanges() -> list[Exchange]:
    """Every recorded exchange with one of our four services."""
    found = []
    for path in sorted(SHARED.rglob("*.jsonl")):
        for number, line in enumerate([row for row in path.read_text("utf-8").split("\n") if row]):
            row = json.loads(line)
            found.append(
                Exchange(f"{path.stem}:{number}", row["method"], row["uri"], row["status"], _body(row["body"]), row["request_body"] or "")
            )
    for path in sorted(SHARED.rglob("*.json")):
        row = json.loads(path.read_text("utf-8"))
        if isinstance(row, dict) and {"url", "status_code", "body"} <= set(row):
            found.append(Exchange(path.stem, "GET", row["url"], row["status_code"], _body(row["body"]), ""))
    bare = {
        "arxiv/zhangyee_fastpaper-cli/arxiv_search.xml": "https://export.arxiv.org/api/query?search_query=all:attention",
        "openalex/zhangyee_fastpaper-cli/openalex_search.json": "https://api.openalex.org/works?search=attention",
        "openalex/mmgeorge_papers/work.json": "https://api.openalex.org/works/W2741809807",
        "semantic_scholar/zhangyee_fastpaper-cli/semantic_search.json": "https://api.semanticscholar.org/graph/v1/paper/search?query=attention",
        "semantic_scholar/zhangyee_fastpaper-cli/semantic_citations.json": "https://api.semanticscholar.org/graph/v1/paper/X/citations",
        "semantic_scholar/zhangyee_fastpaper-cli/semantic_references.json": "https://api.semanticscholar.org/graph/v1/paper/X/references",
        "other/zhangyee_fastpaper-cli/crossref_search.json": "https://api.crossref.org/works?query=attention",
    }
    found += [Exchange(name, "GET", url, 200, (SHARED / name).read_bytes(), "") for name, url in bare.items() if (SHARED / name).is_file()]
    return found


def titles(exchange: Exchange) -> set[str] | None:
    """The titles in a body, read here without the parsers under test; None when it carries none at all (asked for other fields)."""
    if b"<feed" in exchange.body:
        from lxml import etree

        root = etree.fromstring(exchange.body)
        return {normalise_title("".join(t.itertext())) for t in root.iterfind(".//{*}entry/{*}title")}
    body = json.loads(exchange.body)
    rows: Any = body
    if isinstance(body, dict):
        message = body.get("message") if isinstance(body.get("message"), dict) else {}
        rows = body.get("data") or body.get("results") or message.get("items") or ([message] if message.get("DOI") else None) or [body]
    rows = [r.get("citedPaper") or r.get("citingPaper") or r for r in rows if isinstance(r, dict)]
    raw = [r.get("title") for r in rows]
    names = [t[0] if isinstance(t, list) and t else t for t in raw]
    return {normalise_title(t) for t in names if isinstance(t, str)} or None


async def replay(everything: sources.Services, exchange: Exchange) -> Any:
    """The call of ours that would have asked this, or None when nothing of ours asks such a thing."""
    parts = urlsplit(exchange.url)
    path, query = parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}
    if "arxiv.org" in parts.netloc:
        return await everything.arxiv.search(Query("test", "testing"), 200)
    if parts.netloc == "api.openalex.org" and path.startswith("/works"):
        return await (
            everything.openalex.search(Query("test", "x"), 100) if path == "/works" else everything.openalex.lookup("openalex:W1")
        )
    if parts.netloc == "api.crossref.org" and path.startswith("/works") and "transform" not in path:
        return await (everything.crossref.search(Query("test", "x"), 100) if path == "/works" else everything.crossref.lookup("10.1/x"))
    if parts.netloc == "api.semanticscholar.org" and "/graph/v1/paper/" in path:
        s2, tail = everything.semantic_scholar, path.rpartition("/")[2]
        if tail in ("search", "match"):
            return await s2.search(Query("test", query.get("query", "x"), exact=tail == "match"), 100)
        if tail == "batch":
            return await s2.batch(json.loads(exchange.request)["ids"])
        if tail in ("references", "citations"):
            return await s2._asked("/paper/X/" + tail, _linked(tail), [])
        if "/author" not in path and tail not in ("bulk", "autocomplete"):
            return await s2.lookup("s2:x")
    return None


def _linked(tail: str) -> Any:
    from sovereign.sources.semantic_scholar import _linked as linked

    return linked("citedPaper" if tail == "references" else "citingPaper")


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded responses in ../shared/data/api_fixtures")
def test_every_recorded_response_becomes_what_it_says(tmp_path: Path) -> None:
    """200 with titles: Found with the same titles. 404: Empty. 400: Failed. Nothing raises."""
    used: dict[str, int] = {}
    for number, exchange in enumerate(exchanges()):
        everything = services(tmp_path / str(number), exchange.status, exchange.body)
        outcome = asyncio.run(replay(everything, exchange))
        if outcome is None:
            continue
        if exchange.status == 404:
            assert isinstance(outcome, Empty), (exchange.where, outcome)
        elif exchange.status >= 400:
            assert isinstance(outcome, Failed) and outcome.failure == "refused", (exchange.where, outcome)
        elif (expected := titles(exchange)) is None:
            assert not isinstance(outcome, Found), (exchange.where, outcome)
        elif not expected:
            assert isinstance(outcome, Empty), (exchange.where, outcome)
        else:
            assert isinstance(outcome, Found), (exchange.where, exchange.url, outcome)
            got = {normalise_title(p.title) for p in outcome.papers}
            # Crossref subtitles are joined to their titles; entries of one work appear once
            assert all(any(g.startswith(e) for g in got) for e in expected), (exchange.where, expected - got)
            assert len(got) <= len(expected)
        used[type(outcome).__name__] = used.get(type(outcome).__name__, 0) + 1
    assert used.get("Found", 0) >= 120 and used.get("Empty", 0) >= 15 and used.get("Failed", 0) >= 1, used

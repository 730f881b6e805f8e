"""A server on 127.0.0.1 that speaks arXiv, Semantic Scholar, OpenAlex, Crossref and DataCite over a small fixed literature, and can misbehave.

The literature and its wording are invented here; the formats are the services' documented ones. `faults` is called once per request with its
path and says what goes wrong this time (None: nothing). Searches find everything that is not `hidden`; lookups, references and citations know all.
Used as a context manager; binds port 0.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

FAULTS = (
    "429", "429-after", "500", "503", "slow", "cut", "truncated", "html", "drift", "redirect-private", "giant", "not-xml-nor-json",
)  # fmt: skip


@dataclass(frozen=True)
class Work:
    number: int
    title: str
    authors: tuple[str, ...]
    year: int
    abstract: str
    body: str = ""  # of the full text, HTML
    cites: tuple[int, ...] = ()  # numbers of works
    published: bool = False  # arXiv knows its publisher's DOI
    hidden: bool = False  # found by no search
    retracted: bool = False  # as Crossref says it
    withdrawn: bool = False  # as arXiv says it

    @property
    def arxiv_id(self) -> str:
        return f"{self.year % 100:02d}05.{self.number:05d}"

    @property
    def doi(self) -> str:
        return f"10.5555/invented.{self.number}"


TOPICS = ("Router entropy", "Expert caching", "Token scheduling", "Soft gating", "Modality routing", "Sparse dispatch", "Budgeted experts")
LITERATURE = tuple(
    Work(
        n, f"{topic} in invented network {n}", (f"Ada Author{n}", f"Ben Writer{n}"), 2018 + n % 7, f"We measure {topic.lower()} {n} times."
    )
    for n, topic in enumerate(TOPICS, start=1)
)


def arxiv_feed(works: list[Work], total: int | None, start: int = 0) -> bytes:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/{w.arxiv_id}v{1 + w.number % 3}</id><title>{w.title}</title><updated>{w.year}-05-02T00:00:00Z</updated>"
        f"<published>{w.year}-05-01T00:00:00Z</published><summary>{w.abstract}</summary>"
        + "".join(f"<author><name>{a}</name></author>" for a in w.authors)
        + (f"<arxiv:doi>{w.doi}</arxiv:doi>" if w.published else "")
        + ("<arxiv:comment>This paper has been withdrawn by the authors</arxiv:comment>" if w.withdrawn else "")
        + '<category term="cs.LG"/></entry>'
        for w in works
    )
    said = "" if total is None else f"<opensearch:totalResults>{total}</opensearch:totalResults>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom">'
        f"<title>query</title>{said}<opensearch:startIndex>{start}</opensearch:startIndex>{entries}</feed>"
    ).encode()


def s2_paper(w: Work) -> dict[str, Any]:
    return {
        "paperId": f"{w.number:040x}",
        "externalIds": {"ArXiv": w.arxiv_id},
        "title": w.title,
        "abstract": w.abstract,
        "year": w.year,
        "venue": "",
        "authors": [{"authorId": "1", "name": a} for a in w.authors],
        "openAccessPdf": None,
        "fieldsOfStudy": ["Computer Science"],
    }


def openalex_work(w: Work) -> dict[str, Any]:
    words: dict[str, list[int]] = {}
    for i, word in enumerate(w.abstract.split()):
        words.setdefault(word, []).append(i)
    return {
        "id": f"https://openalex.org/W{1000 + w.number}",
        "doi": f"https://doi.org/10.48550/arxiv.{w.arxiv_id}",
        "title": w.title,
        "publication_year": w.year,
        "publication_date": f"{w.year}-05-01",
        "authorships": [{"author": {"display_name": a}} for a in w.authors],
        "abstract_inverted_index": words,
        "is_retracted": False,
        "primary_location": {"is_oa": True, "landing_page_url": f"http://arxiv.org/abs/{w.arxiv_id}", "source": {"display_name": "arXiv"}},
        "referenced_works": [f"https://openalex.org/W{1000 + n}" for n in w.cites],
    }


def crossref_work(w: Work) -> dict[str, Any]:
    return {
        "DOI": w.doi,
        "title": [w.title],
        "author": [{"given": a.split()[0], "family": a.split()[1]} for a in w.authors],
        "published": {"date-parts": [[w.year, 5, 1]]},
        "container-title": ["Journal of Invented Networks"],
        "abstract": f"<jats:p>{w.abstract}</jats:p>",
    } | ({"updated-by": [{"type": "retraction", "DOI": "10.5555/notice", "source": "retraction-watch"}]} if w.retracted else {})


def datacite_work(w: Work) -> dict[str, Any]:
    doi = f"10.48550/arxiv.{w.arxiv_id}"
    return {
        "id": doi,
        "type": "dois",
        "attributes": {
            "doi": doi,
            "creators": [
                {"name": ", ".join(reversed(a.split())), "givenName": a.split()[0], "familyName": a.split()[1]} for a in w.authors
            ],
            "titles": [{"title": w.title}],
            "publisher": "arXiv",
            "publicationYear": w.year,
            "subjects": [{"subject": "Machine Learning (cs.LG)"}],
            "dates": [{"date": f"{w.year}-05-01T00:00:00Z", "dateType": "Submitted"}, {"date": f"{w.year}-05", "dateType": "Available"}],
            "relatedIdentifiers": [],
            "descriptions": [{"description": w.abstract, "descriptionType": "Abstract"}],
            "state": "findable",
        },
    }


def full_text(w: Work) -> bytes:
    return f"<!doctype html><html><head><title>{w.title}</title></head><body><h1>{w.title}</h1>{w.body}</body></html>".encode()


def service_of(path: str) -> str:
    return next((s for s in ("arxiv", "s2", "openalex", "crossref", "datacite", "text") if path.startswith(f"/{s}/")), "other")


def answer(path: str, query: dict[str, str], works: tuple[Work, ...] = LITERATURE) -> tuple[int, str, bytes]:
    """(status, content type, body) of a healthy service."""
    kind, everything, works = service_of(path), works, tuple(w for w in works if not w.hidden)
    known = {n: w for w in everything for n in (f"arxiv:{w.arxiv_id}", f"10.48550/arxiv.{w.arxiv_id}", w.doi, f"W{1000 + w.number}")}
    if kind == "text":
        found = known.get(f"arxiv:{path.rpartition('/')[2].partition('v')[0]}")
        there = found is not None and found.body and path.startswith("/text/html/")
        return (200, "text/html", full_text(found)) if there and found else (404, "text/html", b"<html><body>No document</body></html>")
    if kind == "arxiv":
        if ids := query.get("id_list"):
            named = [known[f"arxiv:{i}"] for i in (x.partition("v")[0] for x in ids.split(",")) if f"arxiv:{i}" in known]
            return 200, "application/atom+xml", arxiv_feed(named, len(named))
        start, size = int(query.get("start", 0)), int(query.get("max_results", 10))
        return 200, "application/atom+xml", arxiv_feed(list(works[start : start + size]), len(works), start)
    if kind in ("openalex", "crossref", "datacite") and (name := _named(path)):
        return _one(kind, known.get(name))
    if kind == "s2" and (direction := path.rpartition("/")[2]) in ("references", "citations"):
        seed = known.get(unquote(path).split("/")[-2].lower())
        if seed is None:
            return 404, "application/json", b'{"error": "Paper not found"}'
        near = _neighbours(seed, everything, direction)
        key = "citedPaper" if direction == "references" else "citingPaper"
        return 200, "application/json", json.dumps({"offset": 0, "data": [{key: s2_paper(w)} for w in near]}).encode()
    if kind == "openalex" and (chosen := query.get("filter", "")).startswith(("cites:", "openalex:")):
        ids = chosen.partition(":")[2].split("|")
        near = [known[i] for i in ids if i in known]
        if chosen.startswith("cites:"):
            near = [c for w in near for c in _neighbours(w, everything, "citations")]
        return 200, "application/json", json.dumps({"meta": {"count": len(near)}, "results": [openalex_work(w) for w in near]}).encode()
    if kind == "s2":
        if path.endswith("/match"):
            return 200, "application/json", json.dumps({"data": [s2_paper(works[0]) | {"matchScore": 99.5}]}).encode()
        start, size = int(query.get("offset", 0)), int(query.get("limit", 10))
        rows = [s2_paper(w) for w in works[start : start + size]]
        return 200, "application/json", json.dumps({"total": len(works), "offset": start, "data": rows}).encode()
    if kind == "openalex":
        size = int(query.get("per_page", 25))
        start = (int(query.get("page", 1)) - 1) * size
        rows = [openalex_work(w) for w in works[start : start + size]]
        return 200, "application/json", json.dumps({"meta": {"count": len(works)}, "results": rows}).encode()
    if kind == "datacite":
        size = int(query.get("page[size]", 25))
        start = (int(query.get("page[number]", 1)) - 1) * size
        rows = [datacite_work(w) for w in works[start : start + size]]
        return 200, "application/vnd.api+json", json.dumps({"data": rows, "meta": {"total": len(works)}}).encode()
    start, size = int(query.get("offset", 0)), int(query.get("rows", 20))
    rows = [crossref_work(w) for w in works[start : start + size]]
    body = {"status": "ok", "message-type": "work-list", "message": {"total-results": len(works), "items": rows}}
    return 200, "application/json", json.dumps(body).encode()


def _named(path: str) -> str | None:
    """The identifier at the end of a lookup's address, in lower case (an OpenAlex id keeps its W)."""
    rest = unquote(path).split("/", 3)[3:] or [""]
    return rest[0].removeprefix("doi:").lower().replace("w1", "W1") or None


def _one(kind: str, work: Work | None) -> tuple[int, str, bytes]:
    if kind == "openalex":
        if work is None:
            return 404, "text/html", b"<!doctype html><title>404 Not Found</title>"
        return 200, "application/json", json.dumps(openalex_work(work)).encode()
    if kind == "crossref":
        if work is None:
            return 404, "text/plain", b"Resource not found."
        return 200, "application/json", json.dumps({"status": "ok", "message-type": "work", "message": crossref_work(work)}).encode()
    if work is None:
        missing = {"errors": [{"status": "404", "title": "The resource you are looking for doesn't exist."}]}
        return 404, "application/vnd.api+json", json.dumps(missing).encode()
    return 200, "application/vnd.api+json", json.dumps({"data": datacite_work(work)}).encode()


def _neighbours(work: Work, works: tuple[Work, ...], direction: str) -> list[Work]:
    if direction == "references":
        return [w for w in works if w.number in work.cites]
    return [w for w in works if work.number in w.cites]


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    at: float
    client: int  # port of the connection


@dataclass
class FaultServer:
    faults: Callable[[str], str | None] = lambda path: None
    works: tuple[Work, ...] = LITERATURE
    slow_s: float = 0.6
    delay_s: dict[str, float] = field(default_factory=dict)  # per service: an honest answer takes this long
    extra_headers: dict[str, dict[str, str]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> FaultServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.handle(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.handle(self)

            def log_message(self, format: str, *args: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # clients hang up on purpose here

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.seen.append(
            Seen(request.path, {k.lower(): v for k, v in request.headers.items()}, time.monotonic(), request.client_address[1])
        )
        fault = self.faults(parts.path)
        status, content_type, body = answer(parts.path, query, self.works)
        if delay := self.delay_s.get(service_of(parts.path), 0.0):
            time.sleep(delay)
        misbehave = getattr(self, "_" + (fault or "none").replace("-", "_"))
        misbehave(request, status, content_type, body)

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(status)
        request.send_header("content-type", content_type)
        request.send_header("content-length", str(len(body)))
        for name, value in ((headers or {}) | self.extra_headers.get(service_of(request.path), {})).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def _none(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, status, content_type, body)

    def _429(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 429, "application/json", b'{"message": "Too Many Requests"}')

    def _429_after(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 429, "application/json", b'{"message": "Too Many Requests"}', {"retry-after": "7"})

    def _500(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 500, "text/plain", b"Internal Server Error")

    def _503(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 503, "text/html", b"<html><body>Service Unavailable</body></html>")

    def _slow(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        """Drips: every single read succeeds in time, the whole never does."""
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        ends = time.monotonic() + self.slow_s
        for i in range(len(body)):
            if time.monotonic() > ends:
                break
            request.wfile.write(body[i : i + 1])
            request.wfile.flush()
            time.sleep(0.02)
        request.close_connection = True

    def _cut(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        request.send_response(200)
        request.send_header("content-type", content_type)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2])
        request.wfile.flush()
        request.close_connection = True

    def _truncated(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 200, content_type, body[: len(body) * 2 // 3])

    def _html(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 200, "text/html", b"<!doctype html><html><body><h1>Scheduled maintenance</h1></body></html>")

    def _not_xml_nor_json(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 200, content_type, b"\x00\xff\xfe upstream connect error")

    def _drift(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        """The container of the results was renamed: nothing usable, and no word about absence."""
        for old, new in ((b"entry>", b"item>"), (b'"results"', b'"hits"'), (b'"data"', b'"papers"'), (b'"items"', b'"works"')):
            body = body.replace(old, new)
        self._send(request, 200, content_type, body)

    def _redirect_private(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        self._send(request, 302, "text/plain", b"", {"location": "http://169.254.169.254/latest/meta-data/"})

    def _giant(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        request.send_response(200)
        request.send_header("content-length", str(2 * 2**30))
        request.end_headers()
        request.wfile.write(b"x" * 4096)
        request.close_connection = True

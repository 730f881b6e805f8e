"""Bodies of full text: the addresses to try, in the order in which reading loses least, fetched one at a time.

Imports records and its neighbours here. Refuses hosts that are not on the list below, and reads nothing: readers do that.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from sovereign.errors import SourceFailed
from sovereign.identity import identifiers
from sovereign.records import Failed, Paper
from sovereign.sources._http import Answer, BadBody, Http, Service
from sovereign.sources._limits import Policy
from sovereign.sources._live import as_failed
from sovereign.sources.arxiv import full_text_urls

ARXIV_HOSTS = ("arxiv.org", "export.arxiv.org", "www.arxiv.org")

# Publishers and repositories of open texts that OpenAlex and Semantic Scholar commonly name. An address anywhere else is named, not opened.
OPEN_HOSTS = (
    "aclanthology.org", "openreview.net", "proceedings.mlr.press", "papers.nips.cc", "papers.neurips.cc", "proceedings.neurips.cc",
    "openaccess.thecvf.com", "www.ecva.net", "ojs.aaai.org", "www.ijcai.org", "www.jmlr.org", "jmlr.org", "dl.acm.org", "www.usenix.org",
    "www.vldb.org", "link.springer.com", "www.nature.com", "www.mdpi.com", "www.frontiersin.org", "journals.plos.org", "peerj.com",
    "elifesciences.org", "www.pnas.org", "pmc.ncbi.nlm.nih.gov", "www.ncbi.nlm.nih.gov", "europepmc.org", "www.biorxiv.org",
    "www.medrxiv.org", "zenodo.org", "hal.science", "inria.hal.science", "iopscience.iop.org", "www.isca-archive.org",
)  # fmt: skip


PATIENCE_S = 900.0  # a dozen papers wait for their turn at arXiv's three seconds; each single request has its own, short limit


@dataclass(frozen=True)
class Candidate:
    url: str
    filename: str  # a hint for readers, which look at the content first


@dataclass(frozen=True)
class Fetched:
    """One body as it came. `filename` ends in the suffix of what it seems to be."""

    url: str
    filename: str
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Missed:
    """One candidate that was not had, and why."""

    url: str
    outcome: Failed


def candidates(paper: Paper) -> list[Candidate]:
    """arXiv HTML, e-print source, PDF; then the open copies that the services named. Each address once."""
    ids = identifiers(paper)
    addresses = [*full_text_urls(ids.arxiv, ids.version)] if ids.arxiv else []
    addresses += [u for u in paper.full_text_urls if not (ids.arxiv and (urlsplit(u).hostname or "") in ARXIV_HOSTS)]
    return [Candidate(url, filename(url)) for url in dict.fromkeys(addresses)]


def filename(url: str, content_type: str = "", head: bytes = b"") -> str:
    """A file name for a body: by its first bytes, else its content type, else its address."""
    path = urlsplit(url).path
    stem = (
        re.sub(r"[^A-Za-z0-9._-]+", "_", path.strip("/").partition("/")[2] or path.strip("/") or "document")[:120].strip("._") or "document"
    )
    for suffix in (".pdf", ".html", ".htm", ".xml", ".tar.gz", ".gz", ".tex"):
        stem = stem.removesuffix(suffix)
    return stem + _suffix(path, content_type, head)


def _suffix(path: str, content_type: str, head: bytes) -> str:
    start = head.lstrip()[:512].lower()
    if head[:5] == b"%PDF-":
        return ".pdf"
    if head[:2] == b"\x1f\x8b":
        return ".tar.gz"
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start:
        return ".html"
    if start.startswith(b"<?xml"):
        return ".xml"
    by_type = {"application/pdf": ".pdf", "text/html": ".html", "application/gzip": ".tar.gz", "application/x-eprint-tar": ".tar.gz"}
    if head == b"" or content_type:
        if content_type in by_type:
            return by_type[content_type]
        if "/e-print/" in path:
            return ".tar.gz"
        return ".pdf" if "/pdf" in path or path.endswith(".pdf") else ".html"
    return ".tex" if b"\\document" in start else ".txt"


def service_for(url: str, arxiv: Policy, other: Policy) -> Service:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    base = f"{parts.scheme}://{parts.netloc}"
    if host in ARXIV_HOSTS:
        return Service("arxiv", "arXiv", base, arxiv, hosts=ARXIV_HOSTS)
    return Service(f"full_text:{host}", host, base, other, hosts=OPEN_HOSTS)


async def fetch(http: Http, candidate: Candidate, arxiv: Policy, other: Policy, *, extra_hosts: tuple[str, ...] = ()) -> Fetched | Missed:
    """One candidate. An outage, a strange host or an empty body is Missed, never an exception."""
    host = (urlsplit(candidate.url).hostname or "").lower()
    if host not in (*ARXIV_HOSTS, *OPEN_HOSTS, *extra_hosts):
        return Missed(candidate.url, Failed(f"{host or 'the address'} is not an allowed host", "refused"))
    service = service_for(candidate.url, arxiv, other)
    limit = http.settings.max_document_mib * 2**20

    def parse(answer: Answer) -> Fetched:
        if not answer.body.strip():
            raise BadBody("an empty body")
        return Fetched(answer.url, filename(answer.url, answer.content_type, answer.body[:4096]), answer.body, answer.content_type)

    try:
        return await http.get(service, candidate.url, parse, limit_bytes=limit, patience_s=PATIENCE_S)
    except SourceFailed as exc:
        return Missed(candidate.url, as_failed(exc))


async def fetch_full_text(http: Http, paper: Paper, arxiv: Policy, other: Policy) -> AsyncIterator[Fetched | Missed]:
    """Yields each candidate's body or why it was not had; stop iterating when one could be read."""
    for candidate in candidates(paper):
        yield await fetch(http, candidate, arxiv, other)

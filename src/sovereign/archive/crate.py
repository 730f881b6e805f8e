"""A record as an RO-Crate 1.1 (https://w3id.org/ro/crate/1.1): what the files are, who signed, what is cited. Imports records; refuses to invent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sovereign import seal
from sovereign.records import Paper

MEDIA = {
    ".json": "application/json", ".jsonl": "application/jsonl", ".md": "text/markdown", ".html": "text/html", ".pdf": "application/pdf",
    ".bib": "application/x-bibtex", ".ris": "application/x-research-info-systems", ".svg": "image/svg+xml", ".png": "image/png", ".txt": "text/plain",
}  # fmt: skip
ABOUT = {
    "draft.pdf": "The paper", "draft.html": "The paper as a web page", "draft.md": "The paper as Markdown", "draft.json": "Every record of the run",
    "references.bib": "References (BibTeX)", "claims.json": "Every claim with verdict, level and evidence", "ledger.jsonl": "The hash-chained ledger",
    "manifest.json": "Digests of all files", "corrections.json": "Corrections of this record",
}  # fmt: skip


def media_type(name: str) -> str:
    return next((m for end, m in MEDIA.items() if name.endswith(end)), "application/octet-stream")


def crate(
    body: Mapping[str, Any], papers: Sequence[Paper], files: Mapping[str, bytes], *, owner: str = "", published: str = ""
) -> dict[str, Any]:
    """The JSON-LD document. body: draft.json; files: name -> bytes of what lies beside it."""
    person = [{"@id": "#owner", "@type": "Person", "name": owner}] if owner else []
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": body["draft"]["title"],
        "description": body["question"],
        "datePublished": published or body["created_at"],
        "identifier": body["run_id"],
        "license": "The draft's own words and data: CC BY 4.0. Quotations remain with their authors and are used as quotations.",
        "hasPart": [{"@id": name} for name in sorted(files)],
        "mentions": [{"@id": "#run"}],
        "citation": [{"@id": _id(p)} for p in papers],
    }
    if owner:
        root["publisher"] = {"@id": "#owner"}
    software = {"@id": "#sovereign", "@type": "SoftwareApplication", "name": "SOVEREIGN research kernel", "version": body["version"]}
    run = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Research run {body['run_id']}",
        "endTime": body["created_at"],
        "instrument": {"@id": "#sovereign"},
        "result": [{"@id": n} for n in sorted(files) if n.startswith("draft.")],
        "object": [{"@id": _id(p)} for p in papers],
    }
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    parts = [
        {
            "@id": name,
            "@type": "File",
            "name": ABOUT.get(name, name),
            "encodingFormat": media_type(name),
            "contentSize": str(len(content)),
            "sha256": seal.sha256(content),
        }
        for name, content in sorted(files.items())
    ]
    return {
        "@context": "https://w3id.org/ro/crate/1.1/context",
        "@graph": [descriptor, root, software, run, *person, *parts, *map(_paper, papers)],
    }


def _id(p: Paper) -> str:
    return f"https://doi.org/{p.doi}" if p.doi else f"https://arxiv.org/abs/{p.arxiv_id}" if p.arxiv_id else f"#{p.paper_id}"


def _paper(p: Paper) -> dict[str, Any]:
    out: dict[str, Any] = {"@id": _id(p), "@type": "ScholarlyArticle", "name": p.title, "identifier": p.paper_id}
    if p.authors:
        out["author"] = [{"@type": "Person", "name": a} for a in p.authors]
    if p.year:
        out["datePublished"] = str(p.year)
    return out

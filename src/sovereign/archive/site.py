"""Writes one record into a site folder and renews the pages that speak of all records. Imports the other archive modules; refuses names that leave it.

The site is its own database: the index, the benchmarks and the graph are made from the manifests and claims files that lie in it, so that a site
can be renewed without the workspace it came from.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sovereign import seal
from sovereign.archive import page
from sovereign.archive.citations import csl, ris
from sovereign.archive.crate import crate, media_type
from sovereign.archive.graph import graph
from sovereign.archive.record import Record
from sovereign.errors import IntegrityBroken, WorkspaceUnusable
from sovereign.records import Paper, PaperKind
from sovereign.version import __version__

HERE = Path(__file__).parent
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def write(site: Path, record: Record) -> dict[str, Any]:
    """Renders the record and renews the site. Returns {page, folder, files, record_sha256}. Raises WorkspaceUnusable when it cannot be written."""
    if not _RUN.fullmatch(record.run_id):
        raise IntegrityBroken(f"{record.run_id!r} cannot be the name of a record.")
    files = render(record)
    folder = site / "records" / record.run_id
    try:
        with _alone(site):
            _clear(folder, keep=set(files))
            for name, body in files.items():
                _put(folder / name, body)
            rebuild(site)
    except OSError as exc:
        raise WorkspaceUnusable(f"The site {site} cannot be written: {exc.strerror}.", mend="Give another folder with --site.") from exc
    return {
        "page": str(folder / "index.html"),
        "folder": str(folder),
        "files": sorted(files),
        "record_sha256": seal.sha256(files["manifest.json"]),
    }


def render(record: Record) -> dict[str, bytes]:
    """name -> bytes of everything in the record's folder. The same record gives the same bytes."""
    files = dict(record.bundle)
    claims = claims_file(record)
    corrections = [dict(c) for c in record.corrections]
    statement = record.approval["statement"]
    files["claims.json"] = seal.pretty(claims).encode()
    files["corrections.json"] = seal.pretty(
        {"schema": "sovereign/corrections-1", "run_id": record.run_id, "status": record.status, "corrections": corrections}
    ).encode()
    files["references.ris"] = ris(record.papers).encode()
    files["references.csl.json"] = seal.pretty(csl(record.papers)).encode()
    files["graph.svg"] = _record_graph(record, claims).encode()
    visible = {n: b for n, b in files.items() if not n.startswith("blobs/")}
    files["ro-crate-metadata.json"] = seal.pretty(
        crate(record.body, record.papers, visible, owner=statement["owner"], published=record.published_at)
    ).encode()
    manifest = manifest_file(record, files)
    files["index.html"] = page.record(manifest, record.body, claims, corrections, [_reference(p) for p in record.papers]).encode()
    files["manifest.json"] = seal.pretty(manifest_file(record, files)).encode()
    return files


def manifest_file(record: Record, files: Mapping[str, bytes]) -> dict[str, Any]:
    statement = record.approval["statement"]
    body = {
        "schema": "sovereign/record-1",
        "version": __version__,
        "run_id": record.run_id,
        "title": record.body["draft"]["title"],
        "question": record.body["question"],
        "created_at": record.body["created_at"],
        "published_at": record.published_at,
        "status": record.status,
        "level": record.level,
        "gate_verdict": record.gate_verdict,
        "policy": {k: record.body["policy"][k] for k in ("decision", "rule", "sha256")},
        "score": record.body["tribunal"]["score"],
        "quality": _quality(record.body.get("quality")),
        "claims": len(record.body["claims"]),
        "sources": len(record.papers),
        "source_titles": [p.title for p in record.papers],
        "flags": {p: list(f) for p, f in record.flags.items()},
        "owner": statement["owner"],
        "fingerprint": record.fingerprint,
        "public_key": record.approval["public_key"],
        "signed_at": statement["at"],
        "note": statement["note"],
        "waiver": statement["waiver"],
        "gaps": list(statement["gaps"]),
        "evidence": statement["manifest"],
        "ledger_head": statement["ledger_head"],
        "files": {n: {"sha256": seal.sha256(b), "bytes": len(b), "media_type": media_type(n)} for n, b in sorted(files.items())},
    }
    return {**body, "digest": seal.digest(body)}


def _quality(assessed: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The quality record as the manifest carries it; None for a run that was printed before there was one."""
    if assessed is None:
        return None
    dimensions = {d["key"]: {k: d[k] for k in ("name", "score", "level", "basis")} for d in assessed["dimensions"]}
    return {"tier": assessed["tier"], "why": assessed["why"], "verified": assessed["verified_count"], "dimensions": dimensions}


def claims_file(record: Record) -> dict[str, Any]:
    titles = {s["id"]: s["title"] for s in record.body["sources"]}
    about = {p.paper_id: p.about for p in record.papers if p.about}

    def flagged(claim: Mapping[str, Any]) -> list[str]:
        rests = {claim["paper"], *(e.get("paper") for e in claim["evidence"])}
        return sorted(p for p in rests if p and (p in record.flags or about.get(p) in record.flags))

    return {
        "schema": "sovereign/claims-1",
        "run_id": record.run_id,
        "claims": [
            {
                **{
                    k: c[k]
                    for k in (
                        "id",
                        "text",
                        "paper",
                        "verdict",
                        "level",
                        "probability",
                        "basis",
                        "reason",
                        "key",
                        "contested_by",
                        "evidence",
                    )
                },
                "paper_title": titles.get(c["paper"], ""),
                "values": [{k: v[k] for k in ("raw", "low", "high", "unit", "relation")} for v in c["slots"]["values"]],
                "flagged": flagged(c),
            }
            for c in record.body["claims"]
        ],
    }


def _record_graph(record: Record, claims: Mapping[str, Any]) -> str:
    used = dict.fromkeys(e.get("paper") or c["paper"] for c in claims["claims"] for e in (c["evidence"] or [{}]))
    titles = {s["id"]: s["title"] for s in record.body["sources"]}
    nodes = [
        {
            "id": c["id"],
            "label": c["text"],
            "verdict": c["verdict"],
            "sources": list(dict.fromkeys([e["paper"] for e in c["evidence"] if e.get("paper")] or [c["paper"]])),
            "contested": c["contested_by"],
        }
        for c in claims["claims"]
    ]
    return graph([(str(p), titles.get(p, str(p))) for p in used if p], nodes, f"Claims and sources of {record.body['draft']['title']}")


def _reference(p: Paper) -> str:
    where = f"arXiv:{p.arxiv_id}" + (f"v{p.version}" if p.version else "") if p.arxiv_id else f"doi:{p.doi}" if p.doi else p.url or ""
    through = " (through a reading note)" if p.kind is PaperKind.NOTE else ""
    return ". ".join(x for x in (", ".join(p.authors[:6]), p.title.rstrip("."), str(p.year or ""), where) if x) + through


# --- the pages about all records ---


def rebuild(site: Path) -> int:
    """Renews index, benchmarks, graph, about, search data, styles and schemas from the records in the folder. Returns their number."""
    held = list(_records(site))
    manifests = [m for m, _ in held]
    claims = {m["run_id"]: c["claims"] for m, c in held}
    schemas = sorted(p.name for p in (HERE / "schemas").glob("*.json"))
    for name in schemas:
        _put(site / "schemas" / name, (HERE / "schemas" / name).read_bytes())
    for name in ("site.css", "search.js"):
        _put(site / name, (HERE / "static" / name).read_bytes())
    pages = {
        "index.html": page.index(manifests),
        "benchmarks.html": page.benchmarks(benchmark_groups(manifests, claims)),
        "graph.html": page.graph_page(*_site_graph(manifests, claims)),
        "about.html": page.about({m["fingerprint"]: m["owner"] for m in manifests}, schemas),
        "records.js": page.search_data(manifests, {r: [c["text"] for c in found] for r, found in claims.items()}),
    }
    for name, text in pages.items():
        _put(site / name, text.encode())
    return len(held)


def _records(site: Path) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    found = []
    for folder in (site / "records").iterdir() if (site / "records").is_dir() else []:
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            claims = json.loads((folder / "claims.json").read_bytes())
            digest = manifest.pop("digest")
        except (OSError, ValueError, KeyError, AttributeError) as exc:
            raise IntegrityBroken(
                f"{folder} is not a record of this archive: {exc}.", mend=f"Run: sovereign audit verify {folder}"
            ) from exc
        if seal.digest(manifest) != digest or manifest["run_id"] != folder.name:
            raise IntegrityBroken(
                f"{folder}/manifest.json was changed.", mend=f"Publish the run again, or run: sovereign audit verify {folder}"
            )
        found.append((manifest, claims))
    return sorted(found, key=lambda r: (r[0]["published_at"], r[0]["run_id"]), reverse=True)


def benchmark_groups(manifests: Sequence[Mapping[str, Any]], claims: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Comparison keys with their stated values, those with most sources and contested ones first. One value of one source counts once."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for m in manifests:
        for c in claims[m["run_id"]]:
            if not c["key"] or not c["values"] or c["verdict"] not in ("SUPPORTED", "QUALIFIED"):
                continue
            key = (c["key"]["metric"], c["key"]["subject"], c["key"]["condition"])
            group = groups.setdefault(key, {"metric": key[0], "subject": key[1], "condition": key[2], "values": [], "contested": False})
            value = ", ".join(v["raw"] for v in c["values"])
            source = c["paper_title"] or c["paper"] or ""
            if not any((v["value"], v["source"]) == (value, source) for v in group["values"]):
                group["values"].append({"value": value, "source": source, "verdict": c["verdict"], "run_id": m["run_id"], "claim": c["id"]})
            group["contested"] = group["contested"] or bool(c["contested_by"])
    return sorted(groups.values(), key=lambda g: (not g["contested"], -len({v["source"] for v in g["values"]}), g["metric"], g["subject"]))


def _site_graph(manifests: Sequence[Mapping[str, Any]], claims: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[str, list[list[str]]]:
    counts: dict[tuple[str, str], int] = {}
    titles: dict[str, str] = {}
    for m in manifests:
        for c in claims[m["run_id"]]:
            for p in dict.fromkeys([e["paper"] for e in c["evidence"] if e.get("paper")] or [c["paper"]]):
                if p:
                    titles.setdefault(p, c["paper_title"] if p == c["paper"] else p)
                    counts[(m["run_id"], p)] = counts.get((m["run_id"], p), 0) + 1
    nodes = [
        {"id": m["run_id"], "label": m["title"], "verdict": "SUPPORTED" if m["status"] == "CURRENT" and not m["flags"] else m["status"],
         "sources": [p for r, p in counts if r == m["run_id"]], "href": f"records/{m['run_id']}/index.html"}
        for m in manifests
    ]  # fmt: skip
    rows = [[next(m["title"] for m in manifests if m["run_id"] == r), titles[p] or p, str(n)] for (r, p), n in counts.items()]
    return graph([(p, t or p) for p, t in titles.items()], nodes, "Sources and the records that rest on them"), rows


# --- files ---


@contextmanager
def _alone(site: Path) -> Iterator[None]:
    """One writer at a time: two records published at once must both stand in the index."""
    site.mkdir(parents=True, exist_ok=True)
    with (site / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _clear(folder: Path, *, keep: set[str]) -> None:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file() and path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def _put(path: Path, body: bytes) -> None:
    if path.is_file() and path.read_bytes() == body:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(body)
    part.replace(path)

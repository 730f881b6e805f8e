"""The pages of the archive as strings. Standard library only; every value from a record is escaped, and no page asks anything of another host."""

# ruff: noqa: E501  (markup is easier to check in one piece than broken by line length)

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STATUS_TOLD = {
    "CURRENT": "Current",
    "CORRECTED": "Corrected — read the corrections below",
    "SUPERSEDED": "Superseded — another record has taken its place",
    "REVOKED": "Revoked — its owner has taken the approval back; the record stays for the record only",
}


def e(value: object) -> str:
    return escape(str(value), quote=True)


def layout(title: str, body: str, *, up: str = "", here: str = "", script: bool = False) -> str:
    """up: relative path to the site's root, such as "../../"."""
    links = "".join(
        f'<a href="{up}{href}"{" aria-current=page" if name == here else ""}>{name}</a>'
        for name, href in (("Records", "index.html"), ("Benchmarks", "benchmarks.html"), ("Graph", "graph.html"), ("About", "about.html"))
    )
    scripts = f'<script src="{up}records.js" defer></script><script src="{up}search.js" defer></script>' if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{e(title)}</title><link rel="stylesheet" href="{up}site.css">{scripts}</head>\n<body><a class="skip" href="#main">Skip to content</a>'
        f'<header class="bar"><a class="brand" href="{up}index.html">SOVEREIGN archive</a><nav aria-label="Archive">{links}</nav></header>\n'
        f'<main id="main">\n{body}\n</main>\n<footer>Every record is signed by its owner and can be verified offline: '
        "<code>sovereign audit verify FOLDER</code></footer></body></html>\n"
    )


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f'<th scope="col">{h}</th>' for h in header)
    inner = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{e(caption)}"><table><caption>{e(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{inner}</tbody></table></div>'


def badge(m: Mapping[str, Any]) -> str:
    kind = {"CURRENT": "good"}.get(m["status"], "warn")
    flagged = '<span class="badge bad">source changed</span>' if m["flags"] else ""
    level = f'<span class="badge">{e(m["level"])}</span>' if m["level"] else ""
    return f'<span class="badge {kind}">{e(m["status"].lower())}</span>{level}<span class="badge">trials: {e(m["gate_verdict"].lower())}</span>{flagged}'


def index(manifests: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(
        f'<li data-record="{e(m["run_id"])}"><a class="title" href="records/{e(m["run_id"])}/index.html">{e(m["title"])}</a>'
        f'<p class="question">{e(m["question"])}</p><p class="meta">{badge(m)} <span>{e(m["published_at"][:10])} · {m["claims"]} claims · {m["sources"]} sources</span></p></li>'
        for m in manifests
    )
    search = (
        '<form class="search" role="search"><label for="q">Search records, claims and sources</label>'
        '<input id="q" type="search" autocomplete="off" spellcheck="false"><p id="found" role="status" aria-live="polite"></p></form>'
    )
    empty = "<p>No record has been published yet.</p>" if not manifests else ""
    return layout(
        "SOVEREIGN archive", f'<h1>Records</h1>{search}<ol class="records" id="records">{items}</ol>{empty}', here="Records", script=True
    )


def record(
    m: Mapping[str, Any],
    body: Mapping[str, Any],
    claims: Mapping[str, Any],
    corrections: Sequence[Mapping[str, Any]],
    references: Sequence[str],
) -> str:
    number = {c["id"]: i for i, c in enumerate(claims["claims"], 1)}
    parts = [f'<p class="meta">{badge(m)}</p><h1>{e(m["title"])}</h1><p class="question">{e(m["question"])}</p>', _warnings(m, corrections)]
    parts.append(
        '<p class="actions"><a class="button" href="draft.pdf">Read the paper (PDF)</a> <a href="draft.html">web page</a> <a href="draft.md">Markdown</a> '
        '<a href="draft.json">JSON</a></p>'
    )
    parts.append(
        '<section class="abstract"><h2>Abstract</h2><p>'
        + " ".join(_sentence(s, number) for s in body["draft"]["abstract"])
        + "</p></section>"
    )
    for section in body["draft"]["sections"]:
        inner = "".join(_para(s, number) for s in section["sentences"])
        inner += "".join(
            table(t["caption"], [e(h) for h in t["header"]], [[e(c) for c in r] for r in t["rows"]]) for t in section["tables"]
        )
        inner += "".join(
            f'<figure><img src="figures/{e(g["path"])}" alt="{e(g["caption"])}"><figcaption>{e(g["caption"])}</figcaption></figure>'
            for g in section["figures"]
            if f"figures/{g['path']}" in m["files"]
        )
        if inner:
            parts.append(f"<section><h2>{e(section['title'])}</h2>{inner}</section>")
    parts += [_claims(claims["claims"], number), _gate(m, body), _corrections(corrections)]
    parts.append("<section><h2>References</h2><ol>" + "".join(f"<li>{e(r)}</li>" for r in references) + "</ol></section>")
    parts.append(_files(m))
    return layout(m["title"], "\n".join(parts), up="../../")


def _warnings(m: Mapping[str, Any], corrections: Sequence[Mapping[str, Any]]) -> str:
    out = ""
    if m["status"] != "CURRENT":
        after = next((c["superseded_by"] for c in reversed(corrections) if c["superseded_by"]), "")
        link = f' See <a href="../{e(after)}/index.html">{e(after)}</a>.' if after else ""
        out += f'<p class="notice">{e(STATUS_TOLD.get(m["status"], m["status"]))}.{link}</p>'
    for paper, flags in m["flags"].items():
        out += f'<p class="notice bad">A source of this record, <code>{e(paper)}</code>, is {e(", ".join(flags))}. What rests on it is marked.</p>'
    if m["waiver"]:
        out += f'<p class="notice">Approved although degraded ({e("; ".join(m["gaps"]))}). The owner’s reason: {e(m["waiver"])}</p>'
    return out


def _sentence(s: Mapping[str, Any], number: Mapping[str, int]) -> str:
    marks = "".join(f'<a class="mark" href="#{e(c)}">C{number[c]}</a>' for c in s["claims"] if c in number)
    return f'<span class="{e(s["kind"])}">{e(s["text"])}{f"<sup>{marks}</sup>" if marks else ""}</span>'


def _para(s: Mapping[str, Any], number: Mapping[str, int]) -> str:
    lead = f"<strong>{e(s['lead'])}.</strong> " if s["lead"] else ""
    return f"<p>{lead}{_sentence(s, number)}</p>"


def _claims(claims: Sequence[Mapping[str, Any]], number: Mapping[str, int]) -> str:
    items = []
    for c in claims:
        quotes = "".join(
            f"<blockquote>{e(x['quote'])}<footer>{e(x['paper'])}{', ' + e(x['section']) if x['section'] else ''}, characters {x['start']}–{x['end']} of text "
            f"<code>{e(x['doc_sha256'][:16])}…</code></footer></blockquote>"
            for x in c["evidence"]
            if x.get("quote")
        )
        flagged = f' <span class="badge bad">rests on {e(", ".join(c["flagged"]))}</span>' if c["flagged"] else ""
        good = "good" if c["verdict"] == "SUPPORTED" else "warn"
        items.append(
            f'<li id="{e(c["id"])}"><p><strong>C{number[c["id"]]}</strong> {e(c["text"])}</p><p class="meta"><span class="badge {good}">{e(c["verdict"].lower())}</span>'
            f'<span class="badge">{e(c["level"])}</span>{flagged}</p><details><summary>Evidence and reason</summary>{quotes}<p>{e(c["reason"])}</p></details></li>'
        )
    return f'<section><h2>Claims</h2><ol class="claims">{"".join(items)}</ol></section>' if items else ""


def _quality(q: Mapping[str, Any] | None) -> str:
    if not q:
        return ""
    parts = []
    for d in q["dimensions"].values():
        score = "" if d["score"] is None else f" ({d['score']:g})"
        parts.append(f"{e(d['name'])} {e(d['level'].lower())}{score}")
    tier = e((q["tier"] or "no tier").replace("_", " ").lower())
    return f"<dt>Quality</dt><dd>{tier}: {e(q['why'])}. {', '.join(parts)}</dd>"


def _gate(m: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    rows = [[e(c["name"]), e(c["state"].replace("_", " ").lower()), e(c["reason"])] for c in body["checks"]]
    trials = "".join(
        f"<li><code>{e(t['trial_id'])}</code> ({e(t['scale'])}, digest <code>{e(t['digest'][:16])}…</code>)</li>" for t in body["trials"]
    )
    return (
        f"<section><h2>Gate</h2><dl><dt>Level</dt><dd>{e(m['level'] or 'none')} (lowest among the claims stated)</dd><dt>Gate verdict</dt><dd>{e(m['gate_verdict'])} "
        f"({'of claims that an attached trial tested' if trials else 'no trial is attached'})</dd><dt>Tribunal</dt><dd>{e(body['tribunal']['score'])} of 10, {e(body['tribunal']['decision'])}</dd>"
        f"{_quality(m.get('quality'))}<dt>Policy</dt><dd>{e(body['policy']['decision'])}: {e(body['policy']['rule'])}</dd><dt>Signed</dt><dd>by {e(m['owner'])} at {e(m['signed_at'])}, key "
        f"<code>{e(m['fingerprint'])}</code>{': ' + e(m['note']) if m['note'] else ''}</dd></dl>{f'<ul>{trials}</ul>' if trials else ''}{table('Checks of the gate', ['Check', 'State', 'Reason'], rows)}"
        '<p><a href="graph.svg">Claims and sources as a graph</a></p></section>'
    )


def _corrections(corrections: Sequence[Mapping[str, Any]]) -> str:
    if not corrections:
        return "<section><h2>Corrections</h2><p>None. The record is as it was signed.</p></section>"
    rows = [[e(c["at"][:10]), e(c["type"]), e(c["claim"] or c["source"] or "the record"), e(c["note"])] for c in corrections]
    return f"<section><h2>Corrections</h2>{table('Added beside the record, which stays as it was signed', ['Date', 'Type', 'About', 'What'], rows)}</section>"


def _files(m: Mapping[str, Any]) -> str:
    shown = [n for n in m["files"] if not n.startswith(("blobs/", "signatures/"))]
    rows = [
        [f'<a href="{e(n)}">{e(n)}</a>', f"{m['files'][n]['bytes']:,}", f"<code>{e(m['files'][n]['sha256'][:24])}…</code>"]
        for n in sorted(shown)
    ]
    rest = len(m["files"]) - len(shown)
    return f'<section><h2>Files</h2>{table("Files of this record", ["File", "Bytes", "sha256"], rows)}<p>and {rest} blobs and signatures, all listed in <a href="manifest.json">manifest.json</a>.</p></section>'


def benchmarks(groups: Sequence[Mapping[str, Any]]) -> str:
    parts = ["<h1>Benchmarks</h1><p>Values stated under one comparison key — the same subject, metric and condition — across all records. "
             "Contested means that two sources state values that exclude each other.</p>"]  # fmt: skip
    for g in groups:
        rows = [
            [
                e(v["value"]),
                e(v["source"]),
                e(v["verdict"].lower()),
                f'<a href="records/{e(v["run_id"])}/index.html#{e(v["claim"])}">{e(v["claim"])}</a>',
            ]
            for v in g["values"]
        ]
        mark = '<span class="badge bad">contested</span>' if g["contested"] else ""
        parts.append(
            f'<section class="key"><h2>{e(g["metric"])} {mark}</h2><p class="question">{e(g["subject"])}{" — " + e(g["condition"]) if g["condition"] else ""}</p>'
            f"{table(g['metric'] + ' of ' + g['subject'], ['Value', 'Source', 'Verdict', 'Claim'], rows)}</section>"
        )
    if not groups:
        parts.append("<p>No record states a value under a comparison key yet.</p>")
    return layout("Benchmarks", "".join(parts), here="Benchmarks")


def graph_page(svg: str, rows: Sequence[Sequence[str]]) -> str:
    listed = table("Every record with the sources its claims rest on", ["Record", "Source", "Claims"], [[e(c) for c in r] for r in rows])
    return layout(
        "Graph",
        f'<h1>Sources and records</h1><p>A line joins a source to each record with a claim that rests on it.</p><div class="scroll graph" tabindex="0" role="region" aria-label="Graph">{svg}</div>{listed}',
        here="Graph",
    )


def about(keys: Mapping[str, str], schemas: Sequence[str]) -> str:
    listed = "".join(f"<li><code>{e(k)}</code> {e(o)}</li>" for k, o in keys.items())
    named = "".join(f'<li><a href="schemas/{e(s)}">{e(s)}</a></li>' for s in schemas)
    return layout(
        "About",
        "<h1>About this archive</h1><p>Each record is a short paper written by the SOVEREIGN research kernel: every sentence leads to the passage or to the experiment "
        "that carries it. Nothing is published without its owner’s Ed25519 signature over the exact bytes of the draft, the references and the manifest of the evidence. "
        "A published record is never rewritten; corrections are added beside it.</p>"
        "<h2>Verify a record</h2><p>Download its folder and run <code>sovereign audit verify FOLDER --key FINGERPRINT</code>. It compares the ledger’s chain, every file and "
        "the signature, without a network. The texts of the cited sources are named by digest and not republished; the owner can show them in a complete bundle.</p>"
        "<h2>Levels</h2><p>L0 recorded · L1 cited · L2 grounded (its passage found and in agreement) · L3 corroborated by independent sources · L4 artifact inspected · "
        "L5 executed (our own trial agrees) · L6 reproduced · L7 externally reviewed. The level of a record is the lowest among the claims it states.</p>"
        f"<h2>Owners’ keys</h2><ul>{listed or '<li>none yet</li>'}</ul><h2>JSON Schemas</h2><ul>{named}</ul>",
        here="About",
    )


def search_data(manifests: Sequence[Mapping[str, Any]], claims: Mapping[str, Sequence[str]]) -> str:
    """A script, not a JSON file: a browser reads no file beside a page from disk, but runs a script that lies there."""
    rows = [
        {"id": m["run_id"], "text": " ".join([m["title"], m["question"], *m["source_titles"], *claims.get(m["run_id"], ())]).lower()}
        for m in manifests
    ]
    return "window.RECORDS = " + json.dumps(rows, ensure_ascii=True).replace("<", "\\u003c") + ";\n"

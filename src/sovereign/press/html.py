"""The draft as one self-contained HTML page: no script, no request, every claim one click from its quote. Imports the standard library only."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

STYLE = Path(__file__).with_name("page.css")


def page(v: dict[str, Any], figures: Mapping[str, bytes]) -> str:
    body = [
        f'<p class="stamp">{_e(v["stamp"])}</p>',
        f"<h1>{_e(v['title'])}</h1>",
        f'<p class="meta">SOVEREIGN research kernel · {v["date"]} · run <code>{_e(v["run_id"])}</code> · tribunal {v["score"]}/10 ({_e(v["decision"])}) · '
        f"policy {_e(v['policy']['decision'])}</p>",
        f'<p class="question"><strong>Question.</strong> {_e(v["question"])}</p>',
        '<ul class="facets">' + "".join(_facet(f) for f in v["facets"]) + "</ul>",
        '<section class="abstract"><h2>Abstract</h2><p>' + " ".join(_sentence(s) for s in v["abstract"]) + "</p></section>",
    ]
    for section in v["sections"]:
        body.append(f"<section><h2>{_e(section['title'])}</h2>{_prose(section['sentences'])}")
        body += [_table(t["caption"], [_e(h) for h in t["header"]], [[_e(c) for c in r] for r in t["rows"]]) for t in section["tables"]]
        body += [_figure(g, figures) for g in section["figures"]]
        body.append("</section>")
    body += [_claims(v), _sources(v), _review(v), _quality(v["quality"]), _references(v)]
    css = STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{_e(v['title'])}</title><style>{css}</style></head>\n<body><main>\n" + "\n".join(body) + "\n</main></body></html>\n"
    )


def _e(value: object) -> str:
    return escape(str(value), quote=True)


def _facet(f: dict[str, Any]) -> str:
    return f'<li class="{"yes" if f["answered"] else "no"}"><span>{"answered" if f["answered"] else "open"}</span> {_e(f["text"])}</li>'


def _sentence(s: dict[str, Any]) -> str:
    cites = "".join(f' <a class="cite" href="#ref{n}">[{n}]</a>' for n in s["cites"])
    claims = " ".join(f'<a href="#{c}">{c}</a>' for c in s["claims"])
    return f'<span id="{_e(s["id"])}" class="{_e(s["kind"])}">{_e(s["text"])}{cites}{f"<sup>{claims}</sup>" if claims else ""}</span>'


def _prose(sentences: list[dict[str, Any]]) -> str:
    out: list[str] = []
    for s in sentences:
        if s["lead"] or not out:
            out.append(f"<strong>{_e(s['lead'])}.</strong> {_sentence(s)}" if s["lead"] else _sentence(s))
        else:
            out[-1] += " " + _sentence(s)
    return "".join(f"<p>{p}</p>" for p in out)


def _table(caption: str, header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{h}</th>' for h in header)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><caption>{_e(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure(g: dict[str, Any], figures: Mapping[str, bytes]) -> str:
    body = figures.get(g["path"])
    if body is None:
        return f'<p class="gap">Figure not available: {_e(g["caption"])}</p>'
    kind = "svg+xml" if g["path"].endswith(".svg") else "png"
    return (
        f'<figure><img alt="{_e(g["caption"])}" src="data:image/{kind};base64,{base64.b64encode(body).decode()}">'
        f"<figcaption>{_e(g['caption'])}</figcaption></figure>"
    )


def _claims(v: dict[str, Any]) -> str:
    rows = [
        [
            f'<span id="{c["label"]}" class="label">{c["label"]}</span>',
            f"{_e(c['text'])}<details><summary>evidence</summary><blockquote>{_e(c['quote'])}</blockquote><p>{_e(c['reason'])}</p>"
            f"<p><small>{_e(c['where'])} · {_e(c['basis'])} · text <code>{_e(c['document'][:16])}…</code></small></p></details>",
            f'<span class="{"good" if c["good"] else "bad"}">{_e(c["verdict"])}</span>',
            c["level"],
            c["probability"],
        ]
        for c in v["claims"]
    ]
    inner = (
        _table("Every claim looked at, with its verdict.", ["", "Claim", "Verdict", "Level", "Probability"], rows)
        if rows
        else "<p>No claim was found.</p>"
    )
    return f"<section><h2>Claims</h2>{inner}</section>"


def _sources(v: dict[str, Any]) -> str:
    rows = [
        [str(s["number"] or "—"), _e(s["title"]) + (" <em>(reading note)</em>" if s["kind"] == "reading note" else ""), _e(s["basis"]),
         ("Admitted: " if s["admitted"] else "Left out: ") + _e(s["reason"])]
        for s in v["sources"]
    ]  # fmt: skip
    more = (
        f"<p>{v['more_sources']} further works were looked at and left out; draft.json names each with its reason.</p>"
        if v["more_sources"]
        else ""
    )
    inner = (
        _table("Sources in the order of the relevance gate.", ["Ref.", "Title", "Read", "Reason"], rows)
        if rows
        else "<p>No source was found.</p>"
    )
    return f"<section><h2>Sources, and why</h2>{inner}{more}</section>"


def _review(v: dict[str, Any]) -> str:
    roles = "".join(
        f"<li><strong>{_e(r['role'])}</strong> {r['score']}/10<ul>"
        + "".join(f"<li><em>{_e(x['severity'])}</em>: {_e(x['text'])}</li>" for x in r["findings"])
        + "</ul></li>"
        for r in v["roles"]
    )
    rows = [[_e(c["name"]), f'<span class="{"bad" if c["bad"] else "good"}">{_e(c["state"])}</span>', _e(c["reason"])] for c in v["checks"]]
    notes = "<ul>" + "".join(f"<li>{_e(n)}</li>" for n in v["notes"]) + "</ul>" if v["notes"] else ""
    return (
        f"<section><h2>Review</h2><p>The tribunal gave {v['score']} of 10 ({_e(v['decision'])}, revision round {v['revision_round']}). The policy decided "
        f"<code>{_e(v['policy']['decision'])}</code> by the rule “{_e(v['policy']['rule'])}”: {_e(' '.join(v['policy']['reasons']))}</p>"
        f"<ul>{roles}</ul>{notes}{_table('Checks of the gate.', ['Check', 'State', 'Reason'], rows)}</section>"
    )


def _quality(q: dict[str, Any] | None) -> str:
    if q is None:
        return ""
    told = f"<p>Tier: <strong>{_e(q['tier'])}</strong> ({_e(q['why'])}), with {q['verified']} verified claims. A tier is a label; it publishes nothing.</p>"
    table = _table(
        "Eight dimensions, computed from checks.",
        ["", "Dimension", "Level", "Score of 10", "From"],
        [[_e(c) for c in r] for r in q["rows"]],
    )
    return f"<section><h2>Quality</h2>{told}{table}</section>"


def _references(v: dict[str, Any]) -> str:
    items = "".join(
        f'<li id="ref{r["number"]}">{_e(r["text"])}' + (f' <a href="{_e(r["url"])}">{_e(r["url"])}</a>' if r["url"].startswith("http") else "")
        + (f" <em>{_e(r['note'])}</em>" if r["note"] else "") + "</li>"
        for r in v["references"]
    )  # fmt: skip
    return f"<section><h2>References</h2><ol>{items}</ol></section>"

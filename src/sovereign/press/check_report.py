"""The result of a manuscript check as one self-contained HTML page: each claim beside the passage it was held against, the deciding slot in one line,
and the mend. Imports the standard library and this package's style sheet; no script, no request, every word of a source escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sovereign.press.html import STYLE

_ORDER = ("CONTRADICTED", "QUALIFIED", "NOT_RUN", "NOT_FOUND", "UNRESOLVED", "SUPPORTED", "NOT_CHECKABLE")
_SAID = {
    "CONTRADICTED": ("✗", "contradicted", "bad"),
    "QUALIFIED": ("✗", "qualified", "bad"),
    "NOT_RUN": ("–", "not run", "open"),
    "NOT_FOUND": ("?", "not found", "open"),
    "UNRESOLVED": ("?", "unresolved", "open"),
    "SUPPORTED": ("✓", "supported", "good"),
    "NOT_CHECKABLE": ("·", "not checkable", "quiet"),
}
_CSS = """
main{max-width:64rem}
:root{--open:#7a5200}
@media(prefers-color-scheme:dark){:root{--open:#f0d470}}
.open{color:var(--open)}.quiet{color:var(--quiet)}
.counts{display:flex;flex-wrap:wrap;gap:.5rem 1.4rem;list-style:none;padding:0;margin:.8rem 0}
.counts b{font-size:1.35rem;font-variant-numeric:tabular-nums}
.answer{background:var(--soft);border-left:4px solid var(--line);padding:.6rem 1rem;border-radius:3px}
.answer.bad{border-color:var(--warn);color:var(--ink)}.answer.good{border-color:var(--good);color:var(--ink)}.answer.open{border-color:var(--open);color:var(--ink)}
article{border:1px solid var(--line);border-left-width:4px;border-radius:4px;margin:.9rem 0;padding:.7rem 1rem .8rem;break-inside:avoid}
article.bad,article.good,article.open{color:var(--ink)}
article.bad{border-left-color:var(--warn)}article.good{border-left-color:var(--good)}article.open{border-left-color:var(--open)}
article>header{display:flex;flex-wrap:wrap;gap:.2rem .9rem;align-items:baseline;font-size:.86rem;color:var(--quiet)}
article>header strong{text-transform:uppercase;letter-spacing:.04em;font-size:.82rem}
article>header strong.bad{color:var(--warn)}article>header strong.good{color:var(--good)}article>header strong.open{color:var(--open)}
article h3{font-size:.8rem;text-transform:uppercase;letter-spacing:.05em;color:var(--quiet);margin:0 0 .2rem;font-weight:600}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.4rem 1.4rem;margin:.5rem 0}
.pair>div{min-width:0;overflow-wrap:anywhere}
.pair p,.pair blockquote{margin:.1rem 0}
.pair small{display:block;margin-top:.2rem}
.slot{margin:.3rem 0 0}.mend{margin:.25rem 0 0}.mend b,.slot b{font-weight:600}
mark{background:none;color:inherit;border-bottom:2px solid var(--open);padding-bottom:1px}.bad mark{border-color:var(--warn)}
td{overflow-wrap:break-word}td:first-child{overflow-wrap:anywhere;min-width:8rem}th,td>span{white-space:nowrap}
@media(max-width:44rem){.pair{grid-template-columns:1fr}}
"""


def page(body: Mapping[str, Any]) -> str:
    """The page for the JSON of `sovereign check`. The same document gives the same bytes."""
    title = body["manuscript"]["title"] or body["manuscript"]["name"]
    parts = [
        f"<h1>Check of “{_e(title)}”</h1>",
        f'<p class="meta">{_e(body["manuscript"]["name"])} · sha256 <code>{_e(body["manuscript"]["sha256"][:16])}…</code> · '
        f"read by {_e(body['manuscript']['reader'])} · SOVEREIGN {_e(body['version'])}</p>",
        _summary(body["summary"]),
        _warnings(body),
        _claims(body),
        _references(body["references"]),
        _bibliography(body["bibliography"]),
        _sources(body),
        _notes(body["summary"]),
    ]
    css = STYLE.read_text(encoding="utf-8") + _CSS
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="color-scheme" content="light dark"><title>Check of {_e(title)}</title><style>{css}</style></head>\n<body><main>\n'
        + "\n".join(p for p in parts if p)
        + "\n</main></body></html>\n"
    )


def _e(value: object) -> str:
    return escape(str(value), quote=True)


def _summary(s: Mapping[str, Any]) -> str:
    tone = {0: "good", 1: "bad"}.get(s["exit_code"], "open")
    shown = [v for v in _ORDER if s[v.lower()]]
    items = "".join(f'<li class="{_SAID[v][2]}"><b>{s[v.lower()]}</b> {_SAID[v][1]}</li>' for v in shown)
    answer = s["answer"][0].upper() + s["answer"][1:]
    return f'<p class="answer {tone}"><strong>{_e(answer)}.</strong></p><ul class="counts"><li><b>{s["claims"]}</b> claims</li>{items}</ul>'


def _warnings(body: Mapping[str, Any]) -> str:
    items = [f"Part of the manuscript was not read: {u['what']} ({u['reason']})." for u in body["manuscript"]["unread"]]
    items += [
        f"The manuscript holds text that a reader would not see, or that addresses a machine: {t}" for t in body["manuscript"]["suspicious"]
    ]
    items += [f"{s['what']} was not read: {s['reason']}" for s in body["skipped"]]
    return f'<ul class="open">{"".join(f"<li>{_e(i)}</li>" for i in dict.fromkeys(items))}</ul>' if items else ""


def _claims(body: Mapping[str, Any]) -> str:
    names = {s["paper"]: s for s in body["sources"]}
    ranked = sorted(body["claims"], key=lambda c: _ORDER.index(c["verdict"]))
    if not ranked:
        return "<section><h2>Claims</h2><p>No sentence cites anything or states a figure.</p></section>"
    return (
        '<section><h2>Claims</h2><p class="meta">What needs a hand comes first; inside one verdict the order is the manuscript’s.</p>'
        + "".join(_claim(c, names) for c in ranked)
        + "</section>"
    )


def _claim(c: Mapping[str, Any], names: Mapping[str, Any]) -> str:
    mark, word, tone = _SAID[c["verdict"]]
    place = c["location"]
    where = f"{place['file']}, line {place['line']}" if place else ""
    section = c["section"].split(" / ")[-1]
    cites = ", ".join([*c["cites"], *c["unmatched"]])
    head = [
        f'<strong class="{tone}">{mark} {word}</strong>',
        f"<span>{_e(where)}</span>" if where else "",
        f"<span>{_e(section)}</span>" if section else "",
    ]
    head.append(f"<span>cites {_e(cites)}</span>" if cites else "<span>uncited</span>")
    reason, slot = _slot(c)
    return (
        f'<article class="{tone}" id="{_e(c["id"])}"><header>{"".join(head)}</header>'
        f'<div class="pair"><div><h3>You write</h3><p>{_marked(c["text"], _side(c["reason"], "claim"))}</p></div>'
        f"<div><h3>The source</h3>{_passages(c, names)}</div></div>"
        f'<p class="slot"><b>{_e(slot)}:</b> {_e(reason)}</p>'
        + (f'<p class="mend"><b>Mend:</b> {_e(c["mend"])}</p>' if c["mend"] else "")
        + "</article>"
    )


def _slot(c: Mapping[str, Any]) -> tuple[str, str]:
    """(the line, its label): the deciding slot named once."""
    slot = c["slot"]
    reason = str(c["reason"])
    if c["verdict"] == "SUPPORTED":
        reason = reason.partition(": “")[0]  # the passage stands beside the claim already
    if slot and reason.startswith(f"{slot}: "):
        return reason[len(slot) + 2 :], f"Decided by {slot}"
    return reason, f"Decided by {slot}" if slot else "Reason"


def _side(reason: str, side: str) -> str:
    pattern = (
        r"the claim says [“\"]?(.+?)[”\"]?, the source says" if side == "claim" else r"the source says [“\"]?([^(]+?)[”\"]?\s*(?:\(|$|;)"
    )
    found = re.search(pattern, reason)
    return found.group(1).strip() if found else ""


def _marked(text: str, piece: str) -> str:
    """Escaped text with the deciding words underlined, where they stand in it literally."""
    at = text.find(piece) if piece else -1
    if at < 0:
        return _e(text)
    return f"{_e(text[:at])}<mark>{_e(piece)}</mark>{_e(text[at + len(piece) :])}"


def _passages(c: Mapping[str, Any], names: Mapping[str, Any]) -> str:
    quotes = [e for e in c["evidence"] if "quote" in e]
    if not quotes:
        looked = f"Looked at: {', '.join(c['looked_at'])}." if c["looked_at"] else "No source was there to look at."
        return f'<p class="quiet">{_e(looked)}</p>'
    out = []
    for e in quotes[:2]:
        source = names.get(e["paper"])
        basis = "" if source is None or source["basis"] == "full_text" else f", {source['basis'].replace('_', ' ')}"
        name = source["file"] if source else e["paper"]
        section = f", {e['section'].split(' / ')[-1]}" if e["section"] else ""
        out.append(
            f"<blockquote>{_marked(' '.join(e['quote'].split()), _side(c['reason'], 'source'))}</blockquote>"
            f"<small>{_e(name)}{_e(basis)}{_e(section)}, characters {e['start']}–{e['end']}</small>"
        )
    return "".join(out)


def _references(references: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for r in references:
        tone = "bad" if r["fault"] else ("good" if r["status"] == "resolved" else "open")
        mend = f"<br><b>Mend:</b> {_e(r['mend'])}" if r["mend"] else ""
        rows.append(
            [_e(r["key"]), f'<span class="{tone}">{_e(r["status"].replace("_", " "))}</span>', _e(r["detail"]) + mend, str(r["cited"])]
        )
    return f"<section><h2>References</h2>{_table(['Key', 'Status', 'What is known', 'Cited'], rows)}</section>" if rows else ""


def _bibliography(b: Mapping[str, Any]) -> str:
    rows = [[_e(p["key"]), _e(f"{p['file']}, line {p['line']}"), _e(p["problem"])] for p in b["problems"]]
    if not rows:
        return ""
    return f"<section><h2>Entries of the bibliography to mend</h2>{_table(['Key', 'Where', 'What is wrong'], rows)}</section>"


def _sources(body: Mapping[str, Any]) -> str:
    rows = [
        [_e(s["file"]), _e(s["title"]), _e(s["basis"].replace("_", " ")), _e(", ".join(s["keys"]) or "not cited")] for s in body["sources"]
    ]
    return f"<section><h2>Sources that were read</h2>{_table(['File', 'Title', 'Read as', 'Stands for'], rows)}</section>" if rows else ""


def _notes(s: Mapping[str, Any]) -> str:
    n = s["own_figures"]
    own = f" {n} sentence{' states' if n == 1 else 's state'} the authors’ own figures and stood outside the comparison." if n else ""
    return (
        '<p class="meta">A verdict depends on the claim, the given text and the verifier’s version only. “Unresolved” and “not found” accuse nobody: a person '
        f"decides. “Not run” means that the cited source was not there.{_e(own)}</p>"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_e(h)}</th>' for h in header)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

"""`sovereign check`: the face of sovereign.checking. Imports what it needs when it runs; refuses logic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sovereign.cli import show

_MARKS = {
    "SUPPORTED": "✓",
    "CONTRADICTED": "✗",
    "QUALIFIED": "✗",
    "NOT_CHECKABLE": "·",
    "NOT_FOUND": "?",
    "UNRESOLVED": "?",
    "NOT_RUN": "–",
}


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(
    file: Annotated[Path, typer.Argument(help="Your manuscript: Markdown, LaTeX, PDF, HTML or text.")],
    bib: Annotated[
        Path | None, typer.Option(help="BibTeX file. Default: the one that the manuscript names and that lies beside it.")
    ] = None,
    against: Annotated[list[Path] | None, typer.Option(help="Files or folders with the cited works; may be repeated.")] = None,
    sources: Annotated[
        str,
        typer.Option(
            help="Comma list. local: your library (default). arxiv, openalex, crossref, datacite, semantic_scholar: ask about the references."
        ),
    ] = "local",
    html: Annotated[Path | None, typer.Option("--html", help="Write a report with the passage beside each claim.")] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", help="Write SARIF 2.1.0 for an editor or CI.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", help="Where everything is kept. Default: $SOVEREIGN_HOME, else the platform's data folder."),
    ] = None,
) -> None:
    """Every claim of your manuscript against what it cites, and every reference. Exit code 1: something to mend; 3: something not decided."""
    from sovereign import checking
    from sovereign.settings import load

    names = [s.strip() for s in sources.split(",") if s.strip()] or ["local"]
    report = checking.check(load(workspace), file, bib=bib, against=against or [], sources=names, progress=show.bar())
    body: Any = report.body
    if html is not None:
        from sovereign.press.check_report import page

        _write(html, page(body))
    if sarif is not None:
        from sovereign.press.sarif import log

        _write(sarif, json.dumps(log(body), ensure_ascii=False, indent=2, sort_keys=True) + "\n")
    if json_:
        show.as_json(body)
    else:
        _say(body, [p for p in (html, sarif) if p is not None])
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _write(target: Path, text: str) -> None:
    from sovereign.errors import BadInput

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise BadInput(f"{target} cannot be written: {exc.strerror}.", mend="Choose another file.", subject=str(target)) from exc


def _say(body: Any, written: list[Path]) -> None:
    summary = body["summary"]
    show.say(f"{body['manuscript']['title'] or body['manuscript']['name']}")
    for c in body["claims"]:
        place = c["location"]
        at = f"{place['file']}:{place['line']}:{place['column']}" if place else (c["section"].split(" / ")[-1] or "text")
        cites = ", ".join([*c["cites"], *c["unmatched"]]) or "uncited"
        show.say(f"\n{_MARKS[c['verdict']]} {c['verdict']:<13} {at}  [{cites}]")
        show.say(f"  {c['text']}")
        if c["verdict"] != "SUPPORTED":
            show.say(f"  {c['reason']}")
        quote = next((e["quote"] for e in c["evidence"] if "quote" in e), None)
        if quote and c["verdict"] not in ("SUPPORTED", "NOT_CHECKABLE"):
            show.say(f"  source: “{' '.join(quote.split())}”")
        if c["mend"]:
            show.say(f"  mend: {c['mend']}")
    show.say("\nReferences")
    for r in body["references"]:
        mark = "✗" if r["fault"] else ("✓" if r["status"] == "resolved" else "?")
        show.say(f"{mark} {r['key']}: {r['status'].replace('_', ' ')}; {r['detail']}" + (f"\n  mend: {r['mend']}" if r["mend"] else ""))
    for p in body["bibliography"]["problems"]:
        show.say(f"! {p['file']}:{p['line']} {p['key']}: {p['problem']}")
    for s in body["skipped"]:
        show.say(f"! {s['what']} was not read: {s['reason']}")
    show.say(
        f"\n{summary['claims']} claims: {summary['supported']} supported, {summary['contradicted']} contradicted, {summary['qualified']} qualified, "
        f"{summary['unresolved']} unresolved, {summary['not_found']} not found, {summary['not_checkable']} not checkable, {summary['not_run']} not run"
    )
    show.say(
        f"{summary['references']['resolved']} of {summary['references']['cited']} cited references resolved. Answer: {summary['answer']}."
    )
    for path in written:
        show.say(f"written: {path}")

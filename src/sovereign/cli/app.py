"""The commands. Every one takes --json and --workspace; every body imports what it needs when it runs. Refuses logic: that lives below wiring."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sovereign.cli import show

app = typer.Typer(
    name="sovereign",
    help="An owner-gated research kernel: ask a question, get a short paper in which every sentence leads to its evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
library_app = typer.Typer(help="Your own papers: add, list, search.", no_args_is_help=True, rich_markup_mode=None)
runs_app = typer.Typer(help="Durable runs: list, show, resume, replay, export.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(library_app, name="library")
app.add_typer(runs_app, name="runs")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Home = Annotated[
    Path | None, typer.Option("--workspace", help="Where everything is kept. Default: $SOVEREIGN_HOME, else the platform's data folder.")
]


def settings(workspace: Path | None, **overrides: Any) -> Any:
    from sovereign.settings import load

    return load(workspace, **overrides)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", "-V", help="Show the version.")] = False) -> None:
    if version:
        from sovereign.version import __version__

        show.say(f"sovereign {__version__}")
        raise typer.Exit


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The research question.")],
    sources: Annotated[str, typer.Option(help="Comma list: local, arxiv, semantic_scholar, openalex, crossref, datacite.")] = "",
    library: Annotated[
        list[str] | None, typer.Option(help="Files, folders, arXiv ids or DOIs to add to the library first; may be repeated.")
    ] = None,
    lab: Annotated[str | None, typer.Option(help="off, smoke, standard or gpu: whether experiments may be run.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A language model; none is needed. Repeated: further models review beside it, the same name again with another seed."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the draft. Default: inside the workspace.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Open no network connection.")] = False,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """The main job: a draft in which every sentence leads to its evidence, and what could not be found out."""
    from sovereign import wiring
    from sovereign.errors import SettingsInvalid

    if lab not in (None, "off", "smoke", "standard", "gpu"):
        raise SettingsInvalid(f"--lab {lab!r} is not known.", mend="Known: off, smoke, standard, gpu.")
    chosen = settings(workspace, offline=offline or None)
    names = [s.strip() for s in sources.split(",") if s.strip()] or list(chosen.sources)
    found = wiring.ask(
        chosen,
        question,
        sources=names,
        library=library or [],
        lab=lab,
        model=model[0] if model else None,
        reviewers=model[1:] if model else None,
        out=out,
        progress=show.Stations(),
        adding=show.bar(),
        told=show.estimate,
    )
    _end(found, json_)


def _end(found: Any, json_: bool) -> None:
    """Shows a run; exit code 3 when something that the gate needs was not run."""
    if json_:
        show.as_json(found.as_json())
    elif "draft" in found.body:
        show.result(found.body, {n: str(p) for n, p in found.files.items()}, found.state)
    else:
        show.say(f"run {found.run_id}: {found.state.replace('_', ' ')}")
        show.say(f"  question  {found.body['question']}")
        show.say(f"  steps     {', '.join(found.body['steps']) or 'none finished'}")
        if "error" in found.body:
            show.say(f"  error     {found.body['error']}")
        show.say(f"  go on     sovereign runs resume {found.run_id}")
    if any(c["state"] == "NOT_RUN" for c in found.body.get("checks", [])):
        raise typer.Exit(3)


@app.command()
def verify(
    claim: Annotated[str, typer.Argument(help="One statement.")],
    against: Annotated[list[Path], typer.Option(help="A source: PDF, HTML, LaTeX, Markdown, text. May be repeated.")],
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """One claim against given sources: verdict, level, probability, spans. Exit code 1 when the sources contradict it."""
    from sovereign import wiring
    from sovereign.kernel.verify import make_claim, verify_claim
    from sovereign.press.contract import verdict
    from sovereign.records import Verdict

    chosen = settings(workspace)
    ruling = verify_claim(make_claim(claim), wiring.documents_from(chosen, against), extra=wiring.verifiers_of(chosen.entailment))
    if json_:
        show.as_json({"claim": claim, **verdict(ruling)})
    else:
        probability = "" if ruling.probability is None else f", probability {ruling.probability:.3f}"
        show.say(
            f"{ruling.verdict.value} ({ruling.level.label}{probability}; basis: {ruling.basis.value.replace('_', ' ') if ruling.basis else 'none'})"
        )
        show.say(f"  {ruling.reason}")
        for evidence in ruling.evidence:
            if evidence.span is not None:
                span = evidence.span
                show.say(f"  {evidence.stance.value.lower()}: “{span.quote}”")
                show.say(f"    {span.paper_id}{', ' + span.section if span.section else ''}, characters {span.start}–{span.end}")
    if ruling.verdict is Verdict.CONTRADICTED:
        raise typer.Exit(1)


# --- library ---


@library_app.command("add")
def library_add(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, arXiv ids or DOIs.")], json_: Json = False, workspace: Home = None
) -> None:
    """Adds papers: PDF, HTML, LaTeX, Markdown, text, BibTeX, metadata JSONL, folders. Adding again changes nothing."""
    from sovereign import wiring

    chosen = settings(workspace)
    with wiring.workspace(chosen) as ws:
        wiring.ensure_default_library(ws, chosen, show.bar())
        report = wiring.add_to_library(ws, chosen, paths, show.bar())
        papers, documents = ws.library.count()
    body: dict[str, Any] = {
        "files": report.files,
        "new_papers": report.new_papers,
        "new_documents": report.new_documents,
        "unchanged": report.unchanged,
        "skipped": [{"what": w, "reason": r} for w, r in report.skipped],
        "skipped_count": sum(report.by_reason.values()),
        "papers": papers,
        "documents": documents,
    }
    if json_:
        show.as_json(body)
    else:
        show.say(
            f"{report.new_papers} new papers, {report.new_documents} new documents, {report.unchanged} unchanged; the library holds {papers} papers."
        )
        for what, reason in report.skipped[:20]:
            show.say(f"  skipped {what}: {reason}")
        if len(report.skipped) > 20:
            show.say(f"  … and {body['skipped_count'] - 20} more; --json lists them.")
    if report.skipped and not (report.new_papers or report.new_documents or report.unchanged):
        raise typer.Exit(2)


@library_app.command("list")
def library_list(
    n: Annotated[int, typer.Option("-n", help="How many to show; 0 for all.")] = 50, json_: Json = False, workspace: Home = None
) -> None:
    """The papers of the library."""
    from sovereign import wiring

    chosen = settings(workspace)
    with wiring.workspace(chosen) as ws:
        wiring.ensure_default_library(ws, chosen, show.bar())
        papers = list(ws.library.papers())
        rows: list[dict[str, Any]] = [
            {
                "paper_id": p.paper_id,
                "title": p.title,
                "year": p.year,
                "kind": p.kind.value,
                "basis": [b.value for _, b in ws.library.documents_of(p.paper_id)],
            }
            for p in (papers if n == 0 or json_ else papers[-n:])
        ]
    if json_:
        show.as_json(rows)
        return
    show.table(
        ("Id", "Year", "Kind", "Read", "Title"), [(r["paper_id"], r["year"], r["kind"], ", ".join(r["basis"]), r["title"]) for r in rows]
    )
    show.say(f"{len(papers)} papers.")


@library_app.command("search")
def library_search(
    query: str, k: Annotated[int, typer.Option("-k", help="How many passages.")] = 10, json_: Json = False, workspace: Home = None
) -> None:
    """Hybrid search over the passages of the library."""
    from sovereign import wiring

    chosen = settings(workspace)
    with wiring.workspace(chosen) as ws:
        wiring.ensure_default_library(ws, chosen, show.bar())
        rows = wiring.nearest_passages(ws, query, k)
    if json_:
        show.as_json(rows)
        return
    for r in rows:
        show.say(f"{r['score']:.3f}  {r['title']}  ({r['paper_id']}{', ' + r['section'] if r['section'] else ''})")
        show.say(f"       {r['text'][:300]}{'…' if len(r['text']) > 300 else ''}")
    if not rows:
        show.say("Nothing in the library matches.")


@library_app.command("reindex")
def library_reindex(json_: Json = False, workspace: Home = None) -> None:
    """Builds the search index again from the records."""
    from sovereign import wiring

    chosen = settings(workspace)
    with wiring.workspace(chosen) as ws:
        wiring.ensure_default_library(ws, chosen, show.bar())
        wiring.index_of(ws).rebuild(show.bar())
        papers, documents = ws.library.count()
    if json_:
        show.as_json({"papers": papers, "documents": documents})
    else:
        show.say(f"Indexed {documents} documents of {papers} papers.")


# --- runs ---


@runs_app.command("list")
def runs_list(json_: Json = False, workspace: Home = None) -> None:
    """All runs, newest first."""
    from sovereign import wiring

    with wiring.workspace(settings(workspace)) as ws:
        rows = [
            {"run_id": r.run_id, "state": r.state, "created_at": r.created_at, "question": r.question, "error": r.error}
            for r in ws.runs.list()
        ]
    if json_:
        show.as_json(rows)
    elif rows:
        show.table(
            ("Run", "State", "Begun", "Question"),
            [(r["run_id"], r["state"].replace("_", " "), r["created_at"], r["question"]) for r in rows],
        )
    else:
        show.say('No runs yet. Try: sovereign ask "How does SMoES change TTFT and TPOT on MMMU?"')


@runs_app.command("show")
def runs_show(run: str, json_: Json = False, workspace: Home = None) -> None:
    """One run: its answer, decision and files."""
    from sovereign import wiring

    with wiring.workspace(settings(workspace)) as ws:
        found = wiring.load(ws, run)
    _end(found, json_)


@runs_app.command("resume")
def runs_resume(run: str, out: Annotated[Path | None, typer.Option()] = None, json_: Json = False, workspace: Home = None) -> None:
    """Goes on with a killed or failed run; finished stations are not repeated."""
    from sovereign import wiring

    _end(wiring.resume(settings(workspace), run, out=out, progress=show.Stations()), json_)


@runs_app.command("replay")
def runs_replay(run: str, json_: Json = False, workspace: Home = None) -> None:
    """Derives a finished run again, offline, and compares every step bit for bit. Exit code 1 when anything differs."""
    from sovereign import wiring

    done = wiring.replay(settings(workspace), run)
    different = [c for c in done.compared if c[1] != c[2]]
    if json_:
        show.as_json(
            {
                "run_id": run,
                "same": done.same,
                "steps": [{"step": s, "recorded": a, "derived": b, "same": a == b} for s, a, b in done.compared],
            }
        )
    else:
        for step, recorded, derived in done.compared:
            show.say(
                f"  {'same     ' if recorded == derived else 'DIFFERENT'} {step:<14} {recorded[:16]}"
                + ("" if recorded == derived else f" ≠ {derived[:16]}")
            )
        show.say(f"{len(done.compared)} steps, all the same." if done.same else f"{len(different)} of {len(done.compared)} steps differ.")
    if not done.same:
        raise typer.Exit(1)


# --- this machine ---


@app.command()
def doctor(json_: Json = False, workspace: Home = None) -> None:
    """What works here, and how to mend what does not. Exit code 3 when something needed is missing."""
    from sovereign.cli.doctor import examine

    found = examine(settings(workspace))
    if json_:
        show.as_json({"checks": found, "ok": all(c["state"] != "missing" for c in found)})
    else:
        for c in found:
            mark = {"ok": "✓", "optional": "·", "missing": "✗"}[c["state"]]
            show.say(f"  {mark} {c['what']:<26} {c['detail']}" + (f"\n      mend: {c['mend']}" if c["mend"] else ""))
    if any(c["state"] == "missing" for c in found):
        raise typer.Exit(3)


# --- the owner's gate ---

from sovereign.cli import lab as _lab  # noqa: E402
from sovereign.cli.owner import register  # noqa: E402

register(app)
_lab.register(app)


# --- doors for other tools, and many questions ---

from sovereign.cli import doors as _doors  # noqa: E402

_doors.register(app)


# --- your own manuscript ---

from sovereign.cli import check as _check  # noqa: E402

_check.register(app)

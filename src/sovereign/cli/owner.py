"""The owner's commands: review, publish, audit, serve, export, policy, refresh. A thin face over gate and wiring; every body imports what it needs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sovereign.cli import show

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
Home = Annotated[
    Path | None, typer.Option("--workspace", help="Where everything is kept. Default: $SOVEREIGN_HOME, else the platform's data folder.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `runs list` shows it.")]
Note = Annotated[str, typer.Option("--note", help="For people; kept with the decision and never interpreted.")]
Unsigned = Annotated[bool, typer.Option("--unsigned", help="Do not sign, although there is a key; only a refusal may be so.")]

review_app = typer.Typer(
    help="The owner's gate: list, show, approve, reject, revise, correct.", no_args_is_help=True, rich_markup_mode=None
)
audit_app = typer.Typer(
    help="Checks chains, blobs, texts, quotes, trials, files and signatures.", no_args_is_help=True, rich_markup_mode=None
)
policy_app = typer.Typer(help="What the policy decided and why; trying a rule file.", no_args_is_help=True, rich_markup_mode=None)
sources_app = typer.Typer(help="The sources that drafts rest on.", no_args_is_help=True, rich_markup_mode=None)
FORMATS = ("json", "md", "html", "pdf", "bib", "ris", "csl", "crate", "bundle")


def register(app: typer.Typer) -> None:
    """Adds the owner's commands to the command line."""
    runs = next((g.typer_instance for g in app.registered_groups if g.name == "runs"), None)
    for name, group in (("review", review_app), ("audit", audit_app), ("policy", policy_app), ("sources", sources_app)):
        app.add_typer(group, name=name)
    app.command("publish")(publish)
    app.command("serve")(serve)
    if runs is not None:
        runs.command("export")(export)


def _settings(workspace: Path | None) -> Any:
    from sovereign.settings import load

    return load(workspace)


def _passphrase(settings: Any, *, demanded: bool, key: bool) -> str | None:
    """From the environment, else asked on the terminal; None when nobody can be asked."""
    if settings.key_passphrase is not None:
        return str(settings.key_passphrase.get_secret_value())
    if not key or not sys.stdin.isatty():
        return None
    asked = "Passphrase of the owner key" + ("" if demanded else " (empty: leave this decision unsigned)")
    given = str(typer.prompt(asked, hide_input=True, default="", show_default=False, err=True))
    return given or None


# --- review ---


@review_app.command("init")
def review_init(
    replace: Annotated[bool, typer.Option("--replace", help="Make another key; what the old one signed stays valid.")] = False,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Makes the owner key (Ed25519), protected by a passphrase. An approval needs it."""
    from sovereign import gate, wiring
    from sovereign.errors import BadInput
    from sovereign.kernel.publish import fingerprint

    chosen = _settings(workspace)
    if chosen.key_passphrase is not None:
        passphrase = chosen.key_passphrase.get_secret_value()
    elif sys.stdin.isatty():
        passphrase = typer.prompt("Passphrase for the new owner key", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise BadInput("No passphrase was given.", mend="Run this on a terminal, or set SOVEREIGN_KEY_PASSPHRASE.")
    with wiring.workspace(chosen) as ws:
        public = gate.create_key(ws, passphrase, owner=chosen.owner, replace=replace)
    if json_:
        show.as_json({"public_key": public, "fingerprint": fingerprint(public), "file": str(chosen.home / "keys" / "owner.pem")})
    else:
        show.say(f"Owner key made: {chosen.home / 'keys' / 'owner.pem'}")
        show.say(f"  fingerprint  {fingerprint(public)}")
        show.say("  Keep the passphrase: nobody can recover it. Give the fingerprint to those who should verify your signatures.")


@review_app.command("list")
def review_list(json_: Json = False, workspace: Home = None) -> None:
    """What waits for the owner, oldest first; then everything else."""
    from sovereign import gate, wiring

    with wiring.workspace(_settings(workspace)) as ws:
        rows = gate.queue(ws)
    if json_:
        show.as_json(rows)
        return
    waiting = [r for r in rows if r["state"] == "waiting_for_owner"]
    shown = [
        (
            r["run_id"],
            r["state"].replace("_", " "),
            _policy_word(r),
            f"{r['score']:.2f}" if "score" in r else "",
            r.get("title") or r["question"],
        )
        for r in rows
    ]
    if rows:
        show.table(("Run", "State", "Policy", "Score", "Draft"), shown)
    show.say(f"{len(waiting)} waiting for your decision." + (f" Next: sovereign review show {waiting[0]['run_id']}" if waiting else ""))


def _policy_word(row: dict[str, Any]) -> str:
    if "broken" in row:
        return "BROKEN"
    return ("DEGRADED, " if row.get("gaps") else "") + str(row["policy"]["rule"]) if "policy" in row else ""


@review_app.command("show")
def review_show(run: Run, json_: Json = False, workspace: Home = None) -> None:
    """One draft as the owner should see it: the reasons first, the degraded checks before all, then every claim with its passage."""
    from sovereign import gate, wiring

    with wiring.workspace(_settings(workspace)) as ws:
        seen = gate.overview(ws, run)
        held = gate.held(ws, run)
        body, folder = held.body, ws.run_folder(run)
    if json_:
        show.as_json({**seen, "draft": body["draft"], "claims_list": body["claims"]})
        return
    show.say(f"{seen['title']}\n  {seen['question']}\n  run {run}: {seen['state'].replace('_', ' ')}\n")
    for r in seen["reasons"]:
        mark = {"degraded": "!!", "flagged": "!!", "failed": "! "}.get(r["weight"], "  ")
        show.say(f" {mark} {r['weight']:<9} {r['title']}\n              {r['text']}")
    show.say(
        f"\n  tribunal {seen['score']:.2f} of 10, {seen['tribunal']}; {seen['facets_answered'][0]} of {seen['facets_answered'][1]} parts answered\n"
    )
    claims = {c["id"]: c for c in body["claims"]}
    for sentence in [*body["draft"]["abstract"], *(s for x in body["draft"]["sections"] for s in x["sentences"])]:
        if sentence["kind"] != "claim":
            continue
        show.say(f"  {sentence['sentence_id']}  {sentence['text']}")
        for cid in sentence["claims"]:
            c = claims[cid]
            show.say(f"        {cid} {c['verdict']} {c['level']}: {c['reason'][:160]}")
            for e in (e for e in c["evidence"][:2] if "quote" in e):
                show.say(f"          {e['paper']} {e['start']}–{e['end']}: “{e['quote']}”")
    for d in seen["decisions"]:
        show.say(f"\n  decided: {d['decision'].replace('_', ' ')} by {d['owner']} at {d['at']}" + (f": {d['note']}" if d["note"] else ""))
    show.say(f"\n  PDF  {folder / 'draft.pdf'}")
    if seen["state"] == "waiting_for_owner":
        waive = ' --waive "REASON naming: ' + "; ".join(seen["gaps"]) + '"' if seen["gaps"] else ""
        show.say(f"  sovereign review approve {run}{waive}   or: reject {run} --note …   or: revise {run} --note …")


@review_app.command("approve")
def review_approve(
    run: Run,
    note: Note = "",
    waive: Annotated[str, typer.Option("--waive", help="Why a degraded draft may leave; names every gap.")] = "",
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Signs the exact bytes of a draft and its evidence. Nothing is published by this."""
    _decide(run, "approved", note, waive, json_, workspace)


@review_app.command("reject")
def review_reject(run: Run, note: Note = "", unsigned: Unsigned = False, json_: Json = False, workspace: Home = None) -> None:
    """Refuses a draft; recorded like a consent."""
    _decide(run, "rejected", note, "", json_, workspace, unsigned=unsigned)


@review_app.command("revoke")
def review_revoke(run: Run, note: Note = "", json_: Json = False, workspace: Home = None) -> None:
    """Takes an approval back. What was published stays on record; it cannot be published again."""
    _decide(run, "revoked", note, "", json_, workspace)


def _decide(run: str, choice: str, note: str, waive: str, json_: bool, workspace: Path | None, *, unsigned: bool = False) -> None:
    from sovereign import gate, wiring
    from sovereign.kernel.review import Choice

    chosen = _settings(workspace)
    with wiring.workspace(chosen) as ws:
        demanded = choice in ("approved", "revoked")
        phrase = None if unsigned else _passphrase(chosen, demanded=demanded, key=gate.has_key(ws))
        signed = gate.decide(ws, run, Choice(choice), note=note, waive=waive, passphrase=phrase, owner=chosen.owner)
    _told(run, signed, json_)


def _told(run: str, signed: Any, json_: bool, **more: Any) -> None:
    from sovereign import seal

    s = signed.statement
    if json_:
        show.as_json({"run_id": run, "decision": s.decision, "signed": signed.signature is not None, **seal.plain(signed), **more})
        return
    show.say(f"Run {run}: {s.decision.replace('_', ' ')} by {s.owner}, {'signed' if signed.signature else 'recorded unsigned'}.")
    if s.decision == "approved":
        show.say(f"  Publish it: sovereign publish {run} --site DIR")


@review_app.command("revise")
def review_revise(
    run: Run,
    note: Note,
    unsigned: Unsigned = False,
    later: Annotated[bool, typer.Option("--later", help="Only begin the new run; do it with `runs resume`.")] = False,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Sends a draft back and runs the same question anew. The note is kept with both runs; it steers nothing by itself."""
    from sovereign import gate, wiring

    chosen = _settings(workspace)
    with wiring.workspace(chosen) as ws:
        phrase = None if unsigned else _passphrase(chosen, demanded=False, key=gate.has_key(ws))
        signed, new_run = gate.send_back(ws, run, note=note, passphrase=phrase, owner=chosen.owner)
    state = "running"
    if not later:
        state = wiring.resume(chosen, new_run, progress=show.Stations()).state
    _told(run, signed, json_, new_run=new_run, new_state=state)
    if not json_:
        show.say(f"  The new run is {new_run} ({state.replace('_', ' ')}).")


@review_app.command("correct")
def review_correct(
    run: Run,
    type: Annotated[str, typer.Option("--type", help="METADATA, ARTIFACT, CLAIM, BENCHMARK, PROVENANCE or QUALITY_ASSESSMENT.")],
    note: Note,
    claim: Annotated[str, typer.Option("--claim", help="The claim it is about.")] = "",
    source: Annotated[str, typer.Option("--source", help="The flagged source it answers.")] = "",
    superseded_by: Annotated[str, typer.Option("--superseded-by", metavar="RUN", help="The run that takes its place.")] = "",
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Adds a correction beside a decided record; nothing is rewritten. Publish again to show it in the archive."""
    from sovereign import gate, seal, wiring

    chosen = _settings(workspace)
    with wiring.workspace(chosen) as ws:
        made = gate.correct(ws, run, type=type, note=note, claim=claim, source=source, superseded_by=superseded_by, owner=chosen.owner)
    if json_:
        show.as_json(seal.plain(made))
    else:
        show.say(f"Correction ({made.type.value}) added to run {run}.")


# --- publish, audit, export ---


def publish(
    run: Run,
    site: Annotated[Path, typer.Option("--site", help="Folder of the static site; made when it is not there.")],
    zenodo: Annotated[
        bool, typer.Option("--zenodo", help="Also make a draft deposition at Zenodo (SOVEREIGN_ZENODO_TOKEN); never published by us.")
    ] = False,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Renders an approved run into a static archive. Refuses without a signature over exactly these bytes."""
    from sovereign import gate, wiring

    chosen = _settings(workspace)
    with wiring.workspace(chosen) as ws:
        written = dict(gate.publish(ws, run, site))
    if zenodo:
        from sovereign.archive.zenodo import deposit

        written["zenodo"] = deposit(chosen, site / "records" / run)
    if json_:
        show.as_json(written)
        return
    show.say(f"Published: {written['page']}")
    show.say(f"  verify it anywhere: sovereign audit verify {site / 'records' / run}")
    if "zenodo" in written:
        show.say(f"  Zenodo draft {written['zenodo']['id']}: {written['zenodo']['html']} (review and publish it there yourself)")


@audit_app.command("verify")
def audit_verify(
    what: Annotated[str, typer.Argument(metavar="[RUN|PATH]", help="A run, or a folder: a bundle, a published record, a site.")] = "",
    key: Annotated[str, typer.Option("--key", help="The owner's fingerprint as you know it; for folders.")] = "",
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Compares everything with its digest and says where it differs. Exit code 1 when anything does."""
    from sovereign import gate, wiring

    folder = Path(what) if what and Path(what).is_dir() else None
    if folder is not None:
        report = gate.audit_folder(folder, key=key)
    else:
        with wiring.workspace(_settings(workspace)) as ws:
            report = gate.audit_workspace(ws, what or None)
    if json_:
        show.as_json(report.as_json())
    else:
        for where, text in report.problems:
            show.say(f"  ✗ {where}: {text}")
        counted = ", ".join(f"{n} {name}" for name, n in sorted(report.counts.items()))
        show.say(f"{'Sound' if report.sound else 'BROKEN'}: {counted or 'nothing to compare'} compared, {len(report.problems)} problems.")
        if report.withheld:
            show.say(f"  {report.withheld} records are named by digest and not included (texts of sources).")
        for k in report.as_json()["keys"]:
            show.say(f"  owner key {k}" + ("" if key or folder is None else "  (compare it with what the owner told you, or give --key)"))
    if not report.sound:
        raise typer.Exit(1)


def export(
    run: Run,
    format: Annotated[str, typer.Option("--format", help="json, md, html, pdf, bib, ris, csl, crate or bundle.")],
    out: Annotated[Path | None, typer.Option("--out", help="File, or folder for a bundle. Default: standard output for texts.")] = None,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """One run in one format. A bundle can be audited anywhere: sovereign audit verify FOLDER."""
    from sovereign import gate, wiring
    from sovereign.errors import BadInput, UnknownName

    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    with wiring.workspace(_settings(workspace)) as ws:
        held = gate.held(ws, run)
        if format == "bundle":
            written = gate.export_bundle(ws, run, out or Path(f"{run}-bundle"))
            body = b""
        else:
            body = _exported(held, format)
    if format != "bundle":
        if out is None:
            if format == "pdf":
                raise BadInput("A PDF needs a file.", mend="Give --out FILE.pdf.")
            if not json_:
                sys.stdout.buffer.write(body)
                return
            show.as_json({"run_id": run, "format": format, "body": body.decode()})
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(body)
        written = out
    if json_:
        show.as_json({"run_id": run, "format": format, "path": str(written)})
    else:
        show.say(f"Written: {written}")


def _exported(held: Any, format: str) -> bytes:
    from sovereign import seal
    from sovereign.archive import citations

    named = {"json": "draft.json", "md": "draft.md", "html": "draft.html", "pdf": "draft.pdf", "bib": "references.bib"}
    if format in named:
        return bytes(held.ws.blobs.get(held.files[named[format]]))
    if format in ("ris", "csl"):
        return citations.export(held.cited, format)
    from sovereign.archive.crate import crate

    return seal.pretty(crate(held.body, held.cited, {n: held.ws.blobs.get(d) for n, d in held.files.items()})).encode()


# --- policy ---


@policy_app.command("explain")
def policy_explain(run: Run, json_: Json = False, workspace: Home = None) -> None:
    """Why the policy decided as it did on a run: the facts it saw and the rule that fired."""
    from sovereign import seal, wiring
    from sovereign.errors import NotFound
    from sovereign.kernel import policy

    chosen = _settings(workspace)
    with wiring.workspace(chosen) as ws:
        ws.runs.get(run)
        events = ws.ledger.events(run, "policy_decided")
        flagged = [dict(e.body) for e in ws.ledger.events(run, "source_flagged")]
    if not events:
        raise NotFound(f"The policy has not decided on run {run} yet.", mend=f"Finish it: sovereign runs resume {run}")
    body = {**events[-1].body, "flagged_since": flagged}
    if flagged:
        text = wiring.policy_text(chosen)
        papers = {f["paper"] for f in flagged}
        facts = {**body["facts"], "flagged_sources": max(len(papers), int(body["facts"].get("flagged_sources") or 0))}
        body["now"] = seal.plain(policy.decide(facts, policy.parse(text), policy_sha256=policy.fingerprint(text)))
    if json_:
        show.as_json(body)
        return
    show.say(f"{body['decision']} by the rule “{body['rule']}”")
    for name, value in sorted(body["facts"].items()):
        show.say(f"  {name:<24} {'unknown' if value is None else value}")
    for f in flagged:
        show.say(f"  since then: {f['paper']} is {', '.join(f['flags'])}; {len(f['claims'])} claims rest on it")
    if "now" in body:
        show.say(f"  with that known, the policy would say {body['now']['decision']} by the rule “{body['now']['rule']}”")


@policy_app.command("test")
def policy_test(
    file: Annotated[Path, typer.Argument(help="A TOML rule file.")],
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Reads a rule file and says what it would decide on every finished run. Changes nothing."""
    from sovereign import wiring
    from sovereign.errors import NotFound
    from sovereign.kernel import policy

    if not file.is_file():
        raise NotFound(f"{file} is not a file.", subject=str(file))
    rules = policy.parse(file.read_text(encoding="utf-8"))
    rows = []
    with wiring.workspace(_settings(workspace)) as ws:
        for row in ws.runs.list():
            for event in ws.ledger.events(row.run_id, "policy_decided")[-1:]:
                now = policy.decide(event.body["facts"], rules)
                rows.append({"run_id": row.run_id, "was": event.body["decision"], "would_be": now.decision.value, "rule": now.rule})
    if json_:
        show.as_json({"rules": [r.name for r in rules], "runs": rows})
        return
    show.say(f"{len(rules)} rules can be read.")
    if rows:
        show.table(("Run", "Was", "Would be", "By"), [(r["run_id"], r["was"], r["would_be"], r["rule"]) for r in rows])


# --- sources, console ---


@sources_app.command("refresh")
def sources_refresh(
    flag: Annotated[
        list[str] | None, typer.Option("--flag", metavar="ID=FLAG", help="Say it yourself: arxiv:2401.1=retracted. Asks no service.")
    ] = None,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """Asks again what became of every source that drafts rest on, and flags all that rests on a changed one. Exit code 3 when some were not checked."""
    from sovereign import gate, wiring
    from sovereign.errors import BadInput, OutsideFailed
    from sovereign.gate.refresh import ask

    chosen = _settings(workspace)
    with wiring.workspace(chosen) as ws:
        unchecked: list[tuple[str, str]] = []
        checked = 0
        if flag:
            parts = [f.rpartition("=") for f in flag]
            if any(not p or not word for p, _, word in parts):
                raise BadInput("--flag wants ID=FLAG.", mend="For example: --flag arxiv:2604.23996=retracted")
            found: dict[str, tuple[str, ...]] = {}
            for paper, _, word in parts:
                found[paper] = (*found.get(paper, ()), word.strip())
        else:
            found, unchecked, checked = ask(gate.rested_on(ws), chosen)
        rows = gate.flag_sources(ws, found, by="owner" if flag else "services")
    if json_:
        show.as_json({"flags": {p: list(f) for p, f in found.items()}, "checked": checked, "unchecked": dict(unchecked), "runs": rows})
    else:
        for row in rows:
            for f in row["flagged"]:
                show.say(
                    f"  run {row['run_id']} ({row['state'].replace('_', ' ')}): {f['paper']} is {', '.join(f['flags'])}; {len(f['claims'])} claims rest on it"
                )
        for paper, why in unchecked[:20]:
            show.say(f"  not checked: {paper}: {why}")
        show.say(f"{checked} sources checked, {len(unchecked)} not; {len(rows)} runs newly flagged.")
    if unchecked and not checked and not chosen.offline:
        raise OutsideFailed("No source could be checked.", mend="Try again later; nothing was changed.")
    if unchecked:
        raise typer.Exit(3)


def serve(
    port: Annotated[int, typer.Option("--port", help="On 127.0.0.1; 0 takes a free one.")] = 8765,
    json_: Json = False,
    workspace: Home = None,
) -> None:
    """The review console in the browser, and the HTTP API for programs: on this machine only, behind tokens that are shown once."""
    from sovereign.errors import MissingExtra

    chosen = _settings(workspace)
    try:
        from sovereign.web.guard import API, Sessions
        from sovereign.web.server import run
    except ModuleNotFoundError as exc:
        raise MissingExtra("web", "The review console") from exc

    def ready(address: str, token: str) -> None:
        api = {"url": address + API, "token": Sessions(token, 0).api_token}
        if json_:
            sys.stdout.write(json.dumps({"url": address, "token": token, "api": api}) + "\n")
        else:
            show.say(f"Review console: {address}/login#{token}\n  token {token}\n  On this machine only. Stop it with Ctrl-C.")
            show.say(f"HTTP API for programs: {api['url']}\n  token {api['token']}\n  It asks and looks; it cannot decide.")
        sys.stdout.flush()

    run(chosen, port=port, ready=ready)

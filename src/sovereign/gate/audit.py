"""Every link, name, text, quote, trial, file and signature compared with what it should be; says where it differs. Imports records, seal, the rules.

One auditor over anything that holds a run: a workspace, an exported bundle folder, or a published record. It reads raw bytes and trusts none of them:
a text that is no UTF-8, a JSON that is no JSON and a record without its shape are findings, never exceptions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from sovereign import seal
from sovereign.errors import IntegrityBroken, NotFound, SovereignError
from sovereign.gate.holding import KINDS
from sovereign.kernel import publish as rules
from sovereign.kernel.publish import Signature
from sovereign.records import ClaimSet, Document, Executed, Reading, Ruling, Span, Trial
from sovereign.store.ledger import WORKSPACE, Event, verify_chain
from sovereign.store.workspace import Workspace

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One ledger event as raw text. `fault` is set when its bytes were no text."""

    scope: str
    seq: int
    kind: str
    step_key: str | None
    body: str
    previous: str
    hash: str
    fault: str = ""


class Holdings(Protocol):
    """What can be audited. `withheld`: blobs that are named but deliberately not included (the texts of sources in a published record)."""

    withheld: frozenset[str]

    def scopes(self) -> list[str]: ...

    def rows(self, scope: str) -> Iterable[Row]: ...

    def blob(self, digest: str) -> bytes | None: ...

    def blob_names(self) -> Iterable[str]: ...

    def copy_of(self, run_id: str, name: str) -> bytes | None:
        """The printed file as it lies beside the record, None when there is no copy."""
        ...

    def signature_files(self, run_id: str) -> Mapping[str, bytes]: ...

    def trial_file(self, trial_id: str) -> bytes | None: ...

    def keys(self) -> frozenset[str]: ...

    def run_row(self, run_id: str) -> Mapping[str, str] | None: ...

    def more(self) -> Iterable[tuple[str, str]]:
        """Findings that only this kind of holder can have: (where, what)."""
        ...


@dataclass
class Report:
    """problems: (where, what). counts: what was compared, so that an empty audit cannot pass for a clean one."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    withheld: int = 0
    keys: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        return not self.problems and sum(self.counts.values()) > 0

    def found(self, where: str, what: str) -> None:
        if (where, what) not in self.problems:
            self.problems.append((where, what))

    def count(self, what: str, n: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + n

    def as_json(self) -> dict[str, Any]:
        return {
            "sound": self.sound,
            "problems": [{"where": w, "what": t} for w, t in self.problems],
            "checked": dict(sorted(self.counts.items())),
            "withheld": self.withheld,
            "keys": [rules.fingerprint(k) for k in self.keys],
        }


def audit_workspace(ws: Workspace, run_id: str | None = None) -> Report:
    """All of a workspace, or one run with everything it rests on. Raises NotFound for an unknown run."""
    from sovereign.gate.holders import WorkspaceHoldings

    if run_id is not None:
        ws.runs.get(run_id)
    return audit(WorkspaceHoldings(ws), run_id)


def audit_folder(folder: Path, *, key: str = "") -> Report:
    """An exported bundle, a published record or a whole site, without any workspace. Raises NotFound when the folder is none of these.

    key: fingerprint or hex of the owner's key as you know it; without it a signature is checked against the key that the folder itself names.
    """
    from sovereign.gate.holders import FolderHoldings

    if (folder / "records").is_dir() and not (folder / "bundle.json").is_file():
        whole = Report()
        for record in sorted(p for p in (folder / "records").iterdir() if p.is_dir()):
            one = audit_folder(record, key=key)
            whole.problems += [(f"{record.name}: {w}", t) for w, t in one.problems]
            for what, n in one.counts.items():
                whole.count(what, n)
            whole.withheld += one.withheld
            whole.keys = tuple(dict.fromkeys((*whole.keys, *one.keys)))
        return whole
    if not (folder / "bundle.json").is_file():
        raise NotFound(
            f"{folder} holds no bundle.", mend="Give a run id, a folder from `runs export --format bundle`, or a published site."
        )
    report = audit(FolderHoldings(folder))
    if key:
        wanted = key.replace(" ", "").lower()
        if not any(wanted in (k, rules.fingerprint(k).replace(" ", "")) for k in report.keys):
            report.found("signatures", f"none was made with the key {key}")
    return report


def audit(held: Holdings, run_id: str | None = None) -> Report:
    """The whole comparison."""
    report = Report(keys=tuple(sorted(held.keys())))
    scopes = held.scopes()
    chains = {s: _chain(held, s, report) for s in scopes if run_id in (None, s)}
    if run_id is None or WORKSPACE not in scopes:
        _blobs(held, held.blob_names(), report)
    for scope, events in chains.items():
        if scope != WORKSPACE:
            _run(held, scope, events, report)
    if run_id is None:
        for where, what in held.more():
            report.found(where, what)
    return report


def _chain(held: Holdings, scope: str, report: Report) -> list[Event]:
    events: list[Event] = []
    for row in held.rows(scope):
        where = f"ledger {scope}, event {row.seq}"
        if row.fault:
            report.found(where, row.fault)
            continue
        try:
            body = json.loads(row.body)
        except ValueError:
            report.found(where, "its content is not JSON any more")
            continue
        if not isinstance(body, dict) or seal.canonical(body).decode("utf-8", "replace") != row.body:
            report.found(where, "its content was changed")  # 1e5 and 1E5 are one value but not one text
        events.append(Event(row.scope, row.seq, row.kind, body if isinstance(body, dict) else {}, row.previous, row.hash, row.step_key))
    try:
        report.count("ledger events", verify_chain(events))
    except IntegrityBroken as exc:
        report.found(f"ledger {scope}", exc.message)
    except TypeError as exc:
        report.found(f"ledger {scope}", f"an event cannot be hashed: {exc}")
    return events


def _blobs(held: Holdings, names: Iterable[str], report: Report) -> None:
    for digest in names:
        body = held.blob(digest)
        if body is None:
            report.found(f"blob {digest}", "cannot be read")
        elif seal.sha256(body) != digest:
            report.found(f"blob {digest}", "its content does not match its name")
        report.count("blobs")


class _Run:
    """One run under audit: its records by step, loaded without trust."""

    def __init__(self, held: Holdings, run_id: str, report: Report):
        self.held, self.run_id, self.report = held, run_id, report

    def body(self, digest: str, what: str) -> bytes | None:
        """The blob when it is there and matches its name; every failure is a finding, and a withheld one is counted."""
        where = f"run {self.run_id}, {what}"
        body = self.held.blob(digest)
        if body is None:
            if digest in self.held.withheld:
                self.report.withheld += 1
            else:
                self.report.found(where, f"its record {digest} is missing")
            return None
        self.report.count("records")
        if seal.sha256(body) != digest:
            self.report.found(where, f"the content of blob {digest} does not match its name")
            return None
        return body

    def record(self, kind: Any, digest: str, what: str) -> Any:
        body = self.body(digest, what)
        if body is None:
            return None
        try:
            return TypeAdapter(kind).validate_json(body)
        except ValidationError as exc:
            self.report.found(f"run {self.run_id}, {what}", f"the record does not have its shape: {exc.errors()[0]['msg']}")
            return None

    def attempt(self, where: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except (KeyError, TypeError, ValueError, SovereignError) as exc:
            self.report.found(f"run {self.run_id}, {where}", f"cannot be understood: {type(exc).__name__} {exc}")
            return None


def _run(held: Holdings, run_id: str, events: list[Event], report: Report) -> None:
    run = _Run(held, run_id, report)
    steps = {str(e.step_key): str(e.body.get("output")) for e in events if e.kind == "station_done" and e.step_key}
    for e in events:
        if e.kind == "run_started":
            run.body(str(e.body.get("request")), "request")
    records = {k: run.record(KINDS[k.rsplit("-", 1)[0]], d, f"step {k}") for k, d in steps.items() if k.rsplit("-", 1)[0] in KINDS}
    _row(run, events)
    texts = _documents(run, records)
    _spans(run, records, texts)
    _trials(run, records, events)
    files = next((r for k, r in records.items() if k.startswith("press-")), None) or {}
    _files(run, files, texts)
    _signatures(run, events, files)


def _row(run: _Run, events: list[Event]) -> None:
    """The convenience table must say what the chain says."""
    row = run.held.run_row(run.run_id)
    started = next((e for e in events if e.kind == "run_started"), None)
    if row is None or started is None:
        if started is None:
            run.report.found(f"run {run.run_id}", "its ledger does not begin with run_started")
        return
    for name in ("question", "request"):
        if row.get(name) != started.body.get(name):
            run.report.found(f"run {run.run_id}, table runs", f"its {name} is not the one of the ledger")
    said = [e for e in events if e.kind in ("signed", "published")]
    told = ""
    if said:
        last = said[-1]
        decision = last.body.get("statement", {}).get("decision") if last.kind == "signed" else "published"
        told = {"revoked": "rejected"}.get(str(decision), str(decision))
    finished = any(e.kind == "station_done" and str(e.step_key).startswith("press-") for e in events)
    allowed = {told} if told else ({"waiting_for_owner", "running"} if finished else {"running", "failed"})
    if row.get("state") not in allowed:
        run.report.found(f"run {run.run_id}, table runs", f"its state “{row.get('state')}” is not what the ledger tells")


def _documents(run: _Run, records: Mapping[str, Any]) -> dict[str, Document]:
    texts: dict[str, Document] = {}
    readings: list[Reading] = [r for k, found in records.items() if k.startswith("read-") and found for r in found]
    for digest in dict.fromkeys(r.document for r in readings if r.document):
        document: Document | None = run.record(Document, digest, f"document {digest[:16]}…")
        if document is None:
            continue
        run.report.count("documents")
        where = f"run {run.run_id}, document {digest}"
        if seal.sha256(document.text) != document.sha256:
            run.report.found(where, "its text does not match its hash")
        if any(document.text[p.start : p.end] != p.text for p in document.passages):
            run.report.found(where, "a passage does not stand where it says")
        texts[document.sha256] = document
    return texts


def _spans(run: _Run, records: Mapping[str, Any], texts: Mapping[str, Document]) -> None:
    for key, found in records.items():
        spans: list[tuple[str, Span]] = []
        if isinstance(found, ClaimSet):
            spans = [(c.claim_id, c.span) for c in found.claims if c.span is not None]
        elif key.startswith("verify-") and found:
            rulings: tuple[Ruling, ...] = found
            spans = [(r.claim_id, e.span) for r in rulings for e in r.evidence if e.span is not None]
        for claim_id, span in spans:
            _span(run, f"step {key}, claim {claim_id}", span.doc_sha256, span.start, span.end, span.quote, texts)


def _span(run: _Run, what: str, text: str, start: int, end: int, quote: str, texts: Mapping[str, Document]) -> None:
    if text in texts:
        run.report.count("quotes")
        if texts[text].text[start:end] != quote:
            run.report.found(f"run {run.run_id}, {what}", f"its quote does not stand at {start}–{end} of text {text[:16]}…")
    elif not run.held.withheld:
        run.report.found(f"run {run.run_id}, {what}", f"the text {text[:16]}… it points into is not among the documents read")


def _trials(run: _Run, records: Mapping[str, Any], events: list[Event]) -> None:
    sealed = {str(e.body.get("trial")): str(e.body.get("record")) for e in events if e.kind == "trial"}
    trials: list[Trial] = []
    for key, found in records.items():
        if key.startswith("experiment-") and isinstance(found, Executed):
            trials += found.trials
    if not trials:
        return
    from sovereign.lab.study import trial_digest

    before: set[str] = set()
    for event in sorted(events, key=lambda e: e.seq):
        if event.kind == "prediction_sealed":
            before.add(str(event.body.get("sha256")))
        elif event.kind == "trial" and event.body.get("run_here") and not before.issuperset(map(str, event.body.get("predictions", ()))):
            run.report.found(
                f"run {run.run_id}, trial {event.body.get('trial')}", "it judged by a prediction that was not sealed before it"
            )
    for trial in trials:
        run.report.count("trials")
        where = f"run {run.run_id}, trial {trial.trial_id}"
        if trial_digest(trial) != trial.digest:
            run.report.found(where, "its measurements do not match its digest")
        if trial.trial_id in sealed and sealed[trial.trial_id] != seal.digest(trial):
            run.report.found(where, "it is not the trial that the ledger sealed")
        copy = run.held.trial_file(trial.trial_id)
        if copy is not None:
            again = run.attempt(f"file of trial {trial.trial_id}", lambda c=copy: seal.revive(Trial, c))  # type: ignore[misc]
            if again is not None and (again.digest != trial.digest or trial_digest(again) != trial.digest):
                run.report.found(f"trials/{trial.trial_id}/trial.json", "it was changed after it was sealed")


def _files(run: _Run, files: Mapping[str, str], texts: Mapping[str, Document]) -> None:
    for name, digest in files.items():
        kept = run.body(digest, f"file {name}")
        copy = run.held.copy_of(run.run_id, name)
        if copy is not None:
            run.report.count("files")
            if seal.sha256(copy) != digest:
                run.report.found(f"runs/{run.run_id}/{name}", "the file differs from the one on record")
        if name == "draft.json" and kept is not None:
            shown = run.attempt("draft.json", lambda k=kept: json.loads(k))  # type: ignore[misc]
            for claim in (shown or {}).get("claims", []):
                for e in claim.get("evidence", []):
                    if "doc_sha256" in e:
                        _span(run, f"draft.json, claim {claim.get('id')}", e["doc_sha256"], e["start"], e["end"], e["quote"], texts)


def _signatures(run: _Run, events: list[Event], files: Mapping[str, str]) -> None:
    hashes = {e.seq: e.hash for e in events}
    copies = dict(run.held.signature_files(run.run_id))
    for event in (e for e in events if e.kind == "signed"):
        where = f"run {run.run_id}, signature in event {event.seq}"
        signed = run.attempt(
            f"signature in event {event.seq}",
            lambda e=event: TypeAdapter(Signature).validate_json(seal.canonical({k: v for k, v in e.body.items() if k != "at"})),  # type: ignore[misc]
        )
        if signed is None:
            continue
        run.report.count("signatures")
        s = signed.statement
        why = rules.fault(signed, run.held.keys())
        if why and not (signed.signature is None and s.decision in ("rejected", "sent_back")):
            run.report.found(where, why)
        if s.run_id != run.run_id:
            run.report.found(where, f"it was made for run {s.run_id}")
        if hashes.get(s.ledger_count - 1) != s.ledger_head or s.ledger_count > event.seq:
            run.report.found(where, "the ledger before it is not the one that was signed")
        if s.files != dict(files):
            names = ", ".join(sorted(n for n in {*s.files, *files} if s.files.get(n) != files.get(n)))
            run.report.found(where, f"it does not cover the files on record: {names}")
        run.body(s.manifest, "evidence manifest")
        name = f"{event.seq:06d}-{s.decision}.json"
        copy = copies.pop(name, None)
        if copy is None:
            run.report.found(f"runs/{run.run_id}/signatures/{name}", "the file is missing")
        elif copy != seal.pretty(signed).encode():
            run.report.found(f"runs/{run.run_id}/signatures/{name}", "the file differs from the ledger")
    for name in copies:
        run.report.found(f"runs/{run.run_id}/signatures/{name}", "no decision in the ledger stands behind this file")

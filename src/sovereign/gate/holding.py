"""A finished run as the gate holds it: every record brought back from its blob, its manifest, and what an owner sees of it. Imports store and kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from sovereign import seal
from sovereign.errors import IntegrityBroken, NotFound, Refused
from sovereign.kernel import experiment, review
from sovereign.kernel import publish as rules
from sovereign.records import (
    Admission,
    Check,
    Claim,
    ClaimSet,
    Document,
    Draft,
    Executed,
    Foreseen,
    Hearing,
    Paper,
    PolicyDecision,
    Query,
    Question,
    Reading,
    Ruling,
    SearchRecord,
    Wording,
)
from sovereign.store.runs import RunRow
from sovereign.store.workspace import Workspace

T = TypeVar("T")
KINDS: Mapping[str, Any] = {
    "question": Question, "plan": tuple[Query, ...], "search": tuple[SearchRecord, ...], "admit": tuple[Admission, ...],
    "read": tuple[Reading, ...], "claims": ClaimSet, "verify": tuple[Ruling, ...], "predict": tuple[Foreseen, ...], "experiment": Executed,
    "wording": Wording, "draft": Draft, "tribunal": Hearing, "policy": PolicyDecision, "press": dict[str, str],
}  # fmt: skip


@dataclass(frozen=True)
class Held:
    """One finished run. Everything is loaded when it is first asked for, and every load checks the bytes against their name."""

    ws: Workspace
    row: RunRow
    steps: Mapping[str, str]

    @property
    def run_id(self) -> str:
        return self.row.run_id

    def _last(self, station: str) -> Any:
        keys = [k for k in self.steps if k.rsplit("-", 1)[0] == station]
        if not keys:
            raise IntegrityBroken(f"Run {self.run_id} has no record of its {station} station.", subject=self.run_id)
        return self.ws.runs.load(KINDS[station], self.steps[max(keys, key=lambda k: int(k.rsplit("-", 1)[1]))])

    @cached_property
    def files(self) -> dict[str, str]:
        """Printed file -> digest."""
        held: dict[str, str] = self._last("press")
        return held

    @cached_property
    def body(self) -> dict[str, Any]:
        """draft.json as printed."""
        shown: dict[str, Any] = json.loads(self.ws.blobs.get(self.files["draft.json"]))
        return shown

    @cached_property
    def draft(self) -> Draft:
        found: Draft = self._last("draft")
        return found

    @cached_property
    def question(self) -> Question:
        found: Question = self._last("question")
        return found

    @cached_property
    def admissions(self) -> tuple[Admission, ...]:
        found: tuple[Admission, ...] = self._last("admit")
        return found

    @cached_property
    def papers(self) -> dict[str, Paper]:
        return {a.paper.paper_id: a.paper for a in self.admissions}

    @property
    def cited(self) -> tuple[Paper, ...]:
        """The works that the draft cites, in order of their numbers."""
        return tuple(self.papers[p] for p in self.draft.references if p in self.papers)

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        found: tuple[Reading, ...] = self._last("read")
        return found

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        found: ClaimSet = self._last("claims")
        return found.claims

    @cached_property
    def executed(self) -> Executed:
        found: Executed = self._last("experiment")
        return found

    @cached_property
    def rulings(self) -> tuple[Ruling, ...]:
        return experiment.raise_levels(self._last("verify"), self.executed)

    @cached_property
    def hearing(self) -> Hearing:
        found: Hearing = self._last("tribunal")
        return found

    @cached_property
    def decision(self) -> PolicyDecision:
        found: PolicyDecision = self._last("policy")
        return found

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        return seal.revive(tuple[Check, ...], json.dumps(self.body["checks"]))

    @cached_property
    def texts(self) -> dict[str, tuple[str, str]]:
        """text sha256 -> (paper id, blob of the document)."""
        return {self.ws.library.document(r.document).sha256: (r.paper_id, r.document) for r in self.readings if r.document}

    def document(self, text_sha256: str) -> tuple[str, Document]:
        """(paper id, document) of a text this run has read. Raises NotFound for any other."""
        if text_sha256 not in self.texts:
            raise NotFound(f"Run {self.run_id} read no text {text_sha256[:12]}…", subject=text_sha256)
        paper_id, digest = self.texts[text_sha256]
        return paper_id, self.ws.library.document(digest)

    def manifest(self) -> dict[str, Any]:
        reverse = {blob: text for text, (_, blob) in self.texts.items()}
        documents = [
            {"paper": r.paper_id, "document": r.document, "text_sha256": reverse[r.document], "basis": r.basis.value if r.basis else None}
            for r in self.readings
            if r.document
        ]
        trials = [{"trial_id": t.trial_id, "digest": t.digest, "record": seal.digest(t)} for t in self.executed.trials]
        return rules.manifest(
            run_id=self.run_id, request=self.row.request, steps=self.steps, documents=documents, trials=trials, files=self.files
        )

    def present_files(self) -> dict[str, str]:
        """name -> digest of the bytes as they are now: the blob's, or those of the copy in the run folder where that one differs."""
        found = {}
        for name, digest in self.files.items():
            copy = self.ws.run_folder(self.run_id) / name
            if copy.is_file() and seal.sha256(copy) != digest:
                found[name] = seal.sha256(copy)
            else:
                found[name] = seal.sha256(self.ws.blobs.get(digest))
        return found


def held(ws: Workspace, run_id: str) -> Held:
    """Raises NotFound for an unknown run and Refused for one without a draft."""
    row = ws.runs.get(run_id)
    steps = ws.runs.steps(run_id)
    if not any(k.startswith("press-") for k in steps):
        raise Refused(f"Run {run_id} is {row.state}; it has no draft yet.", mend=f"Finish it: sovereign runs resume {run_id}")
    return Held(ws, row, steps)


def flags_in(ws: Workspace, run_id: str) -> dict[str, tuple[str, ...]]:
    """paper id -> flags, of every source of this run that was found changed after it was read, or carried a flag when it was read."""
    found: dict[str, set[str]] = {}
    for event in ws.ledger.events(run_id, "source_flagged"):
        found.setdefault(str(event.body["paper"]), set()).update(map(str, event.body["flags"]))
    return {p: tuple(sorted(f)) for p, f in sorted(found.items())}


def overview(ws: Workspace, run_id: str, run: Held | None = None) -> dict[str, Any]:
    """What an owner needs before deciding, as JSON-ready values: reasons in order of weight, gaps to waive, numbers, decisions so far."""
    run = run or held(ws, run_id)
    flagged = flags_in(ws, run_id)
    findings = [f for r in run.hearing.reviews for f in r.findings]
    why = review.reasons(run.checks, run.decision, findings, run.rulings, flagged)
    verdicts: dict[str, int] = {}
    for ruling in run.rulings:
        verdicts[ruling.verdict.value] = verdicts.get(ruling.verdict.value, 0) + 1
    return {
        "run_id": run_id,
        "state": ws.runs.get(run_id).state,
        "question": run.row.question,
        "title": run.draft.title,
        "created_at": run.row.created_at,
        "reasons": seal.plain(why),
        "gaps": list(review.gaps(run.checks, flagged)),
        "policy": seal.plain(run.decision),
        "score": run.hearing.score,
        "tribunal": run.hearing.decision,
        "agreement": seal.plain(run.hearing.agreement),
        "quality": run.body.get("quality"),
        "spent": run.body.get("spent"),
        "verdicts": verdicts,
        "claims": len(run.claims),
        "facets_answered": [sum(c.answered for c in run.draft.coverage), len(run.draft.coverage)],
        "files": dict(run.files),
        "decisions": [decision_line(e.body, e.seq) for e in ws.ledger.events(run_id, "signed")],
        "notes": [dict(e.body) for e in ws.ledger.events(run_id, "owner_note")],
    }


def decision_line(body: Mapping[str, Any], seq: int) -> dict[str, Any]:
    s = body["statement"]
    return {
        "seq": seq,
        "decision": s["decision"],
        "owner": s["owner"],
        "at": s["at"],
        "note": s["note"],
        "waiver": s["waiver"],
        "signed": body["signature"] is not None,
    }


def queue(ws: Workspace, known: dict[str, tuple[str, dict[str, Any]]] | None = None) -> list[dict[str, Any]]:
    """Every run with what the queue shows of it, waiting ones first, oldest of them first. A run whose records are broken says so.

    known: what an earlier call found, by run and ledger head; a caller that asks often gives the same dict again.
    """
    known = {} if known is None else known
    rows = []
    for row in ws.runs.list():
        entry: dict[str, Any] = {"run_id": row.run_id, "state": row.state, "question": row.question, "created_at": row.created_at}
        if row.state not in ("running", "failed"):
            head = ws.ledger.head(row.run_id)
            if known.get(row.run_id, ("", {}))[0] != head:
                known[row.run_id] = (head, _queued(ws, row.run_id))
            entry |= known[row.run_id][1]
        elif row.error:
            entry["error"] = row.error
        rows.append(entry)
    order = {"waiting_for_owner": 0, "running": 1, "failed": 2}
    return sorted(rows, key=lambda r: (order.get(r["state"], 3), r["created_at"] if r["state"] == "waiting_for_owner" else ""))


def _queued(ws: Workspace, run_id: str) -> dict[str, Any]:
    try:
        shown = overview(ws, run_id)
    except (IntegrityBroken, NotFound, Refused) as exc:
        return {"broken": exc.line()}
    keep = ("title", "policy", "score", "verdicts", "claims", "facets_answered", "gaps")
    return {k: shown[k] for k in keep} | {
        "reasons": len(shown["reasons"]),
        "flagged": any(r["weight"] == "flagged" for r in shown["reasons"]),
    }
